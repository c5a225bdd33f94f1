"""The answer of `whatif`, as data."""

from __future__ import annotations

from tracekit.records import Record
from tracekit.results.result import Result


class Outcome(Record, frozen=True):
    """One stage after one change, on one clock. None where it is not said."""

    trace: str
    change: str
    stage: str
    clock: str
    measured_ns: int
    replayed_ns: int  # with nothing changed, by the rules alone
    predicted_ns: int | None
    low_ns: int | None
    high_ns: int | None
    why: str | None  # there is no number, or only a range
    rank: str | None = None  # of a file of several; None where it holds one process

    @property
    def saves_ns(self) -> int | None:
        """What is measured less what is predicted; the least of a range."""
        return self._less(self.high_ns if self.predicted_ns is None else self.predicted_ns)

    @property
    def saves_at_least_ns(self) -> int | None:
        """What is saved at the high end of what is predicted."""
        return self._less(self.high_ns)

    @property
    def saves_at_most_ns(self) -> int | None:
        """What is saved at the low end of what is predicted."""
        return self._less(self.low_ns)

    def _less(self, ns: int | None) -> int | None:
        return None if ns is None else self.measured_ns - ns


class Replayed(Record, frozen=True):
    """One stage with nothing changed: how well its time is explained."""

    trace: str
    stage: str
    clock: str
    measured_ns: int
    replayed_ns: int
    residual: float  # replayed less measured, of what was measured
    lag_share: float  # of the critical path, what no rule explains
    gives: str  # point, range or nothing
    rank: str | None = None


class Inferred(Record, frozen=True):
    """Work that waits for work of another stream, though no record says so."""

    trace: str
    first: str
    second: str
    count: int
    rank: str | None = None


class WhatIf(Result, Record, frozen=True):
    analysis = "whatif"

    rows: tuple[Outcome, ...]  # by change, that which saves most first
    replays: tuple[Replayed, ...]
    inferred: tuple[Inferred, ...]  # the most frequent first
    notes: tuple[str, ...]  # what should be known of these numbers

    @property
    def changes(self) -> tuple[str, ...]:
        """Each change once, in order."""
        return tuple(dict.fromkeys(row.change for row in self.rows))
