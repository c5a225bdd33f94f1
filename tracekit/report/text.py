"""Answers as Markdown for a pull request, and as CSV files for a spreadsheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tracekit.files import check, starts, writing
from tracekit.plain import cell, line
from tracekit.records import Record, replace
from tracekit.report import facts
from tracekit.report.html.section import HERO
from tracekit.report.html.tables import all_zero, brief
from tracekit.report.many import overview as many_overview
from tracekit.report.many import runs
from tracekit.report.one.overview import Overview, overview
from tracekit.results import answers, catalog
from tracekit.results.answers import Answers
from tracekit.results.result import Grid, unmeasured
from tracekit.results.units import plural
from tracekit.trace import ranks, run_facts

MARKDOWN_ROWS = 12


# tables that a comment on a pull request needs beside the findings: the stages, before and after
SHORT = frozenset({"stage-split", "stage-means", "traces", "stages", "rates"})


def markdown(one: Answers, *, full: bool = True) -> str:
    """The first screen as Markdown, and the first table of each analysis folded below it.

    Not `full`: what was found, and the stages.
    """
    view = overview(one)
    view = view if full else short(view)
    lines = screen(facts.title(one.source), facts.subtitle(one.source), view)
    for name, result in one.answers.items() if full else ():
        grids = [] if name in HERO | {"stages"} else catalog.analysis(name).tables(result)[:1]
        for grid in grids:
            title = plain(catalog.analysis(name).title)
            lines += ["", f"<details><summary>{title}</summary>", "",
                      *_table(grid, MARKDOWN_ROWS), "", "</details>"]  # fmt: skip
    return "\n".join(lines) + "\n"


def short(view: Overview) -> Overview:
    """The first screen with the tables of a pull request; its first where it has none of them."""
    every = (*view.grids, *view.opened)
    kept = tuple(grid for grid in every if grid.key in SHORT) or every[:1]
    return replace(view, grids=kept, opened=())


def markdown_of_several(many: Sequence[Answers], *, full: bool = True) -> str:
    """What stands side by side as Markdown, and each trace's own folded below it where `full`."""
    found = runs.read(many)
    view = many_overview.brief(many_overview.overview(found))
    view = view if full else short(view)
    lines = screen(many_overview.title(found), many_overview.subtitle(found), view)
    for side in found if full else ():
        lines += ["", f"<details><summary>{plain(side.name)}</summary>", "",
                  markdown(side.one), "</details>"]  # fmt: skip
    return "\n".join(lines) + "\n"


def screen(title: str, subtitle: str, view: Overview) -> list[str]:
    """The first screen of any page as lines of Markdown."""
    lines = [f"### {plain(title)}", "", plain(subtitle), ""]
    for headline in view.headlines:
        lines += [f"**{plain(headline)}**", ""]
    for verdict in view.verdicts:
        lines += [f"**{verdict.word}**: {plain(verdict.whole)}", ""]
    for note in view.notes:
        lines += [f"> {plain(note)}", ""]
    if view.tiles:
        tiles = (
            f"{t.label} **{plain(t.value)}**" + (f" ({plain(t.sub)})" if t.sub else "")
            for t in view.tiles
        )
        lines += [" · ".join(tiles), ""]
    lines += [f"- {plain(limit)}" for limit in view.limits]
    if view.limits and view.findings:
        lines.append("")
    for place, finding in enumerate(view.findings, 1):
        more = " ".join(filter(None, (finding.saves, finding.todo)))
        lines.append(f"{place}. **{plain(finding.claim)}** {plain(more)}")
    for grid in (*view.grids, *view.opened):
        lines += ["", *titled(grid)]
    return lines


def titled(grid: Grid) -> list[str]:
    """A table under its title, with its note."""
    note = [f"\n{plain(grid.note)}"] if grid.note else []
    return [f"**{plain(grid.title)}**", "", *_table(grid, MARKDOWN_ROWS), *note]


def _table(grid: Grid, most: int) -> Iterable[str]:
    empty = unmeasured(grid)
    zero = [i for i in range(1, len(grid.columns)) if i not in empty and all_zero(grid, i)]
    kept = [i for i in range(len(grid.columns)) if i not in {*empty, *zero}]
    columns = [grid.columns[i] for i in kept]
    yield "| " + " | ".join(plain(c.label) for c in columns) + " |"
    yield "|" + "|".join("---" if c.unit == "text" else "--:" for c in columns) + "|"
    for row in grid.rows[:most]:
        cells = ((grid.columns[i], row[i]) for i in kept)
        yield "| " + " | ".join("–" if v is None else plain(brief(c, v)) for c, v in cells) + " |"
    if grid.total is not None:
        cells = ((grid.columns[i], grid.total[i]) for i in kept)
        shown = ("" if v is None else f"**{plain(c.show(v))}**" for c, v in cells)
        yield "| " + " | ".join(shown) + " |"
    if left_out := grid.left_out(most):
        yield f"\n… and {plural(left_out, 'more row')} in --csv and --json."
    if empty:
        yield f"\nNot measured: {', '.join(repr(plain(grid.columns[i].label)) for i in empty)}."
    if zero:
        yield f"\nZero in every row: {', '.join(plain(grid.columns[i].label) for i in zero)}."


