"""Ctrl-C: the one thing that may pass through our catch-alls.

Objects of the host may raise what is no `Exception`: a timeout of gevent, `pytest.fail`,
`SystemExit`. To us those are errors like any other. `KeyboardInterrupt` on the main thread is the
person at the keyboard.
"""

__all__ = ["is_ctrl_c"]


def is_ctrl_c(error: BaseException) -> bool:
    """Return whether somebody wants the program to end."""
    if not issubclass(type(error), KeyboardInterrupt):  # nothing of it runs
        return False
    import threading  # not loaded when telemetry is off

    return threading.current_thread() is threading.main_thread()
