"""The service with its real thread: nothing waits, nothing raises, nothing is lost uncounted."""

from __future__ import annotations

import gc
import inspect
import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from getpatter.calls.callbacks.subscriptions import Callbacks
from getpatter.calls.stats.null_service import NullService
from getpatter.calls.stats.service import Service

SCHEMAS = Path(__file__).parents[2] / "schemas" / "diagnostics" / "v1"
PATIENCE = 60.0


class Log:
    """Takes the events of all calls; a gate that is shut holds up whoever brings one."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, Any]] = []
        self.takes = True
        self.gate = threading.Event()
        self.gate.set()
        self.is_waiting = threading.Event()

    def publisher(self, call: str) -> Emitter:
        return Emitter(self, call)

    def kinds(self, call: str | None = None) -> list[str]:
        return [kind for name, kind, _ in self.events if call in (None, name)]


class Emitter:
    def __init__(self, log: Log, call: str) -> None:
        self.log = log
        self.call = call

    def emit(
        self,
        event_type: str,
        data: object,
        *,
        correlation_id: str | None = None,
        turn_id: str | None = None,
    ) -> bool:
        assert (correlation_id, turn_id) == (None, None)
        self.log.is_waiting.set()
        assert self.log.gate.wait(PATIENCE)
        self.log.events.append((self.call, event_type, data))
        return self.log.takes


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def callbacks() -> Callbacks:
    return Callbacks()


@pytest.fixture
def service(log: Log, clock: Clock, callbacks: Callbacks) -> Iterator[Service]:
    made = Service(log.publisher, callbacks, clock=clock)
    yield made
    log.gate.set()
    assert made.stop(PATIENCE)


def counts(service: Service, what: str) -> dict[str, int]:
    found = service.counts().get(what, {})
    assert isinstance(found, dict)
    return found


def sample(**values: object) -> dict[str, object]:
    return {"track": "t", "direction": "up", **values}


def test_the_story_of_a_call_in_order_and_as_the_schemas_say(service: Service, log: Log) -> None:
    service.event("room_started", "c")
    service.event("participant_joined", "c", "p", {"owner": "media"})
    service.event("participant_active", "c", "p", {"owner": "media"})
    service.event("track_published", "c", "p", {"track": "t"}, notify=False)
    assert service.sample("c", "p", sample(packets=10, bytes=100, rtt=5, score=4))
    service.event("participant_left", "c", "p", {"owner": "media", "reason": "hangup"})
    service.event("room_ended", "c")
    assert service.flush(PATIENCE)
    assert log.kinds() == [
        "room_started",
        "participant_joined",
        "participant_active",
        "track_published",
        "participant_stats",
        "participant_left",
        "room_ended",
    ]
    schema = {
        name: Draft202012Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text()))
        for name in ("vocabulary", "participant_stats")
    }
    for _, kind, data in log.events:
        if kind == "participant_stats":
            schema[kind].validate(data)
        else:
            schema["vocabulary"].validate({"type": kind, "data": data})


def test_records_are_as_the_schema_says(
    service: Service, callbacks: Callbacks, clock: Clock
) -> None:
    records: list[Any] = []
    callbacks.on("stats", records.append)
    service.event("room_started", "c", "", {"conference_url": "https://example.com/c"})
    service.event("participant_active", "c", "p")
    for number in range(5):
        clock.now += 2.5
        service.sample("c", "p", sample(packets=number, bytes=99 * number, cname="n", jitter=1))
        assert service.flush(PATIENCE)
    service.event("participant_left", "c", "p")
    assert service.flush(PATIENCE)
    validator = Draft202012Validator(json.loads((SCHEMAS / "stats_record.schema.json").read_text()))
    assert [record["interval_ms"] for record in records] == [10_000, 2_500]
    for record in records:
        validator.validate(record)
        assert record["tracks"][0]["cname"] == "n"


def test_three_owners_that_each_say_the_end_twice_complete_a_call_once(log: Log) -> None:
    service = Service(log.publisher, Callbacks())
    owners = ["media", "signalling", "status_webhook"]
    for call in range(50):
        for owner in owners:
            service.event("participant_active", f"{call}", "p", {"owner": owner})
    assert service.flush(PATIENCE)

    def end(owner: str) -> None:
        order = [*range(50), *range(50)]
        random.shuffle(order)
        for call in order:
            assert service.event("participant_left", f"{call}", "p", {"owner": owner})

    threads = [threading.Thread(target=end, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert service.stop(PATIENCE)
    ended = [call for call, kind, _ in log.events if kind == "participant_left"]
    assert sorted(ended) == sorted(f"{call}" for call in range(50))


def test_what_is_refused_names_the_call_and_is_counted_and_told(
    service: Service, callbacks: Callbacks
) -> None:
    told: list[Any] = []
    mine: list[Any] = []
    callbacks.on("error", told.append)
    callbacks.on("error", mine.append, call="call-1")
    callbacks.on("error", told.append, call="call-2")
    answers = [
        service.sample("call-1", "p", sample(direction="sideways")),
        service.sample("call-1", "p", sample(at=float("nan"))),
        service.sample("call-1", "p", 5),  # type: ignore[arg-type]
        service.event("participant_sneezed", "call-1", "p"),
        service.event("room_ended", "call-1", "", {"colour": 1}),
        service.event("room_ended", "call-1", "", 7),  # type: ignore[arg-type]
        service.set_stats_interval(0.5, "call-1"),
        service.set_stats_interval(float("nan"), "call-1"),
        service.connection("call-1", "p", connection_state="maybe"),
    ]
    statuses = [answer.status for answer in answers]
    assert statuses == [
        *["refused_sample"] * 3,
        "unknown_kind",
        "unknown_field",
        "refused_event",
        "refused_interval",
        "refused_interval",
        "refused_state",
    ]
    assert all("call-1" in answer.message for answer in answers if "must be" not in answer.message)
    # This one can only be seen later.
    assert service.sample("call-1", "nobody", sample(packets=1))
    assert service.flush(PATIENCE)
    assert [error["code"] for error in told] == [*statuses, "unknown_participant"]
    assert mine == told
    assert counts(service, "sample") == {
        "refused_sample": 3,
        "unknown_participant": 1,
        "taken": 1,
        "done": 0,
    }


class HostileText(str):
    """An id that raises whatever it is asked."""

    __slots__ = ()

    def __repr__(self) -> str:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError


class Hostile:
    """Raises whatever it is asked."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError


