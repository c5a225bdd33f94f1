"""Why the GPU waited: every idle nanosecond in one class."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from functools import reduce

import numpy as np

from tracekit.answers.idle import DeviceIdle, IdleTime, Lengths, StageIdle
from tracekit.answers.stages import Instance, Stages
from tracekit.attribution import links
from tracekit.attribution.gaps import (
    MOST,
    host_calls,
    inner_gaps,
    longest,
    sorted_calls,
)
from tracekit.attribution.idle.by_cause import (
    NAMES,
    SUSPECT,
    by_cause,
    by_row,
    shown,
    shown_columns,
)
from tracekit.attribution.idle.cause_names import CAUSES, ORDER, Cause
from tracekit.attribution.idle.causes import idle as causes_of
from tracekit.attribution.kernels import name_rules
from tracekit.errors import MissingEventsError
from tracekit.results import figures
from tracekit.results.catalog import Analysis, ask
from tracekit.results.result import Column, Grid, add_fields
from tracekit.results.units import duration
from tracekit.trace.spans.intervals import clip, covered, spans, union
from tracekit.trace.trace import Trace

CLASSES_NS = (2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000, None)


def idle(trace: Trace, *, stages: str | None = None) -> IdleTime:
    """Idle time by class: of each device's window, of each stage, and of the longest gaps.

    `stages` is the pattern of the stages analysis.

    Raises: MissingEventsError for a trace without GPU activity.
    """
    if not len(links.work(trace)):
        raise MissingEventsError(
            "no kernel events", where=trace.path, hint="capture with a GPU visible"
        )
    return IdleTime(
        rows=tuple(_device(trace, device) for device in trace.devices),
        stages=_stages(trace, stages),
        longest=longest(trace, stages),
        doings=host_calls(trace),
        lengths=_lengths(trace),
    )


def _device(trace: Trace, device: int) -> DeviceIdle:
    gpu = links.work(trace)
    mine = gpu.device == device
    window = np.array([[gpu.ts[mine].min(), gpu.end[mine].max()]], np.int64)
    found = causes_of(trace, device)
    inside = clip(found.gaps, *map(int, window[0]))
    lengths = inside[:, 1] - inside[:, 0]
    causes = by_cause(found, window)[0]
    assert causes.sum() == lengths.sum(), "the classes add up to the idle time"
    return DeviceIdle(
        device=device,
        window_ns=int(window[0, 1] - window[0, 0]),
        idle_ns=int(lengths.sum()),
        causes=by_row(causes),
        suspect_ns=int(covered(found.suspect, window)[0]),
        gaps=len(inside),
        longest_ns=int(lengths.max(initial=0)),
    )


def _stages(trace: Trace, pattern: str | None) -> tuple[StageIdle, ...]:
    try:
        split = ask(trace, Stages, **({} if pattern is None else {"stages": pattern}))
    except MissingEventsError:
        return ()
    found = causes_of(trace)
    rows: list[StageIdle] = []
    members: defaultdict[str, list[Instance]] = defaultdict(list)
    for row in split.rows:
        members[row.family].append(row)
    for whole in split.totals:
        mine = list(split.rows) if whole.is_all else members[whole.family]
        flat = union(spans([r.start_ns for r in mine], [r.wall_ns for r in mine]))
        done = [r.window for r in mine if r.window is not None]
        own = union(spans([start for start, _ in done], [length for _, length in done]))
        clock, launch = by_cause(found, flat).sum(axis=0), by_cause(found, own).sum(axis=0)
        assert whole.clock is not None, "idle time was found, so there are GPU events"
        assert clock.sum() == whole.clock.idle_ns, "the classes add up to the idle time"
        own_work = whole.launched
        if own_work is not None:
            assert launch.sum() == own_work.idle_ns, "the classes add up to the idle time"
        rows.append(
            StageIdle(
                family=whole.family,
                wall_ns=whole.wall_ns,
                idle_ns=whole.clock.idle_ns,
                causes=by_row(clock),
                suspect_ns=int(covered(found.suspect, flat).sum()),
                launched_window_ns=own_work.window_ns if own_work else None,
                launched_idle_ns=own_work.idle_ns if own_work else None,
                launched_causes=by_row(launch) if own_work else None,
                launched_suspect_ns=int(covered(found.suspect, own).sum()) if own_work else None,
            )
        )
    return tuple(rows)


def _lengths(trace: Trace) -> tuple[Lengths, ...]:
    found = causes_of(trace)
    inner = found.gaps[inner_gaps(found)]
    length = inner[:, 1] - inner[:, 0]
    limits = np.array([n for n in CLASSES_NS if n is not None])
    place = np.searchsorted(limits, length, side="right")
    parts = by_cause(found, inner)
    return tuple(
        Lengths(under, int((place == i).sum()), int(length[place == i].sum()),
                by_row(parts[place == i].sum(axis=0)))
        for i, under in enumerate(CLASSES_NS)
    )  # fmt: skip


# ---------------------------------------------------------------- many traces


def merge(one: IdleTime, two: IdleTime) -> IdleTime:
    """Devices joined, stages and names added, the longest gaps of both."""
    families: dict[tuple[bool, str], list[StageIdle]] = {}
    for stage in one.stages + two.stages:
        families.setdefault((stage.is_all, stage.family), []).append(stage)
    time: Counter[tuple[str, str]] = Counter()
    for row in one.doings + two.doings:
        time[row.cause, row.name] += row.ns
    both = sorted(one.longest + two.longest, key=lambda gap: -gap.ns)
    return IdleTime(
        rows=one.rows + two.rows,
        # all stages stay last
        stages=tuple(reduce(_add, families[key]) for key in sorted(families, key=lambda k: k[0])),
        longest=tuple(both[:MOST]),
        doings=sorted_calls(time),
        lengths=tuple(
            replace(
                a, count=a.count + b.count, ns=a.ns + b.ns, causes=add_fields(a.causes, b.causes)
            )
            for a, b in zip(one.lengths, two.lengths, strict=True)
        ),
    )


def _add(one: StageIdle, two: StageIdle) -> StageIdle:
    """The sum; by launch not known where either is not."""
    if one.launched_causes is None or two.launched_causes is None:
        one, two = (
            replace(
                stage, launched_window_ns=None, launched_idle_ns=None, launched_causes=None,
                launched_suspect_ns=None,
            )
            for stage in (one, two)
        )  # fmt: skip
    return add_fields(one, two)


# ---------------------------------------------------------------- tables and charts

DEFINITIONS = {
    "idle": "Time in which no stream of the device had work.",
    **{NAMES[cause]: text for cause, text in CAUSES.items()},
    "suspect": SUSPECT,
}


def tables(result: IdleTime) -> list[Grid]:
    grids = [_causes_grid(result)]
    if result.stages:
        grids.append(_stage_grid(result, False))
        if all(stage.launched_causes is not None for stage in result.stages):
            grids.append(_stage_grid(result, True))
    grids += [_longest_grid(result), _host_calls_grid(result), _lengths_grid(result)]
    return [grid for grid in grids if grid.rows]


def _causes_grid(result: IdleTime) -> Grid:
    """One row a class: devices side by side would be too wide."""
    idle_ns, window = sum(r.idle_ns for r in result.rows), sum(r.window_ns for r in result.rows)
    sums = {c: sum(getattr(r.causes, c.value) for r in result.rows) for c in ORDER}
    rows = [
        (NAMES[c], ns, ns / idle_ns if idle_ns else None, ns / window if window else None)
        for c, ns in sums.items()
        if ns
    ]
    suspect = sum(r.suspect_ns for r in result.rows)
    note = f"{duration(suspect)} of it is suspect. {SUSPECT}" if suspect else ""
    columns = (
        Column("why", "text", "The class of the idle time."),
        Column("idle", "ns", DEFINITIONS["idle"]),
        Column("of idle", "share", "Over the idle time of the device window."),
        Column("of window", "share", "Over the device window, first activity to last."),
    )
    total_row = ("all", idle_ns, 1.0 if idle_ns else None, idle_ns / window if window else None)
    return Grid("causes", "Why the GPU was idle", columns, rows, note, total_row)


def _stage_grid(result: IdleTime, launched: bool) -> Grid:
    key = "launched_causes" if launched else "causes"
    some = shown_columns([getattr(s, key) for s in result.stages])
    title = "in the window of its own work" if launched else "during its marker"
    columns = (
        Column("stage"),
        Column("idle", "ns", f"Time {title} in which no device had work."),
        *(column for column, _ in some),
        Column("suspect", "ns", SUSPECT),
    )
    rows = [
        (
            s.family,
            s.launched_idle_ns if launched else s.idle_ns,
            *(sum(getattr(getattr(s, key), c.value) for c in group) for _, group in some),
            s.launched_suspect_ns if launched else s.suspect_ns,
        )
        for s in result.stages
    ]
    name = "stages_launched" if launched else "stages"
    return Grid(name, f"Idle time of each stage, {title}", columns, rows[:-1][:200], "", rows[-1])


def _longest_grid(result: IdleTime) -> Grid:
    columns = (
        Column("start", "ns", "From the first slice of the trace."),
        Column("gap", "ns", "Time without any work."),
        Column("why", "text", "The class with the largest part of the gap."),
        Column("before", "text", "The work that ended last, and the op that launched it."),
        Column("after", "text", "The work that ends the gap, and the op that launched it."),
        Column("stage", "text", "The stage that launched the work after the gap."),
        Column("launched before", "ns", "How long before its start its launch had returned."),
        Column("suspect", "text", SUSPECT),
    )

    def work(name: str | None, op: str | None) -> str:
        short = figures.shorten(name_rules.head(name), 60).strip() if name else ""
        return f"{short} ({op})" if op else short

    rows = [
        (g.start_ns, g.ns, NAMES[Cause(g.cause)], work(g.before, g.before_op),
         work(g.after, g.after_op), g.stage or "", g.returned_ns, "yes" if g.suspect else "")
        for g in result.longest
    ]  # fmt: skip
    note = "On all devices together; --json has the names of kernels in full."
    return Grid("longest", "The longest gaps", columns, rows, note)


def _host_calls_grid(result: IdleTime) -> Grid:
    columns = (
        Column("while"),
        Column("op or call", "text", "Innermost on the thread that launched the next work."),
        Column("idle", "ns", "Idle time between two activities that it accounts for."),
    )
    rows = [(NAMES[Cause(d.cause)], d.name, d.ns) for d in result.doings]
    note = f"{len(rows) - 200} more are left out." if len(rows) > 200 else ""
    return Grid("doings", "What the host did while the GPU waited", columns, rows[:200], note)


def _lengths_grid(result: IdleTime) -> Grid:
    some = shown_columns([part.causes for part in result.lengths])
    columns = (
        Column("gaps"), Column("count", "count", "How many gaps."),
        Column("idle", "ns", DEFINITIONS["idle"]), *(column for column, _ in some),
    )  # fmt: skip
    rows = [
        (
            _class(part), part.count, part.ns,
            *(sum(getattr(part.causes, c.value) for c in group) for _, group in some),
        )
        for part in result.lengths
    ]  # fmt: skip
    return Grid("lengths", "Idle time by length of the gap", columns, rows)


def _class(part: Lengths) -> str:
    return f"under {duration(part.under_ns)}" if part.under_ns else "longer"


def charts(result: IdleTime) -> list[figures.Chart]:
    many = len(result.rows) > 1
    found = []
    if any(r.idle_ns for r in result.rows):
        labels = [f"device {r.device}" if many else "device window" for r in result.rows[:40]]
        parts = [r.causes for r in result.rows[:40]]
        whole = sum(r.window_ns for r in result.rows)
        share = sum(r.idle_ns for r in result.rows) / whole if whole else 0
        suspect = sum(r.suspect_ns for r in result.rows)
        at_most = "at most " if suspect else ""
        title = f"The GPU was idle {at_most}{share:.1%} of the time"
        if suspect:
            title += f"; {duration(suspect)} of it may be work that is not in this file"
        found.append(figures.split_bars("causes", title, labels, shown(parts), of="idle time",
                                        summary="Idle time by cause.", table="causes"))  # fmt: skip
    lengths = [part for part in result.lengths if part.count]
    if len(lengths) > 1:
        found.append(
            figures.columns(
                "lengths", "Idle time by length of the gap", [_class(p) for p in lengths],
                shown([p.causes for p in lengths]), of="idle time", x_title="length of the gap",
                summary="How much idle time short and long gaps add up to.", table="lengths",
            )
        )  # fmt: skip
    return found


ANALYSIS = Analysis(
    title="Why the GPU waited",
    question="What was every idle nanosecond of the GPU waiting for?",
    run=idle,
    merge=merge,
    tables=tables,
    charts=charts,
    definitions=DEFINITIONS,
    order=30,
    adds_up=False,
)
