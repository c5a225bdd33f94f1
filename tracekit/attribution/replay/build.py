"""The graph of a trace, put together from what its parts find."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.replay import device, host, waits
from tracekit.attribution.replay.forks import forks
from tracekit.attribution.replay.graph import NEVER, Drawing, Edges, Graph, Kind
from tracekit.attribution.replay.host import Calls
from tracekit.attribution.replay.submitted import Submitted
from tracekit.attribution.replay.timing import timing
from tracekit.attribution.replay.waits import Events, Targets
from tracekit.attribution.stages.instances import Markers
from tracekit.trace.trace import I64, Mask, Trace


def graph(trace: Trace, marks: Markers) -> Graph:
    """The dependence graph, with the begin and end of each marker as points of its thread.

    The trace has GPU work.
    """
    times, own, gpu = timing(trace), links.calls(trace), links.work(trace)
    launches, waiting = host.calls_of(trace, times)
    count, size, stages = len(own), len(gpu), len(marks)
    at = np.arange(count)
    submit = np.where(launches, count + at, at)
    calls = Calls(launches, waiting, at, submit, 2 * count + at)
    start, end = 3 * count + np.arange(size), 3 * count + size + np.arange(size)
    opens = 3 * count + 2 * size + np.arange(stages)
    closes = opens + stages
    when = np.concatenate([
        own.ts, times.submit, own.end, gpu.ts, gpu.end, marks.start, marks.end,
    ])  # fmt: skip
    out, sent = Drawing(), Submitted(trace, times.submitted)
    found = host.points(trace, times, calls, marks, opens, closes)
    fork = forks(trace, found)
    target = waits.targets(trace, times, waiting, sent)
    host.draw(trace, times, calls, found, target.cost, fork.cut, out)
    out.add(
        Kind.FORK, found.point[fork.one], found.point[fork.two],
        fixed=found.when[fork.two] - found.when[fork.one],
    )  # fmt: skip
    _returns(times.blocks, calls, target, end, out)
    event = waits.events(trace, times, sent)
    held = _events(event, start, end, gpu, out)
    work = device.draw(trace, times, out, submit, start, end, held)
    thread = np.full(len(when), -1, np.int32)
    thread[found.point] = found.thread
    del found
    edges = out.edges(len(when))
    floor = np.full(len(when), NEVER)
    floor[start[work.pinned]] = when[start[work.pinned]]
    rootless = np.bincount(edges.dst, minlength=len(when)) == 0
    floor[rootless] = when[rootless]
    return Graph(
        when, floor, edges, start, end, opens, closes, work.pinned,
        tuple(zip(event.one[~event.recorded].tolist(), event.two[~event.recorded].tolist(),
                  strict=True)),
        thread, *_lag(edges, work, target),
    )  # fmt: skip


def _returns(blocks: Mask, calls: Calls, target: Targets, end: I64, out: Drawing) -> None:
    """Calls return after the work that they waited for."""
    copies = blocks[target.call]
    for kind, mask in ((Kind.WAIT, ~copies), (Kind.COPY_WAIT, copies)):
        out.add(
            kind, end[target.work[mask]], calls.end[target.call[mask]], fixed=target.after[mask],
            owner=target.call[mask],
        )  # fmt: skip


def _events(event: Events, start: I64, end: I64, gpu: Trace, out: Drawing) -> I64:
    """Waits between streams; [G] until when one of them holds a start back, -1 where none does."""
    for kind, mask in ((Kind.EVENT, event.recorded), (Kind.INFERRED, ~event.recorded)):
        out.add(kind, end[event.one[mask]], start[event.two[mask]], fixed=event.after[mask])
    held = np.full(len(gpu), -1, np.int64)
    np.maximum.at(held, event.two, gpu.end[event.one] + event.after)
    return held


def _lag(edges: Edges, work: device.Work, target: Targets) -> tuple[I64, I64]:
    """Edges with fixed time that no rule explains, and how much."""
    waited = (edges.kind == int(Kind.WAIT)) | (edges.kind == int(Kind.COPY_WAIT))
    gap = edges.kind == int(Kind.GAP)
    rows = np.flatnonzero(waited | gap)
    first = int(work.start[0]) if len(work.start) else 0
    lag = np.zeros(len(rows), np.int64)
    late = gap[rows]
    lag[late] = work.unlinked_lag[edges.dst[rows[late]] - first]
    lag[~late] = target.lag[edges.owner[rows[~late]]]
    return rows[lag != 0], lag[lag != 0]
