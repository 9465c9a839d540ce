"""Which stage a call is blamed on, where several run at a time: tasks, threads and groups."""

import asyncio
import builtins
import concurrent.futures
import gc
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
from lone_call import lone_call

from getpatter import Call

raising = pytest.raises  # around the whole of a call, not one statement
HUNG_UP = ("completed", "none", "hangup_local", None)


class Recorder:
    """Takes what a call records, as a telemetry client would."""

    def __init__(self) -> None:
        self.completed: list[dict[str, Any]] = []

    def record(self, name: str, /, **dimensions: object) -> None:
        if name == "call_completed":
            self.completed.append(dimensions)

    @property
    def ending(self) -> tuple[Any, ...]:
        (said,) = self.completed
        return (said["outcome"], said["error_layer"], said["disconnect_reason"], said["error_code"])


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def call(recorder: Recorder) -> Call:
    return lone_call(recorder, {})


async def stage(call: Call, name: Any, error: BaseException | None = None) -> None:
    """Run a stage that fails at once, or for ever."""
    with call.stage(name):
        await asyncio.sleep(0)
        if error is not None:
            raise error
        await asyncio.Event().wait()


def run(call: Call, talk: Callable[[], Any]) -> None:
    async def whole() -> None:
        with call:
            call.answer()
            await talk()

    with suppress(BaseException):
        asyncio.run(whole())


def test_the_first_of_gathered_stages_that_fails(recorder: Recorder, call: Call) -> None:
    """The other one begins, and is begun anew, after the failure and before it is raised."""

    async def talk() -> None:
        async def again() -> None:
            for _ in range(5):
                with call.stage("tts"):
                    await asyncio.sleep(0)
                call.turn()

        await asyncio.gather(stage(call, "llm", TimeoutError()), again())

    run(call, talk)
    assert recorder.ending == ("error", "llm", "timeout", "timeout")


def test_a_stage_that_fails_in_a_thread_while_others_begin(recorder: Recorder, call: Call) -> None:
    def work() -> None:
        with call.stage("stt"):
            raise PermissionError

    pool = concurrent.futures.ThreadPoolExecutor(1)
    with raising(PermissionError), call, pool:
        call.answer()
        failed = pool.submit(work)
        concurrent.futures.wait([failed])
        call.turn()
        with call.stage("tts"):
            failed.result()
    assert recorder.ending == ("error", "stt", "error", "auth")


def test_a_failure_that_is_kept_and_raised_turns_later(recorder: Recorder, call: Call) -> None:
    with raising(ConnectionError), call:
        kept = ConnectionError()
        with suppress(ConnectionError), call.stage("llm"):
            raise kept
        for _ in range(100):
            call.turn()
            with suppress(ValueError), call.stage("tts"):
                raise ValueError
        raise kept
    assert recorder.ending == ("error", "llm", "error", "connection")


def test_the_deadline_of_a_stage_is_the_stages(recorder: Recorder, call: Call) -> None:
    async def talk() -> None:
        other = asyncio.ensure_future(stage(call, "tts"))
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(stage(call, "llm"), 0.01)
        finally:
            other.cancel()
            await asyncio.wait([other])

    run(call, talk)
    assert recorder.ending == ("error", "llm", "timeout", "timeout")


def test_what_fails_while_a_cancelled_stage_is_cleaned_up(recorder: Recorder, call: Call) -> None:
    """The stage did not fail: the program did, after it."""

    async def talk() -> None:
        task = asyncio.ensure_future(stage(call, "tts"))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        finally:
            raise KeyError

    run(call, talk)
    assert recorder.ending == ("error", "internal", "error", "internal")


def test_a_cancelled_future_of_a_thread_is_no_failure(recorder: Recorder, call: Call) -> None:
    with raising(concurrent.futures.CancelledError), call:
        call.answer()
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        future.cancel()
        with call.stage("tts"):
            future.result()
    assert recorder.ending == HUNG_UP


def test_a_stage_that_fails_while_the_failure_of_another_is_handled(
    recorder: Recorder, call: Call
) -> None:
    """The first was handled, in vain: what ended the call is the second."""
    with raising(PermissionError), call:
        call.answer()
        try:
            with call.stage("llm"):
                raise TimeoutError  # noqa: TRY301
        except TimeoutError:
            with call.stage("tts"):
                raise PermissionError  # noqa: B904 - the context alone
    assert recorder.ending == ("error", "tts", "error", "auth")


@pytest.mark.parametrize("is_caused", [True, False])
def test_a_failure_made_of_another_within_an_outer_stage(
    recorder: Recorder, call: Call, *, is_caused: bool
) -> None:
    with raising(RuntimeError), call, call.stage("carrier"):
        call.answer()
        try:
            with call.stage("llm"):
                raise TimeoutError  # noqa: TRY301
        except TimeoutError as error:
            if is_caused:
                raise RuntimeError from error
            raise RuntimeError from None
    assert recorder.ending == ("error", "llm", "timeout", "timeout")


