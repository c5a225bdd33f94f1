"""The page over several traces: side by side first, then each analysis trace by trace.

A sum over traces is shown only where it means something (the ranks of one job, repeats of one run)
and says that it is one. Everything else stands trace by trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracekit.answers.audit import Audit
from tracekit.answers.stages import Stages
from tracekit.answers.timeline import Timelines
from tracekit.answers.tree import Trees
from tracekit.records import replace
from tracekit.report import facts
from tracekit.report.html.page import Page, Source
from tracekit.report.html.section import HERO, Part, Unanswered, pictures, section
from tracekit.report.html.section import unanswered as unanswered_of
from tracekit.report.many import mixed, overview
from tracekit.report.many.runs import FEW, Side, Sides, Sums, read
from tracekit.results import catalog, merging
from tracekit.results.answers import Answers
from tracekit.results.catalog import Analysis
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid, Result
from tracekit.results.unknown_work import device_kind
from tracekit.trace import run_facts

ROWS = 200  # of a table that holds all traces
ROWS_BYTES = 260_000  # of rows in the file, estimated: there are several traces in them
# rows of these are the same thing in every trace, and stand below one another
ALIKE = frozenset({"stage", "part", "phase", "direction"})


def model(many: Sequence[Answers], source: Sequence[Source], sums: Sums | None = None) -> Page:
    """The parts of the page. `sums` is what was added up elsewhere."""
    sides = read(many, sums)
    summed = added(sides)
    joined = {} if summed else joins(sides)
    gpu = any(side.one.gpu for side in sides)
    parts = mixed.read(sides)
    shown = mixed.shown(sides, parts)
    drawn = any(side.one.answers.get(Trees.analysis) for side in sides)
    hidden = {Timelines.analysis} if drawn else set()  # the pictures have its slices
    asked = [n for n in _order(sides) if n not in HERO | hidden]
    sections = [
        added_up(name, summed[name], sides, gpu=gpu) if name in summed
        else put_together(name, joined[name], sides, gpu=gpu) if name in joined
        else _of_some(by_trace(name, shown, gpu=gpu), shown, sides)
        for name in asked
    ]  # fmt: skip
    # what it judges comes first, as on one trace
    sections.sort(key=lambda own: own.name == Audit.analysis)
    data: dict[str, Any] = {
        name: (summed | joined)[name].to_json() if name in summed | joined
        else {"by_trace": {
            side.name: side.one.answers[name].to_json()
            for side in shown if name in side.one.answers
        }}
        for name in (*_order(sides), *HERO)
    }  # fmt: skip
    data["traces"] = [
        {"trace": side.name, "path": facts.file_name(side.one.path), "run": side.run.said,
         "answers": sorted(side.one.answers), "unanswered": dict(side.one.unanswered)}
        for side in shown
    ] + [
        {"trace": run_facts.stem(one.path), "path": facts.file_name(one.path), "error": one.fault}
        for one in sides.unread
    ]  # fmt: skip
    return Page(
        title=overview.title(sides),
        subtitle=overview.subtitle(sides),
        single=False,
        overview=overview.overview(sides, parts),
        sections=sections,
        unanswered=unanswered(sides),
        rows_bytes=ROWS_BYTES,
        data=data,
        source=source,
    )


def added(sides: Sides) -> dict[str, Result]:
    """The analyses that every trace answered and whose sum over these traces means something."""
    if not sides.adds_up:
        return {}
    known = sides.sums.get(tuple(side.one.path for side in sides), {})
    shared = set.intersection(*(set(side.one.answers) for side in sides))
    return {
        name: known[name]
        if name in known
        else merging.merged(
            catalog.analysis(name).merge, [side.one.answers[name] for side in sides]
        )
        for name in shared
        if catalog.analysis(name).adds_up and name not in HERO
    }


def joins(sides: Sequence[Side]) -> dict[str, Result]:
    """The analyses to which different runs are parts of one thing."""
    found = {}
    for name in _order(sides):
        parts = [side.one.answers[name] for side in sides if name in side.one.answers]
        result = catalog.analysis(name).join(parts) if len(parts) == len(sides) else None
        if result is not None:
            found[name] = result
    return found


def _order(sides: Sequence[Side]) -> list[str]:
    """Every analysis that some trace answered, in the order of the report."""
    names = {name for side in sides for name in side.one.answers}
    return sorted(names, key=lambda n: (catalog.analysis(n).order, n))


# ---------------------------------------------------------------- sections


def added_up(name: str, result: Result, sides: Sequence[Side], *, gpu: bool) -> Part:
    """A section of the sum over all traces, which says so."""
    own = section(name, result, gpu=gpu)
    said = f"Added up over all {len(sides)} traces."
    return replace(own, question=f"{own.question} {said}")


def put_together(name: str, result: Result, sides: Sequence[Side], *, gpu: bool) -> Part:
    """A section of what the traces say together, which says so."""
    own = section(name, result, gpu=gpu)
    said = f"{' and '.join(side.name for side in sides)} are read as one run."
    return replace(own, question=f"{own.question} {said}")


def _of_some(own: Part, shown: Sequence[Side], sides: Sequence[Side]) -> Part:
    """A section that says of which traces it is, where there are too many for a page."""
    if len(shown) == len(sides):
        return own
    names = ", ".join(side.name for side in shown)
    said = f"Of {len(sides)} traces these {len(shown)} are shown: {names}; --csv has all."
    return replace(own, question=f"{own.question} {said}")


def by_trace(name: str, sides: Sequence[Side], *, gpu: bool) -> Part:
    """A section with the charts of the first traces, each labelled, and tables of all of them."""
    entry = catalog.analysis(name)
    have = [(side, side.one.answers[name]) for side in sides if name in side.one.answers]
    drawn = have[:FEW]
    each = max(FEW // max(len(drawn), 1), 1)
    charts, folded = [], 0
    # the first screen has the stages of a few traces on one scale
    if name != Stages.analysis or len(sides) > FEW:
        for place, (side, result) in enumerate(drawn, 1):
            own = [chart for chart in entry.charts(result) if chart.data]
            folded += max(len(own) - each, 0)
            charts += [_labelled(chart, side.name, place) for chart in own[:each]]
    question = entry.question if gpu else entry.host_question or entry.question
    drawings = [
        one if device_kind(side.one.source) == "GPU" else one.of_device()
        for place, (side, result) in enumerate(drawn, 1)
        for one in pictures(result, side.name, place)
    ]  # fmt: skip
    return Part(
        name=name,
        title=entry.title,
        question=" ".join((question, *_said([*charts, *drawings], have, folded))),
        pictures=tuple(drawings),
        charts=charts,
        grids=together(entry, have),
        definitions=entry.definitions,
        gpu=gpu,
    )


def _said(charts: Sequence[object], have: Sequence[tuple[Side, Result]], folded: int) -> list[str]:
    """What is drawn, and where the rest is."""
    if len(have) == 1:
        return [f"Of {have[0][0].name} alone: the others cannot answer it."]
    said = ["Trace by trace, each chart on its own scale." if charts else "Trace by trace."]
    if charts and len(have) > FEW:
        names = ", ".join(side.name for side, _ in have[FEW : 2 * FEW])
        more = f" and {len(have) - 2 * FEW} more" if len(have) > 2 * FEW else ""
        said.append(
            f"Drawn are the first {FEW} of {len(have)} traces; to see {names}{more}, "
            "analyze them alone or name them first."
        )
    if folded:
        said.append("Further charts are on the page of each trace alone.")
    return said


def _labelled(chart: Chart, name: str, place: int) -> Chart:
    return replace(
        chart, key=f"{chart.key}-{place}", title=f"{name}: {chart.title}",
        summary=f"{name}: {chart.summary}",
    )  # fmt: skip


def together(entry: Analysis[Any], have: Sequence[tuple[Side, Result]]) -> list[Grid]:
    """The tables of each trace as one, a first column saying of which; columns met by label."""
    found: dict[str, list[tuple[str, Grid]]] = {}
    for side, result in have:
        for grid in entry.tables(result):
            if grid.rows or grid.note:
                found.setdefault(grid.key, []).append((side.name, grid))
    return [_joined(own, len(have)) for own in found.values()]


def _joined(own: Sequence[tuple[str, Grid]], traces: int) -> Grid:
    """One table of several, at most ROWS rows, shared evenly; a total becomes a row."""
    first = own[0][1]
    if traces == 1:
        return first
    columns: dict[tuple[str, int], Column] = {}
    placed = []
    for name, grid in own:
        seen: dict[str, int] = {}
        keys = []
        for column in grid.columns:
            seen[column.label] = seen.get(column.label, 0) + 1
            keys.append((column.label, seen[column.label]))
            columns.setdefault(keys[-1], column)
        placed.append((name, grid, keys))
    most = max(ROWS // len(own), 1)
    rows: list[tuple[Any, ...]] = []
    left: list[str] = []
    for name, grid, keys in placed:
        kept = [*grid.rows[:most], *([grid.total] if grid.total is not None else [])]
        for row in kept:
            cells = dict(zip(keys, row, strict=True))
            rows.append((name, *(cells.get(key) for key in columns)))
        if left_out := grid.left_out(most):
            left.append(f"{left_out:,} of {name}")
    if first.columns[0].label in ALIKE:
        totals = {grid.total[0] for _, grid in own if grid.total is not None}
        order = list(dict.fromkeys(row[1] for row in rows))
        rows.sort(key=lambda row: (row[1] in totals, order.index(row[1])))
    notes = _notes([(name, grid.note) for name, grid in own if grid.note])
    if left:
        notes.append(f"More rows are left out here ({', '.join(left)}); --csv has them.")
    titles = dict.fromkeys(grid.title for _, grid in own)
    return Grid(
        first.key, first.title if len(titles) == 1 else _common(list(titles), first.key),
        (Column("trace"), *columns.values()), rows, " ".join(notes),
        absent="– is not in that trace, or not measured.",
    )  # fmt: skip


def _common(titles: Sequence[str], key: str) -> str:
    """What titles that hold each trace's numbers begin with, to a whole word."""
    words = [title.split() for title in titles]
    same = []
    for row in zip(*words, strict=False):
        if len(set(row)) > 1:
            break
        same.append(row[0])
    return f"{' '.join(same).rstrip(',:;')}, trace by trace" if same else key.capitalize()


def _notes(notes: Sequence[tuple[str, str]]) -> list[str]:
    """Each note once, with the traces that it is of where it is not of all."""
    of: dict[str, list[str]] = {}
    for name, note in notes:
        of.setdefault(note, []).append(name)
    if len(of) == 1:
        return list(of)
    return [f"{', '.join(names)}: {note}" for note, names in of.items()]


# ---------------------------------------------------------------- what is not answered


def unanswered(sides: Sequence[Side]) -> list[Unanswered]:
    """What some trace did not answer, by reason, with the traces where it is not all of them."""
    rows = []
    for entry in unanswered_of([side.one for side in sides]):
        of = [side.name for side in sides if entry.reason in side.one.unanswered.values()]
        whose = "" if len(of) == len(sides) else overview.listed(of)
        rows.append(replace(entry, of=whose))
    return rows
