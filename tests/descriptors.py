"""What a host does to descriptors: it uses them up, or closes those that are not its own."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def none_left() -> Iterator[None]:
    """Leave this process no descriptor to open anything with, whatever other threads close."""
    bounds = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Numbers below the bound are the standard streams, which are open.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, bounds[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, bounds)


@contextmanager
def closed_behind_its_back(directory: Path) -> Iterator[None]:
    """Close what this process has open below `directory`, and open something else under the same
    numbers: that is still there in the end.
    """
    numbers = []
    for name in os.listdir("/dev/fd"):
        try:
            if os.readlink(f"/dev/fd/{name}").startswith(os.fspath(directory)):
                numbers.append(int(name))
        except OSError:
            continue
    assert numbers, "nothing is open there"
    other = os.open("/", os.O_RDONLY)
    for number in numbers:
        os.dup2(other, number)
    yield
    for number in (*numbers, other):
        assert os.path.samestat(os.fstat(number), os.stat("/"))
        os.close(number)
