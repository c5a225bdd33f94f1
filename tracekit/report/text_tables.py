"""Tables as text, for a terminal and for a Python prompt."""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from tracekit.report.html.tables import all_zero
from tracekit.results.kernel_labels import differences, readable
from tracekit.results.result import unmeasured
from tracekit.results.units import plural

if TYPE_CHECKING:
    from rich.console import Console

    from tracekit.results.result import Column, Grid


def as_text(title: str, grids: Iterable[Grid]) -> str:
    """The tables under a title, as wide as the terminal; for what a prompt shows of an answer."""
    import io

    from rich.console import Console

    width = shutil.get_terminal_size().columns
    out = Console(file=io.StringIO(), width=width, highlight=False, color_system=None, emoji=False)
    out.print(one_line(title), markup=False)
    for grid in grids:
        show(out, grid, rest=".to_pandas() has them")
    assert isinstance(out.file, io.StringIO)
    return "\n".join(line.rstrip() for line in out.file.getvalue().splitlines()).rstrip()


def show(out: Console, grid: Grid, most: int = 20, *, rest: str = "") -> None:
    """One grid; at most `most` rows, and a line that says how many were left out.

    `rest` says where those are, as in '--json has them'.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1))
    empty = unmeasured(grid)
    zero = [i for i in range(1, len(grid.columns)) if i not in empty and all_zero(grid, i)]
    kept = _kept(out, grid, {*empty, *zero})
    for i in kept:
        column = grid.columns[i]
        numeric = column.unit != "text"
        table.add_column(
            escape(_head(grid, i)), justify="right" if numeric else "left", no_wrap=numeric,
            overflow="fold" if numeric else "ellipsis", min_width=_room(grid, i),
        )  # fmt: skip
    apart = {i: _apart(grid, i, most) for i in kept}
    for row in grid.rows[:most]:
        texts = (f"{_said(grid.columns[i], row[i])}{apart[i].get(str(row[i]), '')}" for i in kept)
        table.add_row(*(escape(one_line(text)) for text in texts))
    if grid.total is not None:
        table.add_section()
        cells = [(grid.columns[i], grid.total[i]) for i in kept]
        table.add_row(*("" if v is None else escape(_said(c, v)) for c, v in cells))
    # as a title of the table it would be broken to the table's width
    out.print(one_line(grid.title), style="bold", markup=False)
    out.print(table)
    left_out = grid.left_out(most)
    if left_out:
        where = f": {rest}" if rest else ""
        said = plural(left_out, "more row")
        out.print(f"  … and {said}{where}", style="dim", markup=False)
    gone = ", ".join(c.label for i, c in enumerate(grid.columns) if i not in {*kept, *empty, *zero})
    if gone:
        out.print(f"  no room for: {gone}", style="dim", markup=False)
    if empty:
        said = ", ".join(grid.columns[i].label for i in empty)
        out.print(f"  not measured: {said}", style="dim", markup=False)
    if zero:
        said = ", ".join(grid.columns[i].label for i in zero)
        out.print(f"  zero in every row: {said}", style="dim", markup=False)
    if grid.note:
        out.print(f"  {grid.note}", style="dim", markup=False)
    out.print()


def _said(column: Column, value: object) -> str:
    if value is None:
        return "–"
    return readable(column.show(value)) if column.unit == "text" else column.show(value)


def _apart(grid: Grid, place: int, most: int) -> dict[str, str]:
    """What follows names that would read alike, of the rows that are shown: in what they differ."""
    if grid.columns[place].unit != "text":
        return {}
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(row[place] for row in grid.rows[:most]):
        if isinstance(name, str):
            alike.setdefault(readable(name), []).append(name)
    return {
        name: f" ({word})" if word else f" #{number}"
        for names in alike.values() if len(names) > 1
        for number, (name, word) in enumerate(differences(names).items(), 1)
    }  # fmt: skip


def one_line(text: str) -> str:
    """Text of a trace without line breaks and control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text)


def _width(grid: Grid, place: int) -> int:
    column = grid.columns[place]
    return max((len(_said(column, row[place])) for row in grid.rows[:200]), default=1)


def _room(grid: Grid, place: int) -> int:
    """What a column needs: its longest number or word of the head; text may be cut to 24."""
    column = grid.columns[place]
    wide = _width(grid, place)
    if column.unit == "text":
        wide = min(wide, 24)
    return max(wide, *(len(word) for word in column.label.split()), 1)


def _head(grid: Grid, place: int) -> str:
    """The label, in as many lines as it takes to be no wider than its column."""
    import textwrap

    label = grid.columns[place].label
    return "\n".join(textwrap.wrap(label, max(_room(grid, place), 8), break_long_words=False))


def _kept(out: Console, grid: Grid, left_out: Container[int]) -> list[int]:
    """The columns that fit, from the left, without `left_out`; the first is always shown."""
    room = out.width - _room(grid, 0)
    kept = [0]
    for place in (i for i in range(1, len(grid.columns)) if i not in left_out):
        room -= max(_room(grid, place), max(map(len, _head(grid, place).split("\n")))) + 2
        if room < 0:
            break
        kept.append(place)
    return kept
