"""Time by what it was spent on, each nanosecond once: kernels by category, copies, fills, idleness.

Where several categories run at once the first of `ORDER` counts: communication only where no other
kernel runs, a copy only where no kernel does, a fill only where neither does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle import cause_names, causes
from tracekit.attribution.idle.busy import busy
from tracekit.attribution.idle.by_cause import by_cause, suspect_by_cause
from tracekit.attribution.idle.host_time import host_split, kinds
from tracekit.attribution.kernels.categories import CATEGORIES, classify
from tracekit.records import Record
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import EMPTY, Spans, covered, subtract, union_of
from tracekit.trace.trace import I64, Cat, Mask, Trace

LAST = (Category.COMMUNICATION, Category.MEMCPY, Category.MEMSET)
KERNELS = tuple(c for c in CATEGORIES if c not in LAST)
ORDER = (*KERNELS, *LAST)


class Spent(Record, frozen=True):
    """Where a span of time went; in ns. The parts add up to it.

    On a trace with GPU work `kernel` to `idle` are known, else `host` is.
    """

    kernel: Mapping[str, int] | None  # by category, those above zero; no communication
    communication_ns: int | None  # that no other kernel covers
    memcpy_ns: int | None
    memset_ns: int | None
    other_ns: int | None  # work that was launched elsewhere; None where work is taken by clock
    idle: Mapping[str, int] | None  # by class, those above zero
    suspect_ns: int | None  # of idle: the device probably ran work that the file lacks
    suspect: Mapping[str, int] | None  # the classes of idle that it is in, those above zero
    host: Mapping[str, int] | None  # op_ns, copy_ns, other_ns of the marker's thread
    ops: Mapping[str, int] | None  # op_ns by category of the innermost op, those above zero

    @property
    def parts(self) -> dict[str, int]:
        """All parts that add up, by the names that charts and tables use."""
        if self.host is not None:
            named = {"copy": self.host["copy_ns"], "outside ops": self.host["other_ns"]}
            return {**(self.ops or {"op": self.host["op_ns"]}), **named}
        flat = {
            **(self.kernel or {}),
            Category.COMMUNICATION.value: self.communication_ns or 0,
            Category.MEMCPY.value: self.memcpy_ns or 0,
            Category.MEMSET.value: self.memset_ns or 0,
            "busy with other stages": self.other_ns or 0,
        }
        for cause, ns in (self.idle or {}).items():
            flat[IDLE + cause] = ns
        return {name: ns for name, ns in flat.items() if ns}

    @property
    def total_ns(self) -> int:
        """What the parts add up to."""
        return sum(self.parts.values())


IDLE = "idle: "


def by_clock(trace: Trace, pid: I64, tid: I64, windows: Spans) -> list[Spent]:
    """What happened during each window, of any origin; on the host's thread without GPU work.

    Windows may overlap; each must lie within the trace.
    """
    wall = windows[:, 1] - windows[:, 0]
    if not len(links.work(trace)):
        op, copy, other, *_ = host_split(trace, pid, tid, windows[:, 0], windows[:, 1])
        columns = zip(op.tolist(), copy.tolist(), other.tolist(), strict=True)
        ops = _ops(trace, pid, tid, windows)
        rows = [_host(*row, kinds) for row, kinds in zip(columns, ops, strict=True)]
        return _checked(rows, wall)
    flat = category_spans(trace)
    work = np.stack([covered(flat[c], windows) for c in ORDER], axis=1)
    return _checked(_rows(trace, work, None, windows), wall)


def by_launch(trace: Trace, pairs: tuple[I64, I64], groups: int) -> tuple[Spans, list[Spent]]:
    """[groups] the window of the work that each group launched, and what happened in it.

    `pairs` are (group, row of `links.work`); the window runs from its first start to last end.
    """
    group, row = pairs
    gpu = links.work(trace)
    start, end = gpu.ts[row], gpu.end[row]
    place = _places(trace)[row]
    reached = np.zeros(groups, np.int64)
    work = np.zeros((groups, len(ORDER)), np.int64)
    for i in range(len(ORDER)):
        keep = place <= i
        if (place == i).any():
            now = segments.union_ns(group, start, end, groups, keep)
            work[:, i] = now - reached
            reached = now
    windows = np.stack(segments.bounds(group, start, end, groups), axis=1)
    other = covered(busy(trace).busy, windows) - reached
    rows = _rows(trace, work, other, windows)
    return windows, _checked(rows, windows[:, 1] - windows[:, 0])


def _places(trace: Trace) -> I64:
    """[G] the place in ORDER of each row of `work`."""
    place = np.array([ORDER.index(category) for category in CATEGORIES], np.int64)
    found = place[classify(trace).category]
    # what the trace files as a copy or a fill is one, whatever else is known of it
    gpu = links.work(trace)
    found[gpu.is_(Cat.MEMCPY)] = ORDER.index(Category.MEMCPY)
    found[gpu.is_(Cat.MEMSET)] = ORDER.index(Category.MEMSET)
    return np.asarray(found, np.int64)


def category_spans(trace: Trace) -> Mapping[Category, Spans]:
    """Flat spans of each category, disjoint, that together are the busy time of all devices."""

    def make() -> dict[Category, Spans]:
        gpu, place = links.work(trace), _places(trace)
        done, so_far, found = EMPTY, np.zeros(len(gpu), bool), {}

        def flat(rows: Mask) -> Spans:
            return union_of(gpu.ts, gpu.end, rows)

        for i, category in enumerate(ORDER):
            found[category] = subtract(flat(place == i), done)
            so_far |= place == i
            done = flat(so_far)
        return found

    return trace.once("category spans", make)


def _rows(trace: Trace, work: I64, other: I64 | None, windows: Spans) -> list[Spent]:
    found = causes.idle(trace)
    idle, suspect = by_cause(found, windows), suspect_by_cause(found, windows)
    rows = []
    for i, parts in enumerate(work.tolist()):
        spent = dict(zip(ORDER, parts, strict=True))
        waits, lost = (
            {cause.value: ns for cause, ns in zip(cause_names.ORDER, row, strict=True) if ns}
            for row in (idle[i].tolist(), suspect[i].tolist())
        )
        rows.append(
            Spent(
                kernel={c.value: spent[c] for c in KERNELS if spent[c]},
                communication_ns=spent[Category.COMMUNICATION],
                memcpy_ns=spent[Category.MEMCPY],
                memset_ns=spent[Category.MEMSET],
                other_ns=None if other is None else int(other[i]),
                idle=waits,
                suspect_ns=sum(lost.values()),
                suspect=lost,
                host=None,
                ops=None,
            )
        )
    return rows


def _host(op: int, copy: int, other: int, ops: Mapping[str, int]) -> Spent:
    host = {"op_ns": op, "copy_ns": copy, "other_ns": other}
    return Spent(None, None, None, None, None, None, None, None, host, ops)


def _ops(trace: Trace, pid: I64, tid: I64, windows: Spans) -> list[dict[str, int]]:
    out: list[dict[str, int]] = [{} for _ in windows]
    owners = np.stack([pid, tid], axis=1)
    for process, thread in np.unique(owners, axis=0).tolist():
        rows = np.flatnonzero((owners == (process, thread)).all(axis=1))
        for kind, ns in kinds(trace, process, thread, windows[rows]).items():
            for row, time in zip(rows.tolist(), ns.tolist(), strict=True):
                if time:
                    out[row][kind] = time
    return out


def _checked(rows: list[Spent], wall: I64) -> list[Spent]:
    for row, ns in zip(rows, wall.tolist(), strict=True):
        assert row.total_ns == ns, "the parts of a span add up to it"
    return rows
