"""Notices errors of our own: what is lost as `internal_error`, in this process and in children.

In this process each is noticed as it is counted, with the stack that it is counted on. Children say
it in the ledgers that they leave, and in the reports that arrive.
"""

import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from getpatter.calls.events.losses import EventLosses
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.testing import Receiver

REASON = "internal_error"
# Enough to leave the worker's loop.
_FRAMES = 8


class Noticed:
    """What was noticed since the last look."""

    def __init__(self) -> None:
        self._stacks: list[str] = []

    def watch(self, losses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Listen to what a class of losses is told; it counts as ever."""
        monkeypatch.setattr(losses, "count", self._listening(losses.count))

    def _listening(self, count: Callable[..., None]) -> Callable[..., None]:
        def listening(
            losses: object, what: object, reason: str, times: int = 1, **more: bool
        ) -> None:
            if reason == REASON and times:
                stack = "".join(traceback.format_stack(limit=_FRAMES))
                self._stacks.append(f"{stack}{traceback.format_exc()}")
            count(losses, what, reason, times, **more)

        return listening

    def take(self) -> list[str]:
        """Return the stacks."""
        taken, self._stacks = self._stacks, []
        return taken


def watching(monkeypatch: pytest.MonkeyPatch) -> Noticed:
    """Return what is noticed in this process from now on."""
    noticed = Noticed()
    for losses in (Losses, EventLosses):
        noticed.watch(losses, monkeypatch)
    return noticed


def of_children(arguments: dict[str, Any]) -> list[str]:
    """Return what the children of a test left behind, where its fixtures let them."""
    found: list[str] = []
    directory, receiver = arguments.get("tmp_path"), arguments.get("receiver")
    if isinstance(directory, Path):
        for ledger in directory.rglob("ledger"):
            found += _in_ledger(ledger)
    if isinstance(receiver, Receiver):
        found += [f"the report of a batch: {loss}" for loss in receiver.losses if REASON in loss]
    return found


def _in_ledger(ledger: Path) -> list[str]:
    try:
        lines = ledger.read_bytes().splitlines()
    except OSError:  # a test may have made anything of it
        return []
    found = []
    for line in lines:
        try:
            dropped = json.loads(line)["dropped"]
        except (ValueError, KeyError, TypeError):
            continue
        if REASON in str(dropped):
            found.append(f"{ledger}: {dropped}")
    return found
