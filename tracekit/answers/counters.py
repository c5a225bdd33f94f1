"""The answer of `counters`, as data."""

from __future__ import annotations

from tracekit.records import Record
from tracekit.results.result import Result


class KernelCounter(Record, frozen=True):
    """One hardware counter of all ranges of one kernel."""

    kernel: str  # as the range is called
    counter: str  # as CUPTI calls it
    ranges: int  # that have a value
    total: float
    mean: float
    least: float
    most: float
    rank: str | None = None  # of a file of several; None where it holds one process


class Counters(Result, Record, frozen=True):
    analysis = "counters"

    rows: tuple[KernelCounter, ...]  # by counter, the most first
    ranges: int  # of the file, with counters
