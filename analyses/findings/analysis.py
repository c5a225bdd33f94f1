"""What to look at first: findings of all analyses, ranked by what they would save.

The rules are the analyses' own (`findings` of their entries). Here they are asked, ranked, and
judged by the audit.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tracekit.answers.audit import Audit
from tracekit.answers.collectives import Collectives
from tracekit.answers.devices import Devices
from tracekit.answers.findings import Finding, Findings, Saving, Withheld
from tracekit.answers.stages import Stages
from tracekit.errors import MissingEventsError, TracekitError
from tracekit.records import replace
from tracekit.results import catalog
from tracekit.results.catalog import Analysis
from tracekit.results.findings import LEAST, Draft
from tracekit.results.result import Column, Grid, Result
from tracekit.results.trust import VERDICTS, Verdict
from tracekit.results.units import share
from tracekit.results.unknown_work import device_kind, neutral
from tracekit.taxonomy import Category, FindingKind
from tracekit.trace.ranks import named, whole
from tracekit.trace.trace import Trace

from . import alike
from .largest import largest
from .replayed import saving

R = TypeVar("R", bound=Result)

SMALL = 0.01  # of the trace: what would save less is left out


def findings(trace: Trace, *, stages: str | None = None) -> Findings:
    """Every claim of the analyses' rules that the trace supports.

    Raises: MissingEventsError for a trace that none of the asked analyses can answer, or where
    `stages` matches nothing.
    """
    asked = _Asked(trace, stages)
    drafts = _once(list(_drafts(asked)))
    if not asked.any:
        raise MissingEventsError(
            "no events to draw findings from",
            where=trace.path,
            hint="capture with a GPU visible, or mark stages",
        )
    worth, most, audit = SMALL * _whole(asked), _most(asked), asked(Audit)
    rows, refused, told_of = [], [], set[int]()
    gpus, kinds = device_kind(trace.source) == "GPU", Counter(draft.kind for _, draft in drafts)
    for at, (name, draft) in enumerate(drafts):
        if draft.saves_ns is not None and draft.saves_ns < worth:
            continue
        rests_on = (name, *(kind.analysis for kind in draft.also))
        verdict, why, analysis = _trust(audit, rests_on)
        if verdict == "refused":
            refused.append(Withheld(trace.path, analysis, 1, why))
        else:
            told_of.add(at)
            told = saving(trace, draft, stages, alone=kinds[draft.kind] == 1)
            said = _finding(trace.path, draft, rests_on, verdict, why, most, told)
            rows.append(
                said if gpus else replace(said, what=neutral(said.what), do=neutral(said.do))
            )
    drawn = [draft for at, (_, draft) in enumerate(drafts) if at in told_of]
    return Findings(_ranked(rows), _together(refused), tuple(largest(trace.path, asked, drawn)))


class _Asked:
    """The answers of the other analyses to one trace."""

    def __init__(self, trace: Trace, stages: str | None) -> None:
        self._trace, self._stages, self.entries = trace, stages, catalog.entries()
        self.any = False  # of the analyses that look for findings answered

    def __call__(self, kind: type[R], /) -> R | None:
        found = self.answer(kind.analysis)
        assert found is None or isinstance(found, kind)
        return found

    def answer(self, name: str) -> Result | None:
        """None where the trace cannot answer, or where there is no such analysis.

        Of collectives the answer is that of all ranks of the file: who comes last no rank knows.

        Raises: MissingEventsError where the stages that the user named are not there.
        """
        entry = self.entries.get(name)
        if entry is None:
            return None
        takes = inspect.signature(entry.run).parameters
        given = {"stages": self._stages} if self._stages is not None and "stages" in takes else {}
        trace = whole(self._trace) if name == Collectives.analysis else self._trace
        try:
            return catalog.answer(trace, name, **given)
        except MissingEventsError:
            if given and name == Stages.analysis:
                raise
            return None


def _drafts(asked: _Asked) -> Iterator[tuple[str, Draft]]:
    """What the rules of each analysis claim, with its name."""
    for name, entry in asked.entries.items():
        rules = entry.findings
        result = asked.answer(name) if rules is not None else None
        if rules is not None and result is not None:
            asked.any = True
            for draft in rules(result, asked):
                _declared(name, entry, draft)
                yield name, draft


def _declared(name: str, entry: Analysis[Any], draft: Draft) -> None:
    """Raises: TracekitError where a finding has a kind of its own that nothing explains."""
    if isinstance(draft.kind, FindingKind):
        return
    if any(draft.kind == own.value for own in FindingKind):
        raise TracekitError(
            f"the kind {draft.kind} of a finding is tracekit's own",
            where=f"analysis {name}", hint="use FindingKind, or another name",
        )  # fmt: skip
    if draft.kind not in entry.kinds:
        raise TracekitError(
            f"the kind {draft.kind} of a finding is not declared",
            where=f"analysis {name}", hint="say what it claims in `kinds` of the entry",
        )  # fmt: skip


def _once(drafts: list[tuple[str, Draft]]) -> list[tuple[str, Draft]]:
    """Without the one kernel of a category of which another finding speaks as a whole, and without
    the lack of shapes that a finding on memory bandwidth states.
    """
    told = frozenset[str]().union(
        *(
            d.explains
            for _, d in drafts
            if d.kind not in (FindingKind.ONE_KERNEL, FindingKind.RECORD_MORE)
        )
    )
    unshaped = any(
        d.kind is FindingKind.MEMORY_BANDWIDTH and "could_read_bytes" in d.numbers
        for _, d in drafts
    )
    return [
        (name, d) for name, d in drafts
        if not (d.kind is FindingKind.ONE_KERNEL and d.explains & told)
        and not (unshaped and d.kind is FindingKind.RECORD_MORE and d.explains & _DENSE)
    ]  # fmt: skip


_DENSE = frozenset({Category.GEMM.value, Category.ATTENTION.value})


def _whole(asked: _Asked) -> int:
    """The longest window of a device, unaccounted time left out; without, the stages' wall time."""
    stages, devices = asked(Stages), asked(Devices)
    if devices is not None:
        return max((row.window_ns - row.suspect_ns for row in devices.rows), default=0)
    return max((total.wall_ns for total in stages.totals), default=0) if stages is not None else 0


