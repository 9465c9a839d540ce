"""What a carrier says of a call's end, by which id it is found, and an end that nobody says."""

from __future__ import annotations

import gc
import math
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lone_call import lone_call

from getpatter import Call, Patter
from getpatter.calls import Event, Hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Run

LONG = 60.0
NO_MEDIA = ("failed", "carrier", "error", "connection")


class Ends:
    """A sink that keeps how calls ended, and can be waited for."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def __call__(self, event: Event) -> None:
        if event.type == "call.ended":
            with self._changed:
                self.all.append(dict(event.data))
                self._changed.notify_all()

    def one(self) -> tuple[object, ...]:
        """How the one call ended, once it has."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.all, LONG)
        (end,) = self.all
        names = ("outcome", "error_layer", "disconnect_reason", "error_code")
        return tuple(end.get(name) for name in names)


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def phone(ends: Ends) -> Patter:
    return Patter(carrier="none", telemetry=False, diagnostics=Hub(ends))


# ids


def test_a_call_is_found_by_each_of_its_ids(phone: Patter) -> None:
    with phone.call(direction="inbound") as call:
        assert call.known_as("Twilio", "CA1")
        assert call.known_as("plivo", "u1")
        assert phone.find_call("twilio", "CA1") is call
        assert phone.find_call("twilio", "other", "CA1") is call
        assert phone.find_call("plivo", "u1") is call
        assert phone.find_call("plivo", "CA1") is None
        assert phone.find_call("twilio") is None
    assert not call.known_as("twilio", "CA2")
    assert phone.find_call("twilio", "CA2") is None


def test_an_id_keeps_no_call_alive(phone: Patter, ends: Ends) -> None:
    call = phone.call(direction="inbound")
    call.known_as("twilio", "CA1")
    del call
    gc.collect()
    assert phone.find_call("twilio", "CA1") is None
    assert ends.one() == ("failed", "internal", "error", "internal")
    assert phone.missed_call("twilio", "CA1") is None, "it was known here"


def test_a_call_with_an_owner_is_not_kept_alive_either(phone: Patter, ends: Ends) -> None:
    call = phone.call(direction="inbound", ends_with="caller")
    call.known_as("twilio", "CA1")
    gc.disable()
    try:
        del call
        assert phone.find_call("twilio", "CA1") is None
    finally:
        gc.enable()
    assert ends.one()[3] == "internal"


@pytest.mark.parametrize(
    ("carrier", "call_id"),
    [("", "CA1"), ("twilio", ""), (None, "CA1"), ("twilio", 7), ("twilio", "x" * 201), ("é", "1")],
)
def test_what_is_no_id_is_refused(phone: Patter, carrier: Any, call_id: Any) -> None:
    with phone.call(direction="inbound") as call:
        assert call.known_as(carrier, call_id).status == "refused_id"
    assert phone.find_call("twilio", "CA1") is None


def test_a_missed_call_begins_once(phone: Patter) -> None:
    first = phone.missed_call("twilio", "CA1", direction="outbound")
    assert first is not None
    assert phone.find_call("twilio", "CA1") is first
    assert phone.missed_call("twilio", "CA1") is None
    assert phone.missed_call("twilio") is None
    first.end()


