"""`assert_silent`: a block of code that must leave no trace outside the memory of its process.

Watches by one audit hook, which Python cannot take out again: it is installed at the first use and
looks at nothing outside a block. `_WATCHES` is its only state: the watches of the blocks that are
under way, replaced as a whole under `_LOCK` and read without it. It stops nothing from happening.
"""

from __future__ import annotations

import _thread
import functools
import inspect
import sys
import threading
from contextlib import ContextDecorator
from typing import TYPE_CHECKING, Any

from getpatter.telemetry.delivery import threads
from getpatter.telemetry.delivery.threads import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, ModuleType, TracebackType

    from typing_extensions import Self

__all__ = ["assert_silent"]

# Audit event → what a person calls it. `open` with a number opens no file: somebody else did.
_KINDS = {
    "_thread.start_new_thread": "thread",
    "_thread.start_joinable_thread": "thread",
    "_winapi.CreateProcess": "process",
    "os.exec": "process",
    "os.fork": "process",
    "os.forkpty": "process",
    "os.posix_spawn": "process",
    "os.spawn": "process",
    "os.startfile": "process",
    "os.system": "process",
    "subprocess.Popen": "process",
    "socket.getaddrinfo": "name look-up",
    "socket.gethostbyaddr": "name look-up",
    "socket.gethostbyname": "name look-up",
    "socket.getnameinfo": "name look-up",
    "socket.__new__": "socket",
    "socket.bind": "socket",
    "socket.connect": "socket",
    "socket.sendmsg": "socket",
    "socket.sendto": "socket",
    "open": "file",
    "os.chmod": "file",
    "os.chown": "file",
    "os.link": "file",
    "os.mkdir": "file",
    "os.remove": "file",
    "os.rename": "file",
    "os.rmdir": "file",
    "os.symlink": "file",
    "os.truncate": "file",
    "os.utime": "file",
}
# Loading a module reads files and may write byte code; which modules count is judged by name.
_IMPORTING = ("importlib.", "_frozen_importlib", "zipimport", "_pytest.assertion.rewrite")
# What stands between an importer and the file.
_BETWEEN = frozenset({"io", "os", "pathlib", "pathlib._local", "genericpath"})
# Also of the standard library, though not in the list of it; and ourselves, who load late.
_OURS = frozenset({"getpatter", "__main__", "__mp_main__", "sitecustomize", "usercustomize"})
_FRAMES = 4  # enough to find the line, short enough to read

_START = _thread.start_new_thread
_LOCK = threading.Lock()
_WATCHES: tuple[_Watch, ...] = ()
_HOOKS: list[Callable[[str, tuple[Any, ...]], None]] = []  # one, once it is installed


class assert_silent(ContextDecorator):  # noqa: N801 - reads as the function it is used like
    """Fail if the block starts a thread or process, opens a socket or file, or looks up a name.

    Loading a third-party module counts too; loading one of the standard library or of getpatter
    does not, nor do the files that loading takes. Watched are the thread that runs the block and
    the threads that it starts, until the block ends; what other threads do meanwhile is theirs.

    >>> import socket
    >>> with assert_silent():
    ...     sum(range(10))
    45
    >>> with assert_silent():
    ...     socket.socket().close()
    Traceback (most recent call last):
    AssertionError: not silent:
      socket: socket.__new__(socket, int, int, int) at ...

    The AssertionError lists what happened and where: the kind, the audit event, the types of its
    arguments (the path, for a file) and the innermost lines. An exception of the block itself goes
    before. Also a decorator, of functions and of coroutine functions.
    """

    def __init__(self) -> None:
        self._watch: _Watch | None = None

    def _recreate_cm(self) -> Self:
        return type(self)()  # each call of a decorated function is a block of its own

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:  # type: ignore[override]
        """Watch each call of `func`."""
        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            message = "assert_silent cannot decorate a generator: its body runs in pieces"
            raise TypeError(message)
        if not inspect.iscoroutinefunction(func):
            return super().__call__(func)

        @functools.wraps(func)
        async def watched(*args: object, **kwargs: object) -> object:
            with self._recreate_cm():
                return await func(*args, **kwargs)

        return watched

    def __enter__(self) -> None:
        """Begin to watch this thread."""
        if self._watch is not None:
            message = "this block is already active: each needs an assert_silent() of its own"
            raise RuntimeError(message)
        self._watch = _Watch()
        _begin(self._watch)

    def __exit__(
        self, kind: type[BaseException] | None, _: object, traceback: TracebackType | None
    ) -> None:
        """Stop watching, and raise AssertionError unless the block was silent."""
        watch, self._watch = self._watch, None
        if watch is None:
            return
        _end(watch)
        found = watch.findings()
        if found and kind is None:
            raise AssertionError("\n  ".join(("not silent:", *found)))


