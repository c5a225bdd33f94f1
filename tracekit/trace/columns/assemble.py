"""The columns of all pieces, joined, sorted and made into one Trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from tracekit.records import replace
from tracekit.trace.columns import release
from tracekit.trace.columns.decode import CUT, UNCLOSED, Damage
from tracekit.trace.columns.device_rows import Words, decide
from tracekit.trace.columns.numbers import FIRST_LABEL, narrow
from tracekit.trace.columns.side_tables import Part
from tracekit.trace.columns.slices import COLUMNS, KIND, NO_TIME, Read, Slices
from tracekit.trace.columns.texts import Texts, ordered
from tracekit.trace.columns.tracks import PLACE, Tracks, tracks
from tracekit.trace.tables.packed import Columns, Ints, packed
from tracekit.trace.tables.table import TABLES, Table
from tracekit.trace.trace import Loss, Source, Trace

T = TypeVar("T")
I64 = npt.NDArray[np.int64]
_WIDTH: Mapping[str, Any] = {"name": np.int32, "cat": np.uint8, "device": np.int32}
_NO_SLICE = frozenset({"memory", "counters", "flows"})  # tables whose rows are no slices
_LABELLED = {"memory": ("pid", "tid"), "flows": ("pid", "tid", "flow"), "counters": ("pid",)}

_MANY = 100_000  # slices: their pieces are worth giving back
_MOST_KINDS = (1 << 15) - 1
UNPAIRED = "B events without an E, or the reverse"


class Sum(Struct):
    """What is known of a file beside its slices, added up over pieces."""

    processes: dict[int, str] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)
    threads: dict[tuple[int, int], str] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    phases: Counter[str] = field(default_factory=Counter)
    cats: Counter[str] = field(default_factory=Counter)
    damage: dict[str, Damage] = field(default_factory=dict)
    events: int = 0


class Assembly:
    """Takes pieces in any order and gives the Trace."""

    def __init__(self, tables: frozenset[str]) -> None:
        self.wanted = tables
        self.reads: dict[int, Read] = {}
        self.texts = Texts()
        self.kinds: dict[str, int] = {}

    def add(self, read: Read) -> None:
        """Takes one piece. Its texts become those of the whole trace at once, to save memory."""
        for slices in (read.slices, read.begins, read.ends):
            slices.share(self.texts)
            columns = slices.columns
            new, most = self.kinds.setdefault, _MOST_KINDS
            codes = [new(kind, min(len(self.kinds), most)) for kind in slices.kinds]
            kinds = np.array([*codes, -1], np.int16)
            columns[KIND] = np.take(kinds, columns[KIND])  # -1 is the last, itself
            for column in ("dur", "pid", "tid", "device", "stream", "correlation"):
                columns[column] = narrow(columns[column])
            for part in slices.tables.values():
                part.narrow()
        for part in read.loose.tables.values():
            part.share(self.texts)
            part.narrow()
        self.reads[read.index] = read

    def end(self) -> tuple[int, Read] | None:
        """Where the list of events ends, and the piece that has it; pieces after it are dropped."""
        ends = [(read.end, read) for read in self.reads.values() if read.end is not None]
        if not ends:
            return None
        end, read = min(ends, key=lambda pair: pair[0])
        self.reads = {k: one for k, one in self.reads.items() if k <= read.index}
        return end, read

    def trace(
        self, source: Mapping[str, Any], losses: Sequence[Loss], threads: int = 1
    ) -> Trace:  # fmt: skip
        """The Trace. `source` are fields of Source that the pieces do not know."""
        reads = [self.reads.pop(k) for k in sorted(self.reads)]
        total = Sum()
        shifts = [_sum(total, read) for read in reads]
        paired = _Pairs(reads, total)
        columns: dict[str, Any] = {}
        count = 0
        for name in (*COLUMNS, KIND):
            columns[name] = _joined(reads, paired, name)
            count = len(columns[name])
            if count > _MANY:
                release.freed()
        (columns["name"],), strings = ordered([columns["name"]], self.texts.index)
        words = Words(strings, total.processes, total.marks, total.threads)
        unknown = decide(columns, list(self.kinds), words)
        del columns[KIND]
        columns["device"] = _devices(columns["device"])
        widths, places = _WIDTH, None
        if found := tracks(columns):
            columns["track"], places = found
            for name in PLACE:
                del columns[name]
            widths = {**_WIDTH, "track": np.int16, "correlation": columns["correlation"].dtype}
        order = _order(columns["ts"], columns["dur"])
        origin = int(columns["ts"][order[0]]) if count else 0
        with _meanwhile(threads if count > _MANY else 1) as soon:
            tables_soon = soon(lambda: self._tables(reads, shifts, paired, order))
            for name in tuple(columns):
                if count > _MANY:
                    release.freed()
                width = widths.get(name, np.int64)
                columns[name] = _sorted(columns.pop(name), order, width, origin * (name == "ts"))
            tables = tables_soon()
        for name in self.wanted & _NO_SLICE:
            if len(tables[name]):
                tables[name] = replace(tables[name], columns=tables[name].held.later(-origin))
        made = Source(
            **source,
            processes=total.processes,
            threads=total.threads,
            labels={code: text for text, code in total.labels.items()},
            events={phase: n for phase, n in total.phases.items() if n},
            cats={cat: n for cat, n in total.cats.items() if n},
            losses=(*_losses(total), *losses),
            unknown=unknown,
        )
        if places is not None:
            link = packed(columns.pop("correlation"), np.int64)
            held = Tracks(columns.pop("track"), places, link)
            return Trace.of_tracks(held, made, strings, origin, tables, columns)
        ids = np.arange(count, dtype=np.int32)
        ids.flags.writeable = False
        return Trace(made, strings, origin, id=ids, tables=tables, **columns)

    def _tables(
        self, reads: list[Read], shifts: list[dict[int, int]], paired: _Pairs, order: I64
    ) -> dict[str, Table]:
        if not self.wanted:
            return {}
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        found: dict[str, Table] = {}
        for name in sorted(self.wanted):
            parts: list[tuple[Part, Ints]] = []
            first = 0
            for read, shift in zip(reads, shifts, strict=True):
                if name in _NO_SLICE:
                    part = read.loose.tables.get(name)
                    if part is not None:
                        for column in _LABELLED[name]:
                            part.columns[column] = _moved(part.columns[column], shift)
                        parts.append((part, part.rows))
                elif (part := read.slices.tables.get(name)) is not None:
                    parts.append((part, rank[first:][part.rows]))
                first += len(read.slices)
            parts += paired.tables(name, first, rank)
            found[name] = _table(name, parts, self.texts)
        return found


def _sum(total: Sum, read: Read) -> dict[int, int]:
    """Adds a piece; renumbers its labels, which are its own, and returns how."""
    shift = {
        code: total.labels.setdefault(text, FIRST_LABEL - len(total.labels))
        for text, code in read.labels.items()
    }
    for slices in (read.slices, read.begins, read.ends):
        for column in ("pid", "tid", "device"):
            slices.columns[column] = _moved(slices.columns[column], shift)
    total.processes.update(
        {shift.get(pid, pid): name for pid, name in read.loose.processes.items()}
    )
    total.marks.update({shift.get(pid, pid): text for pid, text in read.loose.marks.items()})
    total.threads.update(
        {
            (shift.get(pid, pid), shift.get(tid, tid)): name
            for (pid, tid), name in read.loose.threads.items()
        }
    )
    total.phases += read.phases
    total.cats += read.cats
    total.events += read.events
    for one in read.damage.values():
        known = total.damage.setdefault(one.what, Damage(one.what, one.at))
        known.bytes += one.bytes
        known.events += one.events
        known.places += one.places
    return shift


def _moved(column: npt.NDArray[Any], shift: Mapping[int, int]) -> npt.NDArray[np.generic]:
    if all(old == new for old, new in shift.items()) or not len(column):
        return column
    labelled = np.flatnonzero(column <= FIRST_LABEL)
    if len(labelled):
        column = column.copy()
        column[labelled] = [shift.get(code, code) for code in column[labelled].tolist()]
    return column


def _joined(reads: Iterable[Read], paired: _Pairs, name: str) -> npt.NDArray[np.generic]:
    found = [read.slices.columns.pop(name) for read in reads]
    return np.concatenate([*found, paired.column(name)]) if found else paired.column(name)


def _sorted(
    column: npt.NDArray[Any], order: I64, width: npt.DTypeLike, origin: int
) -> npt.NDArray[Any]:
    """A column of the Trace, of this width and from its origin."""
    found = column[order].astype(width, copy=False)
    if origin:
        found -= origin
    found.flags.writeable = False
    return found


@contextmanager
def _meanwhile(threads: int) -> Iterator[Callable[[Callable[[], T]], Callable[[], T]]]:
    """Takes what a second thread is to make meanwhile, and gives what waits for it; without a
    second thread what is asked for is made then."""
    if threads < 2:
        yield lambda make: make
        return
    from concurrent.futures import ThreadPoolExecutor  # not for small traces

    with ThreadPoolExecutor(1) as pool:
        yield lambda make: pool.submit(make).result


def _order(ts: I64, dur: I64) -> npt.NDArray[np.intp]:
    """By start, the longer first, then as in the file."""
    order = np.argsort(ts, kind="stable")
    starts = ts[order]
    tied = np.flatnonzero(starts[1:] == starts[:-1])
    # sorting all by two keys costs several times this; mostly the longer come first as it is
    wrong = tied[dur[order[tied]] < dur[order[tied + 1]]]
    if len(wrong):
        tied = tied[np.isin(starts[tied], starts[wrong])]
        rows = np.union1d(tied, tied + 1)
        some = order[rows]
        order[rows] = some[np.lexsort((-dur[some], starts[rows]))]
    return order


def _devices(column: npt.NDArray[Any]) -> npt.NDArray[np.generic]:
    """Devices that are no small number (a process named by text) count down from -2."""
    odd = (column < -1) | (column >= 1 << 31)
    if odd.any():
        column = column.astype(np.int64)
        column[odd] = -2 - np.unique(column[odd], return_inverse=True)[1]
    return column


class _Pairs:
    """`B` and `E` events of all pieces, as slices."""

    def __init__(self, reads: Sequence[Read], total: Sum) -> None:
        self.reads = reads
        empty = np.empty(0, np.int64)
        self.begin, self.dur = empty, empty
        if any(len(read.begins) or len(read.ends) for read in reads):
            self._pair(total)

    def _all(self, which: str, name: str) -> npt.NDArray[np.generic]:
        parts: list[Slices] = [getattr(read, which) for read in self.reads]
        return np.concatenate([part.columns[name] for part in parts])

    def _pair(self, total: Sum) -> None:
        begins = sum(len(read.begins) for read in self.reads)
        columns = {
            name: np.concatenate([self._all("begins", name), self._all("ends", name)])
            for name in ("ts", "pid", "tid")
        }
        places = [[read.order[: len(read.begins)] for read in self.reads],
                  [read.order[len(read.begins):] for read in self.reads]]  # fmt: skip
        piece = np.concatenate(
            [np.full(len(part), k) for half in places for k, part in enumerate(half)]
        )
        place = np.concatenate([part for half in places for part in half])
        order = np.lexsort((place, piece, columns["ts"]))
        open_: dict[tuple[int, int], list[int]] = {}
        pairs: list[tuple[int, int]] = []
        stray = 0
        ts, pid, tid = (columns[name].tolist() for name in ("ts", "pid", "tid"))
        for row in order.tolist():
            stack = open_.setdefault((pid[row], tid[row]), [])
            if row < begins:
                stack.append(row)
            elif stack:
                at = stack.pop()
                pairs.append((at, ts[row] - ts[at]))
            else:
                stray += 1
        stray += sum(map(len, open_.values()))
        if stray:
            total.damage[UNPAIRED] = Damage(UNPAIRED, 0, events=stray)
        pairs.sort()
        self.begin = np.array([pair[0] for pair in pairs], np.int64)
        self.dur = np.array([pair[1] for pair in pairs], np.int64)

    def column(self, name: str) -> npt.NDArray[Any]:
        if not len(self.begin):
            return np.empty(0, np.uint8)  # widens nothing
        return self.dur if name == "dur" else self._all("begins", name)[self.begin]

    def tables(self, name: str, first: int, rank: npt.NDArray[np.int32]) -> list[tuple[Part, Ints]]:
        """The parts of one table whose rows are pairs; `first` is the row of the first pair."""
        found: list[tuple[Part, Ints]] = []
        if not len(self.begin) or name in _NO_SLICE:
            return found
        before = 0
        for read in self.reads:
            part = read.begins.tables.get(name)
            if part is not None and len(part.rows):
                at = np.searchsorted(self.begin, part.rows + before)
                at = np.minimum(at, len(self.begin) - 1)
                kept = self.begin[at] == part.rows + before
                columns = {key: column[kept] for key, column in part.columns.items()}
                rows = rank[first + at[kept]]
                found.append((Part(part.rows[kept], columns, part.strings), rows))
            before += len(read.begins)
        return found


def _table(name: str, parts: Sequence[tuple[Part, Ints]], texts: Texts) -> Table:
    names = [column.rstrip("*") for column in TABLES[name]]
    some = [(part, rows) for part, rows in parts if len(part)] or list(parts[:1])
    if not some:
        return Table(np.empty(0, np.int32), dict.fromkeys(names, np.empty(0, np.int64)))
    rows = np.concatenate([rows for _, rows in some])
    times = [part.columns["ts"] for part, _ in some] if name in _NO_SLICE else []
    order = np.argsort(np.concatenate(times) if times else rows, kind="stable")
    said = [column.rstrip("*") for column in TABLES[name] if column.endswith("*")]
    columns: dict[str, Any] = {}
    for column in names:
        found = np.concatenate([part.columns.pop(column) for part, _ in some])
        found = np.take(found, order, axis=0)
        columns[column] = found if column in said else packed(found, np.int64)
    strings: tuple[str, ...] = ()
    if said:
        codes, strings = ordered([columns[column] for column in said], texts.index)
        columns |= zip(said, codes, strict=True)
    return Table(rows[order].astype(np.int32, copy=False), Columns(columns), strings)


def _losses(total: Sum) -> list[Loss]:
    found = []
    for one in sorted(total.damage.values(), key=lambda damage: damage.at):
        what = f"{one.places} × {one.what}" if one.places else one.what
        # where the file ends too early nobody knows what followed
        unknown = one.what in (CUT, UNCLOSED)
        found.append(
            Loss(
                what,
                at_byte=None if one.what in (NO_TIME, UNPAIRED) else one.at,
                bytes_lost=one.bytes if not unknown or one.bytes else None,
                events_lost=one.events,
                events_kept=total.events,
            )
        )
    return found


__all__ = ["Assembly", "Slices"]
