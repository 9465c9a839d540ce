"""Descriptors: never one that stands for a standard stream, never one that is the host's by now.

A host may close descriptors that it did not open (`os.closerange`, a daemon's standard streams).
The next `open` or `socket` takes such a number, so a number alone does not prove whose it is.
"""

import os
from _thread import LockType, allocate_lock

from getpatter.telemetry._clock import sleep

__all__ = ["FIRST", "above_standard", "close", "identity", "open_file"]

#: The first that is no standard stream: what is opened as 0, 1 or 2 receives what native code of
#: the host or a child process prints.
FIRST = 3
# How often, and with which pauses, a thread looks whether another one still opens a file, before it
# does without: a tenth of a second. Who interrupts that one in its own thread waits in vain.
_LOOKS = 200
_LOOK_SECONDS = 0.0005
# What is being opened while places of closed streams are taken: until the last one is let go of, no
# stream looks closed that is. Whose turn that is, in this process: a `fork` child may inherit a
# lock that is held.
_placing: "list[str]" = []
_turn: "tuple[int, LockType]" = (os.getpid(), allocate_lock())


def identity(descriptor: int) -> tuple[int, int] | None:
    """Return device and inode of what is open there; None for nothing, or where that is unknown.

    Windows numbers its sockets apart from files, so a closed file never becomes a socket there.
    """
    try:
        found = os.fstat(descriptor)
    except (OSError, ValueError, OverflowError):
        return None
    return found.st_dev, found.st_ino


def above_standard(descriptor: int) -> int:
    """Return a descriptor for the same thing, above 2; closes the given one if it was not.

    Raises OSError if there is none, and then the given one is closed, too.
    """
    if not 0 <= descriptor < FIRST:
        return descriptor
    try:
        import fcntl
    except ImportError:  # Windows, see above
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FIRST)
    finally:
        os.close(descriptor)


def open_file(path: str, flags: int) -> int:
    """Open a file of this user's alone; never as a standard stream, and where Linux allows it not
    even for a moment: what another thread prints just then would be written into it.

    Raises OSError.
    """
    if _placing or None in map(identity, range(FIRST)):
        return _open_beside_streams(path, flags)
    return above_standard(os.open(path, flags, 0o600))


def _open_beside_streams(path: str, flags: int) -> int:
    """Open a file while each standard stream that is closed has its place taken."""
    held: list[int] = []
    turn = _take_turn()
    _placing.append(path)
    try:
        while hasattr(os, "O_PATH"):
            # Nothing can be written to it.
            number = os.open("/", os.O_PATH | os.O_CLOEXEC)
            if number >= FIRST:
                os.close(number)
                break
            held.append(number)
        return above_standard(os.open(path, flags, 0o600))
    finally:
        for number in held:
            os.close(number)
        _placing.remove(path)
        if turn is not None:
            turn.release()


def _take_turn() -> "LockType | None":
    """Wait while another thread of ours holds the places of closed streams: when it lets go of one,
    the next file that is opened gets it. Return None if that takes too long.
    """
    global _turn  # noqa: PLW0603 - one a process
    process, turn = _turn
    if process != os.getpid():
        process, turn = _turn = (os.getpid(), allocate_lock())
    for _ in range(_LOOKS):
        if turn.acquire(blocking=False):
            return turn
        sleep(_LOOK_SECONDS)
    return None


def close(descriptor: int, known: tuple[int, int] | None) -> None:
    """Close what was opened as ours, and had the identity `known` then; nothing of the host's that
    has come in its place.
    """
    if known is not None and identity(descriptor) == known:
        os.close(descriptor)
