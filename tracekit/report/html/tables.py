"""Grids as HTML tables: one unit a column, rows beyond the first kept aside until asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10
from statistics import median
from typing import Any

from tracekit.plain import markup
from tracekit.records import Record
from tracekit.report.html.embedded import bounded, coded
from tracekit.results.figures import distinct, shorten
from tracekit.results.figures.theme import MARKS, Mark
from tracekit.results.result import Column, Grid, unmeasured
from tracekit.results.units import plural

LONG = 46  # a longer name is folded
SHORT = 40  # to this
MOST = 200  # rows of a table in the file
FINEST = 6  # decimals of a number
NAMELESS = "what"  # heads a column that has no name: a head that says nothing cannot be read out

# words that are something else in a table than in a legend
_PLAIN = frozenset(
    {"op", "ops", "copy", "copies", "other", "total", "better", "worse", "less", "more"}
)

_SCALES: dict[str, tuple[tuple[float, float, str], ...]] = {  # from this size, divisor, unit
    "ns": ((1e11, 1e9, "s"), (1e5, 1e6, "ms"), (0, 1e3, "µs")),
    "bytes": (
        (1 << 31, 1 << 30, "GiB"),
        (1 << 19, 1 << 20, "MiB"),
        (1 << 13, 1 << 10, "KiB"),
        (0, 1, "B"),
    ),
    "flop": ((1e12, 1e12, "TFLOP"), (1e9, 1e9, "GFLOP"), (0, 1e6, "MFLOP")),
    "flop/s": ((1e12, 1e12, "TFLOP/s"), (0, 1e9, "GFLOP/s")),
    "bytes/s": ((1e12, 1e12, "TB/s"), (1e9, 1e9, "GB/s"), (0, 1e6, "MB/s")),
    "share": ((0, 0.01, "%"),),
    "tokens/s": ((0, 1, "tokens/s"),),
}


class Head(Record, frozen=True):
    """A column as the page shows it: `unit` is that of every cell below."""

    label: str
    unit: str
    definition: str
    numeric: bool

    @property
    def classes(self) -> str:
        """'n' for numbers, 'w' for a label of many words, which needs some width."""
        wide = self.label.count(" ") >= 2
        return " ".join(name for name, on in (("n", self.numeric), ("w", wide)) if on)


class HtmlTable(Record, frozen=True):
    """A grid ready for the page: `first` rows are shown, `rest` waits in a <template>."""

    id: str
    title: str
    heads: tuple[Head, ...]
    first: str  # <tr>…
    rest: str
    total: str
    rows: int  # in the file
    shown: int
    note: str
    tools: bool  # long enough to want a search


_HATCHES = ("/", "x", ".", "\\", "|", "-", "+")  # of Plotly; .h1 … in page.css


def swatch(look: Mark) -> str:
    """A small square in the look's colour and hatching."""
    hatch = f" h{_HATCHES.index(look.hatch) + 1}" if look.hatch else ""
    return f'<i class="sw{hatch}" style="--c:{markup(look.colour)}"></i>'


def html_table(section: str, grid: Grid, first: int, most: int = MOST) -> HtmlTable:
    """`grid` as a table with the id `tk-SECTION-KEY-table`.

    Columns that were measured nowhere, or are zero everywhere, are left out and named in the note.
    """
    rows = list(grid.rows)
    empty = unmeasured(grid)
    zero = [i for i in range(1, len(grid.columns)) if i not in empty and all_zero(grid, i)]
    kept = [i for i in range(len(grid.columns)) if i not in {*empty, *zero}]
    scales = [_scale(grid.columns[i], [r[i] for r in rows], grid.total and grid.total[i])
              for i in kept]  # fmt: skip
    names = _names(grid, kept, rows[:most])
    body = [_row([row[i] for i in kept], [grid.columns[i] for i in kept], scales, names=names)
            for row in rows[:most]]  # fmt: skip
    total = ""
    if grid.total is not None:
        total = _row([grid.total[i] for i in kept], [grid.columns[i] for i in kept], scales, "")
    notes = [_sentence(grid.note)] if grid.note else []
    if left_out := grid.left_out(most):
        place = "--json" if grid.beyond else "--csv"
        notes.append(f"Not in this page, but in {place}: {plural(left_out, 'row')}.")
    if empty:
        notes.append(f"Not measured: {', '.join(repr(grid.columns[i].label) for i in empty)}.")
    if zero:
        notes.append(f"Zero in every row: {', '.join(grid.columns[i].label for i in zero)}.")
    if any(row[i] is None for row in rows for i in kept):
        notes.append(grid.absent)
    heads = tuple(
        Head(grid.columns[i].label or NAMELESS, scale[1], grid.columns[i].definition,
             grid.columns[i].unit != "text")
        for i, scale in zip(kept, scales, strict=True)
    )  # fmt: skip
    shown = len(body) if len(body) <= first + 3 else first  # no button for three more rows
    return HtmlTable(
        id=f"tk-{section}-{grid.key}-table",
        title=grid.title,
        heads=heads,
        first="".join(body[:shown]),
        rest="".join(body[shown:]),
        total=total,
        rows=len(body),
        shown=shown,
        note=" ".join(notes),
        tools=len(body) > 8,
    )


def _sentence(note: str) -> str:
    return note if note.endswith((".", ":", "?", "!")) else f"{note}."


