"""The answer of `memory`, as data."""

from __future__ import annotations

from dataclasses import dataclass

from tracekit.results.result import Result


@dataclass(frozen=True, slots=True)
class Device:
    """One memory. The allocator's own totals as it wrote them with each event, in bytes."""

    trace: str  # the file
    memory: str  # CUDA 0, CPU
    events: int
    allocated_first: int  # after the first event
    allocated_last: int
    allocated_peak: int
    peak_ns: int  # when, from the first slice of the trace
    reserved_peak: int | None  # held by the caching allocator; None where it has none
    allocations: int
    frees: int
    requested: int  # bytes of all allocations added up
    series_ns: tuple[int, ...]  # instants of the curve: the highest event of each of ≤ 400 bins
    series_allocated: tuple[int, ...]
    series_reserved: tuple[int, ...]
    rank: str | None = None  # of a file of several; None where it holds one process


@dataclass(frozen=True, slots=True)
class StagePeak:
    trace: str
    memory: str
    stage: str
    instances: int
    allocated_peak: int  # the highest while an instance ran, with what was held at its start
    reserved_peak: int | None
    growth: int  # allocated at the end less at the start, added up over the instances
    requested: int  # bytes of the allocations within
    rank: str | None = None  # of a file of several; None where it holds one process


@dataclass(frozen=True, slots=True)
class Piece:
    """Allocations of one size by one op in one stage."""

    memory: str
    bytes: int  # of one
    op: str | None  # the innermost op around them that does more than allocate
    stage: str | None
    count: int
    at_ns: int  # the first of them, from the first slice of its trace
    held_ns: int | None  # the longest; None where the trace holds no end of any
    rank: str | None = None  # of a file of several; None where it holds one process


@dataclass(frozen=True, slots=True)
class Memory(Result):
    analysis = "memory"

    rows: tuple[Device, ...]
    stages: tuple[StagePeak, ...]
    largest: tuple[Piece, ...]
