"""Release against release: each step, rate and latency as a difference, with a verdict."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from getpatter.collector.answers.asked import Asked, group, row
from getpatter.collector.answers.calls import BOUNDS, rate_of
from getpatter.collector.answers.runs import STEPS, step_of
from getpatter.collector.compare import (
    CANNOT_TELL,
    NOT_WORSE,
    WORSE,
    ReleaseVerdict,
    difference,
    paired,
    verdict,
)
from getpatter.collector.estimate import Estimate, is_few, step

if TYPE_CHECKING:
    from getpatter.collector.answers.asked import Record, Row
    from getpatter.collector.estimate import Share

__all__ = [
    "CALLS_MATTER", "GATE", "Comparison", "NoPairError", "check", "compare", "compared", "order",
    "pair", "releases",
]  # fmt: skip

#: The smallest worsening that matters, as a share.
CALLS_MATTER, RUNS_MATTER = 0.02, 0.05
_GATE_LEVEL = 0.99
_BLOCKED = "new installs, blocked at first"
_FAILED = "calls that failed"
_SLOW = "calls slower than {} ms: {}"
#: More of these is better; of everything else it is worse.
_GOOD = frozenset({"started", "a call began", "of those with a call: one completed"})
#: By what `check` decides. Not by all blocked runs: they are more where more installs are new, and
#: of a new release they always are.
GATE = (
    _BLOCKED,
    "of those with a call: one never ended",
    _FAILED,
    _SLOW.format(BOUNDS["answer"][1], "answer"),
)


class NoPairError(LookupError):
    """There are no two releases to compare; says which there are."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much more of `measure` the release has than the other one, and what that says."""

    measure: str
    unit: str
    one: Estimate
    other: Estimate
    found: Estimate
    verdict: ReleaseVerdict
    runs: int
    installs: int
    is_few: bool

    def says(self) -> str:
        """Return the verdict in words."""
        if self.is_few:
            return f"{self.verdict.word}: too few installs"
        if self.verdict.more is None:
            return self.verdict.word
        return f"{self.verdict.word}: about {self.verdict.more:,} more {self.unit} of each release"


def order(release: str) -> list[tuple[int, int, str]]:
    """Return what sorts releases: numbers as numbers, and 1.0rc1 before 1.0."""
    parts = re.findall("[0-9]+|[a-z]+", release)
    return [(1, int(p), "") if p.isdigit() else (-1, 0, p) for p in parts] + [(0, 0, "")]


def pair(asked: Asked) -> tuple[str, str]:
    """Return the two releases to compare. NoPairError if one is not there."""
    known = sorted(
        (
            record["part"]
            for record in asked.rows("volume", by="release", release=None)
            if record["part"] is not None
        ),
        key=order,
    )
    release = asked.filters.get("release") or (known[-1] if known else "")
    older = [one for one in known if order(one) < order(release)]
    against = asked.filters.get("against") or (older[-1] if older else "")
    for one in (release, against):
        if one not in known:
            there = ", ".join(known[-10:]) or "none"
            which = f"no events of release {one}" if one else "there are no two releases to compare"
            message = f"{which} in that time; there are: {there}"
            raise NoPairError(message)
    if release == against:
        message = f"release {release} cannot be compared with itself"
        raise NoPairError(message)
    return release, against


def compare(asked: Asked, level: float = 0.95) -> tuple[str, str, list[Comparison]]:
    """Return the release, the other one, and how they differ. NoPairError if one is not there."""
    release, against = pair(asked)
    newcomers = [asked.rows("newcomers", release=name) for name in (release, against)]
    sides = [_newcomers(records, level) for records in newcomers]
    made = [compared(_BLOCKED, "installs", sides, RUNS_MATTER)]
    steps = [asked.rows("funnel", release=name, by=None) for name in (release, against)]
    for name, hits, of, _ in STEPS:
        sides = [step_of(records, hits, of, level) for records in steps]
        made.append(compared(name, "runs", sides, RUNS_MATTER))
    rates = [asked.rows("rates", release=name, by=None) for name in (release, against)]
    sides = [rate_of(records, "faults", "ends", level) for records in rates]
    made.append(compared(_FAILED, "calls", sides, CALLS_MATTER))
    for stage, (name, bound) in BOUNDS.items():
        sides = [rate_of(records, f"slow_{name}", name, level) for records in rates]
        made.append(compared(_SLOW.format(bound, stage), "calls", sides, RUNS_MATTER))
    made += _over_both(asked, release, against, level)
    return release, against, made


