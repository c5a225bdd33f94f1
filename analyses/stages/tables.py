"""Tables and charts of the stages."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median, pstdev

from tracekit.answers.stages import EXPOSED, PARTS, Instance, Split, Stages, Total, spent
from tracekit.attribution.idle.by_cause import SUSPECT
from tracekit.attribution.stages.alike import ALIKE, MEAN_OF
from tracekit.attribution.stages.split import Clock, ClockDetail, Launched, LaunchedDetail
from tracekit.records import replace
from tracekit.results import figures
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration, plural
from tracekit.taxonomy import Category

Fields = tuple[tuple[str, str], ...]

DEFINITIONS = {
    "wall": "Host time from the start of the marker to its end; overlapping instances count once.",
    "kernel": "Part of the wall time in which some device ran at least one kernel.",
    "communication": "Part of the kernel time in which a communication kernel ran (by name).",
    "memcpy": "Part of the wall time in which a device copied and no kernel ran.",
    "memset": "Part of the wall time in which a device filled memory, and no kernel or copy ran.",
    EXPOSED: "Part of the communication in which no other kernel ran.",
    "idle in wall time": "Part of the wall time in which no device had work of any origin, "
    "unaccounted time left out.",
    "work": "GPU activities whose launching call started inside the marker, on any thread.",
    "window": "From the start of the first such activity to the end of the last, unaccounted time "
    "left out.",
    "own kernel": "Part of the window in which kernels of this stage ran.",
    "own memcpy": "Part of the window in which copies of this stage ran, and none of its kernels.",
    "own memset": "Part of the window in which memsets of this stage ran, and nothing else of it.",
    "busy with other stages": "Part of the window in which the device ran only work launched "
    "elsewhere.",
    "idle in GPU window": "Part of the window in which the device had no work of any origin.",
    "unaccounted in wall time": SUSPECT,
    "unaccounted in GPU window": SUSPECT,
    "op": "Part of the wall time that the marker's thread spent in framework ops that are no copy.",
    "copy": "Part of the wall time that the marker's thread spent in ops that only move data.",
    "outside": "Part of the wall time in which the marker's thread was in no framework op.",
    "mean": f"Mean wall time of one instance. {ALIKE}",
    "median": "Median wall time of the same instances.",
    "min": "Shortest of all instances.",
    "max": "Longest of all instances.",
    "spread": "Standard deviation of the wall time over the instances of the mean.",
}
CLOCK = (("kernel", "kernel_ns"), ("communication", "communication_ns"),
         (EXPOSED, "exposed_communication_ns"), ("memcpy", "memcpy_ns"), ("memset", "memset_ns"),
         ("idle in wall time", "idle_ns"), ("unaccounted in wall time", "suspect_ns"))  # fmt: skip
LAUNCHED = (("window", "window_ns"), ("own kernel", "kernel_ns"), ("own memcpy", "memcpy_ns"),
            ("own memset", "memset_ns"), ("busy with other stages", "other_ns"),
            ("idle in GPU window", "idle_ns"),
            ("unaccounted in GPU window", "suspect_ns"))  # fmt: skip
HOST = (("op", "op_ns"), ("copy", "copy_ns"), ("outside", "other_ns"))
WHERE_ANY = ("exposed_communication_ns", "suspect_ns")  # columns that most traces do not need
MOST = 200


def _ns(name: str) -> Column:
    return Column(name, "ns", DEFINITIONS[name])


def _values(parts: Sequence[object], fields: Fields) -> list[int | None]:
    """Each field of whichever part has it; None where the parts are not known."""
    return [next((getattr(p, f) for p in parts if hasattr(p, f)), None) for _, f in fields]


def _by_clock(one: Instance | Total) -> tuple[Clock | None, ClockDetail | None]:
    """Idle time without what is suspect, which stands beside it."""
    own, detail = one.clock, one.clock_detail
    if own is not None and detail is not None:
        own = replace(own, idle_ns=own.idle_ns - detail.suspect_ns)
    return own, detail


def _by_launch(one: Instance | Total) -> tuple[Launched | None, LaunchedDetail | None]:
    """Window and idle time without what is suspect, which stands beside them."""
    own, detail = one.launched, one.launched_detail
    if own is not None and detail is not None:
        own = replace(own, idle_ns=own.idle_ns - detail.suspect_ns,
                      window_ns=own.window_ns - detail.suspect_ns)  # fmt: skip
    return own, detail


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
    title = (
        "Stages: host time"
        if on_host
        else "Stages by wall time: what the GPU did while each was open"
    )
    note = f"Stages are {result.chosen}."
    if result.devices > 1:
        note += f" {result.devices} devices are taken together: busy if any of them was."
    beyond = max(len(totals) - 1 - MOST, 0)
    grids = [
        Grid("stages", title, columns, totals[:-1][:MOST], note, totals[-1], beyond=beyond)
    ]  # fmt: skip
    grids += [_ops_grid(result)] if on_host else [_launched_grid(result)]
    return [*grids, _spread_grid(result), _instances(result, on_host)]


def _on_host(result: Stages) -> bool:
    return all(t.clock is None for t in result.totals)


def _spread_grid(result: Stages) -> Grid:
    columns = (
        Column("stage"), _ns("mean"), _ns("median"), _ns("min"), _ns("max"), _ns("spread"),
        Column("mean of", "text", "How many instances are alike, of how many; empty where all."),
    )  # fmt: skip
    groups = result.alike
    rows = []
    for t in result.totals[:-1][:MOST]:
        if (group := groups.get(t.family)) is not None:
            walls = group.walls
            rows.append((
                t.family, fmean(walls), median(walls), t.min_ns, t.max_ns, pstdev(walls),
                group.said,
            ))  # fmt: skip
    note = MEAN_OF if any(row[-1] for row in rows) else ""
    return Grid("spread", "Wall time of one instance", columns, rows, note)


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


def _known(fields: Fields, parts: Sequence[ClockDetail | LaunchedDetail | None]) -> Fields:
    """The fields; unaccounted time and exposed communication only where there is some."""
    return tuple(
        (name, field) for name, field in fields
        if field not in WHERE_ANY or any(getattr(p, field) for p in parts if p is not None)
    )  # fmt: skip


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
        outside = plural(rest.outside_count, "activity", "activities")
        note = (
            f"In no stage: {outside} launched outside every stage, "
            f"{rest.unlaunched_count:,} without a launch in the trace; "
            f"alone on the device for {duration(rest.busy_ns)}."
        )
    title = "Stages by GPU window: the work that each launched"
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
    beyond = len(result.rows) - len(rows)
    return Grid("instances", "Each stage instance", columns, rows, beyond=beyond)


def charts(result: Stages) -> list[figures.Chart]:
    shown = [t for t in result.totals[:-1] if t.wall_ns]
    if not shown:
        return []
    depths = result.depths
    order = {family: place for place, family in enumerate(depths)}
    if any(depths.values()):
        shown.sort(key=lambda t: order.get(t.family, len(order)))
    names, nested = [t.family for t in shown], [depths.get(t.family, 0) for t in shown]
    if _on_host(result):
        return [
            figures.split_bars(
                "stages", "Where the host time of each stage went", names,
                _drawn(shown, Split.HOST), of="wall time", table="stages",
                summary="Wall time of each stage by kind.", indents=nested,
            )
        ]  # fmt: skip
    return [
        figures.split_bars(
            "launched", "GPU window of each stage: the work that it launched, whenever it ran"
            + _less(shown, Split.LAUNCHED),
            names, _drawn(shown, Split.LAUNCHED), of="GPU window", table="launched",
            summary="GPU window of each stage: its own work, work of other stages, idle.",
            indents=nested,
        ),
        figures.split_bars(
            "stages", "Wall time of each stage: what the GPU did meanwhile, whoever launched it"
            + _less(shown, Split.CLOCK),
            names, _drawn(shown, Split.CLOCK), of="wall time", table="stages",
            summary="Wall time of each stage: kernels, communication, copies, memsets, idle.",
            indents=nested,
        ),
    ]  # fmt: skip


def _less(totals: Sequence[Total], split: Split) -> str:
    return ", unaccounted time left out" if any(t.suspect_ns(split) for t in totals) else ""


def _drawn(totals: Sequence[Total], split: Split) -> dict[str, list[int | None]]:
    """[part][stage], which add up to the whole of `split`."""
    parts = spent(totals, split)
    return {
        split.label(name): [own.get(name) for own in parts]
        for name in PARTS
        if any(own.get(name) for own in parts)
    }
