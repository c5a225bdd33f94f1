"""The page of one trace, or of several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit import files
from tracekit.answers.audit import Audit
from tracekit.answers.findings import Findings
from tracekit.answers.timeline import Timelines
from tracekit.answers.tree import Trees
from tracekit.records import replace
from tracekit.report import device_words, facts
from tracekit.report.html import page
from tracekit.report.html.page import Page, Source
from tracekit.report.html.section import HERO, Part, pictures, section, unanswered
from tracekit.report.one.overview import Overview, overview
from tracekit.results import answers, catalog
from tracekit.results.answers import Answers
from tracekit.results.unknown_work import device_kind

if TYPE_CHECKING:
    from tracekit.report.many.runs import Sums


def write(
    many: Sequence[Answers],
    path: str | Path,
    *,
    command: str = "",
    asked: bool = True,
    sums: Sums | None = None,
) -> Path:
    """Writes the page of these traces and says where it is.

    `asked` is off where nobody named `path`: the page of other traces keeps its name then.

    Raises: TracekitError where it cannot be written, or is one of the traces.
    """
    files.distinct(path, [one.path for one in many])
    own = render(many, command=command, sums=sums)
    return page.save(own, path, of=None if asked else _identity(many))


def _identity(many: Sequence[Answers]) -> str:
    sizes = [f"{one.source.bytes} {one.source.text_bytes}" for one in many if one.path == "-"]
    return facts.identity([*(one.path for one in many), *sizes])


def render(many: Sequence[Answers], *, command: str = "", sums: Sums | None = None) -> str:
    """The page as text. One trace: its answers. Several: side by side, trace by trace, as are
    the ranks of one file.
    """
    source = [*_sources(many), *page.made_by(command)]
    sides = answers.by_rank(many)
    known = [one for one in sides if not one.fault]
    if len(known) == 1:
        model = _single(known[0], source, [one for one in sides if one.fault])
    else:
        from tracekit.report.many import sections  # which is half as much as all of the report

        model = sections.model(sides, source, sums)
    return page.fill(replace(model, of=_identity(many)))


def _single(one: Answers, source: Sequence[Source], unread: Sequence[Answers]) -> Page:
    view, kind = overview(one), device_kind(one.source)
    lost = (f"{facts.file_name(o.path)} could not be read: {o.fault}" for o in unread)
    view = replace(view, notes=(*view.notes, *lost))
    tree = one.get(Trees)
    # the picture shows the slices that the timeline has in bins
    hidden = {Timelines.analysis} if tree is not None and pictures(tree) else frozenset()
    sections = [
        _undoubled(section(name, result, one.trust.get(name), gpu=one.gpu, kind=kind), view)
        for name, result in one.answers.items()
        if name not in HERO | hidden
    ]
    # the overview has its verdict; the whole of it comes after what it judges
    sections.sort(key=lambda own: own.name == Audit.analysis)
    return Page(
        title=facts.title(one.source),
        subtitle=facts.subtitle(one.source),
        overview=_with_findings(view, one),
        facts=facts.facts(one.source),
        sections=sections,
        unanswered=unanswered([one]),
        data={name: result.to_json() for name, result in one.answers.items()},
        source=source,
    )


def _undoubled(own: Part, view: Overview) -> Part:
    """The section without the charts that the overview has already."""
    kept = [chart for chart in own.charts if (own.name, chart.key) not in view.doubled]
    return replace(own, charts=kept)


def _with_findings(view: Overview, one: Answers) -> Overview:
    """All findings as a table too: the first screen says the first few."""
    found = one.get(Findings)
    if found is None:
        return view
    grids = catalog.analysis(Findings.analysis).tables(found)
    kept = tuple(grid for grid in grids if grid.rows or grid.note)
    if device_kind(one.source) != "GPU":
        kept = tuple(map(device_words.of_grid, kept))
    return replace(view, grids=(*view.grids, *kept))


def _sources(many: Sequence[Answers]) -> list[Source]:
    out: list[Source] = []
    for one in many:
        out.append(("trace", facts.file_name(one.path), True))
        if digest := facts.digest(one.path):
            out.append((*digest, True))
    return out
