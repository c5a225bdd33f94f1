"""The ranks of one job together: what its owner asks first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tracekit.answers.collectives import Collectives, merge
from tracekit.attribution.collectives.arrivals import waited_for
from tracekit.attribution.collectives.clocks import HostClock
from tracekit.patterns import later
from tracekit.records import Record, replace
from tracekit.report.many import balance, causes, groups, ranks, steps
from tracekit.report.many.causes import Apart
from tracekit.report.many.groups import ALONE, Row
from tracekit.report.many.runs import Side
from tracekit.report.many.steps import Steps
from tracekit.report.one.overview import Finding
from tracekit.results import merging
from tracekit.results.figures import Chart
from tracekit.results.result import Grid, Result
from tracekit.results.units import duration


class Job(Record, frozen=True):
    """What the ranks say together. Empty or None where they do not say it."""

    sides: tuple[Side, ...]
    calls: Collectives | None  # of all ranks, each call met
    apart: tuple[Apart, ...]  # by rank
    rows: tuple[Row, ...]  # of tables and charts: a rank, or a group of ranks
    steps: Steps | None
    clocks: tuple[HostClock, ...] = ()


def read(many: Sequence[Side], sums: Mapping[str, Result] | None = None) -> Job:
    """Of ranks of one job. `sums` are their answers as merged elsewhere."""
    calls = [own for side in many if (own := side.one.get(Collectives)) is not None]
    apart = causes.read(many)
    rows = groups.rows([side.name for side in many], causes.apart(apart, len(many)))
    known = (sums or {}).get(Collectives.analysis)
    assert known is None or isinstance(known, Collectives)
    together = known or (merging.merged(merge, calls) if len(calls) > 1 else None)
    return Job(
        tuple(many), together, tuple(apart), tuple(rows), steps.read(many),
        together.clocks if together is not None else (),
    )  # fmt: skip


def whole(job: Job) -> Job:
    """The same with a row for every rank."""
    return replace(job, rows=groups.alone([side.name for side in job.sides]))


def every_step(job: Job) -> list[Grid]:
    """A row for each step of each rank."""
    return [steps.every(job.steps)] if job.steps is not None else []


def charts(job: Job) -> list[Chart | None]:
    """Where each rank's time went; ranks by steps."""
    drawn = steps.charts(job.steps, _stragglers_first(job)) if job.steps is not None else []
    return [ranks.chart(job.sides, job.rows), *drawn]


def _stragglers_first(job: Job) -> list[Row]:
    """Ranks that something sets apart, the farthest first; then the others in their order."""
    apart = {one.place: one.size for one in job.apart if one.cause}

    def place(row: Row) -> tuple[bool, float]:
        return len(row.members) > 1, -apart.get(row.members[0], 0.0)

    return sorted(job.rows, key=place)


def grids(job: Job) -> list[Grid | None]:
    """The same as tables, and what sets ranks apart."""
    stepped = steps.grids(job.steps, _stragglers_first(job)) if job.steps is not None else []
    return [
        causes.grid(job.apart, job.calls), *ranks.grids(job.sides, job.rows), *stepped,
        balance.bubbles(job.sides, job.rows), balance.loads(job.sides, job.rows),
        balance.clocks(job.clocks),
    ]  # fmt: skip


def headline(job: Job) -> str:
    """Which rank holds the others up, and why; "" where none does, or it cannot be told."""
    straggler = job.calls.straggler if job.calls is not None else None
    return causes.sentence(job.apart, straggler)


def finding(job: Job) -> Finding | None:
    """What to do about the rank that holds the others up; None where none does."""
    straggler = job.calls.straggler if job.calls is not None else None
    if straggler is None:
        return None
    claim, saved = f"{straggler.said}.", f"Saves at most {duration(straggler.held_ns)}."
    todo = causes.advice(job.apart, straggler)
    return Finding(claim, saved, todo, Collectives.analysis, "See communication between ranks")


def sentences(job: Job) -> Iterable[str]:
    """What else is uneven."""
    yield from ranks.sentences(job.sides)
    yield from balance.load_sentences(job.sides)
    yield from filter(None, (balance.bubble_sentence(job.sides),
                             balance.clock_sentence(job.clocks)))  # fmt: skip


_ALONE = later(r"[;,] at least [^;]* is waiting for peers or contention")
_EITHER = "It is transfer and waiting for peers."


def met(job: Job, rank: str, claim: str) -> str:
    """What a finding on communication claims of a rank alone, with what all ranks say together.

    Alone, waiting is at least what calls take beyond the fastest of their size; calls met over all
    ranks say how long each waited.
    """
    waited = next(
        (w.waited_ns for w in (job.calls.waiting if job.calls is not None else ())
         if w.rank == rank), None,
    )  # fmt: skip
    if waited is None or _EITHER not in claim:
        return claim
    late = job.calls.straggler if job.calls is not None else None
    whom = ""
    if job.calls is not None and late is not None and late.rank != rank:
        whom = f" ({duration(waited_for(job.calls.calls, rank, late.rank))} for {late.rank})"
    said = (
        f"Matched with the other ranks' calls, {duration(waited)} of it is waiting for them{whom}, "
        "the rest transfer."
    )
    return _ALONE.sub("", claim).replace(_EITHER, said)


def to_json(job: Job) -> dict[str, Any]:
    """What tables cut: every step of every rank."""
    return {"steps": job.steps.to_json() if job.steps is not None else None}


__all__ = [
    "ALONE",
    "Job",
    "charts",
    "every_step",
    "grids",
    "met",
    "read",
    "sentences",
    "to_json",
    "whole",
]
