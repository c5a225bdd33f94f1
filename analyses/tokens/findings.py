"""Tokens that took far longer than the others."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.tokens import Tokens
from tracekit.results.findings import Ask, Draft
from tracekit.results.units import duration
from tracekit.taxonomy import Stage


def findings(result: Tokens, _ask: Ask) -> Iterator[Draft]:
    """One, of the slowest twentieth."""
    slow = result.slow
    if slow is None or not slow.count or not slow.parts:
        return
    cause, ns = max(slow.parts.items(), key=lambda part: part[1])
    if ns <= 0:
        return
    yield Draft(
        Stage.DECODE.value,
        f"{slow.count:,} of {slow.of:,} decoded tokens take at least {duration(slow.over_ns)}, "
        f"{duration(slow.excess_ns)} more than the rest on average, most of it {cause}.",
        slow.excess_ns, "ns", int(slow.excess_ns * slow.count), None,
        "Look at these steps in the timeline.",
    )  # fmt: skip