def test_a_missed_call_begins_once_however_many_ask(phone: Patter) -> None:
    found: list[Call | None] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(phone.missed_call("plivo", "u1", "u2"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (call,) = filter(None, found)
    call.end()


# what the carrier says


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ({"answered": False, "unanswered": "busy"}, ("busy", "none", "busy", None)),
        ({"answered": False, "unanswered": "no_answer"}, ("no_answer", "none", "no_answer", None)),
        ({"answered": False, "hung_up": "local"}, ("failed", "none", "hangup_local", None)),
        (
            {"answered": False, "error": "auth", "stage": "carrier"},
            ("failed", "carrier", "error", "auth"),
        ),
        ({"answered": False, "error": "config"}, ("failed", "config", "error", "config")),
    ],
)
def test_a_call_that_nobody_answered_ends_at_once(
    phone: Patter, ends: Ends, said: dict[str, Any], end: tuple[object, ...]
) -> None:
    call = phone.call(direction="outbound")
    assert call.carrier_ended(**said)
    assert call.reporter.has_ended
    assert ends.one() == end
    assert call.carrier_ended(**said).status == "already_ended"


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ({}, ("completed", "none", "completed", None)),
        ({"hung_up": "local"}, ("completed", "none", "hangup_local", None)),
        ({"hung_up": "remote"}, ("completed", "none", "hangup_remote", None)),
        ({"error": "timeout", "stage": "carrier"}, ("error", "carrier", "timeout", "timeout")),
    ],
)
@pytest.mark.parametrize("is_connected", [True, False])
def test_a_call_with_media_ends_with_it(
    phone: Patter, ends: Ends, said: dict[str, Any], end: tuple[object, ...], is_connected: bool
) -> None:
    with phone.call(direction="inbound") as call:
        if is_connected:
            call.answer()
        assert call.carrier_ended(answered=True, **said)
        assert not call.reporter.has_ended
    assert ends.one() == (end if is_connected else NO_MEDIA)


def test_what_the_host_says_goes_before_what_the_carrier_says(phone: Patter, ends: Ends) -> None:
    says: tuple[Callable[[Call], object], ...] = (
        lambda call: call.hangup("local"),
        lambda call: call.error("rate_limit", "llm"),
        lambda call: call.leave("over"),
    )
    for say in says:
        for is_first in (True, False):
            ends.all.clear()
            with phone.call(direction="inbound") as call:
                call.answer()
                if is_first:
                    say(call)
                call.carrier_ended(answered=True, hung_up="remote")
                say(call)
            phone.diagnostics.flush(LONG)
            assert ends.one()[2] != "hangup_remote"


def test_an_exception_of_the_host_goes_before_it_and_a_cancelled_task_does_not(
    phone: Patter, ends: Ends
) -> None:
    for error, reason in ((RuntimeError(), "error"), (GeneratorExit(), "hangup_remote")):
        ends.all.clear()
        with (  # noqa: PT012 - the exception ends the call
            pytest.raises(type(error)),
            phone.call(direction="inbound") as call,
        ):
            call.answer()
            call.carrier_ended(answered=True, hung_up="remote")
            raise error
        assert phone.diagnostics.flush(LONG)
        assert ends.one()[2] == reason


@pytest.mark.parametrize(
    "said",
    [{"unanswered": "maybe"}, {"hung_up": "both"}, {"stage": "asr"}, {"hung_up": 7}],
)
def test_what_no_carrier_says_is_refused(phone: Patter, said: dict[str, Any]) -> None:
    with phone.call(direction="inbound") as call:
        assert call.carrier_ended(answered=False, **said).status == "refused_end"
        assert not call.reporter.has_ended


ENDS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    answered=st.booleans(),
    unanswered=st.sampled_from([None, "busy", "no_answer"]),
    hung_up=st.sampled_from([None, "local", "remote"]),
    error=st.sampled_from([None, "auth", "timeout"]),
)


@given(said=st.lists(ENDS, min_size=1, max_size=4), data=st.data())
def test_of_several_words_the_same_counts_whatever_their_order(
    said: list[dict[str, Any]], data: st.DataObject
) -> None:
    results = []
    for order in (said, data.draw(st.permutations([*said, *said]))):
        ends = Ends()
        phone = Patter(carrier="none", telemetry=False, diagnostics=Hub(ends))
        with phone.call(direction="inbound") as call:
            call.answer()
            for one in order:
                call.carrier_ended(**one)
        results.append(ends.one())
    assert results[0] == results[1]


# the bound


def owned(phone: Patter, **options: Any) -> Call:
    call = phone.call(direction="inbound", ends_with="caller", **options)
    call.known_as("twilio", "CA1")
    call.answer()
    call.event("participant_active", "caller", {"owner": "media"})
    return call


def test_the_end_is_the_end_some_time_after_media_has_left(phone: Patter, ends: Ends) -> None:
    call = owned(phone, ends_within=0.01)
    call.event("participant_active", "caller", {"owner": "signalling"})
    call.event("participant_left", "caller", {"owner": "media"})
    assert ends.one() == ("completed", "none", "completed", None)
    assert call.reporter.has_ended


