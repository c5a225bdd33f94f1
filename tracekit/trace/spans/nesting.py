"""Which slice encloses which, per track, without a loop over slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tracekit.records import Record
from tracekit.trace.spans import compiled
from tracekit.trace.spans.segments import codes
from tracekit.trace.trace import I64, Mask

_TRACKS = 1 << 16


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
    return Nest(outer_track, outer_start, outer_end, len(track)).around(track, start, end)


class Nest:
    """M spans made ready to be asked, many times, which of them is around what."""

    def __init__(self, track: I64, start: I64, end: I64, asked: int = 0) -> None:
        """`asked`: how many spans will be asked for at once, where those may be many more."""
        self._timed = _timed(track, start, end, max(len(track), asked))
        self._sorted = None if self._timed else _Sorted(track, start, end)

    @property
    def parents(self) -> I64:
        """[M] for each span, the index of the innermost other one around it, or -1.

        Of spans that are equal the earlier index is the parent.
        """
        if self._timed:
            return self._timed.made.above.astype(np.int64)
        assert self._sorted
        return self._sorted.parents

    def around(self, track: I64, start: I64, end: I64) -> I64:
        """[N] for each of these spans, the index of the innermost one around it, or -1."""
        if self._timed:
            return self._timed.around(track, start, end)
        assert self._sorted
        return self._sorted.around(track, start, end)


class _Timed(Record, frozen=True, eq=False):
    """As `Nest`, of spans in order of time, in compiled loops."""

    loops: compiled.Loops
    made: compiled.Stack
    numbers: I64 | None  # of each track, ascending; None where they are from 0

    def around(self, track: I64, start: I64, end: I64) -> I64:
        if self.numbers is not None:
            at = np.minimum(np.searchsorted(self.numbers, track), len(self.numbers) - 1)
            track = np.where(self.numbers[at] == track, at, -1)
        found = self.loops.around(self.made, track, start, end)
        if found is not None:
            return found
        order = np.argsort(start, kind="stable")
        ordered = self.loops.around(self.made, track[order], start[order], end[order])
        assert ordered is not None
        out = np.empty_like(ordered)
        out[order] = ordered
        return out


def _timed(track: I64, start: I64, end: I64, rows: int) -> _Timed | None:
    """None without compiled loops, and where spans are not in order of time."""
    loops = compiled.of(rows)
    if loops is None or not 0 < len(track) < 1 << 31:
        return None
    numbers = None
    if int(track.min()) < 0 or int(track.max()) >= _TRACKS:
        numbers, track = codes(track)
    count = len(numbers) if numbers is not None else int(track.max()) + 1
    made = loops.stack(track.astype(np.int32), start, end, count)
    return _Timed(loops, made, numbers) if made else None


class _Sorted:
    """As `Nest`, of spans in any order."""

    def __init__(self, track: I64, start: I64, end: I64) -> None:
        order = _order(track, start, end)
        tracks, starts = track[order], start[order]
        above = previous_reaching(tracks, end[order], np.ones(len(tracks), bool))
        first = np.ones(len(tracks), bool)
        first[1:] = tracks[1:] != tracks[:-1]
        self.tracks = tracks[first]  # each once, ascending
        self._low = int(starts.min()) if len(starts) else 0
        self._width = int(starts.max()) - self._low + 2 if len(starts) else 2
        self._starts: I64 | None = None
        if len(self.tracks) * self._width >= 1 << 62:  # then ranks stand for times
            self._starts = np.unique(starts)
            self._width = len(self._starts) + 1
        # track and start as one number
        self._key = (np.cumsum(first) - 1) * self._width + self._time(starts)
        # kept as long as a trace: half as wide
        narrow = np.int32 if len(order) < 1 << 31 else np.int64
        self._order: npt.NDArray[Any] = order.astype(narrow)
        self._above: npt.NDArray[Any] = above.astype(narrow)
        self._end = end

    def _time(self, start: I64) -> I64:
        """-1 before the first start of all; no more than `_width` - 2."""
        if self._starts is not None:
            return np.searchsorted(self._starts, start, side="right") - 1
        return np.clip(start - self._low, -1, self._width - 2)

    @property
    def parents(self) -> I64:
        """[M] for each span, the index of the innermost other one around it, or -1.

        Of spans that are equal the earlier index is the parent.
        """
        found = np.full(len(self._order), -1, np.int64)
        found[self._order] = np.where(self._above >= 0, self._order[self._above], -1)
        return found

    def around(self, track: I64, start: I64, end: I64) -> I64:
        """[N] for each of these spans, the index of the innermost one around it, or -1."""
        if not len(self._order):
            return np.full(len(track), -1, np.int64)
        lane = np.minimum(np.searchsorted(self.tracks, track), len(self.tracks) - 1)
        first = lane * self._width
        at = np.searchsorted(self._key, first + self._time(start), side="right") - 1
        known = (self.tracks[lane] == track) & (at >= 0) & (self._key[at] >= first)
        at = np.where(known, at, -1)
        # what is skipped ends before the skipper does: see `previous_reaching`
        short = np.flatnonzero(known)
        while len(short):
            short = short[self._end[self._order[at[short]]] < end[short]]
            at[short] = self._above[at[short]]
            short = short[at[short] >= 0]
        return np.where(at >= 0, self._order[at], -1).astype(np.int64)


def parents(track: I64, start: I64, end: I64) -> I64:
    """[N] for each span, the index of the innermost other span that encloses it, or -1.

    Of spans that are equal the earlier index is the parent. See `innermost`.
    """
    return Nest(track, start, end).parents


def nearest(parent: I64, wanted: Mask) -> I64:
    """[N] the row itself or the nearest one around it that is wanted, -1 where none is."""
    loops = compiled.of(len(parent))
    if loops is not None and len(parent) < 1 << 31:
        found = loops.nearest(parent.astype(np.int32), wanted)
        if found is not None:
            return found.astype(np.int64)
    here = np.arange(len(parent))
    up = np.where(wanted | (parent < 0), here, parent)
    while not np.array_equal(up, further := up[up]):  # doubles the distance each time
        up = further
    return np.where(wanted[up], up, -1)


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
    if loops := compiled.of(len(track)):
        return loops.nested(track, end, candidate)
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
