"""Answers about calls: how they end, what fails, how long the caller waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from getpatter.collector.answers.asked import Asked, counted, group, row
from getpatter.collector.estimate import Estimate, Histogram, is_few, quantile, ratio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from getpatter.collector.answers.asked import Record, Row
    from getpatter.collector.estimate import Share

__all__ = [
    "BOUNDS", "affected", "endings", "latency", "numbers", "rate_of", "shares_calls",
]  # fmt: skip

#: Stage → its field, and the bound (ms) beyond which it is slow, as in rollups/callers.sql.
BOUNDS = {
    "answer": ("latency_ms", 800),
    "stt": ("stt_latency_ms", 300),
    "llm": ("llm_ttft_ms", 500),
    "tts": ("tts_first_byte_ms", 300),
    "eou": ("eou_latency_ms", 500),
}
_UNITS = {"duration_seconds": "seconds", "cost_usd": "US dollars", "builtin_tool_count": "tools"}
_CENTS = 10_000  # a cost is kept in hundredths of a cent


def affected(asked: Asked) -> list[Row]:
    """Return how many installs each error has."""
    keys = ("failed", "missing", "error_layer", "error_code", "carrier", "provider", "release")
    made = [
        counted(
            {key: record[key] for key in keys if record[key] is not None},
            record["installs"],
            events=record["events"],
            runs=record["runs"],
            installs=record["installs"],
        )
        for record in asked.rows("affected")
    ]
    return sorted(made, key=lambda one: (-one["installs"], -one["events"], str(one["cell"])))


def endings(asked: Asked) -> list[Row]:
    """Return the share of calls by who or what ended them."""
    return shares_calls(Asked(asked.run, asked.filters, "disconnect_reason", asked.queries))


def shares_calls(asked: Asked) -> list[Row]:
    """Return the share of ended calls with each value of a field."""
    callers = {record["part"]: record for record in asked.rows("callers")}
    made = []
    for part, of_part in group(asked.rows("shares_calls"), "part").items():
        base = callers[part]
        some = []
        for value in group(of_part, "value"):
            rows: list[Share] = [
                (r["kept"], r["grp"], int(r["n"]) if r["value"] == value else 0, int(r["n"]))
                for r in of_part
            ]
            found = ratio(rows, int(base["installs"]))
            cell = asked.cell(part, **{str(asked.field): value})
            some.append(row(cell, found, runs=base["runs"], installs=base["installs"]))
        made += sorted(some, key=lambda one: -one["estimate"])
    return made


def rate_of(
    records: Iterable[Record], hits: str, of: str, level: float = 0.95
) -> tuple[Estimate, int, int]:
    """Return the share `hits` of `of` of the query `rates`, and the runs and installs."""
    by_unit = group(records, "unit")
    rows: list[Share] = [
        (r["kept"], r["grp"], int(r[hits]), int(r[of])) for r in by_unit.get("calls", [])
    ]
    runs, installs = (
        sum(int(r[of]) for r in by_unit.get(unit, [])) for unit in ("runs", "installs")
    )
    return ratio(rows, installs, level), runs, installs


def latency(asked: Asked) -> list[Row]:
    """Return how long each stage takes."""
    stages = {name: stage for stage, (name, _) in BOUNDS.items()}
    rates = group(asked.rows("rates"), "part")
    histograms = group(asked.rows("numbers"), "field", "part")
    found = _quantiles(asked, histograms, (0.5, 0.95))
    made = []
    order = list(stages)
    for name, part in sorted(histograms, key=lambda key: (key[1] or "", order.index(key[0]))):
        stage, bound = stages[name], BOUNDS[stages[name]][1]
        share, runs, installs = rate_of(rates[part], f"slow_{name}", name)
        cell = asked.cell(part, stage=stage, measure=f"share above {bound} ms")
        made.append(row(cell, share, runs=runs, installs=installs))
        for p, text in ((0.5, "median"), (0.95, "p95 within a call")):
            cell = asked.cell(part, stage=stage, measure=text)
            made.append(_number(cell, found[name, part, p], runs, installs, "ms"))
    return made


def _number(cell: dict[str, str], found: Estimate, runs: int, installs: int, unit: str) -> Row:
    """Return the row of a quantile. It is not shown where too little was drawn."""
    if is_few(installs, found.groups):
        found = Estimate(None, None, None, "few", found.groups, found.drawn)
    return row(cell, found, runs=runs, installs=installs, unit=unit)


def numbers(asked: Asked) -> list[Row]:
    """Return the distribution of a number."""
    base = {record["part"]: record for record in asked.rows("number_installs")}
    histograms = group(asked.rows("numbers"), "field", "part")
    scale = _CENTS if asked.field == "cost_usd" else 1
    made = []
    points = (0.1, 0.5, 0.9, 0.95)
    for (_, part, p), at in _quantiles(asked, histograms, points).items():
        value, lower, upper = (None if v is None else v / scale for v in at[:3])
        found = at._replace(estimate=value, lower=lower, upper=upper)
        cell = asked.cell(part, **{str(asked.field): f"p{p * 100:g}"})
        runs, installs = base[part]["runs"], base[part]["installs"]
        unit = _UNITS.get(str(asked.field), "ms")
        made.append(_number(cell, found, runs, installs, unit))
    return made


def _quantiles(
    asked: Asked, histograms: dict[Any, list[Record]], points: tuple[float, ...]
) -> dict[tuple[str, str | None, float], Estimate]:
    """Return the quantiles of each field and part: first where they are, then how sure that is."""
    shapes = {
        key: Histogram((r["kept"], int(r["value"]), int(r["n"])) for r in records)
        for key, records in histograms.items()
    }
    at = {(*key, p): shape.at(p) for key, shape in shapes.items() for p in points}
    # A part is known by its name: '' is that of calls that do not say.
    wanted = [(name, part or "", bound) for (name, part, _), bound in at.items()]
    fields, parts, bounds = ([one[i] for one in sorted(set(wanted))] for i in range(3))
    below = group(
        asked.rows("numbers_below", fields=fields, parts=parts, bounds=bounds),
        "field", "part", "bound",
    )  # fmt: skip
    return {
        (name, part, p): quantile(
            p,
            shapes[name, part],
            [
                (r["kept"], r["grp"], int(r["below"]), int(r["n"]))
                for r in below[name, part or "", bound]
            ],
        )
        for (name, part, p), bound in at.items()
    }
