"""Distributions: every value a dot in a row, with the median and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import Any

from tracekit.records import Record
from tracekit.results.figures.chart import Chart, Scale, escape, row_axis, scale
from tracekit.results.figures.theme import mark

MOST = 1500  # dots of a row; of more every second, third … is drawn, and the name says so
WIDE = 30  # times the least: then the axis is logarithmic
REACH = 0.32  # of a row on either side of its middle


class Sample(Record, frozen=True):
    """All values of one thing, in the order in which they were taken."""

    label: str
    values: Sequence[float]
    median: float
    low: float | None = None  # of the interval of the median; None where there are too few values
    high: float | None = None


def strip(
    key: str,
    title: str,
    rows: Sequence[Sample],
    *,
    unit: str = "ns",
    of: str = "",
    summary: str = "",
    table: str = "",
) -> Chart:
    """A row a thing: a dot a value, the first above and the last below, so that drift is seen.

    The thick line is the median, the bar below it the interval in which it lies.
    """
    flat = [v for row in rows for v in row.values]
    axis = scale(unit, [row.median for row in rows])
    least = min((v for v in flat if v > 0), default=1)
    wide = max(flat, default=1) > WIDE * least
    labels: list[str] = []
    data: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        step = -(-len(row.values) // MOST)
        shown = list(row.values)[::step] if step > 1 else list(row.values)
        labels.append(f"{row.label}: each {step}th drawn" if step > 1 else row.label)
        data.append(_dots(row, place, shown, axis.of(shown), [axis.say(v) for v in shown]))
    data += [_medians(rows, axis.of([r.median for r in rows]), [_said(r, axis) for r in rows])]
    data += _intervals(rows, axis)
    layout: dict[str, Any] = {
        "height": 66 + 56 * len(rows), "hovermode": "closest",
        "xaxis": {
            "title": {"text": escape(f"{of}, {axis.title}" if of else axis.title)},
            "fixedrange": True, "type": "log" if wide else "linear",
        },
        "yaxis": row_axis(labels),
        "meta": {"kind": "rows"},
    }  # fmt: skip
    low, high = (v / axis.by for v in (least, max(flat, default=1)))
    if wide:
        low, high = low / 1.4, high * 1.4
        ticks = _ticks(low, high)
        layout["xaxis"] |= {
            "range": [log10(low), log10(high)], "tickvals": ticks,
            "ticktext": [f"{v:,.6g}" for v in ticks],
        }  # fmt: skip
    else:
        layout["xaxis"] |= {"range": [0, 1.05 * high]}
    return Chart(key, title, summary, data, layout, table)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each decade; over many decades 1 alone."""
    steps = (1, 2, 5) if high < 2_000 * low else (1,)
    powers = range(floor(log10(low)), floor(log10(high)) + 1)
    every = (round(by * 10.0**power, 12) for power in powers for by in steps)
    return [value for value in every if low <= value <= high]


def _dots(
    row: Sample, place: int, shown: Sequence[float], x: Sequence[float | None], said: Sequence[str]
) -> dict[str, object]:
    last = max(len(shown) - 1, 1)
    colour = mark("total", place).colour
    return {
        "type": "scatter", "mode": "markers", "name": escape(row.label), "x": list(x),
        "y": [round(place - REACH + 2 * REACH * i / last, 3) for i in range(len(shown))],
        "marker": {"size": 5, "color": colour, "opacity": 0.55 if len(shown) < 300 else 0.3},
        "text": [f"{text}, number {i + 1}" for i, text in enumerate(said)],
        "hovertemplate": f"<b>{_plain(row.label)}</b><br>%{{text}}<extra></extra>",
    }  # fmt: skip


def _medians(
    rows: Sequence[Sample], x: Sequence[float | None], said: Sequence[str]
) -> dict[str, object]:
    return {
        "type": "scatter", "mode": "markers", "name": "median", "x": list(x),
        "y": list(range(len(rows))),
        "marker": {"symbol": "line-ns", "size": 26,
                   "line": {"width": 3, "color": "var(--text)"}, "color": "var(--text)"},
        "text": list(said), "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _said(row: Sample, axis: Scale) -> str:
    said = f"<b>{escape(row.label)}</b><br>median {axis.say(row.median)} of {len(row.values):,}"
    if row.low is None or row.high is None:
        return f"{said}, too few for an interval"
    return f"{said}, 95 % interval {axis.say(row.low)} to {axis.say(row.high)}"


def _intervals(rows: Sequence[Sample], axis: Scale) -> list[dict[str, object]]:
    known = [(i, r.low, r.high) for i, r in enumerate(rows) if r.low is not None and r.high]
    return [
        {
            "type": "scatter", "mode": "lines", "x": axis.of([low, high]), "y": [i + 0.42] * 2,
            "line": {"width": 5, "color": "var(--series)"}, "hoverinfo": "skip",
            "name": "95 % interval of the median",
        }
        for i, low, high in known
    ]  # fmt: skip


def _plain(text: str) -> str:
    return escape(text).replace("%{", "% {")
