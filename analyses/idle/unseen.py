"""Host time in which nothing of the launching thread is recorded: who knows what it did."""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.attribution.reasons.names import Reason
from tracekit.attribution.reasons.rows import IdleReason
from tracekit.results.units import duration

LEAST = 0.1  # of a reason's time: worth a sentence
DO = (
    "Record what the host does there: Python stacks (with_stack=True), record_function around the "
    "program's own parts, or a sampling profiler beside this one."
)


def unseen_ns(rows: Sequence[IdleReason]) -> int:
    """Of the time of these rows."""
    return sum(row.unseen_ns for row in rows)


def mostly(rows: Sequence[IdleReason]) -> bool:
    """Nothing is recorded of most of it: it may be work, a wait, or sleep."""
    return 2 * unseen_ns(rows) > sum(row.ns for row in rows)


def because(reason: Reason, plain: str, rows: Sequence[IdleReason]) -> str:
    """Why the device waits, without a claim that the host worked where nobody saw it."""
    if reason is Reason.WORK and mostly(rows):
        return "with the next work not yet launched"
    return plain


def said(rows: Sequence[IdleReason], ns: int, numbers: dict[str, float]) -> str:
    """How much of it nobody saw, as a sentence after what held the host."""
    unseen = unseen_ns(rows)
    if unseen < LEAST * ns:
        return ""
    numbers["unseen_ns"] = unseen
    return f" Nothing is recorded of what the host did in {duration(unseen)} of it."
