"""Whatever is recorded, from wherever: nothing is raised, nothing is lost uncounted, and what
leaves is valid.
"""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import client as make_client
from in_process import count

from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.events import ALLOWED_DIMENSIONS, DIMENSION_VALUES
from getpatter.telemetry.testing import Receiver

DIMENSIONS = sorted(set().union(*ALLOWED_DIMENSIONS.values()))


class Trap(BaseException):
    """What no catch-all of ours would swallow."""


def refuse(*_: object, **__: object) -> Any:
    raise Trap


class Hostile:
    """Every question to it is a trap: none may be asked."""

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = refuse
    __hash__ = __str__ = __repr__ = __bool__ = __float__ = __int__ = refuse
    __len__ = __iter__ = __index__ = __format__ = __reduce__ = refuse
    __getattr__ = refuse

    @property
    def __class__(self) -> Any:
        raise Trap

    @__class__.setter
    def __class__(self, _: object) -> None:
        raise Trap


class HostileText(str):
    __slots__ = ()
    __eq__ = __ne__ = __str__ = __repr__ = __bool__ = __len__ = refuse
    lower = strip = startswith = encode = refuse
    __iter__ = __getitem__ = __contains__ = __format__ = refuse

    def __hash__(self) -> int:
        raise Trap


class HostileNumber(int):
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = refuse
    __hash__ = __str__ = __repr__ = __bool__ = __float__ = __int__ = refuse
    __round__ = __index__ = __format__ = refuse


class HostileFloat(float):
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = refuse
    __hash__ = __str__ = __repr__ = __bool__ = __float__ = __int__ = refuse
    __round__ = __format__ = refuse


class Carrier(str, Enum):
    TWILIO = "twilio"


def _deep() -> list[object]:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


ODD: list[Callable[[], object]] = [
    Hostile,
    lambda: HostileText("twilio"),
    lambda: HostileNumber(3),
    lambda: HostileFloat(0.5),
    lambda: Carrier.TWILIO,
    lambda: float("nan"),
    lambda: float("inf"),
    lambda: -float("inf"),
    lambda: -0.0,
    lambda: 10**10_000,
    lambda: -(10**10_000),
    lambda: "\ud800",
    lambda: "twilio\n",
    lambda: "\u0661\u0662",
    lambda: "a" * 1_000_000,
    lambda: b"twilio",
    lambda: ["twilio"],
    lambda: {"a": []},
    lambda: {1, 2},
    lambda: object,
    lambda: refuse,
    lambda: 1j,
    _deep,
]


@dataclass(frozen=True)
class Odd:
    """Stands for one of `ODD` until it is recorded: hypothesis asks its values questions."""

    index: int


def real(value: Any) -> Any:
    return ODD[value.index]() if type(value) is Odd else value


@contextmanager
def delivering(directory: Path) -> Iterator[tuple[TelemetryClient, Receiver]]:
    with Receiver() as receiver, closing(make_client(directory, receiver.endpoint)) as client:
        yield client, receiver


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(max_size=8),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(sorted(set().union(*DIMENSION_VALUES.values()))),
    st.sampled_from(["a" * 32, "f" * 32 + "\n", "openai-gpt-4o", "acme-my-model", "1.2.3"]),
    st.sampled_from(range(len(ODD))).map(Odd),
)
names = st.one_of(
    st.sampled_from(sorted(ALLOWED_DIMENSIONS)),
    st.sampled_from(sorted(ALLOWED_DIMENSIONS)),
    st.text(max_size=20),
    values,
)
dimensions = st.dictionaries(
    st.one_of(st.sampled_from(DIMENSIONS), st.sampled_from(["event", "run_id", "os"]), st.text()),
    values,
    max_size=12,
)


