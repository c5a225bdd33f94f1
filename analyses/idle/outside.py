"""What stages spend before the first work of a device: it is in no device's window."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.idle import IdleTime
from tracekit.attribution.reasons.names import Reason
from tracekit.results.findings import LEAST, Draft
from tracekit.results.units import duration, plural, share

from .held import held
from .rules import RULES

MOSTLY = 0.9  # of the time: in this stage
MUCH = 0.25  # of the wall time of all stages


def set_up_outside(result: IdleTime) -> Iterator[Draft]:
    """Setting up in stages before the first work of a device, which is in no device's window."""
    whole = next((row for row in result.stages if row.is_all), None)
    if whole is None or not whole.wall_ns:
        return
    ns = whole.causes.host_initialisation
    said = sum(r.ns for r in result.reasons if r.reason == Reason.INITIALISATION)
    part = ns / whole.wall_ns
    windows_ns = sum(row.seen_window_ns for row in result.rows)
    # where a device's window has much of it too, that is the finding
    if 2 * said >= ns or said >= LEAST * windows_ns or part < LEAST:
        return
    rule = RULES[Reason.INITIALISATION]
    top = max((row for row in result.stages if not row.is_all),
              key=lambda row: row.causes.host_initialisation)  # fmt: skip
    mostly = top.family if top.causes.host_initialisation >= MOSTLY * ns else None
    yield Draft(
        rule.kind, mostly,
        f"Stages last {duration(whole.wall_ns)}; for {share(part)} of it, {duration(ns)}, no "
        f"device works {rule.because}, most of it outside the window of the device's work"
        f"{f', nearly all in {mostly}' if mostly else ''}.",
        part, "share", None, whole.wall_ns, rule.do,
        numbers={"share": part, "idle_ns": ns, "wall_ns": whole.wall_ns},
    )  # fmt: skip


def before_first_work(result: IdleTime) -> Iterator[Draft]:
    """The stage without work of a device that takes most of the time before the first such work."""
    whole = next((row for row in result.stages if row.is_all), None)
    rows = [row for row in result.before if row.ns]
    if whole is None or not whole.wall_ns or not rows:
        return
    top = max(rows, key=lambda row: row.ns)
    part = top.ns / whole.wall_ns
    if part < MUCH:
        return
    rule = RULES[Reason.DATA if 2 * top.data_ns > top.ns else Reason.WORK]
    numbers: dict[str, float] = {"share": part, "ns": top.ns, "wall_ns": whole.wall_ns}
    times = f" ({plural(top.instances, 'instance')})" if top.instances > 1 else ""
    yield Draft(
        rule.kind, top.stage,
        f"{share(part)} of the wall time of all stages, {duration(top.ns)} of "
        f"{duration(whole.wall_ns)}, passes in {top.stage}{times} on the host before "
        f"the first work of a device, and launches none.{held(top.holders, top.ns, numbers)}",
        part, "share", None, whole.wall_ns, rule.do,
        numbers=numbers,
    )  # fmt: skip
