"""The difference of two sets of answers: where the change of wall time comes from, part by part.

Works on answers, so two traces or two saved files compare alike. Differences are after − before,
and relative ones are over before. Every split adds up to its total on both sides, so its
differences add up to the whole change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from tracekit.answers.findings import Finding, Findings
from tracekit.answers.kernels import Kernels
from tracekit.answers.ops import Ops
from tracekit.answers.stages import Stages, Total
from tracekit.attribution.stages.work_phases import NO_PHASE
from tracekit.comparison import comparability
from tracekit.comparison.comparability import Audits, Difference
from tracekit.comparison.fields import WORDS, FieldChange, fields, relative
from tracekit.comparison.rates import Rate, rates
from tracekit.comparison.runs import Run
from tracekit.comparison.splits import Split, splits
from tracekit.records import Record
from tracekit.results.result import Result
from tracekit.taxonomy import Stage

State = Literal["both", "new", "gone"]

NOT_ASKED = "not asked"


class StageChange(Record, frozen=True):
    """All instances of one stage. Numbers of a side without it are None."""

    stage: str
    state: State
    before_count: int | None
    after_count: int | None
    before_ns: int | None
    after_ns: int | None
    difference_ns: int
    relative: float | None
    before_mean_ns: float | None
    after_mean_ns: float | None


class KernelChange(Record, frozen=True):
    """Kernels of one name and category, of one phase where both sides have the same phases."""

    name: str
    category: str
    phase: str | None
    state: State
    before_op: str | None
    after_op: str | None
    before_count: int
    after_count: int
    before_ns: int
    after_ns: int
    difference_ns: int
    relative: float | None
    by_count_ns: float | None  # of the difference: more or fewer runs, at the mean before
    by_speed_ns: float | None  # the rest: each run shorter or longer


class OpChange(Record, frozen=True):
    """All kernels that one op launched, whatever they are called: what replaced what."""

    op: str | None  # None: no op around the launch (a graph replay, a direct launch)
    category: str
    phase: str | None
    before_kernels: tuple[str, ...]  # distinct names
    after_kernels: tuple[str, ...]
    before_ns: int
    after_ns: int
    difference_ns: int


class FindingChange(Record, frozen=True):
    """What to do of both sides, matched by stage and advice. None: not found on that side."""

    stage: str | None
    do: str
    before: str | None
    after: str | None
    before_saves_ns: int | None
    after_saves_ns: int | None


class Foretold(Record, frozen=True):
    """One stage, or the device window, if of all that changed only this had. Differences in ns."""

    change: str
    kernel_ns: int  # by how much these kernels changed, durations added up
    stage: str
    clock: str
    predicted_ns: int | None  # None where it is not said
    low_ns: int | None
    high_ns: int | None
    measured_ns: int | None  # where all kernels change: what it did, whatever the cause


class Prediction(Record, frozen=True):
    rows: tuple[Foretold, ...] = ()
    why_not: str = ""  # why nothing is predicted


class Comparison(Result, Record, frozen=True):
    before: str
    after: str
    same_work: bool  # all differences are settings: the totals can be compared
    differences: tuple[Difference, ...]
    audits: Audits
    rates: tuple[Rate, ...]
    splits: tuple[Split, ...]  # the first is the headline
    stages: tuple[StageChange, ...]
    kernels: tuple[KernelChange, ...]  # the largest change first
    ops: tuple[OpChange, ...]
    kernel_before_ns: int | None  # durations of all kernels
    kernel_after_ns: int | None
    host_ops: tuple[KernelChange, ...]  # the same of ops by self time
    findings: tuple[FindingChange, ...]
    fields: tuple[FieldChange, ...]  # of every result that both sides have
    only_before: Mapping[str, str]  # analyses that one side alone answered: why not the other
    only_after: Mapping[str, str]
    prediction: Prediction | None = None  # where BEFORE was replayed: see predicted.py
    before_tokens: int | None = None  # that decode generated
    after_tokens: int | None = None


def compare(before: Run, after: Run) -> Comparison:
    """The difference of the answers of two runs."""
    one, two = before.get(Kernels), after.get(Kernels)
    differing = comparability.differences(before, after)
    return Comparison(
        before=before.path,
        after=after.path,
        same_work=all(d.kind == "setting" for d in differing),
        differences=differing,
        audits=comparability.audits(before, after),
        rates=tuple(rates(before, after, differing)),
        splits=tuple(splits(before, after)),
        stages=_stages(before.get(Stages), after.get(Stages)),
        kernels=_changes(_of_kernels(one), _of_kernels(two)),
        ops=_ops(one, two) if one and two else (),
        kernel_before_ns=_kernel_sum(one) if one and two else None,
        kernel_after_ns=_kernel_sum(two) if one and two else None,
        host_ops=_changes(_of_ops(before.get(Ops)), _of_ops(after.get(Ops))),
        findings=tuple(_findings(before.get(Findings), after.get(Findings))),
        fields=tuple(_fields(before, after)),
        only_before={n: _why(after, n) for n in before.answers if n not in after.answers},
        only_after={n: _why(before, n) for n in after.answers if n not in before.answers},
        before_tokens=_tokens(before),
        after_tokens=_tokens(after),
    )


def _fields(before: Run, after: Run) -> Iterator[FieldChange]:
    """Of what both sides answer; rows of several traces have nothing that tells them apart."""
    if before.parts or after.parts:
        return
    for name, answer in before.answers.items():
        if name in after.answers and name not in WORDS:
            yield from fields(name, answer.to_json(), after.answers[name].to_json())


def _why(run: Run, name: str) -> str:
    return run.unanswered.get(name, NOT_ASKED)


# ---------------------------------------------------------------- findings


def _findings(one: Findings | None, two: Findings | None) -> Iterator[FindingChange]:
    """Findings of both sides, those that would save most first."""
    if one is None or two is None:
        return
    before, after = _by_advice(one), _by_advice(two)
    keys = list(dict.fromkeys((*before, *after)))
    saves = {
        key: max(own[key].saves_ns or 0 for own in (before, after) if key in own) for key in keys
    }
    for key in sorted(keys, key=lambda k: -saves[k]):
        old, new = before.get(key), after.get(key)
        yield FindingChange(
            *key,
            before=old.what if old else None,
            after=new.what if new else None,
            before_saves_ns=old.saves_ns if old else None,
            after_saves_ns=new.saves_ns if new else None,
        )


def _by_advice(findings: Findings) -> dict[tuple[str | None, str], Finding]:
    """The first of each stage and advice."""
    found: dict[tuple[str | None, str], Finding] = {}
    for row in findings.rows:
        found.setdefault((row.stage, row.do), row)
    return found


# ---------------------------------------------------------------- stages and kernels


def _stages(one: Stages | None, two: Stages | None) -> tuple[StageChange, ...]:
    if one is None or two is None:
        return ()
    before, after = ({t.family: t for t in own.totals if not t.is_all} for own in (one, two))
    return tuple(
        _stage(family, before.get(family), after.get(family))
        for family in dict.fromkeys((*before, *after))
    )


def _stage(family: str, old: Total | None, new: Total | None) -> StageChange:
    walls = (old.wall_ns if old else None, new.wall_ns if new else None)
    return StageChange(
        stage=family,
        state=_state(old is not None, new is not None),
        before_count=old.instances if old else None,
        after_count=new.instances if new else None,
        before_ns=walls[0],
        after_ns=walls[1],
        difference_ns=(walls[1] or 0) - (walls[0] or 0),
        relative=relative(*walls),
        before_mean_ns=old.mean_ns if old else None,
        after_mean_ns=new.mean_ns if new else None,
    )


def _state(before: bool, after: bool) -> State:
    return "both" if before and after else "new" if after else "gone"


def _kernel_sum(kernels: Kernels) -> int:
    return sum(row.total_ns for row in kernels.rows)


class _Cost(Record, frozen=True):
    """A row of kernels, or of ops by self time."""

    name: str
    category: str
    phase: str
    op: str | None
    count: int
    ns: int


class _Costs(Record, frozen=True):
    rows: Sequence[_Cost]
    phases: frozenset[str]  # those that are marked


def _of_kernels(kernels: Kernels | None) -> _Costs | None:
    if kernels is None:
        return None
    rows = [_Cost(r.name, r.category, r.phase, r.op, r.count, r.total_ns) for r in kernels.rows]
    return _Costs(rows, _marked(kernels))


def _of_ops(ops: Ops | None) -> _Costs | None:
    if ops is None:
        return None
    rows = [_Cost(r.name, r.category, r.phase, None, r.count, r.self_ns) for r in ops.rows]
    return _Costs(rows, _marked(ops))


def _marked(answer: Kernels | Ops) -> frozenset[str]:
    return frozenset(row.phase for row in answer.phases) - NO_PHASE


Key = tuple[str, str, str | None]


def _changes(one: _Costs | None, two: _Costs | None) -> tuple[KernelChange, ...]:
    """Rows matched by name and category, and within their phases where both have the same."""
    if one is None or two is None:
        return ()
    matched = one.phases == two.phases
    before, after = (_by_key(own.rows, matched) for own in (one, two))
    out = [
        _change(key, before.get(key, []), after.get(key, []))
        for key in dict.fromkeys((*before, *after))
    ]
    return tuple(sorted(out, key=lambda c: (-abs(c.difference_ns), c.name, c.phase or "")))


def _by_key(rows: Sequence[_Cost], by_phase: bool) -> dict[Key, list[_Cost]]:
    found: dict[Key, list[_Cost]] = {}
    for row in rows:
        key = (row.name, row.category, row.phase if by_phase else None)
        found.setdefault(key, []).append(row)
    return found


def _change(key: Key, old: Sequence[_Cost], new: Sequence[_Cost]) -> KernelChange:
    counts = [sum(row.count for row in rows) for rows in (old, new)]
    times = [sum(row.ns for row in rows) for rows in (old, new)]
    difference = times[1] - times[0]
    by_count = (counts[1] - counts[0]) * times[0] / counts[0] if old and new else None
    return KernelChange(
        name=key[0],
        category=key[1],
        phase=key[2],
        state=_state(bool(old), bool(new)),
        before_op=_main_op(old),
        after_op=_main_op(new),
        before_count=counts[0],
        after_count=counts[1],
        before_ns=times[0],
        after_ns=times[1],
        difference_ns=difference,
        relative=relative(times[0], times[1]) if old and new else None,
        by_count_ns=by_count,
        by_speed_ns=difference - by_count if by_count is not None else None,
    )


def _tokens(run: Run) -> int | None:
    """Tokens that decode generated; None where the trace does not say, or has none."""
    found = run.get(Kernels) or run.get(Ops)
    rows = found.phases if found is not None else ()
    return next((row.tokens for row in rows if row.phase == Stage.DECODE), None)


def _main_op(rows: Sequence[_Cost]) -> str | None:
    """The op of most of the time."""
    longest = max(rows, key=lambda row: row.ns, default=None)
    return longest.op if longest else None


def _ops(one: Kernels, two: Kernels) -> tuple[OpChange, ...]:
    """Kernels by what launched them."""
    matched = _marked(one) == _marked(two)
    times: dict[tuple[str | None, str, str | None], list[int]] = defaultdict(lambda: [0, 0])
    names: dict[tuple[str | None, str, str | None], list[dict[str, None]]] = defaultdict(
        lambda: [{}, {}]
    )
    for at, side in enumerate((one, two)):
        for row in side.rows:
            for origin in row.origins:
                key = (origin.op, row.category, row.phase if matched else None)
                times[key][at] += origin.total_ns
                names[key][at][row.name] = None
    out = [
        OpChange(*key, tuple(names[key][0]), tuple(names[key][1]), old, new, new - old)
        for key, (old, new) in times.items()
    ]
    return tuple(sorted(out, key=lambda c: (-abs(c.difference_ns), c.op or "", c.category)))
