"""Instances of stages and their totals: sums that add up exactly, and statistics over instances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, median, pstdev
from typing import TypeVar

from tracekit.answers.stages import Instance, Total
from tracekit.attribution.idle.host_time import add_kinds
from tracekit.attribution.stages.split import LaunchedDetail
from tracekit.records import replace
from tracekit.results.result import add_fields

R = TypeVar("R")


def with_statistics(sums: Sequence[Total], rows: Sequence[Instance]) -> tuple[Total, ...]:
    """The same sums with the statistics of these rows: of all stages there are none."""
    walls: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        if not row.repeated:
            walls[row.family].append(row.wall_ns)
    outer = sum(not row.nested for row in rows)
    return tuple(_one_with_statistics(one, walls[one.family], outer) for one in sums)


def _one_with_statistics(sums: Total, walls: Sequence[int], outer: int) -> Total:
    if sums.is_all or not walls:
        return replace(sums, instances=outer if sums.is_all else 0)
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
