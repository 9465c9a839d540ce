"""Disk space that is kept free: for checkpoints, and for the operator who makes room."""

from __future__ import annotations

import os

from getpatter.collector import clock
from getpatter.collector.limits import RESERVE_BYTES, RESERVE_SHARE

__all__ = ["Reserve"]

_SECONDS = 0.2  # between two looks: less than a hundred thousand events


class Reserve:
    """Whether the disk of `directory` has more than the reserve free."""

    def __init__(self, directory: str, size: int | None = None) -> None:
        self._directory = directory
        self._size = size
        self._looked = float("-inf")
        self._is_kept = False

    def free(self) -> tuple[int, int]:
        """Return how many bytes are free, and how many of them are the reserve."""
        disk = os.statvfs(self._directory)
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        size = max(RESERVE_BYTES, int(total * RESERVE_SHARE)) if self._size is None else self._size
        return free, size

    def is_kept(self) -> bool:
        """Return whether anything may be written."""
        moment = clock.monotonic()
        if moment - self._looked >= _SECONDS:
            free, size = self.free()
            self._looked, self._is_kept = moment, free > size
        return self._is_kept
