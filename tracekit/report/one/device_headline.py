"""The headline of a trace with a device: what takes most of its window, then what it computes.

Idle time, communication and copies are causes by their share of the window; kernels by category,
with how near to the limits of the device they came where that is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from tracekit.answers.devices import Device, Devices
from tracekit.answers.idle import IdleTime
from tracekit.answers.kernels import Kernels
from tracekit.answers.ops import Ops
from tracekit.answers.stages import PHASES, Stages, Total
from tracekit.attribution.reasons.names import Reason
from tracekit.attribution.stages.annotation_names import Phase
from tracekit.report.one import kernel_words
from tracekit.results.answers import Answers
from tracekit.results.kernel_labels import readable
from tracekit.results.units import duration, plural, share

LEADS = 0.25  # of the window: idle time that is said before what the kernels are
WORTH = 0.15  # of the window: a cause that gets a clause of its own
MUCH = 0.5  # of a stage's wall time: a device window longer than this is what the stage is about
MOSTLY = 0.8  # of the kernel time: in known phases
SEVERAL = 1.1  # times as long as kernels take are their durations added up: streams overlap
LONG = 48  # characters of a name in a sentence

CAUSES: Mapping[Reason, str] = {
    Reason.SYNC: "the host waits in blocking syncs, copies or `.item()`",
    Reason.DATA: "the host loads data",
    Reason.ALLOCATION: "the host allocates or frees memory",
    Reason.INITIALISATION: "the host sets up what runs for the first time",
    Reason.COMPILED: "the host runs what torch.compile puts around its graphs",
    Reason.STEPS: "the host is between one step and the next",
    Reason.LAUNCHES: "the host launches one short kernel after another",
    Reason.WORK: "the host does other work between launches",
    Reason.SHORT: "the host is late, in single gaps under 100 µs",
    Reason.PROFILER: "the profiler itself holds the host",
    Reason.OTHER_DEVICE: "another device works",
    Reason.COMMUNICATION: "work waits for communication",
    Reason.OTHER_STREAM: "work waits for another stream",
    Reason.GRAPH: "nothing runs between kernels of one graph",
    Reason.LATENCY: "launched work has not begun",
    Reason.UNLINKED: "the launches are not in the file, so nobody can say why",
    Reason.LOST: "work launched meanwhile is not in the file, so nobody can say why",
    Reason.END: "nothing more is launched",
}
WAITED = "the host launches late, since it waited for the device before"
UNSEEN = "the host launches nothing, and the file does not show what it does"
# classes of idle time before or after the work of a device, of a stage by its wall time
ELSEWHERE: Mapping[str, str] = {
    "host_initialisation": "the host sets up what runs for the first time",
    "host_data": "the host loads data",
    "host_compiled": "the host runs what torch.compile puts around its graphs",
    "host_op": "the host is in framework ops and launches nothing yet",
    "host_outside": "the host is outside framework ops and launches nothing yet",
    "after_last": "the last GPU work is done and nothing more is launched",
}


def headline(one: Answers, devices: Devices) -> str:
    """One sentence on the device that was at it longest; of several it says so."""
    row = max(devices.rows, key=lambda r: r.seen_window_ns)
    if not row.seen_window_ns:
        return ""
    if said := _mostly_elsewhere(one, row):
        return said
    if len(devices.rows) == 1 and (alone := _alone(one, row)):
        return alone
    lead = _lead(one, devices, row)
    which = "" if len(devices.rows) == 1 else f"Device {row.device} of {len(devices.rows)}: "
    if lead is None:
        return f"{which}{_work(one, row)}."
    idle = row.idle_share or 0.0
    also = ""
    if idle >= WORTH and not lead.idle:
        # more than what leads, though no cause of it alone is
        why = _reasons(one.get(IdleTime), row)[0] if idle >= lead.part else ""
        also = f"; the GPU is idle for {share(idle)}{why}"
    lacks = ""
    if row.suspect_ns >= LEADS * row.window_ns:  # then it is the first thing to know
        times = f"{duration(row.suspect_ns)} of {duration(row.window_ns)}"
        lacks = f"{times} on the device are unaccounted for. "
    work = _beside(one, row) if lead.communication else _rest(one, row)
    return f"{which}{lacks}{lead.said}{also}{f'; {work}' if work else ''}."


def _alone(one: Answers, row: Device) -> str:
    """Of a single kernel: shares of a window that is the kernel's own say nothing."""
    kernels = one.get(Kernels)
    if kernels is None or row.kernel_count != 1 or row.kernel_ns != row.window_ns:
        return ""
    name = kernel_words.short(kernels.rows[0])
    return f"One kernel of {duration(row.kernel_ns)}, {name}, is all GPU work in the file."


