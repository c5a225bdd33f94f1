"""When each point of a graph happens: the longest path to it, in one pass over the edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tracekit.attribution.replay.graph import NEVER, Graph
from tracekit.errors import MissingEventsError
from tracekit.trace.trace import I64


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A graph made ready to be evaluated many times."""

    graph: Graph
    order: list[int]  # of the points: each after all that it waits for
    first: list[int]  # [V + 1] where the edges of each point begin
    kept: I64  # [E] fixed time, no more than what was recorded
    pad: I64  # [V] what the rules do not explain of each point's time, 0 or more


def plan(graph: Graph, path: str) -> Plan:
    """The order in which points can be evaluated. Raises: MissingEventsError for a circle."""
    count = len(graph.when)
    edges = graph.edges
    first = np.searchsorted(edges.dst, np.arange(count + 1)).tolist()
    order = _order(graph, count)
    if len(order) < count:
        raise MissingEventsError(
            "its waits form a circle, so their order is not known",
            where=path,
            hint="record with cuda_sync events, so that no wait is inferred",
        )
    room = graph.when[edges.dst] - graph.when[edges.src] - edges.work
    kept = np.minimum(edges.fixed, room)
    reached = graph.floor.copy()
    np.maximum.at(reached, edges.dst, graph.when[edges.src] + kept + edges.work)
    return Plan(graph, order, first, kept, graph.when - reached)


def _order(graph: Graph, count: int) -> list[int]:
    """Points so that each comes after its sources, without those of a circle."""
    edges = graph.edges
    waiting = np.bincount(edges.dst, minlength=count).tolist()
    by_source = np.argsort(edges.src, kind="stable")
    target = edges.dst[by_source].tolist()
    begins = np.searchsorted(edges.src[by_source], np.arange(count + 1)).tolist()
    order = [v for v in range(count) if not waiting[v]]
    for v in order:
        for at in range(begins[v], begins[v + 1]):
            u = target[at]
            waiting[u] -= 1
            if not waiting[u]:
                order.append(u)
    return order


def solve(
    made: Plan, weight: I64, *, pad: bool, dropped: npt.NDArray[np.bool_] | None = None
) -> I64:
    """[V] when each point happens with these lengths of edges ([E], ns).

    With `pad`, what no rule explains is added to each point as it was recorded.
    """
    if dropped is not None:
        weight = np.where(dropped, NEVER, weight)
    source, length, first = made.graph.edges.src.tolist(), weight.tolist(), made.first
    extra = made.pad.tolist() if pad else [0] * len(made.order)
    at = made.graph.floor.tolist()
    for v in made.order:
        best = at[v]
        for e in range(first[v], first[v + 1]):
            here = at[source[e]] + length[e]
            if here > best:
                best = here
        at[v] = best + extra[v]
    return np.array(at, np.int64)


def explained(made: Plan) -> I64:
    """[V] recorded time less what the rules give, of each point; negative where they give more.

    With the time that an edge itself leaves unexplained.
    """
    edges, when = made.graph.edges, made.graph.when
    reached = made.graph.floor.copy()
    np.maximum.at(reached, edges.dst, when[edges.src] + edges.fixed + edges.work)
    return np.asarray(when - reached)


def lag_on_path(made: Plan, begin: int, end: int, own: I64, bound: list[int]) -> int:
    """ns of the critical path from time `begin` to the point `end` that no rule explains.

    `own` is `explained`, `bound` is `binding`.
    """
    graph, total, v = made.graph, 0, end
    most = int(graph.when[end]) - begin
    source, lag = graph.edges.src, graph.lag
    pinned = set(graph.start[graph.pinned].tolist())
    while graph.when[v] > begin:
        edge = bound[v]
        if v in pinned or edge < 0:
            # it waits for nothing in the file: all before it is unexplained
            return min(total + int(graph.when[v]) - begin, most)
        total += int(own[v]) + int(lag[edge])
        v = int(source[edge])
    return min(max(total, 0), most)


def binding(made: Plan) -> list[int]:
    """[V] the edge that each point waited for longest as recorded; -1 where there is none."""
    edges, when = made.graph.edges, made.graph.when
    reach = when[edges.src] + made.kept + edges.work
    best = np.full(len(when), -1, np.int64)
    order = np.argsort(reach, kind="stable")
    best[edges.dst[order]] = order  # the latest is written last
    return best.tolist()
