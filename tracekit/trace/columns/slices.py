"""Event structs to numpy columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from tracekit.trace.categories import category
from tracekit.trace.columns.decode import Damage, Decoded, Shapes, counting, decode
from tracekit.trace.columns.numbers import Labels, indexed, integers, nanoseconds
from tracekit.trace.columns.other_events import Loose, loose
from tracekit.trace.columns.side_tables import Part, allowed, parts
from tracekit.trace.columns.texts import Texts
from tracekit.trace.json.pieces import Piece
from tracekit.trace.trace import GPU_WORK, Cat

I64 = npt.NDArray[np.int64]

NO_TIME = "slices without a usable ts or dur"
COLUMNS = ("ts", "dur", "name", "cat", "pid", "tid", "device", "stream", "correlation")
_MOST_KINDS = 1 << 10
KIND = "kind"  # a column too: index into `kinds`, -1 where the category is known


class Slices(Struct):
    """Columns of some slices in file order, with names as indices of their own table."""

    count: int
    columns: dict[str, npt.NDArray[Any]]  # COLUMNS and KIND; ts in absolute ns
    names: list[str]
    tables: dict[str, Part]
    kinds: list[str] = field(default_factory=list)  # categories in the file of slices of Cat.OTHER
    shared: bool = False  # names index the texts of the trace instead

    def __len__(self) -> int:
        return self.count

    def share(self, texts: Texts) -> None:
        """Makes names, and texts of side tables, index those of the trace."""
        if not self.shared:
            known = texts.indices(self.names)
            self.columns["name"] = known[self.columns["name"]] if len(known) else _no_names()
            self.names, self.shared = [], True
        for part in self.tables.values():
            part.share(texts)


class Read(Struct):
    """All that is kept of one piece; small enough to send between processes."""

    index: int
    slices: Slices
    begins: Slices  # `B` events, dur 0
    ends: Slices  # `E` events, dur 0
    order: npt.NDArray[np.int64]  # begins then ends: place in the file
    loose: Loose
    phases: Counter[str]
    cats: Counter[str]  # of slices
    labels: dict[str, int]
    damage: dict[str, Damage] = field(default_factory=dict)
    events: int = 0
    end: int | None = None
    tail: bytes = b""
    last: bool = False


def read_piece(piece: Piece, shape: Shapes, tables: frozenset[str]) -> Read:
    """The columns of a piece, and of its side tables those that are wanted."""
    for exact in (False, True):
        # where doubles are too coarse for these times, once more with their text
        read = read_events(piece, decode(piece, shape, exact), tables)
        if read is not None:
            return read
    raise AssertionError("unreachable: text is always enough")


def _counted(piece: Piece, tables: frozenset[str]) -> Sequence[Any]:
    """The events whose arguments are counters, where those are wanted."""
    marks = (b'"C"', b'"cuda_profiler_range"')
    if "counters" not in tables or not any(mark in piece.text for mark in marks):
        return ()
    return [
        event
        for event in decode(piece, counting(), exact=True).events
        if event.ph == "C" or (event.ph in ("X", "B") and event.cat == "cuda_profiler_range")
    ]


def read_events(piece: Piece, decoded: Decoded, tables: frozenset[str]) -> Read | None:
    """The columns of a piece's events; None where times need the text of their numbers."""
    events, counted = decoded.events, _counted(piece, tables)
    whole = [event for event in events if event.ph == "X"]
    rest = [event for event in events if event.ph != "X"] if len(whole) < len(events) else []
    labels = Labels()
    damage = dict(decoded.damage)
    cats: Counter[str] = Counter()
    marks = _timed([e for e in rest if e.ph in ("B", "E")], damage, piece.at)
    if marks is None:
        return None
    begin, end = ([e for e in marks if e.ph == phase] for phase in "BE")
    slices, begins, ends = (
        _slices(some, lasting, labels, tables, cats, damage, piece.at)
        for some, lasting in ((whole, True), (begin, False), (end, False))
    )
    if slices is None or begins is None or ends is None:
        return None
    order = np.array([k for phase in "BE" for k, e in enumerate(marks) if e.ph == phase], np.int64)
    others = loose(rest, counted, labels, tables)
    if others is None:
        return None
    phases = Counter({"X": len(whole)} if whole else {})
    index, texts = indexed([event.ph for event in rest])
    for text, count in zip(texts, np.bincount(index).tolist(), strict=True):
        phases[text] += count  # no phase, and an empty one, are the same
    return Read(
        piece.index, slices, begins, ends, order, others, phases, cats, labels.texts, damage,
        len(events), decoded.end, decoded.tail, piece.last,
    )  # fmt: skip


def _timed(marks: list[Any], damage: dict[str, Damage], at: int) -> list[Any] | None:
    """Those with a usable time; None where times need the text of their numbers."""
    times = nanoseconds([event.ts for event in marks])
    if times is None:
        return None
    return _usable(marks, times[1], damage, at)


