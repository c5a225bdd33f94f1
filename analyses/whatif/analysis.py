"""What a change would save: the trace replayed as a graph of what waited for what.

Without a named change, those of the usual ones that save most, three at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tracekit.answers.whatif import Inferred, Outcome, Replayed, WhatIf
from tracekit.attribution import links
from tracekit.attribution.replay import changes, other_device
from tracekit.attribution.replay.changes import Change
from tracekit.attribution.replay.predict import (
    POINT_LAG,
    POINT_RESIDUAL,
    Fidelity,
    Gives,
    Predicted,
    Replay,
    Weights,
    replay,
)
from tracekit.attribution.roofline.devices import datasheet
from tracekit.records import Record
from tracekit.results.catalog import Analysis
from tracekit.results.units import plural, share
from tracekit.trace.trace import Cat, Trace

from .tables import DEFINITIONS, charts, tables

BEST = 3  # changes that are shown where none is named
SOME = 0.001  # of what was measured: what saves less is not listed there
MOST_INFERRED = 200


class _Scenario(Record, frozen=True):
    """A change with its name, and each stage after what it may be: the first is the best guess."""

    said: str
    guesses: tuple[Sequence[Predicted], ...]

    @property
    def told(self) -> tuple[Predicted, ...]:
        """The range over all that the change may be."""
        return tuple(
            Predicted(
                parts[0].predicted_ns if len(parts) == 1 else None,
                min((p.low_ns for p in parts if p.low_ns is not None), default=None),
                max((p.high_ns for p in parts if p.high_ns is not None), default=None),
            )
            for parts in zip(*self.guesses, strict=True)
        )


def whatif(
    trace: Trace,
    *,
    scale: tuple[str, ...] = (),
    remove: tuple[str, ...] = (),
    launch_cost: bool = True,
    cuda_graphs: tuple[str, ...] = (),
    device: tuple[str, ...] = (),
    stages: str | None = None,
) -> WhatIf:
    """Each stage after a change; all that is named but devices happens at once.

    `scale` has `gemm=0.5` (a category) or `kernel:REGEX=0.8`, `remove` has `host_sync`,
    `launch_cost=False` makes launch calls free, `cuda_graphs` names stages, `device` other devices.

    Raises: MissingEventsError where the trace cannot be replayed; UsageError for a change of
    nothing that is there.
    """
    made = replay(trace, stages)
    asked = Change(scale, remove, launch_cost, cuda_graphs)
    named = asked != Change() or bool(device)
    found = _named(made, asked, device) if named else _usual(made)
    told = [(one, one.told) for one in found]
    if not named:
        told = sorted(told, key=lambda pair: -_saved(made, pair[1]))[:BEST]
        least = SOME * made.fidelity[-1].measured_ns
        told = [pair for pair in told if _saved(made, pair[1]) > least]
    rows = tuple(row for one, guess in told for row in _rows(made, one, guess))
    return WhatIf(
        rows if named else tuple(_saving(rows)),
        tuple(_replayed(trace, f, min(f.gives, made.most)) for f in made.fidelity),
        _inferred(trace, made),
        tuple(_notes(made, [one.said for one, _ in told], asked if named else None, device)),
    )


def _named(made: Replay, asked: Change, devices: Sequence[str]) -> Iterator[_Scenario]:
    """What was asked for: all changes at once, then on each device."""
    own = changes.weights(made, asked)
    if asked != Change():
        yield _Scenario(asked.said, (made.predict(own),))
    for name in devices:
        factor = other_device.factors(made.trace, name)
        every = []
        for error in (1.0, other_device.LEAST, other_device.MOST):
            part = changes.of_work(made, factor * error)
            every.append(made.predict(Weights(own.factor * part.factor, own.dropped)))
        said = f"on {datasheet(name).name}"
        yield _Scenario(f"{asked.said}, {said}" if asked.said else said, tuple(every))


def _usual(made: Replay) -> Iterator[_Scenario]:
    """What is tried where nothing is named; nothing where the trace cannot be replayed."""
    if made.most is Gives.NOTHING:
        return
    for change in changes.candidates(made):
        yield _Scenario(change.said, (made.predict(changes.weights(made, change)),))


def _saved(made: Replay, guess: Sequence[Predicted]) -> int:
    """Of the device window, at least; 0 where it is not said."""
    last = guess[-1]
    return 0 if last.high_ns is None else made.fidelity[-1].measured_ns - last.high_ns


def _saving(rows: Sequence[Outcome]) -> Iterator[Outcome]:
    """Without stages that a change saves nothing of, on either clock."""
    saved = {(r.change, r.stage) for r in rows if (r.saves_ns or 0) >= SOME * r.measured_ns > 0}
    yield from (row for row in rows if (row.change, row.stage) in saved)


def _rows(made: Replay, change: _Scenario, guess: Sequence[Predicted]) -> Iterator[Outcome]:
    for one, known in zip(guess, made.fidelity, strict=True):
        why = _why(made, known)
        if why is None and len(change.guesses) > 1:
            why = "what libraries make of another device is not known"
        yield Outcome(
            made.trace.path, change.said, known.stage, known.clock, known.measured_ns,
            known.replayed_ns, one.predicted_ns, one.low_ns, one.high_ns, why,
        )  # fmt: skip


def _why(made: Replay, known: Fidelity) -> str | None:
    """Why no number is given."""
    if known.gives is Gives.POINT and made.most is Gives.POINT:
        return None
    if abs(known.residual) > POINT_RESIDUAL:
        return f"with nothing changed it replays {share(known.residual)} off"
    if known.lag_share > POINT_LAG:
        return f"nothing explains {share(known.lag_share)} of its critical path"
    if made.most is Gives.NOTHING:
        return "the trace as a whole is not replayed"
    return "another stage of the trace is not replayed: its graph lacks waits"


def _replayed(trace: Trace, known: Fidelity, gives: Gives) -> Replayed:
    return Replayed(
        trace.path, known.stage, known.clock, known.measured_ns, known.replayed_ns, known.residual,
        known.lag_share, gives.name.lower(),
    )  # fmt: skip


def _inferred(trace: Trace, made: Replay) -> tuple[Inferred, ...]:
    gpu = links.work(trace)
    pairs = Counter((gpu.text(one), gpu.text(two)) for one, two in made.graph.inferred)
    return tuple(
        Inferred(trace.path, one, two, count)
        for (one, two), count in pairs.most_common(MOST_INFERRED)
    )


def _notes(
    made: Replay, said: Sequence[str], asked: Change | None, devices: Sequence[str]
) -> Iterator[str]:
    """What should be known of the numbers."""
    if made.most is Gives.NOTHING:
        yield (
            "Nothing is predicted: with nothing changed, the replay of this trace is off, or does "
            "not explain what its critical path waits for."
        )
    elif asked is None and not said:
        yield f"Of what is usually tried nothing saves {share(SOME)} of the device window."
    syncs = asked is not None and bool(asked.remove)
    if syncs or f"without {changes.HOST_SYNC}" in said:
        yield (
            "Without host_sync ignores that the host may need what it waits for: what it saves is "
            "an upper bound."
        )
    graphs = asked.cuda_graphs if asked is not None else any("CUDA graphs" in s for s in said)
    if graphs:
        yield "CUDA graphs leave one launch a stage; whether it can be captured is not looked at."
    if made.trace.is_(Cat.PYTHON).any():
        yield (
            "Host times were measured with Python stacks, which lengthen them: what cheaper "
            "launches would save is overstated."
        )
    if devices:
        yield (
            "On another device each kernel is scaled by its own bound (memory, compute or "
            "latency), the host's time is as it was. Of one model on an H100 and an MI300X kernels "
            "took 0.6 to 1.9 times what that says, so no number is given, but a range from half to "
            "twice the kernel time; the host-bound step came within 6 %, its device window within "
            "10 %: another host is in no range."
        )
    if made.graph.inferred:
        number = len(made.graph.inferred)
        count = plural(number, "wait between streams is", "waits between streams are")
        yield f"{count} inferred from times: no record of the file says so."


def merge(one: WhatIf, two: WhatIf) -> WhatIf:
    """The predictions of both; each says its trace. They do not add up."""
    return WhatIf(
        one.rows + two.rows,
        one.replays + two.replays,
        one.inferred + two.inferred,
        tuple(dict.fromkeys((*one.notes, *two.notes))),
    )


ANALYSIS = Analysis(
    title="What if",
    question="What would a change save, if all else stayed, and how far can that be believed?",
    run=whatif,
    merge=merge,
    tables=tables,
    charts=charts,
    definitions=DEFINITIONS,
    needs=frozenset({"syncs", "shapes"}),
    order=95,
    alone=True,
    adds_up=False,
)
