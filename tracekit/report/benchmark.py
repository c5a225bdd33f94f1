"""A benchmark's tables and charts as one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tracekit.records import Record
from tracekit.report.html.page import Page, fill, save
from tracekit.report.one.overview import Overview
from tracekit.results.figures import Chart
from tracekit.results.first_screen import KeyNumber, Verdict
from tracekit.results.result import Grid
from tracekit.version import __version__


class About(Record, frozen=True):
    """What ran, where and when."""

    title: str
    device: str
    finished: str
    command: str
    facts: Sequence[tuple[str, str]]  # of the model, its options and the machine
    data: Mapping[str, object]  # what the page embeds
    headline: str = ""
    verdict: Verdict | None = None
    notes: tuple[str, ...] = ()
    tiles: tuple[KeyNumber, ...] = ()


def write(
    path: Path,
    about: About,
    grids: Sequence[Grid],
    charts: Sequence[Chart],
    definitions: Mapping[str, str],
) -> Path:
    """Writes the page of a benchmark. Raises: TracekitError where it cannot be written."""
    page = Page(
        title=f"{about.title}, benchmark",
        subtitle=f"{about.device} · {about.finished} · no profiler near",
        overview=Overview(
            headlines=tuple(filter(None, [about.headline])),
            verdicts=tuple(filter(None, [about.verdict])),
            notes=about.notes,
            tiles=about.tiles,
            charts=tuple(charts),
            opened=tuple(grids[:1]),
            grids=tuple(grids[1:]),
            definitions=dict(definitions),
        ),
        facts=list(about.facts),
        sections=[],
        source=[("tracekit", __version__, False), ("made by", about.command, True)],
        data={"bench": dict(about.data)},
    )
    return save(fill(page), path)
