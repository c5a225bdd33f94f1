"""The share of lines that the tests run, room by room.

    COVERAGE=.coverage.json ./scripts/test
    .venv/bin/python scripts/write_coverage.py .coverage.json          print the table
    .venv/bin/python scripts/write_coverage.py .coverage.json --write  put it into the docs
    .venv/bin/python scripts/write_coverage.py .coverage.json --least 94

A line counts that runs in the process of a test; what only a process of its own runs does not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- coverage: scripts/write_coverage.py -->", "<!-- end of coverage -->"
LOOSE = "files of `tracekit/`"  # of no room: registry, files, errors and their like

Count = tuple[str, int, int]  # a file under ROOT, its lines of code, how many of them ran


def room(file: str) -> str:
    """`tracekit/report/html/page.py` is of `tracekit/report/`."""
    parts = Path(file).parts
    if "analyses" in parts[:2]:  # the folder, and the package that finds it
        return "`analyses/`"
    return f"`tracekit/{parts[1]}/`" if len(parts) > 2 else LOOSE


def counted(measured: Path) -> list[Count]:
    """Every file of the rooms, also one that no test loads."""
    files = json.loads(measured.read_text(encoding="utf-8"))["files"]
    return [
        (file, len(one["executed_lines"]) + len(one["missing_lines"]), len(one["executed_lines"]))
        for file, one in sorted(files.items())
    ]


def table(counts: Iterable[Count]) -> str:
    """Markdown: a row a room, the least covered first, and one for all."""
    rooms: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file, lines, ran in counts:
        for key in (room(file), "all"):
            rooms[key][0] += lines
            rooms[key][1] += ran
    every = rooms.pop("all")
    ordered = sorted(rooms.items(), key=lambda item: (item[1][1] / max(item[1][0], 1), item[0]))
    rows = [
        f"| {name} | {lines:,} | {_percent(lines, ran)} |"
        for name, (lines, ran) in [*ordered, ("all", (every[0], every[1]))]
    ]
    return "\n".join(["| room | lines of code | run by tests |", "| --- | --- | --- |", *rows])


def _percent(lines: int, ran: int) -> str:
    return f"{100 * ran // lines} %" if lines else "-"


def put(page: str, rows: str) -> str:
    """The page with the table between its marks. Raises: ValueError where a mark is missing."""
    before, mark, rest = page.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"{PAGE.name} lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{rows}\n{END}{after}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("measured", type=Path, help="what COVERAGE=FILE ./scripts/test wrote")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    parser.add_argument("--least", type=float, default=0, help="percent of all lines that must run")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    counts = counted(given.measured)
    rows = table(counts)
    print(rows)
    if given.write:
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
    lines, ran = (sum(one[at] for one in counts) for at in (1, 2))
    if 100 * ran < given.least * lines:
        sys.exit(f"the tests run {100 * ran / lines:.1f} % of all lines, less than {given.least} %")


if __name__ == "__main__":
    main()
