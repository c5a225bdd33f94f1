"""The text of a piece to event structs: at once where it is JSON, else event by event."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct, field

from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.columns.side_tables import ARGUMENTS, KEPT_AS_TEXT
from tracekit.trace.json.pieces import Piece
from tracekit.trace.json.repair import Repaired, repaired
from tracekit.trace.json.scanning import BOUNDARY, EVENT_START, value_end

_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TRAILING = later(r"trailing characters \(byte (\d+)\)")
_END = later(rb"\][ \t\r\n]*(?:,[ \t\r\n]*\"|\}|$)")
_FIELDS = ("ph", "cat", "name", "pid", "tid", "ts", "dur", "id", "args")
_OVERLAP = 1 << 10  # a boundary is shorter than this
_SMALL = 1 << 15  # a stretch of text that is read event by event

NOT_AN_EVENT = "elements of the list that are no events"
GARBLED = "text that is no event"
CUT = "the file ends in the middle of an event"
UNCLOSED = "the file ends before the list of events does"


class Damage(Struct):
    """One kind of damage in a piece."""

    what: str
    at: int  # offset in the text of the first
    bytes: int = 0
    events: int = 0  # lost
    places: int = 0  # repaired, nothing lost


class Decoded(Struct):
    """The events of a piece."""

    events: Sequence[Any]  # of the struct that `shapes` made
    damage: dict[str, Damage] = field(default_factory=dict)
    end: int | None = None  # offset in the text of the bracket that ends the list
    tail: bytes = b""  # what the piece has from there


class Shapes(Record, frozen=True):
    """What is read of an event: decoders for a list of events and for one of any shape."""

    event: Any
    arguments: Any
    fast: Any  # decodes a list; numbers with a point are floats
    exact: Any  # the same, numbers with a point are text


@cache
def shapes(tables: frozenset[str]) -> Shapes:
    """The least that must be read of each event to fill the columns and these tables."""
    wanted = {"correlation": -1, "device": -1, "stream": -1, "name": None, "labels": None,
              "connection": -1}  # fmt: skip
    names: dict[str, str] = {"connection": "connection_id"}
    fields: list[Any] = [(name, Any, default) for name, default in wanted.items()]
    for table in sorted(tables):
        kind = msgspec.Raw if table in KEPT_AS_TEXT else Any
        for attribute, key in ARGUMENTS.get(table, {}).items():
            if attribute not in wanted:
                wanted[attribute] = None
                names[attribute] = key
                fields.append((attribute, kind, None))
    arguments = msgspec.defstruct("Arguments", fields, gc=False, rename=names)
    event = msgspec.defstruct(
        "Event",
        [
            *((name, Any, None) for name in ("ph", "cat", "name", "pid", "tid", "ts", "dur", "id")),
            ("args", arguments | None, None),
        ],
        gc=False,
    )
    events = list[event]  # type: ignore[valid-type]
    return Shapes(
        event,
        arguments,
        msgspec.json.Decoder(events),
        # msgspec gives the hook the text of every number with a point or an exponent
        msgspec.json.Decoder(events, float_hook=str),
    )


@cache
def counting() -> Shapes:
    """Events with all of their arguments, for the few whose keys are names of counters."""
    names = ("ph", "cat", "name", "pid", "tid", "ts", "dur", "id", "args")
    event = msgspec.defstruct("Counted", [(name, Any, None) for name in names])
    events = list[event]  # type: ignore[valid-type]
    fast, exact = (msgspec.json.Decoder(events, float_hook=hook) for hook in (None, str))
    return Shapes(event, Any, fast, exact)


def decode(piece: Piece, shape: Shapes, exact: bool = False) -> Decoded:
    """The events of a piece. Whatever the text is, what can be kept is, and the rest is counted."""
    found = at_once(piece, shape.exact if exact else shape.fast)
    return _slowly(piece, shape) if found is None else found


def at_once(piece: Piece, decoder: Any) -> Decoded | None:
    """The events of a piece that `decoder` takes as a list; None where it does not."""
    if not piece.last:
        try:
            return Decoded(decoder.decode(b"".join((b"[", piece.text, b"]"))))
        except _MALFORMED:
            return None
    text = b"[" + piece.text
    try:
        events = decoder.decode(text)
        end = len(text.rstrip()) - 1
    except _MALFORMED as fault:
        found = _TRAILING.search(str(fault))
        if found is None:
            return None
        end = text.rindex(b"]", 0, int(found[1]) - 1)
        try:
            events = decoder.decode(memoryview(text)[: end + 1])
        except _MALFORMED:
            return None
        if not _END.match(text, end):
            return None
    return Decoded(events, end=piece.at + end - 1, tail=text[end:])


def closes(tail: bytes) -> bool:
    """Whether the bracket at the start of `tail` ends the list of events."""
    return _END.match(tail) is not None


def _slowly(piece: Piece, shape: Shapes) -> Decoded:
    return _Salvage(piece, shape).run()


class _Salvage:
    """Reads a piece that is not all JSON: halves while that helps, then event by event."""

    def __init__(self, piece: Piece, shape: Shapes) -> None:
        self.piece = piece
        self.shape = shape
        self.text = piece.text
        self.events: list[Any] = []
        self.damage: dict[str, Damage] = {}
        self.end: int | None = None  # in self.text
        self.cut = False

    def run(self) -> Decoded:
        self._stretch(0, len(self.text), self.piece.last)
        end = None if self.end is None else self.piece.at + self.end
        tail = b"" if self.end is None else self.text[self.end :]
        return Decoded(self.events, self.damage, end, tail)

    def _note(self, what: str, at: int, size: int = 0, lost: int = 0, places: int = 0) -> None:
        one = self.damage.setdefault(what, Damage(what, self.piece.at + at))
        one.bytes += size
        one.events += lost
        one.places += places

    def _stretch(self, start: int, stop: int, last: bool) -> None:
        """Events of text[start:stop]. Stretches are done in order; none follows the list's end."""
        work = [(start, stop, last)]
        while work and self.end is None:
            start, stop, last = work.pop()
            if not last:
                try:
                    self.events += self.shape.exact.decode(
                        b"[" + self.text[start:stop].rstrip(b" \t\r\n,") + b"]"
                    )
                    continue
                except _MALFORMED:
                    pass
            cut = self._middle(start, stop) if stop - start > _SMALL else None
            if cut is not None:
                work += [(cut, stop, last), (start, cut, False)]
            elif last or not self._repair_all(start, stop):
                self._one_by_one(start, stop, last)

    def _repair_all(self, start: int, stop: int) -> bool:
        """Whether all of a stretch could be kept by repairing it."""
        one = repaired(self.text[start:stop].rstrip(b" \t\r\n,"))
        try:
            self.events += self.shape.exact.decode(b"[" + one.text + b"]")
        except _MALFORMED:
            return False
        self._note_repairs(one, start)
        return True

    def _middle(self, start: int, stop: int) -> int | None:
        low, high = (start + stop) // 2, stop
        while True:
            found = BOUNDARY.search(self.text, low, high)
            if found:
                return self.text.index(b"{", found.start())
            if low == start:
                return None
            # a hole from the middle on: half of what comes before, and so on
            high, low = min(low + _OVERLAP, stop), start + (low - start) // 2
            low = low if low - start > _OVERLAP else start

    def _one_by_one(self, at: int, stop: int, last: bool) -> None:
        while (at := self._skip(at, stop)) < stop:
            if self.text[at : at + 1] == b"]" and last and self._closes(at):
                self.end = at
                return
            at = self._one(at, stop, last)
        if last and not self.cut:
            self._note(UNCLOSED, len(self.text))

    def _skip(self, at: int, stop: int) -> int:
        while at < stop and self.text[at] in b" \t\r\n,":
            at += 1
        return at

    def _closes(self, at: int) -> bool:
        return _END.match(self.text, at) is not None

    def _one(self, at: int, stop: int, last: bool) -> int:
        """Takes the event at `at`, or gives it up; where the next one may start."""
        end = value_end(self.text, at)
        if end is not None and end > stop:
            end = None
        if end is not None and end > at and self._take(at, end, repair=False):
            return end
        border = BOUNDARY.search(self.text, at, stop)
        limit = border.start() + 1 if border else None
        if limit is None and not last:
            limit = at + len(self.text[at:stop].rstrip(b" \t\r\n,"))
        if limit is not None and limit != end and self._take(at, limit, repair=False):
            return limit
        for candidate in dict.fromkeys(c for c in (limit, end) if c is not None and c > at):
            if self._take(at, candidate, repair=True):
                return candidate
        if border is None and end is None and last and self.text[at : at + 1] == b"{":
            # nothing after it ends: a process that was killed while it wrote
            self._note(CUT, at, len(self.text) - at, lost=1)
            self.cut = True
            return stop
        restart = EVENT_START.search(self.text, at + 1, stop)
        if limit is not None:
            after: int = limit
        elif restart is not None:
            after = restart.start()
        else:
            after = end if end is not None and end > at else stop
        is_object = self.text[at : at + 1] == b"{"
        self._note(GARBLED, at, after - at, lost=1 if is_object else 0)
        return after

    def _take(self, at: int, end: int, repair: bool) -> bool:
        """Whether text[at:end] is an event, as it stands or repaired; if so it is kept."""
        text = self.text[at:end]
        tries = [repaired(text), repaired(text, quotes=True)] if repair else [Repaired(text, {})]
        for one in tries:
            try:
                self.events += self.shape.exact.decode(b"[" + one.text + b"]")
            except msgspec.ValidationError:
                if not self._odd(one.text, at, end - at):
                    continue
            except _MALFORMED:
                continue
            self._note_repairs(one, at)
            return True
        return False

    def _note_repairs(self, one: Repaired, at: int) -> None:
        for what, places in one.what.items():
            self._note(what, at + places.first, places=places.count)

    def _odd(self, text: bytes, at: int, size: int) -> bool:
        """Keeps an event with a field of an unexpected type: what has the wrong type is absent.

        False where the text is no JSON after all, or more than one value.
        """
        try:
            values = msgspec.json.Decoder(float_hook=str).decode(b"[" + text + b"]")
        except _MALFORMED:
            return False
        if len(values) != 1:
            return False
        value = values[0]
        if not isinstance(value, dict):
            self._note(NOT_AN_EVENT, at, size, lost=1)
            return True
        known: dict[str, Any] = {name: value.get(name) for name in _FIELDS}
        if isinstance(known["args"], dict):
            known["args"] = msgspec.json.decode(
                msgspec.json.encode(known["args"]), type=self.shape.arguments
            )
        else:
            known["args"] = None
        self.events.append(self.shape.event(**known))
        return True
