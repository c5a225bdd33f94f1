"""The answer of `transfers`, as data."""

from __future__ import annotations

from tracekit.records import Record
from tracekit.results.result import Result


class Transfer(Record, frozen=True):
    """All copies or memsets of one direction, kind of host memory, phase and op."""

    direction: str  # HtoD, DtoH, DtoD, PtoP, HtoH, fill, or unknown
    host_memory: str | None  # pageable or pinned; None where the name does not say
    phase: str
    op: str | None  # the innermost framework op around the launch
    count: int
    total_ns: int  # durations added up
    bytes: int | None  # of the copies whose size is known; None where none is
    sized_count: int  # copies whose size is known
    sized_ns: int  # and their duration
    bytes_per_s: float | None  # bytes over the duration of the same copies
    blocking_count: int | None  # the host waited for the end; None where no launch is known
    blocked_ns: int | None  # host time from the launch to the return of the call that waited
    rank: str | None = None  # of a file of several; None where it holds one process


class Direction(Record, frozen=True):
    direction: str
    host_memory: str | None
    count: int
    total_ns: int
    bytes: int | None
    sized_count: int
    sized_ns: int
    bytes_per_s: float | None
    limit_bytes_per_s: float | None  # of the bus, or half of the memory's rate within a device
    limit_share: float | None
    blocking_count: int | None
    blocked_ns: int | None


class Transfers(Result, Record, frozen=True):
    analysis = "transfers"

    rows: tuple[Transfer, ...]  # the longest first
    directions: tuple[Direction, ...]
    as_kernels_count: int  # copies that the trace files as kernels: in no row
    as_kernels_ns: int
    device: str | None  # whose datasheet gives the limits
    bus: str | None
    limits: dict[str, float]  # bytes/s by direction, where known
