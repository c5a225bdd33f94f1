"""Answers to one self-contained HTML page."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.files import writing
from tracekit.report import facts
from tracekit.report.html import plotly, tables
from tracekit.report.html.tables import HtmlTable
from tracekit.report.one.overview import STAGE_BAR, Overview, Verdict, has_gpu, overview
from tracekit.results import catalog, engine
from tracekit.results.engine import Answers
from tracekit.results.figures import Chart, marks, theme
from tracekit.results.figures.theme import Mark
from tracekit.results.result import Grid, Result
from tracekit.results.trust import Trust
from tracekit.version import __version__

if TYPE_CHECKING:
    from jinja2 import Template

NODES = 2200  # table cells that are shown at first, over the whole page
BYTES = 1_900_000  # of a page; what follows shrinks until it fits
ROWS_BYTES = 380_000  # of rows in the file, estimated
DATA_BYTES = 300_000  # of embedded answers; charts hold their own data
# control characters that a name may hold are no HTML; in embedded JSON they are escaped anyway
VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"}
SERIES = 400  # numbers in order, such as one a bin: half of them would be another total
HERO = frozenset({"findings"})  # shown in the overview, not as sections


Part = tuple[str, list[Chart], list[Grid], dict[str, Any]]  # a section before it is drawn


@dataclass(frozen=True, slots=True)
class Figure:
    id: str
    title: str
    label: str
    height: int
    legend: tuple[Mapping[str, str], ...]
    switch: str
    zoom: bool
    json: str
    waiting: str = "This chart is drawn by a script; the table holds the same numbers."


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    title: str
    question: str
    trust: Verdict | None
    silent: tuple[str, ...]  # tables in which every number is zero or not measured
    figures: tuple[Figure, ...]
    open: tuple[HtmlTable, ...]
    closed: tuple[HtmlTable, ...]  # folded under their titles
    definitions: tuple[tuple[str, str], ...]


def write(many: Sequence[Answers], path: str | Path, *, command: str = "") -> Path:
    """Writes the page of these traces and says where it is.

    Raises: TracekitError where it cannot be written.
    """
    text = render(many, command=command)
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def render(many: Sequence[Answers], *, command: str = "") -> str:
    """The page as text. One trace: its answers. Several: side by side, trace by trace."""
    if len(many) == 1:
        model = _single(many[0])
    else:
        from tracekit.report.many import sections as several

        model = several.model(many)
    model["command"] = command
    model["source"] = [*_sources(many), *made_by(command)]
    return fill(model)


def fill(model: dict[str, Any]) -> str:
    """The template with a page's parts: title, subtitle, overview, sections, data, source …

    Rows and embedded answers give way until the page is at most BYTES.
    """
    text = ""
    for part in (1.0, 0.6, 0.35, 0.2, 0.1):
        text = _filled(model, part).translate(VISIBLE)
        if len(text.encode()) <= BYTES:
            break
    return text


def _filled(model: dict[str, Any], part: float) -> str:
    view: Overview = model["overview"]
    sections: list[Part] = model["sections"]
    beside = [view.beside] if view.beside else []
    grids = [*view.grids, *beside, *(g for _, _, own, _ in sections for g in own)]
    rows = int(model.get("rows_bytes", ROWS_BYTES) * part)
    # folded tables of a section are made when they are unfolded, and cost nothing before
    there = [*view.grids, *beside, *(g for name, _, own, _ in sections for g in _open(name, own))]
    first, most = tables.spread(there, NODES), _most(grids, rows)
    data = within(model["data"], int(DATA_BYTES * part))

    def made(section: str, own: Sequence[Grid]) -> tuple[HtmlTable, ...]:
        return tuple(safe_table(tables.html_table(section, g, first, most)) for g in own)

    shown = [
        Section(
            name=name,
            title=about["title"],
            question=about["question"],
            trust=about.get("trust"),
            silent=tuple(about.get("silent", ())),
            figures=tuple(figure(name, chart) for chart in charts),
            open=made(name, [g for g in own if g in _open(name, own)]),
            closed=made(name, [g for g in own if g not in _open(name, own)]),
            definitions=tuple(_definitions(about["definitions"], own, gpu=about["gpu"])),
        )
        for name, charts, own, about in sections
    ]
    has_charts = bool(view.charts) or any(s.figures for s in shown)
    nav = [("overview", "Overview"), *((s.name, s.title) for s in shown)]
    if model.get("unanswered"):
        nav.append(("unanswered", "Not answered"))
    nav.append(("source", "About this page"))
    return _template().render(
        version=__version__,
        title=model["title"],
        subtitle=model["subtitle"],
        single=model.get("single", True),
        fold=model.get("single", True),
        leaks=view.leaks,
        nav=nav,
        tokens=safe(theme.css()),
        css=safe(_asset("page.css")),
        js=safe(_asset("page.js")),
        verdicts=view.verdicts,
        notes=view.notes,
        tiles=view.tiles,
        findings=view.findings,
        overview_figures=[figure("overview", chart) for chart in view.charts],
        limits=view.limits,
        beside=made("overview", beside),
        overview_tables=made("overview", view.grids),
        definitions=_definitions(view.definitions, [*view.grids, *beside]),
        facts=model.get("facts", ()),
        sections=shown,
        unanswered=model.get("unanswered", ()),
        source=model["source"],
        data=[(f"tk-{name}", safe(embedded(value))) for name, value in data.items()],
        theme=safe(embedded({"tokens": theme.TOKENS, "layout": theme.LAYOUT})),
        plotly=safe(plotly.packed() if has_charts else ""),
    )


def _open(name: str, grids: Sequence[Grid]) -> list[Grid]:
    """The tables of a section that are not folded: the first two, and the one of its name."""
    return [g for place, g in enumerate(grids) if place < 2 or g.key == name]


# ---------------------------------------------------------------- one trace


def _single(one: Answers) -> dict[str, Any]:
    answers = {name: result.to_json() for name, result in one.answers.items()}
    gpu = has_gpu(answers)
    view = overview(one)
    sections = [
        section(name, result, one.trust.get(name), gpu=gpu)
        for name, result in one.answers.items()
        if name not in HERO
    ]
    # the overview has its verdict; the whole of it comes after what it judges
    sections = [_undoubled(own, view, gpu=gpu) for own in sections]
    sections.sort(key=lambda own: own[0] == "audit")
    return {
        "title": facts.title(one.source),
        "subtitle": facts.subtitle(one.source),
        "overview": _with_findings(view, one),
        "facts": facts.facts(one.source),
        "sections": sections,
        "unanswered": unanswered([one]),
        "data": answers,
    }


def _undoubled(own: Part, view: Overview, *, gpu: bool) -> Part:
    """The section of the stages without the chart that the overview has already."""
    name, charts, grids, about = own
    if name != "stages" or not any(chart.key == STAGE_BAR for chart in view.charts):
        return own
    double = "launched" if "by launch" in view.charts[0].title and gpu else "stages"
    kept = [chart for chart in charts if chart.key != double]
    return name, kept, grids, about


def _with_findings(view: Overview, one: Answers) -> Overview:
    """All findings as a table too: the first screen says the first few."""
    if "findings" not in one.answers:
        return view
    grids = catalog.analysis("findings").tables(one.answers["findings"])
    kept = tuple(grid for grid in grids if grid.rows or grid.note)
    return dataclasses.replace(view, grids=(*view.grids, *kept))


def section(name: str, result: Result, trust: Trust | None = None, *, gpu: bool = True) -> Part:
    """An analysis as a section: its charts that draw something, its tables that have rows."""
    entry = catalog.analysis(name)
    charts = [chart for chart in entry.charts(result) if marks(chart) > 1]
    grids = [grid for grid in entry.tables(result) if grid.rows or grid.note]
    silent = [grid.title for grid in grids if tables.says_nothing(grid)]
    grids = [grid for grid in grids if not tables.says_nothing(grid)]
    about = {
        "title": entry.title,
        "question": entry.question if gpu else entry.host_question or entry.question,
        "definitions": entry.definitions,
        "gpu": gpu,
        "trust": trusted(trust),
        "silent": silent,
    }
    return name, charts, grids, about


_DEVICE = re.compile(
    r"\b(?:GPUs?|kernels?|memcpy|memset|streams?|devices?|launch\w*)\b", re.IGNORECASE
)


def host_only(definitions: Mapping[str, str]) -> dict[str, str]:
    """The definitions that mean something on a trace without device events."""
    return {
        name: text for name, text in definitions.items() if not _DEVICE.search(f"{name} {text}")
    }


def trusted(trust: Trust | None) -> Verdict | None:
    """The audit's word on one answer, where it is not simply trusted."""
    if trust is None or trust.verdict == "trusted":
        return None
    count = len(trust.why)
    text = f"for {count} reason{'s' if count > 1 else ''} that the audit found." if count else ""
    level = "bad" if trust.verdict == "refused" else "warn"
    return Verdict(level, trust.verdict.capitalize(), text, "audit")


