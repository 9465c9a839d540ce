"""Which stage a call is blamed on, for random programs whose right answer is known.

A program is a tree of stages, groups, handlers and deadlines. It is run for real, members of a
group in turns within one another, and each node also says what must be blamed, from its children's
answers alone.
"""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from lone_call import lone_call

from getpatter import Call

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

LAYERS = {"stt": "stt", "eou": "stt", "llm": "llm", "tts": "tts", "carrier": "carrier"}
FAILURES: dict[type[Exception], str | None] = {
    TimeoutError: "timeout",
    PermissionError: "auth",
    ConnectionResetError: "connection",
    KeyError: None,
    ValueError: None,
}
STOPS: tuple[type[BaseException], ...] = (
    *(asyncio.CancelledError, concurrent.futures.CancelledError),
    *(KeyboardInterrupt, GeneratorExit),
)


class _Group(BaseException):
    """What groups on a Python that has no groups; also of exceptions that end programs."""

    def __init__(self, message: str, exceptions: list[BaseException]) -> None:
        super().__init__(message)
        self.exceptions = tuple(exceptions)


class _FailureGroup(_Group, Exception):  # noqa: N818
    pass


def group(errors: list[BaseException]) -> BaseException:
    name = "BaseExceptionGroup"
    if hasattr(builtins, name):
        made: BaseException = getattr(builtins, name)("several", errors)
        return made
    kind = _FailureGroup if all(isinstance(e, Exception) for e in errors) else _Group
    return kind("several", errors)


@types.coroutine
def switch() -> Generator[None, None, None]:
    """Let the other members of a group run."""
    yield


# The stage that a failure came from, if one, and its error code, if it has one.
Failure = tuple["str | None", "str | None"]


@dataclass(frozen=True)
class Answer:
    """What came out of a program: `fine`, `stop` (on purpose), `stops` (a group of those), or
    `failure`: which ones, in their order. `stage` is that which was stopped.
    """

    outcome: str
    stage: str | None = None
    failures: tuple[Failure, ...] = ()

    @property
    def blamed(self) -> Failure:
        """The first failure of a stage; if there is none, the first."""
        return next((one for one in self.failures if one[0]), self.failures[0])


FINE = Answer("fine")


def failed(*failures: Failure) -> Answer:
    return Answer("failure", None, failures)


class Node:
    async def run(self, call: Call) -> None:
        raise NotImplementedError

    def answer(self) -> Answer:
        raise NotImplementedError


@dataclass(frozen=True)
class Fine(Node):
    async def run(self, call: Call) -> None:  # noqa: ARG002 - as every node
        await switch()

    def answer(self) -> Answer:
        return FINE


@dataclass(frozen=True)
class Fails(Node):
    kind: type[Exception]

    async def run(self, call: Call) -> None:  # noqa: ARG002 - as every node
        await switch()
        raise self.kind

    def answer(self) -> Answer:
        return failed((None, FAILURES[self.kind]))


@dataclass(frozen=True)
class Stops(Node):
    kind: type[BaseException]

    async def run(self, call: Call) -> None:  # noqa: ARG002 - as every node
        await switch()
        raise self.kind

    def answer(self) -> Answer:
        return Answer("stop")


@dataclass(frozen=True)
class Staged(Node):
    """The innermost stage that a failure leaves is the one that it came from: each of a group's."""

    stage: Any
    inner: Node

    async def run(self, call: Call) -> None:
        with call.stage(self.stage):
            await self.inner.run(call)
            await switch()

    def answer(self) -> Answer:
        inner = self.inner.answer()
        if inner.outcome == "stop":
            return Answer("stop", inner.stage or self.stage)
        failures = tuple((stage or self.stage, code) for stage, code in inner.failures)
        return Answer(inner.outcome, None, failures)


@dataclass(frozen=True)
class Then(Node):
    first: Node
    second: Node

    async def run(self, call: Call) -> None:
        await self.first.run(call)
        await self.second.run(call)

    def answer(self) -> Answer:
        first = self.first.answer()
        return self.second.answer() if first.outcome == "fine" else first


@dataclass(frozen=True)
class Handled(Node):
    """A failure that was handled has no say in what comes after it."""

    first: Node
    second: Node

    async def run(self, call: Call) -> None:
        try:
            await self.first.run(call)
        except BaseException:
            call.turn()
        await self.second.run(call)

    def answer(self) -> Answer:
        return self.second.answer()


