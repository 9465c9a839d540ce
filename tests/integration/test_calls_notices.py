"""What callbacks are told of telemetry: its set-up, its settings, what a collector recommends."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from in_process import client as make_client

from getpatter import Patter
from getpatter.telemetry import TelemetryClient, _tables
from getpatter.telemetry.testing import Answer, Receiver

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

# A callback, and a way to wait for what it is given; `told` is what a test reads.
BEGIN = """
import json, threading
from getpatter import Patter
told, changed = [], threading.Condition()
def hear(payload):
    with changed:
        told.append(payload)
        changed.notify_all()
def wait(count):
    with changed:
        assert changed.wait_for(lambda: len(told) >= count, 60), told
"""


def heard(done: Any) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


INIT = """
patter = Patter(carrier="none")
patter.on("init", hear)
wait(1)
patter.telemetry.flush(60)
patter.on("init", hear)  # also who comes late
wait(2)
print(json.dumps(told))
"""


def test_init_says_success_once(run: Run, receiver: Receiver) -> None:
    first, late = heard(run(BEGIN + INIT))
    assert first == late
    assert first["status"] == "success"
    assert [event["event"] for event in receiver.events][:2] == ["first_run", "sdk_initialized"]


@pytest.mark.parametrize(
    ("status", "variables"),
    [
        ("disabled", {"DO_NOT_TRACK": "1"}),
        ("disabled", {"CI": "1"}),
        ("http_error", {"PATTER_TELEMETRY_ENDPOINT": "ftp://example.com"}),
        ("state_error", {"PATTER_TELEMETRY_STATE_DIR": "/dev/null/nowhere"}),
        ("success", {"PATTER_TELEMETRY_DEBUG": "1"}),
    ],
)
def test_init_says_what_stands_in_the_way(run: Run, status: str, variables: dict[str, str]) -> None:
    told = heard(run(BEGIN + INIT, **variables))
    assert {one["status"] for one in told} == {status}
    assert all(one["message"] for one in told)


AGAIN = """
patter = Patter(carrier="none")
patter.on("init", hear)
wait(2)
print(json.dumps(told))
"""


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Answer(401), "auth_error"),
        (Answer(403), "auth_error"),
        (Answer(404), "http_error"),
        (Answer(302, {"Location": "/elsewhere"}), "http_error"),
    ],
)
def test_init_says_again_that_the_collector_refuses_for_good(
    run: Run, receiver: Receiver, answer: Answer, status: str
) -> None:
    receiver.answer(answer)
    told = heard(run(BEGIN + AGAIN, catch_up=False))
    assert [one["status"] for one in told] == ["success", status]
    assert str(answer.status) in told[-1]["message"]


def test_default_config_says_what_is_in_force_and_where_it_came_from(
    run: Run, receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "work" / ".env").write_text("PATTER_TELEMETRY_SAMPLE=0.5\nPATTER_CARRIER=none\n")
    program = """
from getpatter.calls import Hub
patter = Patter(diagnostics=Hub(ring_events=7), stats_interval=5, apply_recommended=True)
patter.on("default_config", hear)
patter.on("default_config", hear)
wait(2)
print(json.dumps(told))
"""
    first, late = heard(run(BEGIN + program, PATTER_TELEMETRY_EXIT="spool"))
    assert first == late
    settings = {name: (one["value"], one["source"]) for name, one in first["settings"].items()}
    state = settings.pop("telemetry_state_directory")
    assert state[1] == "default"
    assert settings == {
        "carrier": ("none", "PATTER_CARRIER in .env"),
        "engine": (None, "default"),
        "diagnostics": (True, "code"),
        "per_second": (100, "default"),
        "ring_events": (7, "code"),
        "queue_events": (10_000, "default"),
        "stats_interval": (5, "code"),
        "stats_flush": (30.0, "default"),
        "apply_recommended": (True, "code"),
        "telemetry": (True, "default"),
        "telemetry_endpoint": (receiver.endpoint, "PATTER_TELEMETRY_ENDPOINT"),
        "telemetry_sample_rate": (0.5, "PATTER_TELEMETRY_SAMPLE in .env"),
        "telemetry_debug": (False, "default"),
        "telemetry_exit": ("spool", "PATTER_TELEMETRY_EXIT"),
        "telemetry_burst": (2_000, "default"),
        "telemetry_per_second": (100, "default"),
    }
    program = 'patter = Patter(carrier="none")\n' + program.partition("True)\n")[2]
    (told, _) = heard(run(BEGIN + program, DO_NOT_TRACK="1"))
    assert told["settings"]["telemetry"] == {"value": False, "source": "DO_NOT_TRACK"}
    assert not [name for name in told["settings"] if name.startswith("telemetry_")]


RECOMMENDED = """
patter = Patter(carrier="none", apply_recommended=APPLIED)
def found(one):
    hear({"rate": one.sample_rate, "without": one.without, "off": one.off,
          "ignored": one.ignored})
    if ASKED:
        assert one.apply()
    hear("done")
