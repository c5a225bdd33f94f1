"""A straight line through points, with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Fit:
    """time = a + b · position, by least squares. `low` to `high` hold b in 95 % of repetitions."""

    name: str
    a_ns: float | None  # None where only differences of positions are known
    b_ns: float  # per position
    low_ns: float
    high_ns: float
    points: int
    grows: bool  # low is above zero


def fit(name: str, position: Sequence[float], time: Sequence[float]) -> Fit | None:
    """The line, or None where fewer than four points or two positions leave it undetermined.

    Source: ordinary least squares; Student's t with n - 2 degrees of freedom.
    """
    x, y = np.asarray(position, float), np.asarray(time, float)
    count = len(x)
    spread = float(((x - x.mean()) ** 2).sum()) if count else 0.0
    if count < 4 or not spread:
        return None
    from scipy.special import stdtrit

    b = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    a = float(y.mean() - b * x.mean())
    residual = float(((y - a - b * x) ** 2).sum() / (count - 2))
    half = float(stdtrit(count - 2, 0.975)) * float(np.sqrt(residual / spread))
    return Fit(name, a, b, b - half, b + half, count, b - half > 0)
