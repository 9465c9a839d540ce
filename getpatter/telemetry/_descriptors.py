"""Descriptors: never one that stands for a standard stream, never one that is the host's by now.

A host may close descriptors that it did not open (`os.closerange`, a daemon's standard streams).
The next `open` or `socket` takes such a number, so a number alone does not prove whose it is.
"""

import os

__all__ = ["FIRST", "above_standard", "close", "identity", "open_file"]

#: The first that is no standard stream: what is opened as 0, 1 or 2 receives what native code of
#: the host or a child process prints.
FIRST = 3


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
    held: list[int] = []
    try:
        while hasattr(os, "O_PATH"):
            # Takes the place of a stream that is closed, and nothing can be written to it.
            number = os.open("/", os.O_PATH | os.O_CLOEXEC)
            if number >= FIRST:
                os.close(number)
                break
            held.append(number)
        return above_standard(os.open(path, flags, 0o600))
    finally:
        for number in held:
            os.close(number)


def close(descriptor: int, known: tuple[int, int] | None) -> None:
    """Close what was opened as ours, and had the identity `known` then; nothing of the host's that
    has come in its place.
    """
    if known is not None and identity(descriptor) == known:
        os.close(descriptor)
