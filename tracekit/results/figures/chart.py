"""What every builder shares: the chart itself, escaping, axis units, marks, named rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import field

from tracekit import extras
from tracekit.plain import markup
from tracekit.records import Record
from tracekit.results import units
from tracekit.results.figures import theme
from tracekit.results.figures.theme import Mark
from tracekit.results.kernel_labels import differences, readable

if TYPE_CHECKING:
    import plotly.graph_objects as go

Number = float | None
Series = Mapping[str, Sequence[Number]]


class Chart(Record, frozen=True):
    """One Plotly figure as data. `key` is stable and unique within an analysis."""

    key: str
    title: str
    summary: str  # one sentence: what it shows, for those who cannot see it
    data: list[dict[str, Any]]
    layout: dict[str, Any] = field(default_factory=dict)
    table: str = ""  # key of the grid that holds the same numbers

    def figure(self, *, dark: bool = False) -> go.Figure:
        """The same as a Plotly figure, for a notebook. Raises: TracekitError without plotly."""
        extras.need("notebook", "plotly", where="a Plotly figure")
        import plotly.graph_objects as go

        layout = merged(theme.LAYOUT, self.layout)
        # the page writes title and key beside the chart; here they need room within it
        room = 78 if len(self.data) > 1 else 48
        layout["height"] = layout.get("height", 280) + room - layout["margin"]["t"]
        layout["margin"] = {**layout["margin"], "t": room}
        layout["title"] = {
            "text": escape(self.title), "x": 0, "xref": "paper", "y": 1, "yref": "container",
            "yanchor": "top", "pad": {"t": 12}, "font": {"size": 15},
        }  # fmt: skip
        layout["legend"] = {
            "orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal",
        }  # fmt: skip
        layout.setdefault("showlegend", len(self.data) > 1)
        return go.Figure(
            data=theme.resolve(self.data, dark=dark), layout=theme.resolve(layout, dark=dark)
        )


def marks(chart: Chart) -> int:
    """How many marks a chart draws: bars above zero, runs of equal height of an area, points.

    A chart with fewer than two says no more than a number does.
    """
    return sum(_drawn(trace) for trace in chart.data)


def _drawn(trace: Mapping[str, Any]) -> int:
    if trace["type"] == "bar":
        lengths = trace["x"] if trace.get("orientation") == "h" else trace["y"]
        return sum(bool(v) for v in lengths)
    if (trace.get("marker") or {}).get("opacity") == 0:
        return 0  # what nobody sees
    values = [v for v in trace["y"] if v is not None]
    if "stackgroup" in trace:
        return sum(bool(v) and v != before for v, before in zip(values, [0, *values], strict=False))
    return len(values)


def escape(text: object) -> str:
    """Text from a trace, safe where Plotly reads markup. Quotes stay: it knows no `&quot;`."""
    return markup(str(text), quote=False)


def shorten(text: object, most: int = 44) -> str:
    """`text` in at most `most` characters, signatures made readable first, then with an ellipsis
    in the middle; not escaped.
    """
    whole = str(text)
    if len(whole) <= most:
        return whole
    whole = readable(whole)
    if len(whole) <= most:
        return whole
    tail = most // 3
    return f"{whole[: most - tail - 1].rstrip()}…{whole[-tail:].lstrip()}"


def distinct(texts: Iterable[object], most: int = 44) -> dict[str, str]:
    """Each text shortened as by `shorten`; texts that would read alike say in what they differ."""
    short = {text: shorten(text, most) for text in dict.fromkeys(map(str, texts))}
    for shown, same in _alike(short).items():
        for text, word in differences(same).items():
            tag = f" ({shorten(word, most // 2)})" if word else ""
            short[text] = f"{shorten(shown, most - len(tag))}{tag}"
    for same in _alike(short).values():  # whose differences are longer than that
        for place, text in enumerate(same, 1):
            tag = f" #{place}"
            short[text] = f"{shorten(short[text], most - len(tag))}{tag}"
    return short


def _alike(short: Mapping[str, str]) -> dict[str, list[str]]:
    """The texts that are shown alike, by what is shown."""
    alike: dict[str, list[str]] = {}
    for text, shown in short.items():
        alike.setdefault(shown, []).append(text)
    return {shown: same for shown, same in alike.items() if len(same) > 1}


def merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, Any]:
    """`base` with the entries of `over`, nested mappings merged."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        out[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return out


class Scale(Record, frozen=True):
    """From a raw unit to the one on the axis."""

    by: float
    title: str
    unit: str

    def of(self, values: Iterable[Number]) -> list[Number]:
        return [None if v is None else round(v / self.by, 6) for v in values]

    def say(self, value: Number) -> str:
        match self.unit:
            case "ns":
                return units.duration(value)
            case "bytes":
                return units.bytes_(value)
            case "share":
                return units.share(value)
            case "flop/s":
                return units.rate(value, "FLOP/s")
            case "bytes/s":
                return units.rate(value, "B/s")
        return "not measured" if value is None else f"{value:,.6g}"


_STEPS: Mapping[str, Sequence[tuple[float, float, str]]] = {  # from this size, divisor, name
    "ns": ((1e10, 1e9, "s"), (1e5, 1e6, "ms"), (0, 1e3, "µs")),
    "bytes": (
        (1 << 34, 1 << 30, "GiB"),
        (1 << 20, 1 << 20, "MiB"),
        (1 << 13, 1 << 10, "KiB"),
        (0, 1, "B"),
    ),
    "share": ((0, 0.01, "%"),),
    "flop/s": ((1e12, 1e12, "TFLOP/s"), (0, 1e9, "GFLOP/s")),
    "bytes/s": ((1e12, 1e12, "TB/s"), (0, 1e9, "GB/s")),
    "count": ((0, 1, ""),),
    "number": ((0, 1, ""),),
}


def scale(unit: str, values: Iterable[Number]) -> Scale:
    """The axis unit that suits the largest of `values`. An unknown unit is shown as it is."""
    largest = max((abs(v) for v in values if v is not None), default=0)
    for limit, by, title in _STEPS.get(unit, ((0, 1, unit),)):
        if largest >= limit:
            return Scale(by, title, unit)
    raise AssertionError("unreachable")


def paint(look: Mark, *, edge: bool = True) -> dict[str, Any]:
    """A Plotly `marker` of this look; a thin page-coloured line keeps neighbours apart."""
    out: dict[str, Any] = {"color": look.colour}
    if edge:
        out["line"] = {"width": 1, "color": "var(--bg)"}
    if look.hatch:
        # without bgcolor the mark is invisible
        out["pattern"] = {
            "shape": look.hatch, "bgcolor": look.colour, "fgcolor": "var(--bg)",
            "size": 7, "solidity": 0.25, "fgopacity": 0.4,  # numbers stand upon it
        }  # fmt: skip
    return out


def legend(marks: Mapping[str, Mark]) -> list[list[str]]:
    """`layout.meta.legend`: [name, colour, hatch]; the page draws it as text."""
    return [[name, look.colour, look.hatch] for name, look in marks.items()]


def row_axis(labels: Sequence[str]) -> dict[str, Any]:
    """A y axis with one named row a bar, the first on top. Rows are numbers: names may repeat."""
    short = distinct(labels)
    return {
        "autorange": False,
        "range": [len(labels) - 0.5, -0.5],
        "tickvals": list(range(len(labels))),
        "ticktext": [escape(short[str(label)]) for label in labels],
        "showgrid": False,
        "zeroline": False,
        "ticks": "",
        "ticklabelstandoff": 6,
        "fixedrange": True,
    }
