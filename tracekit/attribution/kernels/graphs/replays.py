"""The work of each graph launch, in the order in which the graph was captured."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.records import Record
from tracekit.trace.trace import I64, Trace


class Replay(Record, frozen=True, eq=False):
    """One launch of a graph."""

    launch: int  # row of `links.calls`
    work: I64  # [N] rows of `links.work`


def replays(trace: Trace) -> list[Replay]:
    """The graph launches that have work in the trace, in their order.

    Nodes are in the order of their numbers, which is that of capture; where no numbers are
    recorded, in the order of their starts, which is another where branches of a graph overlap.
    """
    rows = np.flatnonzero(links.replayed(trace))
    launch = links.launch_row(trace)[rows]
    node = trace.table("graph_nodes").take(links.work(trace).id[rows], "node", -1)
    order = np.lexsort((rows, launch))
    cuts = np.flatnonzero(np.diff(launch[order])) + 1
    out = []
    for mine in np.split(order, cuts) if len(order) else ():
        numbers = node[mine]
        if (numbers >= 0).all() and len(np.unique(numbers)) == len(numbers):
            mine = mine[np.argsort(numbers, kind="stable")]
        out.append(Replay(int(launch[mine[0]]), rows[mine]))
    return out