def unanswered(many: Sequence[Answers]) -> list[dict[str, Any]]:
    """What was not answered, by reason; titles instead of names."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for one in many:
        for name, reason in one.unanswered.items():
            names = by_reason.setdefault((reason, one.hints.get(name, "")), [])
            title = catalog.analysis(name).title
            if title not in names:
                names.append(title)
    return [
        {"names": ", ".join(names), "reason": reason, "hint": hint, "one": len(names) == 1}
        for (reason, hint), names in by_reason.items()
    ]


def _sources(many: Sequence[Answers]) -> list[tuple[str, str, bool]]:
    out: list[tuple[str, str, bool]] = []
    for one in many:
        digest = facts.sha256(one.path)
        out.append(("trace", facts.file_name(one.path), True))
        if digest:
            out.append(("sha256", digest, True))
    return out


def made_by(command: str) -> list[tuple[str, str, bool]]:
    """tracekit's version and the command line that made the page."""
    made = [("tracekit", __version__, False)]
    return [*made, ("made by", command, True)] if command else made


# ---------------------------------------------------------------- pieces


def figure(section: str, chart: Chart) -> Figure:
    """A chart as the page holds it: its JSON under the id `tk-SECTION-KEY`."""
    meta = chart.layout.get("meta") or {}
    items = tuple(
        {"name": name, "swatch": safe(_key(colour, hatch))}
        for name, colour, hatch in meta.get("legend", ())
    )
    table = "; the table below holds the same numbers" if chart.table else ""
    summary = chart.summary.rstrip(".") or chart.title
    return Figure(
        id=f"tk-{section}-{chart.key}",
        title=chart.title,
        label=f"{summary}{table}.",
        height=int(chart.layout.get("height", 280)),
        legend=items if len(items) > 1 else (),
        switch=meta.get("switch", ""),
        zoom=chart.layout.get("dragmode") == "zoom",
        json=safe(embedded({"data": chart.data, "layout": chart.layout})),
    )


