"""The program of the detached sender: what it is before anything of ours is loaded.

Run by its absolute path with `-I -S`. Takes the state directory, the `.env` to ask for consent, how
many seconds it may live beyond its own, and the directories of installed packages; loads the
telemetry without the host's package around it.
"""

import math
import os
import sys

__all__: "list[str]" = []

# However the network behaves, it is gone after that, in seconds.
_SECONDS = 10
# Loading `requests` takes 20 MiB; what needs more has gone wrong.
_BYTES = 64 * 1024 * 1024
# More descriptors than a host leaves open by mistake.
_DESCRIPTORS = 4_096


def _isolate(seconds: float) -> None:
    """Leave the host's directory, descriptors, signals and session; take the bounds on."""
    import resource

    _reset_signals(math.ceil(_SECONDS + seconds))
    os.chdir("/")
    os.umask(0o077)
    os.closerange(3, _DESCRIPTORS)
    if os.getsid(0) != os.getpid():
        os.setsid()
    # What it allocates; address space counts libraries many times.
    most = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = _BYTES if most == resource.RLIM_INFINITY else min(_BYTES, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _reset_signals(seconds: int) -> None:
    """Let every signal do what it does in a new process, whatever the host blocked or ignored;
    and end the process after `seconds`.
    """
    import signal

    # The interpreter ignores these two itself: a write then fails, and nothing dies of it.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # one that cannot be changed
    signal.alarm(seconds)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _load(packages: "list[str]") -> None:
    """Make `getpatter.telemetry` importable, and nothing of the host's package with it."""
    import types

    telemetry = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path += packages
    host = types.ModuleType("getpatter")
    host.__path__ = [os.path.dirname(telemetry)]
    sys.modules["getpatter"] = host


def _main() -> None:
    directory, dotenv, more, *packages = sys.argv[1:]
    seconds = float(more)
    _isolate(seconds)
    _load(packages)
    from getpatter.telemetry.delivery import sender

    # A program of its own, which has no other environment.
    sender.send_all(directory, os.environ, sender.SECONDS + seconds, dotenv=dotenv)  # noqa: TID251


if __name__ == "__main__":
    _main()
