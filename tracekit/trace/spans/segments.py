"""Span arithmetic for many groups at once: one sort for all, no loop over groups."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from tracekit.trace.spans import compiled
from tracekit.trace.trace import I32, I64, Ints, Mask

_NARROW, _MANY = 1 << 12, 1 << 16
_BITS = 62  # of a number


def sums(group: I64, values: I64, groups: int) -> I64:
    """[groups] the values of each group added up, exact for int64."""
    out = np.zeros(groups, np.int64)
    np.add.at(out, group, values)
    return out


def sorted_unique(values: Ints) -> I64:
    """The distinct values, ascending. numpy's own hashes, which is slower by far here."""
    if (room := _room(values)) is not None:
        low, width = room
        seen = np.zeros(width, bool)
        seen[values - low] = True
        return np.flatnonzero(seen) + low
    ordered = np.sort(values)
    fresh = np.ones(len(ordered), bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return np.asarray(ordered[fresh], np.int64)


def codes(values: Ints) -> tuple[I64, I64]:
    """The distinct values, ascending, and [N] which of them each is.

    As `numpy.unique`, without sorting where the values lie close together, as most numbers of a
    trace do.
    """
    if not len(values):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if (room := _room(values)) is None:
        loops = compiled.of(len(values))
        if loops is not None and (made := loops.coded([values], _MANY)) is not None:
            found, inverse = _ascending([values], made)
            return found[:, 0], inverse
        return _sorted(values)
    low, width = room
    place = values - low
    seen = np.zeros(width, bool)
    seen[place] = True
    code = np.cumsum(seen) - 1
    return np.flatnonzero(seen) + low, np.take(code, place)


def _sorted(values: Ints) -> tuple[I64, I64]:
    """The distinct values, and [N] which of them each is."""
    by_value = order(values)
    ordered = values[by_value]
    fresh = np.ones(len(values), bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    inverse = np.empty(len(values), np.int64)
    inverse[by_value] = np.cumsum(fresh) - 1
    return np.asarray(ordered[fresh], np.int64), inverse


def _ascending(columns: Sequence[Ints], made: compiled.Coded) -> tuple[I64, I64]:
    """The distinct rows in order, and what indexes them."""
    rows = np.stack([column[made.first] for column in columns], axis=1).astype(np.int64)
    by_value = np.lexsort(rows.T[::-1])
    place = np.empty(len(rows), np.int64)
    place[by_value] = np.arange(len(rows))
    return rows[by_value], np.take(place, made.code)


def order(values: Ints) -> I64:
    """As a stable `numpy.argsort`: by sorting value and row as one number, a fraction of its time.

    Rows that are in order as they come are seen to be.
    """
    rows, bits = np.arange(len(values)), len(values).bit_length()
    if (values[1:] >= values[:-1]).all():
        return rows
    low = int(values.min())
    if (int(values.max()) - low).bit_length() + bits > _BITS:
        return np.argsort(values, kind="stable")
    packed = values.astype(np.int64)
    packed -= low
    packed <<= bits
    packed |= rows
    packed.sort()
    packed &= (1 << bits) - 1
    return packed


def sorted_within(group: I64, values: I64) -> I64:
    """[N] the values of each group in order, those of the first group first."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    size = np.bincount(group)
    if len(size) * (high - low + 1) >= 1 << _BITS:
        return values[np.lexsort((values, group))]
    base = np.arange(len(size)) * (high - low + 1) - low
    packed = base[group] + values  # group and value as one number
    packed.sort()
    return packed - np.repeat(base, size)


def begins(numbers: Ints, count: int) -> I64:
    """[count + 1] where the rows of each number below `count` begin, in order of the numbers."""
    first = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(numbers, minlength=count), out=first[1:])
    return first


def grouped(numbers: Ints, count: int) -> Ints:
    """[N] rows in order of their number, from 0 and below `count`; those of one as they come."""
    loops = compiled.of(len(numbers))
    if loops is None or len(numbers) >= 1 << 31:
        return np.argsort(numbers, kind="stable")
    return loops.grouped(numbers, begins(numbers, count))


def previous(values: I64) -> I32 | I64:
    """[N] the row before that has the same value, or -1."""
    if (loops := compiled.of(len(values))) and len(values) < 1 << 31:
        return loops.again(values)
    by_value = order(values)
    ordered = values[by_value]
    found = np.full(len(values), -1, np.int64)
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    found[by_value[same + 1]] = by_value[same]
    return found


def below(ascending: I64, wanted: I64) -> I64:
    """[M] how many of ascending values are less than each of others; quick where those ascend."""
    if loops := compiled.of(len(wanted)):
        return loops.below(ascending, wanted)
    return np.searchsorted(ascending, wanted)


def places(ascending: I64, wanted: I64) -> I64:
    """[M] the first row of ascending values that has each of others, or -1."""
    if not len(ascending):
        return np.full(len(wanted), -1, np.int64)
    found = np.minimum(below(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[found] == wanted, found, -1)


def firsts(values: I64) -> tuple[I64, I64]:
    """The distinct values, ascending, and the first row that has each."""
    if (room := _room(values)) is None:
        found, first = np.unique(values, return_index=True)
        return found, np.asarray(first)
    low, width = room
    row = np.full(width, -1, np.int64)
    row[values[::-1] - low] = np.arange(len(values) - 1, -1, -1)  # what is written last stays
    known = np.flatnonzero(row >= 0)
    return known + low, row[known]


def _room(values: Ints) -> tuple[int, int] | None:
    """The least value and the width of all, where a table of that width is no larger than they."""
    if not len(values):
        return None
    low = int(values.min())
    width = int(values.max()) - low + 1
    return (low, width) if width <= max(_NARROW, 2 * len(values)) else None


def longest(group: Ints, name: Ints, duration: I64, groups: int) -> list[int]:
    """[groups] the name with most time in each group."""
    pair, inverse = distinct([group, name])
    total = sums(inverse, duration, len(pair))
    best = np.zeros(groups, np.int64)
    by_time = np.argsort(total, kind="stable")  # the longest is written last
    best[pair[by_time, 0]] = pair[by_time, 1]
    return [int(n) for n in best]


def reach(group: I64, end: I64) -> I64:
    """[N] the furthest end so far within the group; groups are ascending, from 0."""
    if not len(end):
        return end
    low = int(end.min())
    width = int(end.max()) - low + 1
    if (int(group[-1]) + 1) * width < 1 << 62:
        before = group * width - low  # groups one above the other
        return np.asarray(np.maximum.accumulate(end + before) - before)
    ends, rank = np.unique(end, return_inverse=True)  # ranks are small
    found = np.maximum.accumulate(group * len(ends) + rank) - group * len(ends)
    return np.asarray(ends[found])


def union_ns(
    group: I64, start: I64, end: I64, groups: int, which: Mask | None = None
) -> I64:  # fmt: skip
    """[groups] ns that each group's spans cover together; empty and negative spans cover none.

    Of those of `which` ([N]) alone, where it is given.
    """
    loops = compiled.of(len(group))
    if loops is not None and (found := loops.fresh(group, start, end, groups, which)) is not None:
        return found
    real = end > start if which is None else which & (end > start)
    group, start, end = group[real], start[real], end[real]
    if not len(group):
        return np.zeros(groups, np.int64)
    by_start = order(start)
    by_group = by_start[order(group[by_start])]
    group, start, end = group[by_group], start[by_group], end[by_group]
    reach_ns = reach(group, end)
    before = np.empty_like(start)
    before[0] = start[0]
    before[1:] = np.where(group[1:] == group[:-1], reach_ns[:-1], start[1:])
    fresh = np.maximum(reach_ns - np.maximum(start, before), 0)
    return sums(group, fresh, groups)


def bounds(group: I64, start: I64, end: I64, groups: int) -> tuple[I64, I64]:
    """[groups] first start and last end of each group; 0 and 0 for a group without spans."""
    first = np.full(groups, np.iinfo(np.int64).max)
    last = np.full(groups, np.iinfo(np.int64).min)
    np.minimum.at(first, group, start)
    np.maximum.at(last, group, end)
    empty = first > last
    first[empty] = last[empty] = 0
    return first, last


def runs(low: I64, high: I64) -> tuple[I64, I64]:
    """Every index of the ranges [low, high), and the range each belongs to: (range, index)."""
    count = np.maximum(high - low, 0)
    which = np.repeat(np.arange(len(low)), count)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + low[which]


def alike(values: Ints) -> list[slice]:
    """The stretches of equal neighbours, in order."""
    if not len(values):
        return []
    cuts = (np.flatnonzero(values[1:] != values[:-1]) + 1).tolist()
    return [slice(a, b) for a, b in zip([0, *cuts], [*cuts, len(values)], strict=True)]


def distinct(key: I64 | Sequence[Ints]) -> tuple[I64, I64]:
    """The distinct rows of key [N, C], or of C columns of N, sorted; [N] which of them each row is.

    As `numpy.unique` over rows, by one number a row where the columns' ranges allow it: sorting
    numbers is many times faster than sorting rows.
    """
    columns = [np.ascontiguousarray(c) for c in (key.T if isinstance(key, np.ndarray) else key)]
    if not len(columns[0]):
        return np.empty((0, len(columns)), np.int64), np.empty(0, np.int64)
    loops = compiled.of(len(columns[0]))
    if loops is not None and (made := loops.coded(columns, _NARROW)) is not None:
        return _ascending(columns, made)
    lows = [int(column.min()) for column in columns]
    spans = [int(column.max()) - low + 1 for column, low in zip(columns, lows, strict=True)]
    if prod(spans) > 1 << _BITS:
        return _far_apart(columns)
    packed = columns[0].astype(np.int64)
    packed -= lows[0]
    for column, span, low in zip(columns[1:], spans[1:], lows[1:], strict=True):
        packed *= span
        packed += column
        packed -= low
    numbers, inverse = codes(packed)
    found = np.empty((len(numbers), len(columns)), np.int64)
    for at in range(len(columns) - 1, -1, -1):
        found[:, at] = numbers % spans[at] + lows[at]
        numbers //= spans[at]
    return found, inverse


def _far_apart(columns: Sequence[Ints]) -> tuple[I64, I64]:
    """As `distinct`, of numbers that make no one number a row: by codes of each, where those do."""
    coded = [codes(column) for column in columns]
    if prod(len(numbers) for numbers, _ in coded) > 1 << _BITS:
        rows, inverse = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
        return np.asarray(rows, np.int64), np.asarray(inverse).reshape(-1)
    rows, inverse = distinct([code for _, code in coded])
    each = [numbers[rows[:, at]] for at, (numbers, _) in enumerate(coded)]
    return np.stack(each, axis=1), inverse
