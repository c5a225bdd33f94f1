"""Where the wall time of each stage went: by clock, by launch, and on the host without a GPU.

Stage p, by clock, of wall time 8: kernel 5, idle 3. By launch, of the window of what p issued, 7:
own 5, other 1 (work launched elsewhere), idle 1.

    mark      pppppppp....
    host      .a.b........
    stream 7  XX..AAX.BBB.    X has no launch here
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np

from tracekit.answers.stages import Instance, Stages, Total, Unattributed
from tracekit.attribution import links
from tracekit.attribution.idle.busy import busy
from tracekit.attribution.idle.by_cause import MAYBE_WORK, SUSPECT
from tracekit.attribution.idle.host_time import Host, HostDetail, host_of, host_split
from tracekit.attribution.stages import split
from tracekit.attribution.stages.instances import CHOICES, Markers, launched, markers
from tracekit.attribution.stages.split import (
    ByClock,
    ByLaunch,
    Clock,
    ClockDetail,
    Launched,
    LaunchedDetail,
)
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration
from tracekit.taxonomy import Category, Whole
from tracekit.trace.spans.intervals import Spans, spans, subtract, total, union
from tracekit.trace.trace import I64, Trace

from .findings import findings
from .first_screen import FIRST_SCREEN
from .totals import add, both, with_statistics

Fields = tuple[tuple[str, str], ...]
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
        host = [(Host(*row[:3]), HostDetail(row[3])) for row in table]
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
        clock = [split.clock_of(trace, f) for f in flat]
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
    own = union(spans(gpu.ts[mine], gpu.dur[mine]))
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


# ---------------------------------------------------------------- tables

DEFINITIONS = {
    "wall": "Host time from the start of the marker to its end; overlapping instances count once.",
    "kernel": "Part of the wall time in which some device ran at least one kernel.",
    "communication": "Part of the kernel time in which a communication kernel ran (by name).",
    "memcpy": "Part of the wall time in which a device copied and no kernel ran.",
    "memset": "Part of the wall time in which a device filled memory, and no kernel or copy ran.",
    "idle": "Part of the wall time in which no device had work of any origin.",
    "work": "GPU activities whose launching call started inside the marker, on any thread.",
    "window": "From the start of the first such activity to the end of the last.",
    "own kernel": "Part of the window in which kernels of this stage ran.",
    "own memcpy": "Part of the window in which copies of this stage ran, and none of its kernels.",
    "own memset": "Part of the window in which fills of this stage ran, and nothing else of it.",
    "other": "Part of the window in which the device ran only work launched elsewhere.",
    "own idle": "Part of the window in which the device had no work of any origin.",
    "suspect": SUSPECT,
    "op": "Part of the wall time that the marker's thread spent in framework ops that are no copy.",
    "copy": "Part of the wall time that the marker's thread spent in ops that only move data.",
    "outside": "Part of the wall time in which the marker's thread was in no framework op.",
    "mean": "Mean wall time of one instance.",
    "median": "Median wall time of one instance.",
    "spread": "Standard deviation of the wall time over the instances.",
}
CLOCK = (("kernel", "kernel_ns"), ("communication", "communication_ns"), ("memcpy", "memcpy_ns"),
         ("memset", "memset_ns"), ("idle", "idle_ns"), ("suspect", "suspect_ns"))  # fmt: skip
LAUNCHED = (("window", "window_ns"), ("own kernel", "kernel_ns"), ("own memcpy", "memcpy_ns"),
            ("own memset", "memset_ns"), ("other", "other_ns"), ("own idle", "idle_ns"),
            ("suspect", "suspect_ns"))  # fmt: skip
HOST = (("op", "op_ns"), ("copy", "copy_ns"), ("outside", "other_ns"))
MOST = 200


def _ns(name: str) -> Column:
    return Column(name.removeprefix("own "), "ns", DEFINITIONS[name])


def _values(parts: Sequence[object], fields: Fields) -> list[int | None]:
    """Each field of whichever part has it; None where the parts are not known."""
    return [next((getattr(p, f) for p in parts if hasattr(p, f)), None) for _, f in fields]


def _by_clock(one: Instance | Total) -> tuple[Clock | None, ClockDetail | None]:
    return one.clock, one.clock_detail


def _by_launch(one: Instance | Total) -> tuple[Launched | None, LaunchedDetail | None]:
    return one.launched, one.launched_detail


def tables(result: Stages) -> list[Grid]:
    on_host = _on_host(result)
    parts = HOST if on_host else _known(CLOCK, [t.clock_detail for t in result.totals])
    columns = (
        Column("stage"), Column("instances", "count", "Those inside another of the kind left out."),
        _ns("wall"), *(_ns(name) for name, _ in parts),
    )  # fmt: skip
    totals = [
        (t.family, t.instances, t.wall_ns, *_values((t.host,) if on_host else _by_clock(t), parts))
        for t in result.totals
    ]
    title = "Stages: host time" if on_host else "Stages by clock: what the GPU did meanwhile"
    note = f"Stages are {result.chosen}." + _left_out(len(totals) - 1)
    if result.devices > 1:
        note += f" {result.devices} devices are taken together: busy if any of them was."
    grids = [Grid("stages", title, columns, totals[:-1][:MOST], note, totals[-1])]
    grids += [_ops_grid(result)] if on_host else [_launched_grid(result)]
    return [*grids, _spread_grid(result), _instances(result, on_host)]


def _on_host(result: Stages) -> bool:
    return all(t.clock is None for t in result.totals)


def _spread_grid(result: Stages) -> Grid:
    columns = (
        Column("stage"), _ns("mean"), _ns("median"), Column("min", "ns", "Shortest instance."),
        Column("max", "ns", "Longest instance."), _ns("spread"),
    )  # fmt: skip
    rows = [
        (t.family, t.mean_ns, t.median_ns, t.min_ns, t.max_ns, t.spread_ns)
        for t in result.totals[:-1][:MOST]
    ]
    return Grid("spread", "Wall time of one instance", columns, rows)


def _ops_grid(result: Stages) -> Grid:
    named = [t.ops or {} for t in result.totals]
    used = [c.value for c in Category if any(c.value in ops for ops in named)]
    define = "Part of the op time whose innermost op is of this kind; no kernel time."
    columns = (Column("stage"), _ns("op"), *(Column(f"{n} ops", "ns", define) for n in used))
    rows = [
        (t.family, t.host.op_ns if t.host else None,
         *((t.ops.get(name, 0) if t.ops is not None else None) for name in used))
        for t in result.totals
    ]  # fmt: skip
    title = "Stages: op time by kind of op, copies left out"
    return Grid("ops", title, columns, rows[:-1][:MOST], "", rows[-1])


def _left_out(count: int) -> str:
    return f" {count - MOST} more rows are left out here." if count > MOST else ""


def _known(fields: Fields, parts: Sequence[ClockDetail | LaunchedDetail | None]) -> Fields:
    """The fields; the suspect time only where there is some."""
    some = any(part.suspect_ns for part in parts if part is not None)
    return fields if some else tuple(f for f in fields if f[0] != "suspect")


def _launched_grid(result: Stages) -> Grid:
    parts = _known(LAUNCHED, [t.launched_detail for t in result.totals])
    columns = (
        Column("stage"), Column("work", "count", DEFINITIONS["work"]),
        *(_ns(name) for name, _ in parts),
    )  # fmt: skip
    rows = [
        (t.family, t.launched.count if t.launched else None, *_values(_by_launch(t), parts))
        for t in result.totals
    ]
    note = ""
    if (rest := result.unattributed) and (rest.outside_count or rest.unlaunched_count):
        note = (
            f"In no stage: {rest.outside_count:,} activities launched outside every stage, "
            f"{rest.unlaunched_count:,} without a launch in the trace; "
            f"alone on the device for {duration(rest.busy_ns)}."
        )
    title = "Stages by launch: the work that each issued"
    return Grid("launched", title, columns, rows[:-1][:MOST], note, rows[-1])


def _instances(result: Stages, on_host: bool) -> Grid:
    parts = HOST if on_host else _known(CLOCK, [r.clock_detail for r in result.rows])
    columns = (
        Column("stage"), Column("name"), Column("sample", "text", "Number of the sample."),
        Column("start", "ns", "From the first slice of the trace."), _ns("wall"),
        *(_ns(name) for name, _ in parts),
        Column("nested", "text", "Inside another instance of this list: its time counts there."),
    )  # fmt: skip
    rows = [
        (r.stage, r.name, r.sample if r.sample is not None else "", r.start_ns, r.wall_ns,
         *_values((r.host,) if on_host else _by_clock(r), parts), "yes" if r.nested else "")
        for r in result.rows[:MOST]
    ]  # fmt: skip
    return Grid("instances", "Each stage instance", columns, rows, _left_out(len(result.rows)))


def charts(result: Stages) -> list[figures.Chart]:
    shown = [t for t in result.totals[:-1] if t.wall_ns]
    labels = [t.family for t in shown]
    if not shown:
        return []
    if _on_host(result):
        return [
            figures.split_bars(
                "stages", "Where the host time of each stage went", labels,
                {
                    "ops": [t.host.op_ns if t.host else None for t in shown],
                    "copies": [t.host.copy_ns if t.host else None for t in shown],
                    "outside ops": [t.host.other_ns if t.host else None for t in shown],
                },
                of="wall time", table="stages", summary="Wall time of each stage by kind.",
            )
        ]  # fmt: skip
    return [
        figures.split_bars(
            "stages", "By clock: what the GPU did during each stage", labels,
            _shown([_by_clock(t) for t in shown]), of="wall time", table="stages",
            summary="Wall time of each stage: kernels, communication, copies, fills, idle.",
        ),
        figures.split_bars(
            "launched", "By launch: the work that each stage issued", labels,
            _shown([_by_launch(t) for t in shown]), of="window", table="launched",
            summary="Window of each stage's own work: its parts, work of other stages, idle.",
        ),
    ]  # fmt: skip


def _shown(
    parts: Sequence[tuple[Clock | Launched | None, ClockDetail | LaunchedDetail | None]],
) -> dict[str, list[int | None]]:
    """[name][stage]; communication that no other kernel covers is taken out of the kernels."""

    def column(
        ask: Callable[[Clock | Launched, ClockDetail | LaunchedDetail], int],
    ) -> list[int | None]:
        return [None if p is None or d is None else ask(p, d) for p, d in parts]

    return {
        "kernel": column(lambda p, d: p.kernel_ns - d.exposed_communication_ns),
        "communication": column(lambda _, d: d.exposed_communication_ns),
        "memcpy": column(lambda p, _: p.memcpy_ns),
        "memset": column(lambda p, _: p.memset_ns),
        "busy with other stages": column(lambda p, _: getattr(p, "other_ns", 0)),
        "idle": column(lambda p, d: p.idle_ns - d.suspect_ns),
        MAYBE_WORK: column(lambda _, d: d.suspect_ns),
    }


ANALYSIS = Analysis(
    title="Where the wall time of each stage went",
    question="How did each stage's wall time split into kernels, copies, fills and waiting?",
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
