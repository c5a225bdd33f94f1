"""Tracks over one shared time axis: blocks of one thing after another, and stacked areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tracekit.records import Record
from tracekit.results import units
from tracekit.results.figures.chart import Chart, Number, Scale, escape, legend, scale, shorten
from tracekit.results.figures.curves import area
from tracekit.results.figures.theme import Mark, mark


class Block(Record, frozen=True):
    """A stretch of a track. `kind` gives the colour; '' is a plain block in alternating greys."""

    start_ns: float
    length_ns: float
    label: str
    kind: str = ""
    note: str = ""  # said on hover


class Blocks(Record, frozen=True):
    """A track of blocks that do not overlap."""

    label: str
    blocks: Sequence[Block]
    named: bool = True  # write the label into blocks that are wide enough


class Area(Record, frozen=True):
    """A track of stacked areas: `parts` [name][N], shares of one of each bin of `edges` [N+1]."""

    label: str
    edges: Sequence[float]
    parts: Mapping[str, Sequence[Number]]


def tracks(
    key: str,
    title: str,
    rows: Sequence[Blocks | Area],
    *,
    window: tuple[float, float],
    x_title: str = "since the first slice",
    summary: str = "",
    table: str = "",
) -> Chart:
    """The tracks from top to bottom, on one zoomable axis of time. `window` in ns."""
    axis = scale("ns", window)
    heights = [72 if isinstance(row, Area) else 24 for row in rows]
    gap, whole = 20, 0
    whole = sum(heights) + gap * len(heights)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    labels: list[dict[str, Any]] = []
    looks: dict[str, Mark] = {}
    top = float(whole)
    for place, (row, height) in enumerate(zip(rows, heights, strict=True)):
        top -= gap
        name = "" if place == 0 else str(place + 1)
        domain = [max(0.0, (top - height) / whole), top / whole]
        labels.append(_name(row.label, domain[1]))
        if isinstance(row, Area):
            data += _areas(row, axis, f"y{name}", looks)
            layout[f"yaxis{name}"] = {
                "domain": domain, "range": [0, 100], "dtick": 100, "ticksuffix": " %",
                "fixedrange": True, "tickfont": {"size": 11},
            }  # fmt: skip
        else:
            data += _blocks(row, axis, f"y{name}", looks)
            layout[f"yaxis{name}"] = {
                "domain": domain, "range": [-0.5, 0.5], "fixedrange": True, "visible": False,
            }  # fmt: skip
        top -= height
    last = "y" if len(rows) == 1 else f"y{len(rows)}"
    layout |= {
        "height": whole + 64, "dragmode": "zoom", "hovermode": "closest", "hoverdistance": 50,
        "barmode": "overlay",
        "bargap": 0, "margin": {"l": 48, "t": 4},
        "xaxis": {
            "title": {"text": escape(f"{axis.title} {x_title}")}, "anchor": last,
            "range": [window[0] / axis.by, window[1] / axis.by], "showgrid": False,
            "zeroline": False,
        },
        "annotations": labels, "uniformtext": {"mode": "hide", "minsize": 11},
        "meta": {"kind": "tracks", "legend": legend(looks)},
    }  # fmt: skip
    return Chart(key, title, summary, data, layout, table)


def _name(text: str, y: float) -> dict[str, object]:
    """A track's name above its left end, so that it needs no margin on a narrow screen."""
    return {
        "x": 0, "xref": "paper", "xanchor": "left", "y": y, "yref": "paper", "yanchor": "bottom",
        "text": escape(shorten(text, 60)), "showarrow": False, "font": {"size": 12},
    }  # fmt: skip


def _areas(row: Area, axis: Scale, y: str, looks: dict[str, Mark]) -> list[dict[str, object]]:
    """The areas, and what they say on hover: all parts of a bin that are there, in one text.

    Each area would say its own, also where it has no height and lies on another.
    """
    out: list[dict[str, Any]] = []
    for place, (name, values) in enumerate(row.parts.items()):
        if not any(values):
            continue
        looks.setdefault(name, mark(name, place))
        percent = [None if v is None else _short(100 * v) for v in values]
        drawn = area(name, axis.of(row.edges), percent, "% of the bin", looks[name])
        del drawn["hovertemplate"]
        out.append({**drawn, "yaxis": y, "stackgroup": y, "hoverinfo": "skip"})
    return [*out, _said(row, axis, y)] if out else []


def _said(row: Area, axis: Scale, y: str) -> dict[str, object]:
    """A mark that nobody sees in the middle of each bin, with the parts of the bin."""
    edges = axis.of(row.edges)
    middles = [((a or 0) + (b or 0)) / 2 for a, b in pairwise(edges)]
    parts = list(row.parts.items())
    texts = [
        _bin([(name, values[i] or 0.0) for name, values in parts]) for i in range(len(middles))
    ]
    return {
        "type": "scatter", "mode": "markers", "name": "", "yaxis": y,
        "x": [round(x, 4) for x in middles], "y": [50] * len(middles),
        "marker": {"opacity": 0, "size": 1}, "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _bin(parts: Sequence[tuple[str, float]]) -> str:
    """`gemm 50 %, attention 20 % of the bin`; of all kinds the four with most."""
    most = sorted((part for part in parts if part[1] > 0), key=lambda part: -part[1])
    said = [f"{escape(name)} {units.share(value, 0)}" for name, value in most[:4]]
    more = f" and {units.plural(len(most) - 4, 'other')}" if len(most) > 4 else ""
    return f"{', '.join(said)}{more} of the bin" if said else "nothing ran"


def _blocks(row: Blocks, axis: Scale, y: str, looks: dict[str, Mark]) -> list[dict[str, object]]:
    """One bar trace a kind: blocks of a kind share a colour and a hatch."""
    out = []
    for kind in dict.fromkeys(block.kind for block in row.blocks):
        own = [(i, b) for i, b in enumerate(row.blocks) if b.kind == kind]
        if kind:
            looks.setdefault(kind, mark(kind, len(looks)))
            look = looks[kind]
            marker: dict[str, Any] = {"color": look.colour, "line": {"width": 0}}
            if look.hatch:
                marker["pattern"] = {
                    "shape": look.hatch, "bgcolor": look.colour, "fgcolor": "var(--bg)",
                    "size": 5, "solidity": 0.3,
                }  # fmt: skip
        else:
            look = Mark("var(--lane)", "var(--text)")
            greys = ["var(--lane-2)" if i % 2 else "var(--lane)" for i, _ in own]
            marker = {"color": greys, "line": {"width": 0}}
        out.append({
            "type": "bar", "orientation": "h", "yaxis": y, "name": escape(kind or row.label),
            "y": [0] * len(own), "width": [1] * len(own),
            "base": axis.of(b.start_ns for _, b in own),
            "x": axis.of(b.length_ns for _, b in own), "marker": marker,
            "text": [escape(b.label) if row.named else "" for _, b in own],
            "textposition": "inside", "insidetextanchor": "middle", "textangle": 0,
            "textfont": {"color": look.on, "size": 11},
            "customdata": [
                [escape(shorten(b.label, 70)), units.duration(b.length_ns),
                 units.duration(b.start_ns), escape(b.note)]
                for _, b in own
            ],
            "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}, from %{customdata[2]}"
            "<br>%{customdata[3]}<extra></extra>",
        })  # fmt: skip
    return out


def _short(value: float) -> float:
    """One decimal, and a whole number without any: there are thousands of them."""
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded
