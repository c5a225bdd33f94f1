"""Idle time by class as numbers, and what tables and charts call the classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tracekit.attribution.idle.cause_names import CAUSES, ORDER, Cause
from tracekit.attribution.idle.causes import SUSPECT_NS, Idle
from tracekit.records import Record
from tracekit.results.result import Column
from tracekit.results.units import duration
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import Spans, covered
from tracekit.trace.trace import I64


class By(Record, frozen=True):
    """Idle time by class, in ns. Classes: tracekit/attribution/idle/causes.py."""

    host_sync: int
    host_data: int
    host_allocation: int
    host_initialisation: int
    host_compiled: int
    host_call: int
    host_op: int
    host_outside: int
    launch_call: int
    graph: int
    other_stream: int
    communication: int
    queued: int
    unlinked: int
    after_last: int

    def of(self, causes: Iterable[Cause]) -> int:
        """Of these classes together."""
        return sum(getattr(self, cause.value) for cause in causes)

    def less(self, part: By) -> By:
        """What is left of each class without a part of it."""
        return By(*(getattr(self, c.value) - getattr(part, c.value) for c in ORDER))


SUSPECT = (
    "Time without work in which the next work had been launched more than "
    f"{duration(SUSPECT_NS)} before and nothing in this file ran: the device probably ran work "
    "that the file does not hold (a step that was cut out, another process), waited for another "
    "device, or loaded a kernel for the first time."
)


def suspect_words(suspect_ns: int) -> str:
    """Unaccounted time where a number leaves it out: a clause."""
    return f"{duration(suspect_ns)} unaccounted for and left out: the file probably lacks what ran"


def by_cause(found: Idle, windows: Spans) -> I64:
    """[W, classes] idle ns of each window (windows may overlap) in the order of By."""
    return np.stack([found.ns(cause, windows) for cause in ORDER], axis=1)


def suspect_by_cause(found: Idle, windows: Spans) -> I64:
    """[W, classes] how much of that is suspect."""
    return np.stack([covered(found.suspect_of(cause), windows) for cause in ORDER], axis=1)


def by_group(found: Idle, group: I64, groups: int) -> tuple[I64, I64]:
    """[groups, classes] idle ns of the spans of each group, and how much of that is suspect.

    `group` is [P], of each of `found.spans`; those of `groups` or more are left out.
    """
    wide = len(ORDER)
    key = np.asarray(np.minimum(group, groups) * wide + found.cause, np.int64)
    length = found.spans[:, 1] - found.spans[:, 0]
    suspect = covered(found.suspect, found.spans)
    whole, part = (segments.sums(key, ns, (groups + 1) * wide) for ns in (length, suspect))
    return whole.reshape(-1, wide)[:groups], part.reshape(-1, wide)[:groups]


def by_row(row: I64) -> By:
    """One row of `by_cause`."""
    return By(*map(int, row))


# what charts and tables call the classes, several of which share a colour
SHOWN: dict[str, tuple[Cause, ...]] = {
    "not launched yet": (
        Cause.HOST_SYNC, Cause.HOST_DATA, Cause.HOST_ALLOCATION, Cause.HOST_INITIALISATION,
        Cause.HOST_COMPILED, Cause.HOST_CALL, Cause.HOST_OP, Cause.HOST_OUTSIDE,
    ),
    "in the launch call": (Cause.LAUNCH_CALL,),
    "launched, not begun": (Cause.QUEUED, Cause.GRAPH),
    "another stream": (Cause.OTHER_STREAM,),
    "waiting for communication": (Cause.COMMUNICATION,),
    "unlinked": (Cause.UNLINKED,),
    "nothing more launched": (Cause.AFTER_LAST,),
}  # fmt: skip
NAMES = {
    Cause.HOST_SYNC: "host: blocking sync, .item()",
    Cause.HOST_DATA: "host: loading data",
    Cause.HOST_ALLOCATION: "host: allocating memory",
    Cause.HOST_INITIALISATION: "host: first use, loading modules",
    Cause.HOST_COMPILED: "host: around a compiled graph",
    Cause.HOST_CALL: "host: other runtime call",
    Cause.HOST_OP: "host: in an op",
    Cause.HOST_OUTSIDE: "host: outside any op",
    Cause.LAUNCH_CALL: "in the launch call",
    Cause.GRAPH: "between kernels of a graph",
    Cause.OTHER_STREAM: "waiting for another stream",
    Cause.COMMUNICATION: "after communication",
    Cause.QUEUED: "launched, not begun",
    Cause.UNLINKED: "no launch in the trace",
    Cause.AFTER_LAST: "nothing more launched",
}


def columns(causes: Sequence[Cause]) -> tuple[Column, ...]:
    """A column for each class."""
    return tuple(Column(NAMES[c], "ns", CAUSES[c]) for c in causes)


def used(parts: Sequence[By]) -> list[Cause]:
    """Classes that are anywhere above zero."""
    return [c for c in ORDER if any(part.of([c]) for part in parts)]


def shown(parts: Sequence[By]) -> dict[str, list[int]]:
    """[name][part] for a chart, in the colours of the theme."""
    return {name: [part.of(group) for part in parts] for name, group in SHOWN.items()}


def shown_columns(parts: Sequence[By]) -> tuple[tuple[Column, tuple[Cause, ...]], ...]:
    """Columns for groups of classes that are anywhere above zero, and the classes of each."""
    some = set(used(parts))
    return tuple(
        (Column(name, "ns", " Or: ".join(CAUSES[c] for c in group)), group)
        for name, group in SHOWN.items()
        if some & set(group)
    )
