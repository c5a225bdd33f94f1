"""Tokens that took far longer than the others."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from tracekit.answers.tokens import Tokens
from tracekit.results.findings import Ask, Draft
from tracekit.results.units import duration
from tracekit.taxonomy import FindingKind, Stage

# A wall time this many deviations above the median is an outlier. The median of absolute
# deviations over 0.6745 estimates a standard deviation that outliers do not move.
# Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993), which takes 3.5
OUTLIER = 3.5
LEAST_MORE = 0.2  # of the median: a smaller excess is no slow token whatever the deviation


def findings(result: Tokens, _ask: Ask) -> Iterator[Draft]:
    """One, of the slowest twentieth where all of it are outliers."""
    slow = result.slow
    if slow is None or not slow.count or not slow.parts:
        return
    walls = [row.wall_ns for row in result.rows if row.token is None or row.token > 0]
    middle = median(walls)
    spread = median(abs(wall - middle) for wall in walls) / 0.6745
    if slow.over_ns < middle + max(OUTLIER * spread, LEAST_MORE * middle):
        return
    cause, ns = max(slow.parts.items(), key=lambda part: part[1])
    if ns <= 0:
        return
    yield Draft(
        FindingKind.SLOW_TOKENS, Stage.DECODE.value,
        f"{slow.count:,} of {slow.of:,} decoded tokens take at least {duration(slow.over_ns)} "
        f"where the median is {duration(middle)}, {duration(slow.excess_ns)} more than the rest on "
        f"average, most of it {cause}.",
        slow.excess_ns, "ns", None, None,
        "Look at these steps in the timeline.",
        numbers={"count": slow.count, "of": slow.of, "over_ns": slow.over_ns,
                 "median_ns": middle, "excess_ns": slow.excess_ns},
    )  # fmt: skip
