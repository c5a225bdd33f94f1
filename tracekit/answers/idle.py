"""The answer of `idle`, as data."""

from __future__ import annotations

from tracekit.attribution.gaps import Gap, HostCall
from tracekit.attribution.idle.by_cause import By
from tracekit.attribution.reasons.before import Before
from tracekit.attribution.reasons.rows import IdleReason
from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.taxonomy import Whole


class DeviceIdle(Record, frozen=True):
    """The idle part of one device's window; the classes add up to it."""

    device: int
    window_ns: int
    idle_ns: int
    causes: By
    suspect_ns: int  # of idle_ns: launched long before, nothing in the file ran
    suspect_causes: By  # the classes that it is in; they add up to it
    gaps: int
    longest_ns: int
    rank: str | None = None  # of a file of several; None where it holds one process

    @property
    def seen_window_ns(self) -> int:
        """Without unaccounted time: what reports call the window, and every share is of."""
        return self.window_ns - self.suspect_ns

    @property
    def seen_idle_ns(self) -> int:
        """Without unaccounted time: what reports call idle."""
        return self.idle_ns - self.suspect_ns

    @property
    def seen_causes(self) -> By:
        """They add up to seen_idle_ns."""
        return self.causes.less(self.suspect_causes)

    @property
    def idle_share(self) -> float | None:
        """Of the window without unaccounted time; None where that is empty."""
        return self.seen_idle_ns / self.seen_window_ns if self.seen_window_ns else None


class StageIdle(Record, frozen=True):
    """Idle time of all instances of a family, all devices together."""

    family: str
    wall_ns: int
    idle_ns: int  # by clock: during the markers no device had work
    causes: By
    suspect_ns: int
    suspect_causes: By
    launched_window_ns: int | None  # None, as the next four, without any launch in the trace
    launched_idle_ns: int | None  # by launch: in the window of the stage's own work
    launched_causes: By | None
    launched_suspect_ns: int | None
    launched_suspect_causes: By | None

    @property
    def is_all(self) -> bool:
        """Whether this is all stages together."""
        return isinstance(self.family, Whole)

    def seen_causes(self, *, launched: bool) -> By | None:
        """Idle time without unaccounted time, by launch or by clock; None where not known."""
        if not launched:
            return self.causes.less(self.suspect_causes)
        if self.launched_causes is None or self.launched_suspect_causes is None:
            return None
        return self.launched_causes.less(self.launched_suspect_causes)


class Lengths(Record, frozen=True):
    """Gaps of one length class, all devices together."""

    under_ns: int | None  # None: the longest class has no end
    count: int
    ns: int
    causes: By
    suspect_causes: By  # the part of them that is suspect

    @property
    def seen_causes(self) -> By:
        """Without unaccounted time."""
        return self.causes.less(self.suspect_causes)


class IdleTime(Result, Record, frozen=True):
    analysis = "idle"

    rows: tuple[DeviceIdle, ...]
    stages: tuple[StageIdle, ...]
    longest: tuple[Gap, ...]
    doings: tuple[HostCall, ...]
    lengths: tuple[Lengths, ...]
    reasons: tuple[IdleReason, ...]  # by device, the longest first; add up to its idle time
    before: tuple[Before, ...] = ()  # of stages that launch nothing, before the first work
