"""The answer of `tree`, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.trace.trace import I64

ROOT, STAGE, MODULE, OP, KERNEL = "all", "stage", "module", "op", "kernel"
COPY, FILL, OUTSIDE_OPS = "copy", "fill", "outside ops"
IDLE, CAUSE, HOST, OTHERS = "idle", "cause", "host", "others"
WAITING = frozenset({IDLE, CAUSE, HOST})  # no work of a device: where it waited, and for what
LEAVES = frozenset({KERNEL, COPY, FILL})


class Node(Record, frozen=True):
    """A stage, a module, an op, a kernel, or a cause of idleness, by all that is around it."""

    parent: int  # place of the one around it; -1 for the first, which is all
    kind: str  # see the names above
    name: str
    count: int  # kernels, copies and memsets in it; without a GPU calls; of idle time stretches
    ns: int  # with its children: durations added up; of idle time its length
    category: str | None  # of a kernel, a copy, a fill; without a GPU of an op
    floor_ns: float | None  # the least time for `described_ns` of it; None where nothing has one
    described_ns: int  # of ns: kernels of ops with a formula
    line: str | None  # of the program that launched most of it, where stacks were recorded

    @property
    def waits(self) -> bool:
        """Whether it is time without work."""
        return self.kind in WAITING


class Track(Record, frozen=True):
    """A row of the picture: a stream, a thread, or the idle time of a device."""

    label: str
    kind: str  # stream, thread, idle
    device: int  # -1 for threads
    count: int  # slices on it
    ns: int  # their durations added up


class Slices(Record, frozen=True, eq=False):
    """S slices that are drawn one by one, by track and start, and R runs of all others.

    Times in ns from the first slice of the trace.
    """

    track: I64  # [S] index into tracks
    start: I64  # [S]
    dur: I64  # [S]
    name: I64  # [S] index into names
    node: I64  # [S] index into nodes; -1: of none
    rest: I64  # [5, R] track, start, end, how many, their durations added up

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class Tree:
    """One trace, from its stages down to its kernels."""

    path: str
    gpu: bool  # else host time of ops
    start_ns: int  # of what is drawn, from the first slice of the trace
    end_ns: int
    nodes: tuple[Node, ...]  # a parent stands before its children
    tracks: tuple[Track, ...]
    left_out: int  # threads and streams that have no track
    view: tuple[int, int]  # start and end of what is shown first
    rank: str | None = None  # of a file of several; None where it holds one process
    names: tuple[str, ...] = field(default=(), metadata={"json": False})
    slices: Slices | None = field(default=None, compare=False, metadata={"json": False})


class Trees(Result, Record, frozen=True):
    analysis = "tree"

    rows: tuple[Tree, ...]
