"""Are two traces of the same work? What differs between the runs, and what the audit says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from tracekit.answers.audit import Audit, Finding
from tracekit.answers.kernels import Kernels
from tracekit.answers.roofline import Roofline
from tracekit.answers.stages import Stages
from tracekit.attribution.stages.work_phases import ALL, NO_PHASE
from tracekit.comparison.runs import Run
from tracekit.records import Record, replace
from tracekit.trace import run_facts
from tracekit.trace.run_facts import RunFacts

Kind = Literal["run", "stage", "recording", "setting"]
TRACES = "number of traces"
VERBS = {"trusted": "trusts", "degraded": "degrades", "refused": "refuses"}


class Difference(Record, frozen=True):
    """One fact in which the runs differ.

    run: other work (model, batch, tokens …); stage: a stage that one side lacks, or has more often;
    recording: what the profiler did beside, which slows the host down; setting: what may explain a
    change of the same work.
    """

    what: str
    before: str | None  # None: not there
    after: str | None
    kind: Kind
    stage: str | None = None

    def __str__(self) -> str:
        if self.kind == "stage" and self.after is None:
            return f"{self.what} only before ({self.before})"
        if self.kind == "stage" and self.before is None:
            return f"{self.what} only after ({self.after})"
        return f"{self.what} {self.before or 'not said'} → {self.after or 'not said'}"


class Caution(Record, frozen=True):
    """What the audit holds against the numbers of one side, or of both in the same words."""

    side: Literal["before", "after", "both"]
    check: str
    effect: str  # degraded, refused
    what: str


class Audits(Record, frozen=True):
    before: str | None  # the verdict; None where the side was not audited
    after: str | None
    cautions: tuple[Caution, ...]

    @property
    def alike(self) -> bool:
        """Whether the audit holds the same checks against both sides, if not the same numbers."""
        found = [{c.check for c in self.cautions if c.side in (side, "both")}
                 for side in ("before", "after")]  # fmt: skip
        return found[0] == found[1]

    def __str__(self) -> str:
        """The verdicts in words; empty where both sides are trusted."""
        if self.before is None or self.after is None or {self.before, self.after} == {"trusted"}:
            return ""
        one, two = (VERBS.get(v, v) for v in (self.before, self.after))
        if one == two:
            return f"The audit {one} both traces."
        return f"The audit {one} the trace before, and {two} the one after."


def differences(before: Run, after: Run) -> tuple[Difference, ...]:
    """In what the runs differ: what makes their times incomparable first, then settings."""
    facts = (_facts_of(before), _facts_of(after))
    work = {key: name for key, name in run_facts.WORK.items() if key not in run_facts.WHERE}
    where = {key: run_facts.WORK[key] for key in run_facts.WORK if key in run_facts.WHERE}
    found = [
        *_facts(facts, work, "run"),
        *_traces(before, after),
        *_tokens(before, after, facts),
        *_stages(before, after),
        *_facts(facts, run_facts.RECORDED, "recording"),
        *_facts(facts, where, "setting"),
        *_facts(facts, run_facts.SETTINGS, "setting"),
    ]
    return tuple(found)


def _facts_of(run: Run) -> RunFacts:
    """What is known of a run; the dtype of most of its FLOPs where the trace says none."""
    time: dict[str, int] = {}
    found = run.get(Roofline)
    for row in found.products if found else ():
        if row.dtype:
            time[row.dtype] = time.get(row.dtype, 0) + row.total_ns
    if not time or run.facts.dtype:
        return run.facts
    return replace(run.facts, dtype=max(time, key=lambda name: time[name]))


def _facts(runs: Sequence[RunFacts], names: Mapping[str, str], kind: Kind) -> Iterator[Difference]:
    said = [run.said for run in runs]
    for key in run_facts.differing(runs):
        if key in names:
            one, two = (run_facts.shown(own[key]) if key in own else None for own in said)
            # what one run does not say is not known to differ
            known = one is not None and two is not None
            yield Difference(names[key], one, two, kind if known else "setting")


def _traces(before: Run, after: Run) -> Iterator[Difference]:
    """Sides of so many traces are other totals."""
    one, two = max(len(before.parts), 1), max(len(after.parts), 1)
    if one != two:
        yield Difference(TRACES, f"{one:,}", f"{two:,}", "run")


def _tokens(before: Run, after: Run, facts: Sequence[RunFacts]) -> Iterator[Difference]:
    """Tokens that each phase made, where the run itself does not say."""
    if any(own.generated_tokens is not None for own in facts) or any(_traces(before, after)):
        return
    one, two = _phase_tokens(before.get(Kernels)), _phase_tokens(after.get(Kernels))
    for phase in one:
        if phase in two and one[phase] != two[phase]:
            of = "" if phase == ALL else f" of {phase}"
            yield Difference(f"tokens{of}", f"{one[phase]:,}", f"{two[phase]:,}", "run")


def _phase_tokens(kernels: Kernels | None) -> dict[str, int]:
    """The tokens of each phase that are known."""
    rows = kernels.phases if kernels else ()
    return {
        row.phase: row.tokens for row in rows
        if row.tokens is not None and row.phase not in NO_PHASE
    }  # fmt: skip


def _stages(before: Run, after: Run) -> Iterator[Difference]:
    """Stages that one run lacks, and those with another number of instances."""
    one, two = before.get(Stages), after.get(Stages)
    if one is None or two is None:
        return
    counts = [{t.family: t.instances for t in own.totals if not t.is_all} for own in (one, two)]
    for name in dict.fromkeys((*counts[0], *counts[1])):
        old, new = (own.get(name) for own in counts)
        if old != new:
            said = [None if n is None else f"{n:,} ×" for n in (old, new)]
            yield Difference(name, said[0], said[1], "stage", name)


def audits(before: Run, after: Run) -> Audits:
    """Both verdicts, and what changes a number: of one side, or of both."""
    one, two = before.get(Audit), after.get(Audit)
    old, new = _odd(one), _odd(two)
    found = [_caution("both", row) for what, row in old.items() if what in new]
    found += [_caution("before", row) for what, row in old.items() if what not in new]
    found += [_caution("after", row) for what, row in new.items() if what not in old]
    return Audits(one.verdict if one else None, two.verdict if two else None, tuple(found))


def _odd(audit: Audit | None) -> dict[str, Finding]:
    return {row.what: row for row in audit.rows if row.effect != "note"} if audit else {}


def _caution(side: Literal["before", "after", "both"], row: Finding) -> Caution:
    return Caution(side, row.check, row.effect, row.what)
