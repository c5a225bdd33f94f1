"""Rows on which all slices nest: what overlaps gets a row of its own. See `layout.settle`."""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracekit.patterns import later
from tracekit.trace.perfetto.rows import ABSENT, FLOWS, NONE, Event, Rows
from tracekit.trace.trace import I64, Mask

Track = tuple[Any, Any]  # (pid, tid)

# Python frames that are a marker being opened or closed: with stacks on, the profiler records its
# own `__enter__` as a frame that begins before the marker does and ends inside it.
_BOOKKEEPING = later(
    r"_record_function_(enter|exit)|_RecordFunctionFast|torch/_ops\.py|torch/autograd/profiler\.py"
    r"|torch/profiler/|torch/_library/|contextlib\.py|: __(enter|exit|torch_function)__$"
    r"|^<built-in method .* of (pybind11_builtins|PyCapsule)|tracekit/capture/(spans|recorder)\.py"
)
_MARKERS = ("user_annotation", "cpu_op")  # what a RecordFunction can become


@dataclass(frozen=True, slots=True)
class Settled:
    """What `settle` did: bookkeeping frames cut, and slices put on a row of their own."""

    trimmed: int
    moved: int


def settle(rows: Rows) -> tuple[Settled, list[Event]]:
    """Changes ids and times so that the slices of every row nest; the events that name new rows."""
    names = _Names(rows)
    names.renumber()
    slices = np.flatnonzero(rows.slices & (rows.ts != NONE) & (rows.dur != NONE))
    kinds = _Kinds(rows)
    tracks = rows.tracks  # as they are before any slice moves
    arrows = _Arrows(rows, tracks)
    trimmed = moved = 0
    for own in _by_track(tracks, slices):
        track = rows.track(int(own[0]))
        trimmed += _trim(rows, own, kinds)
        for level, spilled in enumerate(_layers(rows, own, kinds), start=1):
            fresh = names.overlap(track, level)
            arrows.move(spilled, int(tracks[own[0]]), fresh)
            rows.codes["tid"][spilled] = fresh
            rows.changed.add("tid")
            moved += len(spilled)
    return Settled(trimmed, moved), names.added


def _by_track(tracks: I64, slices: I64) -> Iterator[I64]:
    """The slices of each track, the track that comes first in the file first."""
    if not len(slices):
        return
    own = tracks[slices]
    order = np.argsort(own, kind="stable")
    parts = np.split(slices[order], np.flatnonzero(np.diff(own[order])) + 1)
    yield from sorted(parts, key=lambda part: int(part[0]))


class _Kinds:
    """[N] which rows are markers, annotations, frames, and frames of the profiler itself."""

    def __init__(self, rows: Rows) -> None:
        def of(key: str, wanted: Any) -> Mask:
            return rows.tables[key].among(rows.codes[key], wanted)

        self.marker = of("cat", lambda cat: cat in _MARKERS)
        self.annotation = of("cat", lambda cat: cat == "user_annotation")
        self.frame = of("cat", lambda cat: cat == "python_function")
        bookkeeping = of("name", lambda name: _BOOKKEEPING.search(str(name)) is not None)
        self.bookkeeping = self.frame & bookkeeping


# ---------------------------------------------------------------- frames of the profiler


