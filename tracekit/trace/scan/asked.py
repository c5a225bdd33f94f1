"""What is asked of the kernel beside reading text, with numpy columns given and returned."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tracekit.trace.scan import layout as lay
from tracekit.trace.trace import I64, Mask

Kernel = Callable[[int], int]


def _run(
    run: Kernel, job: int, columns: Mapping[int, I64 | Mask], numbers: Mapping[int, int]
) -> I64:
    """The block after a run; columns are contiguous and live until it is over."""
    block = np.zeros(lay.FIELDS, np.int64)
    block[lay.JOB] = job
    for field, column in columns.items():
        assert column.flags.c_contiguous
        block[field] = column.ctypes.data
    for field, number in numbers.items():
        block[field] = number
    run(block.ctypes.data)
    return block


def nested(run: Kernel, track: I64, end: I64, candidate: Mask) -> I64:
    """What `nesting` asks for of spans in order."""
    above = np.empty(len(track), np.int64)
    given = {lay.TRACKS: _whole(track), lay.ENDS: _whole(end), lay.ABOVE: above}
    flags = np.ascontiguousarray(candidate, bool)
    _run(run, lay.NEST, {**given, lay.CANDIDATES: flags}, {lay.LENGTH: len(track)})
    return above


def ordered(run: Kernel, waiting: I64, first: I64, target: I64) -> I64:
    """Points of a graph so that each comes after its sources, without those of a circle.

    `waiting` [V] counts the edges into each point; those out of v go to `target[first[v]]` up to
    `target[first[v + 1] - 1]`.
    """
    found = np.empty(len(waiting), np.int64)
    given = {lay.FIRST: _whole(first), lay.EDGE_END: _whole(target), lay.SORTED: found}
    left = np.array(waiting, np.int64)  # counted down
    block = _run(run, lay.ORDER, {**given, lay.WAITING: left}, {lay.POINTS: len(waiting)})
    return found[: block[lay.RESULT]]


def longest(
    run: Kernel, order: I64, first: I64, source: I64, weight: I64, floor: I64, extra: I64
) -> I64:
    """[V] when each point happens: `floor`, or the latest of its edges, and its `extra`.

    Edges into v are `first[v]` up to `first[v + 1] - 1`, each from `source` after `weight`.
    """
    when = np.array(floor, np.int64)
    given = {
        lay.SORTED: _whole(order), lay.FIRST: _whole(first), lay.EDGE_END: _whole(source),
        lay.WEIGHT: _whole(weight), lay.EXTRA: _whole(extra), lay.WHEN: when,
    }  # fmt: skip
    _run(run, lay.LONGEST, given, {lay.POINTS: len(order)})
    return when


def path(run: Kernel, above: I64, cost: I64, when: I64, begin: int, until: int) -> tuple[int, int]:
    """The sum of `cost` from a point up to the first not after `until`, or without one above; and
    that point. All columns [V]."""
    given = {lay.ABOVE: _whole(above), lay.COST: _whole(cost), lay.WHEN: _whole(when)}
    block = _run(run, lay.PATH, given, {lay.FROM: begin, lay.UNTIL: until})
    return int(block[lay.RESULT]), int(block[lay.FROM])


def _whole(column: I64) -> I64:
    return np.ascontiguousarray(column, np.int64)
