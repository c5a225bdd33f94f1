"""Level of detail: which slices are drawn one by one, and runs of all others.

slices   AAAAAA.b.c.dd..EEEEE     of these the longest two: A and E;
runs     .......bbbbbbb......     b, c and d as one run of three, 4 of 7 covered
"""

from __future__ import annotations

import numpy as np

from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Mask


def chosen(dur: I64, wanted: Mask, most: int) -> Mask:
    """[N] the wanted ones where they are at most half of `most`, and the longest of all others.

    What encloses a slice is as long or longer, so that it is chosen with it.
    """
    if len(dur) <= most:
        return np.ones(len(dur), bool)
    keep = wanted.copy() if int(wanted.sum()) <= most // 2 else np.zeros(len(dur), bool)
    others = np.flatnonzero(~keep)
    room = max(most - int(keep.sum()), 0)
    if room >= len(others):
        return np.ones(len(dur), bool)
    if room:
        least = len(others) - room
        keep[others[np.argpartition(dur[others], least)[least:]]] = True
    return keep


def runs(track: I64, start: I64, dur: I64, *, window: tuple[int, int], bins: int) -> I64:
    """[5, R] track, first start, last end, how many, and durations added up, of each bin of each
    track in which any slice starts.
    """
    if not len(start):
        return np.empty((5, 0), np.int64)
    width = max(-(-(window[1] - window[0]) // bins), 1)
    place = np.clip((start - window[0]) // width, 0, bins - 1)
    key, group = segments.distinct(np.stack([track, place], axis=1))
    return joined(track[_first(group, len(key))], group, start, start + dur,
                  np.ones(len(start), np.int64), dur)  # fmt: skip


def thinner(rest: I64, more: I64, *, window: tuple[int, int], bins: int) -> I64:
    """Runs and further ones as runs of `bins` bins."""
    both = np.concatenate([rest, more], axis=1)
    if not both.shape[1]:
        return both
    track, start, end, count, ns = both
    width = max(-(-(window[1] - window[0]) // bins), 1)
    place = np.clip((start - window[0]) // width, 0, bins - 1)
    key, group = segments.distinct(np.stack([track, place], axis=1))
    return joined(track[_first(group, len(key))], group, start, end, count, ns)


def joined(track: I64, group: I64, start: I64, end: I64, count: I64, ns: I64) -> I64:
    """[5, R] the runs of each group; `track` is that of each group."""
    size = len(track)
    first, last = segments.bounds(group, start, end, size)
    order = np.lexsort((first, track))
    return np.stack(
        [track, first, last, segments.sums(group, count, size), segments.sums(group, ns, size)]
    )[:, order]


def _first(group: I64, groups: int) -> I64:
    """[groups] a row of each group."""
    out = np.zeros(groups, np.int64)
    out[group] = np.arange(len(group))
    return out
