"""However a call ends, exactly one `call_completed` says so, and says how."""

import asyncio
import builtins
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from conftest import Run
from lone_call import lone_call

from getpatter import Call, ConfigurationError
from getpatter.telemetry.testing import Receiver

Ending = tuple[str, str, str, str | None]
HUNG_UP: Ending = ("completed", "none", "hangup_local", None)


class Recorder:
    """Takes what a call records, as a telemetry client would."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def record(self, name: str, /, **dimensions: object) -> None:
        self.events.append({"event": name, **dimensions})

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    @property
    def completed(self) -> dict[str, Any]:
        """The one event that says that the call ended."""
        (event,) = self.named("call_completed")
        return event

    @property
    def ending(self) -> Ending:
        event = self.completed
        return (
            event["outcome"],
            event["error_layer"],
            event["disconnect_reason"],
            event["error_code"],
        )


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def call(recorder: Recorder) -> Call:
    return lone_call(recorder, {"direction": "inbound"})


raising = pytest.raises  # around the whole of a call, not one statement


# ordinary ends


def test_a_clean_end(recorder: Recorder, call: Call) -> None:
    with call:
        call.answer()
        call.turn()
    assert [event["event"] for event in recorder.events] == ["call_started", "call_completed"]
    assert recorder.ending == ("completed", "none", "completed", None)
    assert recorder.completed["direction"] == "inbound"
    assert recorder.completed["turn_count_bucket"] == "1"


@pytest.mark.parametrize("side", ["local", "remote"])
def test_who_hung_up(recorder: Recorder, call: Call, side: Any) -> None:
    with call:
        call.turn()
        call.hangup(side)
    assert recorder.ending == ("completed", "none", f"hangup_{side}", None)


@pytest.mark.parametrize("how", ["busy", "no_answer"])
def test_a_call_that_nobody_took(recorder: Recorder, call: Call, how: str) -> None:
    with call:
        getattr(call, how)()
    assert recorder.ending == (how, "none", how, None)
    assert recorder.named("call_started") == []
    assert recorder.completed["duration_seconds"] == 0


def test_busy_means_nothing_once_media_ran(recorder: Recorder, call: Call) -> None:
    with call:
        call.answer()
        call.busy()
    assert recorder.ending == ("completed", "none", "completed", None)


def test_the_local_side_gave_up_before_anybody_answered(recorder: Recorder, call: Call) -> None:
    with call:
        call.hangup("local")
    assert recorder.ending == ("failed", "none", "hangup_local", None)


def test_a_call_starts_once(recorder: Recorder, call: Call) -> None:
    with call:
        for _ in range(3):
            call.answer()
            call.turn()
            with call.stage("stt"):
                pass
            call.observe("llm", 0.1)
    assert len(recorder.named("call_started")) == 1


# exceptions

ERRORS: dict[str, tuple[Callable[[], BaseException], str, str]] = {
    "timeout": (TimeoutError, "timeout", "timeout"),
    "asyncio timeout": (asyncio.TimeoutError, "timeout", "timeout"),
    "auth": (PermissionError, "auth", "error"),
    "connection": (ConnectionResetError, "connection", "error"),
    "config": (lambda: ConfigurationError("x", "other"), "config", "error"),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize(
    ("stage", "layer"),
    [
        ("stt", "stt"),
        ("eou", "stt"),
        ("llm", "llm"),
        ("tts", "tts"),
        ("carrier", "carrier"),
        ("ws_join", "carrier"),
        ("peer_connection", "carrier"),
        ("coordinator_join", "carrier"),
    ],
)
def test_an_error_belongs_to_the_stage_it_came_from(
    recorder: Recorder, call: Call, name: str, stage: Any, layer: str
) -> None:
    make, code, reason = ERRORS[name]
    error = make()
    with raising(type(error)), call:
        call.answer()
        with call.stage(stage):
            raise error
    assert recorder.ending == ("error", layer, reason, code)


def test_an_error_outside_of_any_stage(recorder: Recorder, call: Call) -> None:
    with raising(KeyError), call:
        call.turn()
        with call.stage("stt"):
            pass
        raise KeyError
    assert recorder.ending == ("error", "internal", "error", "internal")


def test_a_configuration_error_outside_of_any_stage(recorder: Recorder, call: Call) -> None:
    message = "x"
    with raising(ConfigurationError), call:
        call.answer()
        raise ConfigurationError(message, "llm_key")
    assert recorder.ending == ("error", "config", "error", "config")


def test_an_error_before_media_is_a_failed_call(recorder: Recorder, call: Call) -> None:
    with pytest.raises(ConnectionError), call, call.stage("ws_join"):
        raise ConnectionError
    assert recorder.ending == ("failed", "carrier", "error", "connection")
    assert recorder.named("call_started") == []


def test_an_error_that_was_caught_is_not_how_the_call_ended(recorder: Recorder, call: Call) -> None:
    with call:
        call.turn()
        with pytest.raises(TimeoutError), call.stage("llm"):
            raise TimeoutError
        with call.stage("tts"):
            pass
    assert recorder.ending == ("completed", "none", "completed", None)


def test_an_error_that_was_caught_last_is_not_how_the_call_ended(
    recorder: Recorder, call: Call
) -> None:
    with call:
        call.turn()
        with pytest.raises(TimeoutError), call.stage("llm"):
            raise TimeoutError
    assert recorder.ending == ("completed", "none", "completed", None)


def test_an_error_after_another_that_was_caught(recorder: Recorder, call: Call) -> None:
    with raising(KeyError), call:
        call.turn()
        with pytest.raises(TimeoutError), call.stage("llm"):
            raise TimeoutError
        raise KeyError
    assert recorder.ending == ("error", "internal", "error", "internal")


@pytest.mark.parametrize("explicit", [True, False])
def test_an_error_that_was_wrapped_belongs_to_its_stage(
    recorder: Recorder, call: Call, *, explicit: bool
) -> None:
    def work() -> None:
        with call.stage("stt"):
            raise OSError

    def wrap() -> None:
        try:
            work()
        except OSError as error:
            if explicit:
                raise RuntimeError from error
            raise RuntimeError  # noqa: B904 - the point: the context alone tells

    with raising(RuntimeError), call:
        call.turn()
        wrap()
    assert recorder.ending == ("error", "stt", "error", "provider_error")


def test_an_error_in_a_group_belongs_to_its_stage(recorder: Recorder, call: Call) -> None:
    """What a task group raises. `ExceptionGroup` is new in 3.11; before, nothing groups."""
    group = getattr(builtins, "ExceptionGroup", _Group)
    error, message = TimeoutError(), "unhandled errors in a TaskGroup"
    with raising(Exception), call:
        call.turn()
        with suppress(TimeoutError), call.stage("tts"):
            raise error
        raise group(message, [error])
    assert recorder.ending == ("error", "tts", "timeout", "timeout")


class _Group(Exception):  # noqa: N818 - named like what it stands for
    def __init__(self, message: str, exceptions: list[Exception]) -> None:
        super().__init__(message)
        self.exceptions = tuple(exceptions)


def test_an_error_without_an_exception(recorder: Recorder, call: Call) -> None:
    with call:
        call.turn()
        call.error("rate_limit", "llm")
        call.error("timeout", "tts")  # the first one counts
        call.hangup("local")
    assert recorder.ending == ("error", "llm", "error", "rate_limit")


@pytest.mark.parametrize(
    ("code", "layer"),
    [
        ("webhook_verification", "carrier"),
        ("provision", "carrier"),
        ("config", "config"),
        ("input_validation", "config"),
        ("internal", "internal"),
        ("timeout", "other"),
        ("auth", "other"),
        ("what is this", "other"),
    ],
)
def test_an_error_whose_stage_nobody_knows(
    recorder: Recorder, call: Call, code: str, layer: str
) -> None:
    with call:
        call.answer()
        call.error(code)
    reason = "timeout" if code == "timeout" else "error"
    assert recorder.ending == ("error", layer, reason, code)


# ends on purpose


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_program_that_stops_hangs_up(
    recorder: Recorder, call: Call, kind: type[BaseException]
) -> None:
    with raising(kind), call:
        call.turn()
        raise kind
    assert recorder.ending == HUNG_UP


def test_a_subclass_of_system_exit_stops_as_well(recorder: Recorder, call: Call) -> None:
    class Quit(SystemExit):
        pass

    with raising(Quit), call:
        call.turn()
        raise Quit
    assert recorder.ending == HUNG_UP


def test_an_error_that_is_only_called_like_one_on_purpose(recorder: Recorder, call: Call) -> None:
    class CancelledError(Exception):
        pass

    with raising(CancelledError), call:
        call.turn()
        raise CancelledError
    assert recorder.ending == ("error", "internal", "error", "internal")


def test_a_cancelled_task(recorder: Recorder, call: Call) -> None:
    async def talk() -> None:
        with call:
            call.turn()
            with call.stage("llm"):
                await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.ensure_future(talk())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert recorder.ending == HUNG_UP


def test_a_timeout_around_a_stage_is_the_stages(recorder: Recorder, call: Call) -> None:
    async def talk() -> None:
        with call:
            call.turn()
            with call.stage("llm"):
                await asyncio.wait_for(asyncio.Event().wait(), 0.01)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(talk())
    assert recorder.ending == ("error", "llm", "timeout", "timeout")


def test_a_timeout_around_the_call_is_the_programs(recorder: Recorder, call: Call) -> None:
    async def talk() -> None:
        with call:
            call.turn()
            await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.wait_for(talk(), 0.01)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(main())
    assert recorder.ending == HUNG_UP


def test_a_closed_generator(recorder: Recorder, call: Call) -> None:
    def talk() -> Iterator[int]:
        with call:
            call.turn()
            yield 1

    generator = talk()
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    assert recorder.ending == HUNG_UP


def test_a_forgotten_generator(recorder: Recorder, call: Call) -> None:
    def talk() -> Iterator[int]:
        with call:
            call.turn()
            yield 1

    assert next(talk()) == 1
    gc.collect()
    assert recorder.ending == HUNG_UP


def test_a_closed_asynchronous_generator(recorder: Recorder, call: Call) -> None:
    async def talk() -> AsyncIterator[int]:
        with call:
            call.turn()
            yield 1

    async def main() -> None:
        generator = talk()
        assert await generator.__anext__() == 1
        await generator.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    assert recorder.ending == HUNG_UP


def test_an_asynchronous_generator_that_outlives_its_loop(recorder: Recorder, call: Call) -> None:
    async def talk() -> AsyncIterator[int]:
        with call:
            call.turn()
            yield 1

    async def main() -> AsyncIterator[int]:
        generator = talk()
        assert await generator.__anext__() == 1
        return generator

    generator = asyncio.run(main())
    assert recorder.ending == HUNG_UP
    del generator


# ends that nobody says


def test_a_call_that_nobody_refers_to_any_more(recorder: Recorder) -> None:
    call = lone_call(recorder, {})
    call.turn()
    del call
    gc.collect()
    assert recorder.ending == ("error", "internal", "error", "internal")


def test_a_call_in_a_cycle(recorder: Recorder) -> None:
    call = lone_call(recorder, {})
    holder: list[object] = [call]
    holder.append(holder)
    del call, holder
    gc.collect()
    assert recorder.ending == ("failed", "internal", "error", "internal")


# once


def test_every_end_after_the_first_does_nothing(recorder: Recorder) -> None:
    call = lone_call(recorder, {})
    with call:
        call.turn()
        call.end()
        call.error("timeout", "stt")
        call.end()
    call.end()
    del call
    gc.collect()
    assert recorder.ending == ("completed", "none", "completed", None)


def test_nothing_begins_after_the_end(recorder: Recorder, call: Call) -> None:
    call.end()
    call.answer()
    call.turn()
    call.observe("stt", 0)
    assert [event["event"] for event in recorder.events] == ["call_completed"]


def test_many_threads_that_end_a_call_at_once(recorder: Recorder) -> None:
    for _ in range(50):
        recorder.events.clear()
        call = lone_call(recorder, {})
        barrier = threading.Barrier(8)

        def end(call: Call = call, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(10)
            call.answer()
            call.end()

        threads = [threading.Thread(target=end) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(recorder.named("call_completed")) == 1
        assert len(recorder.named("call_started")) == 1
        assert recorder.completed["outcome"] == "completed"


# measures


@pytest.mark.parametrize("turns", [1, 2, 19, 20, 21, 40])
def test_latencies_are_the_nearest_rank_p95_over_turns(
    recorder: Recorder, call: Call, turns: int
) -> None:
    with call:
        for number in range(turns):
            call.turn()
            call.observe("stt", (number + 1) / 100)
            call.observe("eou", (turns - number) / 100)
    rank = -(-95 * turns // 100)
    assert recorder.completed["stt_latency_ms"] == 10 * rank
    assert recorder.completed["eou_latency_ms"] == 10 * rank
    for absent in ("llm_ttft_ms", "tts_first_byte_ms", "latency_ms"):
        assert recorder.completed.get(absent) is None


def test_a_stage_that_ran_reports_at_least_1_and_the_first_of_its_runs_counts(
    recorder: Recorder, call: Call
) -> None:
    with call:
        call.turn()
        with call.stage("stt"):
            pass
        call.observe("llm", 0.0)
        call.observe("tts", 0.25)
        call.observe("tts", 0.5)
    assert recorder.completed["stt_latency_ms"] == 1
    assert recorder.completed["llm_ttft_ms"] == 1
    assert recorder.completed["tts_first_byte_ms"] == 250
    assert recorder.completed["latency_ms"] >= 1


def test_a_stage_that_streams_ends_its_latency_with_the_first_byte(
    recorder: Recorder, call: Call
) -> None:
    with call:
        call.turn()
        begun = time.monotonic()
        with call.stage("tts") as stage:
            stage.first()
            until_first = time.monotonic() - begun
            threading.Event().wait(0.2)
            stage.first()
    assert recorder.completed["tts_first_byte_ms"] <= max(1, until_first * 1_000 + 1)
    assert recorder.completed["latency_ms"] <= max(1, until_first * 1_000 + 1)


def test_a_stage_that_failed_has_no_latency(recorder: Recorder, call: Call) -> None:
    with raising(OSError), call:
        call.turn()
        with call.stage("llm"):
            raise OSError
    assert recorder.completed.get("llm_ttft_ms") is None


def test_cost_duration_and_turns(recorder: Recorder, call: Call) -> None:
    with call:
        for _ in range(5):
            call.turn()
        call.cost(0.1)
        call.cost(0.25)
    assert recorder.completed["cost_usd"] == 0.25
    assert recorder.completed["duration_seconds"] == 0
    assert recorder.completed["turn_count_bucket"] == "4_6"


# a host that says nonsense


class Refuses:
    """Nothing can be asked of it."""

    def __eq__(self, _: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise RuntimeError


ODD: list[Any] = [
    float("nan"),
    float("inf"),
    -float("inf"),
    -1.0,
    1e300,
    None,
    "1",
    [1],
    {},
    Refuses(),
]
ODD_IDS = [type(odd).__name__ + str(number) for number, odd in enumerate(ODD)]
METHODS: dict[str, Callable[[Any, Any], object]] = {
    "observe seconds": lambda call, odd: call.observe("stt", odd),
    "observe name": lambda call, odd: call.observe(odd, 1.0),
    "stage": lambda call, odd: call.stage(odd).__enter__().first(),
    "error code": lambda call, odd: call.error(odd),
    "error stage": lambda call, odd: call.error("timeout", odd),
    "hangup": lambda call, odd: call.hangup(odd),
    "cost": lambda call, odd: call.cost(odd),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("odd", ODD, ids=ODD_IDS)
def test_nonsense_never_reaches_the_call(
    recorder: Recorder, call: Call, method: str, odd: object
) -> None:
    with call:
        call.turn()
        METHODS[method](call, odd)
        call.turn()
    assert len(recorder.named("call_completed")) == 1
    assert len(recorder.named("call_started")) == 1


def test_a_latency_that_is_none_does_not_hide_the_others(recorder: Recorder, call: Call) -> None:
    with call:
        for seconds in (0.1, float("nan"), 0.1, -5.0):
            call.turn()
            call.observe("llm", seconds)
    assert recorder.completed["llm_ttft_ms"] == 100


# the end of the program, for real

# `requests`: on a busy machine half a second may be too short to load it at the end.
HOST = """
import os, requests, sys
from getpatter import Patter
patter = Patter(carrier="none")
call = patter.call(direction="inbound")
call.turn()
"""


def completed(receiver: Receiver) -> list[dict[str, Any]]:
    return [event for event in receiver.events if event["event"] == "call_completed"]


@pytest.mark.parametrize(
    "end", ["", "del patter", "sys.exit(0)", "call.__enter__()", "import gc; patter = None"]
)
def test_a_program_that_ends_with_an_open_call(run: Run, receiver: Receiver, end: str) -> None:
    assert run(HOST + end).returncode == 0
    (event,) = completed(receiver)
    assert event["outcome"] == "completed"
    assert event["disconnect_reason"] == "hangup_local"


def test_a_program_that_ends_with_an_error_in_a_call(run: Run, receiver: Receiver) -> None:
    code = """
with call:
    with call.stage("stt"):
        raise ConnectionError("canary")
"""
    assert run(HOST + code).returncode == 1
    (event,) = completed(receiver)
    assert (event["outcome"], event["error_layer"]) == ("error", "stt")


def test_a_forked_child_does_not_end_its_parents_call(run: Run, receiver: Receiver) -> None:
    code = """
child = os.fork()
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
call.hangup("remote")
call.end()
"""
    assert run(HOST + code).returncode == 0
    (event,) = completed(receiver)
    assert event["disconnect_reason"] == "hangup_remote"


def test_a_forked_child_that_leaves_the_block_does_not_end_it_either(
    run: Run, receiver: Receiver
) -> None:
    code = """
with call:
    child = os.fork()
    if child == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    assert run(HOST + code).returncode == 0
    (event,) = completed(receiver)
    assert event["disconnect_reason"] == "completed"
