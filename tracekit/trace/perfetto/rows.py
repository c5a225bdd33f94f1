"""Events of a large trace without what they say: of each only what decides where it is drawn.

An event as a dict takes 2 kB; here it takes about 100 bytes. A `Row` is read and written as the
event would be, so that what mends events mends rows too; what they say is read from the file anew
when they are written.
"""

from __future__ import annotations

from array import array
from decimal import Decimal
from typing import Any

from tracekit.trace import redact
from tracekit.trace.perfetto.microseconds import ns, us

Event = dict[str, Any]

_NONE, _ODD = -(1 << 63), -(1 << 63) + 1  # no such key; a value that is no such number
_ABSENT = object()
NUMBERS = (int, float, Decimal)


class _Numbers:
    """Mostly integers of 64 bits."""

    def __init__(self) -> None:
        self.values = array("q")
        self.odd: dict[int, Any] = {}

    def add(self, value: Any) -> None:
        self.values.append(_NONE)
        if value is not _ABSENT:
            self.put(len(self.values) - 1, value)

    def put(self, at: int, value: Any) -> None:
        if type(value) is int and _ODD < value < 1 << 63:
            self.values[at] = value
        else:
            self.values[at] = _ODD
            self.odd[at] = value

    def get(self, at: int, default: Any) -> Any:
        value = self.values[at]
        if value > _ODD:
            return value
        return default if value == _NONE else self.odd[at]

    def scrub(self, key: str) -> None:
        self.odd = {at: redact.value(value, key) for at, value in self.odd.items()}


class _Times(_Numbers):
    """µs, kept as whole ns."""

    def put(self, at: int, value: Any) -> None:
        self.values[at] = ns(value)

    def get(self, at: int, default: Any) -> Decimal | Any:
        value = self.values[at]
        return default if value == _NONE else us(value)


class _Texts:
    """Texts of which there are few."""

    def __init__(self) -> None:
        self.codes = array("i")
        self.number: dict[Any, int] = {_ABSENT: 0}
        self.said: list[Any] = [_ABSENT]

    def add(self, value: Any) -> None:
        code = self.number.setdefault(value, len(self.said))
        if code == len(self.said):
            self.said.append(value)
        self.codes.append(code)

    def get(self, at: int, default: Any) -> Any:
        value = self.said[self.codes[at]]
        return default if value is _ABSENT else value

    def scrub(self, key: str) -> None:
        self.said = [one if one is _ABSENT else redact.value(one, key) for one in self.said]


def time_of(event: Item, key: str) -> int | None:
    """`ts` or `dur` in ns; None where there is none that is a number."""
    if type(event) is Row:
        value = event.rows.numbers[key].values[event.at]
        return None if value == _NONE else value
    found = event.get(key)
    return ns(found) if isinstance(found, NUMBERS) else None


def set_time(event: Item, key: str, nanoseconds: int) -> None:
    """`ts` or `dur`."""
    if type(event) is Row:
        event.rows.numbers[key].values[event.at] = nanoseconds
    else:
        event[key] = us(nanoseconds)


class Rows:
    """Columns of events, in the order of the file."""

    def __init__(self) -> None:
        self.texts = {key: _Texts() for key in ("ph", "cat", "name")}
        self.numbers: dict[str, _Numbers] = {
            "pid": _Numbers(), "tid": _Numbers(), "id": _Numbers(), "ts": _Times(), "dur": _Times(),
        }  # fmt: skip
        self.columns: dict[str, _Texts | _Numbers] = {**self.texts, **self.numbers}
        self.correlation = _Numbers()

    def add(self, event: Event) -> Row:
        """The next event, whose times are numbers."""
        row = Row(self, len(self.correlation.values))
        for key, column in self.columns.items():
            column.add(event.get(key, _ABSENT))
        self.correlation.add((event.get("args") or {}).get("correlation", _ABSENT))
        return row

    def scrub(self) -> None:
        """As `redact.value` of each event."""
        for key, column in self.columns.items():
            column.scrub(key)
        self.correlation.scrub("correlation")


class Row:
    """One event, as far as it is known here."""

    __slots__ = ("at", "rows")

    def __init__(self, rows: Rows, at: int) -> None:
        self.rows = rows
        self.at = at

    def get(self, key: str, default: Any = None) -> Any:
        if key == "args":
            found = self.rows.correlation.get(self.at, _ABSENT)
            return default if found is _ABSENT else {"correlation": found}
        column = self.rows.columns.get(key)
        return default if column is None else column.get(self.at, default)

    def __getitem__(self, key: str) -> Any:
        found = self.get(key, _ABSENT)
        if found is _ABSENT:
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key, _ABSENT) is not _ABSENT

    def __setitem__(self, key: str, value: Any) -> None:
        self.rows.numbers[key].put(self.at, value)

    def onto(self, event: Event) -> Event:
        """The event as it was read, with the ids and times of the row."""
        for key, column in self.rows.numbers.items():
            value = column.get(self.at, _ABSENT)
            if value is not _ABSENT:
                event[key] = value
        return event


Item = Event | Row
