"""Where the wall time of each stage went: by clock, by launch, and on the host without a GPU.

Stage p, by clock, of wall time 8: kernel 5, idle 3. By launch, of the window of what p issued, 7:
own 5, other 1 (work launched elsewhere), idle 1.

    mark      pppppppp....
    host      .a.b........
    stream 7  XX..AAX.BBB.    X has no launch here
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from tracekit.answers.stages import Instance, Stages, Total, Unattributed
from tracekit.attribution import links
from tracekit.attribution.idle.busy import busy
from tracekit.attribution.idle.host_time import Host, HostDetail, host_of, host_split
from tracekit.attribution.stages import split
from tracekit.attribution.stages.instances import CHOICES, Markers, launched, markers
from tracekit.attribution.stages.split import ByClock, ByLaunch
from tracekit.results.catalog import Analysis
from tracekit.taxonomy import Whole
from tracekit.trace.spans.intervals import Spans, spans, subtract, total, union, union_of
from tracekit.trace.trace import I64, Trace

from .findings import findings
from .first_screen import FIRST_SCREEN
from .tables import DEFINITIONS, charts, tables
from .totals import add, both, with_statistics

Nothing = tuple[None, None]
NOTHING: Nothing = (None, None)


def stages(trace: Trace, *, stages: str | None = None) -> Stages:
    """Every stage instance, its wall time split by clock and by launch, and totals.

    `stages` is a regular expression: every annotation whose name it finds is a stage. Several
    devices are taken together: a nanosecond is kernel time if any of them ran a kernel.

    Raises: MissingEventsError for a trace without annotations, or none that matches.
    """
    marks = markers(trace, stages)
    windows = np.stack([marks.start, marks.end], axis=1)
    gpu = len(links.work(trace)) > 0
    count = len(marks)
    clock: Sequence[ByClock | Nothing] = [NOTHING] * count
    launch: Sequence[ByLaunch | Nothing] = [NOTHING] * count
    host: Sequence[tuple[Host, HostDetail] | Nothing] = [NOTHING] * count
    if gpu:
        pairs, own_thread = launched(trace, marks), launched(trace, marks, same_thread=True)
        clock = split.clocks(trace, windows)
        if _launches_known(trace):
            launch = split.launches(trace, pairs, own_thread, count)
    else:
        columns = host_split(trace, marks.pid, marks.tid, marks.start, marks.end)
        table = zip(*(column.tolist() for column in columns), strict=True)
        host = [(Host(*row[:3]), HostDetail(*row[3:])) for row in table]
    rows = tuple(
        Instance(
            marks.stage[i], marks.name[i], int(marks.start[i]),
            int(windows[i, 1] - windows[i, 0]), clock[i][0], launch[i][0], host[i][0],
            clock[i][1], launch[i][1], host[i][1], marks.family[i], bool(marks.nested[i]),
            bool(marks.repeated[i]), int(marks.sample[i]) if marks.sample[i] >= 0 else None,
            int(marks.start[i]) + trace.origin_ns,
        )
        for i in range(count)
    )  # fmt: skip
    return Stages(
        chosen=CHOICES[marks.chosen],
        rows=rows,
        totals=_totals(trace, marks, rows),
        unattributed=_unattributed(trace, pairs[1]) if gpu else None,
        devices=len(trace.devices),
    )


def _launches_known(trace: Trace) -> bool:
    """Whether the trace has any call that could have launched work: without, nothing is known."""
    return bool((links.calls(trace).correlation >= 0).any())


def _totals(trace: Trace, marks: Markers, rows: tuple[Instance, ...]) -> tuple[Total, ...]:
    """By family, and at last all stages together."""
    families = marks.families
    members = [*marks.members, np.arange(len(rows))]
    flat = [union(np.stack([marks.start[m], marks.end[m]], axis=1)) for m in members]
    hosts = [_hosts(trace, marks, m, f) for m, f in zip(members, flat, strict=True)]
    clock: Sequence[ByClock | Nothing] = [NOTHING] * len(members)
    launch: Sequence[ByLaunch | Nothing] = [NOTHING] * len(members)
    if len(links.work(trace)):
        clock = split.clocks_of(trace, flat)
        if _launches_known(trace):
            launch = _launches(trace, marks, rows, members)
    names = (*families, Whole.STAGES)
    sums = [
        Total(
            family, 0, total(f), None, None, None, None, None,
            c[0], la[0], h[0], c[1], la[1], h[1], h[2],
        )
        for family, f, c, la, h in zip(names, flat, clock, launch, hosts, strict=True)
    ]  # fmt: skip
    return with_statistics(sums, rows)


def _launches(
    trace: Trace, marks: Markers, rows: tuple[Instance, ...], members: list[I64]
) -> list[ByLaunch]:
    group = np.empty(len(marks), np.int64)
    for number, member in enumerate(members[:-1]):
        group[member] = number
    last = len(members) - 1
    parts: list[Spans] = []
    for member in members:
        done = [w for i in member if (w := rows[i].window) is not None]
        parts.append(spans([start for start, _ in done], [length for _, length in done]))

    def grouped(same_thread: bool) -> tuple[I64, I64]:
        instance, work = launched(trace, marks, same_thread)
        groups = np.concatenate([group[instance], np.full(len(work), last, np.int64)])
        return groups, np.concatenate([work, work])

    return split.launches_of(trace, grouped(False), grouped(True), len(members), parts)


def _hosts(
    trace: Trace, marks: Markers, member: I64, flat: Spans
) -> tuple[Host | None, HostDetail | None, Mapping[str, int] | None]:
    """The flat spans of a family, each on the thread of the instance that opens it."""
    if len(links.work(trace)):
        return None, None, None
    opener = member[np.searchsorted(marks.start[member], flat[:, 0], side="left")]
    return host_of(trace, marks.pid[opener], marks.tid[opener], flat)


def _unattributed(trace: Trace, work: I64) -> Unattributed:
    gpu = links.work(trace)
    mine = np.zeros(len(gpu), bool)
    mine[work] = True
    lost = links.launch_row(trace) < 0
    own = union_of(gpu.ts, gpu.end, mine)
    only = total(subtract(busy(trace).busy, own))
    return Unattributed(int((~mine & ~lost).sum()), int(lost.sum()), only)


# ---------------------------------------------------------------- many traces


def merge(one: Stages, two: Stages) -> Stages:
    """Rows joined, sums added, statistics taken over all rows."""
    rows = one.rows + two.rows
    parts: dict[tuple[bool, str], list[Total]] = {}
    for part in one.totals + two.totals:
        parts.setdefault((part.is_all, part.family), []).append(part)
    sums = [reduce(add, parts[key]) for key in sorted(parts, key=lambda key: key[0])]  # all: last
    return Stages(
        chosen="; ".join(dict.fromkeys([*one.chosen.split("; "), *two.chosen.split("; ")])),
        rows=rows,
        totals=with_statistics(sums, rows),
        unattributed=both(one.unattributed, two.unattributed),
        devices=one.devices + two.devices,
    )


ANALYSIS = Analysis(
    title="Where the wall time of each stage went",
    question="How did each stage's wall time split into kernels, copies, memsets and waiting?",
    host_question="How much of each stage's wall time was in ops, in copies and outside any op?",
    run=stages,
    merge=merge,
    tables=tables,
    charts=charts,
    findings=findings,
    first_screen=FIRST_SCREEN,
    definitions=DEFINITIONS,
    order=10,
)
