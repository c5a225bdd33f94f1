"""The jobs among several traces: one of which all are ranks, or several, each for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import Any

from tracekit.answers.findings import Findings
from tracekit.records import Record, replace
from tracekit.report import facts
from tracekit.report.many import job as jobs
from tracekit.report.many import runs
from tracekit.report.many.job import Job
from tracekit.report.many.runs import FEW, Side, Sides
from tracekit.report.one.headline import headline
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid
from tracekit.results.units import plural
from tracekit.trace import run_facts

KNOWN = {
    "file": "one file", "profiler": "the profiler's distributedInfo", "name": "names of the files",
    "stated": "--ranks",
}  # fmt: skip


class Part(Record, frozen=True):
    """One job, its ranks called as if they were alone; `members` are places among the traces."""

    name: str  # empty where there is no other job
    told_by: str
    members: tuple[int, ...]
    job: Job

    def said(self, text: str) -> str:
        """A sentence on this job."""
        return f"{self.name} · {text}" if self.name else text


def read(many: Sides) -> tuple[Part, ...]:
    """What the ranks of each job say together."""
    whole = many.one_job
    parts = []
    for found in many.jobs:
        own = [many[i] for i in found.members]
        sides = own if whole else [
            replace(side, name=run_facts.rank_name(side.one.source)) for side in own
        ]  # fmt: skip
        sums = many.sums.get(tuple(side.one.path for side in own))
        name = "" if whole else found.name or "the job"
        parts.append(Part(name, found.told_by, found.members, jobs.read(sides, sums)))
    return tuple(parts)


def lone(many: Sides, parts: Sequence[Part]) -> list[Side]:
    """The traces that are of no job."""
    return [many[place] for place in _alone(many, parts)]


def _alone(many: Sides, parts: Sequence[Part]) -> list[int]:
    taken = {i for part in parts for i in part.members}
    return [place for place in range(len(many)) if place not in taken]


def shown(many: Sides, parts: Sequence[Part]) -> list[Side]:
    """The traces whose own numbers a page has: of hundreds those that stand out, or the first."""
    if not parts:
        return list(many[: jobs.ALONE])
    each = max(jobs.ALONE // len(parts), FEW)
    kept = [
        part.members[row.members[0]]
        for part in parts
        for row in [r for r in part.job.rows if len(r.members) == 1][: each if part.name else None]
    ]
    return [many[i] for i in sorted((*kept, *_alone(many, parts)[: jobs.ALONE]))]


def title(many: Sides, parts: Sequence[Part]) -> str:
    """What the traces are together."""
    if run_facts.one_file([side.one.source for side in many]):
        return f"{len(many)} ranks in one file"
    if many.one_job:
        world = many[0].run.world_size
        of = f" of {world}" if world and world != len(many) else ""
        return f"{len(many)} ranks{of} of one job"
    if not parts:
        return f"{len(many)} traces side by side"
    rest = len(many) - sum(len(part.members) for part in parts)
    more = f", and {plural(rest, 'other trace')}" if rest else ""
    counts = " and ".join(str(len(part.members)) for part in parts[:FEW])
    if len(parts) > FEW:
        counts = str(len(many) - rest)
    return f"{plural(len(parts), 'job')} of {counts} ranks{more}"


def notes(many: Sides, parts: Sequence[Part]) -> Iterable[str]:
    """By what ranks are known where no profiler wrote it; which files could not be read."""
    for part in parts:
        if part.told_by == "name":
            yield part.said(
                "That these are ranks of one job is known by the names of the files alone; "
                "--ranks says it otherwise."
            )
    for one in many.unread:
        yield f"{facts.file_name(one.path)} could not be read: {one.fault}"


# ---------------------------------------------------------------- what they say


def charts(parts: Sequence[Part]) -> Iterator[Chart | None]:
    """Those of each job; of many jobs of the first."""
    for place, part in enumerate(parts[:FEW], 1):
        for chart in jobs.charts(part.job):
            yield chart and replace(
                chart, key=_key(chart.key, part, place), title=part.said(chart.title),
                table=_key(chart.table, part, place) if chart.table else chart.table,
            )  # fmt: skip


def grids(many: Sides, parts: Sequence[Part]) -> Iterator[Grid | None]:
    """Which rank is of which job, then the tables of each."""
    if any(part.name for part in parts):
        yield _jobs(parts)
    for place, part in enumerate(parts, 1):
        for grid in jobs.grids(part.job):
            yield grid and replace(
                grid, key=_key(grid.key, part, place), title=part.said(grid.title)
            )


def every_step(parts: Sequence[Part]) -> Iterator[Grid]:
    """A row for each step of each rank of each job."""
    for place, part in enumerate(parts, 1):
        for grid in jobs.every_step(part.job):
            yield replace(grid, key=_key(grid.key, part, place), title=part.said(grid.title))


def _key(key: str, part: Part, place: int) -> str:
    return f"{key}-{place}" if part.name else key


def _jobs(parts: Sequence[Part]) -> Grid:
    columns = (
        Column("job"), Column("ranks", "text", "Of which there is a trace."),
        Column("of", "count", "Ranks that the job has."),
        Column("known by", "text", "What says that these are its ranks."),
        Column("model"), Column("window", "ns", "Of a device, the mean over the ranks."),
        Column("who holds it up"),
    )  # fmt: skip
    rows = []
    for part in parts:
        sides = part.job.sides
        windows = [w for side in sides if (w := runs.measures(side).window) is not None]
        rows.append((
            part.name, numbers([run_facts.rank(side.one.source) for side in sides]),
            sides[0].run.world_size, KNOWN[part.told_by], sides[0].run.model,
            fmean(windows) if windows else None, jobs.headline(part.job) or None,
        ))  # fmt: skip
    said = "Nothing is added up over jobs. – is not said by the traces, or no rank stands out."
    return Grid("jobs", "Jobs", columns, rows, absent=said)


def numbers(ranks: Sequence[int | None]) -> str:
    """Numbers of ranks, neighbours joined: 0–7, 12."""
    known = sorted(rank for rank in ranks if rank is not None)
    spans: list[list[int]] = []
    for rank in known:
        if spans and rank == spans[-1][1] + 1:
            spans[-1][1] = rank
        else:
            spans.append([rank, rank])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in spans) or str(len(ranks))


def headlines(many: Sides, parts: Sequence[Part]) -> Iterator[str]:
    """Of each job the rank that holds the others up, else, as its ranks do much the same, of the
    one with the first finding; of a few other traces the biggest thing of each.
    """
    for part in parts[:FEW]:
        if main := jobs.headline(part.job):
            yield part.said(main)
            continue
        side = dearest(part.job.sides) or longest(part.job.sides)
        if side is not None and (said := headline(side.one)):
            yield part.said(f"{side.name} · {said}")
    for side in lone(many, parts)[: max(FEW - len(parts), 0)]:
        if said := headline(side.one):
            yield f"{side.name} · {said}"


def dearest(sides: Sequence[Side]) -> Side | None:
    """The rank with the finding that saves most, which is the first of the job's; None without."""
    saves = [
        (max((row.saves_ns or 0 for row in found.rows), default=0), side)
        for side in sides if (found := side.one.get(Findings)) is not None
    ]  # fmt: skip
    most, side = max(saves, key=lambda own: own[0], default=(0, None))
    return side if most else None


def longest(sides: Sequence[Side]) -> Side | None:
    """The rank whose device was at it longest."""
    known = [side for side in sides if runs.measures(side).window is not None]
    return max(known, key=lambda side: runs.measures(side).window or 0, default=None)


def to_json(many: Sides, parts: Sequence[Part]) -> dict[str, Any]:
    """What tables cut: every step of every rank; and which rank is of which job."""
    own = [
        {
            "name": part.name, "told_by": part.told_by,
            "world_size": part.job.sides[0].run.world_size,
            "members": list(part.members),
            "ranks": [run_facts.rank(side.one.source) for side in part.job.sides],
            "sentence": jobs.headline(part.job) or None, **jobs.to_json(part.job),
        }
        for part in parts
    ]  # fmt: skip
    whole = jobs.to_json(parts[0].job) if many.one_job else {}
    return {**whole, "jobs": own}
