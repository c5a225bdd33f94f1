"""What the kernel found in a piece as the columns of the piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tracekit.records import Record
from tracekit.trace.categories import category
from tracekit.trace.columns.decode import Decoded, Shapes, closes, shapes
from tracekit.trace.columns.numbers import narrow
from tracekit.trace.columns.side_tables import Part, parts
from tracekit.trace.columns.slices import COLUMNS, KIND, Read, Slices, read_events
from tracekit.trace.json.pieces import Piece
from tracekit.trace.scan import arguments
from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.arguments import Records
from tracekit.trace.scan.scanner import FLOWS, SLICE, Found, Scanner
from tracekit.trace.trace import GPU_WORK, I32, I64, Cat

_MOST_CATEGORIES = 200  # of a piece
_COUNTED = "cuda_profiler_range"  # slices whose arguments are counters
_WORK = np.isin(np.arange(256), (*GPU_WORK, Cat.OTHER))


class Rows:
    """Reads pieces one after another; one for each thread."""

    def __init__(self, scanner: Scanner, tables: frozenset[str]) -> None:
        self.scanner, self.tables = scanner, tables
        self.shape: Shapes = shapes(tables)

    def read(self, index: int, at: int, length: int, last: bool) -> Read | None:
        """The columns of the piece in the scanner's memory; None where it is read otherwise."""
        found = self.scanner.scan(length, last)
        if found is None:
            return None
        tail = b""
        if found.end is not None:
            tail = self.scanner.text[found.end : length].tobytes()
            if not closes(tail):
                return None
        cats = _categories(found.rows, self.scanner.said)
        if cats is None or ("counters" in self.tables and _COUNTED in cats.counts):
            return None
        slow = self._odd(index, at, found)
        if (
            slow is None
            or len(slow[0].loose.tables.get("memory", ()))
            or len(slow[0].loose.tables.get("flows", ()))
        ):
            return None
        read = self._read(found, cats, *slow)
        if found.end is not None:
            read.end, read.tail, read.last = at + found.end, tail, True
        return read

    def _odd(self, index: int, at: int, found: Found) -> tuple[Read, Sequence[object]] | None:
        """The events that the kernel left, read one by one; None where one is damaged."""
        piece = Piece(index, at, b",".join(found.odd), last=False)
        read: Read | None = None
        for decoder in (self.shape.fast, self.shape.exact):
            try:
                events = decoder.decode(b"[" + piece.text + b"]")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return None
            read = read_events(piece, Decoded(events), self.tables)
            if read is not None:
                break
        if read is None or read.damage:
            return None
        read.slices.share(self.scanner.texts)
        return read, events

    def _read(self, found: Found, cats: _Cats, slow: Read, odd: Sequence[Any]) -> Read:
        rows, is_slice = found.rows, found.rows[lay.ROW_PHASE] == SLICE
        records = found.records
        if not is_slice.all():
            place = np.where(is_slice, np.cumsum(is_slice) - 1, -1).astype(np.int32)
            records = records.moved(place)
            kept = np.flatnonzero(is_slice)
            rows = {field: np.take(column, kept) for field, column in rows.items()}
            cats = cats.only(kept)
        slices = Slices(
            len(cats.cat), self._columns(rows, cats, records), [],
            self._tables(cats.cat, records), cats.kinds, shared=True,
        )  # fmt: skip
        places = [n for n, event in zip(found.odd_numbers, odd, strict=True) if event.ph == "X"]
        slices = _merged(slices, rows[lay.ROW_EVENT], slow.slices, places)
        slow.loose.tables.update(self._loose(found))
        return Read(
            slow.index, slices, slow.begins, slow.ends, slow.order, slow.loose,
            _phases(found, odd), _counts(cats, slow, found.odd_numbers, odd), slow.labels,
            events=found.events,
        )  # fmt: skip

    def _columns(
        self, rows: dict[int, npt.NDArray[Any]], cats: _Cats, records: Records
    ) -> dict[str, npt.NDArray[Any]]:
        pid, tid, link = (rows[f] for f in (lay.ROW_PID, lay.ROW_TID, lay.ROW_LINK))
        row, connection = records.of(arguments.CONNECTION)
        if len(row):
            bare = (cats.cat[row] == Cat.OTHER) & (link[row] < 0)
            link = link.copy()
            link[row[bare]] = connection[bare]
        # as `slices` has it: work without a device of its own is on that of its process
        device, stream = rows[lay.ROW_DEVICE], rows[lay.ROW_STREAM]
        is_work = np.take(_WORK, cats.cat)
        device = np.where(is_work, np.where(device >= 0, device, pid), -1)
        stream = np.where(is_work, np.where(stream >= 0, stream, np.maximum(tid, -1)), -1)
        found = {
            "dur": rows[lay.ROW_DUR], "pid": pid, "tid": tid, "device": device, "stream": stream,
            "correlation": link,
        }  # fmt: skip
        return {
            "ts": rows[lay.ROW_TS].copy(),
            "name": np.take(self.scanner.shared, rows[lay.ROW_NAME]),
            "cat": cats.cat,
            KIND: cats.kind,
            **{name: _own(column) for name, column in found.items()},
        }

    def _tables(self, cat: npt.NDArray[np.uint8], records: Records) -> dict[str, Part]:
        # of tables that are not known here all rows are among the events that the kernel left
        found = parts([], cat[:0], frozenset(self.tables - arguments.SPECS.keys()))
        for name in self.tables & arguments.SPECS.keys():
            texts = self._stripped(records) if name == "kernel_modules" else self.scanner.shared
            found[name] = arguments.part(name, records, cat, texts)
        return found

    def _stripped(self, records: Records) -> I32:
        """As `shared`, without white space around the texts; -1 for one that is nothing else."""
        known = np.full_like(self.scanner.shared, -1)
        if not len(records.of("module_fqn")[1]):
            return known
        for one in np.unique(records.of("module_fqn")[1]).tolist():
            text = self.scanner.said[one].strip()
            known[one] = self.scanner.texts.indices([text])[0] if text else -1
        return known

    def _loose(self, found: Found) -> dict[str, Part]:
        """The tables whose rows are no slices."""
        parts: dict[str, Part] = {}
        if "memory" in self.tables:
            parts["memory"] = _memory(found, self.scanner.phases == lay.MEMORY)
        if "flows" in self.tables:
            parts["flows"] = _flows(found, self.scanner.shared)
        return parts


