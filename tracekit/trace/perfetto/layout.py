"""Traces that Perfetto imports whole: exact times, nothing that overlaps on one row.

Perfetto drops a slice that starts inside another of its row and ends after it, and reads times as
doubles. Both are mended here on the events of a file, in integer ns; no slice is lost, and none
but the profiler's own bookkeeping frames changes its times.
"""

from __future__ import annotations

import bisect
import gzip
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tracekit.files import writing, writing_new
from tracekit.trace.columns.documents import document
from tracekit.trace.perfetto.microseconds import ns, us
from tracekit.trace.perfetto.rows import NUMBERS, set_time, time_of

if TYPE_CHECKING:
    from tracekit.trace.perfetto.rows import Item

Event = dict[str, Any]
Row = tuple[Any, Any]  # (pid, tid)

# Python frames that are a marker being opened or closed: with stacks on, the profiler records its
# own `__enter__` as a frame that begins before the marker does and ends inside it.
_BOOKKEEPING = re.compile(
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


# ---------------------------------------------------------------- files


def read(path: str | Path) -> dict[str, Any]:
    """A trace's JSON with every number as written: decimals are `Decimal`, never float.

    Raises: TracekitError for a file that cannot be read, NotATraceError for one that is no trace.
    """
    whole = document(path)
    return {**whole.meta, "traceEvents": whole.events}


def write(whole: Mapping[str, Any], path: str | Path, *, asked: bool = True) -> Path:
    """The document as JSON at `path`, gzipped if it ends in `.gz`; whole, or not there at all.

    `asked` is off where nobody named `path`: what is there keeps its name, and the new file gets
    another, which is returned.

    Text is UTF-8 and not escaped (Perfetto shows escapes as they are); no NaN is ever written.

    Raises: TracekitError where the folder cannot be written or the disk is full.
    """
    if asked:
        with writing(path) as temporary:
            _write(whole, temporary, zipped=str(path).endswith(".gz"))
        return Path(path)
    with writing_new(path) as (temporary, name):
        _write(whole, temporary, zipped=str(path).endswith(".gz"))
    return name()


def _write(whole: Mapping[str, Any], path: Path, *, zipped: bool) -> None:
    encode = msgspec.json.Encoder(decimal_format="number").encode
    events = iter(whole["traceEvents"])
    head = {key: value for key, value in whole.items() if key != "traceEvents"}
    with path.open("wb") as raw:
        # no name and no time in the gzip header: the same events give the same bytes
        out = gzip.GzipFile("", "wb", 6, raw, mtime=0) if zipped else raw
        out.write(encode(head)[:-1] + (b"," if head else b"") + b'"traceEvents":[\n')
        before = b""
        while some := list(itertools.islice(events, 1000)):
            out.write(before + b",\n".join(map(encode, some)))
            before = b",\n"
        out.write(b"\n]}\n")
        if zipped:
            out.close()


# ---------------------------------------------------------------- times


def rebase(whole: dict[str, Any]) -> None:
    """Times relative to the first event, with `baseTimeNanoseconds` moved by as much.

    A double resolves 256 ns of time since the epoch; near zero it resolves every ns.
    """
    events = whole["traceEvents"]
    starts = (time_of(e, "ts") for e in events if hasattr(e, "get") and e.get("ph") != "M")
    origin = min((start for start in starts if start is not None), default=0)
    base = whole.get("baseTimeNanoseconds", 0)
    whole["baseTimeNanoseconds"] = int(base if isinstance(base, int | Decimal) else 0) + origin
    for event in events:
        start = time_of(event, "ts") if hasattr(event, "get") else None
        if start is None:
            continue
        set_time(event, "ts", max(start - origin, 0))
        length = time_of(event, "dur")
        if length is not None:
            set_time(event, "dur", length)


def _timed(event: Any) -> bool:
    """A dict or a `Row` that has a time."""
    return hasattr(event, "get") and isinstance(event.get("ts"), NUMBERS)


# ---------------------------------------------------------------- rows


class _Slice:
    """A slice under repair, in ns."""

    __slots__ = ("end", "event", "start")

    def __init__(self, event: Item) -> None:
        self.event = event
        self.start = ns(event["ts"])
        self.end = self.start + ns(event["dur"])


def settle(events: list[Item]) -> Settled:
    """Changes `events` in place so that the slices of every row nest.

    Thread ids that Perfetto would fold into another thread's get one that it keeps. Bookkeeping
    frames of the profiler are cut at the ends of the marker they open or close. What still overlaps
    goes to a new row, "NAME (overlap 1)", with the flow arrows that start or end at it; new rows
    are named by events added at the end. GPU processes are named by device.

    Raises: nothing; slices without times are left as they are.
    """
    names = _Names(events)
    for event in events:
        names.renumber(event)
    rows: dict[Row, list[Item]] = defaultdict(list)
    for event in events:
        if event.get("ph") == "X" and _timed(event) and event.get("dur") is not None:
            rows[_row(event)].append(event)
    arrows = _arrows(events)
    trimmed = moved = 0
    for row, own in rows.items():
        slices = list(map(_Slice, own))
        trimmed += _trim(slices)
        for level, spilled in enumerate(_layers(slices), start=1):
            fresh = names.overlap(row, level)
            for one in spilled:
                _move(one, row, fresh, arrows)
            moved += len(spilled)
    events.extend(names.added)
    return Settled(trimmed, moved)


def _row(event: Item) -> Row:
    return event.get("pid"), event.get("tid")


def _trim(slices: list[_Slice]) -> int:
    """How many bookkeeping frames were cut at a marker's start or end."""
    markers = [s for s in slices if s.event.get("cat") in _MARKERS]
    frames = [
        s
        for s in slices
        if s.event.get("cat") == "python_function"
        and _BOOKKEEPING.search(str(s.event.get("name", "")))
    ]
    if not markers or not frames:
        return 0
    by_start = sorted(markers, key=lambda m: m.start)
    by_end = sorted(markers, key=lambda m: m.end)
    starts, ends = [m.start for m in by_start], [m.end for m in by_end]
    cut = 0
    for frame in frames:
        begin, end = frame.start, frame.end
        inside = slice(bisect.bisect_right(starts, begin), bisect.bisect_left(starts, end))
        opened = [m.start for m in by_start[inside] if m.end > end]
        inside = slice(bisect.bisect_right(ends, begin), bisect.bisect_left(ends, end))
        closed = [m.end for m in by_end[inside] if m.start < begin]
        frame.start = max([begin, *closed])
        frame.end = max(frame.start, min([end, *opened]))
        if (frame.start, frame.end) != (begin, end):
            frame.event["ts"], frame.event["dur"] = us(frame.start), us(frame.end - frame.start)
            cut += 1
    return cut


def _layers(slices: list[_Slice]) -> Iterable[list[_Slice]]:
    """What does not nest, one list for each further row that is needed."""
    # Python frames that overlap a marker give way to it, whichever started first
    rest = _crossing(slices)
    gone = set(map(id, rest))
    rest += _spill([s for s in slices if id(s) not in gone])
    while rest:
        spilled = _spill(rest)
        gone = set(map(id, spilled))
        yield [s for s in rest if id(s) not in gone]
        rest = spilled


def _crossing(slices: list[_Slice]) -> list[_Slice]:
    """Python frames that partly overlap an annotation."""
    marks = sorted((m.start, m.end) for m in slices if m.event.get("cat") == "user_annotation")
    frames = [s for s in slices if s.event.get("cat") == "python_function"]
    if not marks or not frames:
        return []
    starts = [start for start, _end in marks]
    ends = sorted((end, start) for start, end in marks)
    only_ends = [end for end, _start in ends]

    def crosses(one: _Slice) -> bool:
        begun = marks[bisect.bisect_right(starts, one.start) : bisect.bisect_left(starts, one.end)]
        over = ends[
            bisect.bisect_right(only_ends, one.start) : bisect.bisect_left(only_ends, one.end)
        ]
        return any(end > one.end for _, end in begun) or any(start < one.start for _, start in over)

    return [s for s in frames if crosses(s)]


def _spill(slices: list[_Slice]) -> list[_Slice]:
    """The slices that start inside an earlier kept one and end after it."""
    open_ends: list[int] = []
    spilled = []
    for one in sorted(slices, key=lambda s: (s.start, -s.end)):
        while open_ends and open_ends[-1] <= one.start:
            open_ends.pop()
        if open_ends and one.end > open_ends[-1]:
            spilled.append(one)
        else:
            open_ends.append(one.end)
    return spilled


def _arrows(events: list[Item]) -> dict[tuple[Any, Any, int], list[Item]]:
    """Flow events by row and time."""
    found: dict[tuple[Any, Any, int], list[Item]] = defaultdict(list)
    for event in events:
        if event.get("ph") in ("s", "t", "f") and _timed(event):
            found[*_row(event), ns(event["ts"])].append(event)
    return found


def _move(
    one: _Slice, row: Row, fresh: Row, arrows: Mapping[tuple[Any, Any, int], list[Item]]
) -> None:
    args = one.event.get("args")
    correlation = args.get("correlation") if isinstance(args, dict) else None
    for arrow in arrows.get((*row, one.start), ()):
        if correlation is None or str(arrow.get("id")) == str(correlation):
            arrow["pid"], arrow["tid"] = fresh
    one.event["pid"], one.event["tid"] = fresh


class _Names:
    """Names of rows, and the events that name new ones."""

    def __init__(self, events: list[Item]) -> None:
        self.threads: dict[Row, str] = {}
        self.used: dict[Any, set[int]] = defaultdict(set)
        self.added: list[Event] = []
        for event in events:
            if isinstance(event.get("tid"), int):
                self.used[event.get("pid")].add(event["tid"])
            if event.get("ph") == "M" and event.get("name") == "thread_name":
                self.threads[_row(event)] = str((event.get("args") or {}).get("name", ""))
        self.renumbered: dict[Row, int] = {}
        _name_devices(events)

    def renumber(self, event: Item) -> None:
        """Perfetto keeps 31 bits of a thread id, and takes a negative one for the main thread."""
        tid = event.get("tid")
        if not isinstance(tid, int) or 0 <= tid < 1 << 31:
            return
        row = _row(event)
        if row not in self.renumbered:
            name = self.threads.get(row) or f"thread {tid}"
            self.renumbered[row] = self._fresh(row[0], name)
            self.threads[row[0], self.renumbered[row]] = name
        event["tid"] = self.renumbered[row]

    def overlap(self, row: Row, level: int) -> Row:
        """A row of the same process that no thread has, named after `row`."""
        pid, tid = row
        return pid, self._fresh(pid, f"{self.threads.get(row) or tid} (overlap {level})")

    def _fresh(self, pid: Any, name: str) -> int:
        # far above thread ids, which Linux keeps below 2**22, and inside Perfetto's 31 bits
        fresh = next(n for n in itertools.count(1 << 28) if n not in self.used[pid])
        self.used[pid].add(fresh)
        self.added.append(
            {"ph": "M", "name": "thread_name", "pid": pid, "tid": fresh, "args": {"name": name}}
        )
        return fresh


def _name_devices(events: list[Item]) -> None:
    """Processes that are GPUs are named so: Perfetto shows no `process_labels`."""
    labels = {
        event.get("pid"): str((event.get("args") or {}).get("labels", ""))
        for event in events
        if event.get("ph") == "M" and event.get("name") == "process_labels"
    }
    for event in events:
        label = labels.get(event.get("pid"), "")
        if (
            isinstance(event, dict)  # no row is of the trace itself
            and event.get("ph") == "M"
            and event.get("name") == "process_name"
            and label.startswith("GPU")
        ):
            args = event.setdefault("args", {})
            if not str(args.get("name", "")).startswith("GPU"):
                args["name"] = f"{label} ({args['name']})" if args.get("name") else label
