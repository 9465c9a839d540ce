"""Statistics through `Patter` and `Call`: who listens, what they are told, and how a call ends."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from getpatter import Patter
from getpatter.calls import Event, Hub, NullHub, Redaction, UserAction
from getpatter.calls.callbacks.subscriptions import NAMES
from getpatter.telemetry.testing import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Run

LONG = 60.0
LEFT = ("participant_left", "connection_aborted")


class Seen:
    """A callback that keeps what it is given, and can be waited for."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._changed = threading.Condition()

    def __call__(self, payload: Any) -> None:
        with self._changed:
            self.all.append(payload)
            self._changed.notify_all()

    def first(self, is_it: Callable[[Any], bool] = bool) -> Any:
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(is_it, self.all)), LONG), self.all
            return next(filter(is_it, self.all))


def make(**options: Any) -> Patter:
    return Patter(carrier="none", telemetry=False, **options)


def sample(**values: object) -> dict[str, object]:
    return {"track": "mic", "direction": "up", **values}


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def patter(events: list[Event]) -> Patter:
    return make(diagnostics=Hub(events.append))


def types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


# nobody listens

QUIET = """
import sys, threading
from getpatter import Patter
patter = Patter(carrier="none", telemetry=False)
with patter.call(direction="inbound", ends_with="alice") as call:
    assert call.event("participant_active", "alice")
    assert call.sample("alice", {"track": "t", "direction": "up", "packets": -1})
    assert call.connection("alice", connection_state="offline")
    assert call.set_stats_interval(5)
assert patter.event("webhook", {"event": "e"})
assert patter.set_stats_interval(5)
assert patter.diagnostics.flush(5)
assert patter.service.counts() == {"sample": {"taken": 0}, "waiting": 0, "kept": 0}
assert threading.active_count() == 1, threading.enumerate()
names = ("callbacks.subscriptions", "stats.service", "stats.vocabulary", "precall")
loaded = [f"getpatter.calls.{name}" for name in names]
print([name for name in loaded if name in sys.modules])
"""


def test_with_nobody_listening_there_is_no_thread_and_no_service(run: Run) -> None:
    done = run(QUIET.replace(', ends_with="alice"', ""))
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    done = run(QUIET)
    assert (done.returncode, done.stdout) == (0, "['getpatter.calls.stats.vocabulary']\n"), (
        done.stderr
    )


@pytest.mark.parametrize("hub", [False, NullHub()])
def test_off_wins_and_says_so(hub: Any) -> None:
    patter = make(diagnostics=hub)
    assert patter.on("stats", print).status == "off"
    assert patter.call(direction="inbound").on("error", print).status == "off"
    assert patter.on("init", Seen())
    with pytest.raises(TypeError, match="callable"):
        patter.on("stats", 5)  # type: ignore[arg-type]


# callbacks


def test_all_six_names_plain_and_async_on_the_host_and_on_a_call(patter: Patter) -> None:
    call = patter.call(direction="inbound")
    heard: dict[str, Seen] = {}
    places: list[Any] = [patter, call]
    for where, name in itertools.product(places, NAMES):
        plain, other = Seen(), Seen()

        async def wait(payload: object, other: Seen = other) -> None:
            await asyncio.sleep(0)
            other(payload)

        assert where.on(name, plain)
        assert where.on(name, wait)
        heard |= {f"{name} {where} plain": plain, f"{name} {where} async": other}
    assert call.event("participant_active", "alice")
    assert call.sample("alice", sample(packets=1))
    assert not call.sample("alice", sample(direction="sideways"))
    call.end()
    assert patter.precall_test(["127.0.0.1:9"], probes=1)
    assert patter.diagnostics.flush(LONG)
    for name, seen in heard.items():
        if not name.startswith("recommended_config"):
            assert seen.first(), name