def test_nothing_that_is_given_raises(service: Service, callbacks: Callbacks) -> None:
    bad: Any = Hostile()
    told: list[Any] = []
    for _ in range(2):  # the second needs a copy of what it is told
        callbacks.on("error", told.append)
    assert not service.event(bad, bad, bad, bad)
    assert not service.event("room_started", bad)
    assert not service.event("room_started", "c", "", {"metadata": bad})
    assert not service.sample(bad, bad, bad)
    assert not service.sample(bad, "p", sample())
    assert service.sample("c", "p", sample(packets=bad))
    assert not service.sample("c", "p", sample(track=bad))
    assert not service.connection("c", "p", connection_state=bad)
    assert not service.connection(bad, "p")
    assert not service.set_stats_interval(bad)
    assert not service.set_stats_interval(5, bad)
    name = HostileText("call-1")
    service.connection(name, "p")
    service.set_stats_interval(5, name)
    service.sample(name, "p", sample(packets=1))
    service.sample("c", "p", {**sample(), "track": name})
    service.event("participant_active", name, name, {"owner": name})
    service.error("code", "layer", "message", name)
    service.error(bad, bad, bad, None)
    assert service.event("room_started", "c")
    assert service.flush(PATIENCE)
    assert counts(service, "event")["done"] == 1
    assert len(told) >= 18


def fill(service: Service, log: Log) -> int:
    """Hold the service's thread up and leave events until one is refused; how many were not."""
    log.gate.clear()
    service.event("room_started", "first")
    assert log.is_waiting.wait(PATIENCE)
    number = 0
    while service.event("report", "", "", {"name": f"{number}"}):
        number += 1
    return number


