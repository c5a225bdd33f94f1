"""Instances of stages and their totals: sums that add up exactly, and statistics over instances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median, pstdev
from typing import TypeVar

from tracekit.attribution.idle.host_time import Host, HostDetail, add_kinds
from tracekit.attribution.stages.split import Clock, ClockDetail, Launched, LaunchedDetail
from tracekit.results.result import add_fields

R = TypeVar("R")
ALL = "all stages"


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


def with_statistics(sums: Sequence[Total], rows: Sequence[Instance]) -> tuple[Total, ...]:
    """The same sums with the statistics of these rows: of all stages there are none."""
    walls: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        if not row.repeated:
            walls[row.family].append(row.wall_ns)
    outer = sum(not row.nested for row in rows)
    return tuple(_one_with_statistics(one, walls[one.family], outer) for one in sums)


def _one_with_statistics(sums: Total, walls: Sequence[int], outer: int) -> Total:
    if sums.family == ALL or not walls:
        return replace(sums, instances=outer if sums.family == ALL else 0)
    return replace(
        sums, instances=len(walls), mean_ns=fmean(walls), median_ns=median(walls),
        min_ns=min(walls), max_ns=max(walls), spread_ns=pstdev(walls),
    )  # fmt: skip


def add(one: Total, two: Total) -> Total:
    return Total(
        one.family, one.instances + two.instances, one.wall_ns + two.wall_ns,
        None, None, None, None, None,
        both(one.clock, two.clock), both(one.launched, two.launched), both(one.host, two.host),
        both(one.clock_detail, two.clock_detail),
        both(_no_start(one.launched_detail), _no_start(two.launched_detail)),
        both(one.host_detail, two.host_detail), add_kinds(one.ops, two.ops),
    )  # fmt: skip


def both(one: R | None, two: R | None) -> R | None:
    """The sum; not known where either is not."""
    return None if one is None or two is None else add_fields(one, two)


def _no_start(detail: LaunchedDetail | None) -> LaunchedDetail | None:
    """Instants of two traces cannot be compared."""
    return None if detail is None else replace(detail, start_ns=None)
