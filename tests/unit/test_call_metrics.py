"""What is left of a call: the derived table row by row, and whatever the host's metrics hold."""

import math
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import NoReturn

import pytest

from getpatter.telemetry import call_metrics, events
from getpatter.telemetry.call_metrics import (
    count_bucket,
    ending,
    engine_of,
    nearest_rank_p95,
    record_call_completed,
    record_call_started,
    whole_ms,
)
from getpatter.telemetry.events import DIMENSION_VALUES

UID = "0" * 31 + "f"
LATENCIES = {
    "agent_response_ms": "latency_ms",
    "stt_ms": "stt_latency_ms",
    "llm_ttft_ms": "llm_ttft_ms",
    "tts_ms": "tts_first_byte_ms",
    "endpoint_ms": "eou_latency_ms",
}


class Recorder:
    """Keeps what is recorded; None is what stands for absent."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, dict[str, object]]] = []

    def record(self, name: str, /, **dimensions: object) -> None:
        self.recorded.append((name, {k: v for k, v in dimensions.items() if v is not None}))

    def only(self) -> dict[str, object]:
        ((_, dimensions),) = self.recorded
        return dimensions


def completed(outcome: object = "completed", **arguments: object) -> dict[str, object]:
    recorder = Recorder()
    record_call_completed(recorder, outcome=outcome, **arguments)  # type: ignore[arg-type] # anything may come
    assert recorder.recorded[0][0] == "call_completed"
    return recorder.only()


def name_of(value: object) -> str:
    """The id of a test's case; pytest itself would ask the value for one."""
    return type(value).__name__


def end(**known: object) -> tuple[object, object, object]:
    found = ending(**known).dimensions()  # type: ignore[arg-type] # anything may come
    assert set(found) == {"outcome", "error_layer", "disconnect_reason"}
    return found["outcome"], found["error_layer"], found["disconnect_reason"]


# the derived table

STAGES = {
    "stt": "stt",
    "eou": "stt",
    "llm": "llm",
    "tts": "tts",
    "carrier": "carrier",
    "coordinator_join": "carrier",
    "ws_join": "carrier",
    "peer_connection": "carrier",
}
CODES = {
    "webhook_verification": "carrier",
    "provision": "carrier",
    "config": "config",
    "input_validation": "config",
    "internal": "internal",
    "auth": "other",
    "rate_limit": "other",
    "timeout": "other",
    "connection": "other",
    "provider_error": "other",
    "other": "other",
    "unheard of": "other",
    "": "other",
}


@pytest.mark.parametrize(
    ("hung_up", "reason"),
    [
        (None, "completed"),
        ("local", "hangup_local"),
        ("remote", "hangup_remote"),
        ("somebody", "completed"),
        ("", "completed"),
    ],
)
def test_connected_and_ended_cleanly(hung_up: str | None, reason: str) -> None:
    assert end(connected=True, hung_up=hung_up) == ("completed", "none", reason)


@pytest.mark.parametrize(("stage", "layer"), STAGES.items())
@pytest.mark.parametrize("code", CODES)
def test_error_in_a_known_stage(stage: str, layer: str, code: str) -> None:
    """The stage decides, whatever the code says."""
    reason = "timeout" if code == "timeout" else "error"
    known = {"error_code": code, "error_stage": stage, "hung_up": "remote"}
    assert end(connected=True, **known) == ("error", layer, reason)
    assert end(connected=False, **known) == ("failed", layer, reason)


@pytest.mark.parametrize("stage", [None, "", "unheard of"])
@pytest.mark.parametrize(("code", "layer"), CODES.items())
def test_error_in_an_unknown_stage(code: str, layer: str, stage: str | None) -> None:
    reason = "timeout" if code == "timeout" else "error"
    known = {"error_code": code, "error_stage": stage}
    assert end(connected=True, **known) == ("error", layer, reason)
    assert end(connected=False, **known) == ("failed", layer, reason)


@pytest.mark.parametrize("unanswered", ["no_answer", "busy"])
@pytest.mark.parametrize("hung_up", [None, "local", "remote"])
def test_not_connected_because_nobody_answered(unanswered: str, hung_up: str | None) -> None:
    found = end(connected=False, unanswered=unanswered, hung_up=hung_up)
    assert found == (unanswered, "none", unanswered)


