"""Runs something with an interruption at each of its lines: what a signal handler, or a finaliser,
can meet. An ordinary signal hits a line of ours once in a thousand times.
"""

import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import getpatter

PLACES = (os.path.dirname(getpatter.__file__), threading.__file__)
# Far above what it takes; a deadlock has no end.
PATIENCE = 30.0


def everywhere(work: Callable[[], object], handler: Callable[[], object]) -> int:
    """Run `work`, and `handler` at every line of it that is ours or of `threading`; return how
    many there were. Fails if it does not end.
    """
    lines = 0
    raised: list[BaseException] = []

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(PLACES):
            return None
        if event == "line":
            lines += 1
            handler()  # nothing is traced meanwhile
        return trace

    def run() -> None:
        sys.settrace(trace)
        try:
            work()
        except BaseException as error:
            raised.append(error)
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "a deadlock"
    if raised:
        raise raised[0]
    return lines
