"""What would have to change for a device to be idle no longer; one finding a reason.

The reasons divide the idle time of a device, so no two findings claim the same nanosecond. Shares
are of the device window without suspect time: work that the file lacks is in no denominator.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tracekit.answers.idle import IdleTime
from tracekit.answers.launches import Launches
from tracekit.attribution.reasons.names import LATE, Reason
from tracekit.attribution.reasons.rows import Holder, IdleReason
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import duration, plural, share
from tracekit.taxonomy import FindingKind

from .by_device import are_long, by_device
from .lacking import lacking, unseen_waits
from .waits import after_waits, because, next_step, syncs

PART = 0.15  # of a reason's time: a stage that is worth its name
MOSTLY = 0.9  # of a reason's time: in this stage, or held by this
ONCE_NS = 2_000_000  # a stretch of one op as long as this is something that it does once
_FRAMEWORK = re.compile(r"^(?:aten|autograd|torch|c10d)::|Backward\d*$")


@dataclass(frozen=True, slots=True)
class _Rule:
    """How a reason is said: `... the GPU waits {because}.`"""

    kind: FindingKind
    because: str
    do: str
    saves: bool = True  # what would be saved is its time; False: not known


_RULES = {
    Reason.SYNC: _Rule(
        FindingKind.HOST_SYNC,
        "while the host is in a blocking sync, a blocking copy or `.item()`",
        "Keep the value on the device, or copy to pinned memory with non_blocking=True and wait "
        "later.",
    ),
    Reason.DATA: _Rule(
        FindingKind.DATA_LOADING,
        "for the host to load data",
        "Load ahead: more DataLoader workers, prefetching, pinned memory.",
    ),
    Reason.ALLOCATION: _Rule(
        FindingKind.ALLOCATION,
        "while the host allocates or frees memory",
        "Keep the memory: reuse buffers, let PyTorch's caching allocator hold it, and call no "
        "empty_cache() in between.",
    ),
    Reason.INITIALISATION: _Rule(
        FindingKind.INITIALISATION,
        "while the host sets up what runs for the first time (contexts, modules, libraries, "
        "compilations)",
        "It is paid once in a process: warm up before what is measured or served.",
    ),
    Reason.COMPILED: _Rule(
        FindingKind.COMPILED,
        "while the host is in what torch.compile puts around its graphs: guards, prologues, "
        "wrappers",
        'Compile larger regions with fewer graph breaks and guards, or use mode="reduce-overhead".',
    ),
    Reason.STEPS: _Rule(
        FindingKind.BETWEEN_STEPS,
        "for the host between one step and the next",
        "Shorten what the host does between steps, or let it overlap with the GPU: asynchronous "
        "scheduling, several steps at a time.",
    ),
    Reason.LAUNCHES: _Rule(
        FindingKind.LAUNCH_BOUND,
        "for the host to launch one short kernel after another",
        'Use CUDA graphs or torch.compile(mode="reduce-overhead"), or a larger batch.',
    ),
    Reason.WORK: _Rule(
        FindingKind.HOST_WORK,
        "for the host to finish other work between launches",
        "Shorten this work on the host, move it to the GPU, or do it ahead of time.",
    ),
    Reason.OTHER_DEVICE: _Rule(
        FindingKind.DEVICE_IDLE,
        "for another device of the same process",
        "The devices take turns: split the batch into micro-batches, or place the layers so that "
        "they work at once.",
        saves=False,
    ),
    Reason.COMMUNICATION: _Rule(
        FindingKind.STREAM_WAIT,
        "with work launched that follows communication on another stream",
        "Overlap communication with compute.",
        saves=False,
    ),
    Reason.OTHER_STREAM: _Rule(
        FindingKind.STREAM_WAIT,
        "with work launched that waits for an event of another stream",
        "Check what the streams wait for.",
        saves=False,
    ),
    Reason.LATENCY: _Rule(
        FindingKind.LAUNCH_LATENCY,
        "with the next work launched and not begun, which is the device's own time between kernels",
        "Launch fewer, larger kernels, or replay them as a graph.",
        saves=False,
    ),
}


def findings(result: IdleTime, ask: Ask) -> Iterator[Draft]:
    """One a reason: of the device that waits most for it, with the range over the others."""
    launches = ask(Launches)
    seen = {row.device: row.seen_window_ns for row in result.rows}
    sync = syncs(result.reasons, seen)
    for reason, rule in _RULES.items():
        rows = sync if reason is Reason.SYNC else [r for r in result.reasons if r.reason == reason]
        if reason is Reason.LATENCY and are_long(rows):
            continue  # `_lacking` says it
        parts = by_device(rows, seen)
        if parts:
            yield _said(reason, rule, parts, seen, launches, told=bool(sync))
    yield from _set_up_outside(result)
    yield from lacking(result)
    yield from unseen_waits(result, seen)


def _set_up_outside(result: IdleTime) -> Iterator[Draft]:
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
    rule = _RULES[Reason.INITIALISATION]
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


def _said(
    reason: Reason,
    rule: _Rule,
    parts: dict[int, tuple[int, list[IdleReason]]],
    seen: dict[int, int],
    launches: Launches | None,
    *,
    told: bool,
) -> Draft:
    """`told`: another finding has what comes after waits of the host."""
    device, (ns, rows) = next(iter(parts.items()))
    window = seen[device]
    stage = _stage(rows, ns)
    which = "The GPU" if len(seen) == 1 else f"Device {device}"
    numbers: dict[str, float] = {
        "share": ns / window,
        "idle_ns": ns,
        "window_ns": window,
    }
    where = _in_stage(stage, rows, ns) if stage else _several(rows, ns, numbers)
    after = sum(row.after_sync_ns for row in rows) if told else 0
    said = (
        f"{which} is idle for {share(ns / window)} of its window ({duration(ns)} of "
        f"{duration(window)}) {because(reason, rule.because, rows, numbers)}: "
        f"{_stretches(reason, rows, numbers)}{where}.{_held(rows, ns, numbers)}"
        f"{after_waits(reason, after, ns, numbers)}{_others(parts, seen, numbers)}"
    )
    more, do = _launched(reason, rows, launches, numbers)
    saves = ns if reason is Reason.SYNC else ns - after
    explains = {row.reason for row in rows if reason is Reason.SYNC and 2 * after > row.ns}
    return Draft(
        rule.kind, stage, said + more, ns / window, "share", saves if rule.saves else None, window,
        do
        or _once(reason, rows, ns)
        or _by_ops(reason, rows)
        or next_step(reason, rows)
        or rule.do,
        also=(Launches,) if more else (),
        numbers=numbers,
        device=device if len(seen) > 1 else None,
        explains=frozenset({reason.value, *explains}),
    )  # fmt: skip


def _stretches(reason: Reason, rows: list[IdleReason], numbers: dict[str, float]) -> str:
    """How many, and the longest; of waits and what comes after them, how many waits."""
    count = sum(row.count for row in rows)
    numbers["stretches"] = count
    if reason is Reason.SYNC and any(row.reason in LATE for row in rows):
        return plural(count, "wait")
    longest = max(row.longest_ns for row in rows)
    numbers["longest_ns"] = longest
    return f"{plural(count, 'stretch', 'stretches')}, the longest {duration(longest)}"


def _in_stage(stage: str, rows: list[IdleReason], ns: int) -> str:
    """Nearly all in one stage, or in its first instance."""
    top = max(rows, key=lambda row: row.ns)
    if top.instances >= 3 and top.first_ns >= MOSTLY * ns:
        return f", nearly all in the first of {top.instances:,} instances of {stage}"
    return f", nearly all in {stage}"


def _once(reason: Reason, rows: list[IdleReason], ns: int) -> str:
    """Advice on what the first instance of a stage alone waits for."""
    top = max(rows, key=lambda row: row.ns)
    first = top.instances >= 3 and top.first_ns >= MOSTLY * ns
    if first and reason in (Reason.ALLOCATION, Reason.WORK, Reason.SYNC):
        return "Only the first waits for it: warm up before what is measured or served."
    return ""


def _stage(rows: list[IdleReason], ns: int) -> str | None:
    top = max(rows, key=lambda row: row.ns)
    return top.stage if top.ns >= MOSTLY * ns else None


def _several(rows: list[IdleReason], ns: int, numbers: dict[str, float]) -> str:
    """The stages with most of it, where no one has all."""
    named = sorted((r for r in rows if r.stage and r.ns >= PART * ns), key=lambda r: -r.ns)[:3]
    numbers |= {f"stage_{i}_share": r.ns / ns for i, r in enumerate(named, 1)}
    said = [f"{share(r.ns / ns)} in {r.stage}" for r in named]
    return f", {' and '.join(said)}" if said else ""


def _held(rows: list[IdleReason], ns: int, numbers: dict[str, float]) -> str:
    """What held the host for most of it, as far as anything is recorded."""
    time: defaultdict[tuple[str, ...], int] = defaultdict(int)
    count: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for row in rows:
        for holder in row.holders:
            names = _names(holder)
            time[names] += holder.ns
            count[names] += holder.calls or holder.count
    best = sorted(time, key=lambda names: (-time[names], names))[:2]
    best = [names for names in best if time[names] >= 0.1 * ns]
    if not best:
        return ""
    for i, names in enumerate(best, 1):
        numbers |= {f"held_{i}_ns": time[names], f"held_{i}_count": count[names]}
    said = [
        f"{', in '.join(f'`{name}`' for name in names)} ({duration(time[names])}"
        f"{f', {count[names]:,} times' if count[names] > 1 else ''})"
        for names in best
    ]
    return f" Held by {', then '.join(said)}."


def _names(holder: Holder) -> tuple[str, ...]:
    """From the innermost out: the call, the op, and the program's own line, else a library's."""
    lines: tuple[str | None, ...] = (holder.frame or holder.library,)
    if holder.library and holder.op is None:
        lines = (holder.library, holder.frame)
    return tuple(dict.fromkeys(n for n in (holder.name, holder.op, *lines) if n))


def _others(
    parts: dict[int, tuple[int, list[IdleReason]]], seen: dict[int, int], numbers: dict[str, float]
) -> str:
    """The range over the devices that wait alike; their times are never added up."""
    if len(parts) < 2:
        return ""
    shares = [part[0] / seen[device] for device, part in parts.items()]
    numbers |= {"devices": len(parts), "least_share": min(shares), "most_share": max(shares)}
    return (
        f" So are {len(parts)} of {len(seen)} devices, {share(min(shares))} to "
        f"{share(max(shares))} each."
    )


def _launched(
    reason: Reason, rows: list[IdleReason], launches: Launches | None, numbers: dict[str, float]
) -> tuple[str, str]:
    """Of what is launch-bound: how much was launched in how many calls, and a graph's advice."""
    if reason is not Reason.LAUNCHES or launches is None:
        return "", ""
    whole = next((row for row in launches.rows if row.is_all), None)
    if whole is None:
        return "", ""
    numbers |= {"activities": whole.activities, "calls": whole.calls}
    said = f" It launches {whole.activities:,} activities in {plural(whole.calls, 'call')}"
    tokens = [r for r in launches.rows if r.graph_saves_per_token_ns and r.stage == _top(rows)]
    if tokens and (per := tokens[0].graph_saves_per_token_ns):
        numbers["per_token_ns"] = per
        said += f"; {tokens[0].stage} waits {duration(per)} per token"
    graphs = whole.graph_calls > 0 and whole.activities > 10 * whole.calls
    return f"{said}.", "Shorten what the host does between graph launches." if graphs else ""


def _by_ops(reason: Reason, rows: list[IdleReason]) -> str:
    """Advice on long host work that is mostly ops of the framework, which a graph launches not."""
    ops = [h for row in rows for h in row.holders if h.name and _FRAMEWORK.search(h.name)]
    ns, count = sum(h.ns for h in ops), sum(h.count for h in ops)
    if reason is not Reason.WORK or ns * 2 <= sum(row.ns for row in rows):
        return ""
    if ns > ONCE_NS * count:  # no overhead of an op takes that long
        return ""
    return (
        "Most is the framework's own time in its ops: CUDA graphs or torch.compile launch without "
        "it; else call fewer and larger ops, or run a faster host."
    )


def _top(rows: list[IdleReason]) -> str | None:
    return max(rows, key=lambda row: row.ns).stage
