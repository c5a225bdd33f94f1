"""Answers in a terminal: the first screen of the report, then each analysis in short."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tracekit.cli import verbosity
from tracekit.report.html.tables import all_zero
from tracekit.results.kernel_labels import readable
from tracekit.results.result import unmeasured

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from tracekit.report.one.overview import Overview
    from tracekit.results.answers import Answers
    from tracekit.results.first_screen import KeyNumber
    from tracekit.results.result import Column, Grid

ANALYZED = "--csv and --json have them"
PIPED = 160  # columns of a line where there is no terminal to measure


def console(*, stderr: bool = False) -> Console:
    """A console that is plain, and wide, when it is not a terminal; text in it is only shown."""
    from tracekit.cli.plain_console import PlainConsole

    out = PlainConsole(stderr=stderr, highlight=False, soft_wrap=False)
    if not out.is_terminal:
        out.width = max(PIPED, shutil.get_terminal_size().columns)
    return out


@contextmanager
def status(subject: str) -> Iterator[Callable[[str], None]]:
    """Shows on stderr what is being done to `subject`; gives the function that says it."""
    from rich.markup import escape

    if verbosity.verbose():
        with verbosity.steps(subject) as step:
            yield step
        return
    if verbosity.quiet():
        yield lambda _doing: None
        return
    # rich writes nothing but the last line where stderr is no terminal
    with console(stderr=True).status(escape(subject)) as line:
        yield lambda doing: line.update(f"{escape(subject)}: {escape(doing)} …")


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
    for row in grid.rows[:most]:
        table.add_row(*(escape(_one_line(_said(grid.columns[i], row[i]))) for i in kept))
    if grid.total is not None:
        table.add_section()
        cells = [(grid.columns[i], grid.total[i]) for i in kept]
        table.add_row(*("" if v is None else escape(_said(c, v)) for c, v in cells))
    # as a title of the table it would be broken to the table's width
    out.print(_one_line(grid.title), style="bold", markup=False)
    out.print(table)
    left_out = len(grid.rows) - most
    if left_out > 0:
        where = f": {rest}" if rest else ""
        out.print(f"  … and {left_out} more rows{where}", style="dim", markup=False)
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


def _one_line(text: str) -> str:
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


def _numbers(tiles: Sequence[KeyNumber]) -> Text:
    """The large numbers as running text."""
    from rich.text import Text

    said = Text()
    for place, tile in enumerate(tiles):
        said.append(" · " if place else "")
        said.append(f"{tile.label} ")
        said.append(_one_line(tile.value), style="bold")
        said.append(f" ({_one_line(tile.sub)})" if tile.sub else "", style="dim")
    return said


def overview(out: Console, one: Answers, most: int = 12) -> None:
    """What ran, the audit's verdict, the large numbers, the stages, what to do first."""
    from tracekit.report import facts
    from tracekit.report.one.overview import overview as first_screen

    screen(out, facts.title(one.source), facts.subtitle(one.source), first_screen(one), most)


def screen(out: Console, title: str, subtitle: str, view: Overview, most: int = 12) -> None:
    """The first screen of any page as text."""
    from rich.rule import Rule
    from rich.text import Text

    out.print(Rule(Text(_one_line(title)), style="dim", align="left"))
    out.print(_one_line(subtitle), style="dim", markup=False)
    for headline in view.headlines:
        out.print(_one_line(headline), style="bold", markup=False)
    for verdict in view.verdicts:
        style = {"bad": "bold red", "warn": "bold yellow"}.get(verdict.level, "bold green")
        out.print(Text.assemble((f"{verdict.word}: ", style), _one_line(verdict.whole)))
    for note in view.notes:
        out.print(f"note: {_one_line(note)}", style="yellow", markup=False)
    out.print()
    if view.tiles:
        out.print(_numbers(view.tiles))
    for limit in view.limits:
        out.print(_one_line(limit), markup=False)
    if view.tiles or view.limits:
        out.print()
    for grid in (*view.grids, *view.opened):
        show(out, grid, most, rest=ANALYZED)
    for place, finding in enumerate(view.findings, 1):
        said = Text.assemble((_one_line(finding.claim), "bold"))
        said.append(f" {finding.saves}" if finding.saves else "", "green")
        said.append(f"\n{_one_line(finding.todo)}" if finding.todo else "")
        lines = said.wrap(out, max(out.width - 3, 20))
        for at, line in enumerate(lines):  # under the text, not under the number
            out.print(Text.assemble(("   " if at else f"{place}. ", "bold"), line))
    if view.findings:
        out.print()


def tables(out: Console, one: Answers) -> None:
    """Every table of every analysis."""
    from tracekit.report import device_words
    from tracekit.report.html.section import HERO
    from tracekit.results import catalog
    from tracekit.results.unknown_work import device_kind

    gpus = device_kind(one.source) == "GPU"
    for name, result in one.answers.items():
        if name not in HERO:
            for grid in catalog.analysis(name).tables(result):
                show(out, grid if gpus else device_words.of_grid(grid), rest=ANALYZED)


def unanswered(out: Console, one: Answers) -> None:
    """What the trace could not answer, and why."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in one.unanswered.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        said = f"not answered: {', '.join(names)} ({_one_line(reason)})"
        out.print(said, style="dim", markup=False)
