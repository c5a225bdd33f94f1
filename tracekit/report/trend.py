"""The page of a trend: what traces of a fleet say over time, or by label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tracekit.comparison.fleet import tables
from tracekit.comparison.fleet.cause import Cause
from tracekit.comparison.fleet.trend import Trend
from tracekit.report import facts, text
from tracekit.report.html.page import Page, fill, made_by, save
from tracekit.report.html.section import Part
from tracekit.report.one.overview import Overview
from tracekit.results import units
from tracekit.results.result import to_plain

SERIES = 6  # of a page; --json has all


def title(found: Trend) -> str:
    """The index, by name."""
    return f"Trend of {facts.file_name(found.index)}"


def subtitle(found: Trend) -> str:
    """How many traces, of how many kinds of work."""
    count = sum(len(one.points) for one in found.series)
    kinds = "one kind" if len(found.series) == 1 else f"{len(found.series):,} kinds"
    return f"{units.plural(count, 'trace')} by {found.by}, {kinds} of work"


def overview(found: Trend, causes: Sequence[Sequence[Cause]]) -> Overview:
    """What changed in each series first, and of the longest series the charts."""
    told = [
        f"{one.title}: {sentence}" if len(found.series) > 1 else sentence
        for one, own in zip(found.series, causes, strict=True)
        for sentence in tables.sentences(one, own)
    ]
    first = found.series[0]
    return Overview(
        notes=(*told, *found.notes),
        charts=tuple(tables.charts(found, first, 1)[:2]),
        grids=tuple(tables.grids(found, first, 1)[:1]),
        definitions=tables.DEFINITIONS,
    )


def markdown(found: Trend, causes: Sequence[Sequence[Cause]]) -> str:
    """What changed in each series, and its tables, for a pull request."""
    lines = [f"### {title(found)}", "", subtitle(found)]
    for place, (one, own) in enumerate(zip(found.series, causes, strict=True), 1):
        lines += ["", f"**{text.plain(one.title)}**: {units.plural(len(one.points), 'trace')}", ""]
        lines += [f"- {text.plain(sentence)}" for sentence in tables.sentences(one, own)]
        for grid in tables.grids(found, one, place):
            lines += ["", *text.titled(grid)]
    lines += ["", *(f"> {text.plain(note)}" for note in found.notes)] if found.notes else []
    return "\n".join(lines) + "\n"


def write_csv(found: Trend, folder: Path, *, inputs: Sequence[str], force: bool) -> list[Path]:
    """Every table of every series as trend-TABLE.csv, in raw units.

    Raises: TracekitError where the folder cannot be written, or holds what is no such table.
    """
    grids = [
        grid
        for place, one in enumerate(found.series, 1)
        for grid in tables.grids(found, one, place, most=None)
    ]
    return text.write_sheets(text.sheets(grids, folder, "trend"), inputs=inputs, force=force)


def write(
    found: Trend, causes: Sequence[Sequence[Cause]], path: Path, *, command: str, asked: bool
) -> Path:
    """Writes the page and says where it is. Raises: TracekitError where it cannot be written."""
    sections = []
    for place, one in enumerate(found.series[:SERIES], 1):
        lead = place == 1
        sections.append(Part(
            name=f"series-{place}", title=one.title, gpu=True, definitions={},
            question="What do its traces say, and since when another thing?",
            charts=tables.charts(found, one, place)[2 if lead else 0 :],
            grids=tables.grids(found, one, place)[1 if lead else 0 :],
        ))  # fmt: skip
    page = Page(
        title=title(found), subtitle=subtitle(found), single=False,
        of=facts.identity([found.index]), overview=overview(found, causes), sections=sections,
        data={"trend": found.to_json(), "causes": to_plain(causes)},
        source=[("index", facts.file_name(found.index), True), *made_by(command)],
    )  # fmt: skip
    return save(fill(page), path, of=None if asked else facts.identity([found.index]))
