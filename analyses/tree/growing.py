"""A tree under construction: paths of names, and the rows that end in each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct, field

from tracekit.answers.tree import IDLE, OTHERS, ROOT, STAGE, Node
from tracekit.records import Record
from tracekit.results import units
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64

Step = tuple[str, str]  # kind, name


class Growing(Struct):
    """Nodes in order of creation, a parent before its children; the first is all."""

    parent: list[int] = field(default_factory=lambda: [-1])
    step: list[Step] = field(default_factory=lambda: [(ROOT, "all")])
    known: dict[tuple[int, Step], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.parent)

    def at(self, inside: int, path: Iterable[Step]) -> int:
        """The node at the end of a path that begins in a node; made where it is new.

        A step with the name of the one before is the same thing seen twice, and left out.
        """
        here = inside
        for step in path:
            if self.step[here] == step:
                continue
            below = self.known.get((here, step))
            if below is None:
                below = len(self.parent)
                self.known[here, step] = below
                self.parent.append(here)
                self.step.append(step)
            here = below
        return here


class Sums(Record, frozen=True, eq=False):
    """What each of N nodes has by itself, without its children."""

    count: I64
    ns: I64
    described: I64
    floor: np.ndarray[tuple[int], np.dtype[np.float64]]
    first: I64  # ns: where it is first seen

    @classmethod
    def of(
        cls, node: I64, ns: I64, start: I64, size: int, *, described: I64 | None = None,
        floor: np.ndarray[tuple[int], np.dtype[np.float64]] | None = None,
        counted: I64 | None = None,
    ) -> Sums:  # fmt: skip
        """Of rows that end in a node each."""
        nothing = np.zeros(len(node), np.int64)
        first = np.full(size, np.iinfo(np.int64).max)
        np.minimum.at(first, node, start)
        count = np.ones(len(node), np.int64) if counted is None else counted
        return cls(
            count=segments.sums(node, count, size), ns=segments.sums(node, ns, size),
            described=segments.sums(node, nothing if described is None else described, size),
            floor=np.bincount(node, nothing if floor is None else floor, size).astype(np.float64),
            first=first,
        )  # fmt: skip


def finished(
    growing: Growing, sums: Sums, categories: Sequence[str | None], lines: Sequence[str | None],
    most: int,
) -> tuple[tuple[Node, ...], I64]:  # fmt: skip
    """At most about `most` nodes, parents first and children of a parent in order, and the place
    of each of the growing tree among them.

    The shortest are one node of their parent: 'N others'.
    """
    size = len(growing)
    above = np.array(growing.parent, np.int64)
    count, ns, described, first = (
        part.copy() for part in (sums.count, sums.ns, sums.described, sums.first)
    )
    floor = sums.floor.copy()
    for node in range(size - 1, 0, -1):  # children were made after their parents
        to = above[node]
        # how many stretches a device waited is no number of kernels
        count[to] += count[node] if growing.step[node][0] != IDLE else 0
        ns[to] += ns[node]
        described[to] += described[node]
        floor[to] += floor[node]
        first[to] = min(first[to], first[node])
    kept = np.zeros(size, bool)
    kept[np.lexsort((np.arange(size), -ns))[:most]] = True
    kept[0] = True
    # a parent has as much as its child and was made before, so what is around a kept node is kept
    into = np.arange(size)
    for node in range(1, size):
        if not kept[node]:
            into[node] = above[node] if kept[above[node]] else into[above[node]]
    below: dict[int, list[int]] = {}
    for node in np.flatnonzero(kept).tolist()[1:]:
        below.setdefault(int(above[node]), []).append(node)
    lost: dict[int, list[int]] = {}
    for node in np.flatnonzero(~kept & kept[above]).tolist():
        lost.setdefault(int(above[node]), []).append(node)
    nodes: list[Node] = []
    place = np.full(size, -1, np.int64)
    rest: dict[int, int] = {}

    def order(node: int) -> tuple[bool, bool, int, int]:
        """Stages as they came, then the longest first, idle time last."""
        own = growing.step[node][0]
        by = int(first[node]) if own == STAGE else -int(ns[node])
        return own == IDLE, own != STAGE, by, node

    def visit(node: int, parent: int) -> None:
        here = len(nodes)
        place[node] = here
        kind, name = growing.step[node]
        nodes.append(Node(
            parent, kind, name, int(count[node]), int(ns[node]), categories[node],
            float(floor[node]) if described[node] else None, int(described[node]), lines[node],
        ))  # fmt: skip
        own = below.get(node, [])
        for one in sorted(own, key=order):
            visit(one, here)
        if gone := lost.get(node):
            rest[node] = len(nodes)
            nodes.append(Node(
                here, OTHERS, units.plural(len(gone), "other"), int(count[gone].sum()),
                int(ns[gone].sum()), None,
                float(floor[gone].sum()) if described[gone].any() else None,
                int(described[gone].sum()), None,
            ))  # fmt: skip

    visit(0, -1)
    for node in np.flatnonzero(~kept).tolist():
        place[node] = rest[int(into[node])]
    return tuple(nodes), place