def _mostly_elsewhere(one: Answers, row: Device) -> str:
    """Where the longest stage is mostly time before or after all of the device's work.

    That is in no window: the first use of a device, compiling, capturing a graph.
    """
    stages, idle = one.get(Stages), one.get(IdleTime)
    main = stages.main if stages is not None else ()
    if len(main) != 1 or idle is None or row.window_ns > MUCH * main[0].wall_ns:
        return ""
    stage = main[0]
    mine = next((r for r in idle.stages if r.family == stage.family), None)
    if mine is None:
        return ""
    if stage.family == Phase.CAPTURE:
        return (
            f"Graph capture takes {duration(stage.wall_ns)} on the host; what is captured does not "
            f"run, and the GPU works for {duration(row.busy_ns)}."
        )
    causes = [(ns, said) for field, said in ELSEWHERE.items()
              if (ns := getattr(mine.seen_causes(launched=False), field))]  # fmt: skip
    ns, said = max(causes, default=(0, ""))
    if ns < 0.5 * stage.wall_ns:
        return ""
    if said == ELSEWHERE["host_op"]:
        said += _in_op(one, stage, ns)
    many = plural(stage.instances, "instance")
    name = f"{_titled(stage)} ({many})" if stage.instances > 1 else _titled(stage)
    return (
        f"{name} takes {duration(stage.wall_ns)}: for {share(ns / stage.wall_ns)} of it {said}; "
        f"the GPU works for {duration(row.busy_ns)}."
    )


def _in_op(one: Answers, stage: Total, ns: int) -> str:
    """The op that takes at least half of this part of a stage, wherever in it the op is."""
    ops = one.get(Ops)
    mine = [row for row in (ops.rows if ops is not None else ()) if row.phase == stage.family]
    top = max(mine, key=lambda row: row.self_ns, default=None)
    if top is None or top.self_ns - (stage.wall_ns - ns) < 0.5 * ns or len(top.name) > LONG:
        return ""
    return f" (`{top.name}`)"


class _Lead(NamedTuple):
    """A cause that keeps the device from computing."""

    part: float  # of the window
    said: str
    idle: bool = False
    communication: bool = False


def _lead(one: Answers, devices: Devices, row: Device) -> _Lead | None:
    """The largest such cause; None where none takes much."""
    seen = row.seen_window_ns
    causes: list[_Lead] = []
    idle = row.idle_share or 0.0
    if idle >= LEADS:
        why, ns = _reasons(one.get(IdleTime), row)
        said = f"GPU idle for {share(idle)} of its {duration(seen)} window{why}"
        causes.append(_Lead(ns / seen, said, idle=True))
    if (talk := row.exposed_communication_ns / seen) >= WORTH:
        said = (
            f"Communication that no other kernel covers takes {share(talk)} of the "
            f"{duration(seen)} window, {duration(row.exposed_communication_ns)}"
            f"{_collective(devices, row)}"
        )
        causes.append(_Lead(talk, said, communication=True))
    if (copied := row.memcpy_ns / seen) >= WORTH:
        said = (
            f"Copies that no kernel covers take {share(copied)} of the {duration(seen)} window, "
            f"{duration(row.memcpy_ns)}"
        )
        causes.append(_Lead(copied, said))
    return max(causes, default=None)


def _collective(devices: Devices, row: Device) -> str:
    """The collective with most of it, where that is most."""
    mine = [c for c in devices.collectives if c.device == row.device]
    top = max(mine, key=lambda c: c.exposed_ns, default=None)
    if top is None or 2 * top.exposed_ns < row.exposed_communication_ns:
        return ""
    return f", most in {top.name} ({plural(top.count, 'call')})"


