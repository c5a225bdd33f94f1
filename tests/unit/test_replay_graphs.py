"""Graphs are walked alike by the kernel, in plain Python and as machine code, and without it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.drawing import Slice, build
from tests.examples import examples
from tests.machine import compiled
from tracekit.attribution.replay import changes, predict, solve
from tracekit.attribution.replay.changes import Change
from tracekit.attribution.replay.graph import Drawing, Graph, Kind, Places
from tracekit.errors import MissingEventsError
from tracekit.trace.scan import kernel as plain
from tracekit.trace.scan.asked import Kernel
from tracekit.trace.trace import Cat, Trace

WIDE = 1 << 31  # ns: the least that 32 bits do not hold

TIMES = st.integers(-5, 40)
EDGES = st.lists(
    st.tuples(
        st.sampled_from([Kind.HOST, Kind.GAP, Kind.WAIT, Kind.RUN]), st.integers(0, 11),
        st.integers(0, 11), TIMES | st.integers(WIDE - 2, WIDE + 2) | st.integers(-WIDE - 2, 9),
    ),
    min_size=1, max_size=30,
)  # fmt: skip


def drawn(edges: list[tuple[Kind, int, int, int]], when: list[int], run: Kernel | None) -> Graph:
    """Rows of work that start and end, and edges of one block each."""
    places, out = Places(0, 6, 0), Drawing()
    for kind, one, two, ns in edges:
        out.add(kind, np.array([one]), np.array([two]), np.array([ns]))
    made = out.edges(places.count, run)
    lagging = np.flatnonzero(made.ns % 3 == 0)
    return Graph(np.array(when, np.int64), made, places, np.array([2]), (), lagging, lagging % 7)


def all_said(
    edges: list[tuple[Kind, int, int, int]], when: list[int], factor: float, run: Kernel | None
) -> object:
    """All that is asked of a graph; None where it has a circle."""
    made = drawn(edges, when, run)
    own = made.edges
    sorted_ = [own.first.tolist(), own.src.tolist(), own.ns.tolist(), own.kind.tolist()]
    try:
        plan = solve.plan(made, "drawn")
    except MissingEventsError:
        return sorted_, None
    dropped = own.of(Kind.WAIT)
    changed = own.changed(np.full(len(own), factor))
    lag = solve.Lag(plan)
    return (
        (sorted_, plan.order.tolist(), own.ns.dtype, changed.dtype),
        [
            solve.solve(plan, ns, pad=pad, dropped=some).tolist()
            for ns in (own.ns, changed) for some in (None, dropped) for pad in (False, True)
        ],
        [lag.on_path(until, end) for until in (-9, 7) for end in range(len(when))],
    )  # fmt: skip


@pytest.mark.parametrize("by", [lambda: plain.run, compiled], ids=["plain", "machine code"])
@examples(60)
@given(
    edges=EDGES, when=st.lists(TIMES, min_size=12, max_size=12),
    factor=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)  # fmt: skip
def test_graphs_are_walked_alike(
    by: Callable[[], Kernel], edges: list[tuple[Kind, int, int, int]], when: list[int],
    factor: float,
) -> None:  # fmt: skip
    answers = []
    for run in (None, by()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(solve, "kernel", lambda _points, run=run: run)
            answers.append(all_said(edges, when, factor, run))
    assert answers[0] == answers[1]


def test_a_circle_is_found_wherever_it_is() -> None:
    for run in (None, plain.run):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(solve, "kernel", lambda _points, run=run: run)
            for edges in ([(5, 5)], [(0, 1), (1, 2), (2, 1)], [(11, 0), (0, 11)]):
                made = drawn([(Kind.GAP, *ends, 1) for ends in edges], [0] * 12, run)
                with pytest.raises(MissingEventsError, match="circle"):
                    solve.plan(made, "drawn")


def paused(pause: int) -> Trace:
    """Two launches with a pause of the host between them, and a wait for a long kernel."""
    rows = []
    for link, (begin, length) in enumerate(((1_000, 5_000), (2_000 + pause, pause))):
        rows += [
            Slice(begin, 500, "cudaLaunchKernel", Cat.RUNTIME, correlation=link),
            Slice(begin + 1_000, length, "gemm", Cat.KERNEL, pid=0, tid=7, device=0, stream=7,
                  correlation=link),
        ]  # fmt: skip
    rows.append(Slice(4_000 + pause, pause, "cudaDeviceSynchronize", Cat.RUNTIME))
    rows.append(Slice(0, 2 * pause + 9_000, "step", Cat.ANNOTATION))
    return build(rows)


@pytest.mark.parametrize("pause", [100_000, WIDE + 7, 5 * WIDE], ids=["short", "long", "longer"])
def test_lengths_of_more_than_two_seconds_are_replayed_to_the_ns(pause: int) -> None:
    said = []
    for run in (None, plain.run):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(solve, "kernel", lambda _points, run=run: run)
            made = predict.Replay(paused(pause))
            edges = made.graph.edges
            assert edges.ns.dtype == (np.int64 if pause >= WIDE else np.int32)
            assert edges.ns.max() >= pause
            assert [one.residual for one in made.fidelity] == [0.0] * len(made.fidelity)
            change = changes.weights(made, Change(scale=("gemm=0.5",)))
            said.append((made.times(change, pad=True).tolist(), made.predict(change)))
            window = made.fidelity[-1]
            # the second kernel is half as long, and the window begins with the first
            assert said[-1][1][-1].predicted_ns == window.measured_ns - pause + round(pause / 2)
            longer = changes.weights(made, Change(scale=("gemm=1e5",)))
            assert made.times(longer, pad=False).max() > 90_000 * pause
    assert said[0] == said[1]
