"""Several traces on one first screen: what differs, the large numbers as ranges, what to do.

Nothing here adds traces up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tracekit.answers.devices import BUSY, IDLE, WINDOW
from tracekit.answers.findings import Finding as Row
from tracekit.answers.findings import Findings
from tracekit.answers.stages import WALL
from tracekit.answers.tokens import TPOT, TTFT
from tracekit.records import Record, replace
from tracekit.report.many import job as jobs
from tracekit.report.many import mixed, pairs, run_charts, runs, trace_tables
from tracekit.report.many.job import Job
from tracekit.report.many.mixed import Part
from tracekit.report.many.runs import COLUMNS, FEW, Measures, Side, Sides
from tracekit.report.many.trace_tables import DEVICES
from tracekit.report.one.overview import (
    Finding,
    Overview,
    cautions,
    findings,
    leaks,
    limits,
    verdicts,
    words,
)
from tracekit.results import units
from tracekit.results.first_screen import KeyNumber, Verdict
from tracekit.results.result import Grid
from tracekit.trace import run_facts
from tracekit.trace.run_facts import RunFacts

NARROW = "\u00a0"  # a number and its unit stay together
NAMED = 6  # ranks that a sentence names
ACTIONS = 3  # on the first screen, or one a trace


def title(many: Sides) -> str:
    """What the traces are together."""
    return mixed.title(many, mixed.read(many))


def subtitle(many: Sequence[Side]) -> str:
    """The names of the traces; of many the first."""
    names = [side.name for side in many]
    more = f" · and {len(names) - 12} more, in the table of traces" if len(names) > 12 else ""
    return " · ".join(names[:12]) + more


def to_json(many: Sides) -> dict[str, Any]:
    """What stands side by side, for programs: see docs/json.md."""
    parts = mixed.read(many)
    view = overview(many, parts)
    return {
        **mixed.to_json(many, parts),
        "names": [side.name for side in many],
        "one_job": many.one_job,
        "adds_up": many.adds_up,
        "notes": list(view.notes),
        "sentences": list(view.limits),
        "tables": {grid.key: grid.to_json() for grid in view.grids},
    }


def brief(view: Overview) -> Overview:
    """The same for text, where the first findings stand as sentences: without their table."""
    return replace(view, grids=tuple(g for g in view.grids if g.key != "findings"))


def overview(many: Sides, parts: Sequence[Part] | None = None) -> Overview:
    """What the traces have in common and where they differ. `parts` as `mixed.read` gives them."""
    parts = mixed.read(many) if parts is None else parts
    own = mixed.shown(many, parts)
    # of ranks the heat maps say it, step by step
    stepped = len(many) > FEW and any(part.job.steps is not None for part in parts)
    charts = (
        *mixed.charts(parts), None if stepped else run_charts.stage_chart(many),
        run_charts.latency_chart(many), run_charts.cost_chart(many),
    )  # fmt: skip
    grids = _grids(many, parts, own)
    return Overview(
        headlines=tuple(mixed.headlines(many, parts)),
        verdicts=tuple(_verdicts(many)),
        notes=(*mixed.notes(many, parts), *_notes(many)),
        leaks=" ".join(f"{s.name}: {said}" for s in many if (said := leaks(s.one))),
        tiles=tuple(_key_numbers(many)),
        limits=tuple(_limits(many, parts)),
        findings=tuple(_findings(many, parts)),
        charts=tuple(c for c in charts if c and c.data),
        grids=tuple(g for g in grids if g and g.rows),
        definitions={word: said for s in many for word, said in words(s.one).items()},
    )


def _grids(many: Sides, parts: Sequence[Part], own: Sequence[Side]) -> list[Grid | None]:
    """The tables: of `own` where they have a row or a column a trace."""
    each = [
        trace_tables.totals(own, many.unread),
        trace_tables.stage_means(own),
        trace_tables.costs(own),
        trace_tables.first_findings(own),
    ]
    return [
        *mixed.grids(many, parts),
        *_of_some(many, own, each),
        trace_tables.what_ran(many),
    ]


def whole(many: Sides) -> list[Grid]:
    """The same tables of every trace, however many, and every step of every rank."""
    parts = [replace(part, job=jobs.whole(part.job)) for part in mixed.read(many)]
    every = [*_grids(many, parts, many), *mixed.every_step(parts)]
    return [grid for grid in every if grid is not None and grid.rows]


def _of_some(
    many: Sequence[Side], own: Sequence[Side], grids: Sequence[Grid | None]
) -> list[Grid | None]:
    """The tables, with a note where they are of some of the traces."""
    if len(own) == len(many):
        return list(grids)
    said = f"Of {len(many)} traces these {len(own)} are shown; --csv has all."
    return [g and replace(g, note=f"{g.note} {said}".strip()) for g in grids]


# ---------------------------------------------------------------- what a reader must know


def _verdicts(many: Sequence[Side]) -> Iterable[Verdict]:
    """The audit's word on each trace that is not simply trusted; one line for the others."""
    said = [(side.name, verdict) for side in many for verdict in verdicts(side.one)]
    alike: dict[Verdict, list[str]] = {}
    for name, verdict in said:
        if verdict.level:
            alike.setdefault(verdict, []).append(name)
    # the worst first, then those of most traces
    odd = sorted(alike.items(), key=lambda own: (own[0].level != "bad", -len(own[1])))
    for verdict, names in odd[:FEW]:
        text = f"{listed(names)}: {verdict.text}"
        yield replace(verdict, text=text, link="audit")
    if rest := [name for _, names in odd[FEW:] for name in names]:
        yield Verdict("warn", "Also not trusted fully", f"{listed(rest)}.", "audit")
    fine = [name for name, verdict in said if not verdict.level]
    if fine:
        whose = "Every trace" if len(fine) == len(many) else listed(fine)
        yield Verdict("", "Trusted", f"{whose}, by every check that changes a number.", "audit")


