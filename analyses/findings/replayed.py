"""What a replay of the trace says of a saving: the sum of times is a bound, not a prediction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tracekit.answers.findings import Saving
from tracekit.attribution import links
from tracekit.attribution.kernels.categories import classify
from tracekit.attribution.reasons.names import Reason
from tracekit.attribution.replay import changes
from tracekit.attribution.replay.changes import HOST_SYNC, Change
from tracekit.attribution.replay.predict import Gives, Replay, Weights, replay
from tracekit.attribution.stages import work_phases
from tracekit.errors import MissingEventsError
from tracekit.results.findings import Draft
from tracekit.taxonomy import Category, FindingKind
from tracekit.trace.trace import Mask, Trace

# the kinds whose cause the replay can take away, wholly or in part: work that takes less
_WORK: Mapping[str, Category] = {
    FindingKind.GEMM: Category.GEMM,
    FindingKind.MEMORY_BANDWIDTH: Category.GEMM,
    FindingKind.ATTENTION: Category.ATTENTION,
    FindingKind.COPY: Category.MEMCPY,
}
_HOST: Mapping[str, Reason] = {
    FindingKind.HOST_SYNC: Reason.SYNC,
    FindingKind.LAUNCH_BOUND: Reason.LAUNCHES,
}


def saving(trace: Trace, draft: Draft, stages: str | None, *, alone: bool) -> Saving | None:
    """Of the device window, what removing the cause of a finding saves; None where it is not said.

    Work of the finding's phase takes less by what it says that it could save. Waits of the host go
    all at once, so only where one finding is about all of them (`alone`). Of a stage that is bound
    by its launches one launch an instance is left. Never more than the finding says at most.
    """
    cause = _WORK.get(draft.kind) or _HOST.get(draft.kind)
    if draft.saves_ns is None or cause is None or cause.value not in draft.explains:
        return None  # of another clock than the device's, where another package claims it
    try:
        made = replay(trace, stages)
    except MissingEventsError:
        return None
    change = None if made.most is Gives.NOTHING else _change(made, draft, stages, alone)
    if change is None:
        return None
    window, found = made.fidelity[-1].measured_ns, made.predict(change)[-1]
    if found.low_ns is None or found.high_ns is None:
        return None

    def saved(left: int) -> int:
        return min(max(window - left, 0), draft.saves_ns or 0)

    told = None if found.predicted_ns is None else saved(found.predicted_ns)
    return Saving(told, saved(found.high_ns), saved(found.low_ns))


def _change(made: Replay, draft: Draft, stages: str | None, alone: bool) -> Weights | None:
    """What is no more without the cause; None where the replay cannot take that away."""
    if draft.kind in _WORK:
        return _less(made, draft, stages)
    if draft.kind == FindingKind.HOST_SYNC:
        return changes.weights(made, Change(remove=(HOST_SYNC,))) if alone else None
    marks = made.marks
    known = draft.stage is not None and draft.stage in (*marks.family, *marks.stage, *marks.name)
    return changes.weights(made, Change(cuda_graphs=(str(draft.stage),))) if known else None


def _less(made: Replay, draft: Draft, stages: str | None) -> Weights | None:
    """Work of a category and phase that takes less, by what the finding would save."""
    gpu = links.work(made.trace)
    rows = classify(made.trace).of(_WORK[draft.kind])
    if draft.device is not None:
        rows = rows & (gpu.device == draft.device)
    if draft.stage is not None:
        phases = work_phases.of_work(made.trace, stages)
        if draft.stage not in phases.names:
            return None
        rows = rows & (phases.code == phases.names.index(draft.stage))
    spent = int(gpu.dur[rows].sum())
    if draft.saves_ns is None or not spent:
        return None
    if draft.kind == FindingKind.COPY and 2 * _held(made.trace, rows) > spent:
        return None
    left = max(1 - draft.saves_ns / spent, 0.0)
    return changes.of_work(made, np.where(rows, left, 1.0))


def _held(trace: Trace, copies: Mask) -> int:
    """ns of copies for most of which their calls held the host, without having returned after them.

    A call that copies from or to pageable memory returns when the driver has taken the last bytes.
    The host would be free without the copy: a replay, in which the call takes its time, says less.
    """
    gpu, calls, launch = links.work(trace), links.calls(trace), links.launch_row(trace)
    own = np.flatnonzero(copies & (launch >= 0) & (gpu.dur > 0))
    call = launch[own]
    inside = np.minimum(gpu.end[own], calls.end[call]) - np.maximum(gpu.ts[own], calls.ts[call])
    held = (2 * inside > gpu.dur[own]) & (calls.end[call] < gpu.end[own])
    return int(gpu.dur[own][held].sum())