@pytest.mark.parametrize("unanswered", ["no_answer", "busy"])
def test_connected_call_was_answered(unanswered: str) -> None:
    assert end(connected=True, unanswered=unanswered) == ("completed", "none", "completed")


@pytest.mark.parametrize(
    ("hung_up", "expected"),
    [
        (None, ("failed", "none", "hangup_local")),
        ("local", ("failed", "none", "hangup_local")),
        ("remote", ("failed", "other", "error")),
    ],
)
def test_not_connected_without_an_error(
    hung_up: str | None, expected: tuple[str, str, str]
) -> None:
    assert end(connected=False, hung_up=hung_up) == expected


def test_every_ending_is_in_the_value_sets() -> None:
    for connected in (True, False):
        for code in (None, *CODES):
            for stage in (None, *STAGES):
                for hung_up in (None, "local", "remote"):
                    found = ending(
                        connected=connected, error_code=code, error_stage=stage, hung_up=hung_up
                    ).dimensions()
                    for name, value in found.items():
                        assert value in DIMENSION_VALUES[name]


class Hostile:
    """An object of the host of which no question is answered."""

    def fail(self, *_: object) -> NoReturn:
        raise RuntimeError

    __bool__ = __len__ = __iter__ = __str__ = __repr__ = __float__ = __int__ = fail
    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = fail
    __hash__ = fail


class HostileText(str):
    __slots__ = ()

    def fail(self, *_: object) -> NoReturn:
        raise RuntimeError

    __bool__ = __len__ = __iter__ = __str__ = __repr__ = fail
    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = fail
    __hash__ = fail


class HostileNumber(float):
    __slots__ = ()

    def fail(self, *_: object) -> NoReturn:
        raise RuntimeError

    __bool__ = __str__ = __repr__ = __float__ = __int__ = __round__ = fail
    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = fail
    __hash__ = fail


