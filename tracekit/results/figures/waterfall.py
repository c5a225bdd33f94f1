"""From one total to another, change by change."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tracekit.results.figures.chart import Chart, escape, legend, paint, row_axis, scale
from tracekit.results.figures.theme import Mark, mark


def waterfall(
    key: str,
    title: str,
    start: tuple[str, float],
    changes: Sequence[tuple[str, float]],
    end: tuple[str, float],
    *,
    unit: str = "ns",
    of: str = "",
    less_is_better: bool | None = True,
    neutral: Collection[str] = (),
    summary: str = "",
    table: str = "",
) -> Chart:
    """Horizontal bars from `start` through each change to `end`, which is their sum.

    `less_is_better` None: the two are not the same work, so a change is more or less and no more.
    What is `neutral`, such as what is new or gone, is that as well: it replaced, or is replaced.
    What `changes` do not explain becomes a row 'not explained', so that the bars always meet.
    """
    steps = list(changes)
    rest = end[1] - start[1] - sum(value for _, value in steps)
    if abs(rest) > 1e-9 * max(abs(start[1]), abs(end[1]), 1):
        steps.append(("not explained", rest))
    at, bases = start[1], [0.0]
    for _, value in steps:
        bases.append(min(at, at + value))
        at += value
    bases.append(0.0)
    rows = [start, *steps, end]
    axis = scale(unit, [*(b for b in bases), start[1], end[1]])
    looks: dict[str, Mark] = {kind: mark(kind) for kind in ("better", "worse", "less", "more")}
    kinds = ["total", *(_kind(v, None if name in neutral else less_is_better)
                        for name, v in steps), "total"]  # fmt: skip
    drawn = [looks.get(kind) or mark("total") for kind in kinds]
    said = [axis.say(v) if k == "total" else _signed(v, axis.say(v))
            for (_, v), k in zip(rows, kinds, strict=True)]  # fmt: skip
    widths = [abs(v) for _, v in rows]
    return Chart(
        key, title, summary,
        [{
            "type": "bar", "orientation": "h", "name": escape(title), "y": list(range(len(rows))),
            "base": axis.of(bases), "x": axis.of(widths), "marker": _each(drawn), "text": said,
            "textposition": ["auto" if kind == "total" else "outside" for kind in kinds],
            "textangle": 0, "constraintext": "none",
            "customdata": [
                [escape(label), text, "" if kind == "total" else f" ({kind})"]
                for (label, _), text, kind in zip(rows, said, kinds, strict=True)
            ],
            "outsidetextfont": {"color": "var(--text)"},
            "insidetextfont": {"color": [look.on for look in drawn]},
            "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}%{customdata[2]}"
            "<extra></extra>",
        }],
        {
            "height": 66 + 30 * len(rows),
            "xaxis": {
                "title": {"text": escape(f"{axis.title} of {of}" if of else axis.title)},
                "range": _room(bases, widths, axis.by), "fixedrange": True,
            },
            "yaxis": row_axis([label for label, _ in rows]),
            "meta": {
                "kind": "rows", "beside": True,
                "legend": legend({name: look for name, look in looks.items() if name in kinds}),
            },
        },
        table,
    )  # fmt: skip


def _each(looks: Sequence[Mark]) -> dict[str, object]:
    """A Plotly `marker` in which every bar has a look of its own."""
    marker = paint(mark("total"))
    marker["color"] = [look.colour for look in looks]
    if any(look.hatch for look in looks):
        marker["pattern"] = {
            "shape": [look.hatch for look in looks], "bgcolor": [look.colour for look in looks],
            "fgcolor": "var(--bg)", "size": 7, "solidity": 0.25,
        }  # fmt: skip
    return marker


def _room(bases: Sequence[float], widths: Sequence[float], by: float) -> list[float]:
    """The axis range: all bars, and a tenth more so that the text beside them fits."""
    low = min(0.0, *bases)
    high = max(b + w for b, w in zip(bases, widths, strict=True))
    return [low / by, (high + 0.14 * (high - low)) / by]


def _kind(change: float, less_is_better: bool | None) -> str:
    if change == 0:
        return "total"
    if less_is_better is None:
        return "less" if change < 0 else "more"
    return "better" if (change < 0) == less_is_better else "worse"


def _signed(value: float, text: str) -> str:
    return f"+{text}" if value > 0 else text.replace("-", "−")
