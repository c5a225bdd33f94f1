"""Level of detail: which slices are drawn one by one, and runs of all others.

slices   AAAAAA.b.c.dd..EEEEE     of these the longest two: A and E;
runs     .......bbbbbbb......     b, c and d as one run of three, 4 of 7 covered
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracekit.trace.spans import compiled
from tracekit.trace.trace import I64, Mask


def longest(length: I64, most: int) -> I64:
    """[<= most] which are the longest, the longest first, of equal ones the first."""
    if len(length) > most > 0:
        least = np.partition(length, len(length) - most)[len(length) - most]
        rows = np.flatnonzero(length >= least)
    else:
        rows = np.arange(len(length))
    return rows[np.argsort(-length[rows], kind="stable")[:most]]


def chosen(dur: I64, wanted: Mask, most: int, among: Mask | None = None) -> Mask:
    """[N] the wanted ones where they are at most half of `most`, and the longest of all others.

    What encloses a slice is as long or longer, so that it is chosen with it. All of `among` ([N]).
    """
    every = np.ones(len(dur), bool) if among is None else among
    if int(every.sum()) <= most:
        return every
    keep = wanted & every
    if int(keep.sum()) > most // 2:
        keep[:] = False
    others = np.flatnonzero(every & ~keep)
    room = max(most - int(keep.sum()), 0)
    if room >= len(others):
        return every
    if room:
        least = len(others) - room
        keep[others[np.argpartition(dur[others], least)[least:]]] = True
    return keep


def runs(
    track: I64, start: I64, dur: I64, left_out: Mask | None = None,
    *, window: tuple[int, int], bins: int,
) -> I64:  # fmt: skip
    """[5, R] track, first start, last end, how many, and durations added up, of each bin of each
    track in which any slice starts; without those of `left_out` ([N]).
    """
    left = np.zeros(len(track), bool) if left_out is None else left_out
    if loops := compiled.of(len(track)):
        found = loops.gathered(track, start, dur, left, (window[0], _width(window, bins), bins))
        cells = np.flatnonzero(found[:, 2])
        return np.concatenate([[cells // bins], found[cells].T])
    track, start, dur = (column[~left] for column in (track, start, dur))
    ones = np.ones(len(start), np.int64)
    return thinner(np.empty((5, 0), np.int64), (track, start, start + dur, ones, dur),
                   window=window, bins=bins)  # fmt: skip


def _width(window: tuple[int, int], bins: int) -> int:
    return max(-(-(window[1] - window[0]) // bins), 1)


def thinner(rest: I64, more: Sequence[I64], *, window: tuple[int, int], bins: int) -> I64:
    """Runs and further ones as runs of `bins` bins."""
    track, start, end, count, ns = (
        np.concatenate(pair) if len(pair[0]) else pair[1] for pair in zip(rest, more, strict=True)
    )
    if not len(start):
        return np.empty((5, 0), np.int64)
    width = _width(window, bins)
    key = np.asarray(start - window[0])
    key //= width
    np.clip(key, 0, bins - 1, out=key)
    key += track * bins
    if int(key.max()) < 1 << 16:
        key = key.astype(np.uint16)  # a stable sort of which needs no comparisons
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    return np.stack([
        track[order[first]], np.minimum.reduceat(start[order], first),
        np.maximum.reduceat(end[order], first), np.add.reduceat(count[order], first),
        np.add.reduceat(ns[order], first),
    ])  # fmt: skip
