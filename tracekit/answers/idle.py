"""The answer of `idle`, as data."""

from __future__ import annotations

from dataclasses import dataclass

from tracekit.attribution.gaps import Gap, HostCall
from tracekit.attribution.idle.by_cause import By
from tracekit.attribution.reasons.rows import IdleReason
from tracekit.results.result import Result
from tracekit.taxonomy import Whole


@dataclass(frozen=True, slots=True)
class DeviceIdle:
    """The idle part of one device's window; the classes add up to it."""

    device: int
    window_ns: int
    idle_ns: int
    causes: By
    suspect_ns: int  # of idle_ns: launched long before, nothing in the file ran
    gaps: int
    longest_ns: int
    rank: str | None = None  # of a file of several; None where it holds one process


@dataclass(frozen=True, slots=True)
class StageIdle:
    """Idle time of all instances of a family, all devices together."""

    family: str
    wall_ns: int
    idle_ns: int  # by clock: during the markers no device had work
    causes: By
    suspect_ns: int
    launched_window_ns: int | None  # None, as the next three, without any launch in the trace
    launched_idle_ns: int | None  # by launch: in the window of the stage's own work
    launched_causes: By | None
    launched_suspect_ns: int | None

    @property
    def is_all(self) -> bool:
        """Whether this is all stages together."""
        return isinstance(self.family, Whole)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Gaps of one length class, all devices together."""

    under_ns: int | None  # None: the longest class has no end
    count: int
    ns: int
    causes: By


@dataclass(frozen=True, slots=True)
class IdleTime(Result):
    analysis = "idle"

    rows: tuple[DeviceIdle, ...]
    stages: tuple[StageIdle, ...]
    longest: tuple[Gap, ...]
    doings: tuple[HostCall, ...]
    lengths: tuple[Lengths, ...]
    reasons: tuple[IdleReason, ...]  # by device, the longest first; add up to its idle time