patter.on("recommended_config", found)
assert patter.telemetry.flush(60)
wait(2)
patter.agent(stt="deepgram/nova-2")
for number in range(20):
    with patter.call(direction="inbound") as call:
        call.turn()
assert patter.telemetry.flush(60)
print(json.dumps(told[:1] + [patter.telemetry.stats()["lost"]]))
"""


def recommend(run: Run, *, applied: bool = False, asked: bool = False) -> Any:
    program = RECOMMENDED.replace("APPLIED", str(applied)).replace("ASKED", str(asked))
    return heard(run(BEGIN + program, OPENAI_API_KEY="invented"))


LESS = {"sample_rate": 0.0, "without": ["feature_used", "nonsense"], "more": 1}


@pytest.mark.parametrize("way", ["applied", "asked"])
def test_a_recommendation_reduces_if_the_host_says_so(
    run: Run, receiver: Receiver, way: str
) -> None:
    receiver.recommended = LESS
    first, lost = recommend(run, **{way: True})
    assert first == {"rate": 0.0, "without": ["feature_used"], "off": False, "ignored": ["more"]}
    assert lost["feature_used"] == {"opted_out": 1}
    assert lost["call_started"] == lost["call_completed"] == {"sampled_out": 20}
    names = {event["event"] for event in receiver.events}
    assert names == {"first_run", "sdk_initialized", "agent_configured"}


def test_a_recommendation_changes_nothing_by_itself(run: Run, receiver: Receiver) -> None:
    receiver.recommended = LESS
    first, lost = recommend(run)
    assert first["rate"] == 0.0
    assert lost == {}
    names = [event["event"] for event in receiver.events]
    assert names.count("call_completed") == 20
    assert "feature_used" in names


def test_off_is_off_for_the_rest_of_the_run(run: Run, receiver: Receiver) -> None:
    receiver.recommended = {"off": True}
    first, lost = recommend(run, asked=True)
    assert first["off"] is True
    assert lost["call_completed"] == {"opted_out": 20}
    assert {event["event"] for event in receiver.events} == {"first_run", "sdk_initialized"}


def test_what_would_collect_more_is_no_recommendation(run: Run, receiver: Receiver) -> None:
    receiver.recommended = {"sample_rate": 1.0, "without": [], "off": False}
    program = """
patter = Patter(carrier="none", apply_recommended=True)
patter.on("recommended_config", hear)
assert patter.telemetry.flush(60)
patter.on("init", hear)
wait(1)
print(json.dumps(told + [{"rate": patter.telemetry.collects()[0]}]))
"""
    said, rate = heard(run(BEGIN + program, PATTER_TELEMETRY_SAMPLE="0.25"))
    assert said["status"] == "success"
    assert rate == {"rate": 0.25}


def test_a_lower_rate_stands_on_what_is_kept_and_a_higher_one_is_not_taken(
    run: Run, receiver: Receiver
) -> None:
    program = """
import os
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")
client.record("call_started", carrier="none")
assert client.flush(60)
client.reduce(sample_rate=0.999999999)
client.reduce(sample_rate=1.0)
client.record("call_started", carrier="none")
assert client.flush(60)
child = os.fork()
if not child:
    rate, events = client.collects()
    client.record("call_started", carrier="none")
    assert client.flush(60)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    done = run(program)
    assert done.returncode == 0, done.stderr
    rates = [event.get("sample_rate") for event in receiver.events]
    assert rates == [None, 0.999999999, 0.999999999]


@pytest.mark.parametrize("rate", ["0.5", "", float("nan"), -0.1, 2, True, [0.5]])
def test_a_rate_that_is_none_is_refused_and_the_rest_is_done(
    tmp_path: Path, receiver: Receiver, rate: Any
) -> None:
    client = make_client(tmp_path, receiver.endpoint)
    with closing(client):
        with pytest.raises(ValueError, match="must be a number between 0 and 1"):
            client.reduce(sample_rate=rate, without=["feature_used"])
        client.record("feature_used", carrier="none")
        client.record("cli_command", cli_command="demo")
        assert client.flush(60)
        assert client.collects()[0] == 1.0
        assert client.stats()["lost"] == {"feature_used": {"opted_out": 1}}
    assert [event["event"] for event in receiver.events] == ["cli_command"]


def test_who_is_off_collects_nothing_and_can_be_reduced() -> None:
    client = TelemetryClient(sdk_version="1", flag=False)
    client.reduce(sample_rate=0.1, without=["first_run"], off=True)
    assert client.collects() == (0.0, frozenset())
    assert Patter(carrier="none", telemetry=False).telemetry.collects() == (0.0, frozenset())
    assert "first_run" in _tables.EVENT_NAMES