def _most(asked: _Asked) -> int:
    """The longest window of a device, or the wall time of all stages where that is longer."""
    stages = asked(Stages)
    walls = [total.wall_ns for total in stages.totals] if stages is not None else []
    return max(_whole(asked), *walls, 0)


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
    path: str,
    draft: Draft,
    rests_on: tuple[str, ...],
    verdict: Verdict,
    why: tuple[str, ...],
    most: int,
    told: Saving | None,
) -> Finding:
    """Nothing saves more than the time it is saved of, nor than the trace lasts: durations are
    added up over streams and devices. What a replay says (`told`) comes before that bound: its
    number, or the upper end of its range.
    """
    bound = saves = draft.saves_ns
    if bound is not None:
        bound = saves = min(bound, most if draft.of_ns is None else draft.of_ns, most)
        if told is not None:
            point = None if told.predicted_ns is None else min(told.predicted_ns, bound)
            told = Saving(point, min(told.low_ns, bound), min(told.high_ns, bound))
            saves = told.high_ns if told.predicted_ns is None else told.predicted_ns
    part = saves / draft.of_ns if saves is not None and draft.of_ns else None
    return Finding(
        path, draft.kind, draft.stage, draft.device, draft.what, float(draft.number), draft.unit,
        saves, part, draft.do, rests_on, verdict, why, draft.numbers, None, told, bound,
    )  # fmt: skip


# what says how to look closer comes after what says what is slow
_LAST = (FindingKind.SATURATED, FindingKind.LARGEST_STAGE, FindingKind.RECORD_MORE)


# GEMMs bound by reading weights whose size the file does not have reach 80 % at best: what they
# would save is not known, their place among what is known is by the other fifth
_BEST = 0.8