def test_the_queue_is_bounded_and_what_is_too_much_is_counted(service: Service, log: Log) -> None:
    assert fill(service, log) == 2_048
    answer = service.event("report", "call-1", "", {"name": "one too many"})
    assert answer.status == "queue_full"
    assert "call-1" in answer.message
    assert service.sample("c", "p", sample(packets=1)).status == "queue_full"
    assert counts(service, "event")["queue_full"] == 2
    assert counts(service, "sample")["queue_full"] == 1
    log.gate.set()
    assert service.flush(PATIENCE)
    names = [data["name"] for _, kind, data in log.events if kind == "report"]
    assert names == [f"{number}" for number in range(2_048)]
    assert service.event("report", "", "", {"name": "again"})


def test_an_ending_is_taken_by_a_full_queue(service: Service, log: Log) -> None:
    service.event("participant_active", "c", "p")
    assert service.flush(PATIENCE)
    fill(service, log)
    assert service.event("participant_left", "c", "p")
    assert service.event("room_ended", "first")
    log.gate.set()
    assert service.flush(PATIENCE)
    assert log.kinds()[-2:] == ["participant_left", "room_ended"]


def test_what_comes_after_stop_is_refused_and_counted(service: Service, log: Log) -> None:
    service.event("participant_active", "c", "p")
    service.sample("c", "p", sample(packets=1))
    assert service.stop(PATIENCE)
    assert log.kinds() == ["participant_active", "participant_stats"]
    assert service.event("room_ended", "c").status == "stopped"
    assert service.sample("c", "p", sample(packets=2)).status == "stopped"
    assert service.connection("c", "p").status == "stopped"
    assert not service.flush(0)
    assert service.stop(PATIENCE)
    assert counts(service, "event")["stopped"] == 1
    assert counts(service, "sample")["stopped"] == 1
    assert counts(service, "connection")["stopped"] == 1


def test_a_service_that_did_nothing_has_no_thread() -> None:
    before = threading.active_count()
    service = Service(Log().publisher, Callbacks())
    assert threading.active_count() == before
    assert service.stop(0)


def test_events_that_the_publisher_did_not_take_are_counted(service: Service, log: Log) -> None:
    log.takes = False
    service.event("room_started", "c")
    service.event("room_ended", "c")
    assert service.flush(PATIENCE)
    assert counts(service, "told") == {"not_published": 2}


def test_a_publisher_that_raises_is_counted_and_stops_nothing(log: Log) -> None:
    def publisher(call: str) -> Emitter:
        if call == "bad":
            raise RuntimeError
        return Emitter(log, call)

    service = Service(publisher, Callbacks())
    for call in ("bad", "good"):
        service.event("participant_joined", call, "p")
        service.event("participant_left", call, "p")
    assert service.stop(PATIENCE)
    assert log.kinds() == ["participant_joined", "connection_aborted"]
    assert counts(service, "told") == {"internal_error": 2, "taken": 2}


def test_a_publisher_may_flush_without_waiting_for_itself(log: Log) -> None:
    flushed: list[bool] = []

    class Flushing(Emitter):
        def emit(self, event_type: str, data: object, **ids: str | None) -> bool:
            if event_type == "participant_left":
                flushed.append(made.flush(PATIENCE))
            return super().emit(event_type, data, **ids)

    made = Service(lambda call: Flushing(log, call), Callbacks())
    made.event("participant_active", "c", "p")
    made.event("participant_active", "c", "q")
    made.sample("c", "q", sample(packets=1))
    made.event("participant_left", "c", "p")
    assert made.stop(PATIENCE)
    assert flushed == [True]
    assert log.kinds()[-2:] == ["participant_stats", "participant_left"]