def test_exceptions_that_say_nothing_sensible_of_themselves(recorder: Recorder, call: Call) -> None:
    class Odd(Exception):  # noqa: N818
        exceptions = property(lambda _: 1 / 0)
        __cause__ = property(lambda _: 1 / 0)
        __class__ = property(lambda _: 1 / 0)

    odd = Odd()
    with raising(Odd) as raised, call, call.stage("tts"):
        raise odd
    assert raised.value is odd
    assert recorder.ending == ("error", "tts", "error", "provider_error")


def test_exceptions_that_hold_themselves(recorder: Recorder, call: Call) -> None:
    class Loop(Exception):  # noqa: N818
        @property
        def exceptions(self) -> list[Exception]:
            return [self] * 10_000

    one, two = Loop(), RuntimeError()
    one.__cause__, two.__context__ = two, one
    with raising(RuntimeError), call:
        call.answer()
        raise two
    assert recorder.ending == ("error", "internal", "error", "internal")


def test_what_a_stage_failed_with_is_let_go(recorder: Recorder, call: Call) -> None:
    """An exception holds the variables of all functions that it went through: audio, say."""

    class Audio:
        pass

    def fail() -> "weakref.ref[Audio]":
        audio = Audio()
        alive.append(weakref.ref(audio))
        with call.stage("tts"):
            raise TimeoutError

    alive: list[weakref.ref[Audio]] = []
    gc.disable()
    try:
        with call:
            for _ in range(10):
                with suppress(TimeoutError):
                    fail()
                call.turn()
            assert [audio() for audio in alive] == [None] * 10
    finally:
        gc.enable()
    assert recorder.ending == ("completed", "none", "completed", None)


def test_stages_that_fail_in_many_threads_at_once(recorder: Recorder, call: Call) -> None:
    threads = 8
    gate = threading.Barrier(threads)

    def work(n: int) -> None:
        gate.wait()
        for _ in range(200):
            with suppress(ValueError), call.stage("llm"):
                raise ValueError(n)

    with concurrent.futures.ThreadPoolExecutor(threads) as pool, raising(PermissionError), call:
        for done in [pool.submit(work, n) for n in range(threads)]:
            done.result()
        with call.stage("tts"):
            raise PermissionError
    assert recorder.ending == ("error", "tts", "error", "auth")


# Groups are new in 3.11.
if sys.version_info >= (3, 11):
    Group: Any = getattr(builtins, "BaseExceptionGroup")  # noqa: B009 - not known to 3.10
    message = "several"

    def test_a_task_group_in_which_a_stage_fails_and_another_is_cancelled(
        recorder: Recorder, call: Call
    ) -> None:
        async def talk() -> None:
            async def answer() -> None:
                async with asyncio.timeout(0.01):
                    await stage(call, "llm")

            async with asyncio.TaskGroup() as group:
                group.create_task(stage(call, "stt"))
                group.create_task(answer())
                group.create_task(stage(call, "tts"))

        run(call, talk)
        assert recorder.ending == ("error", "llm", "timeout", "timeout")

    def test_a_nursery_in_which_a_stage_fails_and_another_is_cancelled(
        recorder: Recorder, call: Call
    ) -> None:
        async def work(name: Any, seconds: float) -> None:
            with call.stage(name), trio.fail_after(seconds):
                await trio.sleep_forever()

        async def whole() -> None:
            with call:
                call.answer()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(work, "tts", 60)
                    nursery.start_soon(work, "llm", 0.01)

        with suppress(BaseException):
            trio.run(whole)
        assert recorder.ending == ("error", "llm", "timeout", "timeout")

    def test_task_groups_within_a_stage_within_a_task_group(recorder: Recorder, call: Call) -> None:
        async def talk() -> None:
            async def inner() -> None:
                with call.stage("carrier"):
                    async with asyncio.TaskGroup() as group:
                        group.create_task(stage(call, "tts"))
                        group.create_task(stage(call, "stt", PermissionError()))

            async with asyncio.TaskGroup() as group:
                group.create_task(stage(call, "llm"))
                group.create_task(inner())

        run(call, talk)
        assert recorder.ending == ("error", "stt", "error", "auth")

    def test_a_group_that_leaves_a_stage_is_split_by_who_handles_a_part(
        recorder: Recorder, call: Call
    ) -> None:
        with raising(Group), call:
            call.answer()
            try:
                with call.stage("tts"):
                    raise Group(message, [ValueError(), TimeoutError()])  # noqa: TRY301
            except Group as both:
                _, rest = both.split(ValueError)
                assert rest is not None
                raise rest from None
        assert recorder.ending == ("error", "tts", "timeout", "timeout")

    @pytest.mark.parametrize("stop", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
    def test_a_group_of_a_failure_and_what_ends_a_program(
        recorder: Recorder, call: Call, stop: type[BaseException]
    ) -> None:
        failure = ConnectionError()
        with raising(Group), call:
            call.answer()
            with suppress(ConnectionError), call.stage("stt"):
                raise failure
            raise Group(message, [stop(), failure])
        assert recorder.ending == ("error", "stt", "error", "connection")

    def test_a_group_of_nothing_but_cancellations(recorder: Recorder, call: Call) -> None:
        with raising(Group), call:
            call.answer()
            stops = [asyncio.CancelledError(), KeyboardInterrupt()]
            with call.stage("tts"):
                raise Group(message, stops)
        assert recorder.ending == HUNG_UP
