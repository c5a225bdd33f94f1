"""The answer of `collectives`, as data."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracekit.attribution.collectives.arrivals import Arrival, RankCalls, Waiting, meet
from tracekit.attribution.collectives.by_group import GroupCollective
from tracekit.attribution.collectives.clocks import HostClock, align
from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.results.units import duration, plural

MOSTLY = 0.5  # of all skew: one rank is the reason, not chance
WORTH = 0.05  # of the longest window: less is not worth a sentence


class Straggler(Record, frozen=True):
    """The rank that the others wait for longest, over the calls of all collectives."""

    rank: str
    last_count: int
    count: int  # calls that ranks did not come to together
    held_ns: int  # another rank waited so long in the calls it came last to, all added up

    @property
    def within(self) -> str:
        """Where that waiting is."""
        return "in it" if self.last_count == 1 else f"in those {self.last_count:,}"

    @property
    def said(self) -> str:
        """One sentence with its numbers."""
        return (
            f"{self.rank[:1].upper()}{self.rank[1:]} comes last to {self.last_count:,} of "
            f"{plural(self.count, 'collective call')}: another rank waits "
            f"{duration(self.held_ns)} {self.within}"
        )


@dataclass(frozen=True, slots=True)
class Collectives(Result):
    """What each device communicated; of several ranks together also who came late."""

    analysis = "collectives"

    rows: tuple[GroupCollective, ...]  # by device, process group and collective
    arrivals: tuple[Arrival, ...] = ()  # of several ranks: see arrivals.py
    waiting: tuple[Waiting, ...] = ()  # of several ranks: each one's
    # each rank's, for the sum over ranks: as many numbers as there were calls
    calls: tuple[RankCalls, ...] = field(default=(), metadata={"json": False})

    @property
    def clocks(self) -> tuple[HostClock, ...]:
        """Of several ranks: each host's clock against the first one's."""
        return align(self.calls) if len(self.calls) > 1 else ()

    @property
    def straggler(self) -> Straggler | None:
        """None where no rank is the reason of most waiting, or nobody waits long."""
        if len(self.waiting) < 2:
            return None
        late = max(self.waiting, key=lambda w: (w.held_ns, w.last_count))
        held = sum(w.held_ns for w in self.waiting)
        mostly = held and late.held_ns / held > max(MOSTLY, 1.2 / len(self.waiting))
        if not mostly or late.held_ns < WORTH * max(w.window_ns for w in self.waiting):
            return None
        count = sum(w.last_count for w in self.waiting)
        return Straggler(late.rank, late.last_count, count, late.held_ns)


def merge(one: Collectives, two: Collectives) -> Collectives:
    """Of other ranks of the same job: rows of both, and their calls side by side."""
    calls = one.calls + two.calls
    return Collectives(one.rows + two.rows, *meet(calls), calls)
