"""Colours and type of every chart and page: one colour, one meaning, in light and in dark.

Colours are CSS variables; a chart names one as `var(--gemm)` and the page that shows it resolves
it, so that a reader's preference needs no second chart. Hues were chosen by search for the largest
smallest difference (CIE76) under normal, protan, deutan and tritan vision (Machado 2009). Seven
hues are what the eye can tell apart; kinds of work that are kin share one and differ in hatching.
"""

from __future__ import annotations

from typing import NamedTuple

from tracekit.taxonomy import Category


class Mark(NamedTuple):
    """How one thing is drawn: a colour token, the token of text upon it, a Plotly hatch or ''."""

    colour: str
    on: str
    hatch: str = ""


# token: (light, dark)
TOKENS: dict[str, tuple[str, str]] = {
    "--bg": ("#ffffff", "#12161c"),
    "--panel": ("#f6f7f9", "#1b212a"),
    "--line": ("#d5d9e0", "#36404d"),
    "--edge": ("#6b7686", "#8793a3"),  # borders of controls, 3:1 against the page
    "--text": ("#16202c", "#e7ecf2"),
    "--dim": ("#4c5a6b", "#a9b4c2"),
    "--link": ("#0b5cad", "#7cb8f2"),
    "--grid": ("#e3e6eb", "#2a323d"),
    "--good": ("#1d6f42", "#7fd3a0"),
    "--bad": ("#a4262c", "#ff9d97"),
    "--warn": ("#8a5a00", "#f0c05a"),
    "--gemm": ("#3968c3", "#5184dc"),
    "--attention": ("#9a4439", "#c05d47"),
    "--elementwise": ("#709f79", "#90d29b"),
    "--copy": ("#76397b", "#a86ba1"),
    "--norm": ("#bc7c37", "#e3b35d"),
    "--transfer": ("#07a1c9", "#50cffd"),
    "--other": ("#686f74", "#cfd8df"),
    "--kernel": ("#4c4a9c", "#8f8fe0"),  # kernels of every category together
    "--op": ("#4c4a9c", "#8f8fe0"),  # framework ops together, on a trace without a GPU
    "--series": ("#4c4a9c", "#8f8fe0"),  # what has no category of its own: modules, counts, memory
    "--series-2": ("#a3a1dd", "#5f5db3"),
    "--series-3": ("#25235c", "#cfcff8"),
    "--idle": ("#c3cad4", "#3f4957"),
    "--idle-host": ("#16202c", "#f2f5f9"),
    "--idle-launch": ("#57636f", "#b9c3cf"),
    "--idle-device": ("#8f9aa9", "#78828f"),
    "--before": ("#b9c0ca", "#4b5563"),
    "--lane": ("#dfe4ec", "#2c3541"),
    "--lane-2": ("#c6cedb", "#3d4856"),
    # a few classes of one value, the least first: see heat.py
    "--heat-0": ("#e9e9f6", "#232b3a"),
    "--heat-1": ("#c9c8ea", "#34406a"),
    "--heat-2": ("#a3a1dd", "#4c5aa0"),
    "--heat-3": ("#7775c4", "#6f78c9"),
    "--heat-4": ("#4c4a9c", "#9ba0e6"),
    "--heat-5": ("#25235c", "#d3d4fb"),
    "--on-dark": ("#ffffff", "#000000"),  # text on the deeper hues
    "--on-light": ("#000000", "#000000"),
}


def _mark(token: str, on: str = "dark", hatch: str = "") -> Mark:
    return Mark(f"var(--{token})", f"var(--on-{on})", hatch)