def _key(colour: str, hatch: str) -> str:
    if hatch.startswith("symbol-"):
        shapes = {"symbol-diamond-open": "open", "symbol-circle": "round", "symbol-line": "line"}
        shape = shapes.get(hatch, "")
        return f'<i class="sw {shape}" style="--c:{colour}"></i>'
    return tables.swatch(Mark(colour, "", hatch))


def _definitions(
    own: Mapping[str, str], grids: Sequence[Grid], *, gpu: bool = True
) -> list[tuple[str, str]]:
    """The section's definitions, then those of columns that say more."""
    out = dict(own)
    for grid in grids:
        for column in grid.columns:
            if column.definition and column.definition not in out.values():
                out.setdefault(column.label, column.definition)
    return list((out if gpu else host_only(out)).items())


def _most(grids: Sequence[Grid], limit: int) -> int:
    """How many rows of each table the file may hold, all tables together within `limit` bytes."""
    most = tables.MOST
    while most > 12:
        size = sum(
            sum(12 + len(str(v)) if isinstance(v, str) else 22 for v in row)
            for grid in grids for row in grid.rows[:most]
        )  # fmt: skip
        if size <= limit:
            break
        most = most * 3 // 4
    return most


def within(answers: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """The answers, lists of the largest cut until all together are at most `limit` bytes."""
    most = dict.fromkeys(answers, 200)
    out = {name: cut(value, 200) for name, value in answers.items()}
    size = {name: len(embedded(value)) for name, value in out.items()}
    while sum(size.values()) > limit and max(most.values()) > 4:
        largest = max((n for n in size if most[n] > 4), key=lambda n: size[n])
        most[largest] = most[largest] * 2 // 3
        out[largest] = cut(answers[largest], most[largest])
        size[largest] = len(embedded(out[largest]))
    return out


def cut(value: Any, most: int) -> Any:
    """JSON with every list at most `most` long; what was cut is counted beside it.

    Series of numbers stay whole, up to SERIES of them.
    """
    if isinstance(value, Mapping):
        out = {key: cut(item, most) for key, item in value.items()}
        long = {k: len(v) - len(out[k]) for k, v in value.items() if isinstance(v, list)}
        long = {key: count for key, count in long.items() if count}
        return {**out, "left_out": long} if long else out
    if isinstance(value, list):
        series = all(item is None or isinstance(item, int | float) for item in value)
        return [cut(item, most) for item in value[: max(most, SERIES) if series else most]]
    return value


def embedded(value: Any) -> str:
    """JSON that may stand inside a <script>: no `<` in it ends the element or opens a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def safe(markup: str) -> Any:
    """Marks text that is markup of ours as such; everything else is escaped by the template."""
    from markupsafe import Markup

    return Markup(markup)


def coded(text: str) -> Any:
    """Escaped text, with what stands between backticks as code."""
    from markupsafe import escape

    return safe(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def safe_table(table: HtmlTable) -> HtmlTable:
    return dataclasses.replace(
        table, first=safe(table.first), rest=safe(table.rest), total=safe(table.total)
    )


def _asset(name: str) -> str:
    return (files("tracekit.report.html") / "assets" / name).read_text(encoding="utf-8")


def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    env = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    env.filters["coded"] = coded
    source = (files("tracekit.report.html") / "page.html.j2").read_text(encoding="utf-8")
    return env.from_string(source)


__all__ = ["embedded", "engine", "fill", "render", "section", "write"]
