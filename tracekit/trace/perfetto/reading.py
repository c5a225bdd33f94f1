"""Events of a file as rows, and once more as text: pieces at once where they are as usual.

A piece of which every event is sound and of the usual types is decoded to few fields, and its
arguments are copied as text. Any other piece is read event by event, each as a dict, and mended
where it can be. Both ways give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw, UnsetType

from tracekit.errors import TracekitError
from tracekit.trace.columns import documents
from tracekit.trace.columns.numbers import FARTHEST_NS
from tracekit.trace.perfetto import normalize
from tracekit.trace.perfetto.microseconds import ns
from tracekit.trace.perfetto.rows import (
    NONE,
    Event,
    Numbers,
    Rows,
    joined,
    kept_whole,
    of_events,
    time,
)
from tracekit.trace.trace import I64

_WIDEST = 20  # characters of a time that fits in 64 bits of ns
_COMMA, _POINT, _ZERO = 44, 46, 48
_PAIR = {"B", "E"}
_COMPARED = {int, type(None), UnsetType}  # correlations that are as they are read
_FARTHEST = FARTHEST_NS // 1000 * 1000  # as normalize has it

Key = int | str | None | UnsetType
Text = Raw | UnsetType


class _Arguments(msgspec.Struct, gc=False):
    correlation: Any = UNSET


class _Rest(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """What an event may have beside what decides where it is drawn."""

    s: Text = UNSET
    bp: Text = UNSET
    cname: Text = UNSET
    sf: Text = UNSET
    stack: Text = UNSET
    tts: Text = UNSET
    tdur: Text = UNSET
    id2: Text = UNSET
    scope: Text = UNSET
    bind_id: Text = UNSET


class _Known(_Rest, gc=False, forbid_unknown_fields=True):
    """An event of the usual types."""

    ph: str | UnsetType | None = UNSET
    cat: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    pid: Key = UNSET
    tid: Key = UNSET
    ts: Any = UNSET  # a number with a point is bytes
    dur: Any = UNSET
    id: Key = UNSET
    args: _Arguments | UnsetType = UNSET


class One(_Rest, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """An event to be written; what is not set anew is copied as it stands."""

    ph: str | UnsetType | None = UNSET
    cat: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    pid: Text = UNSET
    tid: Text = UNSET
    ts: Text = UNSET
    dur: Text = UNSET
    id: Text = UNSET
    args: Text = UNSET


RAW = (*_Rest.__struct_fields__, "args")
_DECODED = {"ph", "cat", "name"}


@cache
def _decoders() -> tuple[Any, Any]:
    return (
        # bytes: a number in quotes is text
        msgspec.json.Decoder(list[_Known], float_hook=str.encode),
        msgspec.json.Decoder(list[One]),
    )


@cache
def exact() -> Any:
    """Decodes any JSON, decimals as they were written."""
    return msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True)
class Again:
    """The events of a piece, to be written."""

    events: Sequence[Any]  # One each, or a dict
    is_whole: bool  # dicts
    lengths: bool  # whether these are as they are to be written
    escapes: bool  # whether a text may have some


class Reader:
    """The events of a file, as rows, and then again for those who write them."""

    def __init__(self) -> None:
        self.each = normalize.Each()
        self.rows = Rows()
        self.names: dict[Any, Any] = {}  # those with control characters, as they are shown
        self._names: set[Any] = set()
        self._stored = ""  # where the file can be read again
        # by piece: None where it is not as usual, else whether lengths are as they are written
        self._quick: list[bool | None] = []

    def read(self, source: str | Path, about: documents.About) -> Rows:
        """All events but those left out; what is of no slice, and pairs of `B` and `E`, whole.

        Raises: as `documents.parts`.
        """
        found: list[Rows] = []
        count = 0
        for part in documents.parts(source, about):
            rows = self.at_once(part)
            if rows is None:
                self._quick.append(None)
                rows = self._slowly(part)
            rows.at = np.arange(count, count + len(rows))
            count += len(rows)
            found.append(rows)
        self._stored = about.stored
        self.rows = joined([*found, kept_whole(self.each.pairs(), self.rows)])
        return self.rows

    def again(self) -> Iterator[Again]:
        """Piece by piece the events once more, as many as `read` made rows of it.

        Raises: TracekitError where the file is not what it was.
        """
        each = normalize.Each()
        for part, quick in zip(
            documents.parts(self._stored, documents.About()), self._quick, strict=False
        ):
            text = part.text
            # no text of a sound piece holds a line break
            events = _sound(part, each) if quick is None else part.by(_decoders()[1], b"\n")
            if events is None:
                raise TracekitError(
                    "has changed while it was read", where=self._stored, hint="run it again"
                )
            yield Again(events, is_whole=quick is None, lengths=bool(quick), escapes=b"\\" in text)

    def _slowly(self, part: documents.Part) -> Rows:
        events = _sound(part, self.each)
        rows = of_events(events, self.rows)
        rows.whole = {at: one for at, one in enumerate(events) if one.get("ph") == "M"}
        return rows

    def at_once(self, part: documents.Part) -> Rows | None:
        """The rows of a piece; None where an event is not sound, or of no usual type."""
        if not part.text.isascii():
            try:
                part.text.decode()  # of what is copied, msgspec looks at the structure only
            except UnicodeDecodeError:
                return None
        events: Sequence[_Known] | None = part.by(_decoders()[0])
        if events is None:
            return None
        phases = [one.ph for one in events]
        ts, dur = [one.ts for one in events], [one.dur for one in events]
        about = [at for at, phase in enumerate(phases) if phase == "M"]
        for at in about:  # what names something needs no time
            ts[at], dur[at] = b"0.000", UNSET
        correlations = [one.args and one.args.correlation for one in events]
        starts, lengths = _times(ts), _lengths(dur, phases)
        if (
            not _PAIR.isdisjoint(phases)
            or starts is None
            or lengths is None
            or not _COMPARED.issuperset(map(type, correlations))
        ):
            return None
        whole = self._named(part, about)
        if whole is None:
            return None
        self._quick.append(lengths.plain)
        rows = Rows(self.rows.tables)
        rows.ts, rows.dur = starts.ns, lengths.ns
        for at, event in whole.items():
            rows.whole[at] = event
            rows.ts[at], rows.dur[at] = time(event.get("ts")), time(event.get("dur"))
        columns: dict[str, list[Any]] = {
            "ph": phases,
            "cat": [one.cat for one in events],
            "name": self._shown([one.name for one in events], about),
            "pid": [one.pid for one in events],
            "tid": [one.tid for one in events],
        }
        rows.codes = {key: rows.tables[key].of(values) for key, values in columns.items()}
        rows.id = Numbers.of([one.id for one in events])
        rows.correlation = Numbers.of(correlations)
        return rows

    def _named(self, part: documents.Part, about: Sequence[int]) -> dict[int, Event] | None:
        """The events that name something, whole."""
        if not about:
            return {}
        events: Sequence[One] | None = part.by(_decoders()[1])
        if events is None:
            return None
        found = {at: self.each.take(_event(events[at])) for at in about}
        return {at: event for at, event in found.items() if event is not None}

    def _shown(self, names: list[Any], about: Sequence[int]) -> list[Any]:
        """Names without control characters."""
        for name in set(names) - self._names:
            self._names.add(name)
            if isinstance(name, str) and (shown := normalize.readable(name)) != name:
                self.names[name] = shown
        if self.names.keys().isdisjoint(names):
            return names
        counted = {*about}  # these were, when they were taken whole
        times = sum(name in self.names for at, name in enumerate(names) if at not in counted)
        self.each.note_readable(times)
        return [self.names.get(name, name) for name in names]


def _sound(part: documents.Part, each: normalize.Each) -> list[Event]:
    return [one for event in part.whole() if (one := each.take(event)) is not None]


def _event(one: One) -> Event:
    """The event as a dict, every value as it was written."""
    found: Event = {}
    for key in One.__struct_fields__:
        value = getattr(one, key)
        if value is not UNSET:
            found[key] = value if key in _DECODED else exact()(value)
    return found


@dataclass(frozen=True, slots=True)
class _Times:
    ns: I64
    plain: bool  # whether all were written with three decimals


def _lengths(given: Sequence[Any], phases: Sequence[Any]) -> _Times | None:
    """[N] ns, NONE where an event has no length; None where a slice has none."""
    some = [value for value in given if value is not UNSET]
    times = _times(some)
    if times is None or (times.ns < 0).any():
        return None
    if len(some) == len(given):
        return times
    if any(value is UNSET and phase == "X" for value, phase in zip(given, phases, strict=True)):
        return None
    found = np.full(len(given), NONE)
    found[[value is not UNSET for value in given]] = times.ns
    return _Times(found, times.plain)


def _times(given: Sequence[Any]) -> _Times | None:
    """[N] exact ns of decimal µs; None where one is no number."""
    quick = _three_decimals(given)
    if quick is not None:
        return _Times(quick, plain=True)
    found = []
    for value in given:
        number = normalize.number(value.decode() if isinstance(value, bytes) else value)
        if number is None:
            return None
        found.append(ns(number))
    return _Times(np.array(found, np.int64), plain=False)


def _three_decimals(given: Sequence[Any]) -> I64 | None:
    """The same of numbers as Kineto writes them; None where one is otherwise."""
    if not given:
        return np.empty(0, np.int64)
    try:
        text = b",".join(given)
    except TypeError:
        return None
    raw = np.frombuffer(text + b",", np.uint8)
    commas = np.flatnonzero(raw == _COMMA)
    width = np.diff(commas, prepend=-1) - 1
    others = int(((raw - _ZERO) > 9).sum())  # unsigned: what is below wraps round
    if width.min() < 5 or width.max() > _WIDEST or others != 2 * len(given):
        return None
    if not (raw[commas - 4] == _POINT).all():
        return None
    found = np.fromstring(text.replace(b".", b"").decode(), np.int64, sep=",")
    return found if found.max() <= _FARTHEST else None
