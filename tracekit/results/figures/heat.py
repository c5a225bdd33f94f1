"""Heat maps: rows by columns, a colour for each of a few classes of a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracekit.results.figures.chart import Chart, Number, escape, row_axis, scale

CLASSES = 6  # as many shades as a legend can be read by
LEAST_RANGE = 0.05  # of the largest value: values that differ by less have one colour
_ROW = 17  # pixels


def heat(
    key: str,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[Number]],
    *,
    unit: str = "ns",
    x_title: str = "",
    y_title: str = "",
    summary: str = "",
    table: str = "",
) -> Chart:
    """`values` [row][column]; the first row is at the top. None draws nothing.

    Classes are of equal width from the least value to the most, so a colour is a distance from the
    least, not from zero; the legend says each class.
    """
    known = [v for own in values for v in own if v is not None]
    axis = scale(unit, known)
    low, high = min(known, default=0.0), max(known, default=0.0)
    width = max(high - low, LEAST_RANGE * abs(high)) / CLASSES or 1.0
    cells: list[list[tuple[int, int, float]]] = [[] for _ in range(CLASSES)]
    for i, own in enumerate(values):
        for j, value in enumerate(own):
            if value is not None:
                at = min(int((value - low) / width), CLASSES - 1)
                cells[at].append((i, j, value))
    data, legend = [], []
    for place, own_cells in enumerate(cells):
        if not own_cells:
            continue
        ends = [low + width * place, low + width * (place + 1)]
        said = f"{axis.say(ends[0])} – {axis.say(ends[1])}"
        legend.append([said, f"var(--heat-{place})", ""])
        data.append(_class(own_cells, place, said, rows, columns, axis.say))
    every = max(1, -(-len(columns) // 16))
    ticks = list(range(0, len(columns), every))
    return Chart(
        key, title, summary, data,
        {
            "barmode": "overlay", "bargap": 0, "height": 66 + max(_ROW * len(rows), 60),
            "hovermode": "closest",
            "xaxis": {
                "title": {"text": escape(x_title)}, "range": [0, len(columns)], "fixedrange": True,
                "tickvals": [i + 0.5 for i in ticks],
                "ticktext": [escape(columns[i]) for i in ticks], "tickangle": 0,
                "showgrid": False, "zeroline": False,
            },
            "yaxis": {**row_axis(rows), "title": {"text": escape(y_title)}, "showgrid": False},
            "meta": {"kind": "heat", "legend": legend},
        },
        table,
    )  # fmt: skip


def _class(
    cells: Sequence[tuple[int, int, float]], place: int, said: str, rows: Sequence[str],
    columns: Sequence[str], say: Any,
) -> dict[str, object]:  # fmt: skip
    """The cells of one class: bars of length 1 that begin where their column does."""
    return {
        "type": "bar", "orientation": "h", "name": escape(said),
        "y": [i for i, _, _ in cells], "base": [j for _, j, _ in cells],
        "x": [1] * len(cells), "width": [1] * len(cells),
        "marker": {"color": f"var(--heat-{place})", "line": {"width": 1, "color": "var(--bg)"}},
        "customdata": [[escape(rows[i]), escape(columns[j]), say(value)] for i, j, value in cells],
        "hovertemplate": "<b>%{customdata[0]}</b>, %{customdata[1]}<br>%{customdata[2]}"
        "<extra></extra>",
    }  # fmt: skip
