"""What speculative decoding gains at most: expected speed-up over acceptance, from measured costs.

Costs are multiples of one decode step of the target alone. A round drafts `gamma` tokens one after
another, verifies them in one pass of the target over `gamma + 1` positions, and keeps the accepted
ones and one token of the target's own.

Source: Leviathan, Kalman, Matias 2023, Fast Inference from Transformers via Speculative Decoding,
eq. 1 and theorem 3.8, where verifying costs one step and nothing else is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import field

from tracekit.records import Record

_CLOSE = 1e-9


def tokens_per_round(alpha: float, gamma: int) -> float:
    """Expected tokens of a round: (1 - α^(γ+1)) / (1 - α), each draft token kept with chance α."""
    return sum(alpha**i for i in range(gamma + 1))  # the quotient cancels near α = 1


class Costs(Record, frozen=True):
    """What a round is made of, in decode steps of the target alone."""

    draft: float  # c: one step of the draft
    verify: Mapping[int, float] = field(default_factory=dict)  # a pass over so many positions
    other: float = 0.0  # accepting, rolling back and the host's rest, a round

    def verifying(self, length: int) -> float:
        """A pass over `length` positions: as given, else on the line between its neighbours.

        One position costs one step. Beyond the longest that is known, the line from one step to it
        goes on, or stays where it would fall.
        """
        known = sorted({1: 1.0, **self.verify}.items())
        last, cost = known[-1]
        if length >= last:
            slope = max((cost - known[0][1]) / (last - 1), 0.0) if last > 1 else 0.0
            return cost + slope * (length - last)
        above = next(i for i, (at, _) in enumerate(known) if at >= length)
        (low, first), (high, second) = known[max(above - 1, 0)], known[above]
        return second - (second - first) / max(high - low, 1) * (high - length)

    def round(self, gamma: int) -> float:
        """One round of `gamma` draft tokens."""
        return gamma * self.draft + self.verifying(gamma + 1) + self.other


def speedup(alpha: float, gamma: int, costs: Costs) -> float:
    """Decode of the target alone over speculative decode, expected."""
    return tokens_per_round(alpha, gamma) / costs.round(gamma)


def break_even(gamma: int, costs: Costs) -> float | None:
    """The least acceptance at which a round costs no more than the steps it saves.

    None where no acceptance does, every token accepted included; 0 where any does.
    """
    whole = costs.round(gamma)
    if whole > gamma + 1:
        return None
    if whole <= 1:
        return 0.0
    low, high = 0.0, 1.0
    while high - low > _CLOSE:
        middle = (low + high) / 2
        low, high = (middle, high) if tokens_per_round(middle, gamma) < whole else (low, middle)
    return high


def best_gamma(alpha: float, costs: Costs, gammas: Iterable[int]) -> int:
    """The draft length with the largest expected speed-up; 0 where drafting gains nothing."""
    best, gain = 0, 1.0
    for gamma in gammas:
        if (found := speedup(alpha, gamma, costs)) > gain:
            best, gain = gamma, found
    return best
