"""The entropy budget: how far the fields that stay the same tell one install from another.

A field says with `x-identity` how it behaves between two runs of one install: `random` (an id that
is declared as such), `install` (a fact of the machine and the installation, the same whatever is
run), `program` (the same as long as the same program runs with the same settings) or `varies`.

Worst case: every value is equally likely and no field says anything about another. Estimate: the
k-th most common value is 1/k as common as the first. Both are bits; n bits tell 2^n installs apart.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from history import Schema, Version

SCOPES = ("install", "program")


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


def count(
    name: str, rule: Schema, budget: dict[str, Any], models: dict[str, Any]
) -> tuple[int, str]:
    """Return how many values a field can have, and by what that was counted."""
    if name in budget["follows"]:
        return 1, f"follows {budget['follows'][name]}"
    if name in budget["models"].values():
        return 1, "follows the vendor in the model"
    if name in budget["counted"]:
        return budget["counted"][name]["count"], "budget.json"
    if name in budget["models"]:
        # Each vendor's public models and its `other`. The vendor is part of the token.
        tokens = sum(len(entry["models"]) + 1 for entry in models.values())
        return tokens, "public models, with the vendor"
    values = 1 if "const" in rule else len(rule.get("enum", ()))
    if rule.get("type") == "boolean":
        values = 2
    elif rule.get("type") == "integer":
        values = rule["maximum"] - rule["minimum"] + 1
    if values:
        return values, "schema"
    message = f"{name}: the schema does not bound how many values it has; say it in budget.json"
    raise ValueError(message)


def rows(version: Version, folder: Path) -> list[Row]:
    """Return the fields that stay the same, those of the install first."""
    budget = json.loads((folder / "budget.json").read_text("ascii"))
    models = json.loads((folder / "models.json").read_text("ascii"))
    fields = {n: rule for schema in version.values() for n, rule in schema["properties"].items()}
    required = set.intersection(*(set(schema["required"]) for schema in version.values()))
    found = []
    for scope in SCOPES:
        for name, rule in fields.items():
            if rule["x-identity"] != scope:
                continue
            values, source = count(name, rule, budget, models)
            # Absent is a value too. Those of the install are never absent: the client always
            # says where it runs.
            is_sometimes_absent = scope == "program" and name not in required and values > 1
            found.append(Row(scope, name, values + is_sometimes_absent, source))
    return found


def table(found: list[Row]) -> str:
    """Return the rows and their sums for people."""
    lines = [f"{'same for an':<12}{'field':<26}{'values':>20}{'worst':>8}{'est.':>7}  counted by"]
    lines += [
        f"{row.scope:<12}{row.field:<26}{row.count:>20,}"
        f"{row.worst:>8.2f}{row.estimate:>7.2f}  {row.source}"
        for row in found
    ]
    for scopes, words in ((("install",), "an install alone"), (SCOPES, "with one program only")):
        worst, estimate = bits(found, scopes)
        lines.append(f"{'':<12}{words:<26}{'':>20}{worst:>8.2f}{estimate:>7.2f}")
    return "\n".join(lines)


def bits(found: list[Row], scopes: tuple[str, ...]) -> tuple[float, float]:
    """Return the sums of the worst case and of the estimate."""
    chosen = [row for row in found if row.scope in scopes]
    return sum(row.worst for row in chosen), sum(row.estimate for row in chosen)


def problems(number: int, version: Version, folder: Path) -> list[str]:
    """Return what is over the budget, or is counted without a reason."""
    budget = json.loads((folder / "budget.json").read_text("ascii"))
    found = rows(version, folder)
    limit = budget["limit_bits"]
    said = []
    install, _ = bits(found, ("install",))
    if install > limit:
        said.append(f"v{number}: {install:.2f} bits tell one install from another, over {limit}")
    both, _ = bits(found, SCOPES)
    accepted = budget["accepted_excess"].get(str(number), {"bits": limit})["bits"]
    if both > accepted:
        said.append(f"v{number}: {both:.2f} bits with one program only, over {accepted}")
    for name, entry in budget["counted"].items():
        values = entry.get("values", [])
        if not entry["why"].endswith(".") or len(set(map(str, values))) > entry["count"]:
            said.append(f"budget.json: {name} needs a reason, and room for its values")
    return said