def _own(column: I64) -> npt.NDArray[np.generic]:
    """The column in 32 bits where it fits, and no view of the scanner's."""
    small = narrow(column)
    return small.copy() if small is column else small


class _Cats(Record, frozen=True):
    """The categories of some rows."""

    cat: npt.NDArray[np.uint8]  # [N] Cat
    kind: npt.NDArray[np.int16]  # [N] index into `kinds`, -1 where the category is known
    kinds: list[str]
    counts: Counter[str]  # slices by the file's own word
    firsts: dict[str, int]  # the number of the first event of each

    def only(self, rows: I64) -> _Cats:
        cat, kind = np.take(self.cat, rows), np.take(self.kind, rows)
        return _Cats(cat, kind, self.kinds, self.counts, self.firsts)


def _categories(rows: dict[int, npt.NDArray[Any]], said: Sequence[str]) -> _Cats | None:
    """The categories of all rows; None where there are too many for categories."""
    column, is_slice = rows[lay.ROW_CAT], rows[lay.ROW_PHASE] == SLICE
    distinct = np.flatnonzero(_firsts(column, len(said)) < len(column))
    if len(distinct) > _MOST_CATEGORIES:
        return None
    cat = np.zeros(len(said), np.uint8)
    kind = np.full(len(said), -1, np.int16)
    kinds: list[str] = []
    for one in distinct.tolist():
        cat[one] = category(said[one])
        if cat[one] == Cat.OTHER:
            kind[one] = len(kinds)
            kinds.append(said[one])
    some, events = column[is_slice], rows[lay.ROW_EVENT][is_slice]
    count, first = np.bincount(some, minlength=len(said)), _firsts(some, len(said))
    counts: Counter[str] = Counter()
    firsts: dict[str, int] = {}
    for one in np.flatnonzero(count).tolist():  # of two that are the same but for their escapes
        word, number = said[one], int(events[first[one]])
        counts[word] += int(count[one])
        firsts[word] = min(firsts.get(word, number), number)
    return _Cats(np.take(cat, column), np.take(kind, column), kinds, counts, firsts)


