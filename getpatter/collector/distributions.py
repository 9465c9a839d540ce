"""Quantiles of Student's t and of the beta distribution, in plain floats.

Both rest on the regularised incomplete beta function, a continued fraction (Lentz). The tests hold
them to scipy's, within 1e-9.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, inf, lgamma, log, log1p, sqrt
from statistics import NormalDist

__all__ = ["beta_quantile", "t_quantile"]

_TINY = 1e-300
_STEPS = 20_000  # the fraction needs about sqrt(a + b) of them


def _log_front(x: float, a: float, b: float) -> float:
    """Return the logarithm of x^a (1 - x)^b / B(a, b)."""
    return a * log(x) + b * log1p(-x) + lgamma(a + b) - lgamma(a) - lgamma(b)


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0) or _TINY)
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1.0 / (1.0 + term * d or _TINY)
            c = 1.0 + term / c or _TINY
            step *= c * d
        value *= step
        if abs(step - 1.0) < 1e-16:
            break
    return value


def _log_beta_cdf(x: float, a: float, b: float) -> float:
    """Return the logarithm of the probability of at most `x`."""
    if x < (a + 1.0) / (a + b + 2.0):
        return _log_front(x, a, b) + log(_fraction(x, a, b) / a)
    above = exp(_log_front(x, a, b)) * _fraction(1.0 - x, b, a) / b
    return log1p(-above) if above < 1.0 else -inf


@lru_cache(maxsize=65_536)
def beta_quantile(p: float, a: float, b: float) -> float:
    """Return the `x` up to which a beta(a, b) lies with probability `p`; a = 0 is all at 0."""
    if p <= 0.0 or a <= 0.0:
        return 0.0
    if p >= 1.0 or b <= 0.0:
        return 1.0
    if _log_beta_cdf(a / (a + b), a, b) < log(p):  # beyond the mean: from the other end
        return 1.0 - _lower_quantile(1.0 - p, b, a)
    return _lower_quantile(p, a, b)


def _lower_quantile(p: float, a: float, b: float) -> float:
    """Solve by Newton's method on log(probability) over log(x), which is nearly a line."""
    goal, low, high = log(p), -700.0, 0.0
    u = log(a / (a + b))
    for _ in range(200):
        x = exp(u)
        if x >= 1.0:
            x = 1.0 - 1e-16
        value = _log_beta_cdf(x, a, b)
        if value > goal:
            high = u
        else:
            low = u
        slope = exp(min(_log_front(x, a, b) - log1p(-x) - value, 700.0)) if value > -inf else 0.0
        step = u - (value - goal) / slope if slope > 0.0 else inf
        following = step if low < step < high else (low + high) / 2
        if abs(following - u) < 1e-15 * max(1.0, abs(u)):
            return exp(following)
        u = following
    return exp(u)


def t_quantile(p: float, df: float) -> float:
    """Return the `p` quantile of Student's t; `df`, its degrees of freedom, may be a fraction."""
    if p < 0.5:
        return -t_quantile(1.0 - p, df)
    if df > 20_000.0:  # nearly normal: the first terms of its expansion
        z = NormalDist().inv_cdf(p)
        first, second = z**3 + z, 5 * z**5 + 16 * z**3 + 3 * z
        return z + first / (4 * df) + second / (96 * df**2)
    if df < 2.0:  # far out: by the tail
        x = beta_quantile(2.0 * (1.0 - p), df / 2.0, 0.5)
        return sqrt(df * (1.0 - x) / x) if x > 0.0 else inf
    y = beta_quantile(2.0 * p - 1.0, 0.5, df / 2.0)
    return sqrt(df * y / (1.0 - y))
