"""When each point of a graph happens: the longest path to it, in one pass over the edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracekit.attribution.replay.graph import NEVER, Graph
from tracekit.errors import MissingEventsError
from tracekit.records import Record
from tracekit.trace.scan import asked, machine
from tracekit.trace.scan.asked import Kernel
from tracekit.trace.spans import compiled, segments
from tracekit.trace.trace import I64, Ints, Mask

Lists = tuple[list[int], list[int], list[int]]

_MANY = 10_000  # points: for fewer, loading the kernel takes longer than it saves


class Chains(Record, frozen=True, eq=False):
    """A graph of H heads: points that wait for one other alone follow it at a distance.

    a ── b ── c ─┐            a, d wait for nothing, f for two: these are heads,
    d ── e ──────┴ f ── g     b and c follow a, e follows d, g follows f
    """

    follows: Mask  # [V] whether a point does
    before: I64  # [V] what a point waits for; a head itself
    only: I64  # [V] the edge to it; of a head any
    head: I64  # [V] the head that a point follows, or is: which of them
    heads: I64  # [H] their points
    order: I64  # of the heads that wait: each after all that it waits for
    first: I64  # [H + 1] where the edges of each head begin
    edges: I64  # [F] theirs


class Plan(Record, frozen=True, eq=False):
    """A graph made ready to be evaluated many times."""

    graph: Graph
    order: Ints  # of the points: each after all that it waits for
    first: I64  # [V + 1] where the edges of each point begin
    chains: Chains | None  # where that is quicker

    # neither is kept, since a graph of a large trace takes what room there is

    @property
    def kept(self) -> I64:
        """[E] fixed time, no more than what was recorded."""
        graph, edges = self.graph, self.graph.edges
        found = graph.when[edges.dst]
        found -= graph.when[edges.src]
        found -= edges.work
        return np.minimum(edges.fixed, found, out=found)

    @property
    def pad(self) -> I64:
        """[V] what the rules do not explain of each point's time, 0 or more."""
        found = _latest(self.graph, self.first, self.kept)[1]
        return np.subtract(self.graph.when, found, out=found)


def plan(graph: Graph, path: str) -> Plan:
    """The order in which points can be evaluated. Raises: MissingEventsError for a circle."""
    count = len(graph.when)
    order = _order(graph, count)
    if len(order) < count:
        raise MissingEventsError(
            "its waits form a circle, so their order is not known",
            where=path,
            hint="record with cuda_sync events, so that no wait is inferred",
        )
    first = segments.begins(graph.edges.dst, count)
    return Plan(graph, order, first, None if _kernel(count) else _chains(graph, order, first))


def _chains(graph: Graph, order: Ints, first: I64) -> Chains | None:
    """None for a graph with a point that nothing holds: it would be where no sum reaches."""
    waits = np.diff(first)
    if (graph.floor[waits == 0] == NEVER).any():
        return None
    follows = (waits == 1) & (graph.floor == NEVER)
    only = np.where(follows, first[:-1], 0)
    before = np.arange(len(follows))
    before[follows] = graph.edges.src[only[follows]]
    last = before
    while follows[last].any():
        last = last[last]
    heads = np.flatnonzero(~follows)
    place = np.zeros(len(follows), np.int64)
    place[heads] = np.arange(len(heads))
    return Chains(
        follows, before, only, place[last], heads,
        order=place[order[~follows[order] & (waits[order] > 0)]],
        first=segments.begins(place[graph.edges.dst[~follows[graph.edges.dst]]], len(heads)),
        edges=np.flatnonzero(~follows[graph.edges.dst]),
    )  # fmt: skip


def _latest(graph: Graph, first: I64, fixed: I64) -> tuple[Ints, I64]:
    """[V] the edge that lets each point come last, as recorded and with this fixed time, of several
    the last, or -1; and [V] when that is, no sooner than its floor. `first` is as in `Plan`.
    """
    edges = graph.edges
    if run := _kernel(len(graph.when)):
        return asked.reached(run, first, edges.src, fixed, edges.work, graph.floor, graph.when)
    return reached(edges.dst, graph.when[edges.src] + fixed + edges.work, graph.floor)


def reached(target: Ints, come: I64, floor: I64) -> tuple[Ints, I64]:
    """As `asked.reached`, which is faster; `come` is when each edge lets its target come."""
    edge, latest = np.full(len(floor), -1, np.int64), floor.copy()
    np.maximum.at(latest, target, come)
    order = np.argsort(come, kind="stable")
    edge[target[order]] = order  # the latest is written last
    return edge, latest


def _kernel(points: int) -> Kernel | None:
    """What walks a graph faster, where it is loaded or worth it, and there."""
    return machine.kernel() if compiled.loops or points > _MANY else None