class Raising:
    """An object whose every attribute fails."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(name)


HOSTILE: list[object] = [Hostile(), [], {}, {"a": []}, object(), b"stt", 5, math.nan, True]


@pytest.mark.parametrize("value", HOSTILE, ids=name_of)
def test_ending_takes_anything(value: object) -> None:
    assert end(connected=True, error_code=value) == ("error", "other", "error")
    assert end(connected=True, error_code="timeout", error_stage=value) == (
        "error",
        "other",
        "timeout",
    )
    assert end(connected=True, hung_up=value) == ("completed", "none", "completed")


def test_ending_reads_past_what_a_string_overrides() -> None:
    known = {"error_code": HostileText("timeout"), "error_stage": HostileText("eou")}
    assert end(connected=True, **known) == ("error", "stt", "timeout")
    assert end(connected=True, hung_up=HostileText("local"))[2] == "hangup_local"


# numbers


def test_p95_is_the_nearest_rank() -> None:
    assert nearest_rank_p95([]) is None
    for count in range(1, 400):
        values = [float(number) for number in range(count, 0, -1)]
        assert nearest_rank_p95(values) == math.ceil(Fraction(95, 100) * count)


@pytest.mark.parametrize(
    ("milliseconds", "whole"),
    [
        (None, None),
        (0, 1),
        (0.0, 1),
        (0.4, 1),
        (1.4, 1),
        (1.6, 2),
        (250.4, 250),
        (10**400, 10**400),
    ],
)
def test_latencies_are_whole_and_a_stage_that_ran_has_one(
    milliseconds: float | None, whole: int | None
) -> None:
    assert whole_ms(milliseconds) == whole


def test_latency_that_is_none_stays_what_it_is() -> None:
    """It is refused and counted where all dimensions are."""
    assert whole_ms(-1.0) == -1.0
    assert whole_ms(math.inf) == math.inf
    assert math.isnan(whole_ms(math.nan) or 0)


@pytest.mark.parametrize(
    ("count", "bucket"),
    [
        (0, "0"),
        (1, "1"),
        (2, "2_3"),
        (3, "2_3"),
        (4, "4_6"),
        (6, "4_6"),
        (7, "7_12"),
        (12, "7_12"),
        (13, "13_plus"),
        (10**9, "13_plus"),
    ],
)
def test_counts_at_the_bounds_of_their_buckets(count: int, bucket: str) -> None:
    assert count_bucket(count) == bucket


# engines


@pytest.mark.parametrize(
    ("mode", "engine", "provider"),
    [
        ("openai_realtime", "realtime", "openai"),
        ("openai_realtime_2", "realtime", "openai"),
        ("elevenlabs_convai", "convai", "elevenlabs"),
        ("pipeline", "pipeline", "other"),
        (None, None, None),
        ("", None, None),
        ("of tomorrow", "other", "other"),
        (["pipeline"], "other", "other"),
        (HostileText("pipeline"), "pipeline", "other"),
    ],
    ids=name_of,
)
def test_provider_modes(mode: object, engine: str | None, provider: str | None) -> None:
    assert engine_of(mode) == {"engine": engine, "provider": provider}


@pytest.mark.parametrize(
    ("layers", "provider"),
    [
        (("anthropic", "deepgram", "elevenlabs"), "anthropic"),
        ((None, "deepgram", "elevenlabs"), "deepgram"),
        (("", None, "elevenlabs_ws"), "elevenlabs"),
        ((None, None, None), "other"),
        (("acme", "deepgram", "elevenlabs"), "other"),
        ((Hostile(), "deepgram"), "other"),
        ((HostileText("OpenAI"),), "openai"),
    ],
    ids=name_of,
)
def test_provider_of_a_pipeline(layers: tuple[object, ...], provider: str) -> None:
    assert engine_of("pipeline", layers)["provider"] == provider


# what the host library calls


def test_call_started() -> None:
    recorder = Recorder()
    record_call_started(
        recorder,
        provider_mode="pipeline",
        telephony_provider="twilio",
        direction="inbound",
        call_uid=UID,
    )
    assert recorder.recorded == [
        (
            "call_started",
            {
                "engine": "pipeline",
                "provider": "other",
                "carrier": "twilio",
                "direction": "inbound",
                "call_uid": UID,
            },
        )
    ]


def test_call_started_of_which_nothing_is_known() -> None:
    recorder = Recorder()
    record_call_started(recorder)
    assert recorder.recorded == [("call_started", {})]


@pytest.mark.parametrize(
    "direction", ["sideways", "", "none", "INBOUND ", 5, [], Hostile()], ids=name_of
)
def test_any_other_direction_is_left_out(direction: object) -> None:
    recorder = Recorder()
    record_call_started(recorder, direction=direction)  # type: ignore[arg-type] # anything may come
    assert "direction" not in recorder.only()
    assert "direction" not in completed(direction=direction)
    assert completed(direction="outbound")["direction"] == "outbound"


def full_metrics(**changes: object) -> SimpleNamespace:
    return SimpleNamespace(
        **{
            "provider_mode": "pipeline",
            "telephony_provider": "telnyx",
            "llm_provider": "groq",
            "stt_provider": "deepgram",
            "tts_provider": "cartesia_tts",
            "duration_seconds": 61.4,
            "turns": [object()] * 5,
            "cost": SimpleNamespace(total=0.1234),
            "error_code": "",
            "latency_p95": SimpleNamespace(
                agent_response_ms=800.6, stt_ms=120, llm_ttft_ms=0, tts_ms=None, endpoint_ms=0.2
            ),
            **changes,
        }
    )


def test_call_completed_with_the_host_s_metrics() -> None:
    found = completed(metrics=full_metrics(), direction="inbound", call_uid=UID)
    assert found == {
        "engine": "pipeline",
        "provider": "groq",
        "carrier": "telnyx",
        "direction": "inbound",
        "call_uid": UID,
        "outcome": "completed",
        "error_layer": "none",
        "disconnect_reason": "completed",
        "duration_seconds": 61.4,
        "cost_usd": 0.1234,
        "turn_count_bucket": "4_6",
        "latency_ms": 801,
        "stt_latency_ms": 120,
        "eou_latency_ms": 1,
    }


def test_groq_is_no_provider_of_the_released_set() -> None:
    """The contract's set for `provider` lacks it, so that what leaves says `other`."""
    event = events.coerced("call_completed", completed(metrics=full_metrics()))[0]
    assert event["provider"] == "other"


def test_carrier_that_is_passed_wins() -> None:
    assert completed(metrics=full_metrics(), carrier="twilio")["carrier"] == "twilio"
    assert completed(metrics=full_metrics(), carrier="")["carrier"] == "telnyx"


