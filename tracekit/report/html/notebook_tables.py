"""Tables for a place that is not our page: plain HTML with its few styles inline."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tracekit.report.html.tables import LONG, brief, is_prose
from tracekit.results import catalog
from tracekit.results.result import Column, Grid
from tracekit.results.units import plural

ROWS = 20


def answer(name: str, grids: Sequence[Grid]) -> str:
    """The tables of an analysis under its title; at most ROWS rows each."""
    return titled(catalog.analysis(name).title, grids)


def titled(title: str, grids: Sequence[Grid], said: Sequence[str] = ()) -> str:
    """The same under any title, after what is said first."""
    words = "".join(f"<p>{escape(text)}</p>" for text in said)
    shown = "".join(table(grid) for grid in grids)
    # the class keeps MathJax, which notebooks run over outputs, from names with a $ in them
    return f"<div class=tex2jax_ignore><h4>{escape(title)}</h4>{words}{shown}</div>"


def table(grid: Grid) -> str:
    """One grid; each value says its unit, since nothing can be sorted here."""
    heads = "".join(
        f'<th title="{escape(c.definition)}" style="text-align:{_side(c.unit)}">'
        f"{escape(c.label)}</th>"
        for c in grid.columns
    )
    rows = [*grid.rows[:ROWS], *([grid.total] if grid.total is not None else [])]
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{_side(c.unit)};white-space:{_wrap(c, v)}"{_whole(c, v)}>'
            f"{escape(brief(c, v)) if v is not None else '–'}</td>"
            for c, v in zip(grid.columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    left = grid.left_out(ROWS)
    notes = [grid.note] if grid.note else []
    if left:
        notes.append(f"{plural(left, 'more row')} in .to_pandas().")
    note = f"<p>{escape(' '.join(notes))}</p>" if notes else ""
    return (
        f"<h5>{escape(grid.title)}</h5><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table>{note}"
    )


def _whole(column: Column, value: object) -> str:
    """The attribute that says a shortened name in full where the mouse rests on it."""
    if value is None or brief(column, value) == column.show(value):
        return ""
    return f' title="{escape(column.show(value))}"'


def _wrap(column: Column, value: object) -> str:
    text = str(value)
    long = column.unit == "text" and len(text) > LONG and is_prose(text)
    return "normal" if long else "nowrap"


def _side(unit: str) -> str:
    return "left" if unit == "text" else "right"
