"""Where most of the wall time is, and host time that is in no framework op."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.modules import Modules
from tracekit.answers.stages import Stages
from tracekit.results.findings import Ask, Draft
from tracekit.results.units import duration, plural, share
from tracekit.taxonomy import FindingKind


def findings(result: Stages, ask: Ask) -> Iterator[Draft]:
    """The biggest stage, then what each spends outside ops."""
    yield from _biggest(result)
    yield from _outside_ops(result, ask)


def _biggest(result: Stages) -> Iterator[Draft]:
    """Where most of the wall time is: no claim that it can be saved."""
    named = [total for total in result.totals if not total.is_all]
    whole = result.whole.wall_ns if result.whole is not None else 0
    if len(named) < 2 or not whole:
        return
    top = max(named, key=lambda total: total.wall_ns)
    if top.wall_ns > 0.99 * whole:  # it holds the others
        return
    yield Draft(
        FindingKind.LARGEST_STAGE, top.family,
        f"{share(top.wall_ns / whole)} of the wall time of all stages is {top.family}: "
        f"{duration(top.wall_ns)} in {plural(top.instances, 'instance')}.",
        top.wall_ns / whole, "share", None, whole, "Start there.",
        numbers={"share": top.wall_ns / whole, "wall_ns": top.wall_ns, "instances": top.instances},
    )  # fmt: skip


def _outside_ops(result: Stages, ask: Ask) -> Iterator[Draft]:
    """On a trace without GPU events: host time that is in no framework op, of the stage with most.

    Stages may hold one another, so one stands for all.
    """
    found = []
    for row in result.totals:
        if row.host is None or row.host_detail is None or row.is_all or not row.wall_ns:
            continue
        # what another thread does meanwhile (a backward pass) is not waste of this one
        ns = row.host.other_ns - row.host_detail.elsewhere_ns
        if ns / row.wall_ns >= 0.25:
            found.append((ns, row))
    if not found:
        return
    ns, row = max(found, key=lambda item: item[0])
    recorded = ask(Modules) is not None
    more = f" So are parts of {plural(len(found) - 1, 'other stage')}." if len(found) > 1 else ""
    yield Draft(
        FindingKind.HOST_WORK if recorded else FindingKind.RECORD_MORE, row.family,
        f"{share(ns / row.wall_ns)} of the wall time of {row.family} is outside any framework op "
        f"of its process, {duration(ns)} of {duration(row.wall_ns)}: Python, other libraries, or "
        f"waiting.{more}",
        ns / row.wall_ns, "share", None, row.wall_ns,
        "See the time by module, and the timeline."
        if recorded
        else "Capture with --with-stack to see what runs there.",
        numbers={"share": ns / row.wall_ns, "outside_ns": ns, "wall_ns": row.wall_ns,
                 "stages": len(found)},
    )  # fmt: skip
