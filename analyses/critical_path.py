"""The longest chain of dependent work, as Holistic Trace Analysis finds it.

Through one annotation; where there is none, or on request, through the whole trace.

Only on request, since it is slow: `--only critical_path`. HTA rounds to whole microseconds, so the
lengths are off by up to 2 µs an edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tracekit.answers.critical_path import CauseShare, CriticalPath, LongEdge, PathThrough
from tracekit.attribution import hta_results
from tracekit.attribution.hta_results import Edge
from tracekit.attribution.stages.instances import Markers, markers
from tracekit.errors import MissingEventsError, TracekitError
from tracekit.records import Record
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid
from tracekit.taxonomy import Whole
from tracekit.trace import ranks
from tracekit.trace.trace import Trace

CAUSES = {
    "cpu_bound": "host",
    "gpu_compute_bound": "compute",
    "gpu_communication_bound": "communication",
    "gpu_kernel_kernel_overhead": "gap between kernels",
    "gpu_kernel_launch_overhead": "launch delay",
    "": "dependency",
}
MOST_EDGES = 50


class _Region(Record, frozen=True):
    """What the path leads through."""

    name: str | None  # of an annotation; None: the whole trace
    instance: int  # among those of its name
    wall_ns: int


def critical_path(
    trace: Trace,
    *,
    stages: str | None = None,
    instance: int | None = None,
    whole: bool = False,
    overlay: Path | None = None,
) -> CriticalPath:
    """The critical path through one annotation instance, or through the `whole` trace.

    The instance is of the first stage of the trace, or of the first annotation that `stages`
    matches; by default the second of its name where there are several, since the first often lacks
    events. A trace that nothing marks is followed whole. With `overlay`, a trace with the path
    drawn in, which opens in Perfetto, goes there.

    Raises: MissingEventsError where HTA fails on the trace; TracekitError for an instance that does
    not exist.
    """
    if trace.source.rank is not None or len(ranks.split(trace)) > 1:
        raise MissingEventsError(
            "the file holds several ranks, which Holistic Trace Analysis would read as one",
            where=trace.path,
            hint="give it the file of one rank",
        )
    region = _region(trace, stages, instance, whole)
    try:
        found = hta_results.critical_path(trace.path, region.name, region.instance, overlay)
    except hta_results.HtaError as fault:
        raise MissingEventsError(
            f"Holistic Trace Analysis {hta_results.version()} fails on this trace ({fault})",
            where=trace.path,
            hint="choose another annotation (stages), or a trace with GPU work",
        ) from fault
    total = sum(edge.ns for edge in found)
    edges = tuple(
        LongEdge(
            trace.path, e.name, CAUSES.get(e.bound_by, e.bound_by), e.kind, e.ns,
            e.ns / total if total else None,
        )
        for e in found
        if e.ns
    )  # fmt: skip
    name = region.name or Whole.TRACE.value
    row = PathThrough(
        trace.path, name, region.instance, region.wall_ns, total, len(found), _causes(found, total)
    )
    return CriticalPath((row,), _longest(edges))


def _causes(found: Sequence[Edge], total: int) -> tuple[CauseShare, ...]:
    """What the path is made of, the longest first."""
    length: Counter[str] = Counter()
    count: Counter[str] = Counter()
    for edge in found:
        cause = CAUSES.get(edge.bound_by, edge.bound_by)
        length[cause] += edge.ns
        count[cause] += 1
    return tuple(
        CauseShare(cause, ns, ns / total if total else None, count[cause])
        for cause, ns in sorted(length.items(), key=lambda item: (-item[1], item[0]))
        if ns
    )


def _region(trace: Trace, stages: str | None, instance: int | None, whole: bool) -> _Region:
    """What to follow. Raises: MissingEventsError, TracekitError as `critical_path` does."""
    marks = None if whole else _written(trace, stages)
    if marks is None:
        if instance:
            raise TracekitError(
                "the whole trace has no instances", where=trace.path, hint="leave instance out"
            )
        if not len(trace):
            raise MissingEventsError("no slices", where=trace.path, hint="capture again")
        return _Region(None, 0, int(trace.end.max() - trace.ts.min()))
    at, number = _chosen(trace, marks, instance)
    return _Region(marks.name[at], number, int(marks.end[at] - marks.start[at]))


def _written(trace: Trace, stages: str | None) -> Markers | None:
    """The stages, as far as they are annotations that the file holds; None where nothing is."""
    if stages is not None:
        return markers(trace, stages)
    try:
        marks = markers(trace)
        if marks.chosen not in ("file", "inferred"):
            return marks
        return markers(trace, r"^ProfilerStep#")
    except MissingEventsError:
        return None


def _chosen(trace: Trace, marks: Markers, instance: int | None) -> tuple[int, int]:
    """The marker to follow, and its number among those of its name."""
    name = marks.name[0]
    same = [at for at, other in enumerate(marks.name) if other == name]
    number = min(1, len(same) - 1) if instance is None else instance
    if not 0 <= number < len(same):
        raise TracekitError(
            f"{name!r} has {len(same)} instances, and none of number {number}",
            where=trace.path,
            hint=f"choose 0 to {len(same) - 1}",
        )
    return same[number], number


def _longest(edges: tuple[LongEdge, ...]) -> tuple[LongEdge, ...]:
    return tuple(sorted(edges, key=lambda e: (-e.ns, e.trace, e.name))[:MOST_EDGES])


def merge(one: CriticalPath, two: CriticalPath) -> CriticalPath:
    """The paths beside one another: paths do not add up."""
    return CriticalPath(one.rows + two.rows, _longest(one.edges + two.edges))


DEFINITIONS = {
    "path": "The longest chain of slices that wait for one another, from the start of the "
    "annotation, or of the whole trace, to the end of the work it launched, as HTA finds it.",
    "host": "Host slices on the path.",
    "compute": "Kernels and copies on the path.",
    "communication": "Communication kernels on the path.",
    "gap between kernels": "Time between two kernels of one stream on the path.",
    "launch delay": "Time from a launch to its kernel on the path.",
    "dependency": "Waiting of one slice for another, in no slice itself.",
}


def tables(result: CriticalPath) -> list[Grid]:
    paths = (
        Column("annotation"), Column("instance", "text", "Number among those of its name."),
        Column("wall", "ns", "Host time of the annotation; else first start to last end."),
        Column("path", "ns", DEFINITIONS["path"]), Column("cause"),
        Column("time", "ns", "Edges of this cause, added up."),
        Column("share", "share", "Of the path."), Column("edges", "count"),
    )  # fmt: skip
    rows = [
        (p.annotation, str(p.instance), p.wall_ns, p.path_ns, c.cause, c.ns, c.share, c.edges)
        for p in result.rows
        for c in p.causes
    ]
    edges = (
        Column("slice"), Column("cause"), Column("edge", "text", "HTA's type of edge."),
        Column("time", "ns", "Length of the edge."), Column("share", "share", "Of its path."),
    )  # fmt: skip
    return [
        Grid("paths", "What the critical path is made of", paths, rows[:200],
             f"Found by Holistic Trace Analysis {hta_results.version()}, in whole microseconds."),
        Grid("edges", "The longest edges", edges,
             [(e.name, e.cause, e.kind, e.ns, e.share) for e in result.edges]),
    ]  # fmt: skip


def charts(result: CriticalPath) -> list[Chart]:
    names = [f"{p.annotation} #{p.instance}" for p in result.rows]
    causes = dict.fromkeys(c.cause for p in result.rows for c in p.causes)
    parts = {
        cause: [sum(c.ns for c in p.causes if c.cause == cause) for p in result.rows]
        for cause in causes
    }
    return [
        figures.split_bars(
            "paths", "What the critical path is made of", names, parts, of="path", table="paths",
            summary="The critical path of each annotation, by what bounds it.",
        )
    ]  # fmt: skip


ANALYSIS = Analysis(
    title="Critical path",
    question="Which chain of dependent work decided how long it took?",
    run=critical_path,
    merge=merge,
    tables=tables,
    charts=charts,
    definitions=DEFINITIONS,
    order=110,
    adds_up=False,
    by_default=False,
)
