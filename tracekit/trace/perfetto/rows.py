"""Events of a trace as columns: of each only what decides where it is drawn.

An event as a dict takes 2 kB; here it takes about 60 bytes, and what concerns all events is done on
whole columns. What they say is read from the file anew when they are written. Events that are few,
names of rows and tracks of ours, are kept whole beside their row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
from msgspec import UNSET

from tracekit.trace import redact
from tracekit.trace.perfetto.microseconds import ns, us
from tracekit.trace.trace import I32, I64, Mask

Event = dict[str, Any]

NONE = -(1 << 63)  # no such key
_ODD = NONE + 1  # a value that is no whole number of 64 bits
ABSENT = UNSET
NUMBERS = (int, float, Decimal)
TEXTS = ("ph", "cat", "name", "pid", "tid")  # of which there are few
FLOWS = ("s", "t", "f")


class Codes:
    """Values of which there are few, as numbers; 0 where an event has none."""

    def __init__(self) -> None:
        self.number: dict[Any, int] = {ABSENT: 0}
        self.said: list[Any] = [ABSENT]

    def code(self, value: Any) -> int:
        found = self.number.get(value)
        if found is None:
            found = self.number[value] = len(self.said)
            self.said.append(value)
        return found

    def of(self, values: Sequence[Any]) -> I32:
        """[N] the code of each."""
        for value in dict.fromkeys(values):  # in the order of the file
            self.code(value)
        return np.array([*map(self.number.__getitem__, values)], np.int32)

    def among(self, codes: I32, wanted: Callable[[Any], bool]) -> Mask:
        """[N] whether the value of each is wanted."""
        return np.array([one is not ABSENT and wanted(one) for one in self.said], bool)[codes]

    def scrub(self, key: str) -> None:
        self.said = [one if one is ABSENT else redact.value(one, key) for one in self.said]


@dataclass(slots=True)
class Numbers:
    """Mostly whole numbers of 64 bits; NONE where an event has none."""

    values: I64
    odd: dict[int, Any] = field(default_factory=dict)  # by row: what is no such number

    @classmethod
    def of(cls, values: Sequence[Any]) -> Numbers:
        """[N] of values as they were read, ABSENT where an event has none."""
        kinds = set(map(type, values))
        if kinds <= {int, type(ABSENT)}:
            with suppress(OverflowError):
                found = np.array([NONE if one is ABSENT else one for one in values], np.int64)
                if int((found <= _ODD).sum()) == values.count(ABSENT):
                    return cls(found)
        odd = {
            at: one
            for at, one in enumerate(values)
            if one is not ABSENT and not (type(one) is int and _ODD < one < 1 << 63)
        }
        whole = [NONE if one is ABSENT else one for one in values]
        for at in odd:
            whole[at] = _ODD
        return cls(np.array(whole, np.int64), odd)

    def get(self, at: int) -> Any:
        """The value of a row, or ABSENT."""
        if at in self.odd:
            return self.odd[at]
        value = int(self.values[at])
        return ABSENT if value == NONE else value

    def put(self, at: int, value: int) -> None:
        self.values[at] = value
        self.odd.pop(at, None)

    def all(self, missing: Any) -> list[Any]:
        """[N] every value."""
        found: list[Any] = self.values.tolist()
        for at in np.flatnonzero(self.values == NONE).tolist():
            found[at] = missing
        for at, value in self.odd.items():
            found[at] = value
        return found


class Rows:
    """Events in the order of the file; columns are arrays of N."""

    def __init__(self, tables: Mapping[str, Codes] | None = None) -> None:
        self.tables = tables or {key: Codes() for key in TEXTS}
        self.codes: dict[str, I32] = {key: np.empty(0, np.int32) for key in TEXTS}
        self.ts: I64 = np.empty(0, np.int64)  # ns
        self.dur: I64 = np.empty(0, np.int64)
        self.id = Numbers(np.empty(0, np.int64))
        self.correlation = Numbers(np.empty(0, np.int64))
        self.at: I64 = np.empty(0, np.int64)  # the number of each in the file
        self.whole: dict[int, Event] = {}  # by row: an event that is kept whole
        self.changed: set[str] = set()  # keys of which some are no longer as in the file
        self.cut: list[int] = []  # rows whose length is not as in the file

    def __len__(self) -> int:
        return len(self.ts)

    def is_(self, *phases: str) -> Mask:
        return self.tables["ph"].among(self.codes["ph"], lambda one: one in phases)

    @property
    def slices(self) -> Mask:
        """[N] whether each is a slice."""
        return self.is_("X")

    def said(self, key: str, row: int) -> Any:
        """What a row has under a key of TEXTS; None for nothing."""
        found = self.tables[key].said[self.codes[key][row]]
        return None if found is ABSENT else found

    def track(self, row: int) -> tuple[Any, Any]:
        return self.said("pid", row), self.said("tid", row)

    @property
    def tracks(self) -> I64:
        """[N] process and thread as one number."""
        return self.codes["pid"].astype(np.int64) << 32 | self.codes["tid"]

    def only(self, kept: Mask) -> Rows:
        """Some of the rows."""
        out = Rows(self.tables)
        place = np.cumsum(kept) - 1
        out.codes = {key: column[kept] for key, column in self.codes.items()}
        out.ts, out.dur, out.at = self.ts[kept], self.dur[kept], self.at[kept]
        for name in ("id", "correlation"):
            given: Numbers = getattr(self, name)
            odd = {int(place[at]): one for at, one in given.odd.items() if kept[at]}
            setattr(out, name, Numbers(given.values[kept], odd))
        out.whole = {int(place[at]): one for at, one in self.whole.items() if kept[at]}
        out.changed = set(self.changed)
        return out

    def scrub(self) -> None:
        """As `redact.value` of each event."""
        self.changed |= {*TEXTS, "id"}
        for key, table in self.tables.items():
            table.scrub(key)
        for name in ("id", "correlation"):
            numbers: Numbers = getattr(self, name)
            numbers.odd = {at: redact.value(one, name) for at, one in numbers.odd.items()}
        self.whole = {at: redact.value(event) for at, event in self.whole.items()}

    def onto(self, event: Event, row: int) -> Event:
        """The event as it was read, with the ids and times of the row."""
        for key in ("pid", "tid"):
            found = self.tables[key].said[self.codes[key][row]]
            if found is not ABSENT:
                event[key] = found
        found = self.id.get(row)
        if found is not ABSENT:
            event["id"] = found
        for key, column in (("ts", self.ts), ("dur", self.dur)):
            if column[row] != NONE:
                event[key] = us(int(column[row]))
        return event


def time(value: Any) -> int:
    """`ts` or `dur` in ns; NONE where there is none that is a number."""
    return ns(value) if isinstance(value, NUMBERS) else NONE


def of_events(events: Sequence[Event], rows: Rows) -> Rows:
    """Events, whose times are numbers, as rows that share the tables of others."""
    out = Rows(rows.tables)
    for key, table in out.tables.items():
        out.codes[key] = table.of([event.get(key, ABSENT) for event in events])
    out.ts = np.array([time(event.get("ts")) for event in events], np.int64)
    out.dur = np.array([time(event.get("dur")) for event in events], np.int64)
    out.id = Numbers.of([event.get("id", ABSENT) for event in events])
    out.correlation = Numbers.of([correlation(event) for event in events])
    return out


def correlation(event: Event) -> Any:
    args = event.get("args")
    return args.get("correlation", ABSENT) if isinstance(args, dict) else ABSENT


def kept_whole(events: Iterable[Event], rows: Rows | None = None) -> Rows:
    """Events that are all kept whole; they stay the caller's own."""
    some = list(events)
    out = of_events(some, rows or Rows())
    out.at = np.full(len(some), -1, np.int64)
    out.whole = dict(enumerate(some))
    return out


def joined(parts: Sequence[Rows]) -> Rows:
    """All rows of parts with the same tables, in order."""
    if len(parts) == 1:
        return parts[0]
    out = Rows(parts[0].tables if parts else None)
    if not parts:
        return out
    starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).tolist()
    out.codes = {key: np.concatenate([part.codes[key] for part in parts]) for key in TEXTS}
    for name in ("ts", "dur", "at"):
        setattr(out, name, np.concatenate([getattr(part, name) for part in parts]))
    for name in ("id", "correlation"):
        numbers: list[Numbers] = [getattr(part, name) for part in parts]
        odd = {
            start + at: one
            for start, part in zip(starts, numbers, strict=False)
            for at, one in part.odd.items()
        }
        setattr(out, name, Numbers(np.concatenate([part.values for part in numbers]), odd))
    out.whole = dict(_moved(parts, starts))
    out.changed = set().union(*(part.changed for part in parts))
    return out


def _moved(parts: Sequence[Rows], starts: Sequence[int]) -> Iterator[tuple[int, Event]]:
    for start, part in zip(starts, parts, strict=False):
        for at, event in part.whole.items():
            yield start + at, event
