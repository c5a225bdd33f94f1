"""What would have to change for a device to be idle no longer; one finding a reason.

The reasons divide the idle time of a device, so no two findings claim the same nanosecond. Shares
are of the device window without unaccounted time: work that the file lacks is in no denominator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tracekit.answers.idle import IdleTime
from tracekit.answers.launches import Launches
from tracekit.attribution.reasons.names import LATE, Reason
from tracekit.attribution.reasons.rows import IdleReason
from tracekit.patterns import later
from tracekit.records import Record, replace
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import duration, plural, share

from . import unseen
from .by_device import are_long, by_device
from .held import held
from .lacking import lacking, unseen_waits
from .outside import before_first_work, set_up_outside
from .rules import RULES, Rule
from .waits import after_waits, because, next_step, syncs

PART = 0.15  # of a reason's time: a stage that is worth its name
MOSTLY = 0.9  # of a reason's time: in this stage, or held by this
ONCE_NS = 2_000_000  # a stretch of one op as long as this is something that it does once
_Parts = dict[int, tuple[int, list[IdleReason]]]  # of each device, ns and rows of a reason
_FRAMEWORK = later(r"^(?:aten|autograd|torch|c10d)::|Backward\d*$")


def findings(result: IdleTime, ask: Ask) -> Iterator[Draft]:
    """One a reason: of the device that waits most for it, with the range over the others."""
    launches = ask(Launches)
    seen = {row.device: row.seen_window_ns for row in result.rows}
    sync = syncs(result.reasons, seen)
    found: dict[Reason, _Parts] = {Reason.SYNC: by_device(sync, seen)}
    for reason in RULES:
        if reason is not Reason.SYNC:
            found[reason] = _worth(result.reasons, reason, seen, waited=bool(sync))
    told = [reason for reason, parts in found.items() if parts]
    for reason, rule in RULES.items():
        if reason in told:
            yield _said(reason, rule, found[reason], seen, launches, told, result.reasons)
    yield from set_up_outside(result)
    yield from before_first_work(result)
    yield from lacking(result)
    yield from unseen_waits(result, seen)


def _worth(
    reasons: Sequence[IdleReason], reason: Reason, seen: dict[int, int], *, waited: bool
) -> _Parts:
    """By device, the rows that are worth a finding of their own.

    `waited`: what comes after waits of the host is theirs, so a reason that has little beside it
    would say the same as they.
    """
    rows = [row for row in reasons if row.reason == reason]
    if reason is Reason.LATENCY and are_long(rows):
        return {}  # `lacking` says it
    parts = by_device(rows, seen)
    if not waited or reason not in LATE:
        return parts
    own = {d: ns - sum(row.after_sync_ns for row in mine) for d, (ns, mine) in parts.items()}
    return {d: part for d, part in parts.items() if own[d] >= LEAST * seen[d]}


def _said(
    reason: Reason,
    rule: Rule,
    parts: _Parts,
    seen: dict[int, int],
    launches: Launches | None,
    told: Sequence[Reason],
    every: Sequence[IdleReason],
) -> Draft:
    """`told`: of these reasons there are findings. `every`: the rows of all reasons, whole."""
    device, (ns, rows) = next(iter(parts.items()))
    window = seen[device]
    by_stage = _shares(rows)
    stage = by_stage[0].stage if by_stage[0].ns >= MOSTLY * ns else None
    which = "The GPU" if len(seen) == 1 else f"Device {device}"
    numbers: dict[str, float] = {
        "share": ns / window,
        "idle_ns": ns,
        "window_ns": window,
    }
    where = _where(by_stage, ns, numbers)
    after = sum(row.after_sync_ns for row in rows) if Reason.SYNC in told else 0
    holders = [holder for row in rows for holder in row.holders]
    why = because(reason, rule.because, rows, told, numbers)
    said = (
        f"{which} is idle for {share(ns / window)} of its window ({duration(ns)} of "
        f"{duration(window)}) {unseen.because(reason, why, rows)}: "
        f"{_stretches(reason, rows, numbers)}{where}.{held(holders, ns, numbers)}"
        f"{unseen.said(rows, ns, numbers)}"
        f"{after_waits(reason, after, ns, numbers)}{_others(parts, seen, numbers)}"
    )
    more, do = _launched(reason, rows, launches, numbers)
    saves = _saves(reason, rule, ns, after)
    explains = _mostly_after(rows, every) if reason is Reason.SYNC else set()
    return Draft(
        rule.kind, stage, said + more, ns / window, "share", saves, window,
        do
        or _once(reason, by_stage, ns)
        or (unseen.DO if unseen.mostly(rows) else "")
        or _by_ops(reason, rows)
        or next_step(reason, rows)
        or rule.do,
        also=(Launches,) if more else (),
        numbers=numbers,
        device=device if len(seen) > 1 else None,
        explains=frozenset({reason.value, *explains}),
    )  # fmt: skip


def _mostly_after(rows: Sequence[IdleReason], every: Sequence[IdleReason]) -> set[str]:
    """Reasons of a device that mostly come after waits: `rows` are the waits, and what does."""
    part, whole = Counter[str](), Counter[str]()
    for row in rows:
        part[row.reason] += row.ns
    for row in every:
        if row.device == rows[0].device:
            whole[row.reason] += row.ns
    return {reason for reason, ns in part.items() if 2 * ns > whole[reason]}


def _stretches(reason: Reason, rows: list[IdleReason], numbers: dict[str, float]) -> str:
    """How many, and the longest; of waits and what comes after them, how many waits."""
    count = sum(row.count for row in rows)
    numbers["stretches"] = count
    if reason is Reason.SYNC and any(row.reason in LATE for row in rows):
        return plural(count, "wait")
    longest = max(row.longest_ns for row in rows)
    numbers["longest_ns"] = longest
    return f"{plural(count, 'stretch', 'stretches')}, the longest {duration(longest)}"


def _saves(reason: Reason, rule: Rule, ns: int, after: int) -> int | None:
    """Its time less what `host_sync` saves of it."""
    if not rule.saves:
        return None
    return ns if reason is Reason.SYNC else ns - after


class _Share(Record, frozen=True):
    """What one stage has of a reason's time; None: work that no stage launched."""

    stage: str | None
    ns: int
    first_ns: int  # of it, before work of the first instance
    instances: int


