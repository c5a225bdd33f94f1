"""The share of lines that the tests run, room by room, from what `pytest --cov` left in .coverage.

    ./scripts/test --cov --cov-report=
    .venv/bin/python scripts/write_coverage.py             print the table
    .venv/bin/python scripts/write_coverage.py --write     and put it into docs/architecture.md

A line counts that runs in the process of a test; what only a process of its own runs does not.
"""

from __future__ import annotations

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


def counted() -> list[Count]:
    """Every file that is measured, also one that no test loads."""
    import coverage

    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    measured.load()
    data = measured.get_data()
    found = []
    for file in sorted(data.measured_files()):
        path = Path(file)
        if not path.exists():
            continue
        _name, lines, _left_out, missing, _words = measured.analysis2(file)
        found.append((path.relative_to(ROOT).as_posix(), len(lines), len(lines) - len(missing)))
    return found


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


def main() -> None:
    rows = table(counted())
    print(rows)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")


if __name__ == "__main__":
    main()
