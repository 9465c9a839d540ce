"""Figures and their intervals: on paper, against scipy, and against what was drawn."""

import itertools
import math
import random

import numpy as np
import pytest
from scipy import stats

from getpatter.collector import compare, estimate
from getpatter.collector.distributions import beta_quantile, t_quantile
from getpatter.collector.estimate import Estimate, Share

PROBABILITIES = [0.0005, 0.005, 0.025, 0.05, 0.3, 0.5, 0.8, 0.95, 0.975, 0.995, 0.9995]
FREEDOM = [0.5, 0.9, 1, 1.5, 2, 2.7, 9.9, 30, 63, 500, 19_999, 20_001, 1e6]
SHAPES = [0.05, 0.3, 1, 1.7, 5, 30, 200, 5e3, 1e5, 1e6]


@pytest.mark.parametrize("df", FREEDOM)
def test_quantiles_of_t_are_those_of_scipy(df: float) -> None:
    ours = [t_quantile(p, df) for p in PROBABILITIES]
    assert ours == pytest.approx(stats.t.ppf(PROBABILITIES, df), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("a", SHAPES)
def test_quantiles_of_the_beta_distribution_are_those_of_scipy(a: float) -> None:
    grid = list(itertools.product(PROBABILITIES, SHAPES))
    ours = [beta_quantile(p, a, b) for p, b in grid]
    theirs = [float(stats.beta.ppf(p, a, b)) for p, b in grid]
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)


def test_a_beta_distribution_without_hits_or_without_misses_lies_at_an_end() -> None:
    assert [beta_quantile(0.025, 0, 5), beta_quantile(0.975, 5, 0)] == [0, 1]
    assert [beta_quantile(0, 2, 5), beta_quantile(1, 2, 5)] == [0, 1]