def plain(text: object) -> str:
    """Text of a trace that Markdown, and a terminal that shows it, take for text."""
    flat = line(" ".join(str(text).split()))
    for letter in "\\`*_[]|#~":
        flat = flat.replace(letter, f"\\{letter}")
    return (
        flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")
    )


class Sheet(Record, frozen=True):
    """A CSV file that is to be written."""

    path: Path
    heads: Sequence[str]
    rows: Iterable[Sequence[object]]


def write_csv(
    many: Sequence[Answers], folder: Path, *, inputs: Iterable[str] = (), force: bool = False
) -> list[Path]:
    """Writes each answer's rows, whole, and each of its tables, to `folder`; says which files.

    ANALYSIS.csv has every row with its fields as they are in JSON (ns, bytes, shares of one),
    ANALYSIS-TABLE.csv a table of the report in raw units. Several traces, or ranks of one file: a
    folder for each, and together-TABLE.csv what stands side by side.

    Raises: TracekitError where the folder cannot be written, and, before anything is, where a file
    is there that holds no such table and `force` is off.
    """
    return write_sheets(_sheets(many, folder), inputs=inputs, force=force)


def _sheets(many: Sequence[Answers], folder: Path) -> list[Sheet]:
    found: list[Sheet] = []
    every = answers.by_rank(many)
    many = [one for one in every if not one.fault]
    if len(every) > 1:
        found += sheets(many_overview.whole(runs.read(every)), folder, "together")
    names = [_folder(one) for one in many]
    for place, one in enumerate(many):
        own = folder
        if len(many) > 1:
            again = names[:place].count(names[place])
            own = folder / (f"{names[place]}-{again + 1}" if again else names[place])
        for name, result in one.answers.items():
            rows = result.to_json().get("rows")
            if isinstance(rows, list) and rows and isinstance(rows[0], Mapping):
                flat = [flatten(row) for row in rows]
                heads = list(dict.fromkeys(key for row in flat for key in row))
                body = [[row.get(key) for key in heads] for row in flat]
                found.append(Sheet(own / f"{name}.csv", heads, body))
            found += sheets(catalog.analysis(name).tables(result), own, name)
    return found


def _folder(one: Answers) -> str:
    """The file's name, and the rank's where it holds several."""
    own = re.sub(r"[^\w-]+", "-", ranks.named(one.source.rank))
    return "-".join(filter(None, (run_facts.stem(one.path), own)))


def sheets(grids: Iterable[Grid], folder: Path, name: str) -> list[Sheet]:
    """Each table as FOLDER/NAME-KEY.csv, in raw units."""
    return [
        Sheet(
            folder / f"{name}-{grid.key}.csv",
            [f"{c.label} ({c.unit})" if c.unit != "text" else c.label for c in grid.columns],
            grid.rows,
        )
        for grid in grids
    ]


def flatten(row: Mapping[str, object], before: str = "") -> dict[str, object]:
    """Nested fields as `outer.inner`; lists stay, as text."""
    out: dict[str, object] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            out.update(flatten(value, f"{before}{key}."))
        else:
            out[f"{before}{key}"] = value
    return out


def write_sheets(
    wanted: Sequence[Sheet], *, inputs: Iterable[str] = (), force: bool = False
) -> list[Path]:
    """Writes the files and says which.

    Raises: TracekitError where the folder cannot be written, and, before anything is, where a file
    is one of `inputs`, or holds no such table and `force` is off.
    """
    given = list(inputs)
    for one in wanted:
        check(one.path, inputs=given, ours=partial(_holds, one.heads), force=force)
    for one in wanted:
        with (
            writing(one.path) as temporary,
            open(temporary, "w", newline="", encoding="utf-8", errors="replace") as file,
        ):
            out = csv.writer(file)
            out.writerow([_cell(head) for head in one.heads])
            out.writerows([_cell(value) for value in row] for row in one.rows)
    return [one.path for one in wanted]


def _holds(heads: Sequence[str], path: Path) -> bool:
    """Whether a file has these columns; fields that another trace lacks may be absent."""
    first = starts(path).decode("utf-8", "replace").splitlines()[:1]
    there = set(next(csv.reader(first), []))
    return 2 * len(there & {str(_cell(head)) for head in heads}) >= max(len(there), 1)


def _cell(value: object) -> object:
    """The cell, text of a trace as text."""
    return cell(value) if isinstance(value, str) else value
