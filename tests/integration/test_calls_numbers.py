"""Numbers as hosts have them, wherever a call takes one: none raises, each bad one is counted."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from lone_call import lone_call

from getpatter import Patter
from getpatter.calls import Hub
from getpatter.calls.callbacks.subscriptions import Callbacks
from getpatter.calls.stats.service import Service
from getpatter.telemetry.call_metrics import record_call_completed
from getpatter.telemetry.schema import UNFIT, coerce

PATIENCE = 20.0
#: What is no number here: not finite, below 0, far beyond any bound, or of another type.
BAD: dict[str, Any] = {
    "huge": 10**400,
    "huge and negative": -(10**400),
    "more digits than are printed": 10**5_000,
    "NaN": math.nan,
    "infinite": math.inf,
    "a bool": True,
    "a text": "0.1",
    "complex": 1j,
    "a Decimal that is none": Decimal("sNaN"),
    "a Decimal beyond any float": Decimal("1e400"),
    "a Fraction beyond any float": Fraction(10**400),
    "numpy's NaN": np.float32("nan"),
    "numpy's bool": np.bool_(True),
    "an array": np.array([1.0, 2.0]),
}
GOOD = {
    "Decimal": Decimal("0.25"),
    "Fraction": Fraction(1, 4),
    "float32": np.float32(0.25),
    "float16": np.float16(0.25),
    "float64": np.float64(0.25),
}
SAMPLE = {"track": "t", "direction": "up"}


class Recorder:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def record(self, name: str, /, **dimensions: object) -> None:
        self.events.append({"event": name, **dimensions})

    @property
    def completed(self) -> dict[str, Any]:
        (event,) = [event for event in self.events if event["event"] == "call_completed"]
        return event


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_number_never_raises_and_the_call_ends(name: str) -> None:
    bad, recorder = BAD[name], Recorder()
    with lone_call(recorder, {}, hub=Hub()) as call:
        call.turn()
        call.cost(bad)
        for stage in ("stt", "llm"):
            call.observe(stage, bad)
        call.observe("tts", 0.5)
        call.reporter.complete(call.reporter.begin("tts"), elapsed=bad)
        call.reporter.complete(
            call.reporter.begin("tts"), "CUSTOM", retry_count=bad, previously_connected_at=bad
        )
    said = recorder.completed
    assert said["outcome"] == "completed"
    assert "stt_latency_ms" not in said
    assert said["tts_first_byte_ms"] == 500
    assert coerce("cost_usd", said["cost_usd"]) is UNFIT


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_number_is_refused_by_its_rule_where_a_host_is_set_up(name: str) -> None:
    bad = BAD[name]
    with pytest.raises(ValueError, match="stats_interval"):
        Patter(carrier="none", telemetry=False, stats_interval=bad)
    with pytest.raises(ValueError, match="ring_events"):
        Hub(ring_events=bad)
    patter = Patter(carrier="none", telemetry=False)
    assert patter.set_stats_interval(bad).status == "refused_interval"
    with patter.call(direction="inbound") as call:
        assert call.set_stats_interval(bad).status == "refused_interval"


@pytest.mark.parametrize("name", GOOD)
def test_a_cost_and_a_latency_of_another_type_count(name: str) -> None:
    recorder = Recorder()
    with lone_call(recorder, {}) as call:
        call.turn()
        call.cost(GOOD[name])  # type: ignore[arg-type] # what people have
        call.observe("stt", GOOD[name])  # type: ignore[arg-type]
    assert recorder.completed["stt_latency_ms"] == 250
    assert coerce("cost_usd", recorder.completed["cost_usd"]) == 0.25


@pytest.mark.parametrize("name", GOOD)
def test_the_hosts_own_metrics_may_be_of_another_type(name: str) -> None:
    class Metrics:
        cost = type("Cost", (), {"total": GOOD[name]})
        latency_p95 = type("P95", (), {"stt_ms": GOOD[name], "tts_ms": Decimal(0)})
        duration_seconds = np.int64(7)

    recorder = Recorder()
    record_call_completed(recorder, outcome="completed", metrics=Metrics())
    said = recorder.completed
    assert coerce("cost_usd", said["cost_usd"]) == 0.25
    assert coerce("duration_seconds", said["duration_seconds"]) == 7
    # At least 1 for what ran, and nothing for 0: that says it did not.
    assert (said["stt_latency_ms"], said["tts_first_byte_ms"]) == (1, None)


@pytest.fixture
def callbacks() -> Callbacks:
    return Callbacks()


def told_tracks(callbacks: Callbacks, service: Service, *samples: dict[str, Any]) -> Any:
    """The one stats record of these samples, a second apart."""
    records: list[Any] = []
    callbacks.on("stats", records.append)
    service.event("participant_active", "c", "p")
    for at, values in enumerate(samples):
        assert service.sample("c", "p", {**SAMPLE, "at": 10 + at, **values})
    service.event("participant_left", "c", "p")
    assert service.stop(PATIENCE)
    (track,) = [track for record in records for track in record["tracks"]]
    return track


class Nowhere:
    def emit(self, event_type: str, data: object, **_: object) -> bool:  # noqa: ARG002
        return True


@pytest.fixture
def service(callbacks: Callbacks) -> Service:
    return Service(lambda _: Nowhere(), callbacks)


def test_a_value_that_is_none_is_dropped_and_the_sample_stays(
    service: Service, callbacks: Callbacks
) -> None:
    errors: list[Any] = []
    callbacks.on("error", errors.append)
    track = told_tracks(
        callbacks,
        service,
        {"start": 9, "packets": 50, "bytes": 1_000, "lost": -1, "rtt": 10},
        {"packets": 100, "bytes": 2_000, "lost": -1, "rtt": math.nan, "jitter": 10**400},
        {"packets": 150, "bytes": 3_000, "lost": "many", "rtt": 30},
    )
    assert track["packet_rate"] == pytest.approx(50)
    assert track["bitrate"] == pytest.approx(8)
    assert track["rtt"] == pytest.approx(20)
    assert "fraction_loss" not in track
    counted: Any = service.counts()["sample"]
    assert counted == {"taken": 3, "done": 3, "dropped_value": 5}
    assert [error["code"] for error in errors] == ["dropped_value"] * 3
    assert "lost must not be negative" in errors[0]["message"]


def test_counters_and_levels_of_another_type_count(service: Service, callbacks: Callbacks) -> None:
    track = told_tracks(
        callbacks,
        service,
        {"start": Decimal(9), "packets": np.int64(50), "audio_input_level": Decimal("0.5")},
        {"packets": Fraction(100), "audio_input_level": np.float32(0.25), "lost": np.uint8(0)},
    )
    assert track["packet_rate"] == pytest.approx(50)
    assert track["audio_input_level"] == pytest.approx(0.375)
    counted: Any = service.counts()["sample"]
    assert counted == {"taken": 2, "done": 2}


def test_a_sample_whose_time_is_none_is_no_sample(service: Service) -> None:
    service.event("participant_active", "c", "p")
    for bad in BAD.values():
        assert service.sample("c", "p", {**SAMPLE, "at": bad}).status == "refused_sample"


def test_numbers_of_events_may_be_of_another_type() -> None:
    seen: list[Any] = []
    patter = Patter(carrier="none", telemetry=False, diagnostics=Hub(seen.append))
    given = {"event": "e", "attempts": np.int64(2), "duration_ms": Decimal("1.5")}
    assert patter.event("webhook", given)
    assert not patter.event("webhook", {"event": "e", "duration_ms": 10**400})
    with patter.call(direction="inbound") as call:
        call.emitter("tool").emit("bill", {"usd": Decimal("0.25"), "share": np.float32(0.5)})
    assert patter.diagnostics.close(PATIENCE)
    (webhook,) = [event.data for event in seen if event.type == "webhook"]
    assert (webhook["attempts"], webhook["duration_ms"]) == (2, 1.5)
    (bill,) = [event.data for event in seen if event.type == "bill"]
    assert bill == {"usd": 0.25, "share": 0.5}
