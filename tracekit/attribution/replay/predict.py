"""Stage times after a change, and how far each can be believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links
from tracekit.attribution.replay import solve
from tracekit.attribution.replay.build import graph
from tracekit.attribution.replay.graph import Graph
from tracekit.attribution.replay.solve import Plan
from tracekit.attribution.stages.instances import Markers, launched, markers
from tracekit.errors import MissingEventsError
from tracekit.records import Record
from tracekit.taxonomy import Whole
from tracekit.trace.trace import I32, I64, Ints, Mask, Trace

# of what was measured: up to here a number is given, up to WORST_… a range, beyond it nothing
POINT_RESIDUAL, WORST_RESIDUAL = 0.02, 0.10
POINT_LAG, WORST_LAG = 0.05, 0.10
# a stage of some length whose replay is off by this much: waits are missing, or are none
ABSURD, SOME = 0.5, 0.05
EARLY_SHARE = 0.001  # of launched work that begins before its launch: the clocks do not agree

HOST_CLOCK = "host wall"
WORK_CLOCK = "to the end of its GPU work"
DEVICE_CLOCK = "device window"


class Gives(IntEnum):
    """What may be said of a stage after a change, the least first."""

    NOTHING = 0
    RANGE = 1
    POINT = 2


class Weights(Record, frozen=True, eq=False):
    """What a change makes of the edges: [E] each."""

    factor: npt.NDArray[np.float64]  # of their work
    dropped: npt.NDArray[np.bool_]  # waits that are no more


class Window(Record, frozen=True):
    """The sum of a stage's instances on one clock: the last of `ends` less `begins`, of each."""

    stage: str
    clock: str
    begins: tuple[int, ...]  # points
    ends: tuple[I32, ...]  # points, of each instance


class Fidelity(Record, frozen=True):
    """How well a stage's time is replayed with nothing changed."""

    stage: str
    clock: str
    measured_ns: int
    replayed_ns: int  # by the rules alone
    lag_ns: int  # of its critical path, what no rule explains

    @property
    def residual(self) -> float:
        """Replayed less measured, of what was measured."""
        return (self.replayed_ns - self.measured_ns) / self.measured_ns if self.measured_ns else 0.0

    @property
    def lag_share(self) -> float:
        """Unexplained time on the critical path, of what was measured."""
        return self.lag_ns / self.measured_ns if self.measured_ns else 0.0

    @property
    def gives(self) -> Gives:
        """What may be said of this stage after a change, by itself."""
        off, lag = abs(self.residual), self.lag_share
        if off <= POINT_RESIDUAL and lag <= POINT_LAG:
            return Gives.POINT
        return Gives.RANGE if off <= WORST_RESIDUAL and lag <= WORST_LAG else Gives.NOTHING


class Predicted(Record, frozen=True):
    """What a change makes of one stage on one clock; None where it is not said."""

    predicted_ns: int | None
    low_ns: int | None
    high_ns: int | None


class Replay:
    """A trace ready to be changed: its graph, its stages, and how well they are replayed."""

    def __init__(self, trace: Trace, stages: str | None = None) -> None:
        self.trace = trace
        self.marks = _markers(trace, stages)
        self.plan: Plan = solve.plan(graph(trace, self.marks), trace.path)
        when = self.plan.graph.when
        every = tuple(_windows(trace, self.marks, self.plan.graph))
        # a stage whose work had ended before it began is none: its launches are linked wrongly
        self.windows = (*(w for w in every[:-1] if _length(w, when) > 0), every[-1])
        rules = solve.solve(self.plan, self.plan.graph.edges.ns, pad=False)
        replayed = [_length(window, rules) for window in self.windows]
        del rules  # of a large trace it takes room that what follows needs
        self.fidelity = tuple(self._fidelity(replayed))
        self.most = _most(self.fidelity)

    @property
    def graph(self) -> Graph:
        return self.plan.graph

    def times(self, change: Weights, *, pad: bool) -> I64:
        """[V] when each point happens after a change; with `pad` all unexplained time is kept."""
        return self._times(self.graph.edges.changed(change.factor), change.dropped, pad=pad)

    def _times(self, ns: Ints, dropped: Mask, *, pad: bool) -> I64:
        return solve.solve(self.plan, ns, pad=pad, dropped=dropped if dropped.any() else None)

    def predict(self, change: Weights) -> tuple[Predicted, ...]:
        """Of each of `windows`."""
        ns = self.graph.edges.changed(change.factor)
        times = self._times(ns, change.dropped, pad=True)
        kept = [_length(window, times) for window in self.windows]
        del times  # of a large trace one takes what room there is
        times = self._times(ns, change.dropped, pad=False)
        return tuple(
            _predicted(said, min(said.gives, self.most), one,
                       said.measured_ns + _length(window, times) - said.replayed_ns)
            for window, said, one in zip(self.windows, self.fidelity, kept, strict=True)
        )  # fmt: skip

    def _fidelity(self, replayed: Sequence[int]) -> Iterable[Fidelity]:
        path = solve.Lag(self.plan)
        when = self.graph.when
        for window, by_rules in zip(self.windows, replayed, strict=True):
            lag = 0
            for begin, ends in zip(window.begins, window.ends, strict=True):
                last = int(ends[np.argmax(when[ends])])
                lag += path.on_path(int(when[begin]), last)
            yield Fidelity(window.stage, window.clock, _length(window, when), by_rules, lag)


