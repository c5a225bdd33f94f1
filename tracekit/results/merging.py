"""Results of many traces as one: a tree of pairs, in the order of the traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

R = TypeVar("R")


def merged(merge: Callable[[R, R], R], parts: Sequence[R]) -> R:
    """The parts, merged in pairs, those in pairs again, and so on.

        a b c d e          neighbours only: rows keep the order of the traces
        ab  cd  e          the shape depends on how many there are and on nothing else, so that
        abcd    e          sums of floats are the same wherever they were computed
        abcde

    A result that grows with every part is copied log2(n) times, where one after another copies it
    n times. Raises: ValueError without parts.
    """
    if not parts:
        raise ValueError("nothing to merge")
    level = list(parts)
    while len(level) > 1:
        pairs = [merge(*level[i : i + 2]) for i in range(0, len(level) - 1, 2)]
        level = [*pairs, *level[2 * len(pairs) :]]
    return level[0]
