"""Matched rows on two sides: a line from what each took on one to what it took on the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracekit.records import Record
from tracekit.results import units
from tracekit.results.figures.chart import Chart, distinct, escape, legend, scale, shorten
from tracekit.results.figures.theme import Mark, mark

MOST = 24  # lines
NAMED = 6  # of them, with a name: those that change most
LONG = 21  # characters of a name
APART = 0.062  # of the height: two names


class Pair(Record, frozen=True):
    """One row on both sides. `values` [unit] are (left, right); None where a side lacks it."""

    label: str
    category: str  # gives the colour
    values: Mapping[str, tuple[float | None, float | None]]
    note: str = ""  # said on hover
    grey: bool = False  # no change of one thing, such as what one side lacks: dashed, no colour


class Measure(Record, frozen=True):
    """A unit to choose: its name on the button, the raw unit of its values, what it is of."""

    name: str
    unit: str  # ns, share
    of: str


def slope(
    key: str,
    title: str,
    sides: tuple[str, str],
    pairs: Sequence[Pair],
    measures: Sequence[Measure],
    *,
    summary: str = "",
    table: str = "",
) -> Chart:
    """A line a row from the left side to the right, in the first of `measures`.

    Others can be chosen. At most MOST rows, those with most time; those that change most have a
    name, in the order of the change, and the colour of their category; the others are grey. A row
    that one side lacks is a point on the other.
    """
    first = measures[0]
    shown = sorted(pairs, key=lambda p: -max(map(_size, p.values[first.name])))[:MOST]
    shown.sort(key=lambda p: -_change(p, first.name))
    named = shown[:NAMED]
    looks = {p.category: mark(p.category, i) for i, p in enumerate(named) if not p.grey}
    drawn = [*reversed(shown[NAMED:]), *reversed(named)]  # what has a name on top
    variants = {m.name: _variant(m, drawn, named, sides) for m in measures}
    data = [_line(p, looks, named=p in named) for p in drawn]
    bare = [p.label.removeprefix("aten::") for p in named]
    short = distinct(bare, LONG)
    data.append({
        "type": "scatter", "mode": "text", "x": [1.04] * len(named), "textposition": "middle right",
        "text": [escape(short[label]) for label in bare],
        "hoverinfo": "skip",
        "textfont": {"size": 12, "color": "var(--text)"}, "cliponaxis": False,
    })  # fmt: skip
    own = variants[first.name]
    layout: dict[str, Any] = {
        "height": 360, "hovermode": "closest", "margin": {"l": 52, "r": 8, "t": 12, "b": 30},
        "xaxis": {
            "range": [-0.06, 1.95], "tickvals": [0, 1], "ticktext": [escape(s) for s in sides],
            "showgrid": False, "zeroline": False, "fixedrange": True, "tickfont": {"size": 13},
        },
        "yaxis": {"fixedrange": True, **own["layout"]["yaxis"]},
        "meta": {
            "kind": "slope", "legend": legend(looks),
            "variants": variants, "units": [m.name for m in measures],
        },
    }  # fmt: skip
    merged = [{**line, **parts} for line, parts in zip(data, own["data"], strict=True)]
    return Chart(key, title, summary, merged, layout, table)


def _size(value: float | None) -> float:
    return abs(value or 0.0)


def _change(pair: Pair, name: str) -> float:
    left, right = pair.values[name]
    return abs((right or 0.0) - (left or 0.0))


def _line(pair: Pair, looks: Mapping[str, Mark], *, named: bool) -> dict[str, Any]:
    colour = "var(--idle-device)" if named else "var(--idle)"
    if named and not pair.grey:
        colour = looks[pair.category].colour
    return {
        "type": "scatter", "mode": "lines+markers", "name": escape(pair.label), "x": [0, 1],
        "line": {"color": colour, "width": 2 if named else 1.5,
                 "dash": "dot" if pair.grey else "solid"},
        "marker": {"color": colour, "size": 8 if named else 5},
        "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}<br>%{customdata[2]}"
        "<extra></extra>",
    }  # fmt: skip


def _variant(
    measure: Measure, drawn: Sequence[Pair], named: Sequence[Pair], sides: tuple[str, str]
) -> dict[str, Any]:
    """What changes with the unit: heights, texts on hover, places of names, the axis."""
    ends = [p.values[measure.name] for p in drawn]
    axis = scale(measure.unit, [v for pair in ends for v in pair])
    data: list[dict[str, Any]] = []
    for pair, (left, right) in zip(drawn, ends, strict=True):
        said = (
            f"{escape(sides[0])} {axis.say(left)}, {escape(sides[1])} {axis.say(right)}"
            f"{_times(left, right)}"
        )
        text = [escape(shorten(pair.label, 70)), said, escape(pair.note or pair.category)]
        data.append({"y": axis.of((left, right)), "customdata": [text, text]})
    top = max((v for pair in ends for v in pair if v is not None), default=1) or 1
    heights = [_end(p.values[measure.name]) for p in named]
    data.append({"y": axis.of(_spread(heights, top))})
    title = f"{measure.of}, {axis.title}" if measure.of else axis.title
    return {
        "data": data,
        "layout": {
            "yaxis": {
                "title": {"text": escape(title)},
                "range": [-0.03 * top / axis.by, 1.06 * top / axis.by],
            }
        },
    }


def _end(ends: tuple[float | None, float | None]) -> float:
    """Where a line ends on the right; what the right side lacks ends at nothing."""
    return ends[1] or 0.0


def _times(left: float | None, right: float | None) -> str:
    if not left or not right:
        return ""
    ratio = right / left
    return f" ({units.share(ratio - 1)} more)" if 1 <= ratio < 2 else (
        f" ({ratio:,.1f} times)" if ratio >= 2 else f" ({units.share(1 - ratio)} less)"
    )  # fmt: skip


def _spread(heights: Sequence[float], top: float) -> list[float]:
    """The same heights, moved apart where names would lie on one another."""
    gap, order = APART * top, sorted(range(len(heights)), key=lambda i: heights[i])
    out = list(heights)
    at = -gap
    for i in order:
        at = max(heights[i], at + gap)
        out[i] = at
    over = at - top  # pushed above the picture: all of the upper ones come down again
    for i in reversed(order):
        if over <= 0:
            break
        out[i] = max(out[i] - over, 0.0)
        over = over if out[i] > 0 else 0.0
    return out
