"""The answer of `counters`, as data."""

from __future__ import annotations

from dataclasses import dataclass

from tracekit.results.result import Result


@dataclass(frozen=True, slots=True)
class KernelCounter:
    """One hardware counter of all ranges of one kernel."""

    kernel: str  # as the range is called
    counter: str  # as CUPTI calls it
    ranges: int  # that have a value
    total: float
    mean: float
    least: float
    most: float
    rank: str | None = None  # of a file of several; None where it holds one process


@dataclass(frozen=True, slots=True)
class Counters(Result):
    analysis = "counters"

    rows: tuple[KernelCounter, ...]  # by counter, the most first
    ranges: int  # of the file, with counters
