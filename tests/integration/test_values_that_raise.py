"""Values of the host that raise what is no `Exception`: that is no error of the program's, whoever
looks at them. Ctrl-C is the person at the keyboard, and passes.
"""

import asyncio
import json
import numbers
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from in_process import client
from own_threads import NO_THREADS

from getpatter import Patter
from getpatter.telemetry.call_metrics import record_call_completed, record_call_started
from getpatter.telemetry.testing import Receiver

ERRORS = (SystemExit, GeneratorExit, asyncio.CancelledError, BaseException)


class Number:
    """A number, as far as `numbers` knows, that cannot be told."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def __float__(self) -> float:
        raise self._error

    __int__ = __index__ = __str__ = __len__ = __float__  # type: ignore[assignment]


numbers.Real.register(Number)


class Metrics:
    """What the host knows of a call; asking for it fails."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


@pytest.mark.parametrize("error", ERRORS)
def test_such_a_number_costs_its_dimension(
    tmp_path: Path, receiver: Receiver, error: type[BaseException]
) -> None:
    made = client(tmp_path, receiver.endpoint)
    made.record("call_completed", outcome="completed", cost_usd=Number(error))
    assert made.flush(30)
    assert [event["outcome"] for event in receiver.events] == ["completed"]
    assert made.stats()["lost"] == {"call_completed": {"bad_dimension": 1}}
    made.close(30)


WAYS: dict[str, Callable[[Any, type[BaseException]], object]] = {
    "metrics": lambda made, error: record_call_completed(
        made, outcome="completed", metrics=Metrics(error)
    ),
    "turns": lambda made, error: record_call_completed(
        made, outcome="completed", metrics=type("Turns", (), {"turns": Number(error)})()
    ),
    "latency": lambda made, error: record_call_completed(
        made,
        outcome="completed",
        metrics=type("P95", (), {"latency_p95": type("", (), {"stt_ms": Number(error)})()})(),
    ),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("way", WAYS)
def test_what_the_host_knows_of_a_call_and_fails_to_tell_costs_no_event(
    tmp_path: Path, receiver: Receiver, way: str, error: type[BaseException]
) -> None:
    made = client(tmp_path, receiver.endpoint)
    record_call_started(made)
    WAYS[way](made, error)
    assert made.flush(30)
    assert [event["event"] for event in receiver.events] == ["call_started", "call_completed"]
    made.close(30)


class Recorder:
    """A recorder that fails."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def record(self, _name: str, /, **_dimensions: object) -> None:
        raise self._error


@pytest.mark.parametrize("error", ERRORS)
def test_a_recorder_that_fails_is_no_error_of_the_calls(error: type[BaseException]) -> None:
    record_call_started(Recorder(error))
    record_call_completed(Recorder(error), outcome="completed")


def test_ctrl_c_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        record_call_started(Recorder(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        record_call_completed(None or Recorder(KeyboardInterrupt), outcome="completed")


@pytest.mark.parametrize("error", ERRORS)
def test_a_call_takes_such_values(error: type[BaseException]) -> None:
    phone = Patter(carrier="none", telemetry=False)
    with phone.call(direction="inbound") as call:
        call.cost(Number(error))  # type: ignore[arg-type]
        call.observe("stt", Number(error))  # type: ignore[arg-type]


HERE = (
    NO_THREADS
    + """
import json, numbers, os, signal
import requests
from getpatter.telemetry import TelemetryClient
class Number:
    def __float__(self):
        WHAT
numbers.Real.register(Number)
client = TelemetryClient(sdk_version="1")
client.record("agent_configured", builtin_tool_count=1)
client.record("call_completed", cost_usd=Number())
client.record("agent_configured", builtin_tool_count=2)
try:
    client.flush(30)
except KeyboardInterrupt:
    print("interrupted")
client.flush(30)
print(json.dumps(client.stats()["lost"]))
"""
)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raise SystemExit", []),
        ("raise GeneratorExit", []),
        pytest.param(
            "os.kill(os.getpid(), signal.SIGINT)",
            ["interrupted"],
            marks=pytest.mark.internal_error,
        ),
        pytest.param("raise KeyboardInterrupt", ["interrupted"], marks=pytest.mark.internal_error),
    ],
)
def test_a_flush_that_works_on_the_callers_thread_is_ended_by_ctrl_c_alone(
    run: Run, receiver: Receiver, what: str, said: list[str]
) -> None:
    """Whatever comes in the middle of an event costs at most that one, and it is counted."""
    done = run(HERE.replace("WHAT", what))
    assert done.returncode == 0, done.stderr
    *lines, lost = done.stdout.splitlines()
    assert lines == said
    counts = [event.get("builtin_tool_count") for event in receiver.events]
    assert [count for count in counts if count is not None] == [1, 2]
    gone = sum(sum(reasons.values()) for reasons in json.loads(lost).values())
    assert len(counts) + gone >= 3
