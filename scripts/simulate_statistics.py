"""How often our statistics claim a change that is none, and how often they find one that is.

    python scripts/simulate_statistics.py [--times 2000] [--write]

Draws benchmarks from noise models whose truth is known and asks `bench compare` (many fresh
processes a side, and one) and the growth of tokens. --write puts the tables into
docs/benchmarking.md. Nothing is timed: the figures do not depend on the machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tracekit.analyses.tokens.growth import fit  # noqa: E402

from tracekit.bench import statistics  # noqa: E402

Floats = npt.NDArray[np.float64]
Random = np.random.Generator
REQUESTS = 40  # of a process
TRUE = 0.05  # the change that is to be found
BEGIN, END = "<!-- simulated: begin -->", "<!-- simulated: end -->"


def alike(random: Random, count: int, rho: float, spread: float) -> Floats:
    """Noise of the first order: each value is like the one before."""
    out = random.normal(size=count) * spread
    for at in range(1, count):
        out[at] = rho * out[at - 1] + (1 - rho**2) ** 0.5 * out[at]
    return out


def white(random: Random, count: int, spread: float) -> Floats:
    return random.normal(size=count) * spread


# the logarithm of each request's time; `at` is the place of the process in the session, 0 to 1
MODELS: Mapping[str, Callable[[Random, int, float], Floats]] = {
    "independent, 2 %": lambda g, n, _: white(g, n, 0.02),
    "independent, 5 %": lambda g, n, _: white(g, n, 0.05),
    "heavy tails (t, 2 degrees)": lambda g, n, _: g.standard_t(2, n) * 0.02,
    "one request in ten far slower": lambda g, n, _: (
        white(g, n, 0.02) + (g.random(n) < 0.1) * g.exponential(0.5, n)
    ),
    "autocorrelated 0.6, 2 %": lambda g, n, _: alike(g, n, 0.6, 0.02),
    "autocorrelated 0.9, 2 %": lambda g, n, _: alike(g, n, 0.9, 0.02),
    "autocorrelated 0.97, 2 %": lambda g, n, _: alike(g, n, 0.97, 0.02),
    "drifting within the process, 5 %": lambda g, n, _: (
        white(g, n, 0.02) + np.linspace(0, 0.05 * g.normal(), n)
    ),
    "random walk": lambda g, n, _: np.cumsum(white(g, n, 0.004)),
    "two kinds of requests, 10 % apart": lambda g, n, _: (
        white(g, n, 0.01) + (g.random(n) < 0.5) * 0.1
    ),
    "two kinds of processes, 5 % apart": lambda g, n, _: (
        white(g, n, 0.02) + (g.random() < 0.5) * 0.05
    ),
    "one process in seven 10 % slower": lambda g, n, _: (
        white(g, n, 0.02) + (g.random() < 0.15) * 0.1
    ),
    "offset between processes, 1 %": lambda g, n, _: white(g, n, 0.02) + g.normal() * 0.01,
    "offset between processes, 3 %": lambda g, n, _: white(g, n, 0.02) + g.normal() * 0.03,
    "offset between processes, 6 %": lambda g, n, _: white(g, n, 0.02) + g.normal() * 0.06,
    "the machine drifts by 5 % over the session": lambda g, n, at: white(g, n, 0.02) + 0.05 * at,
}


def session(
    model: Callable[[Random, int, float], Floats], random: Random, runs: int, change: float
) -> tuple[list[Floats], list[Floats]]:
    """(base, new): the times of `runs` processes of each side, which take turns."""
    sides: tuple[list[Floats], list[Floats]] = ([], [])
    for number in range(runs):
        for place, side in enumerate((0, 1) if number % 2 == 0 else (1, 0)):
            noise = model(random, REQUESTS, (2 * number + place) / (2 * runs))
            sides[side].append(np.exp(noise) * (1 + change if side else 1))
    return sides


def compared(times: int) -> list[str]:
    """The table of `bench compare`: shares of false changes, and of true ones found."""
    lines = [
        "| noise | 3 processes | 5 | 10 | +5 % found by 3 | 5 | 10 | one process: false |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, model in MODELS.items():
        wrong, found = [], []
        for runs in (3, 5, 10):
            random = np.random.default_rng(runs)
            said = [statistics.compare_runs(*session(model, random, runs, 0)) for _ in range(times)]
            wrong.append(sum(c is not None and c.verdict != "no change" for c in said) / times)
            said = [
                statistics.compare_runs(*session(model, random, runs, TRUE)) for _ in range(times)
            ]
            found.append(sum(c is not None and c.verdict == "slower" for c in said) / times)
        random, few = np.random.default_rng(1), max(times // 20, 20)
        alone = 0
        for _ in range(few):
            (base,), (new,) = session(model, random, 1, 0)
            one = statistics.compare(base.tolist(), new.tolist(), confidence=0.95)
            alone += one is not None and one.verdict != "no change"
        cells = [*(f"{w:.1%}" for w in wrong), *(f"{f:.0%}" for f in found), f"{alone / few:.0%}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return lines


def grown(times: int) -> list[str]:
    """The table of growth: shares of fits whose range lacks the true slope."""
    lengths = (16, 32, 64, 128, 256)
    lines = [
        "| autocorrelation | " + " | ".join(f"{n} tokens" for n in lengths) + " |",
        "| --- " * (len(lengths) + 1) + "|",
    ]
    for rho in (0.0, 0.3, 0.6, 0.8, 0.9, 0.97):
        cells = []
        for count in lengths:
            random, missed = np.random.default_rng(count), 0
            for _ in range(times):
                noise = alike(random, count, rho, 1.0)
                line = fit("token", range(count), noise.tolist(), [0] * count)
                missed += line is not None and not line.low_ns <= 0 <= line.high_ns
            cells.append(f"{missed / times:.1%}")
        lines.append(f"| {rho:g} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=2000, help="repetitions of each figure")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarking.md")
    given = parser.parse_args()
    parts = [
        f"False changes where nothing changed, and a true +{TRUE:.0%} found; {REQUESTS} requests a "
        f"process, {given.times:,} repetitions, so that 5 % is good to "
        f"{1.96 * (0.05 * 0.95 / given.times) ** 0.5 * 100:.1f} points either way "
        "(scripts/simulate_statistics.py):",
        "", *compared(given.times), "",
        "Ranges of growth that lack the true slope (95 % should hold it):", "",
        *grown(given.times),
    ]  # fmt: skip
    if given.write:
        path = ROOT / "docs" / "benchmarking.md"
        text = path.read_text(encoding="utf-8")
        head, rest = text.split(BEGIN)
        tail = rest.split(END)[1]
        body = "\n".join(["", *parts, ""])
        path.write_text(f"{head}{BEGIN}{body}{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
