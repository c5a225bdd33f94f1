"""Events of foreign traces in the form that every viewer takes.

Pairs of `B` and `E` become whole slices, times become numbers, ids that mean two things get numbers
of their own, control characters in names become visible. What has no time or no length cannot be
drawn; it is left out and counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from tracekit.patterns import later
from tracekit.trace.columns.numbers import FARTHEST_NS
from tracekit.trace.perfetto.rows import ABSENT, FLOWS, NONE, Event, Rows, kept_whole
from tracekit.trace.trace import I64

_FARTHEST_US = FARTHEST_NS // 1000  # as the reader has it
_MOST_DIGITS = 20  # of a time in µs: more than that has
_IDS, _TEXTS = {int, str, type(None)}, {str, type(None)}  # as JSON gives them
_READABLE = "names with control characters made readable"
_CONTROLS = later(r"[\x00-\x09\x0b-\x1f\x7f]")


@dataclass(slots=True)
class Normalized:
    """Sound events, and what was done to make them so; counts are absent where nothing was."""

    events: list[Event]
    done: Counter[str] = field(default_factory=Counter)  # in words: how many


def normalize(events: Iterable[Any]) -> Normalized:
    """Copies of the events that can be drawn, with `ts` and `dur` as int or Decimal µs."""
    each = Each()
    found = [one for event in events if (one := each.take(event)) is not None] + each.pairs()
    rows = kept_whole(found)
    done = each.done + together(rows)
    for row, event in rows.whole.items():
        for key in rows.changed:
            value = rows.id.get(row) if key == "id" else rows.said(key, row)
            if key in event:
                event[key] = value
    return Normalized(found, done)


class Each:
    """Mends events one by one; pairs of `B` and `E` come when all were seen."""

    def __init__(self) -> None:
        self._pairing: Counter[str] = Counter()
        self._typing: Counter[str] = Counter()
        self._pending: list[tuple[int | Decimal, bool, Event]] = []

    def take(self, event: Any) -> Event | None:
        """A sound copy; None for what is left out, or half of a pair."""
        if not isinstance(event, dict):
            self._pairing["entries that are no events left out"] += 1
        elif event.get("ph") in ("B", "E"):
            at = number(event.get("ts"))
            if at is None:
                self._pairing["events without a time left out"] += 1
            else:
                # E before B at one instant: one slice ends where the next begins
                self._pending.append((at, event["ph"] == "B", event))
        else:
            return _sound(event, self._typing)
        return None

    def pairs(self) -> list[Event]:
        """Each `B` and its `E` as one `X`, by when they end."""
        made = _paired(self._pending, self._pairing)
        return [one for event in made if (one := _sound(event, self._typing)) is not None]

    def note_readable(self, times: int) -> None:
        """Notes that so many events have a name that `readable` changed."""
        self._typing[_READABLE] += times

    @property
    def done(self) -> Counter[str]:
        """In words: how many."""
        return Counter({**self._pairing, **(self._pairing + self._typing)})


def together(rows: Rows) -> Counter[str]:
    """Mends what can be mended only of all events, ids that mean two things; in words: how many."""
    done: Counter[str] = Counter()
    _separate_processes(rows, done)
    _renumber_flows(rows, done)
    return done


def _sound(event: Event, done: Counter[str]) -> Event | None:
    """A copy that can be drawn; None for what cannot."""
    whole = _typed(event, done)
    start = number(event.get("ts"))
    if start is not None:
        whole["ts"] = start
    elif event.get("ph") != "M":
        done["events without a time left out"] += 1
        return None
    else:
        whole.pop("ts", None)
    length = number(event.get("dur"))
    if event.get("ph") == "X" and (length is None or length < 0):
        done["slices without a length left out"] += 1
        return None
    if length is not None:
        whole["dur"] = length
    else:
        whole.pop("dur", None)
    _name(whole, done)
    return whole


def _typed(event: Event, done: Counter[str]) -> Event:
    """A copy whose ids can be compared, and whose arguments are an object."""
    whole = dict(event)
    for key in ("pid", "tid", "id"):
        if type(whole.get(key)) not in _IDS:
            whole[key] = _id(whole[key])
            done["ids that are neither number nor text written as text"] += 1
    for key in ("cat", "ph"):
        if type(whole.get(key)) not in _TEXTS:
            whole[key] = str(whole[key])
    args = whole.get("args")
    if args is None:
        return whole
    if not isinstance(args, dict):
        del whole["args"]
        done["arguments that are no object left out"] += 1
    elif isinstance(args.get("correlation"), (list, dict)):
        whole["args"] = {k: v for k, v in args.items() if k != "correlation"}
        done["correlations that are no number left out"] += 1
    return whole


def _id(value: Any) -> int | str:
    """As the reader takes it: a whole number is one, all else its text."""
    exact = number(value)
    return int(exact) if exact is not None and exact == int(exact) else str(value)


def number(value: Any) -> int | Decimal | None:
    """A time as it was written, or None for what is no finite number, or lies beyond all traces."""
    if type(value) is int:
        return value if abs(value) <= _FARTHEST_US else None
    if not isinstance(value, (str, Decimal, float)):
        return None
    try:
        exact = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    except InvalidOperation:
        return None
    # by its exponent first: arithmetic on 1e99999999 overflows
    if not exact.is_finite() or exact.adjusted() > _MOST_DIGITS:
        return None
    return exact if abs(exact) <= _FARTHEST_US else None


def _paired(pending: list[tuple[int | Decimal, bool, Event]], done: Counter[str]) -> list[Event]:
    out: list[Event] = []
    pending.sort(key=lambda item: item[:2])
    open_: defaultdict[Hashable, list[tuple[int | Decimal, Event]]] = defaultdict(list)
    for at, begins, event in pending:
        stack = open_[str(event.get("pid")), str(event.get("tid"))]
        if begins:
            stack.append((at, event))
        elif stack:
            start, begin = stack.pop()
            args = {**(event.get("args") or {}), **(begin.get("args") or {})}
            out.append({**begin, "ph": "X", "dur": at - start, "args": args})
        else:
            done["ends without a begin left out"] += 1
    unclosed = sum(map(len, open_.values()))
    if unclosed:
        done["begins without an end left out"] += unclosed
    return out


def _name(event: Event, done: Counter[str]) -> None:
    name = event.get("name")
    if name is None:
        return
    if not isinstance(name, str):
        name = event["name"] = str(name)
    if _CONTROLS.search(name):
        event["name"] = readable(name)
        done[_READABLE] += 1


def readable(name: str) -> str:
    """A name with control characters as Unicode's pictures of them."""
    return _CONTROLS.sub(
        lambda c: "\N{SYMBOL FOR DELETE}" if c[0] == "\x7f" else chr(0x2400 + ord(c[0])), name
    )