def some_rows(seed: int, groups: int = 64) -> list[Share]:
    """Share rows at two rates, in parts."""
    chance = random.Random(seed)  # noqa: S311 - invented rows
    return [
        (kept, group, chance.randrange(of // 2 + 1), of)
        for group in range(groups)
        for kept in (0.3, 1.0)
        for of in (chance.randrange(1, 40), chance.randrange(1, 40))
    ]


def reference(rows: list[Share]) -> tuple[float, float, float]:
    """Share, variance and G* as the definition has them, with numpy."""
    hits, of = np.zeros(64), np.zeros(64)
    for kept, group, some, all_ in rows:
        hits[group] += some / kept
        of[group] += all_ / kept
    share = hits.sum() / of.sum()
    without = (hits.sum() - hits) / (of.sum() - of)
    variance = ((without - share) ** 2).sum() * 63 / 64
    return share, variance, of.sum() ** 2 / (of**2).sum()


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_a_ratio_has_the_jackknife_interval_on_the_logit_scale(level: float) -> None:
    rows = some_rows(1)
    share, variance, groups = reference(rows)
    half = stats.t.ppf((1 + level) / 2, groups - 1) * math.sqrt(variance) / share / (1 - share)
    middle = math.log(share / (1 - share))
    bounds = [1 / (1 + math.exp(-middle - d)) for d in (-half, half)]
    found = estimate.ratio(rows, 64, level)
    assert found[:3] == pytest.approx((share, *bounds), rel=1e-9)
    assert (found.method, found.drawn) == ("jackknife", sum(row[3] for row in rows))
    assert found.groups == pytest.approx(groups)


@pytest.mark.parametrize("level", [0.95, 0.99])
def test_a_step_has_the_interval_of_korn_and_graubard(level: float) -> None:
    rows = some_rows(2)
    share, variance, groups = reference(rows)
    drawn = sum(row[3] for row in rows)
    tail = (1 - level) / 2
    worth = share * (1 - share) / variance
    worth *= (stats.t.ppf(tail, drawn - 1) / stats.t.ppf(tail, groups - 1)) ** 2
    worth = min(worth, drawn)
    lower = stats.beta.ppf(tail, share * worth, worth - share * worth + 1)
    upper = stats.beta.ppf(1 - tail, share * worth + 1, worth - share * worth)
    assert estimate.step(rows, 64, level)[:3] == pytest.approx((share, lower, upper), rel=1e-9)


def test_a_step_of_one_rate_is_the_plain_share_of_what_was_drawn() -> None:
    rows = [(0.1, group, 3, 8) for group in range(20)]
    assert estimate.step(rows, 200).estimate == pytest.approx(3 / 8)


def test_groups_that_agree_do_not_make_an_interval_of_nothing() -> None:
    rows = [(1.0, group, 1, 10) for group in range(20)]
    for found in (estimate.ratio(rows, 20), estimate.step(rows, 20)):
        assert found.lower is not None
        assert found.upper is not None
        assert found.lower < 0.08
        assert found.upper > 0.12


def test_kinds_of_weights_on_paper() -> None:
    """100 calls of drawn runs at 0.1, 20 of them failed in runs that were not drawn, as well."""
    drawn = (0.1, 0, 0, 9)  # completed calls of drawn runs: 90
    forced = (1.0, 0, 10, 10)  # failed calls, never sampled
    legacy_error = (1.0, 1, 4, 4)  # whatever rate it states
    legacy_failed = (0.5, 1, 3, 3)  # failed without a code: weighed by its rate
    rate_0 = (0.0, 2, 5, 50)  # left out of both
    rows = [drawn, forced, legacy_error, legacy_failed, rate_0]
    found = estimate.ratio(rows, 3)
    assert found.estimate == pytest.approx((10 + 4 + 6) / (90 + 10 + 4 + 6))
    assert found.drawn == 26


@pytest.mark.parametrize("seed", range(5))
def test_all_data_and_the_sum_of_days_give_the_same_digits(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - invented parts
    whole = some_rows(seed)
    days = [
        (kept, group, *part)
        for kept, group, hits, of in whole
        for cut, rest in [(chance.randint(0, hits), chance.randint(0, of - hits))]
        for part in ((cut, cut + rest), (hits - cut, of - cut - rest))
    ]
    chance.shuffle(days)
    assert estimate.ratio(days, 64) == estimate.ratio(whole, 64)
    assert estimate.step(days, 64) == estimate.step(whole, 64)
    histogram = [(kept, hits, of) for kept, _, hits, of in whole]
    parts = [(kept, value, part) for kept, value, of in histogram for part in (1, of - 1)]
    chance.shuffle(parts)
    assert estimate.quantile(0.9, parts, days) == estimate.quantile(0.9, histogram, whole)
    strata = [(0.3, 100, 33, 60, 200), (0.1, 50, 4, 9, 31)]
    halves = [(0.3, 40, 13, 20, 80), (0.1, 50, 4, 9, 31), (0.3, 60, 20, 40, 120)]
    assert estimate.total(7, halves) == estimate.total(7, strata)


def test_nothing_seen_has_an_upper_bound_by_installs() -> None:
    found = estimate.ratio([(1.0, group, 0, 100) for group in range(37)], 37)
    assert (found.estimate, found.lower, found.method) == (0, 0, "none seen")
    assert found.upper == pytest.approx(0.0778, abs=1e-4)
    every = estimate.step([(1.0, group, 5, 5) for group in range(37)], 37)
    assert (every.estimate, every.upper, every.method) == (1, 1, "all seen")
    assert every.lower == pytest.approx(1 - 0.0778, abs=1e-4)


def test_nothing_is_said_of_nothing() -> None:
    for found in (
        estimate.ratio([], 0),
        estimate.step([(0.0, 1, 0, 7)], 3),
        estimate.quantile(0.5, [], []),
    ):
        assert found == (None, None, None, "nothing drawn", 0, 0)


def test_one_install_says_nothing_of_others() -> None:
    rows = [(1.0, 5, 40, 1000), (1.0, 6, 0, 1)]  # one with a thousand calls, one with one
    found = estimate.ratio(rows, 2)
    assert found[:3] == pytest.approx((40 / 1001, 0, 1))
    assert found.method == "one group"
    assert estimate.step(rows, 2).upper == 1


def test_a_total_at_rate_1_is_counted() -> None:
    found = estimate.total(5, [(1.0, 30, 30, 90, 400)])
    assert found[:4] == (95, 95, 95, "counted")


def test_a_total_is_scaled_by_the_frame_not_by_the_rate() -> None:
    """100 runs at 0.1, of which chance drew 8: each stands for 12.5."""
    found = estimate.total(3, [(0.1, 100, 8, 40, 300)])
    assert found.estimate == pytest.approx(3 + 12.5 * 40)
    spread = (300 - 40**2 / 8) / 7
    deviation = math.sqrt(100**2 * (1 - 0.08) * spread / 8)
    half = stats.t.ppf(0.975, 40**2 / 300 - 1) * deviation / 500
    assert found.upper == pytest.approx(3 + 500 * math.exp(half))
    assert found.lower == pytest.approx(max(3 + 500 * math.exp(-half), 43))


def test_a_total_without_a_frame_is_that_of_horvitz_and_thompson() -> None:
    found = estimate.total(2, [], [(0.25, 60, 400), (1.0, 11, 30)])
    assert found.estimate == pytest.approx(2 + 240 + 11)
    deviation = math.sqrt(0.75 * 400 / 0.25**2)
    groups = 251**2 / (400 * 16 + 30)
    half = stats.t.ppf(0.975, groups - 1) * deviation / 251
    assert found.upper == pytest.approx(2 + 251 * math.exp(half))
    assert found.method == "horvitz-thompson"


def test_a_total_is_never_below_what_has_arrived() -> None:
    found = estimate.total(1000, [(0.9, 12, 10, 500, 90_000)])
    assert found.lower is not None
    assert found.lower >= 1500


def test_a_total_says_nothing_of_runs_at_rate_0_and_has_no_upper_bound_if_none_was_drawn() -> None:
    assert estimate.total(4, [(0.0, 50, 0, 0, 0)])[:4] == (4, 4, 4, "counted")
    assert estimate.total(4, [(0.1, 50, 0, 0, 0)])[:3] == (4, 4, None)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.95])
def test_a_quantile_of_whole_milliseconds_is_weighted(p: float) -> None:
    chance = random.Random(3)  # noqa: S311 - invented values
    calls = [
        (chance.choice([0.25, 1.0]), chance.randrange(64), int(chance.lognormvariate(6, 0.5)))
        for _ in range(3000)
    ]
    values = np.array([value for _, _, value in calls])
    weights = np.array([1 / kept for kept, _, _ in calls])
    theirs = np.quantile(values, p, weights=weights, method="inverted_cdf")
    histogram = [(kept, value, 1) for kept, _, value in calls]
    at = estimate.quantile_at(p, histogram)
    assert at is not None
    assert at == theirs
    below = [(kept, group, int(value <= at), 1) for kept, group, value in calls]
    found = estimate.quantile(p, histogram, below)
    # Woodruff: the interval of the share below, mapped back.
    share = estimate.step(below, 64)
    assert found.estimate == at
    for ours, bound in ((found.lower, share.lower), (found.upper, share.upper)):
        assert bound is not None
        reference = np.quantile(values, bound, weights=weights, method="inverted_cdf")
        assert ours == pytest.approx(reference, rel=0.02)


def test_a_difference_moves_the_intervals_together() -> None:
    one = Estimate(0.10, 0.07, 0.15, "jackknife", 40, 900)
    other = Estimate(0.04, 0.03, 0.06, "jackknife", 50, 800)
    found = compare.difference(one, other)
    assert found.estimate == pytest.approx(0.06)
    assert found.lower == pytest.approx(0.06 - math.hypot(0.03, 0.02))
    assert found.upper == pytest.approx(0.06 + math.hypot(0.05, 0.01))
    assert found[3:] == ("mover", 40, 800)
    unknown = Estimate(None, None, None, "nothing drawn", 0, 0)
    assert compare.difference(one, unknown)[:3] == (None, None, None)


def test_a_paired_difference_is_narrower_where_installs_keep_their_own_habits() -> None:
    chance = random.Random(4)  # noqa: S311 - invented rows
    before, after = [], []
    for group in range(64):
        share = chance.uniform(0, 0.5)
        before.append((1.0, group, round(200 * share), 200))
        after.append((1.0, group, round(200 * (share + 0.03)), 200))
    found = compare.paired(after, before, 64)
    assert found.estimate == pytest.approx(0.03, abs=0.001)
    assert found.lower is not None
    assert found.upper is not None
    apart = compare.difference(estimate.ratio(after, 64), estimate.ratio(before, 64))
    assert apart.lower is not None
    assert apart.lower < 0 < found.lower < 0.03 < found.upper < 0.04


def test_a_paired_difference_without_any_event_is_bounded_by_installs() -> None:
    rows = [(1.0, group, 0, 50) for group in range(30)]
    found = compare.paired(rows, rows, 30)
    assert found[:3] == pytest.approx((0, -0.0950, 0.0950), abs=1e-4)
    assert found.method == "none seen"
    assert compare.paired([], [], 0).estimate is None
    assert compare.paired(rows[:1], rows[:1], 1)[:3] == pytest.approx((0, -0.95, 0.95))


@pytest.mark.parametrize(
    ("middle", "lower", "upper", "word"),
    [
        (-0.04, -0.06, -0.02, "better"),
        (0.00, -0.01, 0.01, "not worse"),
        (0.015, 0.012, 0.018, "not worse"),  # sure, and no matter
        (0.05, 0.01, 0.09, "worse"),
        (0.01, -0.03, 0.05, "cannot tell yet"),
    ],
)
def test_verdicts(middle: float, lower: float, upper: float, word: str) -> None:
    found = Estimate(middle, lower, upper, "mover", 40, 1000)
    assert compare.verdict(found, 0.02, is_few=False).word == word
    assert compare.verdict(found, 0.02, is_few=True).word == "cannot tell yet"


def test_a_verdict_that_cannot_be_given_says_how_many_more_it_takes() -> None:
    found = Estimate(0.0, -0.04, 0.04, "mover", 40, 1000)
    assert compare.verdict(found, 0.02, is_few=False).more == 3000  # half the width
    rising = Estimate(0.03, -0.03, 0.09, "mover", 40, 1000)
    assert compare.verdict(rising, 0.02, is_few=False).more == 3000
    unknown = Estimate(None, None, None, "nothing drawn", 0, 0)
    assert compare.verdict(unknown, 0.02, is_few=False) == ("cannot tell yet", None)


def test_few_is_said_of_what_was_drawn_only() -> None:
    assert estimate.is_few(49, 30)
    assert estimate.is_few(500, 9.9)
    assert not estimate.is_few(50, 10)


def test_an_install_with_many_runs_is_one_fact() -> None:
    """Of 60 installs, one fails in each of its thousand runs: an interval per run would be narrow,
    and wrong.
    """
    rows = [(1.0, group, 0, 20) for group in range(1, 60)] + [(1.0, 0, 1000, 1000)]
    found = estimate.ratio(rows, 60)
    assert found.lower is not None
    assert found.upper is not None
    assert found.upper - found.lower > 0.9
    assert estimate.is_few(60, found.groups)
