"""Tables for a place that is not our page: plain HTML with its few styles inline."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tracekit import catalog
from tracekit.results import Grid

ROWS = 20


def answer(name: str, grids: Sequence[Grid]) -> str:
    """The tables of an analysis under its title; at most ROWS rows each."""
    title = escape(catalog.analysis(name).title)
    return f"<div><h4>{title}</h4>{''.join(table(grid) for grid in grids)}</div>"


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
            f'<td style="text-align:{_side(c.unit)}">'
            f"{escape(c.show(v)) if v is not None else '–'}</td>"
            for c, v in zip(grid.columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    left = len(grid.rows) - ROWS
    notes = [grid.note] if grid.note else []
    if left > 0:
        notes.append(f"{left:,} more rows: .to_pandas() has them.")
    note = f"<p>{escape(' '.join(notes))}</p>" if notes else ""
    return (
        f"<h5>{escape(grid.title)}</h5><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table>{note}"
    )


def _side(unit: str) -> str:
    return "left" if unit == "text" else "right"
