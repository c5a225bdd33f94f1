"""What a replay of BEFORE says that the explained changes do, beside what AFTER measured.

A category's kernels take as much longer, or shorter, in each phase as they do after; everything
else stays. So what is between prediction and measurement is what kernels do not explain: launches,
waits, host work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from tracekit.answers.devices import Devices
from tracekit.answers.kernels import Kernels
from tracekit.attribution import links
from tracekit.attribution.kernels.categories import classify
from tracekit.attribution.replay import changes
from tracekit.attribution.replay.predict import (
    DEVICE_CLOCK,
    HOST_CLOCK,
    Predicted,
    Replay,
    replay,
)
from tracekit.attribution.stages import work_phases
from tracekit.comparison.compare import Comparison, Foretold, Prediction
from tracekit.comparison.runs import Run
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.taxonomy import Category
from tracekit.trace.trace import Trace

LEAST = 0.01  # of all kernel time before: a smaller change is not tried
ALL = "all of these as after"


Key = tuple[str, str]  # category, phase


def with_prediction(found: Comparison, before: Run, after: Run, trace: Trace) -> Comparison:
    """The comparison with what a replay of `trace`, that of BEFORE, says of its changes."""
    return replace(found, prediction=predict(found, before, after, trace))


def tells(found: Comparison, before: Run, after: Run) -> bool:
    """Whether there is a change that a replay could be asked about, for which the trace is read."""
    one, two = before.get(Kernels), after.get(Kernels)
    return found.same_work and one is not None and two is not None and bool(_changed(one, two))


def predict(found: Comparison, before: Run, after: Run, trace: Trace) -> Prediction:
    """Of each category that changed by some part of the kernel time, and of all together."""
    one, two = before.get(Kernels), after.get(Kernels)
    if one is None or two is None:
        return Prediction(why_not="a side has no kernels")
    if not found.same_work:
        return Prediction(why_not="the two are not the same work")
    changed = _changed(one, two)
    if not changed:
        return Prediction(why_not="no category of kernels changed by 1 % of the kernel time")
    try:
        made = replay(trace)
    except MissingEventsError as fault:
        return Prediction(why_not=f"the trace before cannot be replayed: {fault.what}")
    return Prediction(tuple(_rows(found, made, changed, one, two, before, after)))


def _sums(kernels: Kernels) -> dict[Key, int]:
    return {(share.category.value, share.phase): share.total_ns for share in kernels.categories}


def _changed(one: Kernels, two: Kernels) -> list[str]:
    """Categories that both sides have, the largest change first."""
    sums: list[dict[str, int]] = [{}, {}]
    for own, kernels in zip(sums, (one, two), strict=True):
        for (category, _), ns in _sums(kernels).items():
            own[category] = own.get(category, 0) + ns
    before, after = sums
    least = LEAST * sum(before.values())
    known = [name for name in before if abs(after.get(name, 0) - before[name]) >= least]
    return sorted(known, key=lambda name: -abs(after.get(name, 0) - before[name]))


def _rows(
    found: Comparison, made: Replay, changed: list[str], one: Kernels, two: Kernels,
    before: Run, after: Run,
) -> Iterator[Foretold]:  # fmt: skip
    old, new = _sums(one), _sums(two)
    alike = {phase for _, phase in old} == {phase for _, phase in new}
    whole = np.ones(len(links.work(made.trace)))
    for name in changed:
        factor = _factors(made, name, old, new, alike)
        whole *= factor
        window = made.predict(changes.of_work(made, factor))[-1]
        yield _row(f"{name} kernels", _difference(name, old, new), made, -1, window, None)
    guess = made.predict(changes.of_work(made, whole))
    total = sum(_difference(name, old, new) for name in changed)
    stages = {stage.stage: stage.difference_ns for stage in found.stages if stage.state == "both"}
    for place, known in enumerate(made.fidelity):
        last = place == len(made.fidelity) - 1
        if not last and (known.clock != HOST_CLOCK or known.stage not in stages):
            continue
        row = _row(ALL, total, made, place, guess[place],
                   _window(before, after) if last else stages[known.stage])  # fmt: skip
        largest = max(abs(ns or 0) for ns in (row.low_ns, row.high_ns, row.measured_ns))
        if last or largest >= LEAST * known.measured_ns:
            yield row


def _difference(name: str, old: Mapping[Key, int], new: Mapping[Key, int]) -> int:
    return sum(
        sign * ns for own, sign in ((new, 1), (old, -1))
        for (category, _), ns in own.items() if category == name
    )  # fmt: skip


def _factors(
    made: Replay, name: str, old: Mapping[Key, int], new: Mapping[Key, int], alike: bool
) -> npt.NDArray[np.float64]:
    """[G] how much longer each row of `links.work` takes; by phase where both sides have them."""
    mine = classify(made.trace).of(Category(name))
    out = np.ones(len(mine))
    phases = work_phases.of_work(made.trace)
    for phase in {phase for category, phase in old if category == name}:
        if alike:
            rows = mine & (phases.code == phases.names.index(phase))
            times = (own.get((name, phase), 0) for own in (old, new))
        else:
            rows = mine
            times = (sum(ns for (c, _), ns in own.items() if c == name) for own in (old, new))
        was, now = times
        if was:
            out[rows] = now / was
    return out


def _row(
    change: str, kernel_ns: int, made: Replay, place: int, guess: Predicted, measured: int | None
) -> Foretold:
    known = made.fidelity[place]
    assert place != -1 or known.clock == DEVICE_CLOCK
    point, low, high = (
        None if ns is None else ns - known.measured_ns
        for ns in (guess.predicted_ns, guess.low_ns, guess.high_ns)
    )
    return Foretold(change, kernel_ns, str(known.stage), known.clock, point, low, high, measured)


def _window(before: Run, after: Run) -> int | None:
    """By how much the only device's window changed; None where a side has several."""
    one, two = before.get(Devices), after.get(Devices)
    if one is None or two is None or not len(one.rows) == len(two.rows) == 1:
        return None
    return two.rows[0].window_ns - one.rows[0].window_ns
