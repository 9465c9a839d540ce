"""Blame: which stage the exception that ended a call came from, and which error code it stands for.

A stage marks each exception that leaves it. At the end of the call the chain (`__cause__`,
`__context__`, also a suppressed one) and the groups of the exception that ended it are searched for
a mark, so other stages that run, fail or are cancelled meanwhile have no say. A failure that was
handled is in no such chain. Does no I/O and takes no lock.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import sys
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from getpatter.calls.enums import FailureCode
from getpatter.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ERROR_CODES", "Blame", "Fault", "error_code", "failure_code"]

#: What an error code of `call_completed` can be; anything else is free text.
ERROR_CODES = frozenset(
    {
        *("auth", "config", "connection", "input_validation", "internal", "provider_error"),
        *("provision", "rate_limit", "timeout", "webhook_verification", "other"),
    }
)
# Exception → error code, failure code: the first that fits.
_CODES: tuple[tuple[type[BaseException], str, FailureCode], ...] = (
    (TimeoutError, "timeout", FailureCode.REQUEST_TIMEOUT),
    (concurrent.futures.TimeoutError, "timeout", FailureCode.REQUEST_TIMEOUT),
    (PermissionError, "auth", FailureCode.SERVER_ERROR),
    (ConnectionError, "connection", FailureCode.NETWORK_ERROR),
    (ConfigurationError, "config", FailureCode.CUSTOM),
)
# Timeouts that are no builtin ones, asyncio's until 3.10: to import asyncio costs every host 30 ms.
_TIMEOUTS = frozenset({("asyncio.exceptions", "TimeoutError"), ("trio", "TooSlowError")})
# How many links of chains and groups are followed: what is longer is a loop or a retry without end.
_LINKS = 256
# Marks that are kept: far more failures than are on their way at once in one call.
_MARKS = 32


class Fault(NamedTuple):
    """What a failed call is blamed on. `stage` is None outside of any, `code` for no known one."""

    stage: str | None
    code: str | None
    failure_code: FailureCode


class _Mark(NamedTuple):
    # Referred to, so that no other exception gets its id.
    error: BaseException
    stage: str
    number: int


class Blame:
    """The marks of one call. Safe from any thread."""

    __slots__ = ("_marks", "_numbers", "_order")

    def __init__(self) -> None:
        self._marks: dict[int, _Mark] = {}
        self._order: deque[int] = deque()
        self._numbers = itertools.count(1)

    def begin(self) -> int:
        """Begin a stage: return its number, which `mark` takes."""
        if self._marks:
            self.release()
        return next(self._numbers)

    def mark(self, error: BaseException, stage: str, since: int) -> None:
        """Mark an exception that leaves a stage, unless it came from another one.

        It did if that one is marked already, or its cause, or what a failure was made of within
        this stage; not if this stage was begun while that failure was being handled.
        """
        for leaf in itertools.islice(_leaves(error), _MARKS):
            if self._find(leaf, since, is_made_of=True) is None:
                key = id(leaf)
                self._marks[key] = _Mark(leaf, stage, next(self._numbers))
                self._order.append(key)
        while len(self._order) > _MARKS:
            self._drop_oldest()

    def fault(self, error: BaseException) -> Fault | None:
        """Return what the call that `error` ends is blamed on; None if it was ended on purpose.

        That is so for a cancelled task, a closed generator, Ctrl-C, and a group of nothing else.
        Of several failures the first that came from a stage decides.
        """
        failure = _first_failure(error)
        if failure is None:
            return None
        found = self._find(error, 0, is_made_of=False)
        return Fault(None, *_codes(failure)) if found is None else found

    def release(self) -> None:
        """Let go of exceptions that nobody else refers to: they end no call any more.

        They hold the variables of the host's functions.
        """
        for _ in range(len(self._order)):
            try:
                key = self._order.popleft()
                mark = self._marks[key]
            except LookupError:  # another thread was here
                continue
            if _references(mark) <= _OURS:
                self._marks.pop(key, None)
            else:
                del mark
                self._order.append(key)

    def _drop_oldest(self) -> None:
        try:
            self._marks.pop(self._order.popleft(), None)
        except IndexError:  # another thread was here
            return

    def _find(self, error: BaseException, since: int, *, is_made_of: bool) -> Fault | None:
        """Return the nearest mark: groups before causes before contexts.

        Of contexts only one after `since` counts, and a cancellation only where a failure was made
        of it, as a timeout is.
        """
        todo = [(error, is_made_of, 0, _UNKNOWN)]
        seen: set[int] = set()
        for _ in range(_LINKS):
            if not todo:
                break
            link, is_made_of, after, known = todo.pop()
            is_failure = not _is_cancellation(link)
            grouped = _grouped(link)
            if id(link) in seen or not (is_failure or is_made_of or grouped):
                continue
            seen.add(id(link))
            code, failure_code = (None, FailureCode.CUSTOM) if grouped else _codes(link)
            known = known if known.code or code is None else Fault(None, code, failure_code)
            mark = self._marks.get(id(link))
            if mark is not None and mark.error is link and mark.number > after:
                return known._replace(stage=mark.stage)
            cause, context = _chained(link)
            is_timeout = is_made_of if not is_failure else code == "timeout"
            if context is not None:
                todo.append((context, is_timeout, since, known))
            if cause is not None:
                todo.append((cause, True, after, known))
            todo += [(member, False, after, known) for member in reversed(grouped)]
        return None


def error_code(error: BaseException) -> str | None:
    """Return the error code of `call_completed` that an exception stands for, if one is known."""
    failure = _first_failure(error)
    return None if failure is None else _codes(failure)[0]


def failure_code(error: BaseException) -> FailureCode:
    """Return the code with which a stage fails that an exception leaves."""
    failure = _first_failure(error)
    return FailureCode.CLIENT_ABORTED if failure is None else _codes(failure)[1]


def _first_failure(error: BaseException) -> BaseException | None:
    return next((leaf for leaf in _leaves(error) if not _is_cancellation(leaf)), None)


def _is_cancellation(error: BaseException) -> bool:
    """Return whether this side ends something: a task, a generator, a future or the program."""
    kind = type(error)  # not `__class__`, which may be anything
    return issubclass(kind, concurrent.futures.CancelledError) or not issubclass(kind, Exception)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield what is in a group, however nested, in its order; else the exception itself."""
    todo, seen = [error], set()
    for _ in range(_LINKS):
        if not todo:
            return
        link = todo.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        grouped = _grouped(link)
        if grouped:
            todo += reversed(grouped)
        else:
            yield link


