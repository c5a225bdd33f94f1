"""The answer of `critical_path`, as data."""

from __future__ import annotations

from tracekit.records import Record
from tracekit.results.result import Result


class CauseShare(Record, frozen=True):
    cause: str
    ns: int
    share: float | None  # of the path
    edges: int


class PathThrough(Record, frozen=True):
    """The path through one instance."""

    trace: str
    annotation: str  # 'whole trace' where none was followed
    instance: int  # of this name, from 0
    wall_ns: int  # of the annotation; of the whole trace first start to last end
    path_ns: int  # all edges added up: GPU work may end after the annotation
    edges: int
    causes: tuple[CauseShare, ...]
    rank: str | None = None  # of a file of several; None where it holds one process


class LongEdge(Record, frozen=True):
    trace: str
    name: str
    cause: str
    kind: str  # HTA's type of edge
    ns: int
    share: float | None  # of its path
    rank: str | None = None  # of a file of several; None where it holds one process


class CriticalPath(Result, Record, frozen=True):
    analysis = "critical_path"

    rows: tuple[PathThrough, ...]
    edges: tuple[LongEdge, ...]  # the longest of all paths
