"""How far the other answers can be believed: losses as bounds, refusals, odd runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.collector.answers.asked import counted, group, row
from getpatter.collector.answers.calls import rate_of
from getpatter.collector.estimate import Estimate, if_all_failed, step

if TYPE_CHECKING:
    from getpatter.collector.answers.asked import Asked, Record, Row
    from getpatter.collector.estimate import Share

__all__ = ["quality"]

#: What a client counts and no figure misses: it was asked to, or the event was sent all the same.
_NO_LOSS = frozenset({"sampled_out", "opted_out", "bad_dimension", "unknown_event"})
_ODD = {
    "forged": "runs not drawn, with sampled events",
    "mixed": "runs with more than one rate",
    "legacy": "runs of legacy clients: rate not known",
    "no_start": "runs with calls and no start",
    "unknown": "runs of an unknown version",
}


def quality(asked: Asked) -> list[Row]:
    """Return what is known of the data themselves."""
    facts = group(asked.rows("quality"), "fact")
    runs, installs = facts.get("runs", []), facts.get("installs", [])
    count = sum(int(record["n"]) for record in runs)
    people = sum(int(record["n"]) for record in installs)
    made = _bounds(asked, facts.get("lost", []))
    for key, text in _ODD.items():
        odd = sum(int(record[key]) for record in runs)
        made.append(counted({"fact": text}, odd, events=count, runs=count, installs=people))
    made += _rates(runs, people)
    made += _installs(installs, count, people)
    for name in ("lost", "refused"):
        some = sorted(facts.get(name, []), key=lambda record: -int(record["n"]))
        for record in some:
            fact = "not lost" if record["rule"] in _NO_LOSS else name
            what = record["detail"] or "not said"
            cell = {"fact": fact, "what": what, "why": str(record["rule"])}
            made.append(counted(cell, record["n"], events=record["n"], installs=None))
    return made


def _bounds(asked: Asked, lost: list[Record]) -> list[Row]:
    records = asked.rows("rates", by=None)
    found, runs, installs = rate_of(records, "faults", "ends")
    missing = sum(
        int(record["n"])
        for record in lost
        if record["detail"] == "call_completed" and record["rule"] not in _NO_LOSS
    )
    shares: list[Share] = [
        (r["kept"], r["grp"], int(r["faults"]), int(r["ends"]))
        for r in records
        if r["unit"] == "calls"
    ]
    bound = if_all_failed(shares, missing)
    return [
        row({"fact": "calls that failed"}, found, runs=runs, installs=installs),
        row(
            {"fact": f"calls that failed, if all {missing:,} lost calls had failed"},
            bound,
            runs=runs,
            installs=installs,
        ),
    ]


def _rates(runs: list[Record], people: int) -> list[Row]:
    """Return the share of drawn runs at each rate: it must be the rate."""
    made = []
    for rate, records in group(runs, "rate").items():
        if rate is None:
            continue
        rows: list[Share] = [(1.0, r["grp"], int(r["drawn"]), int(r["n"])) for r in records]
        count = sum(share[3] for share in rows)
        cell = {"fact": "drawn runs", "rate": f"{rate:g}"}
        made.append(row(cell, step(rows, people), runs=count, installs=people))
    return made


def _installs(installs: list[Record], runs: int, people: int) -> list[Row]:
    throw_away = sum(int(record["drawn"]) for record in installs)
    text = "installs of one run, in a container or serverless"
    made = [counted({"fact": text}, throw_away, events=people, runs=runs, installs=people)]
    for key, whole, text in (
        ("forged", runs, "share of the largest install in all runs"),
        ("legacy", 0, "share of the largest install in the calls that arrived"),
    ):
        largest = max((int(record[key]) for record in installs), default=0)
        of = whole or sum(int(record["mixed"]) for record in installs)
        share = largest / of if of else None
        exact = Estimate(share, share, share, "counted", 64.0, of)
        made.append(row({"fact": text}, exact, runs=runs, installs=people))
    return made