def _shares(rows: list[IdleReason]) -> list[_Share]:
    """By stage, the most first."""
    found: dict[str | None, _Share] = {}
    for row in rows:
        old = found.get(row.stage, _Share(row.stage, 0, 0, row.instances))
        found[row.stage] = replace(old, ns=old.ns + row.ns, first_ns=old.first_ns + row.first_ns)
    return sorted(found.values(), key=lambda part: -part.ns)


def _where(parts: list[_Share], ns: int, numbers: dict[str, float]) -> str:
    """The stage with nearly all of it, or its first instance; else those with most."""
    top = parts[0]
    if top.stage and top.ns >= MOSTLY * ns:
        if _in_first(top, ns):
            return f", nearly all in the first of {top.instances:,} instances of {top.stage}"
        return f", nearly all in {top.stage}"
    named = [part for part in parts if part.stage and part.ns >= PART * ns][:3]
    numbers |= {f"stage_{i}_share": part.ns / ns for i, part in enumerate(named, 1)}
    said = [f"{share(part.ns / ns)} in {part.stage}" for part in named]
    return f", {' and '.join(said)}" if said else ""


def _in_first(top: _Share, ns: int) -> bool:
    return top.instances >= 3 and top.first_ns >= MOSTLY * ns


def _once(reason: Reason, parts: list[_Share], ns: int) -> str:
    """Advice on what the first instance of a stage alone waits for."""
    if reason in (Reason.ALLOCATION, Reason.WORK, Reason.SYNC) and _in_first(parts[0], ns):
        return "Only the first waits for it: warm up before what is measured or served."
    return ""


def _others(parts: _Parts, seen: dict[int, int], numbers: dict[str, float]) -> str:
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
    many = plural(whole.activities, "activity", "activities")
    said = f" It launches {many} in {plural(whole.calls, 'call')}"
    tokens = [
        r for r in launches.rows if r.graph_saves_per_token_ns and r.stage == _shares(rows)[0].stage
    ]
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