def listed(names: Sequence[str]) -> str:
    """Names with commas between; of many the first, how many more, and where those are."""
    more = (
        f" and {len(names) - COLUMNS} more of the table of traces" if len(names) > COLUMNS else ""
    )
    return ", ".join(names[:COLUMNS]) + more


def _notes(many: Sides) -> Iterable[str]:
    """What makes the traces incomparable, then what each says of itself."""
    yield from differences([(side.name, side.run) for side in many])
    if len(many) > 1 and not many.adds_up:
        known = all(side.run.model for side in many)
        why = "These are different runs" if known else "These are not known to be of one job"
        if many.jobs:
            why = "These are not of one job"
        yield f"{why}: nothing on this page is added up over them."
    said_of: dict[str, list[str]] = {}
    for side in many:
        for note in cautions(side.one):
            said_of.setdefault(note, []).append(side.name)
    for note, of in said_of.items():
        yield f"{'Each trace' if len(of) == len(many) else listed(of)}: {note}"


def differences(many: Sequence[tuple[str, RunFacts]]) -> Iterable[str]:
    """What makes the runs other work, a sentence each; then what else differs, in one."""
    telling = run_facts.differing([run for _, run in many])
    if "model" in telling:
        telling = [key for key in telling if key != "size"]
    for key in telling:
        if key in run_facts.WORK or key in run_facts.RECORDED:
            yield f"The traces differ in {run_facts.NAMES[key]}: {_each(key, many)}."
    others = [run_facts.NAMES[key] for key in telling if key in run_facts.SETTINGS]
    if others:
        yield f"They {'also ' if len(others) < len(telling) else ''}differ in {', '.join(others)}."


def _each(key: str, many: Sequence[tuple[str, RunFacts]]) -> str:
    """The values of one fact, each with the traces that have it, or with how many do."""
    groups: dict[str, list[str]] = {}
    for name, run in many:
        groups.setdefault(run_facts.shown(run.said.get(key)), []).append(name)
    if len(many) <= COLUMNS:
        return "; ".join(f"{value} ({', '.join(names)})" for value, names in groups.items())
    return "; ".join(f"{value} in {len(names)}" for value, names in groups.items())


# ---------------------------------------------------------------- numbers, sentences, findings


class _Range(Record, frozen=True):
    """A number of each trace, shown from its least to its most."""

    label: str
    of: Callable[[Measures], float | None]
    show: Callable[[float], str]
    definition: str
    doubtful: bool = False  # GPU work that the file lacks would change it


KERNEL = "Time of the device window in which a kernel ran."
_RANGES = (
    _Range("TTFT", lambda own: own.ttft, units.duration, TTFT),
    _Range("TPOT", lambda own: own.tpot, units.duration, TPOT),
    _Range("Decode, tokens/s", lambda own: own.decode, lambda v: f"{v:,.1f}",
           "Of one sequence: 1 / TPOT."),
    _Range("Wall time of all stages", lambda own: own.wall, units.duration, WALL),
    _Range("Kernel time", lambda own: own.kernel, units.duration, f"{KERNEL} {DEVICES}",
           doubtful=True),
    _Range("Device window", lambda own: own.window, units.duration, f"{WINDOW} {DEVICES}",
           doubtful=True),
    _Range("GPU busy", lambda own: own.busy, units.share, f"{BUSY} {DEVICES}", doubtful=True),
    _Range("GPU idle", lambda own: own.idle_share, units.share, f"{IDLE} {DEVICES}",
           doubtful=True),
)  # fmt: skip