def test_a_name_that_is_none_is_an_answer_and_what_cannot_be_called_an_error(
    patter: Patter,
) -> None:
    call = patter.call(direction="inbound")
    for where in (patter, call):
        assert where.on("stat", print).status == "unknown_callback"
        with pytest.raises(TypeError, match="callable"):
            where.on("stats", "print")  # type: ignore[arg-type]
    call.end()
    assert call.on("stats", print).status == "already_ended"


def test_a_call_hears_of_itself_only_also_where_another_has_its_id(patter: Patter) -> None:
    calls = [patter.call(direction="inbound", session="same") for _ in range(3)]
    assert len({call.id for call in calls}) == 3
    assert {call.session for call in calls} == {"same"}
    heard = [Seen() for _ in calls]
    for number, (call, seen) in enumerate(zip(calls, heard, strict=True)):
        assert call.on("stats", seen)
        assert call.event("participant_active", f"p{number}")
        assert call.sample(f"p{number}", sample(packets=number))
    for call in calls:
        call.end()
    assert patter.diagnostics.flush(LONG)
    for number, (call, seen) in enumerate(zip(calls, heard, strict=True)):
        assert [(one["call"], one["participant"]) for one in seen.all] == [(call.id, f"p{number}")]


def test_error_tells_of_stages_sinks_and_samples() -> None:
    def fail(_: Event) -> None:
        message = "the sink is full"
        raise OSError(message)

    patter = make(diagnostics=Hub(fail))
    seen = Seen()
    assert patter.on("error", seen)
    with patter.call(direction="inbound", session="mine") as call:
        reporter = call.reporter
        reporter.complete(reporter.begin("tts"), "SERVER_ERROR", reason="503")
        reporter.begin("ws_join")
        assert call.sample("alice", sample(direction="")).status == "refused_sample"
        call.leave(UserAction("HANGUP"))
    assert patter.diagnostics.flush(LONG)
    told = {(one["code"], one["layer"], one["call"]) for one in seen.all}
    assert {
        ("SERVER_ERROR", "tts", "mine"),
        ("CLIENT_ABORTED", "carrier", "mine"),
        ("refused_sample", "internal", "mine"),
    } <= told
    assert "the sink is full" in seen.first(lambda one: one["layer"] == "sink")["message"]
    assert "503" in seen.first(lambda one: one["layer"] == "tts")["message"]


def test_stats_come_as_often_as_is_said_for_all_or_for_a_call(patter: Patter) -> None:
    assert patter.set_stats_interval(0.5).status == "refused_interval"
    with pytest.raises(ValueError, match="stats_interval"):
        make(stats_interval=-1)
    assert patter.set_stats_interval(0)
    silent, often = Seen(), Seen()
    calls = [patter.call(direction="inbound", session=name) for name in ("silent", "often")]
    assert calls[1].set_stats_interval("5").status == "refused_interval"  # type: ignore[arg-type]
    assert calls[1].set_stats_interval(1)
    for call, seen in zip(calls, (silent, often), strict=True):
        assert call.on("stats", seen)
        assert call.event("participant_active", "alice")
    often.first()
    assert silent.all == []


def test_a_pre_call_test_returns_at_once_and_tells_what_it_found(patter: Patter) -> None:
    seen = Seen()
    assert patter.on("precall_test", seen)
    assert patter.precall_test(["not an endpoint"]).status == "refused_endpoint"
    with Receiver() as receiver:
        assert patter.precall_test([receiver.endpoint], probes=2)
        (found,) = seen.first()["endpoints"]
    assert found["succeeded"] == 2
    assert found["first_byte"]["median_ms"] > 0


# participants and the end


def test_the_end_of_a_call_is_the_last_that_is_told_of_it(
    patter: Patter, events: list[Event]
) -> None:
    call = patter.call(direction="inbound", session="mine")
    assert call.event("participant_joined", "alice")
    assert call.event("participant_active", "alice")
    assert call.sample("alice", sample(packets=5))
    own = call.emitter("mine")
    call.end()
    assert own.try_emit("late", {}).status == "closed"
    assert call.reporter.emit("late", {}) is False
    assert patter.diagnostics.flush(LONG)
    assert types(events) == [
        *("call.started", "room_started", "participant_joined", "participant_active"),
        *("participant_stats", "participant_left", "room_ended", "call.ended"),
    ]
    assert [event.sequence for event in events] == list(range(8))
    assert {event.session for event in events} == {"mine"}


