"""Work against the device's roofs, both axes logarithmic.

Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

from tracekit.results import units
from tracekit.results.figures.chart import Chart, escape, legend, shorten
from tracekit.results.figures.theme import Mark, mark


@dataclass(frozen=True, slots=True)
class Point:
    """One kind of work: FLOP per byte moved, FLOP per second, and the time it took in all."""

    label: str
    intensity: float
    flops_per_s: float
    category: str  # gives the colour
    group: str = ""  # gives the symbol: the phase
    total_ns: float = 0  # gives the size


def roofline(
    key: str,
    title: str,
    points: Sequence[Point],
    *,
    peaks: Mapping[str, float],
    bytes_per_s: float | None,
    device: str = "",
    summary: str = "",
    table: str = "",
) -> Chart:
    """Points of work below the roofs: `peaks` FLOP/s by name (dtype), `bytes_per_s` of memory.

    A slope or a roof that is not known (None, empty) is not drawn. Points at or below zero on
    either axis have no place on a logarithm and are left out.
    """
    kept = [p for p in points if p.intensity > 0 and p.flops_per_s > 0]
    ridges = [peak / bytes_per_s for peak in peaks.values()] if bytes_per_s else []
    low, high = _reach([p.intensity for p in kept] + ridges)
    data: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for place, (name, peak) in enumerate(peaks.items()):
        ridge = peak / bytes_per_s if bytes_per_s else low
        data.append(_roof([max(ridge, low), high], [peak, peak], dash=place > 0))
        said = f"{name}: {units.rate(peak, 'FLOP/s')}"
        labels.append(_label(high, peak, said, "right", "bottom"))
    if bytes_per_s:
        top = min(max(ridges, default=high), high)
        data.append(_roof([low, top], [low * bytes_per_s, top * bytes_per_s]))
        said = units.rate(bytes_per_s, "B/s")
        # left of the middle of the slope and above it: the line never runs through its name
        middle = (low * top) ** 0.5
        labels.append(_label(middle, middle * bytes_per_s, said, "right", "bottom"))
    groups = list(dict.fromkeys(p.group for p in kept))
    whole = max((p.total_ns for p in kept), default=0) or 1
    looks: dict[str, Mark] = {}
    for p in kept:
        looks.setdefault(p.category, mark(p.category, len(looks)))
    for place, group in enumerate(groups):
        own = [p for p in kept if p.group == group]
        data.append(_cloud(own, group, place, looks, whole))
    y = [p.flops_per_s for p in kept] + list(peaks.values())
    keys = legend(looks)
    if len(groups) > 1:
        keys += [[g, "var(--dim)", f"symbol-{_SYMBOLS[i % 4]}"] for i, g in enumerate(groups)]
    bottom, ceiling = _reach([v / 1e12 for v in y])
    return Chart(
        key, title, summary, data,
        {
            "height": 420, "hovermode": "closest",
            "xaxis": {
                "type": "log", "range": [log10(low), log10(high)], "dtick": 1,
                "title": {"text": "arithmetic intensity, FLOP per byte"}, "fixedrange": True,
            },
            "yaxis": {
                "type": "log", "range": [log10(bottom), log10(ceiling)], "dtick": 1,
                "title": {"text": "achieved, TFLOP/s"}, "fixedrange": True,
            },
            "annotations": labels,
            "meta": {"kind": "roofline", "legend": keys, "device": escape(device)},
        },
        table,
    )  # fmt: skip


_SYMBOLS = ("circle", "diamond-open", "square", "x")


def _reach(values: Sequence[float]) -> tuple[float, float]:
    """A range with room on both sides, on a logarithmic axis."""
    known = [v for v in values if v > 0]
    return (min(known) / 3, max(known) * 3) if known else (0.1, 10)


def _roof(x: list[float], flops_per_s: list[float], *, dash: bool = False) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": [v / 1e12 for v in flops_per_s],
        "line": {"color": "var(--text)", "width": 1.5, "dash": "dash" if dash else "solid"},
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip


def _label(x: float, flops_per_s: float, text: str, xanchor: str, yanchor: str) -> dict[str, Any]:
    return {
        "x": log10(x), "y": log10(flops_per_s / 1e12), "text": escape(text), "showarrow": False,
        "xanchor": xanchor, "yanchor": yanchor, "font": {"size": 12, "color": "var(--dim)"},
    }  # fmt: skip


def _cloud(
    own: Sequence[Point], group: str, place: int, looks: Mapping[str, Mark], whole: float
) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": escape(group or "work"),
        "x": [p.intensity for p in own], "y": [p.flops_per_s / 1e12 for p in own],
        "marker": {
            "color": [looks[p.category].colour for p in own],
            "symbol": _SYMBOLS[place % len(_SYMBOLS)],
            # area, not radius, stands for time
            "size": [8 + 22 * (p.total_ns / whole) ** 0.5 for p in own], "opacity": 0.9,
            "line": {"width": 1.5, "color": "var(--bg)"} if place % 4 in (0, 2) else {"width": 2},
        },
        "customdata": [
            [escape(shorten(p.label, 70)), escape(p.group), escape(p.category),
             f"{p.intensity:,.3g}", units.rate(p.flops_per_s, "FLOP/s"),
             units.rate(p.flops_per_s / p.intensity, "B/s"), units.duration(p.total_ns)]
            for p in own
        ],
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]} %{customdata[2]}<br>"
        "%{customdata[3]} FLOP per byte, %{customdata[4]}, %{customdata[5]}<br>"
        "%{customdata[6]} in all<extra></extra>",
    }  # fmt: skip
