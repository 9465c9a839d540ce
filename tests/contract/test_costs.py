"""What README says of the costs was measured: `benchmarks/RESULTS.md` has the same numbers."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
RESULTS = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")


class Row(NamedTuple):
    """A measure: the best peer, its number and ours, as they are written."""

    measure: str
    name: str
    peer: str
    ours: str


def rows_of(text: str, peer: str) -> list[Row]:
    """The rows of the first table of costs; `peer` finds number and name in its second cell."""
    table = text.partition("| measure |")[2].partition("\n\n")[0]
    found = []
    for line in table.splitlines()[2:]:
        measure, best, ours, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        match = re.search(peer, best)
        number = re.match(r"[\d.,]+", ours)
        if match and number:
            found.append(Row(measure, match["name"], match["number"], number[0]))
    return found


SAID = rows_of(README, r"(?P<number>[\d.,]+)[^(]*\((?P<name>\w+)\)")
MEASURED = rows_of(RESULTS, r"(?P<name>\w+): (?P<number>[\d.,]+)")


def is_rounded(said: str, measured: str) -> bool:
    decimals = len(said.partition(".")[2])
    one, other = (float(text.replace(",", "")) for text in (said, measured))
    half: float = 0.5 / 10**decimals
    return abs(one - other) <= half + 1e-9


def test_there_are_rows() -> None:
    table = README.partition("## What it costs")[2].partition("\n## ")[0]
    assert len(SAID) == len(re.findall(r"^\| ", table, re.MULTILINE)) - 2
    assert len(MEASURED) > 20


@pytest.mark.parametrize("said", SAID, ids=lambda row: row.measure)
def test_each_row_is_one_that_was_measured(said: Row) -> None:
    fitting = [
        row
        for row in MEASURED
        if row.name == said.name
        and is_rounded(said.peer, row.peer)
        and is_rounded(said.ours, row.ours)
    ]
    assert len(fitting) == 1, fitting


def test_the_place_and_the_time_are_those_of_the_results() -> None:
    place = re.search(r"Measured on ([\d-]+), (CPython [\d.]+), (\d+ cores)", README)
    assert place is not None
    for part in place.groups():
        assert part in RESULTS.partition("| measure |")[0]
