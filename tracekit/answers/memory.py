"""The answer of `memory`, as data."""

from __future__ import annotations

from tracekit.records import Record
from tracekit.results.result import Result


class Device(Record, frozen=True):
    """One memory. The allocator's own totals as it wrote them with each event, in bytes."""

    trace: str  # the file
    memory: str  # CUDA 0, CPU
    events: int
    allocated_first: int  # after the first event
    allocated_last: int
    allocated_peak: int
    peak_ns: int | None  # when, from the first slice of the trace, or the first event of a snapshot
    reserved_peak: int | None  # held by the caching allocator; None where it has none
    allocations: int
    frees: int
    requested: int  # bytes of all allocations added up
    series_ns: tuple[int, ...]  # instants of the curve: the highest event of each of ≤ 400 bins
    series_allocated: tuple[int, ...]
    series_reserved: tuple[int, ...]
    rank: str | None = None  # of a file of several; None where it holds one process


class StagePeak(Record, frozen=True):
    trace: str
    memory: str
    stage: str
    instances: int
    allocated_peak: int  # the highest while an instance ran, with what was held at its start
    reserved_peak: int | None
    growth: int  # allocated at the end less at the start, added up over the instances
    requested: int  # bytes of the allocations within
    rank: str | None = None  # of a file of several; None where it holds one process


class Piece(Record, frozen=True):
    """Allocations of one size by one op in one stage."""

    memory: str
    bytes: int  # of one
    op: str | None  # the innermost op around them that does more than allocate
    stage: str | None
    count: int
    at_ns: int  # the first of them, from the first slice of its trace
    held_ns: int | None  # the longest; None where the trace holds no end of any
    rank: str | None = None  # of a file of several; None where it holds one process


class Holder(Record, frozen=True):
    """Blocks that were held at the peak of a memory snapshot, by the stack that allocated them."""

    memory: str
    bytes: int  # that the program asked for
    blocks: int
    line: str  # the innermost line of the program's own code, else the innermost that there is
    stack: tuple[str, ...]  # innermost first, at most 12; empty where not recorded
    rank: str | None = None


class AtPeak(Record, frozen=True):
    """Allocations of a trace that were live at the peak, by who made them."""

    memory: str
    bytes: int  # added up
    blocks: int | None  # None: allocated before the recording, so nobody can say by what
    op: str | None  # the innermost op around them that does more than allocate
    module: str | None  # the innermost nn.Module around them
    rank: str | None = None


class Reserve(Record, frozen=True):
    """Where the reserved bytes were when the snapshot was taken; the parts add up to `reserved`."""

    memory: str
    reserved: int
    requested: int  # what tensors asked for
    rounding: int  # beyond that, in their blocks
    pending: int  # freed, but a stream may use it still
    split: int  # free pieces of segments that are in use: only for what fits
    spare: int  # segments with nothing in use
    segments: int
    largest_free: int  # the largest free piece
    rank: str | None = None


class Failure(Record, frozen=True):
    """An allocation that failed for want of memory."""

    memory: str
    bytes: int  # asked for
    free: int | None  # what the driver had left
    at_ns: int | None  # from the first event of the snapshot
    line: str
    rank: str | None = None


class Memory(Result, Record, frozen=True):
    analysis = "memory"

    rows: tuple[Device, ...]
    stages: tuple[StagePeak, ...]
    largest: tuple[Piece, ...]
    # of a memory snapshot
    held: tuple[Holder, ...] = ()
    reserves: tuple[Reserve, ...] = ()
    failures: tuple[Failure, ...] = ()
    peaks: tuple[AtPeak, ...] = ()  # of a trace
