"""Single gaps: the longest with the work on either side, and what the host did meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle.by_cause import By, by_cause, by_row
from tracekit.attribution.idle.cause_names import HOST_SIDE, ORDER, Cause
from tracekit.attribution.idle.causes import Idle, idle, launch_thread
from tracekit.attribution.idle.host_stack import innermost_call
from tracekit.attribution.stages.instances import innermost, markers
from tracekit.errors import MissingEventsError
from tracekit.records import Record
from tracekit.trace.spans import detail, segments
from tracekit.trace.spans.intervals import Spans, covered
from tracekit.trace.trace import I64, Trace

MOST = 50


class Gap(Record, frozen=True):
    """One of the longest gaps, on all devices together."""

    trace: str
    start_ns: int
    ns: int
    cause: str  # the class with the largest part of it
    causes: By
    before: str | None  # the work that ended last; None before the first
    before_op: str | None
    after: str | None
    after_op: str | None
    stage: str | None  # in which `after` was launched
    returned_ns: int | None  # how long before its start the launch of `after` had returned
    suspect: bool
    rank: str | None = None  # of a file of several; None where it holds one process


class HostCall(Record, frozen=True):
    """What the launching threads did in host-side idle time: the innermost op or call."""

    cause: str
    name: str
    ns: int


def inner_gaps(found: Idle) -> I64:
    """Rows of the gaps between two activities."""
    return np.flatnonzero((found.opener >= 0) & (found.closer >= 0))


def longest(trace: Trace, pattern: str | None) -> tuple[Gap, ...]:
    found = idle(trace)
    inner = inner_gaps(found)
    length = found.gaps[:, 1] - found.gaps[:, 0]
    chosen = inner[detail.longest(length[inner], MOST)]
    parts = by_cause(found, found.gaps[chosen])
    gpu, op, ops = links.work(trace), links.op_row(trace), links.ops(trace)
    stage = _stage_names(trace, pattern, found.closer[chosen])

    def names(row: int) -> tuple[str, str | None]:
        return gpu.text(row), ops.text(int(op[row])) if op[row] >= 0 else None

    rows = []
    for gap, causes, launcher in zip(chosen.tolist(), parts, stage, strict=True):
        before, after = names(int(found.opener[gap])), names(int(found.closer[gap]))
        start, end = map(int, found.gaps[gap])
        launched = int(links.launch_end(trace)[found.closer[gap]])
        linked = links.launch_row(trace)[found.closer[gap]] >= 0
        rows.append(
            Gap(
                trace.path, start, end - start, ORDER[int(causes.argmax())].value, by_row(causes),
                *before, *after, launcher,
                end - launched if linked else None,
                bool(covered(found.suspect, found.gaps[gap : gap + 1])[0]),
            )
        )  # fmt: skip
    return tuple(rows)


def _stage_names(trace: Trace, pattern: str | None, rows: I64) -> list[str | None]:
    """The stage instance that launched each of these rows of `work`."""
    try:
        marks = markers(trace, pattern)
    except MissingEventsError:
        return [None] * len(rows)
    at = innermost(trace, pattern)[rows].tolist()
    return [marks.name[i] if i >= 0 else None for i in at]


def host_calls(trace: Trace) -> tuple[HostCall, ...]:
    """Innermost op or call of the launching thread in host-side idle time between activities."""
    found = idle(trace)
    inner = np.isin(found.gap, inner_gaps(found))
    host = np.isin(found.cause, [ORDER.index(c) for c in HOST_SIDE - {Cause.HOST_OUTSIDE}])
    pick = np.flatnonzero(inner & host)
    thread = launch_thread(trace)[found.closer[found.gap[pick]]]
    time: Counter[tuple[str, str]] = Counter()
    for number in segments.sorted_unique(thread).tolist():
        own = pick[thread == number]
        pieces, row = innermost_call(trace, number, found.spans[own])
        at = own[np.searchsorted(found.spans[own, 0], pieces[:, 0], side="right") - 1]
        for cause, name, ns in _summed(found.cause[at], trace.name[row], pieces):
            time[ORDER[cause].value, trace.strings[name]] += ns
    return sorted_calls(time)


def _summed(cause: Any, name: Any, pieces: Spans) -> Iterable[tuple[int, int, int]]:
    keys, inverse = segments.distinct(np.stack([cause, name], axis=1).astype(np.int64))
    ns = segments.sums(inverse, pieces[:, 1] - pieces[:, 0], len(keys))
    return ((int(k[0]), int(k[1]), int(n)) for k, n in zip(keys, ns, strict=True))


def sorted_calls(time: Counter[tuple[str, str]]) -> tuple[HostCall, ...]:
    rows = [HostCall(cause, name, ns) for (cause, name), ns in time.items()]
    return tuple(sorted(rows, key=lambda r: (-r.ns, r.cause, r.name)))