@pytest.mark.parametrize(
    ("outcome", "ends"),
    [
        ("completed", ("completed", "none", "completed")),
        ("no_answer", ("no_answer", "none", "no_answer")),
        ("busy", ("busy", "none", "busy")),
        ("error", ("error", "other", "error")),
        ("Busy", ("busy", "none", "busy")),
        (HostileText("busy"), ("busy", "none", "busy")),
        ("voicemail", ("voicemail", "other", "other")),
    ],
    ids=name_of,
)
@pytest.mark.parametrize("metrics", [None, full_metrics()], ids=["alone", "with metrics"])
def test_outcome_without_an_error_code(
    outcome: str, ends: tuple[str, str, str], metrics: object
) -> None:
    found = completed(outcome, metrics=metrics)
    said = (found["outcome"], found["error_layer"], found["disconnect_reason"])
    assert [str.__str__(str(text)) for text in said] == list(ends)
    assert "error_code" not in found


@pytest.mark.parametrize("outcome", ["failed", "Failed", HostileText("FAILED")], ids=name_of)
def test_a_call_that_failed_without_metrics_is_the_carriers(outcome: str) -> None:
    """So the host library says it, from its carrier's callbacks."""
    found = completed(outcome, carrier="twilio")
    assert (found["outcome"], found["error_layer"]) == ("failed", "carrier")
    assert found["disconnect_reason"] == "error"
    assert completed(outcome, metrics=full_metrics())["error_layer"] == "other"


@pytest.mark.parametrize("direction", ["Inbound", "INBOUND", HostileText("inbound")], ids=name_of)
def test_what_the_host_says_is_compared_in_lower_case(direction: str) -> None:
    recorder = Recorder()
    record_call_started(recorder, provider_mode="OpenAI_Realtime", direction=direction)
    assert recorder.only()["engine"] == "realtime"
    assert recorder.only()["direction"] == "inbound"


@pytest.mark.parametrize("carrier", ["Twilio", "TWILIO", HostileText("Twilio")], ids=name_of)
def test_a_carrier_of_the_host_is_compared_in_lower_case(carrier: str) -> None:
    recorder = Recorder()
    record_call_started(recorder, telephony_provider=carrier)
    metrics = SimpleNamespace(telephony_provider=carrier)
    record_call_completed(recorder, outcome="Completed", metrics=metrics)
    record_call_completed(recorder, outcome="COMPLETED", carrier=carrier)
    built = [events.coerced(*recorded) for recorded in recorder.recorded]
    assert [(own["carrier"], refused) for own, refused in built] == [("twilio", [])] * 3
    assert [own.get("outcome") for own, _ in built] == [None, "completed", "completed"]


def test_call_completed_without_metrics_says_no_measure() -> None:
    assert completed(carrier="plivo") == {
        "carrier": "plivo",
        "outcome": "completed",
        "error_layer": "none",
        "disconnect_reason": "completed",
    }


METRICS_CODES = {**CODES, "auth": "llm", "rate_limit": "llm", "timeout": "llm"}
del METRICS_CODES[""]


@pytest.mark.parametrize(("code", "layer"), METRICS_CODES.items())
@pytest.mark.parametrize("outcome", ["completed", "error", "failed", "busy"])
def test_error_code_of_the_metrics_makes_the_outcome_an_error(
    code: str, layer: str, outcome: str
) -> None:
    found = completed(outcome, metrics=full_metrics(error_code=code))
    assert found["outcome"] == "error"
    assert found["error_code"] == code
    assert found["error_layer"] == layer
    assert found["disconnect_reason"] == ("timeout" if code == "timeout" else "error")


@pytest.mark.parametrize("code", ["", None])
def test_no_error_code_is_no_error(code: object) -> None:
    assert completed(metrics=full_metrics(error_code=code))["outcome"] == "completed"


@pytest.mark.parametrize(("theirs", "dimension"), LATENCIES.items())
def test_each_latency_has_its_dimension(theirs: str, dimension: str) -> None:
    metrics = full_metrics(latency_p95=SimpleNamespace(**{theirs: 12.4}))
    found = completed(metrics=metrics)
    assert {name: found[name] for name in LATENCIES.values() if name in found} == {dimension: 12}


