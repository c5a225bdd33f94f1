"""The graph of a trace, put together from what its parts find."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.replay import device, host, solve, waits
from tracekit.attribution.replay.forks import forks
from tracekit.attribution.replay.graph import Drawing, Edges, Graph, Kind, Places
from tracekit.attribution.replay.submitted import Submitted
from tracekit.attribution.replay.timing import submitted, timing
from tracekit.attribution.replay.waits import Events, Targets
from tracekit.attribution.stages.instances import Markers
from tracekit.trace.trace import I64, Mask, Trace


def graph(trace: Trace, marks: Markers) -> Graph:
    """The dependence graph, with the begin and end of each marker as points of its thread.

    The trace has GPU work.
    """
    times, own, gpu = timing(trace), links.calls(trace), links.work(trace)
    calls, places = host.calls_of(trace), Places(len(own), len(gpu), len(marks))
    when = np.concatenate([
        own.ts, times.submit, own.end, gpu.ts, gpu.end, marks.start, marks.end,
    ])  # fmt: skip
    out, sent = Drawing(), Submitted(trace, submitted(trace, times.submit))
    found = host.points(trace, calls, marks, when, places)
    fork = forks(trace, found)
    target = waits.targets(trace, times, calls.waits, sent)
    host.draw(trace, times, calls, found, target.cost, fork.cut, places, out)
    out.add(
        Kind.FORK, found.point[fork.one], found.point[fork.two],
        found.when[fork.two] - found.when[fork.one],
    )  # fmt: skip
    del found
    _returns(times.blocks, target, places, out)
    event = waits.events(trace, times, sent)
    held = _events(event, gpu, places, out)
    work = device.draw(trace, times, out, places, held)
    edges = out.edges(places.count, solve.kernel(places.count))
    pairs = event.one[~event.recorded].tolist(), event.two[~event.recorded].tolist()
    return Graph(
        when, edges, places, work.pinned, tuple(zip(*pairs, strict=True)),
        *_lag(edges, work, target, places),
    )  # fmt: skip


def _returns(blocks: Mask, target: Targets, places: Places, out: Drawing) -> None:
    """Calls return after the work that they waited for."""
    copies = blocks[target.call]
    for kind, mask in ((Kind.WAIT, ~copies), (Kind.COPY_WAIT, copies)):
        out.add(
            kind, places.end + target.work[mask], places.back + target.call[mask],
            target.after[mask],
        )  # fmt: skip


def _events(event: Events, gpu: Trace, places: Places, out: Drawing) -> I64:
    """Waits between streams; [G] until when one of them holds a start back, -1 where none does."""
    for kind, mask in ((Kind.EVENT, event.recorded), (Kind.INFERRED, ~event.recorded)):
        out.add(
            kind, places.end + event.one[mask], places.start + event.two[mask], event.after[mask]
        )
    held = np.full(len(gpu), -1, np.int64)
    np.maximum.at(held, event.two, gpu.end[event.one] + event.after)
    return held


def _lag(edges: Edges, work: device.Work, target: Targets, places: Places) -> tuple[I64, I64]:
    """Edges that stay and take time that no rule explains, and how much."""
    late, slow = np.flatnonzero(work.unlinked_lag), np.flatnonzero(target.lag)
    parts = (
        (places.back + slow, target.lag[slow], (Kind.WAIT, Kind.COPY_WAIT)),
        (places.start + late, work.unlinked_lag[late], (Kind.GAP,)),
    )
    rows, lag = [], []
    for point, much, kinds in parts:
        begin, count = edges.first[point].astype(np.int64), np.diff(edges.first)[point]
        row = np.repeat(begin - np.cumsum(count) + count, count) + np.arange(count.sum())
        mine = edges.of(*kinds, rows=row)
        rows.append(row[mine])
        lag.append(np.repeat(much, count)[mine])
    return np.concatenate(rows), np.concatenate(lag)
