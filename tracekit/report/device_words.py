"""What is shown of a device that is no GPU: our own sentences say `device`; names stay."""

from __future__ import annotations

from collections.abc import Mapping

from tracekit.records import replace
from tracekit.results.figures import Chart
from tracekit.results.first_screen import KeyNumber
from tracekit.results.result import Grid
from tracekit.results.unknown_work import neutral


def of_chart(own: Chart) -> Chart:
    """Its title, its summary, and what its axis measures."""
    axis = own.layout.get("xaxis") or {}
    said = (axis.get("title") or {}).get("text")
    layout = own.layout
    if isinstance(said, str):
        layout = {**layout, "xaxis": {**axis, "title": {"text": neutral(said)}}}
    return replace(own, title=neutral(own.title), summary=neutral(own.summary), layout=layout)


def of_grid(own: Grid) -> Grid:
    """Its title, its note and its columns; no cell."""
    columns = tuple(
        replace(column, label=neutral(column.label), definition=neutral(column.definition))
        for column in own.columns
    )
    return replace(own, title=neutral(own.title), note=neutral(own.note), columns=columns)


def of_number(own: KeyNumber) -> KeyNumber:
    """Its label and what it means."""
    return replace(
        own, label=neutral(own.label), sub=neutral(own.sub), definition=neutral(own.definition)
    )


def of_definitions(definitions: Mapping[str, str]) -> dict[str, str]:
    """Words and what they mean."""
    return {neutral(name): neutral(text) for name, text in definitions.items()}
