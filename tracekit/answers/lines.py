"""The answer of `lines`, as data."""

from __future__ import annotations

from tracekit.records import Record
from tracekit.results.result import Result


class CodeLine(Record, frozen=True):
    """Work that one line of Python launched in one phase, and idle time that it held."""

    line: str | None  # folder/file.py:12 function; None: no frame around the launch
    own: bool  # the program's own code; False of a library's, or of none
    phase: str
    count: int  # kernels, copies and memsets
    total_ns: int  # their durations added up
    share: float | None  # of those of the phase
    kernel: str | None  # the name with most of the time
    kernel_ns: int  # its time


class HeldLine(Record, frozen=True):
    """Idle time of all devices, added up, in which one line of Python held the launching thread."""

    line: str | None  # None: no frame over half of the stretch
    own: bool
    reason: str  # of idle.reasons
    ns: int
    count: int  # stretches
    longest_ns: int


class CodeLines(Result, Record, frozen=True):
    """Rows add up to all device work; held and the rest to idle time with a reason of the host."""

    analysis = "lines"

    rows: tuple[CodeLine, ...]  # the longest first
    held: tuple[HeldLine, ...]
    idle_named: int  # stretches of idle time that were looked up: the longest
    idle_others_ns: int  # idle time in shorter ones