def _order(graph: Graph, count: int) -> Ints:
    """Points so that each comes after its sources, without those of a circle."""
    edges = graph.edges
    target = edges.dst[segments.grouped(edges.src, count)]
    first = segments.begins(edges.src, count)
    waiting = np.bincount(edges.dst, minlength=count)
    if run := _kernel(count):
        return asked.ordered(run, waiting, first, target)
    return ordered(waiting, first, target)


def ordered(waiting: I64, first: I64, target: Ints) -> I64:
    """As `asked.ordered`, which is faster."""
    left, begins, targets = waiting.tolist(), first.tolist(), target.tolist()
    order = [v for v, count in enumerate(left) if not count]
    for v in order:
        for at in range(begins[v], begins[v + 1]):
            u = targets[at]
            left[u] -= 1
            if not left[u]:
                order.append(u)
    return np.array(order, np.int64)


def solve(
    made: Plan, weight: I64, *, pad: bool, dropped: npt.NDArray[np.bool_] | None = None
) -> I64:
    """[V] when each point happens with these lengths of edges ([E], ns).

    With `pad`, what no rule explains is added to each point as it was recorded.
    """
    if dropped is not None:
        weight = np.where(dropped, NEVER, weight)
    graph = made.graph
    if run := _kernel(len(graph.when)):
        return asked.longest(
            run, made.order, made.first, graph.edges.src, weight, graph.floor,
            made.pad if pad else None,
        )  # fmt: skip
    extra = made.pad if pad else np.zeros_like(graph.when)
    columns = made.order, made.first, graph.edges.src, weight, graph.floor, extra
    chains = made.chains
    # nothing follows along a wait that is no more
    if chains is None or (dropped is not None and dropped[chains.only[chains.follows]].any()):
        return longest(*columns)
    return _along(chains, graph, weight, extra)


def _along(chains: Chains, graph: Graph, weight: I64, extra: I64) -> I64:
    """As `longest`, which walks over the heads alone."""
    away = np.where(chains.follows, weight[chains.only] + extra, 0)
    before = chains.before
    while True:  # what lies between a point and the 1, 2, 4, 8 … points before it
        further = before[before]
        if np.array_equal(further, before):
            break
        away, before = away + away[before], further
    heads, source = chains.heads, graph.edges.src[chains.edges]
    floor, more = graph.floor[heads], extra[heads]
    still = np.diff(chains.first) == 0
    floor[still] += more[still]
    length = weight[chains.edges] + away[source]
    at = longest(chains.order, chains.first, chains.head[source], length, floor, more)
    return np.asarray(at[chains.head] + away)


def longest(order: Ints, first: I64, source: Ints, weight: I64, floor: I64, extra: I64) -> I64:
    """As `asked.longest`, which is faster."""
    at, begins = floor.tolist(), first.tolist()
    sources, length, more = source.tolist(), weight.tolist(), extra.tolist()
    for v in order.tolist():
        best = at[v]
        for e in range(begins[v], begins[v + 1]):
            here = at[sources[e]] + length[e]
            if here > best:
                best = here
        at[v] = best + more[v]
    return np.array(at, np.int64)


class Lag:
    """What no rule explains of the critical path to a point, as recorded."""

    def __init__(self, made: Plan) -> None:
        graph = made.graph
        bound = _latest(graph, made.first, made.kept)[0]
        self._when = graph.when
        # what waits for nothing in the file has nothing above it
        self._above = np.where(bound < 0, -1, graph.edges.src[bound])
        self._above[graph.start[graph.pinned]] = -1
        # recorded time less what the rules give, which may be more; and what they leave of an edge
        self._own = _latest(graph, made.first, graph.edges.fixed)[1]
        np.subtract(graph.when, self._own, out=self._own)
        target = graph.edges.dst[graph.lagging]
        mine = bound[target] == graph.lagging
        self._own[target[mine]] += graph.lag[mine]
        self._run = _kernel(len(graph.when))
        # without the kernel lists are walked faster
        self._lists: Lists = ([], [], [])
        if not self._run:
            self._lists = self._above.tolist(), self._own.tolist(), self._when.tolist()

    def on_path(self, begin: int, end: int) -> int:
        """ns of the path from time `begin` to the point `end`."""
        most = int(self._when[end]) - begin
        if self._run:
            total, v = asked.path(self._run, self._above, self._own, self._when, end, begin)
        else:
            total, v = path(self._lists, end, begin)
        left = int(self._when[v]) - begin
        if left > 0:  # the path begins here: all before it is unexplained
            return min(total + left, most)
        return min(max(total, 0), most)


def path(columns: Lists, v: int, until: int) -> tuple[int, int]:
    """As `asked.path`, which is faster. `columns` are who is above, the cost and the time."""
    (above, cost, when), total = columns, 0
    while when[v] > until and above[v] >= 0:
        total += cost[v]
        v = above[v]
    return total, v
