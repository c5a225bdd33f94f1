"""What a list of times says, and whether two lists differ; pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from tracekit.results.student import half_width, quantile

Floats = npt.NDArray[np.float64]
Verdict = Literal["slower", "faster", "no change"]

NOISY = 0.10  # spread of a request's wall time beyond which a run is called noisy
FLOOR = 0.01  # a change of less than this share is none, however sure
RESAMPLES = 2000
ONE_NOISE = 0.001  # how far apart the ratios of values may lie that have the same noise
FASTEST = 0.1  # the quantile that has to agree with the median: neighbours hardly touch it


@dataclass(frozen=True, slots=True)
class Summary:
    """A list of times in ns (or of any other unit, throughout)."""

    count: int
    mean: float
    std: float | None  # of the sample, n - 1; None below two
    median: float
    p95: float | None  # None below 20 samples, of which it would be the largest
    p99: float | None  # None below 100
    minimum: float
    maximum: float
    low: float | None  # 95 % confidence interval of the median; None below six samples
    high: float | None


def summarize(values: Sequence[float]) -> Summary | None:
    """The summary of a list; None for an empty one. Percentiles interpolate linearly."""
    if not len(values):
        return None
    data = np.asarray(values, np.float64)
    low, high = median_interval(data)
    count = len(data)
    return Summary(
        count=count,
        mean=float(data.mean()),
        std=float(data.std(ddof=1)) if count > 1 else None,
        median=float(np.median(data)),
        p95=float(np.percentile(data, 95)) if count >= 20 else None,
        p99=float(np.percentile(data, 99)) if count >= 100 else None,
        minimum=float(data.min()),
        maximum=float(data.max()),
        low=low,
        high=high,
    )


def median_interval(
    values: Sequence[float] | Floats, confidence: float = 0.95
) -> tuple[float | None, float | None]:
    """(low, high) two of the values between which the median lies with this confidence.

    Exact and free of any distribution: ranks of the binomial with p = 1/2. (None, None) where there
    are too few values for the confidence, fewer than six for 95 %.

    Source: Conover, Practical Nonparametric Statistics, 3rd ed., section 3.2.
    """
    data = np.sort(np.asarray(values, np.float64))
    count = len(data)
    tail, below, term = (1 - confidence) / 2, 0.0, 0.5**count
    rank = 0  # values outside on either side
    while below + term <= tail and rank < count // 2:
        below += term
        rank += 1
        term *= (count - rank + 1) / rank
    if rank == 0 or term == 0:
        return _normal_interval(data, confidence) if count > 1000 else (None, None)
    return float(data[rank - 1]), float(data[count - rank])


def _normal_interval(data: Floats, confidence: float) -> tuple[float, float]:
    """The same ranks by the normal approximation, where 2 ** -n is no number any more."""
    count = len(data)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * count**0.5 / 2
    rank = max(int(count / 2 - reach), 1)
    return float(data[rank - 1]), float(data[count - rank])


def ratio_interval(
    parts: Sequence[float], wholes: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """(low, high) of sum(parts) / sum(wholes), the pairs being what varies.

    None for fewer than three pairs, or where all have one ratio: then nothing tells how sure it is.

    Source: Cochran, Sampling Techniques, 3rd ed., section 6.3.
    """
    some, all_ = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    count, whole = len(all_), float(all_.sum())
    if count < 3 or not whole:
        return None
    ratio = float(some.sum()) / whole
    left = some - ratio * all_
    if not np.any(np.abs(left) > 1e-12):
        return None
    error = math.sqrt(count / (count - 1) * float((left**2).sum())) / whole
    reach = quantile(0.5 + confidence / 2, count - 1) * error
    return ratio - reach, ratio + reach


# ---------------------------------------------------------------- one run


def stable(walls: Sequence[float], window: int = 3, within: float = 0.05) -> bool:
    """Whether a run has warmed up: the last `window` times are no faster than those before.

    Compares the medians of the last two windows; while caches fill, clocks rise and code is
    compiled, each window is faster than the last.
    """
    if len(walls) < 2 * window:
        return False
    before, last = walls[-2 * window : -window], walls[-window:]
    old, new = float(np.median(before)), float(np.median(last))
    return abs(new - old) <= within * old


def spread(values: Sequence[float]) -> float | None:
    """Interquartile range over median: how far apart the middle half lies. None below four."""
    if len(values) < 4:
        return None
    low, middle, high = np.percentile(np.asarray(values, np.float64), [25, 50, 75])
    return float((high - low) / middle) if middle else None


def drift(values: Sequence[float], blocks: int = 4) -> float | None:
    """Largest difference of the medians of consecutive quarters, over the median of all.

    A run whose clock, heat or neighbours changed under it drifts. None below 16 values.
    """
    if len(values) < 4 * blocks:
        return None
    data = np.asarray(values, np.float64)
    medians = [float(np.median(part)) for part in np.array_split(data, blocks)]
    middle = float(np.median(data))
    return (max(medians) - min(medians)) / middle if middle else None


# ---------------------------------------------------------------- two runs


@dataclass(frozen=True, slots=True)
class Change:
    """NEW over BASE - 1, of medians: 0.2 is 20 % more. `low`, `high`: its confidence interval."""

    base: float
    new: float
    change: float
    low: float
    high: float
    verdict: Verdict


def compare(
    base: Sequence[float],
    new: Sequence[float],
    *,
    machine: float = 1.0,
    waited: tuple[float, float] = (0.0, 0.0),
    confidence: float = 0.99,
    floor: float = FLOOR,
    seed: int = 0,
) -> Change | None:
    """What changed beyond noise, or None where a list has fewer than five values.

    `machine` is how much longer a fixed piece of work took beside `new` than beside `base`;
    `waited` are the shares of base and new in which a thread had no core.

    The interval is a bootstrap over blocks of neighbouring samples, so that a machine that drifts
    within a run widens it. It holds the change of the median and that of the fastest tenth, which
    other programs hardly touch. It is widened by the drift of the quieter run, since two runs of
    one thing lie as far apart as the parts of one; it holds the change as it is and the change with
    the machine's own taken out; it reaches as far as waiting could have moved it, a stage having
    waited up to twice its share. 'no change' where it holds 0, or the change is below `floor`.
    What differs between two processes of one thing is not in it: see `compare_runs`.
    Where value by value the ratio is one and the same, as with a file and its own times multiplied,
    the noise is too, and nothing but the machine's own change widens it.

    Source: Künsch 1989 (moving blocks); Efron and Tibshirani 1993 (percentile interval).
    """
    one, two = np.asarray(base, np.float64), np.asarray(new, np.float64)
    if min(len(one), len(two)) < 5 or not np.median(one) > 0:
        return None
    before, after = float(np.median(one)), float(np.median(two))
    change = after / before - 1
    paired = _paired(one, two)
    if paired is not None:
        low, high = min(paired[0], change), max(paired[1], change)
        waited = (0.0, 0.0)
    else:
        low, high = _bootstrapped(one, two, confidence, seed)
        slack = min(drift(one.tolist()) or 0.0, drift(two.tolist()) or 0.0) / 2
        low, high = max(low - slack, -1.0), high + slack
    if machine > 0:
        low, high = min(low, (1 + low) / machine - 1), max(high, (1 + high) / machine - 1)
    held = [1 - min(2 * share, 0.95) for share in waited]
    low, high = (1 + low) * held[1] - 1, (1 + high) / held[0] - 1
    verdict: Verdict = "no change"
    if abs(change) >= floor and not low <= 0 <= high:
        verdict = "slower" if change > 0 else "faster"
    return Change(before, after, change, low, high, verdict)


def interval_of_runs(
    runs: Sequence[Sequence[float]], confidence: float = 0.95
) -> tuple[float | None, float | None]:
    """(low, high) of the median between processes of one thing; (None, None) below two.

    Student's, of the logarithms of the processes' medians.
    """
    logs = np.log([np.median(run) for run in runs if len(run) and min(run) > 0])
    count = len(logs)
    if count < 2:
        return None, None
    error = math.sqrt(float(logs.var(ddof=1)) / count)
    half = quantile(0.5 + confidence / 2, count - 1) * error
    centre = float(logs.mean())
    return math.exp(centre - half), math.exp(centre + half)


def compare_runs(
    base: Sequence[Sequence[float]],
    new: Sequence[Sequence[float]],
    *,
    machine: float = 1.0,
    confidence: float = 0.95,
    floor: float = FLOOR,
) -> Change | None:
    """What changed beyond noise between many processes of each side; None below two of one.

    A process counts as one value, the logarithm of its median: whatever moves all requests of a
    process together (its memory, its cores, its clocks), or makes neighbours alike, is in the
    spread of these values and so in the interval, Student's with Welch's degrees of freedom.
    `machine` as in `compare`. A process of fewer than five values is left out.

    Source: Welch 1947; Kalibera and Jones 2013 (the highest level that varies is repeated).
    """
    one, two = (
        np.log([np.median(run) for run in side if len(run) >= 5 and min(run) > 0])
        for side in (base, new)
    )
    if min(len(one), len(two)) < 2:
        return None
    centre = float(two.mean() - one.mean())
    half = half_width(one, two, confidence)
    low, high = float(np.exp(centre - half)) - 1, float(np.exp(centre + half)) - 1
    if machine > 0:
        low, high = min(low, (1 + low) / machine - 1), max(high, (1 + high) / machine - 1)
    change = float(np.exp(centre)) - 1
    verdict: Verdict = "no change"
    if abs(change) >= floor and not low <= 0 <= high:
        verdict = "slower" if change > 0 else "faster"
    before, after = (float(np.exp(side.mean())) for side in (one, two))
    return Change(before, after, change, low, high, verdict)


def _bootstrapped(one: Floats, two: Floats, confidence: float, seed: int) -> tuple[float, float]:
    """The interval that holds the change of the median and that of the fastest tenth."""
    lows, highs = [], []
    for share in (0.5, FASTEST):
        random = np.random.default_rng(seed)
        ratios = _quantiles(two, share, random) / _quantiles(one, share, random) - 1
        seen = float(np.quantile(two, share) / np.quantile(one, share)) - 1
        tail = (1 - confidence) / 2
        lows.append(min(float(np.quantile(ratios, tail)), seen))
        highs.append(max(float(np.quantile(ratios, 1 - tail)), seen))
    return min(lows), max(highs)


def _paired(one: Floats, two: Floats) -> tuple[float, float] | None:
    """(low, high) of the ratios - 1, where both lists have one and the same noise; else None.

    So it is where a file is compared with itself, or with itself after every time was multiplied,
    as one does to try out a gate: value by value the ratio is the same, though the values are not.
    Two runs never are so alike: the ratios of independent values spread more than the values.
    """
    if len(one) != len(two) or not one.min() > 0:
        return None
    ratios = two / one
    bottom, top = np.quantile(ratios, [0.05, 0.95])
    least, most = np.quantile(one, [0.05, 0.95])
    apart = top / bottom - 1 if bottom > 0 else np.inf
    if apart > ONE_NOISE or most / least - 1 < 10 * apart:
        return None
    return float(bottom) - 1, float(top) - 1


def _quantiles(data: Floats, share: float, random: np.random.Generator) -> Floats:
    """[RESAMPLES] quantiles of the list resampled in blocks of neighbours, wrapped around."""
    count = len(data)
    length = max(1, round(count ** (1 / 3)))
    starts = random.integers(0, count, (RESAMPLES, -(-count // length)))
    index = (starts[..., None] + np.arange(length)) % count
    return np.asarray(np.quantile(data[index.reshape(RESAMPLES, -1)[:, :count]], share, axis=1))
