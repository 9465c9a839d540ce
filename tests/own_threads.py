"""The threads that telemetry has in this process, by the module whose work they do."""

import sys
from types import FrameType


def own_threads(module: str) -> set[FrameType]:
    """Return the outermost frame of each thread that does the work of a module of `delivery` now.

    Not its ident, which the next thread gets as soon as this one ends.
    """
    return {
        frames[-1]
        for frames in map(_frames, sys._current_frames().values())
        if _file(frames[-1]) == "threads" and module in map(_file, frames[-2:])
    }


def _frames(frame: FrameType | None) -> list[FrameType]:
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename.rpartition("/delivery/")[2].removesuffix(".py")


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
