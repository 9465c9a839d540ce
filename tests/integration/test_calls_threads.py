"""The threads of call diagnostics go on, alone and within bounds, and leave nothing behind."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import freezegun
import pytest
from odd_sinks import LONG, Collected, Hangs, Raises, emit, of

from getpatter.calls import Callbacks, Hub, Service

if TYPE_CHECKING:
    from conftest import Run


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.close(LONG)


# who raises in them

TRACED = """
import sys, threading
from getpatter.calls import Callbacks, Hub, Service
HOW, left = sys.argv[1], int(sys.argv[2])
def trace(frame, event, arg):
    global left
    if left and threading.current_thread().name.startswith("getpatter"):
        left -= 1
        raise {"exit": SystemExit, "interrupt": KeyboardInterrupt, "error": ValueError}[HOW]
    return trace if HOW == "exit" else None
threading.excepthook = lambda args: None
threading.settrace(trace)
seen, heard = [], []
hub = Hub(lambda event: seen.append(event.data["number"]))
emitter = hub.emitter("x", hub.session())
callbacks = Callbacks()
callbacks.on("stats", heard.append)
class Nowhere:
    def emit(self, *_, **__):
        return True
service = Service(lambda call: Nowhere(), callbacks)
for number in range(5):
    emitter.emit("event", {"number": number})
    callbacks.dispatch("stats", number)
    service.event("room_started", f"call-{number}")
    assert hub.flush(60), "hub"
    assert callbacks.drain(60), "callbacks"
    assert service.flush(60), "service"
threading.settrace(None)
emitter.emit("event", {"number": 5})
assert hub.close(60)
lost = sum(hub.stats()["lost"].values())
lost += sum(sum(sink["lost"].values()) for sink in hub.stats()["sinks"].values())
assert len(seen) + lost == 6, (seen, hub.stats())
assert 5 in seen
counts = callbacks.counts()["stats"]
assert sum(counts.values()) == 5, counts
jobs = service.counts()
assert jobs["event"]["done"] + sum(jobs.get("job", {}).values()) >= 5, jobs
"""


@pytest.mark.parametrize("how", ["exit", "interrupt", "error"])
@pytest.mark.parametrize("times", [1, 7, 1_000_000])
def test_a_tracer_that_raises_in_our_threads_costs_only_what_they_had_in_hand(
    run: Run, how: str, times: int
) -> None:
    """Once, now and then, or in every thread that is started: then the caller does the work."""
    code = f"import sys\nsys.argv = ['', {how!r}, {times}]\n{TRACED}"
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")


# who hangs


def test_many_hosts_with_sinks_and_callbacks_that_hang_end_in_one_budget(run: Run) -> None:
    """Forty hosts would take forty half seconds, and the callbacks as much again."""
    done = run(
        """
import threading
from getpatter import Patter
from getpatter.calls import Hub, JsonLinesSink
never = threading.Event()
hub = Hub(JsonLinesSink("calls.jsonl"))
hosts = [Patter(carrier="none", telemetry=False) for _ in range(40)]
hosts.append(Patter(carrier="none", telemetry=False, diagnostics=hub))
for host in hosts:
    host.on("stats", lambda record: never.wait())
    host.diagnostics.attach(lambda event: never.wait())
    call = host.call(direction="inbound", session="mine")
    call.event("participant_active", "alice")
    hub.emitter("x", hub.session("mine")).emit("event", {})
