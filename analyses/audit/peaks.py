"""Checks of rates against the device's peaks: what is faster than the device can be is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tracekit.answers.audit import Finding
from tracekit.answers.roles import Roles
from tracekit.answers.roofline import Roofline
from tracekit.errors import MissingEventsError
from tracekit.results import catalog
from tracekit.results.units import plural, share
from tracekit.trace.trace import Trace

ABOVE = 1.005  # what rounds to 100 % is no excess


class _Excess(NamedTuple):
    """One figure above its peak."""

    what: str
    share: float
    of: str
    ns: int


def above_peak(trace: Trace) -> Iterator[Finding]:
    """FLOP/s or bytes/s above what the device can do at most.

    A shape, a mask or a name of the device then says something else than what ran, or bytes came
    from a cache: in either case the share is no measure of how near the work came to the peak.
    """
    for name, found in (("roofline", _roofline(trace)), ("roles", _roles(trace))):
        if not found:
            continue
        worst = max(found, key=lambda one: one.share)
        what = (
            f"{plural(len(found), 'figure')} of {name} {'is' if len(found) == 1 else 'are'} above "
            f"100 % of a peak, {worst.what} the most: {share(worst.share)} of {worst.of}. Its "
            "arguments, the name of the device or the datasheet do not describe what ran, or its "
            "operands came from a cache."
        )
        ns = sum(one.ns for one in found)
        yield Finding(
            trace.path, "above_peak", "degraded", what, len(found), ns, worst.share, (name,)
        )


def _roofline(trace: Trace) -> list[_Excess]:
    try:
        answer = catalog.answer(trace, "roofline")
    except MissingEventsError:
        return []
    assert isinstance(answer, Roofline)
    out: list[_Excess] = []
    for row in answer.rows:
        one = f"{row.op} {row.shape} in {row.dtype}"
        out += _above(one, row.rates.flops_share, row.rates.bytes_share, row.total_ns)
    for floor in answer.floors:
        out += _above(floor.stage, floor.mfu, floor.mbu, floor.took_ns or 0)
    return out


def _roles(trace: Trace) -> list[_Excess]:
    try:
        answer = catalog.answer(trace, "roles")
    except MissingEventsError:
        return []
    assert isinstance(answer, Roles)
    out: list[_Excess] = []
    for row in answer.rows:
        one = f"{row.role} in {row.phase}"
        out += _above(one, row.rates.flops_share, row.rates.bytes_share, row.total_ns)
    return out


def _above(what: str, flops: float | None, moved: float | None, ns: int) -> Iterator[_Excess]:
    if flops is not None and flops > ABOVE:
        yield _Excess(what, flops, "peak FLOP/s", ns)
    elif moved is not None and moved > ABOVE:
        yield _Excess(what, moved, "the memory bandwidth", ns)
