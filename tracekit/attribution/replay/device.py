"""Edges of the device: launch to work, order of a stream, overlaps, nodes of a graph launch."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle.causes import SUSPECT_NS
from tracekit.attribution.replay.graph import Drawing, Kind
from tracekit.attribution.replay.timing import Timing
from tracekit.attribution.replay.waits import NEAR_NS
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Mask, Trace


class Work(Record, frozen=True, eq=False):
    """The points of G rows of `links.work`, and what of them has no reason in the file."""

    start: I64  # [G] points
    end: I64  # [G]
    pinned: I64  # rows that start when they started
    unlinked_lag: I64  # [G] of the gap before an unlinked row, more than is usual


def draw(
    trace: Trace, times: Timing, out: Drawing, submit: I64, start: I64, end: I64, held: I64
) -> Work:
    """All edges between work, and from launches to it.

    `submit` [R] are the points at which calls submit, `start` and `end` [G] those of work; `held`
    [G] is until when an event of another stream holds its start back.
    """
    gpu, launch = links.work(trace), links.launch_row(trace)
    rows, linked, before = np.arange(len(gpu)), launch >= 0, times.previous
    has = before >= 0
    over = has & (gpu.ts < gpu.end[before])
    # an event of another stream, where it came after the stream's own work, says when
    alone = has & ~over & ~linked & (held <= gpu.end[before])
    lag = _order(gpu, times, out, start, end, has & ~over & ~alone, alone)
    _overlaps(gpu, times, out, start, end, over)
    # programmatic dependent launch: what ran before the earlier kernel's end was waiting for it
    dependent = over & (gpu.end >= gpu.end[before])
    length = np.where(dependent, gpu.end - gpu.end[before], gpu.dur)
    out.add(Kind.RUN, start, end, work=length, owner=rows)
    first = linked & ~_later_nodes(trace)
    out.add(
        Kind.LATENCY, submit[launch[first]], start[first], fixed=times.latency[first],
        owner=rows[first],
    )  # fmt: skip
    room = np.flatnonzero(times.slots >= 0)
    out.add(
        Kind.SLOT, start[times.slots[room]], submit[launch[room]], fixed=times.slot_ns
    )  # fmt: skip
    _nodes(trace, times, out, start, end)
    late = gpu.ts - np.maximum(times.submitted + times.latency, held) > SUSPECT_NS
    pinned = np.flatnonzero(~has & np.where(linked, late, held < 0))
    return Work(start, end, pinned, lag)


def _order(
    gpu: Trace, times: Timing, out: Drawing, start: I64, end: I64, linked: Mask, unlinked: Mask
) -> I64:
    """One after the other; unlinked work as long after as it was, since its launch is not known."""
    before = times.previous
    out.add(Kind.GAP, end[before[linked]], start[linked], fixed=times.gap[linked])
    taken = gpu.ts - gpu.end[before]
    out.add(Kind.GAP, end[before[unlinked]], start[unlinked], fixed=taken[unlinked])
    return np.where(unlinked & (taken > times.gap + NEAR_NS), taken - times.gap, 0)


def _overlaps(
    gpu: Trace, times: Timing, out: Drawing, start: I64, end: I64, over: Mask
) -> None:  # fmt: skip
    """Work that began before the earlier of its stream had ended: by the offset of their starts."""
    rows = np.flatnonzero(over)
    before = times.previous[rows]
    offset = gpu.ts[rows] - gpu.ts[before]
    out.add(Kind.RUN, start[before], start[rows], work=offset, owner=before)
    after = gpu.end[rows] >= gpu.end[before]
    tail = (gpu.end[rows] - gpu.end[before])[after]
    out.add(Kind.RUN, end[before[after]], end[rows[after]], work=tail, owner=rows[after])


def _later_nodes(trace: Trace) -> Mask:
    """[G] work whose launch began another row before."""
    launch = links.launch_row(trace)
    later = np.ones(len(launch), bool)
    later[segments.firsts(launch)[1]] = False
    return later


def _nodes(trace: Trace, times: Timing, out: Drawing, start: I64, end: I64) -> None:
    """Nodes of one graph launch on several streams: each after the last that had ended before it on
    each of them. The graph may say less; nothing in the file does.
    """
    gpu, launch, stream = links.work(trace), links.launch_row(trace), links.stream(trace)
    rows = np.flatnonzero(_later_nodes(trace) & (launch >= 0))
    if not len(rows):
        return
    own = np.flatnonzero(np.isin(launch, launch[rows]))
    top = int(max(gpu.end[own].max(), 1)) + 1
    if top > (1 << 62) // (len(own) + 1):
        return
    number = np.zeros(int(launch[own].max()) + 1, np.int64)
    number[segments.sorted_unique(launch[own])] = np.arange(
        len(segments.sorted_unique(launch[own]))
    )
    last = np.full(len(gpu), -1, np.int64)  # until when an earlier node of any stream ran
    found: list[tuple[I64, I64]] = []  # a node, and one that had ended before it
    for one in segments.sorted_unique(stream[own]).tolist():
        mine = own[stream[own] == one]
        mine = mine[np.lexsort((gpu.end[mine], launch[mine]))]
        keys = number[launch[mine]] * top + gpu.end[mine]
        at = np.searchsorted(keys, number[launch[rows]] * top + gpu.ts[rows], side="right") - 1
        source = mine[np.maximum(at, 0)]
        ended = (at >= 0) & (launch[source] == launch[rows]) & (source != rows)
        found.append((rows[ended], source[ended]))
        np.maximum.at(last, rows[ended], gpu.end[source[ended]])
    node, source = (np.concatenate(part) for part in zip(*found, strict=True))
    other = stream[node] != stream[source]
    node, source = node[other], source[other]
    taken, binding = gpu.ts[node] - gpu.end[source], gpu.end[source] == last[node]
    fixed = np.where(binding, taken, np.minimum(taken, times.gap[node]))
    out.add(Kind.NODE, end[source], start[node], fixed=fixed)
    by_start = own[np.lexsort((gpu.ts[own], launch[own]))]
    begun = by_start[np.searchsorted(number[launch[by_start]], number[launch[rows]])]
    none = (last[rows] < 0) & (begun != times.previous[rows])
    offset = gpu.ts[rows] - gpu.ts[begun]
    out.add(Kind.NODE, start[begun[none]], start[rows[none]], fixed=offset[none])
