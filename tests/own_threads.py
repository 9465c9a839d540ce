"""The threads that telemetry has in this process, by the module whose work they do."""

import sys
from types import FrameType


def own_threads(module: str) -> set[int]:
    """Return the idents of the threads that do the work of a module of `delivery` now."""
    return {
        ident
        for ident, frame in sys._current_frames().items()
        if _outermost(frame) and module in _files(frame)
    }


def _frames(frame: FrameType | None) -> list[FrameType]:
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def _outermost(frame: FrameType) -> bool:
    return _frames(frame)[-1].f_code.co_filename.endswith("delivery/threads.py")


def _files(frame: FrameType) -> set[str]:
    names = [each.f_code.co_filename.rpartition("/delivery/")[2] for each in _frames(frame)[-2:]]
    return {name.removesuffix(".py") for name in names}


# For a program, before it loads telemetry: no thread can be started until `allow_threads()`.
NO_THREADS = """
import _thread, threading
class Refused:
    def __init__(self, start):
        self.start = start
        self.is_refusing = True
    def __call__(self, *args, **named):
        if self.is_refusing:
            raise RuntimeError("can't start new thread")
        return self.start(*args, **named)
refused = []
for module in (_thread, threading):
    for name in ("start_new_thread", "start_joinable_thread"):
        name = name if module is _thread else "_" + name
        if hasattr(module, name):
            refused.append(Refused(getattr(module, name)))
            setattr(module, name, refused[-1])
def allow_threads():
    for each in refused:
        each.is_refusing = False
"""
