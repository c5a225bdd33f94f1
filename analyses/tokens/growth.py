"""A straight line through the times of tokens; likeness of neighbours widens its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tracekit.answers.tokens import Fit
from tracekit.results.student import quantile

CONFIDENCE = 0.95
LIKEST = 0.99  # the strongest correlation of neighbours that is reckoned with
LEAST = 4  # points; of fewer nothing is said

Floats = npt.NDArray[np.float64]


def fit(
    name: str, position: Sequence[float], time: Sequence[float], request: Sequence[int]
) -> Fit | None:
    """The line, or None where fewer than four points or two positions leave it undetermined.

    Tokens stand in the order in which they were decoded, the `request` of each beside it: what is
    left of a token's time is like that of the token before (clocks, neighbours, caches), and the
    interval of ordinary least squares, which takes them for independent, is far too narrow. Here
    it is the variance of the same slope under errors of the first order, `rho` between neighbours
    of one request, with Satterthwaite's degrees of freedom. `rho` is estimated from the residuals,
    corrected for the bias that a fitted line gives it, and taken two standard errors higher.

    Shapes: position, time, request [N].
    Source: Kendall 1954 (the bias); Satterthwaite 1946; coverage by scripts/simulate_statistics.py.
    """
    x, y = np.asarray(position, float), np.asarray(time, float)
    count = len(x)
    spread = float(((x - x.mean()) ** 2).sum()) if count else 0.0
    if count < LEAST or not spread:
        return None
    b = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    a = float(y.mean() - b * x.mean())
    half = _half(x - x.mean(), y - a - b * x, spread, np.asarray(request))
    return Fit(name, a, b, b - half, b + half, count, b - half > 0)


def _half(x: Floats, left: Floats, spread: float, request: npt.NDArray[np.int64]) -> float:
    """Half the interval of the slope: `x` centred, `left` the residuals."""
    squares = float(left @ left)
    if not squares:
        return 0.0
    count, cuts = len(x), np.flatnonzero(np.diff(request)) + 1
    rho = _likeness(left, cuts, squares)
    flat = np.full(count, count**-0.5)
    basis = np.stack([flat, x / spread**0.5])  # [2, N] orthonormal: what the line takes up
    blurred = np.stack([_correlated(row, cuts, rho) for row in basis])
    inner, outer = basis @ blurred.T, blurred @ blurred.T
    # traces of M T and of (M T)², M what takes out the line, T the correlations
    one = count - float(np.trace(inner))
    two = _sum_of_squares(count, cuts, rho) - 2 * float(np.trace(outer)) + float(
        (inner * inner.T).sum()
    )  # fmt: skip
    variance = squares / one * float(inner[1, 1]) / spread
    freedom = round(max(one * one / two, 1.0), 1)
    return quantile(0.5 + CONFIDENCE / 2, freedom) * math.sqrt(variance)


def _likeness(left: Floats, cuts: npt.NDArray[np.int64], squares: float) -> float:
    """The correlation of neighbours that is reckoned with: a high guess, at least 0."""
    count = len(left)
    product = left[1:] * left[:-1]
    found = float(np.delete(product, cuts - 1).sum()) / squares
    if count > 6:
        found = (count * found + 2) / (count - 4)
    found = min(found, LIKEST)
    errors = 2.0 if count >= 48 else 2.5
    return min(max(found + errors * math.sqrt(max(1 - found**2, 0.0) / count), 0.0), LIKEST)


def _correlated(row: Floats, cuts: npt.NDArray[np.int64], rho: float) -> Floats:
    """T times a row: each value with those of its request, weighted by rho ** distance."""
    if rho == 0:
        return row
    far = int(np.log(1e-9) / np.log(rho)) + 1
    out = []
    for part in np.split(row, cuts):
        reach = min(far, len(part) - 1)
        weights = rho ** np.abs(np.arange(-reach, reach + 1))
        out.append(np.convolve(part, weights)[reach : reach + len(part)])
    return np.concatenate(out)


def _sum_of_squares(count: int, cuts: npt.NDArray[np.int64], rho: float) -> float:
    """Of all entries of T."""
    lengths = np.diff(np.concatenate([[0], cuts, [count]]))
    apart = np.arange(1, int(lengths.max()))
    pairs = np.maximum(lengths[:, None] - apart, 0).sum(axis=0)
    return float(count + 2 * (pairs * rho ** (2.0 * apart)).sum())