@dataclass(frozen=True)
class Wrapped(Node):
    """A failure that another is made of decides; a cancellation only if it is said to be why."""

    inner: Node
    how: str

    async def run(self, call: Call) -> None:
        try:
            await self.inner.run(call)
        except BaseException as error:
            await switch()
            if self.how == "from":
                raise RuntimeError from error
            if self.how == "suppressed":
                raise RuntimeError from None
            raise RuntimeError  # noqa: B904 - the context alone

    def answer(self) -> Answer:
        inner = self.inner.answer()
        if inner.outcome == "fine":
            return inner
        if inner.outcome != "failure":
            return failed((inner.stage if self.how == "from" else None, None))
        stage, code = inner.blamed
        return failed((stage, code if stage else None))


@dataclass(frozen=True)
class Deadline(Node):
    """A cancellation becomes a timeout."""

    inner: Node

    async def run(self, call: Call) -> None:
        try:
            await self.inner.run(call)
        except STOPS as error:
            raise TimeoutError from error

    def answer(self) -> Answer:
        inner = self.inner.answer()
        return failed((inner.stage, "timeout")) if inner.outcome == "stop" else inner


@dataclass(frozen=True)
class Together(Node):
    """All of them fail together; cancellations are no failures."""

    members: tuple[Node, ...]
    order: tuple[int, ...]

    async def run(self, call: Call) -> None:
        running = {n: member.run(call) for n, member in enumerate(self.members)}
        errors: dict[int, BaseException] = {}
        turns = iter(self.order)
        while running:
            choice = list(running)[next(turns, 0) % len(running)]
            try:
                running[choice].send(None)
            except StopIteration:
                del running[choice]
            except BaseException as error:
                del running[choice]
                errors[choice] = error
            else:
                await switch()
        if errors:
            raise group([errors[n] for n in sorted(errors)])

    def answer(self) -> Answer:
        answers = [member.answer() for member in self.members]
        failures = [failure for answer in answers for failure in answer.failures]
        if failures:
            return failed(*failures)
        return FINE if all(one.outcome == "fine" for one in answers) else Answer("stops")


LEAVES = st.one_of(
    st.just(Fine()),
    st.sampled_from(sorted(FAILURES, key=str)).map(Fails),
    st.sampled_from(STOPS).map(Stops),
)


def nested(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.one_of(
        st.builds(Staged, st.sampled_from(sorted(LAYERS)), inner),
        st.builds(Then, inner, inner),
        st.builds(Handled, inner, inner),
        st.builds(Wrapped, inner, st.sampled_from(["from", "plain", "suppressed"])),
        st.builds(Deadline, inner),
        st.builds(
            Together,
            st.lists(inner, min_size=1, max_size=3).map(tuple),
            st.lists(st.integers(0, 2), max_size=8).map(tuple),
        ),
    )


PROGRAMS: st.SearchStrategy[Node] = st.recursive(LEAVES, nested, max_leaves=8)


class Recorder:
    def __init__(self) -> None:
        self.completed: list[dict[str, Any]] = []

    def record(self, name: str, /, **dimensions: object) -> None:
        if name == "call_completed":
            self.completed.append(dimensions)


def run_to_the_end(running: Coroutine[Any, Any, None]) -> None:
    while True:
        try:
            running.send(None)
        except StopIteration:
            return


@settings(max_examples=400, deadline=None)
@given(PROGRAMS)
def test_a_call_is_blamed_on_the_stage_that_the_failure_came_from(program: Node) -> None:
    recorder = Recorder()
    try:
        with lone_call(recorder, {}) as call:
            call.answer()
            run_to_the_end(program.run(call))
    except BaseException as error:
        if program.answer().outcome == "fine":
            raise AssertionError from error
    (said,) = recorder.completed
    answer = program.answer()
    found = (said["outcome"], said["error_layer"], said["disconnect_reason"], said["error_code"])
    if answer.outcome == "fine":
        assert found == ("completed", "none", "completed", None)
    elif not answer.failures:
        assert found == ("completed", "none", "hangup_local", None)
    else:
        stage, code = answer.blamed
        code = code or ("provider_error" if stage else "internal")
        unknown = "internal" if code == "internal" else "other"
        reason = "timeout" if code == "timeout" else "error"
        assert found == ("error", LAYERS[stage] if stage else unknown, reason, code)