def _ranked(rows: Iterable[Finding]) -> tuple[Finding, ...]:
    """The largest saving first, as if no other cause were removed; of those without one, the
    largest share first. What a replay predicts counts, where it is said.
    """

    def place(f: Finding) -> tuple[bool, float, float, str, str]:
        part = f.number if f.unit == "share" else 0.0
        return f.kind in _LAST, -_weight(f), -part, f.trace, f.what

    return tuple(sorted(rows, key=place))


def _weight(f: Finding) -> float:
    if f.saves_ns is None and "could_read_bytes" in f.numbers:
        return (1 - _BEST) * f.numbers.get("gemm_ns", 0.0)
    # what a wait before it is the cause of is saved there, and would be gone without it too
    return (f.saves_ns or 0) + f.numbers.get("after_sync_ns", 0.0)


def _together(rows: Iterable[Withheld]) -> tuple[Withheld, ...]:
    sums: dict[tuple[str, str, str | None], Withheld] = {}
    for row in rows:
        key = (row.trace, row.analysis, row.rank)
        old = sums.get(key)
        why = row.why if old is None else (*old.why, *(w for w in row.why if w not in old.why))
        count = row.count + (old.count if old else 0)
        sums[key] = Withheld(row.trace, row.analysis, count, why, row.rank)
    return tuple(sums.values())


def merge(one: Findings, two: Findings) -> Findings:
    """The findings of both, ranked together; each says its trace, and of ranks of one file those
    that say the same are one.
    """
    return Findings(
        _ranked(alike.together((*one.rows, *two.rows), _weight)),
        _together((*one.withheld, *two.withheld)),
        one.largest + two.largest,
    )


DEFINITIONS = {
    "saves": "What a replay of the trace without the cause saves of its device window, where there "
    "is one; else what it saves at most. Findings are ranked by it.",
    "by replay, from": "The least of the replay's range; – where the trace is not replayed without "
    "the cause.",
    "to": "The most of the replay's range.",
    "saves at most": "What removing the cause could save, as if all else stayed; no two findings "
    "claim the same time of a device.",
    "of the time": "The saving over the time it would be saved of.",
    "trust": "The audit's worst verdict on the answers that the finding repeats.",
}


def tables(result: Findings) -> list[Grid]:
    columns = (
        Column("finding"), Column("stage"),
        *(Column(name, "ns", DEFINITIONS[name])
          for name in ("saves", "by replay, from", "to", "saves at most")),
        Column("of the time", "share", DEFINITIONS["of the time"]),
        Column("what to do"), Column("trust", "text", DEFINITIONS["trust"]),
    )  # fmt: skip
    rows = [
        (
            f"{named(f.rank)}: {f.what}" if f.rank else f.what,
            f.stage or "",
            f.saves_ns,
            f.replayed.low_ns if f.replayed else None,
            f.replayed.high_ns if f.replayed else None,
            f.saves_at_most_ns,
            f.saves_share,
            f.do,
            f.trust,
        )
        for f in result.rows[:200]
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
    beyond = len(result.rows) - len(rows)
    grid = Grid(
        "findings", "What to look at first", columns, rows, " ".join(notes), beyond=beyond
    )  # fmt: skip
    return [grid, *([_largest_grid(result)] if result.largest else [])]


def _largest_grid(result: Findings) -> Grid:
    columns = (
        Column("of", "text", "Idle time of a device, or kernel time of all devices."),
        Column("largest share", "text", "The reason, or the category, with most of it."),
        Column("time", "ns", "How long."),
        Column("share", "share", "Of the device window, or of kernel time."),
        Column("said above", "text", "The kinds of findings about it, or why there is none."),
    )
    rows = [
        (
            named(r.rank, "kernel time" if r.device is None else f"idle time of device {r.device}"),
            r.name, r.ns,
            r.share, ", ".join(r.kinds) or r.none_because,
        )
        for r in result.largest[:200]
    ]  # fmt: skip
    return Grid("largest", "The largest shares, and what is said of them", columns, rows)


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