def test_whatever_is_recorded_what_leaves_is_valid_and_the_rest_is_counted(tmp_path: Path) -> None:
    with delivering(tmp_path) as (client, receiver):
        recorded = 0

        @settings(
            max_examples=150,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(st.lists(st.tuples(names, dimensions), max_size=8))
        def check(records: list[tuple[Any, dict[str, Any]]]) -> None:
            nonlocal recorded
            known = sum(type(name) is str and name in ALLOWED_DIMENSIONS for name, _ in records)
            before = len(receiver.events)
            for name, given_dimensions in records:
                client.record(
                    real(name), **{key: real(value) for key, value in given_dimensions.items()}
                )
            recorded += len(records)
            assert client.flush(10)
            assert receiver.refused == []
            assert len(receiver.events) - before == known
            assert count(client.stats()) == recorded

        check()


@pytest.mark.parametrize("make", ODD)
def test_a_hostile_value_costs_its_dimension_and_nothing_else(
    tmp_path: Path, make: Callable[[], object]
) -> None:
    with delivering(tmp_path) as (client, receiver):
        client.record("agent_configured", builtin_tool_count=1)
        for dimension in DIMENSIONS:
            client.record("call_completed", **{dimension: make()})
        client.record(make(), carrier="twilio")  # type: ignore[arg-type]
        client.record("agent_configured", builtin_tool_count=2)
        assert client.flush(10)
        stats = client.stats()
    assert receiver.refused == []
    lost = stats["lost"]
    assert isinstance(lost, dict)
    assert lost["unknown"] == {"unknown_event": 1}
    assert "internal_error" not in json.dumps(lost)
    events = receiver.events
    assert events[0]["builtin_tool_count"] == 1
    assert events[-1]["builtin_tool_count"] == 2
    assert len(events) == len(DIMENSIONS) + 2


def test_a_hostile_name_of_a_dimension_costs_its_dimension(tmp_path: Path) -> None:
    with delivering(tmp_path) as (client, receiver):
        client.record("call_started", **{Carrier("twilio"): 1, "direction": "inbound"})
        client.record("call_started", **{"\ud800": 1, "direction": "inbound"})
        client.record("call_started", **{"x" * 1_000_000: 1, "direction": "inbound"})
        client.record("call_started", name=1, self=2, direction="inbound")
        assert client.flush(10)
        stats = client.stats()
    assert [event["direction"] for event in receiver.events] == ["inbound"] * 4
    assert stats["lost"] == {"call_started": {"bad_dimension": 5}}


def test_values_that_know_a_number_or_word_count_by_it(tmp_path: Path) -> None:
    with delivering(tmp_path) as (client, receiver):
        client.record("call_started", carrier=Carrier.TWILIO, direction=HostileText("inbound"))
        client.record("agent_configured", builtin_tool_count=HostileNumber(3))
        assert client.flush(10)
    assert receiver.events[0]["carrier"] == "twilio"
    assert receiver.events[0]["direction"] == "inbound"
    assert receiver.events[1]["builtin_tool_count"] == 3


def test_a_value_that_records_when_it_is_freed(tmp_path: Path) -> None:
    with delivering(tmp_path) as (client, receiver):

        class Records:
            def __init__(self, left: int) -> None:
                self.left = left
                self.me = self  # a cycle: freed by the collector, anywhere

            def __del__(self) -> None:
                client.record(TOLD, builtin_tool_count=self.left)
                if self.left:
                    client.record("call_started", carrier=Records(self.left - 1))

        client.record("call_started", carrier=Records(5))
        for _ in range(12):
            assert client.flush(10)
            gc.collect()
        assert client.flush(10)
        stats = client.stats()
    told = [event["builtin_tool_count"] for event in receiver.events if event["event"] == TOLD]
    assert sorted(told) == list(range(6))
    assert count(stats) == len(receiver.events) == 12
    assert stats["lost"] == {}


TOLD = "agent_configured"

STORM = """
import itertools, json, signal, sys, time
from getpatter.telemetry import TelemetryClient

sys.setswitchinterval(1e-5)
client = TelemetryClient(sdk_version="1")
# Handlers interrupt each other: adding one would lose some.
handling = itertools.count()

def handle(signum, frame):
    client.record("agent_configured", builtin_tool_count=next(handling) % 1_000)
    client.record("no_such_event")
    client.flush_pending()

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
recorded, end = 0, time.monotonic() + 1.5
while time.monotonic() < end:
    client.record("call_started", carrier="twilio", latency_ms=1)
    recorded += 1
    if recorded % 5_000 == 0:
        client.flush(1)
signal.setitimer(signal.ITIMER_REAL, 0)
handled = next(handling)
assert handled > 100, handled
assert client.flush(20)
print(json.dumps({"recorded": recorded + 2 * handled, "stats": client.stats()}))
"""


def test_a_storm_of_signals_that_record(run: Run, receiver: Receiver) -> None:
    done = run(STORM, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    stats = told["stats"]
    assert count(stats) == told["recorded"]
    assert stats["waiting"] == 0
    assert stats["delivered"] == len(receiver.events)
    assert receiver.refused == []
    assert set(stats["lost"].get("agent_configured", {})) <= {
        *("queue_full", "rate_limit", "spool_full")
    }


FIRST = """
import signal, sys, threading
from getpatter.telemetry import TelemetryClient
client = TelemetryClient(sdk_version="1")

def handle(signum, frame):
    client.record("cli_command", cli_command="demo")

signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
# The host starts threads of its own while our first records start ours.
for _ in range(200):
    thread = threading.Thread(target=threading.get_ident)
    thread.start()
    thread.join()
signal.setitimer(signal.ITIMER_REAL, 0)
assert client.flush(10)
"""


def test_a_first_record_in_a_handler_while_the_host_starts_threads(
    run: Run, receiver: Receiver
) -> None:
    assert run(FIRST).returncode == 0
    assert len(receiver.events) > 0


def test_records_of_many_threads_add_up(tmp_path: Path) -> None:
    import threading

    with delivering(tmp_path) as (client, receiver):

        def work() -> None:
            for _ in range(2_000):
                client.record("cli_command", cli_command="demo", nonsense=Hostile())

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush(20)
        assert count(client.stats()) == 16_000
        assert client.stats()["delivered"] == len(receiver.events)
        assert receiver.refused == []
