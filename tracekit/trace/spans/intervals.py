"""Arithmetic on time spans: [N, 2] int64 arrays of half-open [start, end) nanoseconds.

'Flat' means sorted, disjoint, not touching, none empty. `union` makes any spans flat; the other
functions take flat spans and return flat spans, in O(N log N) at most and without Python loops.
"""

import numpy as np
import numpy.typing as npt

from tracekit.trace.spans import compiled

Spans = npt.NDArray[np.int64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

EMPTY: Spans = np.empty((0, 2), np.int64)


def spans(start: npt.ArrayLike, duration: npt.ArrayLike) -> Spans:
    """[N, 2] spans from starts and durations."""
    first = np.asarray(start, np.int64).reshape(-1)
    made = np.empty((len(first), 2), np.int64)
    made[:, 0] = first
    np.add(first, np.asarray(duration, np.int64).reshape(-1), out=made[:, 1])
    return made


def union(parts: Spans) -> Spans:
    """Flat spans that cover the same instants; empty and negative ones cover none."""
    if loops := compiled.of(len(parts)):
        found = loops.union(parts[:, 0], parts[:, 1])
        if found is not None:
            return found
    start, end = np.ascontiguousarray(parts[:, 0]), np.ascontiguousarray(parts[:, 1])
    real = end > start
    if not real.all():
        start, end = start[real], end[real]
    if not len(start):
        return EMPTY
    if (start[1:] < start[:-1]).any():  # mostly they are in order
        order = np.argsort(start, kind="stable")
        start, end = start[order], end[order]
    reach = np.maximum.accumulate(end)
    opens = np.empty(len(start), bool)
    opens[0] = True
    opens[1:] = start[1:] > reach[:-1]
    last = np.append(np.flatnonzero(opens)[1:] - 1, len(start) - 1)
    return np.stack([start[opens], reach[last]], axis=1)


def union_of(start: I64, end: I64, which: Mask) -> Spans:
    """`union` of those spans that a mask keeps: mostly of slices, in their order."""
    if loops := compiled.of(len(start)):
        found = loops.union(start, end, which)
        if found is not None:
            return found
    rows = np.flatnonzero(which)
    return union(np.stack([start[rows], end[rows]], axis=1))


def total(flat: Spans) -> int:
    """Length in ns of flat spans."""
    return int((flat[:, 1] - flat[:, 0]).sum())


def gaps(flat: Spans) -> Spans:
    """[G, 2] the spans between neighbours of flat spans."""
    return np.stack([flat[:-1, 1], flat[1:, 0]], axis=1) if len(flat) > 1 else EMPTY


def intersect(one: Spans, two: Spans) -> Spans:
    """Flat spans covered by both."""
    if not len(one) or not len(two):
        return EMPTY
    if loops := compiled.of(len(one) + len(two)):
        found = loops.intersect(one, two)
        if found is not None:
            return found
    # for each of `one`, the run of `two` that overlaps it
    low = np.searchsorted(two[:, 1], one[:, 0], side="right")
    high = np.searchsorted(two[:, 0], one[:, 1], side="left")
    count = np.maximum(high - low, 0)
    left = np.repeat(np.arange(len(one)), count)
    right = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + low[left]
    start = np.maximum(one[left, 0], two[right, 0])
    end = np.minimum(one[left, 1], two[right, 1])
    keep = end > start
    return np.stack([start[keep], end[keep]], axis=1)


def subtract(one: Spans, two: Spans) -> Spans:
    """Flat spans covered by `one` and not by `two`."""
    if not len(one) or not len(two):
        return one
    low = min(one[0, 0], two[0, 0]) - 1
    high = max(one[-1, 1], two[-1, 1]) + 1
    edges = np.concatenate([[low], two.ravel(), [high]]).reshape(-1, 2)
    return intersect(one, edges)


def clip(flat: Spans, start: int, end: int) -> Spans:
    """The part of flat spans inside [start, end)."""
    return intersect(flat, np.array([[start, end]], np.int64)) if end > start else EMPTY


def sums(flat: Spans) -> I64:
    """[F + 1] what flat spans cover up to each of them, and in all."""
    found = np.zeros(len(flat) + 1, np.int64)
    np.cumsum(flat[:, 1] - flat[:, 0], out=found[1:])
    return found


def covered(flat: Spans, windows: Spans, known: I64 | None = None) -> I64:
    """[W] ns of each window (any windows, overlapping too) that flat spans cover.

    `known` are their `sums`, for who asks often.
    """
    if not len(flat):
        return np.zeros(len(windows), np.int64)
    length = sums(flat) if known is None else known
    if loops := compiled.of(len(windows)):
        return loops.covered(flat, windows, length)

    def before(instant: I64) -> I64:
        index = np.searchsorted(flat[:, 0], instant, side="right")
        inside = np.where(index > 0, flat[index - 1, 1] - instant, 0)
        return np.asarray(length[index] - np.maximum(inside, 0), np.int64)

    # an empty or negative window covers nothing
    return np.asarray(np.maximum(before(windows[:, 1]) - before(windows[:, 0]), 0), np.int64)