def _trim(rows: Rows, own: I64, kinds: _Kinds) -> int:
    """How many bookkeeping frames were cut at a marker's start or end."""
    markers, frames = own[kinds.marker[own]], own[kinds.bookkeeping[own]]
    if not len(markers) or not len(frames):
        return 0
    start, end = rows.ts[markers], rows.ts[markers] + rows.dur[markers]
    by_start, by_end = np.argsort(start, kind="stable"), np.argsort(end, kind="stable")
    starts, ends = start[by_start].tolist(), end[by_end].tolist()
    ends_by_start, starts_by_end = end[by_start].tolist(), start[by_end].tolist()
    cut = 0
    begins, stops = rows.ts[frames].tolist(), (rows.ts[frames] + rows.dur[frames]).tolist()
    for row, begin, stop in zip(frames.tolist(), begins, stops, strict=True):
        inside = range(bisect.bisect_right(starts, begin), bisect.bisect_left(starts, stop))
        opened = [starts[k] for k in inside if ends_by_start[k] > stop]
        inside = range(bisect.bisect_right(ends, begin), bisect.bisect_left(ends, stop))
        closed = [ends[k] for k in inside if starts_by_end[k] < begin]
        first = max([begin, *closed])
        last = max(first, min([stop, *opened]))
        if (first, last) != (begin, stop):
            rows.ts[row], rows.dur[row] = first, last - first
            rows.cut.append(row)
            cut += 1
    return cut


# ---------------------------------------------------------------- what overlaps


def _layers(rows: Rows, own: I64, kinds: _Kinds) -> Iterator[I64]:
    """What does not nest, one list for each further row that is needed."""
    # Python frames that overlap a marker give way to it, whichever started first
    crossing = _crossing(rows, own, kinds)
    rest = np.concatenate([own[crossing], _spill(rows, own[~crossing])])
    while len(rest):
        spilled = _spill(rows, rest)
        yield rest[~np.isin(rest, spilled)]
        rest = spilled


def _crossing(rows: Rows, own: I64, kinds: _Kinds) -> Mask:
    """[own] which are Python frames that partly overlap an annotation."""
    found = np.zeros(len(own), bool)
    marks, frames = own[kinds.annotation[own]], kinds.frame[own]
    if not len(marks) or not frames.any():
        return found
    start, end = rows.ts[own[frames]], rows.ts[own[frames]] + rows.dur[own[frames]]
    low, high = rows.ts[marks], rows.ts[marks] + rows.dur[marks]
    by_start, by_end = np.lexsort((high, low)), np.lexsort((low, high))
    # the last end of marks that start inside a frame, the first start of those that end inside
    last = _farthest(high[by_start], low[by_start], start, end)
    first = _farthest(-low[by_end], high[by_end], start, end)
    found[frames] = (last > end) | (-first < start)
    return found


def _farthest(value: I64, at: I64, start: I64, end: I64) -> I64:
    """[F] the largest `value` of those whose `at`, ascending, lies inside; NONE + 1 for none."""
    begin = np.searchsorted(at, start, side="right")
    stop = np.searchsorted(at, end, side="left")
    found = np.full(len(start), NONE + 1)
    some = stop > begin
    level = np.zeros(len(start), np.int64)
    level[some] = np.log2((stop - begin)[some]).astype(np.int64)
    table, width = value, 1  # table[k] is the largest of `width` from k on
    for power in range(int(level.max(initial=0)) + 1):
        mine = some & (level == power)
        ends = stop[mine] - width
        found[mine] = np.maximum(table[begin[mine]], table[ends])
        if len(table) > width:
            table = np.maximum(table[:-width], table[width:])
        width *= 2
    return found


def _spill(rows: Rows, own: I64) -> I64:
    """The slices that start inside an earlier kept one and end after it."""
    start = rows.ts[own]
    end = start + rows.dur[own]
    order = np.lexsort((-end, start))
    open_ends: list[int] = []
    spilled = []
    for at, begin, stop in zip(
        own[order].tolist(), start[order].tolist(), end[order].tolist(), strict=True
    ):
        while open_ends and open_ends[-1] <= begin:
            open_ends.pop()
        if open_ends and stop > open_ends[-1]:
            spilled.append(at)
        else:
            open_ends.append(stop)
    return np.array(spilled, np.int64)


