"""The first screen: the parts that the analyses add to it, in their order, and what to do first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import field

from tracekit.answers.findings import Finding as Claim
from tracekit.answers.findings import Findings
from tracekit.records import Record, replace
from tracekit.report import device_words
from tracekit.report.one.headline import headline
from tracekit.results import catalog, units
from tracekit.results.engine import Answers
from tracekit.results.figures import Chart
from tracekit.results.first_screen import FirstScreen, KeyNumber, Verdict, sentence
from tracekit.results.result import Grid, Result
from tracekit.results.unknown_work import device_kind, neutral, other_device, unknown
from tracekit.trace.capture_facts import captured, caution

FIRST = 3  # findings; all are in their table
NOTHING = 0.02  # of what it would save at most


class Finding(Record, frozen=True):
    """A finding as the first screen says it."""

    claim: str
    saves: str = ""
    todo: str = ""
    link: str = ""
    link_text: str = ""
    kind: str = ""  # what it claims, as data


class Overview(Record, frozen=True):
    """All that the top of a page, and the terminal, say of one trace."""

    headlines: tuple[str, ...] = ()  # the biggest thing, a sentence a trace
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    tiles: tuple[KeyNumber, ...] = ()
    limits: tuple[str, ...] = ()  # what prefill and decode spend their time on, a sentence each
    findings: tuple[Finding, ...] = ()
    charts: tuple[Chart, ...] = ()
    opened: tuple[Grid, ...] = ()  # such as what costs most in prefill and in decode
    grids: tuple[Grid, ...] = ()  # folded under their titles
    leaks: str = ""  # what to see to before the trace is shared
    definitions: Mapping[str, str] = field(default_factory=dict)
    doubled: frozenset[tuple[str, str]] = frozenset()  # (analysis, chart) that `charts` stand for


def overview(one: Answers, most: int | None = FIRST) -> Overview:
    """The first screen of one trace, with the first `most` findings; None: all."""
    drawn = [(name, own) for name, part, result in _parts(one) for own in part.charts(result, one)]
    listed = [own for _, part, result in _parts(one) for own in part.grids(result, one)]
    said = tuple(verdicts(one))
    view = Overview(
        headlines=tuple(filter(None, [headline(one)])),
        verdicts=said,
        # once is enough, where the verdict says it
        notes=tuple(note for note in cautions(one) if not any(_same(note, v) for v in said)),
        tiles=tuple(key_numbers(one)),
        limits=tuple(limits(one)),
        findings=tuple(findings(one, most)),
        charts=tuple(own.chart for _, own in drawn),
        opened=tuple(own.grid for own in listed if not own.folded),
        grids=tuple(own.grid for own in listed if own.folded),
        leaks=leaks(one),
        definitions=words(one),
        doubled=frozenset((name, own.instead_of) for name, own in drawn if own.instead_of),
    )
    return view if device_kind(one.source) == "GPU" else _of_device(view)


def _same(note: str, verdict: Verdict) -> bool:
    """Whether a verdict says all that a note does, however it is cut into sentences."""
    own, whole = (re.sub(r"\W+", " ", text).strip().lower() for text in (note, verdict.whole))
    return own in whole


def _of_device(view: Overview) -> Overview:
    """The same in the words of a device that is no GPU."""
    return replace(
        view,
        verdicts=tuple(
            replace(own, text=neutral(own.text), more=neutral(own.more)) for own in view.verdicts
        ),
        tiles=tuple(map(device_words.of_number, view.tiles)),
        limits=tuple(map(neutral, view.limits)),
        findings=tuple(
            replace(own, claim=neutral(own.claim), todo=neutral(own.todo),
                    link_text=neutral(own.link_text))
            for own in view.findings
        ),
        charts=tuple(map(device_words.of_chart, view.charts)),
        opened=tuple(map(device_words.of_grid, view.opened)),
        grids=tuple(map(device_words.of_grid, view.grids)),
        definitions=device_words.of_definitions(view.definitions),
    )  # fmt: skip


def _parts(one: Answers) -> list[tuple[str, FirstScreen[Any], Result]]:
    """What each analysis adds, with its name and its result, in order."""
    found = [
        (part.order, name, part, result) for name, result in one.answers.items()
        if (part := catalog.analysis(name).first_screen) is not None
    ]  # fmt: skip
    return [(name, part, result) for _, name, part, result in sorted(found, key=lambda p: p[:2])]


def verdicts(one: Answers) -> Iterator[Verdict]:
    """How far the trace may be trusted."""
    for _, part, result in _parts(one):
        yield from part.verdicts(result, one)


def key_numbers(one: Answers) -> Iterator[KeyNumber]:
    """The few large numbers."""
    for _, part, result in _parts(one):
        yield from part.key_numbers(result, one)


def limits(one: Answers) -> Iterator[str]:
    """A sentence on each thing that the analyses remark on, such as a stage."""
    remarks: dict[str, list[str]] = {}
    for _, part, result in _parts(one):
        for remark in part.remarks(result, one):
            remarks.setdefault(remark.on, []).append(remark.said)
    return (f"{on}: {'; '.join(said)}." for on, said in remarks.items())


def words(one: Answers) -> dict[str, str]:
    """What the words of the first screen mean."""
    found: dict[str, str] = {}
    for _, part, result in _parts(one):
        found |= part.words(result)
    return found


def notes(one: Answers) -> Iterable[str]:
    """What a reader must know of a trace, what it gives away included."""
    yield from cautions(one)
    yield from filter(None, [leaks(one)])


def cautions(one: Answers) -> Iterable[str]:
    """What a reader must know before any number."""
    run = captured(one.source)
    if run is not None:
        yield from filter(
            None, [caution(run.title or run.model or "", run.size, run.random_weights)]
        )
    if one.source.snapshot is not None:
        yield "This is a memory snapshot: it says what was allocated and by what, not what ran."
    elif not one.gpu and one.source.losses:
        known = "" if one.source.unknown else " Every time here is CPU time."
        yield (
            "No GPU event is in what could be read of this file, which is damaged: GPU work may be "
            f"in the part that is lost.{known}"
        )
    elif not one.gpu and one.source.unknown:
        yield "No work of a device that tracekit knows is in this file."
    elif not one.gpu:
        yield "This trace has CPU events only: every time here is CPU time."
    yield from filter(None, [unknown(one.source), other_device(one.source) if one.gpu else None])
    for loss in one.source.losses:
        where = "" if loss.at_byte is None else f" at byte {loss.at_byte:,}"
        events = (
            f", at least {units.plural(loss.events_lost, 'event')} lost" if loss.events_lost else ""
        )
        yield f"Part of the file could not be used: {loss.what}{where}{events}."


def leaks(one: Answers) -> str:
    """What the trace file gives away of a machine and its owner; empty where nothing was found."""
    if not one.leaks:
        return ""
    found = ", ".join(f"{count:,} × {kind}" for kind, count in one.leaks.items())
    return f"The trace file (not this page) carries {found}: see to it before you share it."


def findings(one: Answers, most: int | None = FIRST) -> Iterator[Finding]:
    """What to do, in the order of what it saves; all are in the table."""
    found = one.get(Findings)
    for row in found.rows[:most] if found is not None else ():
        # the claim names its share and what it is of
        said = saving(row)
        doubt = "" if row.trust != "degraded" else " Rests on an answer that is degraded."
        link = next((name for name in row.rests_on if name in one.answers), "")
        yield Finding(
            sentence(row.what), said, f"{sentence(row.do)}{doubt}", link,
            f"See {_within(catalog.analysis(link).title)}" if link else "", row.kind,
        )  # fmt: skip


def saving(row: Claim) -> str:
    """What it saves: by a replay where there is one, else at most; empty where nobody can say."""
    bound = row.saves_ns if row.saves_at_most_ns is None else row.saves_at_most_ns
    if not bound:
        return ""
    most = f"at most {units.duration(bound)}"
    told = row.replayed
    if told is None:
        return f"Saves {most}."
    low, high = units.duration(told.low_ns), units.duration(told.high_ns)
    if told.high_ns < NOTHING * bound:
        return f"Simulated, it saves next to nothing alone; {most}."
    if told.predicted_ns is None:
        return f"Simulated, it saves {low} to {high}; {most}."
    around = "" if low == high else f" ({low} to {high})"
    predicted = units.duration(told.predicted_ns)
    alike = predicted == units.duration(bound)
    said = f"Simulated, it saves {predicted}{around}"
    return f"{said}." if alike else f"{said}; {most}."


def _within(title: str) -> str:
    """A title inside a sentence: GPU stays GPU."""
    return f"{title[:1].lower()}{title[1:]}"
