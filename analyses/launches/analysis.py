"""What launching costs: the host's time, the delay, the queue, and what a graph would save.

host      aabb......
stream 7  ...AAABB..    delay of A 3, queueing 1; delay of B 4, queueing 2
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracekit.answers.launches import Call, DelayClass, Launches, Launching, Spread
from tracekit.answers.stages import Stages
from tracekit.attribution import links
from tracekit.attribution.idle.by_cause import by_cause
from tracekit.attribution.idle.cause_names import HOST_SIDE, ORDER, Cause
from tracekit.attribution.idle.causes import idle
from tracekit.attribution.reasons.names import Reason
from tracekit.attribution.reasons.stretches import stretches
from tracekit.attribution.stages import work_phases
from tracekit.attribution.stages.instances import launched, markers
from tracekit.attribution.stages.split import distinct
from tracekit.errors import MissingEventsError
from tracekit.results import figures
from tracekit.results.catalog import Analysis, ask
from tracekit.results.result import Column, Grid
from tracekit.results.units import limit
from tracekit.taxonomy import Whole
from tracekit.trace.ranks import named
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import Spans, covered, spans, total, union
from tracekit.trace.trace import I64, Cat, Trace

from .queue import depths

SOME = 0.01  # of a window: less idle time than this bounds nothing
CLASSES_NS = (5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000, 10_000_000, None)
WAITED = (Cause.GRAPH, Cause.OTHER_STREAM, Cause.COMMUNICATION, Cause.QUEUED)


def launches(trace: Trace, *, stages: str | None = None) -> Launches:
    """Launch costs of each stage and of the whole trace.

    `stages` is the pattern of the stages analysis. Work without a launch in the trace is left out.

    Raises: MissingEventsError for a trace without GPU activity, or without any link to a launch.
    """
    if not len(links.work(trace)):
        raise MissingEventsError(
            "no kernel events", where=trace.path, hint="capture with a GPU visible"
        )
    linked = np.flatnonzero(links.launch_row(trace) >= 0)
    if not len(linked):
        raise MissingEventsError(
            "no launch events that belong to the kernels",
            where=trace.path,
            hint="capture with ProfilerActivity.CPU as well as CUDA",
        )
    rows = [
        _row(trace, name, work, window, tokens)
        for name, work, window, tokens in _stages(trace, stages)
        if len(work)
    ]
    gpu = links.work(trace)
    window = np.array([[gpu.ts.min(), gpu.end.max()]], np.int64)
    rows.append(_row(trace, Whole.TRACE, linked, window, None))
    return Launches(tuple(rows), _calls(trace), _delays(trace, linked), depths(trace))


def _stages(trace: Trace, pattern: str | None) -> list[tuple[str, I64, Spans, int | None]]:
    """Each family with its work, the windows of that work, and the tokens it generated."""
    try:
        marks = markers(trace, pattern)
    except MissingEventsError:
        if pattern is not None:
            raise
        return []
    split = ask(trace, Stages, **({} if pattern is None else {"stages": pattern}))
    tokens = work_phases.tokens(trace, marks)
    families = marks.families
    number = {family: i for i, family in enumerate(families)}
    group = np.array([number[family] for family in marks.family], np.int64)
    instance, work = launched(trace, marks)
    of, row = distinct((group[instance], work), len(links.work(trace)))
    spans_of: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for r in split.rows:
        if r.window is not None:
            spans_of[r.family].append(r.window)
    found = []
    # `of` is sorted: one run of rows a family
    bounds = np.searchsorted(of, np.arange(len(families) + 1)).tolist()
    for i, family in enumerate(families):
        windows = union(spans(*np.array(spans_of[family], np.int64).reshape(-1, 2).T))
        found.append((family, row[bounds[i] : bounds[i + 1]], windows, tokens.get(family)))
    return found


def _spread(values: I64) -> Spread:
    ordered = np.sort(values)
    half, high = (_quantile(ordered, share) for share in (0.5, 0.95))
    return Spread(float(values.mean()), half, high, int(ordered[-1]))


def _quantile(ordered: I64, share: float) -> float:
    """As `numpy.quantile`, which loads masked arrays: as long as an answer takes."""
    place = (len(ordered) - 1) * share
    below = int(place)
    above, part = min(below + 1, len(ordered) - 1), place - below
    low, step = float(ordered[below]), float(ordered[above] - ordered[below])
    # from the nearer of both, as numpy does it
    return low + step * part if part < 0.5 else float(ordered[above]) - step * (1 - part)


def _row(trace: Trace, stage: str, work: I64, windows: Spans, tokens: int | None) -> Launching:
    gpu, calls = links.work(trace), links.calls(trace)
    launch = links.launch_row(trace)[work]
    begin, end, start = calls.ts[launch], calls.end[launch], gpu.ts[work]
    kernel = np.asarray(gpu.cat[work] == int(Cat.KERNEL))
    every = np.bincount(launch)
    distinct_calls = np.flatnonzero(every)
    delay = start - begin
    tklqt = int(np.maximum(delay, 0)[kernel].sum())
    cost = calls.dur[launch] / links.launch_count(trace)[launch]
    open_ns = int(start.max() - min(int(begin.min()), int(start.min())))
    causes = dict(zip(ORDER, by_cause(idle(trace), windows).sum(axis=0).tolist(), strict=True))
    host_idle = sum(causes[c] for c in HOST_SIDE)
    device_idle = sum(causes[c] for c in WAITED)
    saved = _waited(trace, windows)
    suspect = int(covered(idle(trace).suspect, windows).sum())
    depth = float(np.maximum(delay, 0).sum() / open_ns) if open_ns else None
    return Launching(
        trace=trace.path,
        stage=stage,
        calls=len(distinct_calls),
        graph_calls=int((every > 1).sum()),
        activities=len(work),
        host_ns=int(calls.dur[distinct_calls].sum()),
        host=_spread(calls.dur[distinct_calls]),
        delay=_spread(delay),
        queueing=_spread(np.maximum(start - end, 0)),
        tklqt_ns=tklqt,
        tokens=tokens,
        tklqt_per_token_ns=work_phases.per_token(tklqt, tokens),
        depth=depth,
        short_count=int((gpu.dur[work] < cost)[kernel].sum()),
        kernel_count=int(kernel.sum()),
        window_ns=total(windows),
        suspect_ns=suspect,
        host_idle_ns=host_idle,
        device_idle_ns=device_idle,
        launch_bound=_bound(saved, host_idle + device_idle - suspect, total(windows) - suspect),
        graph_saves_ns=saved,
        graph_saves_per_token_ns=work_phases.per_token(saved, tokens),
    )


def _waited(trace: Trace, windows: Spans) -> int:
    """Idle ns of the windows in which a device waited for each of many short launches.

    Of several devices the one that waited most: their times are not one time.
    """
    parts = [stretches(trace, device) for device in trace.devices]
    found = [covered(part.spans[part.of(Reason.LAUNCHES)], windows).sum() for part in parts]
    return int(max(found, default=0))


def _bound(saved_ns: int, idle_ns: int, window_ns: int) -> bool | None:
    """Launch-bound: most of the idle time is waiting for one short launch after another."""
    if not idle_ns:
        return None
    return saved_ns >= SOME * window_ns and 2 * saved_ns > idle_ns


def _calls(trace: Trace) -> tuple[Call, ...]:
    calls, nodes = links.calls(trace), links.launch_count(trace)
    rows = np.flatnonzero(nodes > 0)
    names, inverse = segments.codes(calls.name[rows])

    def added(values: Any) -> I64:
        out = np.zeros(len(names), np.int64)
        np.add.at(out, inverse, values)
        return out

    columns = (added(1), added(nodes[rows]), added(calls.dur[rows]))
    found = [
        Call(trace.strings[int(name)], *map(int, row))
        for name, *row in zip(names, *columns, strict=True)
    ]
    return _sorted_calls(found)


def _sorted_calls(rows: Sequence[Call]) -> tuple[Call, ...]:
    return tuple(sorted(rows, key=lambda r: (-r.host_ns, r.name)))


def _delays(trace: Trace, linked: I64) -> tuple[DelayClass, ...]:
    delay = links.work(trace).ts[linked] - links.launch_start(trace)[linked]
    place = np.searchsorted([n for n in CLASSES_NS if n is not None], delay, side="right")
    return tuple(
        DelayClass(under, int((place == i).sum()), int(delay[place == i].sum()))
        for i, under in enumerate(CLASSES_NS)
    )


def merge(one: Launches, two: Launches) -> Launches:
    """Rows of stages and queues joined: percentiles do not add up; counts added."""
    calls: dict[str, Call] = {}
    for row in one.calls + two.calls:
        old = calls.get(row.name, Call(row.name, 0, 0, 0))
        calls[row.name] = Call(
            row.name, old.calls + row.calls, old.activities + row.activities,
            old.host_ns + row.host_ns,
        )  # fmt: skip
    return Launches(
        rows=one.rows + two.rows,
        calls=_sorted_calls(list(calls.values())),
        delays=tuple(
            DelayClass(a.under_ns, a.count + b.count, a.delay_ns + b.delay_ns)
            for a, b in zip(one.delays, two.delays, strict=True)
        ),
        queues=one.queues + two.queues,
    )


# ---------------------------------------------------------------- tables and charts

DEFINITIONS = {
    "calls": "Runtime calls that launched a kernel, copy or memset; a graph launch is one call.",
    "host time": "Time inside one such call.",
    "launch delay": "From the start of the launching call to the start of its work.",
    "queueing": "From the end of the launching call to the start of its work; 0 where the work "
    "began before the call returned.",
    "TKLQT": "Launch delays of all kernels added up (total kernel launch and queuing time).",
    "queue depth": "Activities launched and not yet begun, averaged from the first launch to the "
    "start of the last; each node of a graph launch counts.",
    "short kernels": "Kernels shorter than the host time of their launch; a graph launch shares "
    "its time among its kernels.",
    "launch-bound": "Most of the idle time in the window, and at least 1 % of the window, is "
    "waiting for one short launch after another.",
    "host idle": "Idle time, in the window of the stage's work, before or inside the launch of "
    "the next work.",
    "graph saves": "At most this much of the window: idle time before or inside a launch, where "
    "many short launches follow one another and the device waits for each.",
}


def tables(result: Launches) -> list[Grid]:
    grids = [_stage_grid(result), _cost_grid(result), _call_grid(result), _delay_grid(result)]
    return [*grids, _queue_grid(result)]


def _cost_grid(result: Launches) -> Grid:
    columns = (
        Column("stage"), Column("calls", "count", DEFINITIONS["calls"]),
        Column("work", "count", "Activities that they launched."),
        Column("host, median", "ns", DEFINITIONS["host time"]),
        Column("host, p95", "ns", DEFINITIONS["host time"]),
        Column("delay, median", "ns", DEFINITIONS["launch delay"]),
        Column("delay, p95", "ns", DEFINITIONS["launch delay"]),
        Column("queueing, median", "ns", DEFINITIONS["queueing"]),
        Column("queueing, p95", "ns", DEFINITIONS["queueing"]),
    )  # fmt: skip
    rows = [
        (named(r.rank, r.stage), r.calls, r.activities, r.host.median_ns, r.host.p95_ns,
         r.delay.median_ns, r.delay.p95_ns, r.queueing.median_ns, r.queueing.p95_ns)
        for r in result.rows[:200]
    ]  # fmt: skip
    return Grid("costs", "What one launch costs", columns, rows, _graphs(result))


def _graphs(result: Launches) -> str:
    graphs = sum(r.graph_calls for r in result.rows if r.is_all)
    if not graphs:
        return ""
    return (
        f"{graphs} of the calls are graph launches: later kernels of a graph wait for the earlier "
        "ones, which counts as delay."
    )


def _stage_grid(result: Launches) -> Grid:
    columns = (
        Column("stage"),
        Column("launch-bound", "text", DEFINITIONS["launch-bound"]),
        Column(
            "window",
            "ns",
            "First start to last end of the work, unaccounted time left out.",
        ),
        Column("host idle", "ns", DEFINITIONS["host idle"]),
        Column("of window", "share", "Host idle over window."),
        Column("graph saves at most", "ns", DEFINITIONS["graph saves"]),
        Column("queue depth", "number", DEFINITIONS["queue depth"]),
        Column("TKLQT", "ns", DEFINITIONS["TKLQT"]),
        Column("TKLQT per token", "ns", "TKLQT over the tokens that the stage generated."),
        Column("short kernels", "count", DEFINITIONS["short kernels"]),
    )
    say = {True: "yes", False: "no", None: "never idle"}
    rows = [
        (named(r.rank, r.stage), say[r.launch_bound], r.seen_window_ns, r.host_idle_ns,
         r.host_idle_ns / r.seen_window_ns if r.seen_window_ns else None, r.graph_saves_ns, r.depth,
         r.tklqt_ns, r.tklqt_per_token_ns, r.short_count)
        for r in result.rows[:200]
    ]  # fmt: skip
    return Grid("launches", "Is the GPU waiting for launches?", columns, rows)


def _call_grid(result: Launches) -> Grid:
    columns = (
        Column("call"), Column("calls", "count", DEFINITIONS["calls"]),
        Column("work", "count", "Activities that they launched."),
        Column("host time", "ns", "Time inside these calls."),
        Column("mean", "ns", "Host time of one call."),
    )  # fmt: skip
    rows = [(c.name, c.calls, c.activities, c.host_ns, c.host_ns / c.calls) for c in result.calls]
    return Grid("calls", "Launching calls", columns, rows[:200])


def _delay_grid(result: Launches) -> Grid:
    columns = (
        Column("launch delay", "text", DEFINITIONS["launch delay"]),
        Column("work", "count", "Activities with such a delay."),
        Column("delays", "ns", "Their delays added up."),
    )
    rows = [(_class(d), d.count, d.delay_ns) for d in result.delays if d.count]
    return Grid("delays", "Launch delays by length", columns, rows)


def _class(part: DelayClass) -> str:
    return f"under {limit(part.under_ns)}" if part.under_ns else "longer"


def _queue_grid(result: Launches) -> Grid:
    columns = (
        Column("device", "text"), Column("stream", "text"),
        Column("mean depth", "number", DEFINITIONS["queue depth"]),
        Column("most", "count", "The largest depth."),
        Column("empty", "share", "Part of the time in which nothing was queued."),
    )  # fmt: skip
    rows = [
        (named(q.rank, str(q.device)), str(q.stream), q.mean, q.most, q.empty_share)
        for q in result.queues[:200]
    ]
    return Grid("queues", "Queue depth of each stream", columns, rows)


def charts(result: Launches) -> list[figures.Chart]:
    found = []
    if sum(d.count > 0 for d in result.delays) > 1:
        shown = [d for d in result.delays if d.count]
        found.append(
            figures.columns(
                "delays", "Launch delays", [_class(d) for d in shown],
                {"activities": [d.count for d in shown]}, unit="count", of="activities",
                x_title="launch start to work start", table="delays",
                summary="How many activities waited how long after their launch began.",
            )
        )  # fmt: skip
    if len({(q.trace, q.rank) for q in result.queues}) == 1:
        busiest = max(result.queues, key=lambda q: q.mean)
        step = (busiest.end_ns - busiest.start_ns) / len(busiest.bins)
        middle = [(busiest.start_ns + step * (i + 0.5)) / 1e6 for i in range(len(busiest.bins))]
        found.append(
            figures.lines(
                "queue", f"Work queued on stream {busiest.stream} of device {busiest.device}",
                middle, {"queue depth": list(busiest.bins)}, unit="activities", points=False,
                x_title="ms since the first slice", of="launched, not begun", table="queues",
                summary="Mean number of activities launched and not begun, over time.",
            )
        )  # fmt: skip
    return found


ANALYSIS = Analysis(
    title="What launching costs",
    question="How long do launches take, how long does work wait for them, and would graphs help?",
    run=launches,
    merge=merge,
    tables=tables,
    charts=charts,
    definitions=DEFINITIONS,
    order=50,
    adds_up=False,
)