def test_media_under_any_name_is_followed_by_its_webhook_or_by_the_bound(
    phone: Patter, ends: Ends
) -> None:
    call = phone.call(direction="inbound", ends_with="caller", ends_within=0.01)
    call.known_as("twilio", "CA1")
    call.answer()
    call.event("participant_active", "caller")
    call.event("participant_left", "caller")
    assert ends.one()[0] == "completed"


def test_whoever_comes_back_takes_the_bound_away(phone: Patter) -> None:
    call = owned(phone, ends_within=3_600)
    call.event("participant_left", "caller", {"owner": "media"})
    call.event("participant_resumed", "caller", {"owner": "media"})
    call.event("participant_left", "caller", {"owner": "media"})
    assert not call.reporter.has_ended
    call.carrier_ended(answered=True)
    assert call.reporter.has_ended


@pytest.mark.parametrize("is_webhook_first", [True, False])
def test_callback_and_media_end_a_call_together(
    phone: Patter, ends: Ends, is_webhook_first: bool
) -> None:
    call = owned(phone, ends_within=3_600)
    steps: list[Callable[[], object]] = [
        lambda: call.carrier_ended(answered=True, hung_up="remote"),
        lambda: call.event("participant_left", "caller", {"owner": "media"}),
    ]
    first, last = steps if is_webhook_first else reversed(steps)
    first()
    first()
    assert not call.reporter.has_ended
    last()
    assert ends.one() == ("completed", "none", "hangup_remote", None)


def test_a_callback_before_its_media_waits_for_it(phone: Patter, ends: Ends) -> None:
    call = phone.call(direction="inbound", ends_with="caller", ends_within=0.05)
    call.known_as("twilio", "CA1")
    call.carrier_ended(answered=True)
    assert not call.reporter.has_ended
    assert ends.one() == NO_MEDIA


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan, "5", True])
def test_a_bound_that_is_none_is_refused(phone: Patter, seconds: Any) -> None:
    call = owned(phone, ends_within=seconds)
    call.event("participant_left", "caller", {"owner": "media"})
    assert not call.reporter.has_ended, "the bound is the usual one"
    call.end()


def test_the_length_of_a_call_ends_when_its_media_left(phone: Patter, ends: Ends) -> None:
    call = owned(phone, ends_within=0.5)
    call.event("participant_left", "caller", {"owner": "media"})
    ends.one()
    assert ends.all[0]["duration_ms"] < 500


EXIT = """
from getpatter import Patter
phone = Patter(carrier="none")
plain, owned = phone.call(direction="inbound"), phone.call(direction="inbound", ends_with="a")
for number, call in enumerate((plain, owned)):
    call.known_as("twilio", f"CA{number}")
    call.answer()
    call.event("participant_active", "a", {"owner": "media"})
plain.carrier_ended(answered=True, hung_up="remote")
owned.event("participant_left", "a", {"owner": "media"})
"""


def test_calls_that_only_wait_end_as_they_stand_when_the_program_does(
    run_loaded: Run, receiver: Any
) -> None:
    assert run_loaded(EXIT).returncode == 0
    reasons = [
        event["disconnect_reason"]
        for event in receiver.events
        if event["event"] == "call_completed"
    ]
    assert sorted(reasons) == ["completed", "hangup_remote"]


def test_a_call_in_a_child_has_no_id_there(run: Run) -> None:
    code = """
import os
from getpatter import Patter
phone = Patter(carrier="none", telemetry=False)
call = phone.call(direction="inbound", ends_with="a", ends_within=3600)
call.known_as("twilio", "CA1")
call.event("participant_active", "a", {"owner": "media"})
call.event("participant_left", "a", {"owner": "media"})
if os.fork() == 0:
    found = phone.find_call("twilio", "CA1")
    missed = phone.missed_call("twilio", "CA1")
    os._exit(0 if found is None and missed is not None else 7)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert phone.find_call("twilio", "CA1") is call
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_a_call_without_a_carrier_needs_none_of_it() -> None:
    recorder: Any = type("Recorder", (), {"record": lambda *_, **__: None})()
    with lone_call(recorder, {}) as call:
        assert call.direction is None