def _key_numbers(many: Sides) -> Iterable[KeyNumber]:
    """Each large number from its least to its most, and whose they are."""
    found = [(side.name, runs.measures(side)) for side in many]
    noun = "rank" if many.one_job else "trace"
    for one in _RANGES:
        known = [(value, name) for name, own in found if (value := one.of(own)) is not None]
        if not known:
            continue
        if len(many) == 2:
            yield _both(one, found)
            continue
        low, high = min(known)[0], max(known)[0]
        least, most = (runs.whose(known, value, one.show) for value in (low, high))
        silent = f"; {len(many) - len(known)} without" if len(known) < len(many) else ""
        doubt = one.doubtful and any(own.suspect for _, own in found)
        if doubt:
            silent += "; unaccounted time is left out"
        level = "warn" if doubt else ""
        shown = units.least_to_most([low, high], one.show)
        whose = f"least {least}, most {most}"
        if one.show(low) == one.show(high):
            whose = units.plural(len(known), noun)
        yield KeyNumber(one.label, shown, f"{whose}{silent}", one.definition, level)


def _both(one: _Range, found: Sequence[tuple[str, Measures]]) -> KeyNumber:
    """A number of each of two traces, in their order; – where a trace lacks it."""
    values = [one.of(own) for _, own in found]
    shown = ["–" if v is None else one.show(v).replace(" ", NARROW) for v in values]
    doubt = one.doubtful and any(own.suspect for _, own in found)
    names = " · ".join(name for name, _ in found)
    more = "; unaccounted time left out" if doubt else ""
    return KeyNumber(
        one.label, " · ".join(shown), f"{names}{more}", one.definition, "warn" if doubt else ""
    )


def _limits(many: Sides, parts: Sequence[Part]) -> Iterable[str]:
    for part in parts[:FEW]:
        yield from map(part.said, jobs.sentences(part.job))
    if not parts:
        yield from pairs.sentences(many)
    # ranks of one job say much the same: the first stands for them
    first = [many[part.members[0]] for part in parts[:FEW]]
    for side in [*first, *mixed.lone(many, parts)[: max(FEW - len(first), 0)]]:
        for said in limits(side.one):
            yield f"{side.name} · {said}"


def _findings(many: Sides, parts: Sequence[Part]) -> Iterable[Finding]:
    """What to do first; the table has the findings of all traces.

    Of a job, or of runs that add up: of all together, those of one stage and advice as one, the
    largest of them standing for the others. Of different runs: of each of the first.
    """
    if many.adds_up:
        yield from _alike(many, parts[0].job if many.one_job else None, ACTIONS)
        return
    each = max(ACTIONS // max(len(parts), 1), 2)
    for part in parts[:FEW]:
        for found in _alike(part.job.sides, part.job, each):
            yield replace(found, claim=part.said(found.claim))
    yield from _of_each(mixed.lone(many, parts)[: max(FEW - len(parts), 0)])


def _alike(many: Sequence[Side], job: Job | None, most: int) -> Iterable[Finding]:
    """The largest of those that many ranks or repeats have alike."""
    alike: dict[tuple[str | None, ...], list[tuple[int, str, Finding]]] = {}
    for side in many:
        for row, found in zip(_rows(side), findings(side.one), strict=False):
            own = (row.saves_ns or 0, side.name, found)
            alike.setdefault(row.alike, []).append(own)
    # what the headline is about comes first
    if job is not None and (late := jobs.finding(job)) is not None:
        yield late
        most -= 1
    for same in sorted(alike.values(), key=lambda own: -max(o[0] for o in own))[:most]:
        _, name, found = max(same, key=lambda own: own[0])
        if job is not None:
            found = replace(found, claim=jobs.met(job, name, found.claim))
        also = _so_on([name for _, name, _ in same], len(many))
        yield replace(found, claim=f"{name}: {found.claim}{also}")


def _rows(side: Side) -> tuple[Row, ...]:
    found = side.one.get(Findings)
    return () if found is None else found.rows


def _so_on(names: Sequence[str], of: int) -> str:
    """On which of the ranks, or repeats, the same is so, where on more than one."""
    own = list(dict.fromkeys(names))
    if len(own) < 2:
        return ""
    few = f" ({', '.join(own[:NAMED])}{', …' if own[NAMED:] else ''})" if len(own) < of else ""
    return f" So on {len(own)} of {of}{few}; this is the largest."


def _of_each(many: Sequence[Side]) -> Iterable[Finding]:
    """The first of each trace, then the second of each; the same advice once, for all it is of."""
    first = [list(zip(_rows(side), findings(side.one), strict=False))[:2] for side in many]
    said: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
    for place in range(2):
        for side, own in zip(many, first, strict=True):
            if place < len(own):
                row, found = own[place]
                said.setdefault((row.kind, found.todo), []).append((side.name, found))
    for same in list(said.values())[: max(ACTIONS, len(many))]:
        name, found = same[0]
        others = [other for other, _ in same[1:] if other != name]
        # for what it has found itself: other work, or the same by another part
        also = (
            f" The same advice holds for {listed(list(dict.fromkeys(others)))}." if others else ""
        )
        yield replace(found, claim=f"{name}: {found.claim}{also}")
