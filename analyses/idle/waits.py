"""What is said of waits of the host for the device, and of what comes after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracekit.attribution.reasons.names import LATE, Reason
from tracekit.attribution.reasons.rows import IdleReason
from tracekit.records import replace
from tracekit.results.units import duration

from .by_device import by_device
from .rules import RULES


def syncs(reasons: Sequence[IdleReason], seen: Mapping[int, int]) -> list[IdleReason]:
    """Waits of the host, and what comes after them because of them; [] where that is little.

    Of what comes after, the parts of reasons that launch late: each with `after_sync_ns` alone.
    """
    direct = [row for row in reasons if row.reason == Reason.SYNC]
    after = [
        replace(row, ns=row.after_sync_ns, count=row.after_sync_count, holders=row.waits,
                first_ns=0, unseen_ns=0)
        for row in reasons if row.reason in LATE and row.after_sync_ns
    ]  # fmt: skip
    return direct + after if by_device(direct + after, seen) else []


def because(
    reason: Reason,
    plain: str,
    rows: list[IdleReason],
    beside: Sequence[Reason],
    numbers: dict[str, float],
) -> str:
    """Why the device waits; of waits of the host, how much comes during and how much after.

    What comes after is said once where a finding of its own (`beside`) tells it too.
    """
    late = sum(row.ns for row in rows if row.reason in LATE)
    if reason is not Reason.SYNC or not late:
        return plain
    during = sum(row.ns for row in rows) - late
    numbers |= {"after_ns": late, **({"during_ns": during} if during else {})}
    said = f"{duration(late)} after them"
    if during:
        said = f"{duration(during)} during the waits, {said}"
    names = {row.reason: RULES[Reason(row.reason)].kind for row in rows if row.reason in beside}
    again = [name for key, name in names.items() if key in LATE]
    told = f", in what {' and '.join(f'`{name}`' for name in again)} tells" if again else ""
    return (
        "because the host waits for the device in a blocking sync, a blocking copy or `.item()` "
        f"({said}{told}: without them it would have launched the next work by then)"
    )


def after_waits(reason: Reason, after: int, ns: int, numbers: dict[str, float]) -> str:
    """Of time in which the host launches late: what a wait before it is the cause of."""
    if reason not in LATE or after < 0.01 * ns:
        return ""
    numbers["after_sync_ns"] = after
    return (
        f" {duration(after)} of it would not be, had the host not waited for the device just "
        "before: `host_sync` counts that."
    )


def next_step(reason: Reason, rows: list[IdleReason]) -> str:
    """Advice on waits after which the host prepares the next step."""
    steps = sum(row.ns for row in rows if row.reason == Reason.STEPS)
    if reason is not Reason.SYNC or 2 * steps < sum(row.ns for row in rows):
        return ""
    return (
        "Let the host prepare the next step while the device works on this one (asynchronous "
        "scheduling): keep the value on the device, or copy it to pinned memory with "
        "non_blocking=True and wait a step later."
    )