def test_events_of_participants_have_the_time_and_the_order_in_which_they_were_recorded(
    patter: Patter, events: list[Event]
) -> None:
    call = patter.call(direction="inbound", session="mine")
    go_on = threading.Event()
    # Whatever is recorded from here on, another thread gets to it late.
    assert patter.service.later("mine", lambda: go_on.wait(LONG))
    for number in range(3):
        with call.stage("stt"):
            pass
        assert call.event("participant_joined", f"{number}")
        assert call.event("participant_joined", f"{number}", {"owner": "signalling"})
        with call.stage("llm"):
            pass
        assert call.event("participant_active", f"{number}")
        assert call.event("track_published", f"{number}", {"track": "t"})
        assert call.event("participant_left", f"{number}")
        call.turn()
        assert call.event("participant_left", f"{number}", {"owner": "signalling"})
        assert call.event("participant_left", f"{number}").status in ("ok", "already_left")
    go_on.set()
    assert patter.diagnostics.flush(LONG)
    call.end()
    assert patter.diagnostics.flush(LONG)
    in_order = sorted(events, key=lambda event: event.sequence)
    turn = [
        *("stage.initiated", "stage.completed", "participant_joined"),
        *("stage.initiated", "stage.completed", "participant_active", "track_published"),
        *("call.turn", "participant_left"),
    ]
    recorded = [event.type for event in in_order if event.type != "call.answered"]
    assert recorded == [
        *("call.started", *turn[:2], "room_started", *turn[2:], *turn, *turn),
        *("room_ended", "call.ended"),
    ]
    assert [event.sequence for event in in_order] == list(range(len(events)))
    times = [event.timestamp_us for event in in_order]
    assert times == sorted(times)


def test_a_number_that_is_missing_is_an_event_that_was_lost(
    patter: Patter, events: list[Event]
) -> None:
    call = patter.call(direction="inbound", session="mine")
    assert call.event("participant_joined", "alice")
    go_on = threading.Event()
    assert patter.service.later("mine", lambda: go_on.wait(LONG))
    answers = [call.event("track_muted", "alice", {"track": "t"}) for _ in range(3_000)]
    go_on.set()
    assert patter.diagnostics.flush(LONG)
    call.end()
    assert patter.diagnostics.close(LONG)
    refused = sum(answer.status == "queue_full" for answer in answers)
    assert 0 < refused < 3_000
    mine = [event for event in events if event.session == "mine"]
    lost: list[Any] = [e.data["lost"] for e in mine if e.type == "telemetry.health"]
    reported: dict[str, int] = {}
    for of_one in lost:
        for reason, times in of_one.get("room", {}).items():
            reported[reason] = reported.get(reason, 0) + times
    assert reported["queue_full"] == refused
    missing = max(event.sequence for event in mine) + 1 - len(mine)
    assert missing == sum(reported.values())


def test_a_call_that_tells_nothing_of_participants_has_no_room(
    patter: Patter, events: list[Event]
) -> None:
    with patter.call(direction="inbound") as call:
        call.turn()
    assert call.sample("alice", sample()).status == "already_ended"
    assert call.event("participant_left", "alice").status == "already_ended"
    assert patter.diagnostics.flush(LONG)
    assert types(events) == ["call.started", "call.answered", "call.turn", "call.ended"]
    assert patter.service.counts()["kept"] == 0