def _usable(
    events: Sequence[object], usable: npt.NDArray[np.bool_], damage: dict[str, Damage], at: int
) -> list[Any]:
    """The events that can be used; the others are counted as damage."""
    if not usable.all():
        lost = damage.setdefault(NO_TIME, Damage(NO_TIME, at))
        lost.events += int((~usable).sum())
    return [event for event, fine in zip(events, usable.tolist(), strict=True) if fine]


def _slices(
    events: Sequence[Any], lasting: bool, labels: Labels, tables: frozenset[str],
    cats: Counter[str], damage: dict[str, Damage], at: int,
) -> Slices | None:  # fmt: skip
    if not events:
        none = np.empty(0, np.uint8)
        columns: dict[str, npt.NDArray[Any]] = {
            name: np.empty(0, np.int64) for name in (*COLUMNS, KIND)
        }
        columns["name"] = _no_names()
        return Slices(0, columns, [], parts([], none, tables), shared=True)
    start = nanoseconds([event.ts for event in events])
    length = nanoseconds([event.dur for event in events]) if lasting else _nothing(len(events))
    if start is None or length is None:
        return None
    usable = start[1] & length[1]
    if not usable.all():
        events = _usable(events, usable, damage, at)
    ts, dur = start[0][usable], length[0][usable]
    arguments = [event.args for event in events]
    cat, kind, kinds = _cats(events, cats, lasting)
    pid = labels.numbers([event.pid for event in events])
    tid = labels.numbers([event.tid for event in events])
    device, stream, correlation = _work(arguments, cat, pid, tid, labels)
    name, names = indexed([event.name for event in events])
    return Slices(
        len(events),
        {
            "ts": ts,
            "dur": dur,
            "name": name,
            "cat": cat,
            "pid": pid,
            "tid": tid,
            "device": device,
            "stream": stream,
            "correlation": correlation,
            KIND: kind,
        },
        names,
        parts(arguments, cat, tables),
        kinds,
    )


def _no_names() -> npt.NDArray[np.int32]:
    return np.empty(0, np.int32)


def _nothing(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    return np.zeros(count, np.int64), np.ones(count, bool)


def _cats(
    events: Sequence[Any], cats: Counter[str], count: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16], list[str]]:
    """[N] Cat, [N] KIND, and the categories that KIND indexes.

    The file's own words are counted into `cats`.
    """
    index, texts = indexed([event.cat for event in events])
    if count:
        for text, many in zip(texts, np.bincount(index), strict=True):
            cats[text] += int(many)
    found = [category(text) for text in texts]
    kinds = [text for text, cat in zip(texts, found, strict=True) if cat == Cat.OTHER]
    at = {text: place for place, text in enumerate(kinds[:_MOST_KINDS])}
    # so many categories are no categories: those beyond are taken for the last
    kind = np.array(
        [at.get(text, len(at) - 1) if cat == Cat.OTHER else -1
         for text, cat in zip(texts, found, strict=True)], np.int16
    )  # fmt: skip
    return np.array(found, np.uint8)[index], kind[index], kinds[:_MOST_KINDS]


def _work(
    arguments: Sequence[Any], cat: npt.NDArray[np.uint8], pid: I64, tid: I64, labels: Labels
) -> tuple[I64, I64, I64]:
    """Device, stream (both -1 on the host) and correlation of slices.

    torch_npu's slices have a `connection_id` for a correlation.
    """
    none = [a for a in arguments if a is None]
    if none:
        known = [row for row, a in enumerate(arguments) if a is not None]
        correlation = np.full(len(arguments), -1, np.int64)
        correlation[known] = integers([arguments[row].correlation for row in known])
    else:
        correlation = integers([a.correlation for a in arguments])
    bare = [row for row in np.flatnonzero((cat == Cat.OTHER) & (correlation < 0)).tolist()
            if arguments[row] is not None]  # fmt: skip
    if bare:
        correlation = correlation.copy()
        correlation[bare] = integers([arguments[row].connection for row in bare])
    device = np.full(len(arguments), -1, np.int64)
    stream = np.full(len(arguments), -1, np.int64)
    # of OTHER it is not yet known whether it is work: see device_rows.py
    work = np.flatnonzero(allowed((*GPU_WORK, Cat.OTHER))[cat])
    if len(work):
        some = [arguments[row] for row in work.tolist()]
        given = integers([-1 if a is None else a.device for a in some])
        # no device among the arguments: the process of GPU work is its device
        device[work] = np.where(given >= 0, given, pid[work])
        given = integers([-1 if a is None else a.stream for a in some])
        # no stream either: Kineto draws GPU work on the thread of that number, once "stream 7"
        stream[work] = np.where(given >= 0, given, _streams(tid[work], labels))
    return device, stream, correlation


def _streams(tid: I64, labels: Labels) -> I64:
    """[N] the stream that a thread stands for, -1 for none."""
    named = {
        code: int(number[1])
        for text, code in labels.texts.items()
        if (number := re.fullmatch(r"stream (\d{1,9})", text))
    }
    return np.array([named.get(one, max(one, -1)) for one in tid.tolist()], np.int64)
