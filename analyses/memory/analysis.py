"""Memory that torch's allocator handed out: over time, at most in each stage, largest pieces."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tracekit.answers.memory import AtPeak, Device, Memory, Piece, StagePeak
from tracekit.attribution.stages import work_phases
from tracekit.attribution.stages.instances import Markers, markers_if_any
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.figures import Chart
from tracekit.trace.spans import segments
from tracekit.trace.spans.nesting import innermost
from tracekit.trace.spans.segments import distinct
from tracekit.trace.trace import I64, Mask, Trace

from .allocations import OpsAround, freed_by
from .findings import findings
from .first_screen import FIRST_SCREEN
from .peak import at_peak
from .snapshot import of_snapshot
from .tables import DEFINITIONS, tables

KINDS = {0: "CPU", 1: "CUDA", 6: "HIP", 12: "XPU", 13: "MPS"}  # c10::DeviceType
MOST_POINTS = 400
MOST_PIECES = 20
_ASKED = ("ts", "bytes", "allocated", "reserved", "address", "tid")


def memory(trace: Trace, *, stages: str | None = None) -> Memory:
    """Allocated and reserved bytes of each memory, peaks by stage, and the largest allocations.

    Of a memory snapshot: what held the peak by stack, and where the reserved bytes are.

    Raises: MissingEventsError for a trace without memory events, or where `stages` matches nothing.
    """
    if trace.source.snapshot is not None:
        return of_snapshot(trace.source.snapshot, trace.path)
    table = trace.table("memory")
    if not len(table):
        raise MissingEventsError(
            "captured without memory events",
            where=trace.path,
            hint="capture with profile_memory=True, or give a memory snapshot",
        )
    marks = markers_if_any(trace, stages)
    order = segments.order(table.columns["ts"])
    kinds, which = distinct([table.columns[name][order] for name in ("device_type", "device")])
    around = OpsAround(trace)
    rows: list[Device] = []
    peaks: list[StagePeak] = []
    pieces: list[Piece] = []
    held: list[AtPeak] = []
    for at, (kind, number) in enumerate(kinds.tolist()):
        mine, name = order[which == at], _name(kind, number)
        own = {key: np.asarray(table.columns[key][mine], np.int64) for key in _ASKED}
        freed = freed_by(own)
        rows.append(_device(trace.path, name, own))
        if marks is not None:
            peaks += _peaks(trace.path, name, own, marks)
        pieces += _pieces(trace, name, own, freed, around, marks)
        held += at_peak(trace, name, own, freed, around)
    return Memory(tuple(rows), tuple(peaks), _largest(pieces), peaks=tuple(held))


def _name(kind: int, number: int) -> str:
    label = KINDS.get(kind, f"device type {kind}")
    return f"{label} {number}" if number >= 0 else label


def _reserved(own: dict[str, I64]) -> int | None:
    """The peak; the CPU allocator reserves nothing and writes 0."""
    peak = int(own["reserved"].max())
    return peak if peak > 0 else None


def _device(path: str, name: str, own: dict[str, I64]) -> Device:
    size, allocated = own["bytes"], own["allocated"]
    peak = int(np.argmax(allocated))
    kept = _thin(own["ts"], allocated)
    return Device(
        trace=path,
        memory=name,
        events=len(size),
        allocated_first=int(allocated[0]),
        allocated_last=int(allocated[-1]),
        allocated_peak=int(allocated[peak]),
        peak_ns=int(own["ts"][peak]),
        reserved_peak=_reserved(own),
        allocations=int((size > 0).sum()),
        frees=int((size < 0).sum()),
        requested=int(size[size > 0].sum()),
        series_ns=tuple(own["ts"][kept].tolist()),
        series_allocated=tuple(allocated[kept].tolist()),
        series_reserved=tuple(own["reserved"][kept].tolist()),
    )


def _thin(when: I64, value: I64) -> I64:
    """Indices of the highest event of each bin, and of the first and last event."""
    if len(when) <= MOST_POINTS:
        return np.arange(len(when))
    span = max(int(when[-1] - when[0]), 1)
    bins = (when - when[0]) * (MOST_POINTS - 2) // span
    opens = np.flatnonzero(np.diff(bins, prepend=-1))
    best = np.repeat(np.maximum.reduceat(value, opens), np.diff(opens, append=len(bins)))
    highest = np.flatnonzero(value == best)
    last = np.append(np.diff(bins[highest]) > 0, True)
    return segments.sorted_unique(np.concatenate([highest[last], [0, len(when) - 1]]))


def _peaks(path: str, name: str, own: dict[str, I64], marks: Markers) -> list[StagePeak]:
    """By phase: host time of the instances against host time of the events."""
    labels = np.array(work_phases.label(marks))
    out = []
    for stage in dict.fromkeys(labels.tolist()):
        rows = np.flatnonzero((labels == stage) & ~marks.repeated)
        low = np.searchsorted(own["ts"], marks.start[rows], side="left")
        high = np.searchsorted(own["ts"], marks.end[rows], side="right")
        some = high > low
        if not some.any():
            continue
        # from the event before, which says what was held at the start
        before = np.maximum(low[some] - 1, 0)
        inside = np.flatnonzero(_within(before, high[some], len(own["ts"])))
        within = _within(low, high, len(own["ts"]))
        size = own["bytes"][within]
        out.append(StagePeak(
            path, name, stage, int(some.sum()), int(own["allocated"][inside].max()),
            int(own["reserved"][inside].max()) or None, int(size.sum()),
            int(size[size > 0].sum()),
        ))  # fmt: skip
    return out


def _within(low: I64, high: I64, count: int) -> Mask:
    """[count] whether an index lies in any of the ranges [low, high)."""
    edges = np.zeros(count + 1, np.int64)
    np.add.at(edges, low, 1)
    np.add.at(edges, np.maximum(high, low), -1)
    return np.asarray(np.cumsum(edges)[:-1] > 0)


def _pieces(
    trace: Trace, name: str, own: dict[str, I64], freed: I64, around: OpsAround,
    marks: Markers | None,
) -> list[Piece]:  # fmt: skip
    made = np.flatnonzero(own["bytes"] > 0)
    if not len(made):
        return []
    # only the largest sizes can end up in the table; each of them has all its allocations
    sizes = segments.sorted_unique(own["bytes"][made])[-MOST_PIECES:]
    made = made[own["bytes"][made] >= sizes[0]]
    when = own["ts"][made]
    op = around.names(own["tid"][made], when)
    stage = np.full(len(made), -1, np.int64)
    labels: tuple[str, ...] = ()
    if marks is not None:
        phases = work_phases.label(marks)
        labels = tuple(dict.fromkeys(phases))
        none = np.zeros(len(made), np.int64)
        found = innermost(np.zeros(len(marks), np.int64), marks.start, marks.end, none, when, when)
        stage = np.array([*(labels.index(p) for p in phases), -1], np.int64)[found]
    free = freed[made]
    held = np.where(free >= 0, own["ts"][free] - when, -1)  # ns
    alike, group = distinct([own["bytes"][made], op, stage])
    longest = np.full(len(alike), -1, np.int64)
    np.maximum.at(longest, group, held)
    first = np.full(len(alike), np.iinfo(np.int64).max)
    np.minimum.at(first, group, when)
    count = np.bincount(group, minlength=len(alike))
    return [
        Piece(
            name, size, trace.strings[o] if o >= 0 else None, labels[at] if at >= 0 else None,
            int(count[g]), int(first[g]), int(longest[g]) if longest[g] >= 0 else None,
        )
        for g, (size, o, at) in enumerate(alike.tolist())
    ]  # fmt: skip


def _largest(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    groups: dict[tuple[str, int, str | None, str | None], Piece] = {}
    for piece in pieces:
        key = (piece.memory, piece.bytes, piece.op, piece.stage)
        old = groups.get(key)
        groups[key] = piece if old is None else replace(
            old,
            count=old.count + piece.count,
            at_ns=min(old.at_ns, piece.at_ns),
            held_ns=max((h for h in (old.held_ns, piece.held_ns) if h is not None), default=None),
        )  # fmt: skip
    order = sorted(groups.values(), key=lambda p: (-p.bytes, p.memory, p.op or "", p.stage or ""))
    return tuple(order[:MOST_PIECES])


def merge(one: Memory, two: Memory) -> Memory:
    """Memories and stages beside one another: their peaks are at different times of other runs."""
    return Memory(
        one.rows + two.rows, one.stages + two.stages, _largest((*one.largest, *two.largest)),
        one.held + two.held, one.reserves + two.reserves, one.failures + two.failures,
        one.peaks + two.peaks,
    )  # fmt: skip


def charts(result: Memory) -> list[Chart]:
    out = []
    largest = max((max(d.series_allocated, default=0) for d in result.rows), default=0)
    for at, device in enumerate(result.rows[:8]):
        # a few bytes on the host beside gigabytes on the device are no curve to look at
        if len(device.series_ns) < 2 or max(device.series_allocated) < 1e-3 * largest:
            continue
        series: dict[str, list[float | None]] = {"allocated": list(device.series_allocated)}
        if device.reserved_peak is not None:
            series["reserved"] = list(device.series_reserved)
        out.append(
            figures.lines(
                f"memory-{at}", f"Memory over time: {device.memory}",
                [ns / 1e6 for ns in device.series_ns], series, unit="bytes",
                x_title="ms since the first slice", of="memory", points=False, table="memories",
                summary=f"Allocated and reserved bytes of {device.memory} after each event.",
            )
        )  # fmt: skip
    return out


ANALYSIS = Analysis(
    title="Memory",
    question="How much memory was held, when, in which stage, and by what?",
    run=memory,
    merge=merge,
    tables=tables,
    charts=charts,
    findings=findings,
    first_screen=FIRST_SCREEN,
    definitions=DEFINITIONS,
    needs=frozenset({"memory"}),
    order=80,
    adds_up=False,
)
