"""What a row yields, and how it is shown: figures by client, as text and as Markdown."""

import statistics
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from clients import NONE, OURS, STATSD

__all__ = ["Figure", "Row", "Value", "less", "median", "summary", "table"]


@dataclass(frozen=True, slots=True)
class Value:
    """One cell: a number to compare by, None if there is none, and a remark beside it.

    `is_least`: the run was cut short, so the number is what it took at least.
    """

    number: float | None
    remark: str = ""
    is_least: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure: its unit, the bar that ours has to reach, and a value by client."""

    measure: str
    unit: str
    bar: str
    values: Mapping[str, Value]
    digits: int = 1
    is_higher_better: bool = False

    def shown(self, name: str) -> str:
        """Return a client's cell."""
        value = self.values.get(name)
        if value is None or (value.number is None and not value.remark):
            return "—"
        if value.number is None:
            return value.remark
        number = f"{'> ' if value.is_least else ''}{value.number:,.{self.digits}f}"
        return f"{number} ({value.remark})" if value.remark else number

    def best(self) -> str | None:
        """Return the peer with the best number; statsd, which promises nothing, is none."""
        rivals = {
            name: value.number
            for name, value in self.values.items()
            if name not in (NONE, OURS, STATSD) and value.number is not None and not value.is_least
        }
        if not rivals:
            return None
        return (max if self.is_higher_better else min)(rivals, key=rivals.__getitem__)

    def ratio(self) -> str:
        """Return ours as a multiple of the best peer's."""
        best, mine = self.best(), self.values.get(OURS)
        if best is None or mine is None or mine.number is None:
            return "—"
        other = self.values[best].number
        # Of what rounds to nothing there is no multiple.
        return f"{mine.number / other:.2f}" if other and other >= 10**-self.digits else "—"


@dataclass(frozen=True, slots=True)
class Row:
    """All figures of one subject, what was done to get them, and text that belongs below."""

    title: str
    note: str
    figures: list[Figure]
    below: str = ""
    plots: list[str] = field(default_factory=list)


def median(values: Iterable[float | None]) -> float | None:
    """Return the median of the runs that yielded a number."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def less(values: Mapping[str, float | None]) -> dict[str, Value]:
    """Return the values less that of no client; what is less than that is noise, and nothing."""
    nothing = values.get(NONE) or 0.0
    return {
        name: Value(None if number is None else max(0.0, number - nothing))
        for name, number in values.items()
        if name != NONE
    }


def table(row: Row, names: list[str], missing: Collection[str] = ()) -> str:
    """Return a row as Markdown: a line a client, a column a figure; `missing` could not run."""
    used = [name for name in names if any(name in figure.values for figure in row.figures)]
    heads = [f"{figure.measure}, {figure.unit}".rstrip(", ") for figure in row.figures]
    lines = [f"### {row.title}", "", row.note, ""]
    if row.figures:
        lines += [_line(["client", *heads]), _line(["---"] + ["---:"] * len(heads))]
        lines += [_line([name, *(one.shown(name) for one in row.figures)]) for name in used]
        lines += [_line([name, *["not installed"] * len(heads)]) for name in missing]
    for plot in row.plots:
        lines += ["", "```text", plot, "```"]
    if row.below:
        lines += ["", row.below]
    return "\n".join(lines) + "\n"


def summary(rows: list[Row]) -> str:
    """Return the table for the README: a line a figure, the best peer, ours, and their ratio."""
    lines = [
        _line(["measure", "best peer", "ours", "ratio", "bar", "statsd"]),
        _line(["---", "---:", "---:", "---:", "---:", "---:"]),
    ]
    for row in rows:
        for figure in row.figures:
            best = figure.best()
            lines.append(
                _line(
                    [
                        f"{row.title}: {figure.measure}, {figure.unit}".rstrip(", "),
                        "—" if best is None else f"{best}: {figure.shown(best)}",
                        figure.shown(OURS),
                        figure.ratio(),
                        figure.bar or "—",
                        figure.shown(STATSD),
                    ]
                )
            )
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
