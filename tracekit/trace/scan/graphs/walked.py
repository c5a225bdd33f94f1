"""What is asked of the kernel about a graph, with numpy columns given and returned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracekit.records import Record
from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.asked import Columns, Kernel, ask
from tracekit.trace.trace import I32, I64, Ints, Mask

Kinds = npt.NDArray[np.uint8]


class Block(Record, frozen=True, eq=False):
    """Edges in any order."""

    src: I32
    dst: I32
    ns: Ints
    kind: Kinds


class Sorted(Record, frozen=True, eq=False):
    """E edges of V points, by target; those into one point as they came."""

    first: I32  # [V + 1] where those into each point begin
    src: I32
    ns: Ints  # of 64 bits where one does not fit in 32
    kind: Kinds


def placed(run: Kernel, blocks: list[Block], points: int) -> Sorted:
    """All edges of the blocks, which are given up one by one."""
    counts = np.zeros(points + 2, np.int32)  # of each point two further on
    for block in blocks:
        given: Columns = {lay.TRACKS: block.dst, lay.OUT: counts[2:]}
        ask(run, lay.TALLY, given, {lay.LENGTH: len(block.dst)})
    np.cumsum(counts, dtype=np.int32, out=counts)
    size, width = int(counts[-1]), width_of(blocks)
    ns: Ints = np.empty(size, width)
    out = Sorted(counts[:-1], np.empty(size, np.int32), ns, np.empty(size, np.uint8))
    while blocks:
        block = blocks.pop(0)
        weight: Ints = block.ns.astype(width, copy=False)
        given = {
            lay.TRACKS: block.dst, lay.EDGE_END: block.src, lay.CATS: block.kind,
            lay.WEIGHT: weight, lay.FIRST: counts[1:],
            lay.SORTED: out.src, lay.SUMS: out.ns, lay.MARKS: out.kind,
        }  # fmt: skip
        ask(run, lay.FILL, given, {lay.LENGTH: len(block.dst), lay.WIDE: int(width is np.int64)})
    return out


def width_of(blocks: list[Block]) -> type[np.int32 | np.int64]:
    """What the lengths of all of them fit in."""
    wide = any(len(block.ns) and block.ns.dtype == np.int64 for block in blocks)
    return np.int64 if wide else np.int32


def ordered(run: Kernel, first: I32, source: I32) -> I32:
    """[V] points so that each comes after its sources; fewer where there is a circle."""
    count = len(first) - 1
    found = np.empty(count, np.int32)
    given: Columns = {
        lay.FIRST: first, lay.EDGE_END: source, lay.SORTED: found,
        lay.WAITING: np.zeros(count, np.int32),
    }  # fmt: skip
    block = ask(run, lay.ORDER, given, {lay.POINTS: count})
    return found[: block[lay.RESULT]]


def longest(
    run: Kernel, order: I32, edges: Sorted, ns: Ints, floor: I64, dropped: Mask | None,
    when: I64 | None,
) -> I64:  # fmt: skip
    """[V] when each point happens: `floor`, which is written over, or the latest of its edges,
    which take `ns`; those `dropped` hold nothing.

    With `when`, the times as they were recorded, what `edges` do not explain of these is added.
    """
    own = edges.ns
    if own.dtype != ns.dtype:
        own, ns = (column.astype(np.int64, copy=False) for column in (own, ns))
    given: Columns = {
        lay.SORTED: order, lay.FIRST: edges.first, lay.EDGE_END: edges.src, lay.WEIGHT: ns,
        lay.WHEN: floor,
    }  # fmt: skip
    if dropped is not None:
        given = {**given, lay.CANDIDATES: dropped}
    if when is not None:
        given = {**given, lay.EXTRA: own, lay.BEGINS: when}
    ask(run, lay.LONGEST, given, {lay.POINTS: len(order), lay.WIDE: _is_wide(ns)})
    return floor


def reached(
    run: Kernel, edges: Sorted, floor: I64, when: I64, lagging: I64, lag: I64
) -> tuple[I32, I64]:
    """[V] whence the edge is that lets each point come last, though no later than it came, `when`,
    of several the last, or -1; and [V] what is left of when it came, its `floor`, which is written
    over. Of the edges `lagging`, ascending, so much is left, too.
    """
    above = np.empty(len(floor), np.int32)
    given: Columns = {
        lay.FIRST: edges.first, lay.EDGE_END: edges.src, lay.WEIGHT: edges.ns, lay.WHEN: when,
        lay.LASTS: floor, lay.ABOVE: above, lay.ASKED_BEGINS: lagging, lay.COST: lag,
    }  # fmt: skip
    numbers = {
        lay.POINTS: len(floor), lay.WIDE: _is_wide(edges.ns), lay.ASKED: len(lagging)
    }  # fmt: skip
    ask(run, lay.REACH, given, numbers)
    return above, floor


def path(run: Kernel, above: I32, cost: I64, when: I64, begin: int, until: int) -> tuple[int, int]:
    """The sum of `cost` from a point up to the first not after `until`, or without one above; and
    that point. All columns [V].
    """
    given: Columns = {lay.ABOVE: above, lay.COST: cost, lay.WHEN: when}
    block = ask(run, lay.PATH, given, {lay.FROM: begin, lay.UNTIL: until})
    return int(block[lay.RESULT]), int(block[lay.FROM])


def _is_wide(column: Ints) -> int:
    return int(column.dtype == np.int64)
