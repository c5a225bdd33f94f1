"""Edges of the device: launch to work, order of a stream, overlaps, nodes of a graph launch."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle.causes import SUSPECT_NS
from tracekit.attribution.replay.graph import Drawing, Kind, Places
from tracekit.attribution.replay.timing import Timing, submitted
from tracekit.attribution.replay.waits import NEAR_NS
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Mask, Trace


class Work(Record, frozen=True, eq=False):
    """What of G rows of `links.work` has no reason in the file."""

    pinned: I64  # rows that start when they started
    unlinked_lag: I64  # [G] of the gap before an unlinked row, more than is usual


def draw(trace: Trace, times: Timing, out: Drawing, places: Places, held: I64) -> Work:
    """All edges between work, and from launches to it.

    `held` [G] is until when an event of another stream holds its start back.
    """
    gpu, launch = links.work(trace), links.launch_row(trace)
    rows, linked, before = np.arange(len(gpu), dtype=np.int32), launch >= 0, times.previous
    has, ended = before >= 0, gpu.end[before]
    over = has & (gpu.ts < ended)
    # an event of another stream, where it came after the stream's own work, says when
    alone = has & ~over & ~linked & (held <= ended)
    lag = _order(gpu, times, out, places, has & ~over & ~alone, alone)
    _overlaps(gpu, times, out, places, over)
    # programmatic dependent launch: what ran before the earlier kernel's end was waiting for it
    length = np.where(over & (gpu.end >= ended), gpu.end - ended, gpu.dur)
    out.add(Kind.RUN, places.start + rows, places.end + rows, length)
    later = linked & _later_nodes(trace)
    first = np.flatnonzero(linked & ~later)
    out.add(Kind.LATENCY, places.submit + launch[first], places.start + first, times.latency[first])
    room = np.flatnonzero(times.slots >= 0)
    out.add(
        Kind.SLOT, places.start + times.slots[room], places.submit + launch[room], times.slot_ns
    )
    _nodes(trace, times, out, places, np.flatnonzero(later))
    late = gpu.ts - np.maximum(submitted(trace, times.submit) + times.latency, held) > SUSPECT_NS
    pinned = np.flatnonzero(~has & np.where(linked, late, held < 0))
    return Work(pinned, lag)


def _order(
    gpu: Trace, times: Timing, out: Drawing, places: Places, linked: Mask, unlinked: Mask
) -> I64:
    """One after the other; unlinked work as long after as it was, since its launch is not known."""
    rows = np.flatnonzero(linked)
    out.add(Kind.GAP, places.end + times.previous[rows], places.start + rows, times.gap[rows])
    rows = np.flatnonzero(unlinked)
    before = times.previous[rows]
    taken = gpu.ts[rows] - gpu.end[before]
    out.add(Kind.GAP, places.end + before, places.start + rows, taken)
    lag = np.zeros(len(gpu), np.int64)
    more = taken - times.gap[rows]
    lag[rows] = np.where(more > NEAR_NS, more, 0)
    return lag


def _overlaps(gpu: Trace, times: Timing, out: Drawing, places: Places, over: Mask) -> None:
    """Work that began before the earlier of its stream had ended: by the offset of their starts."""
    rows = np.flatnonzero(over)
    before = times.previous[rows]
    offset = gpu.ts[rows] - gpu.ts[before]
    out.add(Kind.RUN, places.start + before, places.start + rows, offset)
    after = gpu.end[rows] >= gpu.end[before]
    tail = (gpu.end[rows] - gpu.end[before])[after]
    out.add(Kind.RUN, places.end + before[after], places.end + rows[after], tail)


def _later_nodes(trace: Trace) -> Mask:
    """[G] work whose launch began another row before."""
    launch = links.launch_row(trace)
    later = np.ones(len(launch), bool)
    later[segments.firsts(launch)[1]] = False
    return later


def _nodes(trace: Trace, times: Timing, out: Drawing, places: Places, rows: I64) -> None:
    """Nodes of one graph launch on several streams, without its first (`rows`): each after the last
    that had ended before it on each of them. The graph may say less; nothing in the file does.
    """
    gpu, launch, stream = links.work(trace), links.launch_row(trace), links.stream(trace)
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
    out.add(Kind.NODE, places.end + source, places.start + node, fixed)
    by_start = own[np.lexsort((gpu.ts[own], launch[own]))]
    begun = by_start[np.searchsorted(number[launch[by_start]], number[launch[rows]])]
    none = (last[rows] < 0) & (begun != times.previous[rows])
    offset = gpu.ts[rows] - gpu.ts[begun]
    out.add(Kind.NODE, places.start + begun[none], places.start + rows[none], offset[none])
