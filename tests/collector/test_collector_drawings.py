"""The drawings of the pages: what they hold, what they mark."""

import re
from typing import Any

import pytest

from getpatter.collector.pages.charts import days_chart, first_days
from getpatter.collector.pages.marks import bar, bars, dot, scale_of


def row(estimate: float | None, lower: float | None = None, upper: float | None = None,
        *, few: bool = False, unit: str = "share", **cell: str) -> dict[str, Any]:  # fmt: skip
    return {
        "cell": {**cell, "unit": unit},
        "estimate": estimate,
        "lower": lower,
        "upper": upper,
        "events": 100,
        "runs": 100,
        "installs": 100,
        "few": few,
    }


@pytest.mark.parametrize("unit", ["share", "difference of shares", "ms", "count"])
@pytest.mark.parametrize("top", [0.0, 1e-9, 0.012, 0.3, 1.0])
def test_a_scale_holds_every_figure(unit: str, top: float) -> None:
    size = top * (1 if "share" in unit else 5_000)
    scale = scale_of([row(size / 2, 0.0, size, unit=unit), row(None, unit=unit)])
    assert scale.low <= 0 <= size * 0.999_99 <= scale.high
    assert 0 <= scale.at(size) <= 100


def test_an_interval_of_few_installs_does_not_flatten_the_others() -> None:
    assert scale_of([row(0.05, 0.04, 0.06), row(0.05, 0.0, 0.9, few=True)]).high <= 0.1


def test_a_dot_of_few_installs_is_hollow_and_what_is_not_known_is_not_drawn() -> None:
    scale = scale_of([row(0.5)])
    assert 'class="dot few"' in dot(row(0.5, 0.1, 0.9, few=True), scale)
    assert 'class="dot"' in dot(row(0.5, 0.1, 0.9), scale)
    assert (dot(row(None), scale), bar(row(None), scale)) == ("", "")
    assert "whisker" not in dot(row(0.5, None, None), scale)


def test_bars_stand_side_by_side_on_one_scale() -> None:
    drawn = bars([0, 5, 10], scale_of([row(10, unit="count")]))
    assert re.findall(r'height="([\d.]+)" ?/', drawn) == ["10.0", "20.0"]


def days(count: int) -> list[dict[str, Any]]:
    return [row(0.1, 0.05, 0.15, day=f"2026-11-{n:02}") for n in range(1, count + 1)]


def test_the_days_that_may_still_change_are_shaded_and_releases_are_marked() -> None:
    drawn = days_chart(days(20), "2026-11-14", {"0.8.0": "2026-11-10"}, "Failed calls")
    assert drawn.count('class="provisional"') == 1
    assert drawn.count('class="release"') == 2  # a line and its name
    assert ">0.8.0</text>" in drawn
    assert 'aria-label="Failed calls, 1 Nov to 20 Nov; last: 10.0' in drawn
    assert 'class="provisional"' not in days_chart(days(20), "2026-12-01", {}, "")


def test_a_day_without_calls_is_a_gap() -> None:
    some = [one for one in days(9) if one["cell"]["day"] != "2026-11-05"]
    assert days_chart(some, "2026-12-01", {}, "").count('class="path"') == 6
    assert days_chart(days(1), "2026-12-01", {}, "") == ""


def test_a_release_is_marked_where_it_was_seen_first_unless_it_was_there_before() -> None:
    seen = [
        {"cell": {"day": day, "release": release}}
        for day, release in (
            ("2026-11-01", "0.7.1"), ("2026-11-03", "0.7.2"), ("2026-11-04", "0.7.2"),
            ("2026-11-04", None),
        )
    ]  # fmt: skip
    assert first_days(seen) == {"0.7.2": "2026-11-03"}