def _most(every: tuple[Fidelity, ...]) -> Gives:
    """What may be said of any stage: the graph of a trace that it cannot replay lacks waits."""
    device = every[-1]
    if device.gives is Gives.NOTHING:
        return Gives.NOTHING
    long = [f for f in every if f.measured_ns >= SOME * device.measured_ns]
    return Gives.RANGE if any(abs(f.residual) > ABSURD for f in long) else Gives.POINT


def _predicted(said: Fidelity, gives: Gives, kept: int, rules: int) -> Predicted:
    """With all that is unexplained kept, or none of it: what lies between is not known."""
    if gives is Gives.NOTHING:
        return Predicted(None, None, None)
    off = abs(said.replayed_ns - said.measured_ns)
    low, high = max(min(kept, rules) - off, 0), max(kept, rules) + off
    if kept <= said.measured_ns:
        high = max(min(high, said.measured_ns), kept)
    return Predicted(kept if gives is Gives.POINT else None, low, high)


def _length(window: Window, at: I64) -> int:
    return sum(
        int(at[ends].max()) - int(at[begin])
        for begin, ends in zip(window.begins, window.ends, strict=True)
    )


def _markers(trace: Trace, stages: str | None) -> Markers:
    """The stages; of a trace that marks none, none."""
    try:
        return markers(trace, stages)
    except MissingEventsError:
        if stages is not None:
            raise
    none = np.empty(0, np.int64)
    no = np.empty(0, bool)
    return Markers(none, none, none, none, (), (), (), (), none, no, no, "user")


def _windows(trace: Trace, marks: Markers, made: Graph) -> Iterable[Window]:
    """Each stage on both clocks, and the device from its first work to its last."""
    instance, work = launched(trace, marks) if len(marks) else (np.empty(0, np.int64),) * 2
    order = np.argsort(instance, kind="stable")
    instance, work = instance[order], work[order]
    opens, closes, stops = made.opens.tolist(), made.closes, made.end
    for family, members in zip(marks.families, marks.members, strict=True):
        rows = [int(m) for m in members if not marks.repeated[m]]
        begins = tuple(opens[m] for m in rows)
        yield Window(family, HOST_CLOCK, begins, tuple(closes[[m]] for m in rows))
        low = np.searchsorted(instance, rows, side="left")
        high = np.searchsorted(instance, rows, side="right")
        ends = [stops[work[a:b]] for a, b in zip(low.tolist(), high.tolist(), strict=True)]
        known = [i for i, part in enumerate(ends) if len(part)]
        if known:
            yield Window(
                family, WORK_CLOCK, tuple(begins[i] for i in known),
                tuple(ends[i] for i in known),
            )  # fmt: skip
    first = made.places.start + int(np.argmin(links.work(trace).ts))
    yield Window(Whole.TRACE, DEVICE_CLOCK, (first,), (stops,))


def replay(trace: Trace, stages: str | None = None) -> Replay:
    """The trace as a graph whose times are known. Computed once.

    Raises: MissingEventsError without GPU work, without launches, where work begins before it was
    launched, or where waits form a circle.
    """
    return trace.once(("replay", stages), lambda: _replay(trace, stages))


def _replay(trace: Trace, stages: str | None) -> Replay:
    gpu, launch = links.work(trace), links.launch_row(trace)
    if not len(gpu):
        raise MissingEventsError(
            "no GPU work, so there is nothing to replay",
            where=trace.path, hint="capture with a CUDA or ROCm device visible",
        )  # fmt: skip
    linked = launch >= 0
    if not linked.any():
        raise MissingEventsError(
            "no launch of its GPU work is in the file, so what waited for what is not known",
            where=trace.path, hint="record CPU activities too",
        )  # fmt: skip
    early = int((gpu.ts[linked] < links.launch_start(trace)[linked]).sum())
    if early > EARLY_SHARE * int(linked.sum()):
        raise MissingEventsError(
            f"{early:,} of {int(linked.sum()):,} pieces of GPU work begin before their launch: the "
            "clocks of host and device do not agree",
            where=trace.path, hint="capture again with a newer profiler",
        )  # fmt: skip
    return Replay(trace, stages)
