"""What to look at first: findings in plain words, ranked by what they would save at most."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from tracekit.answers.findings import Finding, Findings, Withheld
from tracekit.errors import MissingEventsError
from tracekit.results import catalog
from tracekit.results.catalog import Analysis
from tracekit.results.result import Column, Grid
from tracekit.results.trust import VERDICTS, Judge, Verdict
from tracekit.results.units import share
from tracekit.trace.trace import Trace

from .rules import LEAST, RULES, Ask, Draft

SMALL = 0.01  # of the trace: what would save less is left out


def findings(trace: Trace, *, stages: str | None = None) -> Findings:
    """Every claim of analyses/findings/rules.py that the trace supports.

    Raises: MissingEventsError for a trace that none of the asked analyses can answer, or where
    `stages` matches nothing.
    """
    asked: dict[str, Any] = {}

    def ask(name: str) -> Any:
        if name not in asked:
            asked[name] = _answer(trace, name, stages)
        return asked[name]

    drafts = [draft for rule in RULES for draft in rule(ask)]
    worth = SMALL * _whole(ask)
    if all(result is None for result in asked.values()):
        raise MissingEventsError(
            "no events to draw findings from",
            where=trace.path,
            hint="capture with a GPU visible, or mark stages",
        )
    audit = ask("audit")
    rows, refused = [], []
    for draft in drafts:
        if draft.saves_ns is not None and draft.saves_ns < worth:
            continue
        verdict, why, analysis = _trust(audit, draft.rests_on)
        if verdict == "refused":
            refused.append(Withheld(trace.path, analysis, 1, why))
        else:
            rows.append(_finding(trace.path, draft, verdict, why))
    return Findings(_ranked(rows), _together(refused))


def _whole(ask: Ask) -> int:
    """Wall time of all stages, or the devices' windows where that is more."""
    stages, devices = ask("stages"), ask("devices")
    walls = [t.wall_ns for t in stages.totals] if stages is not None else []
    windows = [d.window_ns for d in devices.rows] if devices is not None else []
    return max([*walls, *windows], default=0)


def _answer(trace: Trace, name: str, stages: str | None) -> Any:
    if name not in catalog.analyses():
        return None
    takes = inspect.signature(catalog.analysis(name).run).parameters
    given = {"stages": stages} if stages is not None and "stages" in takes else {}
    try:
        return catalog.answer(trace, name, **given)
    except MissingEventsError:
        if given and name == "stages":
            raise
        return None


def _trust(audit: Judge | None, names: Iterable[str]) -> tuple[Verdict, tuple[str, ...], str]:
    """The worst verdict of these analyses, why, and which."""
    worst: Verdict = "trusted"
    why, which = tuple[str, ...](), ""
    if audit is None:
        return worst, why, which
    for name in names:
        said = audit.trust(name)
        if VERDICTS.index(said.verdict) > VERDICTS.index(worst):
            worst, which = said.verdict, name
        why += tuple(text for text in said.why if text not in why)
    return worst, why, which


def _finding(path: str, draft: Draft, verdict: Verdict, why: tuple[str, ...]) -> Finding:
    part = draft.saves_ns / draft.of_ns if draft.saves_ns is not None and draft.of_ns else None
    return Finding(
        path, draft.stage, draft.what, float(draft.number), draft.unit, draft.saves_ns, part,
        draft.do, draft.rests_on, verdict, why,
    )  # fmt: skip


def _ranked(rows: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(rows, key=lambda f: (-(f.saves_ns or 0), f.trace, f.what)))


def _together(rows: Iterable[Withheld]) -> tuple[Withheld, ...]:
    sums: dict[tuple[str, str], Withheld] = {}
    for row in rows:
        key = (row.trace, row.analysis)
        old = sums.get(key)
        why = row.why if old is None else (*old.why, *(w for w in row.why if w not in old.why))
        sums[key] = Withheld(*key, row.count + (old.count if old else 0), why)
    return tuple(sums.values())


def merge(one: Findings, two: Findings) -> Findings:
    """The findings of both, ranked together; each says its trace."""
    return Findings(_ranked((*one.rows, *two.rows)), _together((*one.withheld, *two.withheld)))


DEFINITIONS = {
    "saves at most": "What removing the cause could save, as if all else stayed; savings of two "
    "findings may be the same time and do not add up.",
    "of the time": "The saving over the time it would be saved of.",
    "trust": "The audit's worst verdict on the answers that the finding repeats.",
}


def tables(result: Findings) -> list[Grid]:
    columns = (
        Column("finding"), Column("stage"),
        Column("saves at most", "ns", DEFINITIONS["saves at most"]),
        Column("of the time", "share", DEFINITIONS["of the time"]),
        Column("what to do"), Column("trust", "text", DEFINITIONS["trust"]),
    )  # fmt: skip
    rows = [
        (f.what, f.stage or "", f.saves_ns, f.saves_share, f.do, f.trust) for f in result.rows[:200]
    ]
    notes = [
        f"{w.count} findings from {w.analysis} are withheld: {' '.join(w.why)}"
        for w in result.withheld
    ]
    if not result.rows and not notes:
        notes = [
            f"Nothing stands out: no cause takes {share(LEAST, 0)} of its stage and "
            f"{share(SMALL, 0)} of the trace."
        ]
    return [Grid("findings", "What to look at first", columns, rows, " ".join(notes))]


ANALYSIS = Analysis(
    title="Findings",
    question="What should be looked at first, what would it save at most, and what to do?",
    run=findings,
    merge=merge,
    tables=tables,
    definitions=DEFINITIONS,
    needs=frozenset({"copies", "grids", "memory", "shapes"}),
    order=5,
    adds_up=False,
)
