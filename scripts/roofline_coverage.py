#!/usr/bin/env python
"""How much of the kernel time of each trace has a formula, and what of the rest takes most.

    python scripts/roofline_coverage.py TRACE…       # or folders of traces
    python scripts/roofline_coverage.py --least 0.85 FOLDER

The first share is of all kernel time. The second, which `--least` is about, is of the kernel time
of which the trace holds sizes: not of work whose op is not recorded (launched before the recording,
or replayed by a graph whose capture is not there), nor of collectives without sizes. A trace
without shapes has no formulas: it is listed, and left out of `--least`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tracekit.answers.roofline import Roofline
from tracekit.errors import TracekitError
from tracekit.results import engine
from tracekit.results.units import duration, share

ENDINGS = (".json", ".json.gz")


def files(given: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in the folders."""
    for path in given:
        if path.is_dir():
            yield from sorted(p for p in path.iterdir() if p.name.endswith(ENDINGS))
        else:
            yield path


def rest(result: Roofline, whole: int, most: int) -> str:
    """The longest that no formula describes: share, name, reason."""
    named = [
        f"{share(one.total_ns / whole)} {one.what[:44]} ({one.why})"
        for one in result.uncovered[:most]
    ]
    return "; ".join(named)


def line(path: Path, most: int) -> tuple[str, float | None]:
    """A row of the table, and the share that is covered; None where the trace has no shapes."""
    name = path.name.removesuffix(".gz").removesuffix(".json")
    try:
        answers = engine.answers(path, ["roofline"])
    except TracekitError:
        return f"| {name} | no trace | | | |", None
    found = answers.get(Roofline)
    whole = sum(c.kernel_ns for c in found.coverage) if found else 0
    if found is None or not whole:
        why = answers.unanswered.get("roofline") or (found.unshaped if found else None)
        return f"| {name} | {why or 'no kernels'} | | | |", None
    shares = (found.covered_share, found.sized_share)
    said = (share(one) if one is not None else "–" for one in shares)
    cells = (name, *said, duration(whole), rest(found, whole, most))
    return f"| {' | '.join(cells)} |", found.sized_share


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("traces", nargs="+", type=Path)
    parser.add_argument("--rest", type=int, default=3, help="how many of the rest are named")
    parser.add_argument("--least", type=float, help="exit 1 where a trace has less")
    asked = parser.parse_args()
    print(
        "| trace | covered | of what has sizes | kernel time | the longest of the rest |\n"
        "| --- | --- | --- | --- | --- |"
    )
    below = []
    for path in files(asked.traces):
        row, part = line(path, asked.rest)
        print(row, flush=True)
        if part is not None and asked.least is not None and part < asked.least:
            below.append(path.name)
    if below:
        print(f"\nbelow {share(asked.least)}: {', '.join(below)}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