MARKS: dict[str, Mark] = {
    Category.GEMM: _mark("gemm"),
    Category.ATTENTION: _mark("attention"),
    Category.NORM: _mark("norm", "light"),
    Category.REDUCTION: _mark("norm", "light", "/"),
    Category.SAMPLING: _mark("norm", "light", "x"),
    Category.SORT: _mark("norm", "light", "."),
    Category.SSM: _mark("attention", hatch="/"),
    Category.ELEMENTWISE: _mark("elementwise", "light"),
    Category.ROTARY: _mark("elementwise", "light", "/"),
    Category.OPTIMIZER: _mark("elementwise", "light", "x"),
    Category.COPY: _mark("copy"),
    Category.EMBEDDING: _mark("copy", hatch="x"),
    Category.COMMUNICATION: _mark("transfer", "light", "x"),
    Category.MEMCPY: _mark("transfer", "light"),
    Category.MEMSET: _mark("transfer", "light", "/"),
    Category.OTHER: _mark("other"),
    "kernel": _mark("kernel"),
    "compute": _mark("kernel"),
    "exposed communication": _mark("transfer", "light", "x"),
    "op": _mark("op"),
    "ops": _mark("op"),
    "copy": _mark("copy", hatch="/"),  # of tensors between memories; copy/layout moves within one
    "copies": _mark("copy", hatch="/"),
    "other ops": _mark("other"),
    "outside ops": Mark("var(--idle)", "var(--text)"),
    "other modules": _mark("other"),
    "outside every module": _mark("other", hatch="/"),
    "idle": Mark("var(--idle)", "var(--text)"),
    "not launched yet": Mark("var(--idle-host)", "var(--bg)"),
    "in the launch call": Mark("var(--idle-launch)", "var(--bg)"),
    "launched, not begun": Mark("var(--idle-device)", "var(--on-light)"),
    "another stream": Mark("var(--idle-device)", "var(--on-light)", "/"),
    "waiting for communication": Mark("var(--idle-device)", "var(--on-light)", "x"),
    "unlinked": Mark("var(--idle)", "var(--text)", "/"),
    **{
        f"host: {what}": Mark("var(--idle-host)", "var(--bg)")
        for what in (
            "blocking sync, .item()",
            "blocking sync or copy",
            "loading data",
            "allocating memory",
            "first use, loading modules",
            "around a compiled graph",
            "other runtime call",
            "in an op",
            "outside any op",
            "between steps",
            "many short launches",
            "long work between launches",
            "single short gaps",
            "the profiler itself",
        )
    },
    "another device works": Mark("var(--idle-device)", "var(--on-light)", "|"),
    "launched long before: work not in this file": Mark("var(--idle)", "var(--text)", "x"),
    "work launched meanwhile is not in this file": Mark("var(--idle)", "var(--text)", "x"),
    "between kernels of a graph": Mark("var(--idle-device)", "var(--on-light)"),
    "waiting for another stream": Mark("var(--idle-device)", "var(--on-light)", "/"),
    "after communication": Mark("var(--idle-device)", "var(--on-light)", "x"),
    "no launch in the trace": Mark("var(--idle)", "var(--text)", "/"),
    "nothing more launched": Mark("var(--idle)", "var(--text)", "."),
    "busy with other stages": Mark("var(--before)", "var(--text)", "\\"),
    "suspect": Mark("var(--idle)", "var(--text)", "x"),
    "unaccounted": Mark("var(--idle)", "var(--text)", "x"),
    **{
        f"{direction}{memory}": _mark("transfer", "light", hatch)
        for direction, hatches in (
            ("htod", ("", "|")),
            ("dtoh", (".", "+")),
            ("dtod", ("\\", "\\")),
            ("fill", ("/", "/")),
        )
        for memory, hatch in (("", hatches[0]), (" pinned", hatches[0]), (" pageable", hatches[1]))
    },
    "better": Mark("var(--good)", "var(--bg)"),
    "worse": Mark("var(--bad)", "var(--bg)"),
    "less": Mark("var(--idle-device)", "var(--on-light)"),
    "more": Mark("var(--idle-device)", "var(--on-light)", "/"),
    "total": Mark("var(--other)", "var(--on-dark)"),
}

# What the catalogue does not know (modules, memories) has the hue of all categories together: no
# colour then says a kernel category that is not meant. Shade and hatching tell it apart.
_SPARE = [
    Mark(f"var(--{token})", f"var(--{on})", hatch)
    for hatch in ("", "/", "x", ".", "\\")
    for token, on in (("series", "on-dark"), ("series-2", "on-light"), ("series-3", "bg"))
]


def mark(name: str, place: int = 0) -> Mark:
    """How `name` is drawn: a kernel category, a kind of time, a cause of idleness.

    An unknown name gets the mark of its `place` among its siblings. `own kernel` is drawn as
    `kernel`, `idle in GPU window` and `idle in wall time` as `idle`.
    """
    known = name.lower()
    plain = known.removeprefix("own ").removesuffix(" in gpu window").removesuffix(" in wall time")
    return MARKS.get(known) or MARKS.get(plain) or _SPARE[place % len(_SPARE)]


def resolve(value: object, *, dark: bool = False) -> object:
    """Plotly data with each `var(--token)` replaced by its colour, for where there is no page."""
    if isinstance(value, str):
        return TOKENS[value[4:-1]][dark] if value.startswith("var(--") else value
    if isinstance(value, dict):
        return {key: resolve(item, dark=dark) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, dark=dark) for item in value]
    return value


def css() -> str:
    """The tokens as CSS, light first, dark for those who prefer it; print is always light."""
    light = "".join(f"{name}:{pair[0]};" for name, pair in TOKENS.items())
    dark = "".join(f"{name}:{pair[1]};" for name, pair in TOKENS.items())
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif'

_AXIS: dict[str, object] = {
    "gridcolor": "var(--grid)",
    "zerolinecolor": "var(--line)",
    "linecolor": "var(--line)",
    "automargin": True,
    "title": {"font": {"size": 13}},
    "exponentformat": "none",
    "separatethousands": True,
}

# What every chart's layout starts from.
LAYOUT: dict[str, object] = {
    "font": {"family": FONT, "size": 13, "color": "var(--text)"},
    "paper_bgcolor": "var(--bg)",
    "plot_bgcolor": "var(--bg)",
    "bargap": 0.28,
    "dragmode": False,
    "margin": {"l": 56, "r": 14, "t": 10, "b": 44},
    "hoverlabel": {
        "align": "left",
        "namelength": -1,
        "bgcolor": "var(--panel)",
        "bordercolor": "var(--line)",
        "font": {"family": FONT, "size": 13, "color": "var(--text)"},
    },
    "xaxis": _AXIS,
    "yaxis": _AXIS,
}
