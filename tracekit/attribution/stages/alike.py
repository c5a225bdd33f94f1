"""Which instances of one kind are alike enough for a mean to mean something.

Instances are alike where all of them have work of a device or none has, and the longest took at
most APART times as long as the shortest. A warm-up step is not like the steady ones.
"""

from __future__ import annotations

from collections.abc import Sequence

APART = 3

ALIKE = (
    "Instances are alike where all of them have GPU work or none has, and the longest took at most "
    f"{APART} times as long as the shortest; a mean is of the largest such group, with GPU work "
    "where any has."
)
# under a table with such a column: a terminal has no tooltips
MEAN_OF = f"'mean of' is how many the mean is of, and of how many it could be. {ALIKE}"


def alike(wall_ns: Sequence[int], worked: Sequence[bool]) -> list[int]:
    """Places of the largest group that is alike; of two as large the longer. All where all are."""
    able = [i for i, work in enumerate(worked) if work] or list(range(len(wall_ns)))
    order = sorted(able, key=lambda i: wall_ns[i])
    best, low = (0, 0), 0
    for high in range(len(order)):
        while wall_ns[order[high]] > APART * wall_ns[order[low]]:
            low += 1
        if high + 1 - low >= best[1] - best[0]:
            best = (low, high + 1)
    return sorted(order[slice(*best)])
