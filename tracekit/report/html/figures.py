"""Charts as a page holds them: JSON that a script draws, and a legend."""

from __future__ import annotations

from collections.abc import Mapping

from tracekit.records import Record
from tracekit.report.html import tables
from tracekit.report.html.embedded import bounded, embedded, safe, texts
from tracekit.results.figures import Chart
from tracekit.results.figures.theme import Mark


class Figure(Record, frozen=True):
    id: str
    title: str
    label: str
    height: int
    legend: tuple[Mapping[str, str], ...]
    switch: str
    units: tuple[str, ...]  # to choose from, of a chart that has its own numbers for each
    zoom: bool
    json: str
    waiting: str = "This chart is drawn by a script; the table holds the same numbers."


def figure(section: str, chart: Chart) -> Figure:
    """A chart as the page holds it: its JSON under the id `tk-SECTION-KEY`."""
    meta = chart.layout.get("meta") or {}
    items = tuple(
        {"name": bounded(name), "swatch": safe(_key(colour, hatch))}
        for name, colour, hatch in meta.get("legend", ())
    )
    table = "; the table below holds the same numbers" if chart.table else ""
    summary = chart.summary.rstrip(".") or chart.title
    return Figure(
        id=f"tk-{section}-{chart.key}",
        title=chart.title,
        label=f"{summary}{table}.",
        height=int(chart.layout.get("height", 280)),
        legend=items if len(items) > 1 else (),
        switch=meta.get("switch", ""),
        units=tuple(meta.get("units", ())),
        zoom=chart.layout.get("dragmode") == "zoom",
        json=safe(embedded(texts({"data": chart.data, "layout": chart.layout}))),
    )


def _key(colour: str, hatch: str) -> str:
    if hatch.startswith("symbol-"):
        shapes = {
            "symbol-diamond-open": "open", "symbol-circle": "round", "symbol-line": "line",
            "symbol-line-solid": "line solid", "symbol-line-dash": "line",
            "symbol-line-dot": "line dotted",
        }  # fmt: skip
        shape = shapes.get(hatch, "")
        return f'<i class="sw {shape}" style="--c:{colour}"></i>'
    return tables.swatch(Mark(colour, "", hatch))
