"""Events that are no slices: names of processes and threads, memory, counters, flows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct, field

from tracekit.trace.columns.numbers import Labels, decimals, indexed, integers, nanoseconds
from tracekit.trace.columns.side_tables import Part

_FLOW = {"s": 0, "t": 1, "f": 2}


class Loose(Struct):
    """What a piece holds beside slices."""

    processes: dict[int, str] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)  # process_labels: "CPU", "GPU 0"
    threads: dict[tuple[int, int], str] = field(default_factory=dict)
    tables: dict[str, Part] = field(default_factory=dict)


def loose(
    events: Sequence[Any], counted: Sequence[Any], labels: Labels, tables: frozenset[str]
) -> Loose | None:
    """Metadata and tables whose rows are no slices; None where times need their text.

    `counted` are the events whose arguments are counters.
    """
    found = Loose()
    for event in events:
        if event.ph != "M" or event.args is None:
            continue
        if event.name == "process_labels" and event.args.labels is not None:
            found.marks[labels.number(event.pid)] = str(event.args.labels)
        elif event.args.name is not None:
            if event.name == "process_name":
                found.processes[labels.number(event.pid)] = str(event.args.name)
            elif event.name == "thread_name":
                at = labels.number(event.pid), labels.number(event.tid)
                found.threads[at] = str(event.args.name)
    for name, maker, some in (
        ("memory", _memory, events),
        ("flows", _flows, events),
        ("counters", _counters, counted),
    ):
        if name in tables:
            part = maker(some, labels)
            if part is None:
                return None
            found.tables[name] = part
    return found


def _timed(events: list[Any]) -> tuple[list[Any], Any] | None:
    """The events with a usable time, and [K] ns."""
    times = nanoseconds([event.ts for event in events])
    if times is None:
        return None
    kept = [event for event, fine in zip(events, times[1].tolist(), strict=True) if fine]
    return kept, times[0][times[1]]


def _is_flow(event: Any) -> bool:
    return type(event.ph) is str and event.ph in _FLOW


def _rows(count: int) -> Any:
    return np.full(count, -1, np.int64)


def _memory(events: Sequence[Any], labels: Labels) -> Part | None:
    timed = _timed(
        [e for e in events if e.name == "[memory]" and e.args is not None and not _is_flow(e)]
    )
    if timed is None:
        return None
    some, ts = timed
    columns: dict[str, Any] = {"ts": ts}
    for column, attribute in (
        ("bytes", "memory_bytes"), ("allocated", "allocated"), ("reserved", "reserved"),
        ("device_type", "device_type"), ("device", "memory_device"), ("address", "address"),
    ):  # fmt: skip
        columns[column] = integers([getattr(e.args, attribute) for e in some])
    columns["bytes"] = integers([e.args.memory_bytes for e in some], 0)
    columns["pid"] = labels.numbers([e.pid for e in some])
    columns["tid"] = labels.numbers([e.tid for e in some])
    return Part(_rows(len(some)), columns)


def _flows(events: Sequence[Any], labels: Labels) -> Part | None:
    timed = _timed([e for e in events if _is_flow(e)])
    if timed is None:
        return None
    some, ts = timed
    cat, cats = indexed([e.cat for e in some])
    columns: dict[str, Any] = {
        "ts": ts,
        "flow": labels.numbers([e.id for e in some]),
        "phase": np.array([_FLOW[e.ph] for e in some], np.int64),
        "pid": labels.numbers([e.pid for e in some]),
        "tid": labels.numbers([e.tid for e in some]),
        "cat": cat,
    }
    return Part(_rows(len(some)), columns, cats)


def _counters(events: Sequence[Any], labels: Labels) -> Part | None:
    """One row for each number among the arguments.

    A `C` event names its counter, and its arguments are series of it; the arguments of a CUPTI
    range (a slice) are counters themselves.
    """
    timed = _timed([e for e in events if isinstance(e.args, dict)])
    if timed is None:
        return None
    rows: list[tuple[int, str, float, int, int]] = []
    for event, ts in zip(timed[0], timed[1].tolist(), strict=True):
        values = decimals(list(event.args.values()))
        known = [(key, v) for key, v in zip(event.args, values.tolist(), strict=True) if v == v]
        for series, value in known:
            name = series
            if event.ph == "C":
                name = str(event.name) if len(known) == 1 else f"{event.name} {series}"
            rows.append((ts, name, value, labels.number(event.pid), int(event.ph != "C")))
    name, names = indexed([row[1] for row in rows])
    columns: dict[str, Any] = {
        "ts": np.array([row[0] for row in rows], np.int64),
        "name": name,
        "value": np.array([row[2] for row in rows], np.float64),
        "pid": np.array([row[3] for row in rows], np.int64),
        "ranged": np.array([row[4] for row in rows], np.int64),
    }
    return Part(_rows(len(rows)), columns, names)