@pytest.mark.parametrize("value", [0, 0.0, -0.0, None])
def test_latency_of_zero_is_a_stage_that_did_not_run(value: object) -> None:
    metrics = full_metrics(latency_p95=SimpleNamespace(**dict.fromkeys(LATENCIES, value)))
    assert set(LATENCIES.values()).isdisjoint(completed(metrics=metrics))


BAD_NUMBERS: list[object] = [
    math.nan,
    math.inf,
    -math.inf,
    -1,
    True,
    False,
    10**5_000,
    "12",
    b"1",
    [],
    {},
    1j,
    Hostile(),
]


@pytest.mark.parametrize("value", BAD_NUMBERS, ids=name_of)
def test_bad_number_costs_its_own_dimension_only(value: object) -> None:
    metrics = full_metrics(
        latency_p95=SimpleNamespace(**dict.fromkeys(LATENCIES, value)),
        duration_seconds=value,
        cost=SimpleNamespace(total=value),
    )
    found = completed(metrics=metrics)
    event, refused = events.coerced("call_completed", found)
    assert len(refused) == len(LATENCIES) + 2
    assert event["outcome"] == "completed"
    assert event["turn_count_bucket"] == "4_6"
    assert not {*LATENCIES.values(), "duration_seconds", "cost_usd"} & set(event)


def test_number_of_a_subclass_counts_by_its_content() -> None:
    metrics = full_metrics(latency_p95=SimpleNamespace(stt_ms=HostileNumber(12.4)))
    assert completed(metrics=metrics)["stt_latency_ms"] == 12


@pytest.mark.parametrize("turns", [None, 5, Hostile(), object(), iter([1])], ids=name_of)
def test_turns_that_cannot_be_counted_are_left_out(turns: object) -> None:
    found = completed(metrics=full_metrics(turns=turns))
    assert "turn_count_bucket" not in found
    assert found["latency_ms"] == 801


@pytest.mark.parametrize("metrics", [object(), Raising(), 5, "", [], Hostile()], ids=name_of)
def test_metrics_that_have_nothing_leave_the_event(metrics: object) -> None:
    found = completed(metrics=metrics, carrier="twilio")
    assert found["outcome"] == "completed"
    assert found["carrier"] == "twilio"


@pytest.mark.parametrize("name", sorted(vars(full_metrics())))
@pytest.mark.parametrize("value", [Hostile(), Raising(), []], ids=["hostile", "raising", "list"])
def test_hostile_attribute_never_costs_the_event(name: str, value: object) -> None:
    found = completed(metrics=full_metrics(**{name: value}), direction="inbound")
    event, _ = events.coerced("call_completed", found)
    expected = "error" if name == "error_code" else "completed"
    assert event["outcome"] == expected
    assert event["direction"] == "inbound"


@pytest.mark.parametrize("value", HOSTILE, ids=name_of)
def test_hostile_arguments_never_cost_the_event(value: object) -> None:
    found = completed(value, metrics=value, carrier=value, direction=value, call_uid=value)
    assert events.coerced("call_completed", found)[0]["outcome"] == "other"
    recorder = Recorder()
    record_call_started(
        recorder,
        provider_mode=value,  # type: ignore[arg-type] # anything may come
        telephony_provider=value,  # type: ignore[arg-type]
        direction=value,  # type: ignore[arg-type]
        call_uid=value,  # type: ignore[arg-type]
    )
    found = events.coerced("call_started", recorder.only())[0]
    assert found == {
        "engine": "other",
        "provider": "other",
        "carrier": "other",
    }


@pytest.mark.parametrize(
    "record",
    [
        record_call_started,
        lambda telemetry: record_call_completed(telemetry, outcome="completed"),
    ],
)
def test_without_telemetry_nothing_happens_and_its_errors_stay_inside(
    record: Callable[[object], None],
) -> None:
    record(None)
    record(Raising())
    record(object())


def test_tables_name_stages_and_codes_of_the_schema() -> None:
    layers = DIMENSION_VALUES["error_layer"]
    assert set(call_metrics.STAGE_LAYERS) == set(STAGES)
    assert set(call_metrics.STAGE_LAYERS.values()) <= layers
    assert set(call_metrics.CODE_LAYERS.values()) <= layers
    assert set(call_metrics.CODE_LAYERS) <= DIMENSION_VALUES["error_code"]
