"""When each point of a graph happens: the longest path to it, in one pass over the edges."""

from __future__ import annotations

import numpy as np

from tracekit.attribution.replay.graph import Graph
from tracekit.errors import MissingEventsError
from tracekit.records import Record
from tracekit.trace.scan import machine
from tracekit.trace.scan.asked import Kernel
from tracekit.trace.scan.graphs import walked
from tracekit.trace.scan.layout import NEVER
from tracekit.trace.spans import compiled, segments
from tracekit.trace.trace import I32, I64, Ints, Mask

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
    order: I32  # of the points: each after all that it waits for
    chains: Chains | None  # where that is quicker

    # of a few points: a graph of a large trace takes what room there is

    @property
    def cut(self) -> I64:
        """[E] how much longer edges are than what was recorded, 0 or more."""
        graph, edges = self.graph, self.graph.edges
        found: I64 = graph.when[edges.src] + edges.ns - graph.when[edges.dst]
        return np.maximum(found, 0, out=found)

    @property
    def pad(self) -> I64:
        """[V] what the rules do not explain of each point's time, 0 or more."""
        graph, edges = self.graph, self.graph.edges
        found = graph.floor
        come = np.minimum(graph.when[edges.src] + edges.ns, graph.when[edges.dst])
        np.maximum.at(found, edges.dst, come)
        return graph.when - found


def plan(graph: Graph, path: str) -> Plan:
    """The order in which points can be evaluated. Raises: MissingEventsError for a circle."""
    count, edges = len(graph.when), graph.edges
    run = kernel(count)
    order = walked.ordered(run, edges.first, edges.src) if run else ordered(edges.first, edges.src)
    if len(order) < count:
        raise MissingEventsError(
            "its waits form a circle, so their order is not known",
            where=path,
            hint="record with cuda_sync events, so that no wait is inferred",
        )
    return Plan(graph, order, None if run else _chains(graph, order))


def _chains(graph: Graph, order: I32) -> Chains:
    first, target = graph.edges.first.astype(np.int64), graph.edges.dst
    waits = np.diff(first)
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
        first=segments.begins(place[target[~follows[target]]], len(heads)),
        edges=np.flatnonzero(~follows[target]),
    )  # fmt: skip


def _reached(graph: Graph) -> tuple[I32, I64]:
    """As `walked.reached`, which is faster."""
    edges, when, latest = graph.edges, graph.when, graph.floor
    if run := kernel(len(when)):
        return walked.reached(run, edges, latest, when, graph.lagging, graph.lag)
    target, bound = edges.dst, np.full(len(when), -1, np.int64)
    come = when[edges.src] + edges.ns
    np.maximum.at(latest, target, come)
    order = np.argsort(np.minimum(come, when[target]), kind="stable")
    bound[target[order]] = order  # the latest is written last
    mine = bound[target[graph.lagging]] == graph.lagging
    left = when - latest
    left[target[graph.lagging[mine]]] += graph.lag[mine]
    return np.where(bound < 0, np.int32(-1), edges.src[bound]), left


def kernel(points: int) -> Kernel | None:
    """What walks a graph faster, where it is loaded or worth it, and there."""
    return machine.kernel() if compiled.loops or points > _MANY else None


def ordered(begins: I32, source: I32) -> I32:
    """As `walked.ordered`, which is faster."""
    first, sources = begins.tolist(), source.tolist()
    following = [0] * (len(first) - 1)  # the next edge to look at, and 1; -1: it is sorted
    order: list[int] = []
    for root in range(len(following)):
        path = [] if following[root] else [root]
        while path:
            v = path[-1]
            edge, end = (following[v] or first[v] + 1) - 1, first[v + 1]
            while edge < end and following[sources[edge]] < 0:
                edge += 1
            if edge == end:
                following[v] = -1
                order.append(path.pop())
                continue
            following[v] = edge + 1
            path.append(sources[edge])
            if following[path[-1]]:
                return np.array(order, np.int32)
    return np.array(order, np.int32)


def solve(made: Plan, ns: Ints, *, pad: bool, dropped: Mask | None = None) -> I64:
    """[V] when each point happens with these lengths of edges ([E]).

    With `pad`, what no rule explains is added to each point as it was recorded, and no edge takes
    longer by what it is longer than was recorded.
    """
    graph = made.graph
    if run := kernel(len(graph.when)):
        when = graph.when if pad else None
        return walked.longest(run, made.order, graph.edges, ns, graph.floor, dropped, when)
    weight = ns - made.cut if pad else ns.astype(np.int64)
    if dropped is not None:
        weight[dropped] = NEVER
    extra = made.pad if pad else np.zeros_like(graph.when)
    columns = made.order, graph.edges.first, graph.edges.src, weight, graph.floor, extra
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


def longest(order: Ints, first: Ints, source: Ints, weight: I64, floor: I64, extra: I64) -> I64:
    """As `walked.longest`, which is faster."""
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
        # recorded time less what the rules give, which may be more; and what they leave of an edge
        self._above, self._own = _reached(graph)
        # what waits for nothing in the file has nothing above it
        self._above[graph.places.start + graph.pinned] = -1
        self._when = graph.when
        self._run = kernel(len(graph.when))
        # without the kernel lists are walked faster
        self._lists: Lists = ([], [], [])
        if not self._run:
            self._lists = self._above.tolist(), self._own.tolist(), self._when.tolist()

    def on_path(self, begin: int, end: int) -> int:
        """ns of the path from time `begin` to the point `end`."""
        most = int(self._when[end]) - begin
        if self._run:
            total, v = walked.path(self._run, self._above, self._own, self._when, end, begin)
        else:
            total, v = path(self._lists, end, begin)
        left = int(self._when[v]) - begin
        if left > 0:  # the path begins here: all before it is unexplained
            return min(total + left, most)
        return min(max(total, 0), most)


def path(columns: Lists, v: int, until: int) -> tuple[int, int]:
    """As `walked.path`, which is faster. `columns` are who is above, the cost and the time."""
    (above, cost, when), total = columns, 0
    while when[v] > until and above[v] >= 0:
        total += cost[v]
        v = above[v]
    return total, v