def test_the_host_may_say_itself_that_a_room_starts_and_ends(
    patter: Patter, events: list[Event]
) -> None:
    stats, errors = Seen(), Seen()
    patter.on("stats", stats)
    patter.on("error", errors)
    call = patter.call(direction="inbound")
    url = "https://example.com/room"
    assert call.event("room_started", "", {"colour": 1}).status == "unknown_field"
    assert call.set_stats_interval(60)
    assert call.event("room_started", "", {"conference_url": url})
    assert call.event("participant_active", "alice")
    assert call.event("room_ended")
    call.end()
    assert patter.diagnostics.flush(LONG)
    assert types(events).count("room_started") == types(events).count("room_ended") == 1
    assert stats.first()["conference_url"] == url
    assert [one["code"] for one in errors.all] == ["unknown_field"]


def test_who_listens_later_hears_of_calls_that_are_under_way(events: list[Event]) -> None:
    patter = make()
    call = patter.call(direction="inbound")
    call.event("participant_joined", "alice")  # nobody listens
    patter.diagnostics.attach(events.append)
    assert call.event("participant_resumed", "alice")
    assert call.sample("alice", sample(packets=1))
    call.end()
    assert patter.diagnostics.flush(LONG)
    assert types(events)[1:3] == ["room_started", "participant_resumed"]
    assert "participant_joined" not in types(events)
    assert types(events)[-1] == "call.ended"


def test_events_of_no_call_have_a_session_of_their_own(patter: Patter, events: list[Event]) -> None:
    assert patter.event("webhook", {"event": "delivered", "status": 200})
    assert patter.event("egress_started", {"egress": "e", "colour": 1}).status == "unknown_field"
    assert patter.diagnostics.flush(LONG)
    assert [(event.type, event.session) for event in events] == [("webhook", "host")]


def test_redaction_keeps_the_names_of_fields_and_no_text(events: list[Event]) -> None:
    hub = Hub(events.append, redaction=Redaction(redact_text=True))
    patter = make(diagnostics=hub)
    call = patter.call(direction="inbound", session="mine")
    call.event("participant_active", "alice", {"client": {"kit": "secret"}})
    call.sample("alice", sample(track="secret", packets=1, media_type="data"))
    call.end()
    assert patter.diagnostics.flush(LONG)
    (stats,) = (event.as_dict()["data"] for event in events if event.type == "participant_stats")
    assert isinstance(stats, dict)
    assert stats["participant"] == "[redacted]"
    (stream,) = stats["streams"]
    assert (stream["track"], stream["direction"]) == ("[redacted]", "up")
    assert (stream["media_type"], stream["packets"]) == ("data", 1)
    assert "secret" not in json.dumps([event.as_dict() for event in events])


ENDS = """
import itertools, json, sys, threading
from getpatter import Patter
from getpatter.calls import JsonLinesSink

patter = Patter(carrier="none")
if LISTENING:
    patter.diagnostics.attach(JsonLinesSink("calls.jsonl"))
owners = ("media", "signalling", "status_webhook")
orders = sorted(set(itertools.permutations(owners * 2)))
assert len(orders) == 90
calls = []
for number, order in enumerate(orders):
    call = patter.call(direction="inbound", session=f"call-{number}", ends_with="alice")
    call.answer()
    for owner in owners:
        call.event("participant_active", "alice", {"owner": owner})
        call.event("participant_active", "bob", {"owner": owner})
    call.event("participant_left", "bob", {"owner": "media"})
    calls.append(call)
    if number % 2:  # one after the other
        for owner in order:
            assert not call.reporter.has_ended or owner in order[3:]
            call.event("participant_left", "alice", {"owner": owner})
    else:  # all at once, and other ways to end beside them
        ways = [lambda o=o: call.event("participant_left", "alice", {"owner": o}) for o in order]
        ways += [call.end, lambda: call.leave("bye"), lambda: call.event("room_ended")]
        threads = [threading.Thread(target=way) for way in ways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert call.reporter.has_ended
aborted = patter.call(direction="inbound", session="aborted", ends_with="alice")
aborted.event("participant_left", "alice", {"owner": "nobody ever joined"})
assert not aborted.reporter.has_ended
aborted.event("participant_joined", "alice")
aborted.event("connection_aborted", "alice", {"reason": "no media"})
aborted.event("connection_aborted", "alice", {"reason": "no media"})
assert aborted.reporter.has_ended
assert patter.diagnostics.flush(60)
assert patter.telemetry.flush(60)
"""


