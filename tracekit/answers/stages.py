"""The answer of `stages`, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tracekit.attribution.idle.host_time import Host, HostDetail
from tracekit.attribution.stages.split import Clock, ClockDetail, Launched, LaunchedDetail
from tracekit.results.result import Result


@dataclass(frozen=True, slots=True)
class Instance:
    stage: str  # the recognised phase, or the name itself
    name: str
    start_ns: int  # from the first slice of the trace
    wall_ns: int
    clock: Clock | None  # None without GPU events
    launched: Launched | None  # None without GPU events, or without any launch in the trace
    host: Host | None  # None with GPU events
    clock_detail: ClockDetail | None
    launched_detail: LaunchedDetail | None
    host_detail: HostDetail | None
    family: str  # what instances of this kind are called together
    nested: bool  # inside another instance listed here
    repeated: bool  # inside another instance of its family: in no total
    sample: int | None  # of tracekit's own captures
    file_start_ns: int  # as the file counts: absolute where the file is

    @property
    def window(self) -> tuple[int, int] | None:
        """Start and length of the window of its own work; None where it launched none."""
        if self.launched is None or self.launched_detail is None:
            return None
        start = self.launched_detail.start_ns
        return None if start is None else (start, self.launched.window_ns)


@dataclass(frozen=True, slots=True)
class Total:
    """All instances of one family. Time that several share counts once."""

    family: str
    instances: int  # without those inside another of the family
    wall_ns: int
    mean_ns: float | None  # of the wall time of one instance, as the next four
    median_ns: float | None
    min_ns: int | None
    max_ns: int | None
    spread_ns: float | None  # standard deviation over the instances
    clock: Clock | None
    launched: Launched | None
    host: Host | None
    clock_detail: ClockDetail | None
    launched_detail: LaunchedDetail | None
    host_detail: HostDetail | None
    ops: Mapping[str, int] | None  # host.op_ns by category of the innermost op


@dataclass(frozen=True, slots=True)
class Unattributed:
    """GPU work that no stage launched."""

    outside_count: int  # launched, but inside no stage
    unlaunched_count: int  # its launch is not in the trace
    busy_ns: int  # device time that only such work covers


@dataclass(frozen=True, slots=True)
class Stages(Result):
    analysis = "stages"

    chosen: str  # what the stages are, in words
    rows: tuple[Instance, ...]
    totals: tuple[Total, ...]  # by family, in order of first start; the last is all stages
    unattributed: Unattributed | None
    devices: int  # with work in the trace; they are taken together
