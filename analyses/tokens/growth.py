"""A straight line through points, with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracekit.answers.tokens import Fit


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
