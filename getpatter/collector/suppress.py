"""Which cells of a table may be published: a pure decision over counts of installs.

A table is a partition: each install is in one cell. Cells below the threshold are added up in the
cell `others`, and with them at least one that is not below it, so that nobody who subtracts what
is shown learns a small cell, nor whether there is one. Which cells go there is decided by a fixed
order and not by how large they are: else the smallest that is shown would reveal it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from getpatter.collector.limits import PUBLIC_INSTALLS, PUBLIC_OTHERS, PUBLIC_ROUNDED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["OTHERS", "Rule", "protect"]

OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of a published table."""

    installs: int = PUBLIC_INSTALLS  # a cell of fewer is not shown
    others: int = PUBLIC_OTHERS  # what is not shown has so many together; 0: nothing is added to it
    rounded: int = PUBLIC_ROUNDED

    def count(self, installs: int) -> int:
        """Return a count as it is published."""
        return (installs + self.rounded // 2) // self.rounded * self.rounded


def protect(
    counts: Mapping[str, int], order: Sequence[str], rule: Rule
) -> tuple[dict[str, int], list[str]]:
    """Return the cells that may be shown, as they are published, and those that are in `others`.

    `order` has all cells that there are, first those that are added to `others` first. Nothing is
    shown if `others` would be all that there is.
    """
    shown = [cell for cell in order if counts.get(cell, 0) >= rule.installs]
    added: list[str] = []
    rest = sum(counts.values()) - sum(counts.get(cell, 0) for cell in shown)
    while rule.others and shown and (not added or rest < rule.others):
        added.append(shown.pop(0))
        rest += counts[added[-1]]
    hidden = [cell for cell in order if cell not in shown]
    if not shown:
        return {}, hidden
    published = {cell: rule.count(counts.get(cell, 0)) for cell in shown}
    return {**published, OTHERS: rule.count(rest)}, hidden
