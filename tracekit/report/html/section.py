"""A section of a page before it is drawn, and what was not answered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tracekit.answers.findings import Findings
from tracekit.answers.tree import Trees
from tracekit.patterns import later
from tracekit.records import Record, replace
from tracekit.report import device_words, facts
from tracekit.report.html import picture, tables
from tracekit.report.html.picture import Picture
from tracekit.results import catalog
from tracekit.results.answers import Answers
from tracekit.results.figures import Chart, marks
from tracekit.results.first_screen import Verdict
from tracekit.results.result import Grid, Result
from tracekit.results.trust import Trust
from tracekit.results.unknown_work import device_kind, neutral

HERO = frozenset({Findings.analysis})  # shown in the overview, not as sections


class Part(Record, frozen=True, kw_only=True):
    """A section before it is drawn."""

    name: str
    title: str
    question: str
    charts: Sequence[Chart]
    grids: Sequence[Grid]
    definitions: Mapping[str, str]
    gpu: bool = True  # else definitions of what a device does are left out
    trust: Verdict | None = None  # where the answer is not simply trusted
    silent: tuple[str, ...] = ()  # tables in which every number is zero or not measured
    pictures: tuple[Picture, ...] = ()


class Unanswered(Record, frozen=True):
    """Analyses that a trace could not answer for one reason."""

    titles: tuple[str, ...]
    reason: str
    hint: str  # what would let it be answered
    of: str = ""  # the traces, where not all

    @property
    def names(self) -> str:
        return ", ".join(self.titles) + (f" ({self.of})" if self.of else "")

    @property
    def one(self) -> bool:
        """Whether it is a single analysis."""
        return len(self.titles) == 1


def section(
    name: str, result: Result, trust: Trust | None = None, *, gpu: bool = True, kind: str = "GPU"
) -> Part:
    """An analysis as a section: its charts that draw something, its tables that have rows.

    `kind` is the device's: of no GPU, our own words say device.
    """
    own = _section(name, result, trust, gpu)
    return own if kind == "GPU" else _of_device(own)


def _of_device(own: Part) -> Part:
    return replace(
        own,
        title=neutral(own.title),
        question=neutral(own.question),
        charts=[device_words.of_chart(chart) for chart in own.charts],
        grids=[device_words.of_grid(grid) for grid in own.grids],
        definitions=device_words.of_definitions(own.definitions),
        silent=tuple(map(neutral, own.silent)),
        pictures=tuple(one.of_device() for one in own.pictures),
    )


def _section(name: str, result: Result, trust: Trust | None, gpu: bool) -> Part:
    entry = catalog.analysis(name)
    grids = [grid for grid in entry.tables(result) if grid.rows or grid.note]
    return Part(
        name=name,
        title=entry.title,
        question=entry.question if gpu else entry.host_question or entry.question,
        charts=[chart for chart in entry.charts(result) if marks(chart) > 1],
        grids=[grid for grid in grids if not tables.says_nothing(grid)],
        definitions=entry.definitions,
        gpu=gpu,
        trust=trusted(trust),
        silent=tuple(grid.title for grid in grids if tables.says_nothing(grid)),
        pictures=pictures(result),
    )


def pictures(result: Result, of: str = "", place: int = 0) -> tuple[Picture, ...]:
    """Of a tree that was made with its slices; `of` and `place` where there are several traces."""
    if not isinstance(result, Trees):
        return ()
    key = f"picture-{place}" if place else "picture"
    made = (
        picture.of_tree(row, facts.file_name(row.path), key=key, of=of) for row in result.rows[:1]
    )
    return tuple(one for one in made if one is not None)


_DEVICE = later(r"\b(?:GPUs?|kernels?|memcpy|memset|streams?|devices?|launch\w*)\b", re.IGNORECASE)


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


def unanswered(many: Sequence[Answers]) -> list[Unanswered]:
    """What was not answered, by reason; titles instead of names."""
    by_reason: dict[tuple[str, str], dict[str, None]] = {}
    for one in many:
        said = str if device_kind(one.source) == "GPU" else neutral
        for name, reason in one.unanswered.items():
            titles = by_reason.setdefault((said(reason), said(one.hints.get(name, ""))), {})
            titles[said(catalog.analysis(name).title)] = None
    return [Unanswered(tuple(titles), *why) for why, titles in by_reason.items()]
