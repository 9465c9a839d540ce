"""Answers about calls: how they end, what fails, how long the caller waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.collector.answers.asked import Asked, counted, group, row
from getpatter.collector.estimate import Estimate, is_few, quantile, ratio
from getpatter.collector.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from getpatter.collector.answers.asked import Record, Row
    from getpatter.collector.estimate import Share

__all__ = [
    "BOUNDS", "affected", "endings", "failures", "latency", "numbers", "rate_of", "shares_calls",
]  # fmt: skip

#: Stage → its field, and the bound (ms) beyond which it is slow, as in rollups/callers.sql.
BOUNDS = {
    "answer": ("latency_ms", 800),
    "stt": ("stt_latency_ms", 300),
    "llm": ("llm_ttft_ms", 500),
    "tts": ("tts_first_byte_ms", 300),
    "eou": ("eou_latency_ms", 500),
}
_UNITS = {"duration_seconds": "seconds", "cost_usd": "US dollars"}
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
    rows = _shares(by_unit.get("calls", []), hits, of)
    runs, installs = (
        sum(int(r[of]) for r in by_unit.get(unit, [])) for unit in ("runs", "installs")
    )
    return ratio(rows, installs, level), runs, installs


def failures(asked: Asked) -> list[Row]:
    """Return the share of ended calls that failed."""
    made = []
    for part, records in group(asked.rows("rates"), "part").items():
        share, runs, installs = rate_of(records, "faults", "ends")
        if share.estimate is not None:
            cell = asked.cell(part, what="calls that failed")
            made.append(row(cell, share, runs=runs, installs=installs))
    return made


def latency(asked: Asked) -> list[Row]:
    """Return how long each stage takes."""
    if asked.filters.get("by") == "model":
        return _models(asked)
    rates = group(asked.rows("rates"), "part")
    points = {"median": 0.5, "p95": 0.95}
    shapes = {name: _shapes(asked, name) for name, _ in BOUNDS.values()}
    wanted = {
        f"{point}_{name}": [_at(shapes[name].get(part), p) for part in rates]
        for name, _ in BOUNDS.values()
        for point, p in points.items()
    }
    below = group(asked.rows("latency_below", parts=[p or "" for p in rates], **wanted), "part")
    made = []
    for part, records in rates.items():
        for stage, (name, bound) in BOUNDS.items():
            share, runs, installs = rate_of(records, f"slow_{name}", name)
            if share.estimate is None:
                continue
            cell = asked.cell(part, stage=stage, measure=f"share above {bound} ms")
            made.append(row(cell, share, runs=runs, installs=installs))
            for point, text in (("median", "median"), ("p95", "p95 within a call")):
                some = _shares(below[part or ""], f"{point}_{name}", name)
                found = quantile(points[point], shapes[name][part], some)
                cell = asked.cell(part, stage=stage, measure=text)
                made.append(_number(cell, found, runs, installs, "ms"))
    return made


def _models(asked: Asked) -> list[Row]:
    """Return the share of slow calls by model. Calls do not state one: their runs do."""
    made = []
    records = asked.rows("latency_models")
    for (stage, model), some in group(records, "stage", "model").items():
        base = next(record for record in some if record["unit"] == "base")
        calls = [record for record in some if record["unit"] == "calls"]
        found = ratio(_shares(calls, "slow", "n"), int(base["installs"]))
        measure = f"share above {BOUNDS[stage][1]} ms"
        cell = asked.cell(model, stage=stage, measure=measure)
        made.append(row(cell, found, runs=base["runs"], installs=base["installs"]))
    return made


def _at(shape: Histogram | None, p: float) -> int:
    """Return where a quantile is. Of a stage that no call of a part has, any value will do."""
    return 0 if shape is None else shape.at(p)


def _shares(records: list[Record], hits: str, of: str) -> list[Share]:
    return [(r["kept"], r["grp"], int(r[hits]), int(r[of])) for r in records]


def _shapes(asked: Asked, name: str) -> dict[str | None, Histogram]:
    """Return the histogram of a field by part."""
    return {
        part: Histogram((r["kept"], int(r["value"]), int(r["n"])) for r in records)
        for part, records in group(asked.rows("numbers", field=name), "part").items()
    }


def _number(cell: dict[str, str], found: Estimate, runs: int, installs: int, unit: str) -> Row:
    """Return the row of a quantile. It is not shown where too little was drawn."""
    if is_few(installs, found.groups):
        found = Estimate(None, None, None, "few", found.groups, found.drawn)
    return row(cell, found, runs=runs, installs=installs, unit=unit)


def numbers(asked: Asked) -> list[Row]:
    """Return the distribution of a number."""
    name = str(asked.field)
    base = {record["part"]: record for record in asked.rows("number_installs")}
    shapes = _shapes(asked, name)
    # A part is known by its name: '' is that of calls that do not say.
    wanted = {
        bound: [shape.at(p) for shape in shapes.values()]
        for bound, p in (("first", 0.1), ("second", 0.5), ("third", 0.9), ("fourth", 0.95))
    }
    records = asked.rows("numbers_below", parts=[part or "" for part in shapes], **wanted)
    below = group(records, "part")
    made = []
    for part, shape in shapes.items():
        runs, installs = base[part]["runs"], base[part]["installs"]
        for key, p in (("below_1", 0.1), ("below_2", 0.5), ("below_3", 0.9), ("below_4", 0.95)):
            found = quantile(p, shape, _shares(below[part or ""], key, "n"))
            if name == "cost_usd":
                found = _in_dollars(found)
            cell = asked.cell(part, **{name: f"p{p * 100:g}"})
            made.append(_number(cell, found, runs, installs, _UNITS.get(name, "ms")))
    return made


def _in_dollars(found: Estimate) -> Estimate:
    value, lower, upper = (None if v is None else v / _CENTS for v in found[:3])
    return found._replace(estimate=value, lower=lower, upper=upper)
