"""Student's t distribution, for intervals of few values; the standard library has none."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS = 200  # of the continued fraction, and of the search


@lru_cache(maxsize=4096)
def quantile(probability: float, freedom: float) -> float:
    """The t below which this share of the distribution lies; `freedom` need not be whole.

    Raises: ValueError for a probability outside (0, 1) or no degrees of freedom.
    """
    if not 0 < probability < 1 or not freedom > 0:
        raise ValueError(f"no quantile {probability} of t with {freedom} degrees of freedom")
    if probability < 0.5:
        return -quantile(1 - probability, freedom)
    # t falls as x = freedom / (freedom + t²) rises: halve the interval of x
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        x = (low + high) / 2
        if _beta(x, freedom / 2, 0.5) / 2 > 1 - probability:
            high = x
        else:
            low = x
    return math.sqrt(freedom * (1 / x - 1)) if x > 0 else math.inf


def half_width(one: Floats, two: Floats, confidence: float) -> float:
    """Half the interval of the difference of two means; each list has two values or more.

    Source: Welch 1947.
    """
    parts = [float(side.var(ddof=1)) / len(side) for side in (one, two)]
    error = sum(parts)
    if not error:
        return 0.0
    below = sum(p**2 / (len(s) - 1) for p, s in zip(parts, (one, two), strict=True))
    return quantile(0.5 + confidence / 2, round(max(error**2 / below, 1.0), 2)) * math.sqrt(error)


def _beta(x: float, a: float, b: float) -> float:
    """The regularized incomplete beta function I_x(a, b).

    Source: Press et al., Numerical Recipes, 3rd ed., section 6.4 (Lentz's continued fraction).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        + a * math.log(x) + b * math.log1p(-x)
    )  # fmt: skip
    return front * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    whole = d
    for m in range(1, _STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            whole *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return whole
