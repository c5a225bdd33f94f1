"""Speed-up over acceptance: a curve a draft length, and where runs lie upon them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tracekit.records import Record, replace
from tracekit.results.figures.chart import Chart, escape
from tracekit.results.figures.curves import lines

ALONE = "the target alone"
_LETTER, _LINE = 0.016, 0.085  # of the plot: the width of a letter, the height of a line
_NEAR, _MARK = 0.018, 0.03  # of the plot: from a mark to its name; half a mark


class Here(Record, frozen=True):
    """A named point among the curves."""

    name: str
    of: str  # said on hover beside the name
    alpha: float
    speedup: float
    symbol: str = "diamond"
    interval: tuple[float, float] | None = None  # of the speed-up


def law(
    key: str,
    title: str,
    alphas: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    points: Sequence[Here] = (),
    *,
    summary: str = "",
    table: str = "",
) -> Chart:
    """`curves` [name][x]: expected speed-up of decode at each of `alphas`; 1 is drawn dashed."""
    drawn = lines(
        key, title, alphas, curves, unit="number", x_title="acceptance α",
        of="speed-up of decode", points=False, fits={ALONE: [1.0] * len(alphas)},
        summary=summary, table=table,
    )  # fmt: skip
    top = 1.06 * max(
        1.0, *(v for own in curves.values() for v in own),
        *(p.interval[1] if p.interval else p.speedup for p in points),
    )  # fmt: skip
    axes = {
        "xaxis": {**drawn.layout["xaxis"], "range": [-0.02, 1.02]},
        "yaxis": {**drawn.layout["yaxis"], "title": {"text": "speed-up of decode, ×"},
                  "range": [0, top]},
        "annotations": list(_names(points, top)),
    }  # fmt: skip
    return replace(
        drawn,
        data=[*drawn.data, *map(_point, points)],
        layout={**drawn.layout, "height": 320, **axes},
    )


def _point(here: Here) -> dict[str, Any]:
    label = escape(f"{here.name} ({here.of})" if here.of else here.name)
    sure = ""
    if here.interval is not None:
        sure = f", 95 % interval {here.interval[0]:.2f} to {here.interval[1]:.2f}"
    out: dict[str, Any] = {
        "type": "scatter", "mode": "markers", "name": label, "x": [round(here.alpha, 4)],
        "y": [round(here.speedup, 4)], "cliponaxis": False,
        "marker": {"color": "var(--text)", "size": 10, "symbol": here.symbol,
                   "line": {"width": 2, "color": "var(--text)"}},
        "customdata": [[label, f"{here.speedup:.2f}×{sure}"]],
        "hovertemplate": "%{customdata[0]}<br>α %{x:.2f}: %{customdata[1]}<extra></extra>",
    }  # fmt: skip
    if here.interval is not None:
        low, high = here.interval
        out["error_y"] = {
            "type": "data", "symmetric": False, "array": [high - here.speedup],
            "arrayminus": [here.speedup - low], "thickness": 1.5, "width": 4,
            "color": "var(--text)",
        }  # fmt: skip
    return out


_Box = tuple[float, float, float, float]  # left, right, bottom, top; shares of the plot


class _Spot(Record, frozen=True):
    """Where a name may stand."""

    box: _Box
    xanchor: str
    yanchor: str
    yshift: int  # px


def _names(points: Sequence[Here], top: float) -> Iterator[dict[str, Any]]:
    """A name beside each point, on a ground of its own, where it lies on no other."""
    marks = [_around(p.alpha, p.speedup / top) for p in points]
    taken: list[_Box] = []
    for place, here in enumerate(points):
        others = [*taken, *(own for at, own in enumerate(marks) if at != place)]
        spot = min(_spots(here, top), key=lambda one: sum(_over(one.box, own) for own in others))
        taken.append(spot.box)
        yield {
            "x": round(here.alpha, 4), "y": round(here.speedup, 4), "text": escape(here.name),
            "showarrow": False, "xanchor": spot.xanchor, "yanchor": spot.yanchor,
            "xshift": 9 if spot.xanchor == "left" else -9, "yshift": spot.yshift,
            "bgcolor": "var(--bg)", "borderpad": 1, "font": {"size": 12, "color": "var(--text)"},
        }  # fmt: skip


def _around(x: float, y: float) -> _Box:
    return (x - _MARK, x + _MARK, y - _MARK, y + _MARK)


def _spots(here: Here, top: float) -> Iterator[_Spot]:
    """Beside the point, the best first: above, below, level, then a line further away."""
    x, y, wide = here.alpha, here.speedup / top, _LETTER * len(here.name) + 0.01
    rows = [("bottom", y + _NEAR, 6), ("top", y - _NEAR - _LINE, -6), ("middle", y - _LINE / 2, 0)]
    rows += [("top", y - _NEAR - 2 * _LINE, -26), ("bottom", y + _NEAR + _LINE, 26)]
    for yanchor, low, shift in rows:
        for xanchor in ("left", "right") if x < 0.5 else ("right", "left"):
            left = x + _NEAR if xanchor == "left" else x - _NEAR - wide
            box = (left, left + wide, low, low + _LINE)
            if left >= -0.02 and left + wide <= 1.02 and low >= 0 and low + _LINE <= 1:
                yield _Spot(box, xanchor, yanchor, shift)
    yield _Spot((x, x + wide, y, y + _LINE), "left" if x < 0.5 else "right", "bottom", 6)


def _over(one: _Box, two: _Box) -> float:
    """The area that two boxes share."""
    wide = min(one[1], two[1]) - max(one[0], two[0])
    high = min(one[3], two[3]) - max(one[2], two[2])
    return max(wide, 0.0) * max(high, 0.0)
