"""Answers in a terminal: the first screen of the report, then each analysis in short."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tracekit.cli import verbosity
from tracekit.report.text_tables import one_line, show

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from tracekit.report.one.overview import Overview
    from tracekit.results.answers import Answers
    from tracekit.results.first_screen import KeyNumber

ANALYZED = "--csv and --json have them"
LACKING = ("captured without", "no kernel events", "no framework ops")  # another capture has it
PIPED = 160  # columns of a line where there is no terminal to measure


def console(*, stderr: bool = False) -> Console:
    """A console that is plain, and wide, when it is not a terminal; text in it is only shown."""
    from tracekit.cli.plain_console import PlainConsole

    out = PlainConsole(stderr=stderr, highlight=False, soft_wrap=False, emoji=False)
    if not out.is_terminal:
        out.width = max(PIPED, shutil.get_terminal_size().columns)
    return out


@contextmanager
def status(subject: str) -> Iterator[Callable[[str], None]]:
    """Shows on stderr what is being done to `subject`; gives the function that says it."""
    if verbosity.verbose():
        with verbosity.steps(subject) as step:
            yield step
        return
    if verbosity.quiet() or not _moving():
        yield lambda _doing: None
        return
    from rich.markup import escape

    with console(stderr=True).status(escape(subject)) as line:
        yield lambda doing: line.update(f"{escape(subject)}: {escape(doing)} …")


def _moving() -> bool:
    """Whether stderr may be a terminal; rich, which knows more of them, takes long to load."""
    forced = any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))
    return forced or (sys.stderr is not None and sys.stderr.isatty())


def _numbers(tiles: Sequence[KeyNumber]) -> Text:
    """The large numbers as running text."""
    from rich.text import Text

    said = Text()
    for place, tile in enumerate(tiles):
        said.append(" · " if place else "")
        said.append(f"{tile.label} ")
        said.append(one_line(tile.value), style="bold")
        said.append(f" ({one_line(tile.sub)})" if tile.sub else "", style="dim")
    return said


def heading(out: Console, one: Answers) -> None:
    """A line that names the trace."""
    from rich.markup import escape

    from tracekit.trace import ranks

    out.rule(escape(ranks.named(one.source.rank, one.path)), style="dim")


def overview(out: Console, one: Answers, most: int = 12) -> None:
    """What ran, the audit's verdict, the large numbers, the stages, what to do first."""
    from tracekit.report import facts
    from tracekit.report.one.overview import overview as first_screen

    screen(out, facts.title(one.source), facts.subtitle(one.source), first_screen(one), most)


def screen(out: Console, title: str, subtitle: str, view: Overview, most: int = 12) -> None:
    """The first screen of any page as text."""
    from rich.rule import Rule
    from rich.text import Text

    out.print(Rule(Text(one_line(title)), style="dim", align="left"))
    out.print(one_line(subtitle), style="dim", markup=False)
    for headline in view.headlines:
        out.print(one_line(headline), style="bold", markup=False)
    for verdict in view.verdicts:
        style = {"bad": "bold red", "warn": "bold yellow"}.get(verdict.level, "bold green")
        out.print(Text.assemble((f"{verdict.word}: ", style), one_line(verdict.whole)))
    for note in view.notes:
        out.print(f"note: {one_line(note)}", style="yellow", markup=False)
    out.print()
    if view.tiles:
        out.print(_numbers(view.tiles))
    for limit in view.limits:
        out.print(one_line(limit), markup=False)
    if view.tiles or view.limits:
        out.print()
    for grid in (*view.grids, *view.opened):
        show(out, grid, most, rest=ANALYZED)
    for place, finding in enumerate(view.findings, 1):
        said = Text.assemble((one_line(finding.claim), "bold"))
        said.append(f" {finding.saves}" if finding.saves else "", "green")
        said.append(f"\n{one_line(finding.todo)}" if finding.todo else "")
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


def unanswered(out: Console, one: Answers, *, full: bool) -> None:
    """What the trace could not answer; in short, why only of what another capture would hold."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in one.unanswered.items():
        by_reason.setdefault(reason, []).append(name)
    others: list[str] = []
    for reason, names in by_reason.items():
        if full or reason.startswith(LACKING):
            said = f"not answered: {', '.join(names)} ({one_line(reason)})"
            out.print(said, style="dim", markup=False)
        else:
            others += names
    if others:
        out.print(f"not answered: {', '.join(others)} (why: --full)", style="dim", markup=False)
