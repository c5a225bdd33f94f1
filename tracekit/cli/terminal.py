"""Grids in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from tracekit.results import Grid


def console(*, stderr: bool = False) -> Console:
    """A console that is plain when it is not a terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


@contextmanager
def status(subject: str) -> Iterator[Callable[[str], None]]:
    """Shows on stderr what is being done to `subject`; gives the function that says it."""
    from rich.markup import escape

    # rich writes nothing but the last line where stderr is no terminal
    with console(stderr=True).status(escape(subject)) as line:
        yield lambda doing: line.update(f"{escape(subject)}: {escape(doing)} …")


def show(out: Console, grid: Grid, most: int = 20) -> None:
    """One grid; at most `most` rows, and a line that says how many were left out."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(grid.title), title_justify="left", title_style="bold", box=None)
    for column in grid.columns:
        numeric = column.unit != "text"
        table.add_column(
            escape(column.label),
            justify="right" if numeric else "left",
            no_wrap=numeric,
            overflow="ellipsis",
        )
    for row in grid.rows[:most]:
        cells = zip(grid.columns, row, strict=True)
        table.add_row(*(escape(column.show(value)) for column, value in cells))
    if grid.total is not None:
        cells = zip(grid.columns, grid.total, strict=True)
        table.add_section()
        table.add_row(*(escape(c.show(v)) if v is not None else "" for c, v in cells))
    out.print(table)
    left_out = len(grid.rows) - most
    if left_out > 0:
        out.print(f"  … and {left_out} more rows (--json has all)", style="dim")
    if grid.note:
        out.print(f"  {escape(grid.note)}", style="dim")
    out.print()
