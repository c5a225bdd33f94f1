"""Rows as the text of events: most of it copied from the file, ids and times as the rows have them.

What `redact` takes out of arguments is looked for once for all arguments that differ in digits
only: no pattern of its tells one digit from another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Raw

from tracekit.trace import redact
from tracekit.trace.perfetto.microseconds import us
from tracekit.trace.perfetto.reading import RAW, Again, One, Reader, exact
from tracekit.trace.perfetto.rows import NONE, TEXTS, Event, Rows
from tracekit.trace.trace import I64

_DIGITS = bytes.maketrans(b"123456789", b"000000000")


class Writer:
    """Encodes the events of rows that a reader made."""

    def __init__(self, reader: Reader, rows: Rows, *, scrub: bool) -> None:
        self.reader, self.rows, self.scrub = reader, rows, scrub
        self._encode: Any = msgspec.json.Encoder(decimal_format="number").encode_lines
        self._kept = np.array(sorted(rows.whole), np.int64)
        self._cut = np.array(sorted(rows.cut), np.int64)
        self._unclean: dict[bytes, bool] = {}  # arguments, digits apart: is something taken out
        # what may differ from the file in all of its events
        self._keys = [key for key in (*TEXTS, "id") if key in rows.changed]
        if reader.names and "name" not in self._keys:
            self._keys.append("name")

    def blocks(self, last: Sequence[Event]) -> Iterator[bytes]:
        """Events with a comma and a new line between them; `last` come at the end as they are."""
        rows = self.rows
        inside = int((rows.at >= 0).sum())  # rows of the file come first
        at = rows.at[:inside]
        start = count = 0
        for piece in self.reader.again():
            events = piece.events
            stop = int(np.searchsorted(at, count + len(events)))
            places = (at[start:stop] - count).tolist()
            some = events if len(places) == len(events) else [events[k] for k in places]
            if some:
                yield self._block(self._adjusted(piece, some, start, stop))
            start, count = stop, count + len(events)
        rest = [rows.onto(rows.whole[row], row) for row in range(inside, len(rows))]
        if rest or last:
            yield self._block([*rest, *last])

    def _block(self, events: Sequence[Any]) -> bytes:
        lines: bytes = self._encode(events)[:-1]
        return lines.replace(b"\n", b",\n")

    def _adjusted(
        self, piece: Again, events: Sequence[Any], start: int, stop: int
    ) -> Sequence[Any]:
        rows = self.rows
        if piece.is_whole:
            out: list[Any] = [
                rows.onto(redact.value(event) if self.scrub else event, row)
                for row, event in zip(range(start, stop), events, strict=True)
            ]
        else:
            out = list(events)
            self._onto(out, start, stop, lengths=not piece.lengths)
            if self.scrub or piece.escapes:
                self._say(out)
        for row in self._among(self._kept, start, stop):
            out[row - start] = rows.onto(rows.whole[row], row)
        return out

    def _among(self, some: I64, start: int, stop: int) -> list[int]:
        """Those of some rows, in order, that lie in a stretch."""
        low, high = np.searchsorted(some, [start, stop])
        found: list[int] = some[low:high].tolist()
        return found

    def _onto(self, events: list[One], start: int, stop: int, *, lengths: bool) -> None:
        """Ids and times of the rows; of lengths only those that are not as in the file."""
        rows = self.rows
        for event, ts in zip(events, _written(rows.ts[start:stop]), strict=True):
            event.ts = Raw(ts)
        some = range(start, stop) if lengths else self._among(self._cut, start, stop)
        for row, length in zip(some, _written(rows.dur[some]), strict=True):
            if rows.dur[row] != NONE:
                events[row - start].dur = Raw(length)
        for key in self._keys:
            if key == "id":
                values = [rows.id.get(row) for row in range(start, stop)]
            else:
                said = rows.tables[key].said
                values = [said[code] for code in rows.codes[key][start:stop].tolist()]
            for event, value in zip(events, values, strict=True):
                setattr(event, key, value)

    def _say(self, events: list[One]) -> None:
        """Arguments as plain text where they have escapes, and without what is taken out."""
        for event in events:
            for key in RAW if self.scrub else ("args",):
                value = getattr(event, key)
                if value is not UNSET:
                    said = self._said(bytes(value), key)
                    if said is not None:
                        setattr(event, key, said[0])

    def _said(self, raw: bytes, key: str) -> tuple[Any] | None:
        """What stands for a value; None where it is copied."""
        if b"\\" in raw:
            value = exact()(raw)
            return (redact.value(value, key) if self.scrub else value,)
        if not self.scrub:
            return None
        alike = raw.translate(_DIGITS)
        unclean = self._unclean.get(alike)
        if unclean is None:
            value = exact()(raw)
            unclean = self._unclean[alike] = redact.value(value, key) != value
        return (redact.value(exact()(raw), key),) if unclean else None


def _written(times: I64) -> list[bytes]:
    """[N] ns as decimal µs with three decimals."""
    if not len(times):
        return []
    times = np.where(times == NONE, 0, times)  # asked for by nobody
    if times.min() < 0:
        return [str(us(one)).encode() for one in times.tolist()]
    both = np.stack(np.divmod(times, 1000), axis=1).ravel().tolist()
    return (b"%d.%03d\n" * len(times) % tuple(both)).splitlines()