def _newcomers(records: list[Record], level: float) -> tuple[Estimate, int, int]:
    rows: list[Share] = [
        (1.0, one["grp"], int(one["blocked"]), int(one["installs"])) for one in records
    ]
    installs = sum(share[3] for share in rows)
    return step(rows, installs, level), sum(int(one["runs"]) for one in records), installs


def compared(
    name: str, unit: str, sides: list[tuple[Estimate, int, int]], matters: float
) -> Comparison:
    """Compare two figures, each with the runs and installs that it rests on."""
    (one, runs, installs), (other, others_runs, others_installs) = sides
    few = is_few(installs, one.groups) or is_few(others_installs, other.groups)
    found = difference(one, other)
    said = verdict(_worsening(name, found), matters, is_few=few)
    runs, installs = min(runs, others_runs), min(installs, others_installs)
    return Comparison(name, unit, one, other, found, said, runs, installs, few)


def _worsening(name: str, found: Estimate) -> Estimate:
    if name not in _GOOD or found.estimate is None or found.lower is None or found.upper is None:
        return found
    return found._replace(estimate=-found.estimate, lower=-found.upper, upper=-found.lower)


def _over_both(asked: Asked, release: str, against: str, level: float) -> list[Comparison]:
    """Compare over the installs that were seen on both: early upgraders are no average."""
    by_release = group(asked.rows("paired", release=release, against=against), "part")
    made = []
    for name, hits, of, matters in (
        (_FAILED, "faults", "ends", CALLS_MATTER),
        (GATE[-1], "slow_latency_ms", "latency_ms", RUNS_MATTER),
    ):
        mine, others = (_shares(by_release.get(one, []), hits, of) for one in (release, against))
        records = [record for some in by_release.values() for record in some]
        installs = max((int(record["installs"]) for record in records), default=0)
        runs = sum(int(record["runs"]) for record in records)
        found = paired(mine, others, installs, level)
        few = is_few(installs, found.groups)
        said = verdict(found, matters, is_few=few)
        one, other = (Estimate(None, None, None, "paired", 0.0, 0) for _ in range(2))
        title = f"{name}, installs seen on both"
        made.append(Comparison(title, "calls", one, other, found, said, runs, installs, few))
    return made


def _shares(records: list[Record], hits: str, of: str) -> list[Share]:
    return [(r["kept"], r["grp"], int(r[hits]), int(r[of])) for r in records]


def releases(asked: Asked) -> list[Row]:
    """Return the differences of a release from the other one."""
    try:
        release, against, made = compare(asked)
    except NoPairError:
        if "release" in asked.filters or "against" in asked.filters:
            raise
        return []  # there are not two releases yet
    return [
        row(
            {
                "measure": one.measure,
                "release": release,
                "against": against,
                "verdict": one.says(),
            },
            one.found,
            runs=one.runs,
            installs=one.installs,
            unit="difference of shares",
        )
        for one in made
    ]


def check(asked: Asked) -> dict[str, Any]:
    """Return whether the release is worse, by the few figures that decide, at 99 %."""
    release, against, made = compare(asked, _GATE_LEVEL)
    deciding = [
        one
        for one in made
        if one.measure in GATE and (one.one.estimate is not None or one.other.estimate is not None)
    ]
    # A fleet that hardly grows has few new installs for ever: they then decide nothing.
    words = {one.verdict.word for one in deciding if one.measure != _BLOCKED or not one.is_few}
    word = (
        WORSE if WORSE in words else CANNOT_TELL if CANNOT_TELL in words or not words else NOT_WORSE
    )
    return {
        "release": release,
        "against": against,
        "level": _GATE_LEVEL,
        "verdict": word,
        "measures": [
            {
                "measure": one.measure,
                "release": one.one.estimate,
                "against": one.other.estimate,
                "difference": one.found.estimate,
                "lower": one.found.lower,
                "upper": one.found.upper,
                "matters": CALLS_MATTER if one.measure == _FAILED else RUNS_MATTER,
                "installs": one.installs,
                "verdict": one.says(),
            }
            for one in deciding
        ],
    }