""",
        timeout=15,
    )
    assert done.returncode == 0, done.stderr
    # Each that hangs has lost something, and the log says so; nothing else does.
    said = done.stderr.splitlines()
    assert len(said) == 41
    assert all(line.startswith("getpatter: callback sink: ") for line in said), said
    assert all("not delivered before the program ended" in line for line in said)


def test_a_sink_that_hangs_as_it_is_closed_holds_nobody_up(hub: Hub) -> None:
    class HangsAtTheEnd(Hangs):
        write = Collected.write

        def close(self) -> None:
            self.is_hanging.set()
            assert self.let_go.wait(LONG)
            super().close()

    bad, good = HangsAtTheEnd(), Collected()
    hub.attach(bad, "bad")
    hub.attach(good, "good")
    emit(hub)
    hub.close(0.1)
    assert bad.is_hanging.wait(LONG)
    assert good.is_closed.wait(LONG)
    bad.let_go.set()
    assert bad.is_closed.wait(LONG)


def test_what_waits_for_a_sink_that_hangs_is_counted_when_the_hub_is_closed(hub: Hub) -> None:
    bad = Hangs()
    hub.attach(bad, "bad")
    emitter = hub.emitter("x", hub.session())
    emitter.emit("event", {})
    assert bad.is_hanging.wait(LONG)
    for _ in range(5):
        emitter.emit("event", {})
    assert not hub.close(0.1)
    while of(hub, "bad")["lost"] != {"closed": 5}:
        threading.Event().wait(0.01)
    assert of(hub, "bad")["waiting"] == 1
    bad.let_go.set()
    assert bad.is_closed.wait(LONG)
    assert of(hub, "bad") == {"delivered": 1, "waiting": 0, "lost": {"closed": 5}}


def test_a_full_queue_refuses_and_counts_what_its_thread_is_too_busy_for() -> None:
    is_reading, let_go = threading.Event(), threading.Event()

    class Slow(Mapping[str, object]):
        def __getitem__(self, name: str) -> object:
            return name

        def __iter__(self) -> Iterator[str]:
            is_reading.set()
            assert let_go.wait(LONG)
            return iter("a")

        def __len__(self) -> int:
            return 1

    seen = Collected()
    hub = Hub(seen, queue_events=10)
    assert hub.flush(LONG)
    emitter = hub.emitter("x", hub.session())
    emitter.emit("event", {"nested": Slow()})
    assert is_reading.wait(LONG)
    answers = [emitter.try_emit("event", {}).status for _ in range(15)]
    assert answers == ["ok"] * 10 + ["queue_full"] * 5
    let_go.set()
    assert hub.close(LONG)
    assert sum(event.type == "event" for event in seen.events) == 11
    assert hub.stats()["lost"] == {"queue_full": 5}


# no thread, a clock that stands still, a handler in between


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_where_no_thread_can_be_had_a_flush_does_the_work(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def start(_: threading.Thread) -> None:
        raise error

    monkeypatch.setattr(threading.Thread, "start", start)
    seen, tried = Collected(), Raises(RuntimeError(), times=1)
    records: list[Any] = []
    told: list[str] = []
    hub = Hub(seen)
    hub.attach(tried, "tried")
    callbacks = Callbacks()
    callbacks.on("stats", records.append)

    class Publisher:
        def emit(self, event_type: str, *_: object, **__: object) -> bool:
            told.append(event_type)
            return True

    service = Service(lambda _: Publisher(), callbacks)
    emit(hub, 3)
    assert [e.data["number"] for e in seen.events if e.type == "event"] == [0, 1, 2]
    assert of(hub, "tried") == {"delivered": 2, "waiting": 0, "lost": {"sink_failed": 1}}
    service.event("room_started", "c")
    service.event("participant_active", "c", "p")
    service.event("room_ended", "c")
    assert service.flush(LONG)
    assert told == ["room_started", "participant_active", "participant_left", "room_ended"]
    assert len(records) == 1
    assert service.stop(LONG)
    assert hub.close(LONG)
    assert seen.is_closed.is_set()


def test_a_thread_that_could_not_be_started_is_tried_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError

    seen = Collected()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        hub.attach(seen)
        emitter = hub.emitter("x", hub.session())
        emitter.emit("event", {})
    before = threading.active_count()
    assert hub.flush(LONG)
    assert threading.active_count() > before
    assert len(seen.events) == 1


def test_ctrl_c_in_a_sink_on_the_callers_thread_reaches_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There it cannot be told from the user's own; the sink goes on afterwards."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError

    monkeypatch.setattr(threading.Thread, "start", start)
    hub = Hub()
    hub.attach(Raises(KeyboardInterrupt(), times=1), "sink")
    emitter = hub.emitter("x", hub.session())
    emitter.emit("event", {})
    with pytest.raises(KeyboardInterrupt):
        hub.flush(LONG)
    emitter.emit("event", {})
    assert hub.flush(LONG)
    assert of(hub, "sink") == {"delivered": 1, "waiting": 0, "lost": {"sink_failed": 1}}


def test_a_wait_ends_although_the_clock_stands_still() -> None:
    slow = Hangs()
    callbacks = Callbacks()
    callbacks.on("stats", lambda _: slow.let_go.wait(LONG))
    with freezegun.freeze_time("2026-11-01"):
        hub = Hub(slow)
        emitter = hub.emitter("x", hub.session())
        assert emitter.emit("event", {})
        assert slow.is_hanging.wait(LONG)
        callbacks.dispatch("stats", {})
        assert not hub.flush(0.2)
        assert not callbacks.drain(0.2)
        assert not hub.close(0.2)
    slow.let_go.set()
    assert callbacks.drain(LONG)


def test_the_rate_limit_goes_on_although_the_clock_stands_still() -> None:
    with freezegun.freeze_time("2026-11-01"):
        emitter = Hub().emitter("x", Hub().session(), per_second=1)
        assert emitter.emit("event", {})
        while not emitter.emit("event", {}):
            threading.Event().wait(0.01)


def test_a_signal_handler_may_do_whatever_it_interrupts() -> None:
    sink = Collected()
    hub = Hub(sink, per_second=1_000_000)
    callbacks = Callbacks()
    heard: list[object] = []
    callbacks.on("stats", heard.append)
    emitter = hub.emitter("x", hub.session("mine"))
    handled = 0

    def act() -> None:
        emitter.emit("event", {})
        hub.emitter("y", hub.session("mine"), per_second=0).emit("event", {})
        callbacks.dispatch("stats", {})
        hub.stats()
        callbacks.counts()
        hub.flush(0.0)
        callbacks.drain(0.0)

    def handle(*_: object) -> None:
        nonlocal handled
        handled += 1
        act()
        callbacks.on("precall_test", heard.append, call=f"call-{handled}")

    before = signal.signal(signal.SIGALRM, handle)
    acted = 0
    try:
        while handled < 200:
            # Once in each round, at another moment of it.
            signal.setitimer(signal.ITIMER_REAL, 0.000_01 + acted % 50 * 0.000_02)
            act()
            acted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert hub.flush(LONG)
    assert callbacks.drain(LONG)
    stats: Any = hub.stats()
    counts = callbacks.counts()["stats"]
    assert stats["lost"]["rate_limit"] == acted + handled
    assert sum(counts.values()) == acted + handled
    assert hub.close(LONG)
    assert sum(event.type == "event" for event in sink.events) == acted + handled


def test_a_signal_handler_may_close_what_it_interrupts() -> None:
    for _ in range(20):
        sink = Collected()
        hub = Hub(sink, per_second=1_000_000)
        emitter = hub.emitter("x", hub.session())
        answers: list[bool] = []

        def handle(*_: object, hub: Hub = hub, answers: list[bool] = answers) -> None:
            answers.append(hub.close(LONG))

        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.002)
        taken = 0
        try:
            while not answers:
                taken += emitter.emit("event", {})
                hub.stats()
                hub.flush(0.001)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert sink.is_closed.wait(LONG)
        delivered = sum(event.type == "event" for event in sink.events)
        assert (answers, delivered) == ([True], taken)


# what is left behind


def test_hosts_that_come_and_go_leave_no_hooks_and_no_threads(run: Run) -> None:
    done = run(
        """
