"""The entropy budget: how far the fields that stay the same tell one install from another.

A field says with `x-identity` how it behaves between two runs of one install: `random` (an id that
is declared as such), `install` (a fact of the machine and the installation, the same whatever is
run), `program` (the same as long as the same program runs with the same settings) or `varies`.

Events are *joined* if they carry the same id, directly or by way of a third: whoever has one of
them has the fields of all. What counts is what one such group says; what is retired says nothing.

Worst case: every value is equally likely and no field says anything about another. Estimate: the
k-th most common value is 1/k as common as the first. Both are bits; n bits tell 2^n installs apart.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import history

if TYPE_CHECKING:
    from pathlib import Path

    from history import Schema, Version

SCOPES = ("install", "program")
INSTALL = ("install",)


@dataclass(frozen=True, slots=True)
class Row:
    """A field that stays the same: how many values it has, and by what they were counted."""

    scope: str
    field: str
    count: int
    source: str

    @property
    def worst(self) -> float:
        """Bits if all values are equally likely."""
        return math.log2(self.count)

    @property
    def estimate(self) -> float:
        """Bits if a few values are common and the rest is rare (Zipf's law)."""
        ranks = range(1, min(self.count, 100_000) + 1)  # beyond that the sum hardly grows
        total = sum(1 / rank for rank in ranks)
        return sum(math.log2(rank * total) / (rank * total) for rank in ranks)


@dataclass(frozen=True, slots=True)
class Group:
    """Events that can be joined, and their fields that stay the same, those of the install first.

    `ids`: what joins them; none for one event that nothing joins with another of its kind.
    """

    events: tuple[str, ...]
    ids: tuple[str, ...]
    rows: tuple[Row, ...]

    def bits(self, scopes: tuple[str, ...] = SCOPES) -> tuple[float, float]:
        """Return the sums of the worst case and of the estimate."""
        chosen = [row for row in self.rows if row.scope in scopes]
        return sum(row.worst for row in chosen), sum(row.estimate for row in chosen)


def by_schema(rule: Schema) -> int | None:
    """Return how many values the schema allows; None if it does not bound them."""
    if "const" in rule:
        return 1
    if "enum" in rule:
        return len(rule["enum"])
    if rule.get("type") == "boolean":
        return 2
    if rule.get("type") == "integer":
        return int(rule["maximum"] - rule["minimum"] + 1)
    return None


def count(
    name: str, fields: dict[str, Schema], budget: dict[str, Any], models: dict[str, Any]
) -> tuple[int, str]:
    """Return how many values a field can have beside the others, and by what that was counted."""
    follows = budget["follows"].get(name)
    if follows and fields.keys() >= set(follows["fields"]):
        return 1, f"follows {follows['why']}"
    if any(name == vendor and model in fields for model, vendor in budget["models"].items()):
        return 1, "follows the vendor in the model"
    if name in budget["models"]:
        # Each vendor's public models and its `other`. The vendor is part of the token.
        tokens = sum(len(entry["models"]) + 1 for entry in models.values())
        return tokens, "public models, with the vendor"
    allowed = by_schema(fields[name])
    # What is counted by hand can only be less than what the schema allows.
    counted = budget["counted"].get(name)
    if counted and (allowed is None or counted["count"] < allowed):
        return counted["count"], "budget.json"
    if allowed is None:
        message = f"{name}: the schema does not bound how many values it has; say it in budget.json"
        raise ValueError(message)
    return allowed, "schema"


def joined(version: Version) -> list[tuple[str, ...]]:
    """Return the events in groups: two that carry the same id are in one."""
    groups: list[tuple[set[str], set[str]]] = []
    for event, schema in version.items():
        ids = {n for n, rule in schema["properties"].items() if rule["x-identity"] == "random"}
        near = [group for group in groups if group[1] & ids]
        groups = [group for group in groups if not group[1] & ids]
        events = {event}.union(*(group[0] for group in near))
        groups.append((events, ids.union(*(group[1] for group in near))))
    return [tuple(event for event in version if event in events) for events, _ in groups]


def groups(version: Version, folder: Path) -> list[Group]:
    """Return what can be joined, the greatest first."""
    budget = json.loads((folder / "budget.json").read_text("ascii"))
    models = json.loads((folder / "models.json").read_text("ascii"))
    schemas = {event: history.sent(schema) for event, schema in version.items()}
    found = []
    for events in joined(schemas):
        chosen = [schemas[event] for event in events]
        fields = {name: rule for schema in chosen for name, rule in schema["properties"].items()}
        required = {name for schema in chosen for name in schema["required"]}
        rows = []
        for scope in SCOPES:
            for name, rule in fields.items():
                if rule["x-identity"] != scope:
                    continue
                values, source = count(name, fields, budget, models)
                # Absent is a value too. Those of the install are never absent: the client always
                # says where it runs.
                is_sometimes_absent = scope == "program" and name not in required and values > 1
                rows.append(Row(scope, name, values + is_sometimes_absent, source))
        ids = tuple(name for name, rule in fields.items() if rule["x-identity"] == "random")
        found.append(Group(events, ids, tuple(rows)))
    return sorted(found, key=lambda group: -sum(row.worst for row in group.rows))


def table(found: list[Group]) -> str:
    """Return the groups with their rows and sums for people."""
    lines = []
    for group in found:
        by = f"joined by {', '.join(group.ids)}" if group.ids else "joined by nothing"
        lines += [
            f"{', '.join(group.events)}: {by}",
            f"{'same for an':<12}{'field':<26}{'values':>20}{'worst':>8}{'est.':>7}  counted by",
        ]
        lines += [
            f"{row.scope:<12}{row.field:<26}{row.count:>20,}"
            f"{row.worst:>8.2f}{row.estimate:>7.2f}  {row.source}"
            for row in group.rows
        ]
        for scopes, words in ((INSTALL, "an install alone"), (SCOPES, "with one program only")):
            worst, estimate = group.bits(scopes)
            lines.append(f"{'':<12}{words:<26}{'':>20}{worst:>8.2f}{estimate:>7.2f}")
    return "\n".join(lines)


def most(version: Version, folder: Path, scopes: tuple[str, ...] = SCOPES) -> float:
    """Return the bits of the group that says most, in the worst case."""
    return max(
        sum(row.worst for row in group.rows if row.scope in scopes)
        for group in groups(version, folder)
    )


def problems(number: int, versions: dict[int, Version], folder: Path) -> list[str]:
    """Return what is over the budget, or is counted without a reason.

    What every install shows is within the limit. With a program, a version says at most as much as
    the one before, unless budget.json records how much more, and why.
    """
    budget = json.loads((folder / "budget.json").read_text("ascii"))
    limit = budget["limit_bits"]
    said = []
    install = most(versions[number], folder, INSTALL)
    if install > limit:
        said.append(f"v{number}: {install:.2f} bits tell one install from another, over {limit}")
    both = most(versions[number], folder)
    recorded = budget["accepted_bits"].get(str(number))
    earlier = [version for version in versions if version < number]
    if recorded:
        if both > recorded["bits"]:
            said.append(f"v{number}: {both:.2f} bits with a program, over {recorded['bits']}")
        if not recorded["why"].endswith("."):
            said.append(f"budget.json: the bits of v{number} need a reason")
    elif earlier:
        before = most(versions[max(earlier)], folder)
        if both > before + 1e-9:
            said.append(
                f"v{number}: {both:.2f} bits with a program, over the {before:.2f} of "
                f"v{max(earlier)}; if it must be, record it in budget.json with its reason"
            )
    for name, entry in budget["counted"].items():
        values = entry.get("values", [])
        if not entry["why"].endswith(".") or len(set(map(str, values))) > entry["count"]:
            said.append(f"budget.json: {name} needs a reason, and room for its values")
    return said
