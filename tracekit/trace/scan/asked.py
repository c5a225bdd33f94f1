"""What is asked of the kernel beside reading text, with numpy columns given and returned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tracekit.trace.scan import layout as lay
from tracekit.trace.spans.compiled import Coded, Enclosed, Groups, Slices, Stack
from tracekit.trace.spans.intervals import Spans
from tracekit.trace.trace import I32, I64, Ints, Mask

Kernel = Callable[[int], int]
Columns = Mapping[int, Ints | Mask]

# distinct rows: a table of so many stays near the processor; the most chains
_NEAR, _MOST = 1 << 10, 1 << 16
_NEVER = np.iinfo(np.int64).min


def ask(run: Kernel, job: int, columns: Columns, numbers: Mapping[int, int]) -> I64:
    """The block after a run; columns are contiguous and live until it is over."""
    block = np.zeros(lay.FIELDS, np.int64)
    block[lay.JOB] = job
    for field, column in columns.items():
        assert column.flags.c_contiguous
        block[field] = column.ctypes.data
    for field, number in numbers.items():
        block[field] = number
    block[lay.STATUS] = run(block.ctypes.data)
    return block


def nested(run: Kernel, track: I64, end: I64, candidate: Mask) -> I64:
    """What `nesting` asks for of spans in order."""
    above = np.empty(len(track), np.int64)
    given = {lay.TRACKS: _whole(track), lay.ENDS: _whole(end), lay.ABOVE: above}
    flags = np.ascontiguousarray(candidate, bool)
    ask(run, lay.NEST, {**given, lay.CANDIDATES: flags}, {lay.LENGTH: len(track)})
    return above


def _half(column: Ints) -> I32:
    return np.ascontiguousarray(column, np.int32)


def _whole(column: Ints) -> I64:
    return np.ascontiguousarray(column, np.int64)


class Loops:
    """The loops over spans, as `compiled.Loops` has them."""

    def __init__(self, run: Kernel) -> None:
        self._run = run

    def nested(self, track: I64, end: I64, candidate: Mask) -> I64:
        return nested(self._run, track, end, candidate)

    def stack(self, track: I32, begin: I64, end: I64, tracks: int) -> Stack | None:
        made = Stack(track, _whole(begin), _whole(end), np.empty(len(track), np.int32), tracks)
        block = ask(self._run, lay.STACK, _of(made), {lay.LENGTH: len(track)})
        return None if block[lay.STATUS] < 0 else made

    def around(self, made: Stack, track: I64, begin: I64, end: I64) -> I64 | None:
        out = np.empty(len(track), np.int64)
        given = {
            **_of(made), lay.ASKED_TRACKS: _whole(track), lay.ASKED_BEGINS: _whole(begin),
            lay.ASKED_ENDS: _whole(end), lay.OUT: out,
        }  # fmt: skip
        numbers = {lay.LENGTH: len(made.track), lay.ASKED: len(track), lay.LANES: made.tracks}
        block = ask(self._run, lay.AROUND, given, numbers)
        return None if block[lay.STATUS] < 0 else out

    def union(self, begin: I64, end: I64, which: Mask | None = None) -> Spans | None:
        out = np.empty((len(begin), 2), np.int64)
        given: Columns = {lay.OUT: out, **_among(which)}
        apart = begin.strides == end.strides
        if not apart:
            begin, end = _whole(begin), _whole(end)
        block = ask(
            self._run, lay.UNITE, given,
            {lay.BEGINS: begin.ctypes.data, lay.ENDS: end.ctypes.data, lay.LENGTH: len(begin),
             lay.STRIDE: begin.strides[0]},
        )  # fmt: skip
        return None if block[lay.STATUS] < 0 else _first(out, block)

    def intersect(self, one: Spans, two: Spans) -> Spans | None:
        out = np.empty((len(one) + len(two), 2), np.int64)
        given = {lay.BEGINS: _whole(one), lay.ASKED_BEGINS: _whole(two), lay.OUT: out}
        block = ask(self._run, lay.MEET, given, {lay.LENGTH: len(one), lay.ASKED: len(two)})
        return None if block[lay.STATUS] < 0 else _first(out, block)

    def covered(self, flat: Spans, windows: Spans, sums: I64) -> I64:
        out = np.empty(len(windows), np.int64)
        given = {
            lay.BEGINS: _whole(flat), lay.SUMS: sums, lay.ASKED_BEGINS: _whole(windows),
            lay.OUT: out,
        }  # fmt: skip
        ask(self._run, lay.COVER, given, {lay.LENGTH: len(flat), lay.ASKED: len(windows)})
        return out

    def grouped(self, numbers: Ints, first: I64) -> I32:
        out, begins = np.empty(len(numbers), np.int32), np.array(first, np.int64)  # counted up
        given: Columns = {lay.TRACKS: _half(numbers), lay.FIRST: begins, lay.SORTED: out}
        ask(self._run, lay.BUCKET, given, {lay.LENGTH: len(numbers)})
        return out

    def coded(self, columns: Sequence[Ints], most: int) -> Coded | None:
        whole = [_whole(column) for column in columns]
        out = np.empty(len(whole[0]), np.int32)
        addresses = np.array([column.ctypes.data for column in whole], np.int64)
        for room in (_NEAR, most):
            first, places = np.empty(room, np.int64), np.zeros(4 * room, np.int32)
            given: Columns = {
                lay.BEGINS: addresses, lay.PLACES: places, lay.FIRST: first, lay.OUT: out,
            }  # fmt: skip
            numbers = {
                lay.LENGTH: len(out), lay.LANES: len(whole), lay.PLACE_MASK: len(places) - 1,
                lay.ROOM: room,
            }  # fmt: skip
            block = ask(self._run, lay.CODE, given, numbers)
            if block[lay.STATUS] == lay.DONE:
                return Coded(first[: block[lay.RESULT]], out)
        return None

    def chained(self, above: I64, values: Ints) -> Coded | None:
        whole, numbers = _whole(above), _whole(values)
        out = np.empty(len(whole), np.int32)
        for room in (_NEAR, _MOST):
            first, places = np.empty(room, np.int64), np.zeros(4 * room, np.int32)
            given: Columns = {
                lay.ABOVE: whole, lay.BEGINS: numbers, lay.PLACES: places, lay.FIRST: first,
                lay.OUT: out,
            }  # fmt: skip
            counts = {lay.LENGTH: len(out), lay.PLACE_MASK: len(places) - 1, lay.ROOM: room}
            block = ask(self._run, lay.CHAIN, given, counts)
            if block[lay.STATUS] == lay.DONE:
                return Coded(first[: block[lay.RESULT]], out)
        return None

    def nearest(self, above: I32, wanted: Mask) -> I32 | None:
        out = np.empty(len(above), np.int32)
        given: Columns = {
            lay.ABOVE: _half(above), lay.CANDIDATES: np.ascontiguousarray(wanted), lay.OUT: out,
        }  # fmt: skip
        block = ask(self._run, lay.NEAREST, given, {lay.LENGTH: len(above)})
        return None if block[lay.STATUS] < 0 else out

    def fresh(
        self, group: I64, begin: I64, end: I64, groups: int, which: Mask | None
    ) -> I64 | None:
        out = np.zeros(groups, np.int64)
        given: Columns = {
            lay.TRACKS: _whole(group), lay.BEGINS: _whole(begin), lay.ENDS: _whole(end),
            lay.LASTS: np.full(groups, _NEVER), lay.SUMS: np.full(groups, _NEVER), lay.OUT: out,
            **_among(which),
        }  # fmt: skip
        block = ask(self._run, lay.FRESH, given, {lay.LENGTH: len(group)})
        return None if block[lay.STATUS] < 0 else out

    def again(self, values: I64) -> I32:
        out = np.empty(len(values), np.int32)
        places = np.zeros(2 << len(values).bit_length(), np.int32)
        given: Columns = {lay.BEGINS: _whole(values), lay.PLACES: places, lay.OUT: out}
        numbers = {lay.LENGTH: len(out), lay.PLACE_MASK: len(places) - 1}
        ask(self._run, lay.AGAIN, given, numbers)
        return out

    def below(self, ascending: I64, wanted: I64) -> I64:
        out = np.empty(len(wanted), np.int64)
        given = {lay.BEGINS: _whole(ascending), lay.ASKED_BEGINS: _whole(wanted), lay.OUT: out}
        ask(self._run, lay.SEEK, given, {lay.LENGTH: len(ascending), lay.ASKED: len(wanted)})
        return out

    def enclosed(self, slices: Slices, groups: Groups) -> Enclosed | None:
        tracks = int(slices.track.max()) + 1 if len(slices.track) else 0
        found = Enclosed(
            np.empty(len(slices.track), np.int32), np.zeros(len(slices.track), bool),
            np.empty(len(slices.track), np.int64),
        )  # fmt: skip
        given = {
            **_slices(slices, groups), lay.ABOVE: found.above, lay.MARKS: found.crossed,
            lay.OUT: found.until, lay.LASTS: np.full(tracks * len(groups), -1, np.int64),
        }  # fmt: skip
        numbers = {lay.LENGTH: len(slices.track), lay.GROUPS: len(groups)}
        block = ask(self._run, lay.ENCLOSE, given, numbers)
        return None if block[lay.STATUS] < 0 else found

    def inside(
        self, slices: Slices, above: I32, track: I64, begin: I64, end: I64
    ) -> I64:  # fmt: skip
        out = np.empty(len(track), np.int64)
        tracks = int(slices.track.max()) + 1
        given = {
            **_slices(slices, [[1]]), lay.ABOVE: above, lay.LASTS: np.full(tracks, -1, np.int64),
            lay.ASKED_TRACKS: _whole(track), lay.ASKED_BEGINS: _whole(begin),
            lay.ASKED_ENDS: _whole(end), lay.OUT: out,
        }  # fmt: skip
        numbers = {lay.LENGTH: len(above), lay.ASKED: len(track), lay.LANES: tracks}
        ask(self._run, lay.INSIDE, given, numbers)
        return out

    def opened(
        self, slices: Slices, track: int, cats: Sequence[int], windows: Spans
    ) -> tuple[Spans, I64] | None:
        # a piece ends with a window, or where a slice begins or ends
        out = np.empty((2 * len(slices.track) + len(windows), 3), np.int64)
        given = {
            **_slices(slices, [cats]), lay.ABOVE: np.empty(len(slices.track), np.int32),
            lay.ASKED_BEGINS: _whole(windows), lay.OUT: out,
        }  # fmt: skip
        numbers = {lay.LENGTH: len(slices.track), lay.ASKED: len(windows), lay.TRACK: track}
        block = ask(self._run, lay.OPENED, given, numbers)
        if block[lay.STATUS] < 0:
            return None
        some = out[: block[lay.RESULT]]
        return some[:, :2].copy(), some[:, 2].copy()

    def climbed(self, above: I64, row: I64, wanted: Mask) -> I64:
        out = np.empty(len(row), np.int64)
        given: Columns = {
            lay.ABOVE: _whole(above), lay.ASKED_BEGINS: _whole(row), lay.OUT: out,
            lay.MARKS: np.ascontiguousarray(wanted, bool),
        }  # fmt: skip
        ask(self._run, lay.CLIMB, given, {lay.ASKED: len(row)})
        return out

    def gathered(
        self, track: I64, begin: I64, length: I64, left: Mask, bins: tuple[int, int, int]
    ) -> I64:
        origin, width, count = bins
        tracks = int(track.max()) + 1 if len(track) else 0
        out = np.zeros((tracks * count, 4), np.int64)
        given: Columns = {
            lay.TRACKS: _whole(track), lay.BEGINS: _whole(begin), lay.ENDS: _whole(length),
            lay.MARKS: np.ascontiguousarray(left, bool), lay.OUT: out,
        }  # fmt: skip
        numbers = {lay.LENGTH: len(track), lay.FROM: origin, lay.WIDTH: width, lay.BINS: count}
        ask(self._run, lay.GATHER, given, numbers)
        return out


def _slices(slices: Slices, groups: Groups) -> Columns:
    """The columns of all slices of a trace, and the group of each category."""
    group_of = np.zeros(256, np.uint8)
    for number, cats in enumerate(groups, 1):
        group_of[list(cats)] = number
    return {
        lay.TRACKS: _whole(slices.track), lay.BEGINS: _whole(slices.begin),
        lay.ENDS: _whole(slices.end), lay.CATS: slices.cat, lay.GROUP_OF: group_of,
    }  # fmt: skip


def _among(which: Mask | None) -> Columns:
    """What is looked at alone, where it is given."""
    return {} if which is None else {lay.CANDIDATES: np.ascontiguousarray(which, bool)}


def _of(made: Stack) -> Columns:
    """The columns of spans in order, and where each track's last is kept meanwhile."""
    return {
        lay.TRACKS: made.track, lay.BEGINS: made.begin, lay.ENDS: made.end, lay.ABOVE: made.above,
        lay.LASTS: np.full(made.tracks, -1, np.int64),
    }  # fmt: skip


def _first(out: Spans, block: I64) -> Spans:
    """The spans that were written, without the room for more."""
    count = int(block[lay.RESULT])
    return out if count == len(out) else out[:count].copy()
