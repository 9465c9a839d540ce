"""The program of the detached sender: what it is before anything of ours is loaded.

Run by its absolute path with `-I -S`. Takes the state directory and the directories of installed
packages; loads the telemetry without the host's package around it.
"""

import os
import sys

__all__: "list[str]" = []

# However the network behaves, it is gone after that, in seconds.
_SECONDS = 10
# Loading `requests` takes 20 MiB; what needs more has gone wrong.
_BYTES = 64 * 1024 * 1024
# More descriptors than a host leaves open by mistake.
_DESCRIPTORS = 4_096


def _isolate() -> None:
    """Leave the host's directory, descriptors and session; take the bounds on."""
    import resource
    import signal

    signal.alarm(_SECONDS)  # whose default is to end the process
    os.chdir("/")
    os.closerange(3, _DESCRIPTORS)
    if os.getsid(0) != os.getpid():
        os.setsid()
    # What it allocates; address space counts libraries many times.
    resource.setrlimit(resource.RLIMIT_DATA, (_BYTES, _BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _load(packages: "list[str]") -> None:
    """Make `getpatter.telemetry` importable, and nothing of the host's package with it."""
    import types

    telemetry = os.path.dirname(os.path.abspath(__file__))
    sys.path += packages
    host = types.ModuleType("getpatter")
    host.__path__ = [os.path.dirname(telemetry)]
    sys.modules["getpatter"] = host


def _main() -> None:
    _isolate()
    directory, *packages = sys.argv[1:]
    _load(packages)
    from getpatter.telemetry.sender import send_all

    send_all(directory, os.environ)  # noqa: TID251 - a program of its own, which has no other


if __name__ == "__main__":
    _main()
