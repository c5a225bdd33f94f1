"""Collectives whose launch lies before the recording, by those that follow on their stream.

A job communicates in the same order each step. Where what is recorded of a stream repeats for two
whole rounds or more, what came before it is the end of the round before: the same kernel in the
same place, of a like duration, where all that are recorded of that place say the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.kernels.graphs import matching, unnamed
from tracekit.attribution.kernels.graphs.origin import sizes
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Trace

ROUNDS = 2  # that must be recorded
LIKE = 2.0  # a duration beyond the shortest or the longest of its place by more is another one's
_TALK = list(Category).index(Category.COMMUNICATION)


def alike(trace: Trace) -> I64:
    """[G] for collectives without a launch, a row of `links.calls` that says what they do; -1 for
    all other work.
    """
    gpu, launch = links.work(trace), links.launch_row(trace)
    out = np.full(len(gpu), -1, np.int64)
    if (launch >= 0).all():
        return out
    mine = np.flatnonzero(unnamed.of_work(trace) == _TALK)
    if not (launch[mine] < 0).any() or not (launch[mine] >= 0).any():
        return out
    says, size, called = matching.says(trace, {}), sizes(trace), _called(trace)
    lane = links.stream(trace)[mine]
    for stream in np.unique(lane).tolist():
        rows = mine[lane == stream]
        known = np.flatnonzero(launch[rows] >= 0)
        first = int(known[0]) if len(known) else 0
        if not first or (launch[rows[first:]] < 0).any():
            continue
        kind = np.column_stack([gpu.name[rows].astype(np.int64), size.each[size.of[rows]]])
        _, code = segments.distinct(
            np.concatenate([kind[first:], called[launch[rows[first:]]]], axis=1)
        )
        out[rows[:first]] = _before(kind, code, gpu.dur[rows], says, launch[rows])
    return out


def _called(trace: Trace) -> I64:
    """[R, 2] the names of the op around each launch call, and of the op around that; -1 for none.

    Sizes of what is sent may differ from round to round, who is called does not.
    """
    ops, row, above = links.ops(trace), links.call_op_row(trace), links.op_parent_row(trace)
    out = np.full((len(row), 2), -1, np.int64)
    inside = np.flatnonzero(row >= 0)
    out[inside, 0] = ops.name[row[inside]]
    deeper = inside[above[row[inside]] >= 0]
    out[deeper, 1] = ops.name[above[row[deeper]]]
    return out


def _before(kind: I64, code: I64, dur: I64, says: I64, launch: I64) -> I64:
    """[F] the launch of each of the first, of which none is recorded; -1 where it is not known.

    `code` [K - F] tells those that are recorded apart.
    """
    first = len(kind) - len(code)
    out = np.full(first, -1, np.int64)
    period = _period(code.tolist())
    if period is None:
        return out
    for at in range(first - 1, -1, -1):
        same = np.arange(first + (at - first) % period, len(kind), period)
        grid, own = kind[same[0], 1:], kind[at, 1:]
        like = kind[at, 0] == kind[same[0], 0] and ((own == grid).all() or (own <= 0).all())
        low, high = int(dur[same].min()), int(dur[same].max())
        if not like or not low / LIKE <= dur[at] <= high * LIKE:
            break  # what came before it is of another order
        if (says[launch[same]] == says[launch[same[0]]]).all():
            out[at] = launch[same[0]]
    return out


def _period(codes: Sequence[int]) -> int | None:
    """After how many kernels the order repeats, where it does so for `ROUNDS` or more."""
    for period in range(1, len(codes) // ROUNDS + 1):
        if all(one == two for one, two in zip(codes, codes[period:], strict=False)):
            return period
    return None
