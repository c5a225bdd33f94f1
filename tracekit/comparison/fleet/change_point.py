"""Since when a series of numbers is another: a change of its mean that chance does not explain.

Every place in the series is tried as the first of the new level; the one that explains most of the
variance is the estimate, and its statistic is held against the same of the series in random order.
So the chance to report a change where the values come in no order is at most `level`, whatever
their distribution. Values that are like their neighbours (drift, a machine that warms up) are in no
random order, and the chance is higher: docs/fleet.md has both, simulated.

Source: the likelihood ratio of a shift in mean (Hawkins 1977; Worsley 1979); its distribution by
permutation (Antoch and Hušková 2001); further changes by binary segmentation (Vostrikova 1981).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tracekit.records import Record

F64 = npt.NDArray[np.float64]
PERMUTATIONS = 9_999
_BLOCK = 1 << 20  # values permuted at once


class ChangePoint(Record, frozen=True):
    """The first value of another level, and how sure that there is one."""

    at: int  # its place in the series
    begin: int  # the stretch of the series in which it was found: one level before, one after
    end: int
    before: float  # mean of the stretch before it
    after: float
    p: float  # of the permutation test


def changes(
    values: Sequence[float],
    *,
    level: float = 0.05,
    permutations: int = PERMUTATIONS,
    bounds: Sequence[int] | None = None,
    seed: int = 0,
) -> list[ChangePoint]:
    """Every change of level, in order. `bounds`: the only places where one may be.

    A stretch is only searched for a further change once its own has been found, so that the chance
    of any change in a series without one is at most `level`.
    """
    data = np.asarray(values, np.float64)
    random = np.random.default_rng(seed)
    places = np.arange(1, len(data)) if bounds is None else np.asarray(sorted(bounds), np.int64)
    found: list[tuple[int, float]] = []
    waiting = [(0, len(data))]
    while waiting:
        begin, end = waiting.pop()
        own = places[(places > begin) & (places < end)] - begin
        one = _one(data[begin:end], own, level, permutations, random)
        if one is None:
            continue
        at = begin + one[0]
        found.append((at, one[1]))
        waiting += [(begin, at), (at, end)]
    return _placed(data, places, sorted(found))


def _placed(
    data: F64, places: npt.NDArray[np.int64], found: Sequence[tuple[int, float]]
) -> list[ChangePoint]:
    """Each change where it explains most between its neighbours, which were not known at first."""
    at = [place for place, _ in found]
    for i in range(len(at)):
        begin, end = _stretch(at, i, len(data))
        own = places[(places > begin) & (places < end)] - begin
        at[i] = begin + int(own[np.argmax(_explained(data[None, begin:end], own)[0])])
    out = []
    for i, (_, p) in enumerate(found):
        begin, end = _stretch(at, i, len(data))
        before, after = float(data[begin : at[i]].mean()), float(data[at[i] : end].mean())
        out.append(ChangePoint(at[i], begin, end, before, after, p))
    return out


def _stretch(at: Sequence[int], i: int, count: int) -> tuple[int, int]:
    """Between the changes on both sides of one."""
    return (at[i - 1] if i else 0), (at[i + 1] if i + 1 < len(at) else count)


def fewest(level: float) -> int:
    """The values without which no change, however clear, is beyond chance at this level."""
    count = 4
    while 2 / math.comb(count, count // 2) > level:
        count += 1
    return count


def _one(
    data: F64, places: npt.NDArray[np.int64], level: float, permutations: int,
    random: np.random.Generator,
) -> tuple[int, float] | None:  # fmt: skip
    """(place, p) of the change that explains most; None where chance may explain it."""
    if len(data) < fewest(level) or not len(places) or float(np.ptp(data)) == 0:
        return None
    own = _explained(data[None], places)[0]
    best = int(np.argmax(own))
    # equal up to rounding is as extreme
    least = own[best] * (1 - 1e-12)
    count = 1
    rows = max(1, _BLOCK // len(data))
    for first in range(0, permutations, rows):
        many = np.tile(data, (min(rows, permutations - first), 1))
        shuffled = random.permuted(many, axis=1)
        count += int((_explained(shuffled, places).max(axis=1) >= least).sum())
        # what is already too frequent need not be counted to the end
        if count / (permutations + 1) > level:
            return None
    return int(places[best]), count / (permutations + 1)


def _explained(data: F64, places: npt.NDArray[np.int64]) -> F64:
    """[P, K] sum of squares between both sides of each of K places, of P series of N values."""
    count = data.shape[1]
    centred = data - data.mean(axis=1, keepdims=True)
    sums = np.cumsum(centred, axis=1)[:, places - 1]
    explained: F64 = sums**2 * (count / (places * (count - places)))
    return explained
