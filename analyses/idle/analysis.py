"""Why the GPU waited: every idle nanosecond in one class."""

from __future__ import annotations

from collections import Counter, defaultdict
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
from tracekit.attribution.idle.by_cause import by_cause, by_group, by_row, suspect_by_cause
from tracekit.attribution.idle.causes import idle as causes_of
from tracekit.attribution.reasons import rows as reason_rows
from tracekit.attribution.reasons.before import before
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results.catalog import Analysis, ask
from tracekit.results.result import add_fields
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import clip, covered, spans, union
from tracekit.trace.trace import Trace

from .findings import findings
from .tables import DEFINITIONS, charts, tables

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
        reasons=reason_rows.rows(trace, stages),
        before=before(trace, stages),
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
        rank=trace.source.rank,
        window_ns=int(window[0, 1] - window[0, 0]),
        idle_ns=int(lengths.sum()),
        causes=by_row(causes),
        suspect_ns=int(covered(found.suspect, window)[0]),
        suspect_causes=by_row(suspect_by_cause(found, window)[0]),
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
                suspect_causes=by_row(suspect_by_cause(found, flat).sum(axis=0)),
                launched_window_ns=own_work.window_ns if own_work else None,
                launched_idle_ns=own_work.idle_ns if own_work else None,
                launched_causes=by_row(launch) if own_work else None,
                launched_suspect_ns=int(covered(found.suspect, own).sum()) if own_work else None,
                launched_suspect_causes=by_row(suspect_by_cause(found, own).sum(axis=0))
                if own_work
                else None,
            )
        )
    return tuple(rows)


def _lengths(trace: Trace) -> tuple[Lengths, ...]:
    found = causes_of(trace)
    rows = inner_gaps(found)
    length = found.gaps[rows, 1] - found.gaps[rows, 0]
    limits = np.array([n for n in CLASSES_NS if n is not None])
    place = np.searchsorted(limits, length, side="right")
    groups = len(CLASSES_NS)
    of_gap = np.full(len(found.gaps), groups)
    of_gap[rows] = place
    parts, suspect = by_group(found, of_gap[found.gap], groups)
    count, time = np.bincount(place, minlength=groups), segments.sums(place, length, groups)
    return tuple(
        Lengths(under, int(count[i]), int(time[i]), by_row(parts[i]), by_row(suspect[i]))
        for i, under in enumerate(CLASSES_NS)
    )


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
                a,
                count=a.count + b.count,
                ns=a.ns + b.ns,
                causes=add_fields(a.causes, b.causes),
                suspect_causes=add_fields(a.suspect_causes, b.suspect_causes),
            )
            for a, b in zip(one.lengths, two.lengths, strict=True)
        ),
        reasons=one.reasons + two.reasons,
        before=one.before + two.before,
    )


def _add(one: StageIdle, two: StageIdle) -> StageIdle:
    """The sum; by launch not known where either is not."""
    if one.launched_causes is None or two.launched_causes is None:
        one, two = (
            replace(
                stage, launched_window_ns=None, launched_idle_ns=None, launched_causes=None,
                launched_suspect_ns=None, launched_suspect_causes=None,
            )
            for stage in (one, two)
        )  # fmt: skip
    return add_fields(one, two)


ANALYSIS = Analysis(
    title="Why the GPU waited",
    question="What was every idle nanosecond of the GPU waiting for?",
    run=idle,
    merge=merge,
    tables=tables,
    charts=charts,
    findings=findings,
    definitions=DEFINITIONS,
    order=30,
    adds_up=False,
)
