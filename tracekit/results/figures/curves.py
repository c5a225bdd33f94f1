"""Lines and stacked areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracekit.results.figures.chart import Chart, Number, Scale, Series, escape, legend, scale
from tracekit.results.figures.theme import Mark, mark


def lines(
    key: str,
    title: str,
    x: Sequence[float],
    series: Series,
    *,
    unit: str = "ns",
    x_title: str = "",
    of: str = "",
    fits: Series | None = None,
    spans: Mapping[str, Sequence[tuple[Number, Number]]] | None = None,
    points: bool = True,
    swept: bool = False,
    summary: str = "",
    table: str = "",
) -> Chart:
    """Values along x, from zero. `fits` [name][x] are drawn dashed in the colour of their series.

    A fit whose name is no series is drawn in ink. `spans` [name][x] are intervals (low, high) about
    the values, drawn as whiskers. `points=False` leaves the marks out. `swept`: x are values that
    were tried, with nothing between them: they are the ticks, on a logarithm where they are wide.
    """
    shown = {name: values for name, values in series.items() if any(v is not None for v in values)}
    flat = [v for values in (*shown.values(), *(fits or {}).values()) for v in values]
    axis = scale(unit, flat)
    looks = {name: mark(name, place) for place, name in enumerate(series)}
    mode = "lines+markers" if points and len(x) <= 200 else "lines"
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": mode, "name": escape(name), "x": list(x),
            "y": axis.of(values), "line": _stroke(looks[name]),
            "marker": {"color": looks[name].colour, "size": 6, "symbol": place % 8},
            "customdata": [
                [escape(name), axis.say(v) + _interval(span, axis)]
                for v, span in zip(values, _each(spans, name, len(values)), strict=True)
            ],
            "hovertemplate": f"{_plain(x_title)} %{{x}}<br>%{{customdata[0]}}: %{{customdata[1]}}"
            "<extra></extra>",
        }
        for place, (name, values) in enumerate(shown.items())
    ]  # fmt: skip
    for drawn, name in zip(data, shown, strict=True):
        if spans and name in spans:
            drawn |= _whiskers(shown[name], spans[name], axis)
    for name, values in (fits or {}).items():
        colour = looks[name].colour if name in looks else "var(--text)"
        data.append({
            "type": "scatter", "mode": "lines", "name": escape(f"{name}, fitted"), "x": list(x),
            "y": axis.of(values), "line": {"color": colour, "width": 1.5, "dash": "dash"},
            "hoverinfo": "skip",
        })  # fmt: skip
    return Chart(
        key, title, summary, data,
        {
            "height": 280, "dragmode": False if swept else "zoom",
            "xaxis": {
                "title": {"text": escape(x_title)}, "showgrid": False,
                **(_tried(x) if swept else {}),
            },
            "yaxis": {
                "title": {"text": escape(f"{of}, {axis.title}" if of else axis.title)},
                "rangemode": "tozero", "fixedrange": True,
            },
            "meta": {"kind": "lines", "legend": [_key(n, looks[n]) for n in shown]},
        },
        table,
    )  # fmt: skip


DASHES = {"": "solid", "/": "dash", "x": "dot"}  # of a line, where an area is hatched


def _stroke(look: Mark) -> dict[str, object]:
    return {"color": look.colour, "width": 1.5, "dash": DASHES.get(look.hatch, "dashdot")}


def _key(name: str, look: Mark) -> list[str]:
    """A line in the legend, as it is drawn."""
    return [name, look.colour, f"symbol-line-{DASHES.get(look.hatch, 'dash')}"]


def _tried(x: Sequence[float]) -> dict[str, object]:
    """An axis of values that were tried."""
    ticks = sorted(set(x))
    wide = len(ticks) > 2 and ticks[0] > 0 and ticks[-1] / ticks[0] >= 8
    return {
        "tickvals": ticks, "ticktext": [f"{v:,}" for v in ticks], "fixedrange": True,
        "type": "log" if wide else "linear",
    }  # fmt: skip


def _whiskers(
    values: Sequence[Number], spans: Sequence[tuple[Number, Number]], axis: Scale
) -> dict[str, object]:
    """From each value up and down to the ends of its interval; nothing where that is not known."""
    above, below = list[Number](), list[Number]()
    for value, (low, high) in zip(values, spans, strict=True):
        above.append(0 if value is None or high is None else high - value)
        below.append(0 if value is None or low is None else value - low)
    return {
        "error_y": {
            "type": "data", "symmetric": False, "array": axis.of(above),
            "arrayminus": axis.of(below), "thickness": 1.5, "width": 4,
        }
    }  # fmt: skip


Span = tuple[Number, Number]


def _each(spans: Mapping[str, Sequence[Span]] | None, name: str, count: int) -> list[Span | None]:
    return list((spans or {}).get(name) or []) or [None] * count


def _interval(span: tuple[Number, Number] | None, axis: Scale) -> str:
    """`, 95 % interval 3.10 ms to 3.20 ms`; empty where no interval is drawn."""
    if span is None:
        return ""
    low, high = span
    known = low is not None and high is not None
    return f", 95 % interval {axis.say(low)} to {axis.say(high)}" if known else ", too few for one"


def _plain(text: str) -> str:
    """A fixed label inside a template: neither markup nor a placeholder."""
    return escape(text).replace("%{", "% {")


def areas(
    key: str,
    title: str,
    edges: Sequence[float],
    parts: Series,
    *,
    unit: str = "share",
    x_unit: str = "ns",
    x_title: str = "since the first slice",
    of: str = "",
    summary: str = "",
    table: str = "",
) -> Chart:
    """Stacked areas over bins of time: what each bin was spent on. One path a part.

    `edges` [N+1] ascending, `parts` [name][N]; a value holds for the whole of its bin.
    """
    shown = {name: values for name, values in parts.items() if any(values)}
    along = scale(x_unit, edges)
    axis = scale(unit, [v for values in shown.values() for v in values])
    looks = {name: mark(name, place) for place, name in enumerate(parts)}
    data = [
        area(name, along.of(edges), axis.of(values), axis.title, looks[name])
        for name, values in shown.items()
    ]
    return Chart(
        key, title, summary, data,
        {
            "height": 280, "dragmode": "zoom", "hovermode": "x unified",
            "xaxis": {"title": {"text": escape(f"{along.title} {x_title}")}, "showgrid": False},
            "yaxis": {
                "title": {"text": escape(f"{of}, {axis.title}" if of else axis.title)},
                "rangemode": "tozero", "fixedrange": True,
            },
            "meta": {"kind": "areas", "legend": legend({n: looks[n] for n in shown})},
        },
        table,
    )  # fmt: skip


def area(
    name: str, edges: Sequence[Number], values: Sequence[Number], unit: str, look: Mark
) -> dict[str, object]:
    """One part of a stacked area, flat within each bin; values and edges already scaled."""
    out: dict[str, Any] = {
        "type": "scatter", "mode": "lines", "name": escape(name), **_along(edges),
        "y": [*values, values[-1] if values else None], "stackgroup": "one",
        "line": {"shape": "hv", "width": 0, "color": look.colour}, "fillcolor": look.colour,
        "hovertemplate": f"{_plain(name)}: %{{y:.3~g}} {_plain(unit)}<extra></extra>",
    }  # fmt: skip
    if look.hatch:
        out["fillpattern"] = {
            "shape": look.hatch, "bgcolor": look.colour, "fgcolor": "var(--bg)", "size": 7,
            "solidity": 0.25,
        }  # fmt: skip
    return out


def _along(edges: Sequence[Number]) -> dict[str, object]:
    """x as start and step where it is even: as many numbers again would weigh as much as y."""
    first, last = (edges[0], edges[-1]) if len(edges) > 2 else (None, None)
    if first is not None and last is not None:
        step = (last - first) / (len(edges) - 1)
        even = (
            e is not None and abs(e - first - i * step) <= 1e-6 * abs(step) * len(edges)
            for i, e in enumerate(edges)
        )
        if all(even):
            return {"x0": first, "dx": step}
    return {"x": list(edges)}