def _grouped(error: BaseException) -> list[BaseException]:
    """Return what a group holds. Known by its attribute: before 3.11 groups are of many makes."""
    try:
        held = getattr(error, "exceptions", None)
        if type(held) is not tuple and type(held) is not list:
            return []
        return [one for one in held[:_LINKS] if _is_exception(one)]
    except Exception:  # an attribute of the host's may raise anything
        return []


def _chained(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    try:
        chained = (error.__cause__, error.__context__)
    except Exception:  # as above
        return None, None
    cause, context = (one if _is_exception(one) else None for one in chained)
    return cause, context


def _is_exception(value: object) -> bool:
    return issubclass(type(value), BaseException)


def _codes(error: BaseException) -> tuple[str | None, FailureCode]:
    for kind, code, failure in _CODES:
        if issubclass(type(error), kind):
            return code, failure
    if any((kind.__module__, kind.__name__) in _TIMEOUTS for kind in type(error).__mro__):
        return "timeout", FailureCode.REQUEST_TIMEOUT
    return None, FailureCode.CUSTOM


def _references(mark: _Mark) -> int:
    # An interpreter that does not count keeps them until there are too many, or the call ends.
    count = getattr(sys, "getrefcount", None)
    return _OURS + 1 if count is None else count(mark.error)


_UNKNOWN = Fault(None, None, FailureCode.CUSTOM)
# What `_references` says of an exception that nobody but its mark refers to.
_OURS = 0
_OURS = _references(_Mark(Exception(), "", 0))