def says_nothing(grid: Grid) -> bool:
    """Whether every cell beside the names of the rows is zero or not measured."""
    cells = [value for row in grid.rows for value in row[1:]]
    return bool(cells) and not any(cells) and not grid.note


def all_zero(grid: Grid, place: int) -> bool:
    """Whether a column of amounts holds nothing but zeros, and so says nothing row by row."""
    if not grid.rows or grid.columns[place].unit not in ("ns", "bytes", "count", "share"):
        return False
    values = [row[place] for row in grid.rows]
    if grid.total is not None:
        values.append(grid.total[place])
    return all(value == 0 for value in values if value is not None) and any(
        value is not None for value in values
    )


def _scale(column: Column, values: Sequence[object], total: object) -> tuple[float, str]:
    """Divisor and unit of a column, by its largest value."""
    steps = _SCALES.get(column.unit)
    if steps is None:
        return 1.0, ""
    numbers = [abs(v) for v in (*values, total) if isinstance(v, int | float) and v]
    largest, usual = max(numbers, default=0), median(numbers) if numbers else 0
    for place, (limit, by, unit) in enumerate(steps):
        if largest < limit:
            continue
        if place + 1 < len(steps) and usual < 0.02 * by:  # three decimals would say little
            _, finer, its_unit = steps[place + 1]
            if largest < 100_000 * finer:
                return finer, its_unit
        return by, unit
    raise AssertionError("unreachable")


def _row(
    values: Sequence[Any],
    columns: Sequence[Column],
    scales: Sequence[tuple[float, str]],
    absent: str = "–",
    names: Mapping[str, str] | None = None,
) -> str:
    cells = []
    for place, (value, column, (by, _)) in enumerate(zip(values, columns, scales, strict=True)):
        tag = "th scope=row" if place == 0 else "td"
        end = tag[:2]
        if column.unit == "text":
            cells.append(f"<{tag}>{_text(value, absent, names or {})}</{end}>")
        elif column.unit == "share" and value is not None:
            width = min(max(float(value), 0), 1) * 100
            cells.append(f'<{tag} class="n b" style="--p:{width:.0f}%">{cell(value, column, by)}'
                         f"</{end}>")  # fmt: skip
        else:
            shown = absent if value is None else cell(value, column, by)
            cells.append(f"<{tag} class=n>{shown}</{end}>")
    return f"<tr>{''.join(cells)}</tr>"


def cell(value: object, column: Column, by: float) -> str:
    """A number in its column's unit, without the unit; never scientific notation."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return markup(str(value))
    match column.unit:
        case "count":
            return f"{value:,.0f}"
        case "number":
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{float(f'{value:.4g}'):g}"
        case "share" if value:
            shown = f"{value / by:.1f}"
            return "&lt;0.1" if shown == "0.0" else shown
    if value == 0:
        return "0"
    scaled = value / by
    if by == 1:
        return f"{value:,.0f}"
    size = abs(scaled)
    # three significant digits at least: what is small beside its column needs more decimals
    digits = 1 if size >= 1000 else 3 if size >= 0.0995 else min(2 - floor(log10(size)), FINEST)
    shown = f"{scaled:,.{digits}f}"
    return f"&lt;{10.0**-FINEST:f}" if value > 0 and float(shown.replace(",", "")) == 0 else shown


def _names(grid: Grid, kept: Sequence[int], rows: Sequence[Sequence[Any]]) -> dict[str, str]:
    """What is shown of each text that is folded: of a column no two read the same."""
    found: dict[str, str] = {}
    for at in kept:
        if grid.columns[at].unit == "text":
            texts = (bounded(str(row[at])) for row in rows if row[at] is not None)
            found |= distinct((text for text in texts if len(text) > LONG), SHORT)
    return found


def _text(value: object, absent: str, names: Mapping[str, str]) -> str:
    if value is None or value == "":
        return absent
    text = bounded(str(value))
    if not text.strip():
        return "(blank)"  # a header that shows nothing cannot be read out
    mark = None if text.lower() in _PLAIN or text.isupper() else MARKS.get(text.lower())
    if len(text) > LONG and is_prose(text):
        return f"<span class=prose>{coded(text)}</span>"
    if len(text) > LONG:
        short = names.get(text) or shorten(text, SHORT)
        return (
            f"<details class=long><summary>{markup(short)}</summary>"
            f"<code>{markup(text)}</code></details>"
        )
    return f"{swatch(mark)}{markup(text)}" if mark else markup(text)


def brief(column: Column, value: object) -> str:
    """A cell for where nothing unfolds: a long signature is shortened, a sentence is not."""
    shown = column.show(value)
    return shown if column.unit != "text" or is_prose(shown) else shorten(shown, LONG)


def is_prose(text: str) -> bool:
    """A sentence is read whole, with names that it holds; the name of a kernel is not."""
    plain = text.endswith(".") or ("::" not in text and "<" not in text)
    return plain and text.count(" ") > len(text) / 12


def spread(grids: Sequence[Grid], nodes: int) -> int:
    """How many rows of each table to show at once, so that all cells are at most `nodes`."""
    for first in (25, 20, 16, 12, 10, 8, 6, 4):
        if sum((len(g.columns) + 1) * min(len(g.rows), first + 3) for g in grids) <= nodes:
            return first
    return 3