class _Watch:
    """What one block does. Written by the hook, on the block's threads, with atomic appends."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._started: list[threading.Thread | OwnThread] = []
        self._findings: list[str] = []
        self._asked: dict[str, str] = {}  # module, or the file of its code → where
        self._modules = set(sys.modules)

    def is_mine(self) -> bool:
        """Return whether the current thread is the block's, or was started by it."""
        current = threading.get_ident()
        return current == self._thread or any(one.ident == current for one in self._started)

    def note(self, kind: str, event: str, args: tuple[Any, ...], frame: FrameType | None) -> None:
        """Keep what happened, unless it only serves an import."""
        if kind == "file" and (isinstance(args[0], int) or _is_importing(frame)):
            return
        if kind == "thread":
            thread = getattr(args[0], "__self__", None)
            if isinstance(thread, threading.Thread | OwnThread):
                self._started.append(thread)
        types = ", ".join(type(value).__name__ for value in args)
        path = f" {_path(args[0])!r}" if kind == "file" else ""
        self._findings.append(f"{kind}: {event}({types}){path} at {_where(frame)}")

    def note_import(self, name: str, frame: FrameType | None) -> None:
        """Keep that this module was asked for, or that the code of this file is run as one."""
        self._asked.setdefault(name, _where(frame))

    def findings(self) -> list[str]:
        """Return what happened in words, third-party modules last, each package once."""
        packages: dict[str, str] = {}
        for name in sorted(set(sys.modules) - self._modules):
            package = name.partition(".")[0]
            if package in _OURS or package in sys.stdlib_module_names or package in packages:
                continue
            where = self._asked.get(name) or self._asked.get(_file(sys.modules[name]))
            if where is not None:  # else another thread loaded it
                packages[package] = f"import: {name} at {where}"
        return [*self._findings, *packages.values()]


def _begin(watch: _Watch) -> None:
    global _WATCHES  # noqa: PLW0603 - see the module's first lines
    with _LOCK:
        if not _HOOKS:
            _HOOKS.append(_on_audit_event)
            sys.addaudithook(_on_audit_event)
        if not _WATCHES:
            _replace_start(_START, _audited_start)
        _WATCHES = (*_WATCHES, watch)


def _end(watch: _Watch) -> None:
    global _WATCHES  # noqa: PLW0603 - see the module's first lines
    with _LOCK:
        _WATCHES = tuple(one for one in _WATCHES if one is not watch)
        if not _WATCHES:
            _replace_start(_audited_start, _START)


def _replace_start(old: object, new: object) -> None:
    """Before Python 3.12 starting a thread is no audit event, so that we raise it in its place."""
    if sys.version_info >= (3, 12):
        return
    starts = (_thread, "start_new_thread"), (threading, "_start_new_thread")
    for module, name in (*starts, (threads, "start_new_thread")):
        if getattr(module, name) is old:  # somebody else's stays
            setattr(module, name, new)


def _audited_start(function: Any, args: Any, kwargs: Any = None) -> int:  # noqa: ANN401 - any
    sys.audit("_thread.start_new_thread", function, args, kwargs)
    return _START(function, args) if kwargs is None else _START(function, args, kwargs)


def _on_audit_event(event: str, args: tuple[Any, ...]) -> None:
    """Note what concerns a block. Runs on every thread, inside whatever is happening there."""
    watches = _WATCHES
    if not watches:
        return
    if event == "import":
        name = args[0]
    elif event == "exec":
        name = _module_file(args[0])
    else:
        name = None
    kind = _KINDS.get(event)
    if kind is None and name is None:
        return
    for watch in watches:
        if watch.is_mine():
            frame = sys._getframe(1)  # noqa: SLF001 - the only way to say where
            if kind is not None:
                watch.note(kind, event, args, frame)
            elif name is not None:
                watch.note_import(name, frame)


def _module_file(code: CodeType | str) -> str | None:
    """Return the file of a module's code; None for any other code that is run."""
    if getattr(code, "co_name", None) != "<module>":
        return None
    return str(getattr(code, "co_filename", "")) or None


def _file(module: ModuleType) -> str:
    return str(getattr(module, "__file__", None) or "")


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_globals.get("__name__") in _BETWEEN:
        frame = frame.f_back
    name = str(frame.f_globals.get("__name__", "")) if frame is not None else ""
    return name.startswith(_IMPORTING)


def _where(frame: FrameType | None) -> str:
    """Return the innermost lines but those of importing and of ours: `file:line in name < …`."""
    lines: list[str] = []
    while frame is not None and len(lines) < _FRAMES:
        if not str(frame.f_globals.get("__name__", "")).startswith((*_IMPORTING, __name__)):
            code = frame.f_code
            lines.append(f"{code.co_filename}:{frame.f_lineno} in {code.co_name}")
        frame = frame.f_back
    return " < ".join(lines)


def _path(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