def _reasons(found: IdleTime | None, row: Device) -> tuple[str, int]:
    """The reasons with most of the device's idle time, one or two, and the time of the first."""
    sums: Counter[Reason] = Counter()
    after = 0
    unseen: Counter[Reason] = Counter()
    held: dict[Reason, Counter[str]] = {}
    for part in found.reasons if found is not None else ():
        reason = Reason(part.reason)
        if part.device != row.device or part.rank != row.rank or reason is Reason.MISSING:
            continue
        # what comes after a wait of the host is the wait's, as findings count it
        sums[reason] += part.ns - part.after_sync_ns
        unseen[reason] += part.unseen_ns
        sums[Reason.SYNC] += part.after_sync_ns
        after += part.after_sync_ns
        for holder in part.holders:
            if holder.name:
                held.setdefault(reason, Counter())[holder.op or holder.name] += holder.ns
    most = [(reason, ns) for reason, ns in sums.most_common(2) if ns > 0]
    said = []
    for place, (reason, ns) in enumerate(most):
        if place and ns < WORTH * row.seen_window_ns:
            continue
        name, own = (held.get(reason, Counter()).most_common(1) or [("", 0)])[0]
        by = f" (`{name}`)" if own >= 0.5 * ns and 0 < len(name) <= LONG else ""
        why = CAUSES[reason]
        if reason is Reason.WORK and 2 * unseen[reason] > ns:
            why = UNSEEN
        elif reason is Reason.SYNC and 2 * after > ns:
            why = WAITED
        said.append(f"for {share(ns / row.seen_window_ns)} {why}{by}")
    return (f": {', '.join(said)}" if said else "", most[0][1] if most else 0)


def _work(one: Answers, row: Device) -> str:
    """What a busy device computes: its time, and the kinds of kernels with most of it."""
    kernels, seen = one.get(Kernels), duration(row.seen_window_ns)
    phases = _phases(one, kernels)
    if kernels is not None and phases:
        if len(kernels.phases) == 1:  # then it is the device's, as tables and charts have it
            phases = [(phases[0][0], row.kernel_ns)]
        within = f" in a {seen} window" if len(phases) == 1 else ""
        said = [
            f"{_steps(total)}: {duration(ns)} of kernels{within}; "
            f"{kernel_words.kinds(one, kernels, total.family)}"
            for total, ns in phases
        ]
        return ". ".join(said)
    if row.memcpy_sum_ns > row.kernel_sum_ns:
        moved = f"{duration(row.memcpy_sum_ns)} and kernels {duration(row.kernel_sum_ns)}"
        return f"Copies take {moved} of a {seen} window"
    return f"GPU busy for {share(row.busy_share)} of its {seen} window; {_rest(one, row)}"


def _phases(one: Answers, kernels: Kernels | None) -> list[tuple[Total, int]]:
    """Prefill and decode with their kernel time, the longer first, where they have most of it."""
    stages = one.get(Stages)
    main = [t for t in (stages.main if stages is not None else ()) if t.family in PHASES]
    parts = {p.phase: p.total_ns for p in kernels.phases} if kernels is not None else {}
    known = [(t, parts[t.family]) for t in main if parts.get(t.family)]
    if sum(ns for _, ns in known) < MOSTLY * sum(parts.values()):
        return []
    return sorted(known, key=lambda item: -item[1])[:2]


def _rest(one: Answers, row: Device) -> str:
    """What the device does in the rest of its window."""
    if row.memcpy_sum_ns > row.kernel_sum_ns:
        return f"copies take {duration(row.memcpy_sum_ns)}, kernels {duration(row.kernel_sum_ns)}"
    kernels = one.get(Kernels)
    if kernels is None or not row.kernel_ns:
        return ""
    took = duration(row.kernel_ns)
    if row.kernel_sum_ns >= SEVERAL * row.kernel_ns:  # the shares are of the sum
        took += f" ({duration(row.kernel_sum_ns)} added up over streams)"
    return f"kernels take {took}: {kernel_words.kinds(one, kernels, None)}"


def _beside(one: Answers, row: Device) -> str:
    """The time of kernels that are no communication, communication beside them or not."""
    kernels, ns = one.get(Kernels), row.kernel_ns - row.exposed_communication_ns
    kinds = kernel_words.kinds(one, kernels, None, talk=False) if kernels is not None else ""
    return f"other kernels take {duration(ns)}: {kinds}" if ns > 0 and kinds else ""


def _steps(total: Total) -> str:
    """`Decode step`, `Prefill`, `Decode (32 steps)`."""
    if total.instances > 1:
        noun = "step" if total.family == "decode" else "instance"
        return f"{total.title} ({plural(total.instances, noun)})"
    return f"{total.title} step" if total.family in ("decode", "mixed") else total.title


def _titled(total: Total) -> str:
    name = readable(total.title)
    return name if len(name) <= LONG else f"{name[: LONG - 1].rstrip()}…"
