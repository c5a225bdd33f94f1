#!/usr/bin/env python3
"""How often `tracekit trend` reports a change, with and without one: the table of docs/fleet.md.

python scripts/simulate_trend.py --series 2000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from tracekit.comparison.fleet.change_point import changes

Draw = Callable[[np.random.Generator, int], np.ndarray]  # type: ignore[type-arg]
PERMUTATIONS = 999  # fewer than the command's: each series once more


def normal(random: np.random.Generator, count: int) -> np.ndarray:  # type: ignore[type-arg]
    return random.normal(size=count)


def skewed(random: np.random.Generator, count: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.exp(random.normal(size=count))


def like_neighbours(random: np.random.Generator, count: int) -> np.ndarray:  # type: ignore[type-arg]
    """Each value is half the one before it, and half of its own."""
    out = random.normal(size=count)
    for place in range(1, count):
        out[place] += 0.5 * out[place - 1]
    return out


KINDS: dict[str, Draw] = {
    "normal": normal, "log-normal": skewed, "like its neighbours (AR 0.5)": like_neighbours,
}  # fmt: skip


def found(draw: Draw, count: int, series: int, shift: float = 0.0, after: int = 0) -> float:
    """Share of series with a change; with a shift of the last `after`, near the right place."""
    random, hits = np.random.default_rng(count), 0
    for number in range(series):
        values = draw(random, count)
        values[count - after :] += shift if after else 0.0
        seen = changes(values, permutations=PERMUTATIONS, seed=number)
        hits += any(abs(one.at - (count - after)) <= 1 for one in seen) if after else bool(seen)
    return hits / series


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=1000)
    series = parser.parse_args().series
    counts = (8, 20, 60)
    print("| values | " + " | ".join(f"{count} traces" for count in counts) + " |")
    print("| --- |" + " --: |" * len(counts))
    for name, draw in KINDS.items():
        cells = [f"{found(draw, count, series):.1%}" for count in counts]
        print(f"| no change, {name} | " + " | ".join(cells) + " |")
    for shift, after in ((3.0, 2), (3.0, 4), (5.0, 2)):
        cells = [f"{found(normal, count, series, shift, after):.0%}" for count in counts]
        print(f"| the last {after} higher by {shift:.0f} standard deviations | "
              + " | ".join(cells) + " |")  # fmt: skip


if __name__ == "__main__":
    main()