def _firsts(column: I32, count: int) -> I64:
    """[count] the first row of each index; the number of rows where it has none."""
    found = np.full(count, len(column), np.int64)
    found[column[::-1]] = np.arange(len(column) - 1, -1, -1)  # what is written last stays
    return found


def _memory(found: Found, phases: npt.NDArray[np.bool_]) -> Part:
    """As `other_events` makes it of [memory] events; `phases` [256] that they may have."""
    rows = np.flatnonzero(phases[found.rows[lay.ROW_PHASE]])
    places = arguments.Places(rows, len(found.rows[lay.ROW_PHASE]))
    columns: dict[str, Any] = {"ts": found.rows[lay.ROW_TS][rows]}
    for column, attribute, missing in (
        ("bytes", "memory_bytes", 0), ("allocated", "allocated", -1), ("reserved", "reserved", -1),
        ("device_type", "device_type", -1), ("device", "memory_device", -1),
        ("address", "address", -1),
    ):  # fmt: skip
        columns[column] = np.full(len(rows), missing, np.int64)
        places.fill(columns[column], *found.records.of(attribute))
    columns["pid"], columns["tid"] = found.rows[lay.ROW_PID][rows], found.rows[lay.ROW_TID][rows]
    return Part(np.full(len(rows), -1, np.int64), columns, shared=True)


def _flows(found: Found, shared: I32) -> Part:
    """As `other_events` makes it of arrows."""
    code = np.full(256, -1, np.int64)
    code[list(FLOWS)] = list(FLOWS.values())
    phase = code[found.rows[lay.ROW_PHASE]]
    rows = np.flatnonzero(phase >= 0)
    some = {field: column[rows] for field, column in found.rows.items()}
    columns: dict[str, Any] = {
        "ts": some[lay.ROW_TS],
        "flow": some[lay.ROW_LINK],
        "phase": phase[rows],
        "pid": some[lay.ROW_PID],
        "tid": some[lay.ROW_TID],
        "cat": np.take(shared, some[lay.ROW_CAT]),
    }
    return Part(np.full(len(rows), -1, np.int64), columns, shared=True)


def _phases(found: Found, odd: Sequence[Any]) -> Counter[str]:
    """How many events of each phase there are, slices first, then in the order of the file."""
    first = {chr(p): int(found.firsts[p]) for p in np.flatnonzero(found.counts)}
    count = {chr(p): int(found.counts[p]) for p in np.flatnonzero(found.counts)}
    for number, event in zip(found.odd_numbers, odd, strict=True):
        phase = "" if event.ph is None else str(event.ph)
        first[phase] = min(first.get(phase, number), number)
        count[phase] = count.get(phase, 0) + 1
    return Counter({p: count[p] for p in sorted(first, key=lambda p: (p != "X", first[p]))})


def _counts(cats: _Cats, slow: Read, numbers: Sequence[int], odd: Sequence[Any]) -> Counter[str]:
    """How many slices of each category there are, in the order of the file."""
    first = dict(cats.firsts)
    for number, event in zip(numbers, odd, strict=True):
        if event.ph == "X":
            word = "" if event.cat is None else str(event.cat)
            first[word] = min(first.get(word, number), number)
    both = cats.counts + slow.cats
    return Counter({word: both[word] for word in sorted(first, key=first.__getitem__)})


def _merged(fast: Slices, numbers: I32, slow: Slices, places: Sequence[int]) -> Slices:
    """The slices of both, in the order of the file; `numbers` [N] of events, `places` of slow."""
    if not len(slow):
        return fast
    order = np.argsort(np.concatenate([numbers, np.array(places, np.int32)]), kind="stable")
    kind = slow.columns[KIND]
    slow.columns[KIND] = np.where(kind >= 0, kind + len(fast.kinds), kind).astype(np.int16)
    columns = {
        name: np.concatenate([fast.columns[name], slow.columns[name]])[order]
        for name in (*COLUMNS, KIND)
    }
    to = np.empty(len(order), np.int64)
    to[order] = np.arange(len(order))
    tables = {}
    for name, part in fast.tables.items():
        other = slow.tables[name]
        rows = to[np.concatenate([part.rows, other.rows + len(fast)])]
        tables[name] = Part(
            rows,
            {c: np.concatenate([part.columns[c], other.columns[c]]) for c in part.columns},
            shared=True,
        )
    return Slices(len(order), columns, [], tables, [*fast.kinds, *slow.kinds], shared=True)
