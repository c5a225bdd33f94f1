"""The answer of `timeline`, as data."""

from __future__ import annotations

from tracekit.records import Record
from tracekit.results.result import Result


class Part(Record, frozen=True):
    """One kind of work of a strip: ns of each bin that it covered."""

    kind: str
    busy_ns: tuple[int, ...]


class Strip(Record, frozen=True):
    """One stream, or one thread of a trace without a GPU; or several that had the least work."""

    label: str
    slices: int
    merged: int  # how many streams or threads are in it
    busy_ns: int
    parts: tuple[Part, ...]


class Mark(Record, frozen=True):
    """A stretch of the host's annotations; `count` neighbours of one name may be one stretch."""

    name: str
    start_ns: int
    length_ns: int
    count: int


class Gap(Record, frozen=True):
    """A part of a stretch in which no stream of the device had work; `cause` is a causes.Cause."""

    device: int
    start_ns: int
    length_ns: int
    cause: str
    before: str  # the work that ended it


class Timeline(Result, Record, frozen=True):
    """One trace on its own axis; times in ns from the first slice of the trace."""

    path: str
    start_ns: int
    bin_ns: int
    gpu: bool
    strips: tuple[Strip, ...]
    marks: tuple[Mark, ...]
    mark_count: int  # annotations on the track, before neighbours were joined
    gaps: tuple[Gap, ...]  # the longest
    gap_count: int
    gap_ns: int
    undrawn_gap_ns: int
    rank: str | None = None  # of a file of several; None where it holds one process


class Timelines(Result, Record, frozen=True):
    analysis = "timeline"

    rows: tuple[Timeline, ...]
