"""Clocks of several hosts, set against one another by the collectives that their ranks share.

In a call in which every rank waits for every other, no kernel ends before the last one has begun,
and all end about together. Of two ranks a and b, whose clocks differ by x = clock of b - that of a:

    a      [start ............ end]        end_a  >= start_b - x   so   x >= start_b - end_a
    b          [start ........ end]        end_b  >= start_a + x   so   x <= end_b - start_a

Each call bounds x on both sides; all of them together leave an interval, which is certain. The best
guess within it is the median of end_b - end_a: the ends of a call are a transfer's last hop apart.
Ranks that share no call are joined over others, and their errors add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracekit.attribution.collectives.arrivals import Met, RankCalls, met
from tracekit.records import Record


class HostClock(Record, frozen=True):
    """How far the clock of one rank's host is ahead of the first rank's."""

    rank: str
    ahead_ns: int | None  # None: no call joins it, or no difference fits all calls (clocks drift)
    error_ns: int | None  # the true difference is no further than this from it
    spread_ns: int | None  # half of what holds nine tenths of the calls' differences
    calls: int  # that it rests on


class _Edge(Record, frozen=True):
    """What one collective says of two ranks: how far the second is ahead of the first."""

    ahead: float
    low: int
    high: int
    spread: float
    calls: int

    @property
    def error(self) -> float:
        return max(self.high - self.ahead, self.ahead - self.low)


def align(many: Sequence[RankCalls]) -> tuple[HostClock, ...]:
    """Each rank's clock against that of the first; empty where none can be told."""
    edges = _edges(met(many))
    if not edges:
        return ()
    found: dict[int, tuple[float, float, float, int]] = {0: (0.0, 0.0, 0.0, 0)}
    while True:  # the surest next rank first
        reach = [
            (found[a][1] + edge.error, b, found[a][0] + edge.ahead, found[a][2] + edge.spread,
             edge.calls)
            for (a, b), edge in edges.items() if a in found and b not in found
        ]  # fmt: skip
        if not reach:
            break
        error, place, ahead, spread, calls = min(reach)
        found[place] = (ahead, error, spread, calls)
    return tuple(
        HostClock(side.rank, round(own[0]), round(own[1]), round(own[2]), own[3])
        if (own := found.get(place)) is not None else HostClock(side.rank, None, None, None, 0)
        for place, side in enumerate(many)
    )  # fmt: skip


def _edges(every: Sequence[Met]) -> dict[tuple[int, int], _Edge]:
    """Of each collective from its first rank to the others, and back; the surest where several."""
    out: dict[tuple[int, int], _Edge] = {}
    for one in every:
        if one.end is None:
            continue
        start = one.end - one.dur
        for place in range(1, len(one.ranks)):
            low = int((start[:, place] - one.end[:, 0]).max())
            high = int((one.end[:, place] - start[:, 0]).min())
            if low > high:
                continue  # clocks that drift, or calls that are not the same: nothing is certain
            apart = one.end[:, place] - one.end[:, 0]
            ahead = float(np.clip(np.median(apart), low, high))
            spread = float(np.subtract(*np.percentile(apart, (95, 5)))) / 2
            edge = _Edge(ahead, low, high, spread, len(start))
            back = _Edge(-ahead, -high, -low, spread, len(start))
            a, b = one.ranks[0], one.ranks[place]
            for key, own in (((a, b), edge), ((b, a), back)):
                if key not in out or own.error < out[key].error:
                    out[key] = own
    return out
