#!/usr/bin/env python
"""How much of the kernel time of each trace has a formula, and what of the rest takes most.

    python scripts/roofline_coverage.py TRACE…       # or folders of traces
    python scripts/roofline_coverage.py --least 0.85 FOLDER
    python scripts/roofline_coverage.py --model-config config.json TRACE

`covered` is of all kernel time, and `sized` the part of which the trace holds sizes: not work whose
op is not recorded (launched before the recording, or replayed by a graph whose capture is not
there), nor collectives without sizes. `--least` is about the share of what has sizes. A trace
without shapes has no formulas: it is listed, and left out of `--least`.

Of each trace whose covered share is less, a second table says what is not covered, and why.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tracekit.answers.roofline import Roofline, Uncovered
from tracekit.errors import TracekitError
from tracekit.models.named import given
from tracekit.results import engine
from tracekit.results.units import duration, share
from tracekit.trace.trace import GivenModel

ENDINGS = (".json", ".json.gz")
LEAST = 0.85  # a trace that covers less says what it lacks


def files(given: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in the folders."""
    for path in given:
        if path.is_dir():
            yield from sorted(p for p in path.iterdir() if p.name.endswith(ENDINGS))
        else:
            yield path


def answered(path: Path, model: GivenModel | None) -> tuple[Roofline | None, str]:
    """What a trace says, else why it says nothing."""
    try:
        answers = engine.answers(path, ["roofline"], model=model)
    except TracekitError:
        return None, "no trace"
    found = answers.get(Roofline)
    if found is None or not kernel_ns(found):
        why = answers.unanswered.get("roofline") or (found.unshaped if found else None)
        return None, why or "no kernels"
    return found, ""


def kernel_ns(result: Roofline) -> int:
    return sum(one.kernel_ns for one in result.coverage)


def line(name: str, result: Roofline) -> str:
    """A row of the first table; `not covered` is the longest of the rest."""
    whole, lacking = kernel_ns(result), sum(one.unsized_ns for one in result.coverage)
    sized = 1 - lacking / whole
    shares = (result.covered_share, sized, result.sized_share)
    said = (share(one) if one is not None else "–" for one in shares)
    return f"| {' | '.join((name, *said, duration(whole)))} |"


def rest(name: str, result: Roofline, most: int) -> Iterator[str]:
    """The second table: each reason with its time, and the kernels that take most of it."""
    whole = kernel_ns(result)
    reasons: dict[str, list[Uncovered]] = {}
    for one in result.uncovered:
        reasons.setdefault(one.why, []).append(one)
    for why, mine in sorted(reasons.items(), key=lambda item: -sum(r.total_ns for r in item[1])):
        total = sum(one.total_ns for one in mine)
        longest = "; ".join(
            f"{share(one.total_ns / whole)} {one.what[:44]}" for one in mine[:most]
        )  # fmt: skip
        yield f"| {name} | {why} | {share(total / whole)} | {duration(total)} | {longest} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("traces", nargs="+", type=Path)
    parser.add_argument("--rest", type=int, default=3, help="kernels that are named for a reason")
    parser.add_argument("--least", type=float, help="exit 1 where a trace has less")
    parser.add_argument("--model-config", help="the model that ran, as of `tracekit analyze`")
    asked = parser.parse_args()
    model = None if asked.model_config is None else given(asked.model_config)
    named = LEAST if asked.least is None else asked.least
    print("| trace | covered | sized | covered, of sized | kernel time |")
    print("| --- | --- | --- | --- | --- |")
    below: list[str] = []
    lacking: list[str] = []
    for path in files(asked.traces):
        name = path.name.removesuffix(".gz").removesuffix(".json")
        found, why = answered(path, model)
        print(f"| {name} | {why} | | | |" if found is None else line(name, found), flush=True)
        if found is None:
            continue
        if (found.covered_share or 0.0) < named:
            lacking += rest(name, found, asked.rest)
        part = found.sized_share
        if part is not None and asked.least is not None and part < asked.least:
            below.append(path.name)
    if lacking:
        print(f"\nNot covered, where less than {share(named)} is:\n")
        print("| trace | why | share | time | the longest |\n| --- | --- | --- | --- | --- |")
        print("\n".join(lacking))
    if below:
        print(f"\nbelow {share(asked.least)}: {', '.join(below)}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