import atexit, gc, os, threading
from getpatter import Patter
forks, exits = [], []
at_fork, at_exit, not_at_exit = os.register_at_fork, atexit.register, atexit.unregister
os.register_at_fork = lambda **hooks: (forks.append(hooks), at_fork(**hooks))
def register(hook, *arguments, **named):
    exits.append(hook)
    return at_exit(hook, *arguments, **named)
def unregister(hook):
    exits[:] = [other for other in exits if other != hook]
    not_at_exit(hook)
atexit.register, atexit.unregister = register, unregister
def use():
    phone = Patter(carrier="none", telemetry=False)
    phone.diagnostics.attach(lambda event: None)
    phone.on("stats", print)
    with phone.call(direction="inbound") as call:
        call.turn()
    assert phone.diagnostics.close(60)
use()
gc.collect()
before = len(exits), len(forks)
for _ in range(20):
    use()
gc.collect()
assert (len(exits), len(forks)) == before, (exits, forks)
for thread in threading.enumerate():
    if thread.name.startswith("getpatter-sink") or thread.name == "getpatter-calls":
        thread.join(60)
        assert not thread.is_alive(), thread
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_exit_hooks_between_two_hosts_emit_still_arrives(run: Run, tmp_path: Any) -> None:
    done = run(
        """
import atexit
from getpatter import Patter
from getpatter.calls import JsonLinesSink
first = Patter(carrier="none", telemetry=False)
first.diagnostics.attach(JsonLinesSink("calls.jsonl"))
session = first.diagnostics.session("mine")
atexit.register(lambda: first.diagnostics.emitter("x", session).emit("last", {}))
second = Patter(carrier="none", telemetry=False)
"""
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert '"last"' in (tmp_path / "work" / "calls.jsonl").read_text()


def test_in_a_forked_child_the_exit_has_a_budget_of_its_own(run: Run, tmp_path: Any) -> None:
    done = run(
        """
import os, sys, threading
from getpatter.calls import Hub, JsonLinesSink
never = threading.Event()
hub = Hub(JsonLinesSink("calls.jsonl"))
hung = Hub(lambda event: never.wait())
hung.emitter("x", hung.session()).emit("parent", {})
child = os.fork()
hub.emitter("x", hub.session()).emit("child" if child == 0 else "parent", {})
if child:
    assert os.waitpid(child, 0)[1] == 0
sys.exit(0)
"""
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "work" / "calls.jsonl").read_text()
    assert (text.count('"child"'), text.count('"parent"')) == (1, 1)


def test_a_hub_that_is_gone_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    other = Hub(Collected(), Collected())
    emit(other)
    threads = set(threading.enumerate()) - before
    assert len(threads) == 3
    del other
    gc.collect()
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()


STUCK = """
import fcntl, logging, os, sys
from getpatter.calls import Hub
read, write = os.pipe()
os.set_blocking(write, False)
try:
    while True:
        os.write(write, b"x" * 4096)
except BlockingIOError:
    pass
os.set_blocking(write, True)
os.dup2(write, 2)
if sys.argv[1] == "configured":
    logging.basicConfig()
if sys.argv[1] == "own":
    logging.getLogger("getpatter").addHandler(logging.StreamHandler(os.fdopen(os.dup(2), "w")))
failed = []
def fail(event):
    raise ValueError("x" * 10_000)
hub = Hub(fail)
hub.on_failure = lambda sink, message: failed.append(sink)
hub.emitter("x", hub.session()).emit("event", {})
assert hub.flush(60)
if failed != ["callback"]:
    os._exit(3)
"""


@pytest.mark.parametrize("how", ["not configured", "configured", "own"])
def test_a_program_ends_although_a_sink_fails_and_nobody_reads_its_stderr(
    run: Run, how: str
) -> None:
    done = run(f"import sys\nsys.argv = ['', {how!r}]\n{STUCK}", timeout=30)
    assert done.returncode == 0


def test_a_failure_is_logged_where_the_log_takes_it(run: Run) -> None:
    done = run(
        """
from getpatter.calls import Hub
def fail(event):
    raise ValueError("x" * 10_000)
hub = Hub(fail)
hub.emitter("x", hub.session()).emit("event", {})
assert hub.flush(60)
"""
    )
    assert done.returncode == 0
    assert done.stderr.startswith("getpatter: callback sink: ValueError: ")
    assert "; its events are dropped until it works again" in done.stderr
    assert len(done.stderr) <= 501
