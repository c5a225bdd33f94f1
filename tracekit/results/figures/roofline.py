"""Work against the device's roofs, both axes logarithmic.

Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

from tracekit.records import Record, replace
from tracekit.results import units
from tracekit.results.figures.chart import Chart, escape, legend, shorten
from tracekit.results.figures.theme import Mark, mark


class Point(Record, frozen=True):
    """One kind of work: FLOP per byte moved, FLOP per second, the time it took in all."""

    label: str
    intensity: float | None
    flops_per_s: float | None
    category: str  # gives the colour
    group: str = ""  # gives the symbol: the phase
    total_ns: float = 0  # gives the size
    bytes_per_s: float | None = None  # where no FLOPs are counted: the others are None


_Frame = tuple[float, float, float, float]  # least and most intensity, and TFLOP/s
NAMED = 6  # points with a number, and a name in the legend: those with most time
WORTH = 0.05  # of the longest: what took less gets no number, though there is room for one
SHORT = 44  # characters of such a name
SEEN = 0.002  # of the time of all points: what took less is not drawn
DECADES = 7  # of FLOP/s below the highest roof: what is lower has no room


def roofline(
    key: str,
    title: str,
    points: Sequence[Point],
    *,
    peaks: Mapping[str, float],
    bytes_per_s: float | None,
    device: str = "",
    drawn_share: float | None = None,
    summary: str = "",
    table: str = "",
) -> Chart:
    """Points of work below the roofs: `peaks` FLOP/s by name (dtype), `bytes_per_s` of memory.

    A slope or a roof that is not known (None, empty) is not drawn. Work without counted FLOPs
    stands at the left edge, as high as its bandwidth reaches there below the slope. A strip above
    says which part of the time the points are (`drawn_share`); what is not is shaded. Other points
    at or below zero have no place on a logarithm and are left out.
    """
    points = _seen(points, max(peaks.values(), default=0))
    kept = [p for p in points if (p.intensity or 0) > 0 and (p.flops_per_s or 0) > 0]
    bare = [p for p in points if not p.intensity and (p.bytes_per_s or 0) > 0]
    ridges = [peak / bytes_per_s for peak in peaks.values()] if bytes_per_s else []
    low, high = _reach([p.intensity or 0 for p in kept] + ridges)
    kept += [
        replace(p, intensity=low * EDGE, flops_per_s=(p.bytes_per_s or 0) * low * EDGE)
        for p in bare
    ]
    y = [p.flops_per_s or 0 for p in kept] + list(peaks.values())
    bottom, ceiling = _reach([v / 1e12 for v in y])
    frame = (low, high, bottom, ceiling)
    named = _numbered(kept, frame)
    names = {id(p): str(place) for place, p in enumerate(named, 1)}
    taken = [_at(p.intensity or low, (p.flops_per_s or 1), frame) for p in named]
    data, labels = _roofs(peaks, bytes_per_s, taken, frame)
    groups = list(dict.fromkeys(p.group for p in kept))
    whole = max((p.total_ns for p in kept), default=0) or 1
    looks: dict[str, Mark] = {}
    for p in kept:
        looks.setdefault(p.category, mark(p.category, len(looks)))
    for place, group in enumerate(groups):
        own = [p for p in kept if p.group == group]
        sides = [_side(p, kept, frame) for p in own]
        data.append(_cloud(own, group, place, looks, whole, names, sides))
    keys = legend(looks)
    if len(groups) > 1:
        keys += [[g, "var(--dim)", f"symbol-{_SYMBOLS[i % 4]}"] for i, g in enumerate(groups)]
    keys += [_key(place, p, looks) for place, p in enumerate(named, 1)]
    strip, said_of = _strip(drawn_share)
    return Chart(
        key, title, summary, data,
        {
            "height": 440, "hovermode": "closest", "margin": {"t": 34 if strip else 10},
            "xaxis": {
                "type": "log", "range": [log10(low), log10(high)], "dtick": 1,
                "title": {"text": "arithmetic intensity, FLOP per byte"}, "fixedrange": True,
            },
            "yaxis": {
                "type": "log", "range": [log10(bottom), log10(ceiling)], "dtick": 1,
                "title": {"text": "achieved, TFLOP/s"}, "fixedrange": True,
            },
            "annotations": [*labels, *said_of], "shapes": strip,
            "meta": {"kind": "roofline", "legend": keys, "device": escape(device)},
        },
        table,
    )  # fmt: skip


EDGE = 1.25  # times the least intensity: where work without counted FLOPs stands


def _seen(points: Sequence[Point], peak: float) -> list[Point]:
    """Without what is too short, or too far down, to be seen."""
    least = SEEN * sum(p.total_ns for p in points)
    lowest = peak / 10**DECADES
    return [p for p in points if p.total_ns >= least and (p.flops_per_s or peak) >= lowest]


def _numbered(points: Sequence[Point], frame: _Frame) -> list[Point]:
    """The points with most time whose numbers would not lie on one another, the longest first."""
    low, high, bottom, ceiling = frame
    found: list[Point] = []
    taken: list[tuple[float, float]] = []
    longest = max((p.total_ns for p in points), default=0)
    for p in sorted(points, key=lambda p: -p.total_ns):
        if p.total_ns < WORTH * longest:
            break
        x = log10((p.intensity or low) / low) / log10(high / low)
        y = log10((p.flops_per_s or 1) / 1e12 / bottom) / log10(ceiling / bottom)
        if len(found) < NAMED and all(abs(x - a) > 0.06 or abs(y - b) > 0.07 for a, b in taken):
            taken.append((x, y))
            found.append(p)
    return found


def _key(place: int, p: Point, looks: Mapping[str, Mark]) -> list[str]:
    """A numbered point in the legend: its op and shape, and its time."""
    name = shorten(p.label.rsplit("::", 1)[-1], SHORT)
    said = f"{place} {name}, {units.duration(p.total_ns)}"
    return [said, looks[p.category].colour, "symbol-circle"]


def _strip(drawn: float | None) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """A strip above the picture: the part of the time that it shows, and in grey what it does not.

    Nothing where that is not known, or all.
    """
    if drawn is None or drawn > 0.995:
        return [], []
    parts = ((0.0, drawn, "var(--series)"), (drawn, 1.0, "var(--idle)"))
    shapes = [
        {"type": "rect", "xref": "paper", "yref": "paper", "x0": x0, "x1": x1, "y0": 1.01,
         "y1": 1.03, "fillcolor": colour, "line": {"width": 0}}
        for x0, x1, colour in parts
    ]  # fmt: skip
    text = f"{units.share(drawn)} of kernel time is drawn"
    return shapes, [{
        "x": 0, "xref": "paper", "xanchor": "left", "y": 1.035, "yref": "paper",
        "yanchor": "bottom", "text": text, "showarrow": False,
        "font": {"size": 12, "color": "var(--dim)"},
    }]  # fmt: skip


_SYMBOLS = ("circle", "diamond-open", "square", "x")


def _reach(values: Sequence[float]) -> tuple[float, float]:
    """A range with room on both sides, on a logarithmic axis."""
    known = [v for v in values if v > 0]
    return (min(known) / 3, max(known) * 3) if known else (0.1, 10)


def _roof(x: list[float], flops_per_s: list[float], *, dash: bool = False) -> dict[str, object]:
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": [v / 1e12 for v in flops_per_s],
        "line": {"color": "var(--text)", "width": 1.5, "dash": "dash" if dash else "solid"},
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip


_WIDE, _HIGH = 400, 370  # px of the plot on a small screen, where room is scarce
_LETTER, _LINE, _DOT = 6.6, 17, 30  # px: of a name; of a dot with its number above it


def _at(intensity: float, flops_per_s: float, frame: _Frame) -> tuple[float, float]:
    """Place in px from the lower left."""
    low, high, bottom, ceiling = frame
    x = log10(intensity / low) / log10(high / low)
    y = log10(flops_per_s / 1e12 / bottom) / log10(ceiling / bottom)
    return x * _WIDE, y * _HIGH


_SIDES = {"top center": (0, 22), "middle right": (22, 0), "middle left": (-22, 0)}  # px


def _side(point: Point, points: Sequence[Point], frame: _Frame) -> str:
    """Where the number of a point stands: above it, or beside it where other points are above."""
    x, y = _at(point.intensity or 1, point.flops_per_s or 1, frame)
    others = [_at(p.intensity or 1, p.flops_per_s or 1, frame) for p in points if p is not point]
    for side, (right, up) in _SIDES.items():
        if all(abs(a - x - right) > 14 or abs(b - y - up) > 18 for a, b in others):
            return side
    return "top center"


def _roofs(
    peaks: Mapping[str, float],
    bytes_per_s: float | None,
    taken: Sequence[tuple[float, float]],
    frame: _Frame,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The roofs as lines, and their names where no dot lies."""
    low, high = frame[:2]
    ridges = [peak / bytes_per_s for peak in peaks.values()] if bytes_per_s else []
    data: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for place, (name, peak) in enumerate(peaks.items()):
        ridge = peak / bytes_per_s if bytes_per_s else low
        data.append(_roof([max(ridge, low), high], [peak, peak], dash=place > 0))
        said = f"{name}: {units.rate(peak, 'FLOP/s')}"
        flat = max(ridge, low)
        spots = [
            (flat ** (1 - part) * high**part, peak, side)
            for part in (1.0, 0.85, 0.7, 0.55, 0.4) for side in ("bottom", "top")
        ]  # fmt: skip
        # nothing can lie above the slope, left of where the roof begins
        spots.append((flat, peak, "bottom"))
        labels.append(_label(said, spots, taken, frame, flat))
    if bytes_per_s:
        top = min(max(ridges, default=high), high)
        data.append(_roof([low, top], [low * bytes_per_s, top * bytes_per_s]))
        said = f"memory: {units.rate(bytes_per_s, 'B/s')}"
        # left of a place on the slope and above it: the line never runs through its name
        along = [low ** (1 - part) * top**part for part in (0.5, 0.62, 0.74, 0.86)]
        spots = [(x, x * bytes_per_s, "bottom") for x in along]
        labels.append(_label(said, spots, taken, frame))
    return data, labels