@pytest.mark.parametrize("listening", [True, False])
def test_three_owners_that_each_say_the_end_twice_end_a_call_once(
    run: Run, receiver: Receiver, tmp_path: Any, listening: bool
) -> None:
    done = run(ENDS.replace("LISTENING", str(listening)), timeout=180)
    assert done.returncode == 0, done.stderr
    completed = [event for event in receiver.events if event["event"] == "call_completed"]
    assert len(completed) == len({event["call_uid"] for event in completed}) == 91
    (failed,) = (event for event in completed if event["outcome"] == "failed")
    assert (failed["error_layer"], failed["error_code"]) == ("carrier", "connection")
    assert {event["outcome"] for event in completed} == {"completed", "failed"}
    if not listening:
        return
    lines = (tmp_path / "work" / "calls.jsonl").read_text("utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    for number in range(90):
        mine = [event for event in told if event["session"] == f"call-{number}"]
        kinds = [event["type"] for event in mine]
        assert kinds.count("call.ended") == kinds.count("room_ended") == 1
        assert kinds[-1] == "call.ended"
        ends = [event["data"]["participant"] for event in mine if event["type"] in LEFT]
        assert sorted(ends) == ["alice", "bob"]
    last = [event["type"] for event in told if event["session"] == "aborted"]
    assert last.count("connection_aborted") == last.count("call.ended") == 1


def test_a_program_that_ends_tells_the_end_of_its_calls(run: Run, tmp_path: Any) -> None:
    done = run(
        """
from getpatter import Patter
from getpatter.calls import JsonLinesSink
patter = Patter(carrier="none", telemetry=False)
patter.diagnostics.attach(JsonLinesSink("calls.jsonl"))
call = patter.call(direction="inbound")
call.event("participant_active", "alice")
call.sample("alice", {"track": "t", "direction": "up", "packets": 3})
"""
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "work" / "calls.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["type"] for line in lines][2:] == [
        *("participant_active", "participant_stats", "participant_left"),
        *("room_ended", "call.ended"),
    ]


def test_sums_are_no_news_for_who_listens_later(events: list[Event]) -> None:
    patter = make()
    assert patter.on("stats", Seen())
    call = patter.call(direction="inbound")
    assert call.event("participant_active", "alice")
    for number in range(301):
        assert call.sample("alice", sample(packets=number))
        if number % 3 == 0:
            assert patter.service.flush(LONG)
    patter.diagnostics.attach(events.append)
    assert patter.diagnostics.flush(LONG)
    assert types(events) == ["call.started", "room_started", "participant_active"]
    assert call.sample("alice", sample(packets=999))
    assert patter.diagnostics.flush(LONG)
    assert types(events)[3:] == ["participant_stats"]


FORKED = """
import os, json
from getpatter import Patter
patter = Patter(carrier="none", telemetry=False)
heard = []
patter.on("stats", heard.append)
def make(name):
    call = patter.call(direction="inbound", session=name)
    call.on("stats", lambda one: heard.append({"call": "own " + one["call"]}))
    call.event("participant_active", "alice")
    call.sample("alice", {"track": "t", "direction": "up", "packets": 3})
    return call
before = make("before")
child = os.fork()
make("child" if not child else "parent").end()
if not child:
    before.end()  # it is the parent's
else:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    before.end()
assert patter.diagnostics.flush(60)
told = sorted(one["call"] for one in heard)
names = ["child"] if not child else ["before", "parent"]
assert told == sorted(names + ["own " + name for name in names]), told
assert patter.service.counts()["kept"] == 2 * len(names)
if not child:
    os._exit(0)
print("done")
"""


def test_after_a_fork_each_process_tells_of_its_own_calls(run: Run) -> None:
    done = run(FORKED)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
