"""Bars: split, paired, upright."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import Any

from tracekit.results.figures.chart import (
    Chart,
    Number,
    Series,
    escape,
    legend,
    paint,
    row_axis,
    scale,
    shorten,
)
from tracekit.results.figures.theme import Mark, mark

MOST = 40  # rows of split bars
THICK, THINNER = 0.72, 0.78  # of a row: a bar; of a bar: one that lies inside it
INSIDE = "└ "  # before the name of a row that is part of one above; names end at the bars


def _inside(value: Number) -> str:
    """Three significant digits, four decimals at most; a bar of nothing says nothing."""
    if not value:
        return ""
    return f"{value:,.{min(max(2 - floor(log10(abs(value))), 0), 4)}f}"


def split_bars(
    key: str,
    title: str,
    rows: Sequence[str],
    parts: Series,
    *,
    unit: str = "ns",
    of: str = "",
    summary: str = "",
    table: str = "",
    switch: bool = True,
    indents: Sequence[int] = (),
) -> Chart:
    """Horizontal bars, each cut into parts that add up to it.

    `indents` [row]: how deep a row lies inside those above it. Its bar is thinner, its name marked.

    `parts` [name][row]; `of` says what the axis measures ('GPU time'); `switch` lets the reader
    choose between the unit and % of the row. Parts that are nowhere above zero are not drawn, nor
    more rows than MOST: the longest stay, in their order, and the title says of how many.
    """
    if len(rows) > MOST:
        total = [sum(values[i] or 0 for values in parts.values()) for i in range(len(rows))]
        kept = sorted(sorted(range(len(rows)), key=lambda i: -total[i])[:MOST])
        title = f"{title}: the longest {MOST} of {len(rows):,}"
        rows = [rows[i] for i in kept]
        indents = [indents[i] for i in kept] if indents else ()
        parts = {name: [values[i] for i in kept] for name, values in parts.items()}
    shown = {name: values for name, values in parts.items() if any(values)}
    totals = [sum(values[i] or 0 for values in shown.values()) for i in range(len(rows))]
    axis = scale(unit, totals)
    looks = {name: mark(name, place) for place, name in enumerate(parts)}
    data = []
    for name, values in shown.items():
        scaled = axis.of(values)
        wholes = zip(rows, values, totals, strict=True)
        data.append({
            "type": "bar", "orientation": "h", "name": escape(name),
            "y": list(range(len(rows))), "x": scaled, "marker": paint(looks[name]),
            **({"width": [THICK * THINNER ** min(d, 3) for d in indents]} if any(indents) else {}),
            "customdata": [
                [escape(row), escape(name), axis.say(v), f"{v / whole:.1%}" if v and whole else ""]
                for row, v, whole in wholes
            ],
            "text": [_inside(v) for v in scaled], "textposition": "inside",
            "insidetextanchor": "middle", "textangle": 0,
            "textfont": {"color": looks[name].on},
            "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}: %{customdata[2]} "
            "%{customdata[3]}<extra></extra>",
        })  # fmt: skip
    name = f"{axis.title} of {of}" if of else axis.title
    return Chart(
        key, title, summary, data,
        {
            "barmode": "stack", "height": 66 + 34 * len(rows),
            "xaxis": {"title": {"text": escape(name)}, "rangemode": "tozero", "fixedrange": True},
            "yaxis": row_axis(_indented(rows, indents)),
            "uniformtext": {"mode": "hide", "minsize": 11},
            "meta": {
                "kind": "rows", "switch": axis.title if switch and len(shown) > 1 else "",
                "legend": legend({n: looks[n] for n in shown}),
            },
        },
        table,
    )  # fmt: skip


def _indented(rows: Sequence[str], indents: Sequence[int]) -> list[str]:
    """The names, those that lie inside others marked."""
    if not indents:
        return list(rows)
    return [f"{INSIDE * depth}{name}" for name, depth in zip(rows, indents, strict=True)]


def paired_bars(
    key: str,
    title: str,
    rows: Sequence[str],
    sides: Series,
    *,
    unit: str = "ns",
    of: str = "",
    summary: str = "",
    table: str = "",
    by_row: bool = True,
    kinds: Sequence[str] = (),
) -> Chart:
    """Horizontal bars in groups: one group a row, one bar in it a side, compared on one scale.

    `sides` [name][row], two to four of them. With `by_row` a bar has the colour of its row (a
    kernel category, or what `kinds` [row] says it is) and the sides differ in hatching; else the
    colour is the side's.
    """
    axis = scale(unit, [v for values in sides.values() for v in values])
    hatches = ("", "/", ".", "x")
    data = []
    keys: dict[str, Mark] = {}
    for place, (side, values) in enumerate(sides.items()):
        hatch = hatches[place % len(hatches)]
        keys[side] = Mark("var(--dim)", "var(--bg)", hatch) if by_row else mark(side, place)
        if by_row:
            colours = [mark(kind, i).colour for i, kind in enumerate(kinds or rows)]
            marker = paint(Mark("", "", ""))
            marker["color"] = colours
            if hatch:  # hollow: the colour is in the lines and the edge
                marker["line"]["color"] = colours
                marker["pattern"] = {
                    "shape": hatch, "bgcolor": "var(--bg)", "fgcolor": colours, "size": 6,
                    "solidity": 0.4,
                }  # fmt: skip
        else:
            marker = paint(keys[side])
        data.append({
            "type": "bar", "orientation": "h", "name": escape(side),
            "y": list(range(len(rows))), "x": axis.of(values), "marker": marker,
            "customdata": [
                [escape(row), escape(side), axis.say(v)]
                for row, v in zip(rows, values, strict=True)
            ],
            "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}: %{customdata[2]}"
            "<extra></extra>",
        })  # fmt: skip
    name = f"{axis.title} of {of}" if of and axis.title else of or axis.title
    return Chart(
        key, title, summary, data,
        {
            "barmode": "group", "height": 66 + (14 + 16 * max(len(sides), 1)) * len(rows),
            "bargroupgap": 0.05,
            "xaxis": {"title": {"text": escape(name)}, "rangemode": "tozero", "fixedrange": True},
            "yaxis": row_axis(rows), "meta": {"kind": "rows", "legend": legend(keys)},
        },
        table,
    )  # fmt: skip


def columns(
    key: str,
    title: str,
    bins: Sequence[str],
    parts: Series,
    *,
    unit: str = "ns",
    x_title: str = "",
    of: str = "",
    counts: Series | None = None,
    fits: Sequence[tuple[str, Sequence[Number]]] = (),
    summary: str = "",
    table: str = "",
) -> Chart:
    """Upright stacked columns, one a class (a histogram) or one an item in order (layers, tokens).

    `parts` [name][bin]; `counts` [name][bin], if given, are said beside the value on hover. `fits`
    (name, [bin]) are dashed lines over the columns; None where a line has no value.
    """
    shown = {name: values for name, values in parts.items() if any(values)}
    totals = [sum(values[i] or 0 for values in shown.values()) for i in range(len(bins))]
    axis = scale(unit, totals)
    looks = {name: mark(name, place) for place, name in enumerate(parts)}
    data = []
    for name, values in shown.items():
        many = (counts or {}).get(name, [None] * len(bins))
        data.append({
            "type": "bar", "name": escape(name), "x": list(range(len(bins))),
            "y": axis.of(values), "marker": paint(looks[name], edge=len(bins) <= 80),
            "customdata": [
                [escape(label), escape(name), axis.say(v), "" if n is None else f" in {n:,.0f}"]
                for label, v, n in zip(bins, values, many, strict=True)
            ],
            "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}: %{customdata[2]}"
            "%{customdata[3]}<extra></extra>",
        })  # fmt: skip
    data += [_fitted(name, axis.of(values)) for name, values in fits]
    keys = legend({n: looks[n] for n in shown})
    keys += [[name, "var(--text)", "symbol-line"] for name in dict.fromkeys(n for n, _ in fits)]
    every = max(1, -(-len(bins) // 24))
    ticks = list(range(0, len(bins), every))
    return Chart(
        key, title, summary, data,
        {
            "barmode": "stack", "height": 270, "bargap": 0.2 if len(bins) <= 80 else 0,
            "xaxis": {
                "title": {"text": escape(x_title)}, "tickvals": ticks, "tickangle": 0,
                "ticktext": [escape(shorten(bins[i], 16)) for i in ticks], "showgrid": False,
                "zeroline": False,
            },
            "yaxis": {
                "title": {"text": escape(", ".join(part for part in (of, axis.title) if part))},
                "rangemode": "tozero", "fixedrange": True,
            },
            "meta": {"kind": "columns", "legend": keys},
        },
        table,
    )  # fmt: skip


def _fitted(name: str, values: list[Number]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": escape(name), "x": list(range(len(values))),
        "y": values, "line": {"color": "var(--text)", "width": 2, "dash": "dash"},
        "hoverinfo": "skip",
    }  # fmt: skip