def _label(
    text: str,
    spots: Sequence[tuple[float, float, str]],
    taken: Sequence[tuple[float, float]],
    frame: _Frame,
    flat: float | None = None,
) -> dict[str, object]:
    """The name of a roof, its right end at the first of the places that lies on fewest dots.

    `spots`: intensity, FLOP/s, and whether its bottom or its top is there. Below a roof it stays
    right of where the roof begins to be `flat`.
    """

    def crowd(spot: tuple[float, float, str]) -> int:
        right, y = _at(spot[0], spot[1], frame)
        left, low = right - _LETTER * len(text), y if spot[2] == "bottom" else y - _LINE
        outside = left < 0 or low + _LINE > _HIGH
        outside |= spot[2] == "top" and flat is not None and left < _at(flat, spot[1], frame)[0]
        return 100 * outside + sum(
            left - 10 < a < right + 10 and low - _DOT < b < low + _LINE + 8 for a, b in taken
        )

    x, flops_per_s, yanchor = min(spots, key=crowd)
    return {
        "x": log10(x), "y": log10(flops_per_s / 1e12), "text": escape(text), "showarrow": False,
        "xanchor": "right", "yanchor": yanchor, "font": {"size": 12, "color": "var(--dim)"},
    }  # fmt: skip


def _cloud(
    own: Sequence[Point],
    group: str,
    place: int,
    looks: Mapping[str, Mark],
    whole: float,
    names: Mapping[int, str],
    sides: Sequence[str],
) -> dict[str, object]:
    rates = [(p.intensity or 1.0, p.flops_per_s or 0.0) for p in own]
    return {
        "type": "scatter", "mode": "markers+text", "name": escape(group or "work"),
        "x": [i for i, _ in rates], "y": [f / 1e12 for _, f in rates],
        "text": [escape(names.get(id(p), "")) for p in own],
        "textposition": list(sides), "textfont": {"size": 13, "color": "var(--text)"},
        "marker": {
            "color": [looks[p.category].colour for p in own],
            "symbol": _SYMBOLS[place % len(_SYMBOLS)],
            # area, not radius, stands for time
            "size": [8 + 22 * (p.total_ns / whole) ** 0.5 for p in own], "opacity": 0.9,
            "line": {"width": 1.5, "color": "var(--bg)"} if place % 4 in (0, 2) else {"width": 2},
        },
        "customdata": [
            [escape(shorten(p.label, 70)), escape(p.group), escape(p.category), _said(p),
             units.duration(p.total_ns)]
            for p in own
        ],
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]} %{customdata[2]}<br>"
        "%{customdata[3]}<br>%{customdata[4]} in all<extra></extra>",
    }  # fmt: skip


def _said(p: Point) -> str:
    """What a point reaches; where no FLOPs are counted, that its place is no intensity."""
    if p.bytes_per_s is not None:
        return f"no FLOPs counted, {units.rate(p.bytes_per_s, 'B/s')}: drawn at the left edge"
    rate = (p.flops_per_s or 0) / (p.intensity or 1)
    return (
        f"{p.intensity:,.3g} FLOP per byte, {units.rate(p.flops_per_s, 'FLOP/s')}, "
        f"{units.rate(rate, 'B/s')}"
    )
