"""Loops over spans, compiled where a large trace has loaded them; else numpy does the same.

Each gives None where what it is given is not in the order that it needs.
"""

from __future__ import annotations

from typing import Protocol

from tracekit.records import Record
from tracekit.trace.trace import I32, I64, Ints, Mask

MANY = 10_000  # rows: of fewer, numpy is as fast


class Stack(Record, frozen=True, eq=False):
    """M spans in order of their start, the longer first, and how they are nested on each track."""

    track: I32  # [M] the track: a number from 0 below `tracks`
    begin: I64  # [M]
    end: I64  # [M]
    above: I32  # [M] the nearest span before on its track that ends no earlier, or -1
    tracks: int


class Coded(Record, frozen=True, eq=False):
    """Numbers as indices of distinct ones, in the order in which those come."""

    first: I64  # [D] the row in which each comes first
    code: I32  # [N]


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

    def union(self, begin: I64, end: I64) -> I64 | None:
        """As `intervals.union`; by start."""
        ...

    def intersect(self, one: I64, two: I64) -> I64 | None:
        """As `intervals.intersect`; those of either do not overlap."""
        ...

    def covered(self, flat: I64, windows: I64) -> I64:
        """As `intervals.covered`."""
        ...

    def grouped(self, numbers: Ints, first: I64) -> I32:
        """As `segments.grouped`; `first` is where the rows of each number begin."""
        ...

    def coded(self, values: Ints) -> Coded | None:
        """What `segments.codes` makes of them, not sorted; None where most are distinct."""
        ...

    def crossed(
        self, parent: I64, track: I64, tracks: int, begin: I64, end: I64
    ) -> tuple[Mask, I64]:
        """[N] whether a span begins inside one beside it that began before and ends later so far,
        and [N] when that ends, or the span itself.

        By start. Spans of one `parent` are beside one another, as those without (-1) of one track.
        """
        ...


loops: Loops | None = None  # set by who loads the machine code


def of(rows: int) -> Loops | None:
    """The loops, where they are there and worth their call."""
    return loops if rows >= MANY else None
