"""What every program of these tests has in it: no way out of this machine; optionally a tracer.

Python imports this module by itself because its folder stands in PYTHONPATH. With DROPIN_TRACE set
it writes to that file which names of `getpatter.telemetry` the rest of getpatter took, and how it
called them: seen from outside, without a look at its code. A call that cannot be bound to the
signature, a name that does not exist and an exception that comes out are noted, because the host
may swallow all three.
"""

import atexit
import importlib.abc
import importlib.machinery
import inspect
import json
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

PACKAGE = "getpatter.telemetry"
_HERE = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", None)  # noqa: S104 - a name to compare with


def _stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if host not in _HERE:
        message = f"not from a test: {host!r}"
        raise ConnectionRefusedError(message)


sys.addaudithook(_stay_here)

_names: set[str] = set()
_missing: set[str] = set()
_calls: set[tuple[str, tuple[str, ...]]] = set()
_failures: set[str] = set()


def _is_host(frame: types.FrameType) -> bool:
    """Return whether the code belongs to getpatter, but not to its telemetry."""
    name = frame.f_globals.get("__name__", "")
    ours = name == PACKAGE or name.startswith(PACKAGE + ".")
    return name.split(".")[0] == "getpatter" and not ours


def _watched_call(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    def call(*positional: Any, **named: Any) -> Any:
        if not _is_host(sys._getframe(1)):
            return function(*positional, **named)
        try:
            given = signature.bind(*positional, **named).arguments
        except TypeError as error:
            _failures.add(f"{name}: {error}")
            raise
        _calls.add((name, tuple(argument for argument in given if argument != "self")))
        try:
            return function(*positional, **named)
        except Exception as error:
            _failures.add(f"{name} raised {type(error).__name__}")
            raise

    return call


def _watch_class(name: str, cls: type) -> None:
    for attribute, value in list(vars(cls).items()):
        if isinstance(value, types.FunctionType) and (
            attribute == "__init__" or not attribute.startswith("_")
        ):
            setattr(cls, attribute, _watched_call(f"{name}.{attribute}", value))

    def no_such(_: object, attribute: str) -> Any:
        if _is_host(sys._getframe(1)):
            _missing.add(f"{name}.{attribute}")
        raise AttributeError(attribute)

    cls.__getattr__ = no_such  # type: ignore[attr-defined] # asked only for what is not there


class _WatchedModule(types.ModuleType):
    def __getattribute__(self, attribute: str) -> Any:
        get = types.ModuleType.__getattribute__
        if attribute.startswith("__") or not _is_host(sys._getframe(1)):
            return get(self, attribute)
        name = f"{get(self, '__name__')}.{attribute}"[len("getpatter.") :]
        try:
            value = get(self, attribute)
        except AttributeError:
            _missing.add(name)
            raise
        if not isinstance(value, types.ModuleType):
            _names.add(name)
        return _watched_call(name, value) if isinstance(value, types.FunctionType) else value


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != PACKAGE and not name.startswith(PACKAGE + "."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            _missing.add(name)
            return None
        execute = spec.loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            module.__class__ = _WatchedModule
            client = vars(module).get("TelemetryClient")
            if client is not None:
                _watch_class("telemetry.TelemetryClient", client)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _write(path: str) -> None:
    found = {
        "names": sorted(_names),
        "missing": sorted(_missing),
        "calls": sorted(f"{name}({', '.join(given)})" for name, given in _calls),
        "failures": sorted(_failures),
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(found, file)


if os.environ.get("DROPIN_TRACE"):
    sys.meta_path.insert(0, _Finder())
    atexit.register(_write, os.environ["DROPIN_TRACE"])
