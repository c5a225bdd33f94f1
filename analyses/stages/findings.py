"""Where most of the wall time is, and host time that is in no framework op."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.audit import Audit
from tracekit.answers.devices import Devices
from tracekit.answers.idle import IdleTime
from tracekit.answers.modules import Modules
from tracekit.answers.stages import Stages, Total
from tracekit.attribution.reasons.names import Reason
from tracekit.results.findings import Ask, Draft
from tracekit.results.units import duration, plural, share
from tracekit.taxonomy import FindingKind

MUCH = 0.05  # of the wall time of all stages


def findings(result: Stages, ask: Ask) -> Iterator[Draft]:
    """The biggest stage, then what each spends outside ops."""
    yield from _biggest(result, ask)
    yield from _outside_ops(result, ask)
    yield from _no_gpu(ask)


def _no_gpu(ask: Ask) -> Iterator[Draft]:
    """Launches and no work: whatever the host did, the question was the GPU's."""
    audit = ask(Audit)
    for row in audit.rows if audit is not None else ():
        if row.check == "no_gpu_work":
            yield Draft(
                FindingKind.RECORD_MORE, None,
                f"{plural(row.count, 'kernel launch', 'kernel launches')} and no work of a device "
                "are in the file: every time here is the host's.",
                1.0, "share", None, None,
                "Record ProfilerActivity.CUDA beside CPU, and no hardware counters: CUPTI writes "
                "ranges of counters or kernels.",
                also=(Audit,),
                numbers={"launches": row.count},
            )  # fmt: skip


def _biggest(result: Stages, ask: Ask) -> Iterator[Draft]:
    """Where most of the wall time is: no claim that it can be saved.

    None where the biggest has less than half of it, or the stages cover less than half of the
    devices' windows, since most of the time is elsewhere; nor where half of the biggest is set-up,
    which `initialisation` says.
    """
    named = [total for total in result.totals if not total.is_all]
    whole = result.whole.wall_ns if result.whole is not None else 0
    if len(named) < 2 or not whole:
        return
    top = max(named, key=lambda total: total.wall_ns)
    if not 0.5 * whole <= top.wall_ns <= 0.99 * whole:  # above, it holds the others
        return
    devices, idle = ask(Devices), ask(IdleTime)
    if devices is not None and whole < 0.5 * max(row.window_ns for row in devices.rows):
        return
    setup = sum(
        row.ns for row in (idle.reasons if idle is not None else ())
        if row.reason == Reason.INITIALISATION and row.stage == top.family
    )  # fmt: skip
    if setup > 0.5 * top.wall_ns:
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

    Stages may hold one another, so one stands for all. A load of 10 ms in a run of 2 s, all of it
    outside ops, is nothing to begin with.
    """
    found = []
    least = MUCH * (result.whole.wall_ns if result.whole is not None else 0)
    for row in result.totals:
        if row.host is None or row.host_detail is None or row.is_all or not row.wall_ns:
            continue
        # what another thread does meanwhile (a backward pass) is not waste of this one
        ns = row.host.other_ns - row.host_detail.elsewhere_ns
        if ns / row.wall_ns >= 0.25 and ns >= least:
            found.append((ns, row))
    if not found:
        return
    ns, row = max(found, key=lambda item: item[0])
    detail = row.host_detail
    if detail is not None and detail.collective_ns > 0.5 * ns:
        yield _collectives(row, ns, detail.collective_ns)
        return
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


def _collectives(row: Total, outside: int, beside: int) -> Draft:
    """A stage without a GPU that lasts as long as the collectives of its process."""
    part = beside / row.wall_ns
    return Draft(
        FindingKind.COLLECTIVE, row.family,
        f"For {share(part)} of the wall time of {row.family}, {duration(beside)} of "
        f"{duration(row.wall_ns)}, a collective of its process is open and no thread is in a "
        "framework op: it is transfer and waiting for peers. All time outside ops is "
        f"{duration(outside)}.",
        part, "share", None, row.wall_ns,
        "See which rank comes last: traces of all ranks show it; overlap the collectives with "
        "compute, or send less.",
        numbers={"share": part, "collective_ns": beside, "wall_ns": row.wall_ns,
                 "outside_ns": outside},
    )  # fmt: skip