class _Arrows:
    """Flow events by track and time; looked at where a slice moves only."""

    def __init__(self, rows: Rows, tracks: I64) -> None:
        self.rows, self.tracks = rows, tracks
        self._found: dict[tuple[int, int], list[int]] | None = None

    def _known(self) -> dict[tuple[int, int], list[int]]:
        if self._found is None:
            self._found = defaultdict(list)
            some = np.flatnonzero(self.rows.is_(*FLOWS) & (self.rows.ts != NONE))
            tracks, times = self.tracks[some].tolist(), self.rows.ts[some].tolist()
            for row, track, at in zip(some.tolist(), tracks, times, strict=True):
                self._found[track, at].append(row)
        return self._found

    def move(self, slices: I64, track: int, fresh: int) -> None:
        """Lets the arrows of these slices go with them."""
        rows, known = self.rows, self._known()
        if not known:
            return
        for one, at in zip(slices.tolist(), rows.ts[slices].tolist(), strict=True):
            for arrow in known.get((track, at), ()):
                number = rows.correlation.get(one)
                found = rows.id.get(arrow)
                if number in (ABSENT, None) or _text(found) == _text(number):
                    rows.codes["tid"][arrow] = fresh


def _text(value: Any) -> str:
    return "None" if value is ABSENT else str(value)


# ---------------------------------------------------------------- names


class _Names:
    """Names of tracks, and the events that name new ones."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.threads: dict[Track, str] = {}
        self.used: dict[Any, set[int]] = defaultdict(set)
        self.added: list[Event] = []
        self.tracks = _first_of_each(rows.tracks)
        for row in self.tracks:
            pid, tid = rows.track(row)
            if isinstance(tid, int):
                self.used[pid].add(tid)
        for event in _meta(rows.whole.values(), "thread_name"):
            track = event.get("pid"), event.get("tid")
            self.threads[track] = str((event.get("args") or {}).get("name", ""))
        _name_devices(rows.whole.values())

    def renumber(self) -> None:
        """Perfetto keeps 31 bits of a thread id, and takes a negative one for the main thread."""
        rows, tracks = self.rows, self.rows.tracks
        for row in self.tracks:
            track = pid, tid = rows.track(row)
            if not isinstance(tid, int) or 0 <= tid < 1 << 31:
                continue
            name = self.threads.get(track) or f"thread {tid}"
            fresh = self._fresh(pid, name)
            self.threads[pid, rows.tables["tid"].said[fresh]] = name
            rows.codes["tid"][tracks == tracks[row]] = fresh
            rows.changed.add("tid")

    def overlap(self, track: Track, level: int) -> int:
        """The code of a row of the same process that no thread has, named after `track`."""
        pid, tid = track
        return self._fresh(pid, f"{self.threads.get(track) or tid} (overlap {level})")

    def _fresh(self, pid: Any, name: str) -> int:
        # far above thread ids, which Linux keeps below 2**22, and inside Perfetto's 31 bits
        fresh = next(n for n in itertools.count(1 << 28) if n not in self.used[pid])
        self.used[pid].add(fresh)
        self.added.append(
            {"ph": "M", "name": "thread_name", "pid": pid, "tid": fresh, "args": {"name": name}}
        )
        return self.rows.tables["tid"].code(fresh)


def _first_of_each(tracks: I64) -> Sequence[int]:
    """The first row of each track, in order."""
    first: list[int] = np.sort(np.unique(tracks, return_index=True)[1]).tolist()
    return first


def _meta(events: Iterable[Event], name: str) -> Iterator[Event]:
    return (e for e in events if e.get("ph") == "M" and e.get("name") == name)


def _name_devices(events: Iterable[Event]) -> None:
    """Processes that are GPUs are named so: Perfetto shows no `process_labels`."""
    some = list(events)
    labels = {
        event.get("pid"): str((event.get("args") or {}).get("labels", ""))
        for event in _meta(some, "process_labels")
    }
    for event in _meta(some, "process_name"):
        label = labels.get(event.get("pid"), "")
        if label.startswith("GPU"):
            args = event.setdefault("args", {})
            if not str(args.get("name", "")).startswith("GPU"):
                args["name"] = f"{label} ({args['name']})" if args.get("name") else label
