"""Which slice encloses which, per track, without a loop over slices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]


# the same as `previous_reaching`, compiled, where a large trace has loaded it
quick: Callable[[I64, I64, npt.NDArray[np.bool_]], I64] | None = None
_MANY = 10_000


def innermost(
    outer_track: I64, outer_start: I64, outer_end: I64, track: I64, start: I64, end: I64
) -> I64:
    """[N] for each inner span, the index of the innermost outer span that encloses it, or -1.

        track 1   aaaaaaaaaaaaaa     x lies in b (which crosses c), y in a, z in none
                  bbbbbb   y
                     cccccc   z
                    x

    Encloses: same track, starts no later, ends no earlier. Innermost: of those the last to start,
    then the shortest, then the later index. Outer spans may cross one another.
    Shapes: M outer spans, N inner spans; tracks are any integers.
    """
    if not len(outer_track) or not len(track):
        return np.full(len(track), -1, np.int64)
    all_track = np.concatenate([outer_track, track])
    all_start = np.concatenate([outer_start, start])
    all_end = np.concatenate([outer_end, end])
    is_outer = np.arange(len(all_track)) < len(outer_track)
    # stable: at equal spans the outer ones come first, so they enclose their equals
    order = _order(all_track, all_start, all_end)
    above = previous_reaching(all_track[order], all_end[order], is_outer[order])
    found = np.full(len(order), -1, np.int64)
    found[order] = np.where(above >= 0, order[above], -1)
    return found[len(outer_track) :]


def parents(track: I64, start: I64, end: I64) -> I64:
    """[N] for each span, the index of the innermost other span that encloses it, or -1.

    Of spans that are equal the earlier index is the parent. See `innermost`.
    """
    order = _order(track, start, end)
    above = previous_reaching(track[order], end[order], np.ones(len(track), bool))
    found = np.full(len(order), -1, np.int64)
    found[order] = np.where(above >= 0, order[above], -1)
    return found


def _order(track: I64, start: I64, end: I64) -> npt.NDArray[np.intp]:
    """By track, then by start, then the longer first, then as given.

    As `numpy.lexsort` of all three, in a fraction of its time: spans come sorted, or as two runs
    that are, which a stable sort only merges; tracks are few, and a byte or two is sorted by radix.
    """
    order = np.argsort(start, kind="stable")
    ordered, ends = start[order], end[order]
    tied = ordered[1:] == ordered[:-1]
    if (tied & (ends[1:] > ends[:-1])).any():
        some = np.flatnonzero(np.append(tied, False) | np.append(False, tied))
        order[some] = order[some[np.lexsort((-ends[some], ordered[some]))]]
    lane = track[order]
    low, high = (int(lane.min()), int(lane.max())) if len(lane) else (0, 0)
    if low == high:
        return order
    if high - low < 1 << 16:
        lane = (lane - low).astype(np.uint8 if high - low < 1 << 8 else np.uint16)
    return order[np.argsort(lane, kind="stable")]


def previous_reaching(track: I64, end: I64, candidate: npt.NDArray[np.bool_]) -> I64:
    """[N] position of the nearest earlier candidate of the track whose end is no earlier, or -1.

    Each position points at the nearest candidate before it; pointers that fall short follow the
    pointer of what they point at, all at once, until none falls short. What is skipped ends before
    the skipper does, so a pointer never jumps over an answer.
    """
    if quick is not None and len(track) > _MANY:
        return quick(track, end, candidate)
    position = np.arange(len(track))
    last = np.maximum.accumulate(np.where(candidate, position, -1))
    above = np.concatenate([[-1], last[:-1]]) if len(last) else last
    above = _same_track(above, track, position)
    short = np.flatnonzero(above >= 0)
    while len(short):
        at = above[short]
        short = short[end[at] < end[short]]
        above[short] = above[above[short]]
        short = short[above[short] >= 0]
    return above


def _same_track(above: I64, track: I64, position: I64) -> I64:
    # numpy reads index -1 as the last row; the mask discards what that compares
    return np.where((above >= 0) & (track[above] == track[position]), above, -1)