def test_every_sample_of_many_threads_is_accounted_for(log: Log) -> None:
    """Valid and not, known and not, up to and past the end of the service."""
    service = Service(log.publisher, Callbacks())
    for number in range(4):
        service.event("participant_active", "c", f"p{number}")
    given: Counter[str] = Counter()
    half = threading.Barrier(5)
    lock = threading.Lock()

    def measure(number: int) -> None:
        mine: Counter[str] = Counter()
        for count in range(3_000):
            if count == 1_500:
                half.wait(PATIENCE)
            who = f"p{number}" if count % 10 else "nobody"
            value = count if count % 7 else -1
            mine[service.sample("c", who, sample(packets=value)).status] += 1
        with lock:
            given.update(mine)

    threads = [threading.Thread(target=measure, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    half.wait(PATIENCE)
    service.flush(PATIENCE)
    service.stop(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    found = counts(service, "sample")
    assert sum(given.values()) == 12_000
    assert found["taken"] == given["ok"]
    assert found["taken"] == found["done"] + found.get("unknown_participant", 0)
    for status in given.keys() - {"ok"}:
        assert found[status] == given[status]
    told = sum(
        stream["samples"]
        for _, kind, data in log.events
        if kind == "participant_stats"
        for stream in data["streams"]
    )
    assert told == found["done"]


def come_and_go(service: Service, callbacks: Callbacks, clock: Clock, calls: range) -> None:
    for number in calls:
        call = f"call {number}"
        if number % 20 == 0:  # each is a thread, for a moment
            callbacks.on("stats", lambda _: None, call=call)
        assert service.event("room_started", call)
        for participant in ("a", "b", "c"):
            assert service.event("participant_active", call, participant)
            for track in ("up", "down"):
                assert service.sample(
                    call, participant, {"track": track, "direction": track, "packets": 1}
                )
        for participant in ("a", "b"):  # the third is left to the end of the room
            assert service.event("participant_left", call, participant)
        assert service.event("room_ended", call)
        clock.now += 0.1
        if number % 100 == 0:
            assert service.flush(PATIENCE)
    clock.now += 200
    assert service.flush(PATIENCE)


def left_over() -> tuple[int, int]:
    """How many objects and blocks of memory there are, once no callback runs any more."""
    for thread in threading.enumerate():
        if thread.name.startswith("getpatter-callback"):
            thread.join(PATIENCE)
    gc.collect()
    return len(gc.get_objects()), sys.getallocatedblocks()


def test_ten_thousand_calls_that_come_and_go_leave_nothing_behind(clock: Clock) -> None:
    class Silent(Log):
        def publisher(self, call: str) -> Emitter:
            self.events.clear()
            return super().publisher(call)

    log, callbacks = Silent(), Callbacks()
    service = Service(log.publisher, callbacks, clock=clock)
    come_and_go(service, callbacks, clock, range(2_000))
    before = left_over()
    come_and_go(service, callbacks, clock, range(2_000, 10_000))
    objects, blocks = left_over()
    assert service.counts()["kept"] == 0
    assert service.counts()["waiting"] == 0
    # 8,000 calls of three participants: even one object of each would be far more.
    assert objects - before[0] < 2_000
    assert blocks - before[1] < 4_000
    assert counts(service, "sample")["done"] == 60_000
    emitted = 10_000 * (1 + 3 + 3 + 3 + 1)  # rooms, joins, stats, ends, rooms
    assert counts(service, "told") == {"taken": emitted}
    assert not callbacks.wants("stats", "call 1")
    assert service.stop(PATIENCE)


def public(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(method)
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_the_null_service_has_the_same_interface() -> None:
    assert public(NullService) == public(Service)


def test_the_null_service_takes_everything_and_does_nothing() -> None:
    service = NullService()
    before = threading.active_count()
    assert service.event("participant_joined", "c", "p")
    assert service.sample("c", "p", {"packets": -1})
    assert service.connection("c", "p")
    assert service.set_stats_interval(5)
    service.error("code", "layer", "message")
    assert service.flush()
    assert service.stop()
    assert service.counts()["kept"] == 0
    assert threading.active_count() == before


PROGRAM = """
import gc, os, sys, threading, warnings
from getpatter.calls.callbacks.subscriptions import Callbacks
from getpatter.calls.stats.service import Service

class Emitter:
    def __init__(self, call):
        self.call = call
    def emit(self, event_type, data, **_):
        os.write(1, f"{os.getpid() == PARENT} {self.call} {event_type}\\n".encode())
        return True

PARENT = os.getpid()
callbacks = Callbacks()
service = Service(Emitter, callbacks)
"""

Run = Callable[..., Any]


def test_a_program_that_ends_without_a_word_has_told_everything(run: Run) -> None:
    done = run(
        PROGRAM
        + """
service.event("participant_active", "c", "p")
assert service.flush(30)
service.sample("c", "p", {"track": "t", "direction": "up", "packets": 1})
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["True c participant_active", "True c participant_stats"]


def test_records_of_an_ending_program_are_delivered_or_counted(run: Run) -> None:
    """Some versions of Python have no thread for a callback then."""
    done = run(
        """
import atexit
atexit.register(lambda: print(callbacks.counts()["stats"]))  # runs last
"""
        + PROGRAM
        + """
atexit.register(service.stop, 30)  # runs first: the service's own has less patience than a test
callbacks.on("stats", lambda record: None)
service.event("participant_active", "c", "p")
service.event("participant_left", "c", "p")
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] in ("{'called': 1}", "{'lost': 1}")


WATCHED = """
service.event("participant_active", "c", "p")
assert service.flush(30)
seen, is_watching, main = [], False, threading.get_ident()

def watch(event, args):
    if is_watching and threading.get_ident() == main:
        seen.append(event)

sys.addaudithook(watch)
modules = set(sys.modules)
is_watching = True
for number in range(5_000):
    service.sample("c", "p", {"track": "t", "direction": "up", "packets": number, "rtt": 5})
    service.sample("c", "p", {"track": "t", "direction": "up", "packets": -1})
    service.event("track_muted", "c", "p", {"track": "t"})
    service.event("participant_sneezed", "c", "p")
is_watching = False
assert not seen, set(seen)
assert set(sys.modules) == modules
open(os.devnull).close()
is_watching = True
open(os.devnull).close()
is_watching = False
assert seen
"""


def test_leaving_samples_and_events_touches_memory_only(run: Run) -> None:
    done = run(PROGRAM + WATCHED)
    assert done.returncode == 0, done.stderr


def test_a_fork_child_begins_with_nothing_and_works(run: Run) -> None:
    done = run(
        PROGRAM
        + """
warnings.simplefilter("ignore")  # that a program with threads forks
def heard(record):
    os.write(1, f"{os.getpid() == PARENT} {record['call']} stats\\n".encode())
callbacks.on("stats", heard)
service.event("participant_active", "parent", "p")
service.sample("parent", "p", {"track": "t", "direction": "up", "packets": 1})
child = os.fork()
if child == 0:
    assert service.counts()["kept"] == 0
    service.event("participant_active", "child", "p")
    service.event("participant_left", "child", "p")
    assert service.stop(30)
    os._exit(0)
os.waitpid(child, 0)
service.event("participant_left", "parent", "p")
assert service.stop(30)
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == [
        "False child participant_active",
        "False child participant_left",
        "False child stats",
        "True parent participant_active",
        "True parent participant_left",
        "True parent participant_stats",
        "True parent stats",
    ]


def test_finalisers_that_interrupt_the_service_do_not_stop_it(run: Run) -> None:
    """A forgotten call ends in the collector's hands, at any step of any thread."""
    done = run(
        PROGRAM
        + """
service.event("participant_active", "c", "p")
gone = []
class Forgotten:
    def __init__(self):
        self.me = self
    def __del__(self):
        service.sample("c", "p", {"track": "t", "direction": "up", "packets": 1})
        service.event("report", "c", "", {"name": "x"})
        service.sample("c", "p", {"packets": -1})
        gone.append(None)
gc.set_threshold(1)
for number in range(3_000):
    Forgotten()
    service.sample("c", "p", {"track": "t", "direction": "up", "packets": number})
gc.set_threshold(700)
while len(gone) < 3_000:  # another thread may be in the middle of collecting: then this returns
    gc.collect()
    os.sched_yield()
assert service.stop(60)
sample = service.counts()["sample"]
assert sample["taken"] + sample.get("queue_full", 0) == 6_000, sample
# One that is overtaken between its look at the clock and its place in the queue is too old.
assert sample["taken"] == sample["done"] + sample.get("older_than_the_last", 0), sample
assert sample["refused_sample"] == 3_000, sample
event = service.counts()["event"]
assert event["taken"] + event.get("queue_full", 0) == 3_001, event
assert event["taken"] == event["done"], event
""",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