def _separate_processes(rows: Rows, done: Counter[str]) -> None:
    """Process ids that Perfetto takes for one (low 32 bits, negative as 0) are told apart."""
    table, codes = rows.tables["pid"], rows.codes["pid"]
    taken: dict[int, int] = {}
    new = np.arange(len(table.said), dtype=np.int32)
    for row in np.sort(np.unique(codes, return_index=True)[1]).tolist():
        code = int(codes[row])
        pid = table.said[code]
        if isinstance(pid, int) and (free := _free(taken, pid)) != pid:
            new[code] = table.code(free)
            done["process ids that fall together renumbered"] += 1
            rows.changed.add("pid")
    rows.codes["pid"] = new[codes]


def _free(taken: dict[int, int], pid: int) -> int:
    if taken.setdefault(max(pid, 0) & 0xFFFFFFFF, pid) == pid:
        return pid
    free = next(n for n in range(1 << 20, 1 << 31) if n not in taken)
    taken[free] = pid
    return free


def _renumber_flows(rows: Rows, done: Counter[str]) -> None:
    """Flow ids that start twice: each start keeps the ends up to the next start."""
    some = np.flatnonzero(rows.is_(*FLOWS))
    if not _repeated(rows, np.flatnonzero(rows.is_("s"))):
        return
    flows: defaultdict[Hashable, list[int]] = defaultdict(list)
    for row in some.tolist():
        number = rows.id.get(row)
        if number is not ABSENT:
            flows[rows.said("cat", row), rows.said("name", row), str(number)].append(row)
    fresh = 1 << 40
    for own in flows.values():
        phases = {row: rows.said("ph", row) for row in own}
        starts = sum(phase == "s" for phase in phases.values())
        if starts < 2:
            continue
        own.sort(key=lambda row: (rows.ts[row], "stf".index(phases[row])))
        seen = 0
        for row in own:
            seen += phases[row] == "s"
            if seen > 1:
                rows.id.put(row, fresh + seen)
        fresh += starts + 1
        rows.changed.add("id")
        done["flow ids used twice renumbered"] += starts - 1


def _repeated(rows: Rows, starts: I64) -> bool:
    """Whether two of these flows may have one id."""
    if rows.id.odd:
        return True
    keys = rows.id.values[starts], rows.codes["name"][starts], rows.codes["cat"][starts]
    order = np.lexsort(keys)
    number = keys[0][order]
    same = (number[1:] == number[:-1]) & (number[1:] != NONE)
    for key in keys[1:]:
        same &= np.diff(key[order]) == 0
    return bool(same.any())
