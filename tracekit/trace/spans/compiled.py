"""Loops over spans, compiled where a large trace has loaded them; else numpy does the same.

Each gives None where what it is given is not in the order that it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tracekit.records import Record
from tracekit.trace.trace import I32, I64, Ints, Mask

Groups = Sequence[Sequence[int]]  # of categories

MANY = 1_000  # rows: of fewer, numpy is as fast


class Stack(Record, frozen=True, eq=False):
    """M spans in order of their start, the longer first, and how they are nested on each track."""

    track: I32  # [M] the track: a number from 0 below `tracks`
    begin: I64  # [M]
    end: I64  # [M]
    above: I32  # [M] the nearest span before on its track that ends no earlier, or -1
    tracks: int


class Coded(Record, frozen=True, eq=False):
    """Rows as indices of distinct ones, in the order in which those come."""

    first: I64  # [D] the row in which each comes first
    code: I32  # [N]


class Slices(Record, frozen=True, eq=False):
    """All slices of a trace in order of their start, the longer first."""

    track: I64  # [N] a number from 0
    begin: I64  # [N]
    end: I64  # [N]
    cat: npt.NDArray[np.uint8]  # [N]


class Enclosed(Record, frozen=True, eq=False):
    """What encloses what on each track, and what crosses what."""

    above: I32  # [N] the nearest slice before that ends no earlier, or -1
    crossed: Mask  # [N] whether one that began before ends inside it
    until: I64  # [N] when the last such ends; anything where none does


class Loops(Protocol):
    """What `scan.asked.Loops` has."""

    def nested(self, track: I64, end: I64, candidate: Mask) -> I64:
        """As `nesting.previous_reaching`."""
        ...

    def stack(self, track: I32, begin: I64, end: I64, tracks: int) -> Stack | None:
        """Spans made ready for `around`."""
        ...

    def around(self, made: Stack, track: I64, begin: I64, end: I64) -> I64 | None:
        """[N] which of the spans is the innermost around each of these, or -1; by start."""
        ...

    def union(self, begin: I64, end: I64, which: Mask | None = None) -> I64 | None:
        """As `intervals.union`, or `union_of`; by start."""
        ...

    def intersect(self, one: I64, two: I64) -> I64 | None:
        """As `intervals.intersect`; those of either do not overlap."""
        ...

    def covered(self, flat: I64, windows: I64, sums: I64) -> I64:
        """As `intervals.covered`, with `intervals.sums`."""
        ...

    def grouped(self, numbers: Ints, first: I64) -> I32:
        """As `segments.grouped`; `first` is where the rows of each number begin."""
        ...

    def coded(self, columns: Sequence[Ints], most: int) -> Coded | None:
        """What `segments.distinct` makes of them, not sorted; None where more are distinct."""
        ...

    def chained(self, above: I64, values: Ints) -> Coded | None:
        """Which distinct chain each row ends: by its value and the chain of the row above, or none.

        None where a row above comes later, or most chains are distinct.
        """
        ...

    def nearest(self, above: I32, wanted: Mask) -> I32 | None:
        """As `nesting.nearest`; what is above a row comes before it."""
        ...

    def fresh(
        self, group: I64, begin: I64, end: I64, groups: int, which: Mask | None
    ) -> I64 | None:
        """As `segments.union_ns`; those of a group by start."""
        ...

    def again(self, values: I64) -> I32:
        """As `segments.previous`."""
        ...

    def below(self, ascending: I64, wanted: I64) -> I64:
        """As `segments.below`."""
        ...

    def enclosed(self, slices: Slices, groups: Groups) -> Enclosed | None:
        """What encloses what among the slices of each group of categories; others are in none."""
        ...

    def inside(self, slices: Slices, above: I32, track: I64, begin: I64, end: I64) -> I64:
        """[S] the innermost slice of the category 1 around each span, or -1; by start.

        `above` is what `enclosed` says of these alone.
        """
        ...

    def opened(
        self, slices: Slices, track: int, cats: Sequence[int], windows: I64
    ) -> tuple[I64, I64] | None:
        """[P, 2] pieces of flat windows, and [P] the innermost slice of one track, of these
        categories and not empty, that is open then; none where none is.
        """
        ...

    def climbed(self, above: I64, row: I64, wanted: Mask) -> I64:
        """[S] the row itself or the nearest one above it that is wanted, -1 where none is."""
        ...

    def gathered(
        self, track: I64, begin: I64, length: I64, left: Mask, bins: tuple[int, int, int]
    ) -> I64:
        """[tracks * bins, 4] first start, last end, how many and durations added up, of the slices
        that start in each bin of each track and are not left out; all 0 where none does.

        Bins: where they begin, how wide they are, how many.
        """
        ...


loops: Loops | None = None  # set by who loads the machine code


def of(rows: int) -> Loops | None:
    """The loops, where they are there and worth their call."""
    return loops if rows >= MANY else None
