"""Which launch of a capture each node of a replay is: the longest common subsequence, and whether
another one as long says something else.

Source: Wagner, Fischer, "The String-to-String Correction Problem", JACM 21(1), 1974.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tracekit.records import Record
from tracekit.trace.trace import I64, Mask

MOST = 36_000_000  # cells of a table: 6,000 nodes by as many launches

Score = Callable[[int], I64]  # of node i with each launch: [M], 0 where it cannot be that


class Aligned(Record, frozen=True, eq=False):
    """N nodes against M launches."""

    call: I64  # [N] the launch of each node, ascending; -1 for none
    sure: Mask  # [N] every best alignment gives this node a launch that says the same


def identity(count: int) -> Aligned:
    """Each node is the launch of its place."""
    return Aligned(np.arange(count), np.ones(count, bool))


def align(nodes: int, launches: int, score: Score, says: I64) -> Aligned | None:
    """The best alignment in order; None where there is too much to compare.

    `says` [M] is a number that two launches share where they say the same of a node.
    """
    if (nodes + 1) * (launches + 1) > MOST:
        return None
    rows = [score(i) for i in range(nodes)]
    ahead = _table(rows, launches)
    behind = _table([row[::-1] for row in rows[::-1]], launches)[::-1, ::-1]
    best = int(ahead[-1, -1])
    call = _traced(ahead, rows)
    sure = np.zeros(nodes, bool)
    for i in np.flatnonzero(call >= 0).tolist():
        # left out in another alignment that is as good?
        if int((ahead[i] + behind[i + 1]).max()) == best:
            continue
        own = (ahead[i, :-1] + rows[i] + behind[i + 1, 1:] == best) & (rows[i] > 0)
        sure[i] = bool((says[own] == says[call[i]]).all())
    return Aligned(call, sure)


def _table(rows: list[I64], launches: int) -> I64:
    """[N + 1, M + 1] the best score of each pair of beginnings."""
    out = np.zeros((len(rows) + 1, launches + 1), np.int32)
    for i, row in enumerate(rows):
        joined = np.where(row > 0, out[i, :-1] + row, 0)
        np.maximum.accumulate(np.maximum(out[i, 1:], joined), out=out[i + 1, 1:])
    return out  # type: ignore[return-value]


def _traced(ahead: I64, rows: list[I64]) -> I64:
    """[N] the launch of each node on one best path."""
    call = np.full(len(rows), -1, np.int64)
    i, j = len(rows), ahead.shape[1] - 1
    while i and j:
        if ahead[i, j] == ahead[i, j - 1]:
            j -= 1
        elif ahead[i, j] == ahead[i - 1, j]:
            i -= 1
        else:
            i, j = i - 1, j - 1
            call[i] = j
    return call
