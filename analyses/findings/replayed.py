"""What a replay of the trace says of a saving: the sum of times is a bound, not a prediction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tracekit.answers.findings import Saving
from tracekit.attribution import links
from tracekit.attribution.kernels.categories import classify
from tracekit.attribution.replay import changes
from tracekit.attribution.replay.changes import HOST_SYNC, Change
from tracekit.attribution.replay.predict import Gives, Replay, Weights, replay
from tracekit.attribution.stages import work_phases
from tracekit.errors import MissingEventsError
from tracekit.results.findings import Draft
from tracekit.taxonomy import Category, FindingKind
from tracekit.trace.trace import Trace

# the kinds whose cause is one that the replay can take away, wholly or in part
_KERNELS: Mapping[str, Category] = {
    FindingKind.GEMM: Category.GEMM,
    FindingKind.MEMORY_BANDWIDTH: Category.GEMM,
    FindingKind.ATTENTION: Category.ATTENTION,
}


def saving(trace: Trace, draft: Draft, stages: str | None, *, alone: bool) -> Saving | None:
    """Of the device window, what removing the cause of a finding saves; None where it is not said.

    Of kernels those of the finding's phase take less by what it says that they could save. Waits of
    the host go all at once, so only where one finding is about all of them (`alone`).
    """
    waits = draft.kind == FindingKind.HOST_SYNC and alone
    if draft.saves_ns is None or not (waits or draft.kind in _KERNELS):
        return None
    try:
        made = replay(trace, stages)
    except MissingEventsError:
        return None
    if made.most is Gives.NOTHING:
        return None
    gone = Change(remove=(HOST_SYNC,))
    change = changes.weights(made, gone) if waits else _less(made, draft, stages)
    if change is None:
        return None
    window, found = made.fidelity[-1].measured_ns, made.predict(change)[-1]
    if found.low_ns is None or found.high_ns is None:
        return None
    told = None if found.predicted_ns is None else max(window - found.predicted_ns, 0)
    return Saving(told, max(window - found.high_ns, 0), max(window - found.low_ns, 0))


def _less(made: Replay, draft: Draft, stages: str | None) -> Weights | None:
    """Kernels of a category and phase that take less, by what the finding would save."""
    gpu = links.work(made.trace)
    rows = classify(made.trace).of(_KERNELS[draft.kind])
    if draft.stage is not None:
        phases = work_phases.of_work(made.trace, stages)
        if draft.stage not in phases.names:
            return None
        rows &= phases.code == phases.names.index(draft.stage)
    spent = int(gpu.dur[rows].sum())
    if draft.saves_ns is None or not spent:
        return None
    left = max(1 - draft.saves_ns / spent, 0.0)
    return changes.of_work(made, np.where(rows, left, 1.0))
