"""What to look at first: findings of all analyses, ranked by what they would save at most.

The rules are the analyses' own (`findings` of their entries). Here they are asked, ranked, and
judged by the audit.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tracekit.answers.audit import Audit
from tracekit.answers.devices import Devices
from tracekit.answers.findings import Finding, Findings, Withheld
from tracekit.answers.stages import Stages
from tracekit.errors import MissingEventsError
from tracekit.results import catalog
from tracekit.results.catalog import Analysis
from tracekit.results.findings import LEAST, Draft
from tracekit.results.result import Column, Grid, Result
from tracekit.results.trust import VERDICTS, Verdict
from tracekit.results.units import share
from tracekit.trace.trace import Trace

R = TypeVar("R", bound=Result)

SMALL = 0.01  # of the trace: what would save less is left out


def findings(trace: Trace, *, stages: str | None = None) -> Findings:
    """Every claim of the analyses' rules that the trace supports.

    Raises: MissingEventsError for a trace that none of the asked analyses can answer, or where
    `stages` matches nothing.
    """
    asked = _Asked(trace, stages)
    drafts = list(_drafts(asked))
    if not asked.any:
        raise MissingEventsError(
            "no events to draw findings from",
            where=trace.path,
            hint="capture with a GPU visible, or mark stages",
        )
    worth, audit = SMALL * _whole(asked), asked(Audit)
    rows, refused = [], []
    for name, draft in drafts:
        if draft.saves_ns is not None and draft.saves_ns < worth:
            continue
        rests_on = (name, *(kind.analysis for kind in draft.also))
        verdict, why, analysis = _trust(audit, rests_on)
        if verdict == "refused":
            refused.append(Withheld(trace.path, analysis, 1, why))
        else:
            rows.append(_finding(trace.path, draft, rests_on, verdict, why))
    return Findings(_ranked(rows), _together(refused))


class _Asked:
    """The answers of the other analyses to one trace."""

    def __init__(self, trace: Trace, stages: str | None) -> None:
        self._trace, self._stages = trace, stages
        self.any = False  # of the analyses that look for findings answered

    def __call__(self, kind: type[R], /) -> R | None:
        found = self.answer(kind.analysis)
        assert found is None or isinstance(found, kind)
        return found

    def answer(self, name: str) -> Result | None:
        """None where the trace cannot answer, or where there is no such analysis.

        Raises: MissingEventsError where the stages that the user named are not there.
        """
        if name not in catalog.analyses():
            return None
        takes = inspect.signature(catalog.analysis(name).run).parameters
        given = {"stages": self._stages} if self._stages is not None and "stages" in takes else {}
        try:
            return catalog.answer(self._trace, name, **given)
        except MissingEventsError:
            if given and name == Stages.analysis:
                raise
            return None


def _drafts(asked: _Asked) -> Iterator[tuple[str, Draft]]:
    """What the rules of each analysis claim, with its name."""
    for name in catalog.analyses():
        rules = catalog.analysis(name).findings
        result = asked.answer(name) if rules is not None else None
        if rules is not None and result is not None:
            asked.any = True
            for draft in rules(result, asked):
                yield name, draft


def _whole(asked: _Asked) -> int:
    """Wall time of all stages, or the devices' windows where that is more."""
    stages, devices = asked(Stages), asked(Devices)
    walls = [total.wall_ns for total in stages.totals] if stages is not None else []
    windows = [device.window_ns for device in devices.rows] if devices is not None else []
    return max([*walls, *windows], default=0)


def _trust(audit: Audit | None, names: Iterable[str]) -> tuple[Verdict, tuple[str, ...], str]:
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


def _finding(
    path: str, draft: Draft, rests_on: tuple[str, ...], verdict: Verdict, why: tuple[str, ...]
) -> Finding:
    part = draft.saves_ns / draft.of_ns if draft.saves_ns is not None and draft.of_ns else None
    return Finding(
        path, draft.stage, draft.what, float(draft.number), draft.unit, draft.saves_ns, part,
        draft.do, rests_on, verdict, why,
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
    asks_others=True,
    order=5,
    adds_up=False,
)
