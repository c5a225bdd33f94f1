"""A replay of 70,000 points takes as many steps for each as one of 7,000: counted, not timed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.drawing import Slice, build
from tracekit.attribution.replay import predict, solve
from tracekit.attribution.replay.changes import Change, weights
from tracekit.attribution.replay.graph import NEVER, Kind
from tracekit.attribution.replay.predict import Replay
from tracekit.trace.spans import compiled
from tracekit.trace.trace import Cat, Trace

STEP = 40_000  # ns
LAUNCHES = 9


def steps(count: int) -> Trace:
    """So many decode steps: launches of an op each, kernels on two streams, a wait at the end."""

    def of(step: int) -> Iterator[Slice]:
        at = step * STEP
        yield Slice(at, STEP - 100, "tracekit::decode", Cat.ANNOTATION)
        for place in range(LAUNCHES):
            link, begin = step * LAUNCHES + place, at + 500 + place * 3_000
            name = "ampere_sgemm" if place % 2 else "vectorized_elementwise_kernel"
            yield Slice(begin, 1_000, "cudaLaunchKernel", Cat.RUNTIME, correlation=link)
            yield Slice(begin + 2_000, 2_900, name, Cat.KERNEL, tid=7, pid=0, device=0,
                        stream=7 + place % 2, correlation=link)  # fmt: skip
        yield Slice(at + 30_000, 8_000, "cudaDeviceSynchronize", Cat.RUNTIME)

    return build(one for step in range(count) for one in of(step))


class Counted(list[int]):
    """A list that counts what is read of it."""

    reads = 0

    def __getitem__(self, place: int) -> int:  # type: ignore[override]
        Counted.reads += 1
        return super().__getitem__(place)


class Column:
    """A column as the walk reads it: a counted list."""

    def __init__(self, values: np.ndarray) -> None:  # type: ignore[type-arg]
        self.values = values

    def tolist(self) -> Counted:
        return Counted(self.values.tolist())


def reads_of(walk: object, *columns: np.ndarray) -> int:  # type: ignore[type-arg]
    Counted.reads = 0
    assert callable(walk)
    walk(*map(Column, columns))
    return Counted.reads


@pytest.fixture(scope="module", autouse=True)
def without_machine_code() -> Iterator[None]:
    """As where no large trace has loaded it: what is walked here is walked in Python."""
    before, compiled.loops = compiled.loops, None
    yield
    compiled.loops = before


@pytest.fixture(scope="module")
def replays() -> tuple[Replay, Replay]:
    small, large = (predict.replay(steps(count)) for count in (150, 1_500))
    assert len(large.graph.when) >= 70_000
    return small, large


def test_the_graph_grows_with_the_trace(replays: tuple[Replay, Replay]) -> None:
    small, large = (made.graph for made in replays)
    assert len(large.when) == 10 * len(small.when)
    # a launch waits for room in the queue, once it is full: one edge a launch from then on
    queued = [int((graph.edges.kind == Kind.SLOT).sum()) for graph in (small, large)]
    assert queued[0] == 0
    assert queued[1] <= 1_500 * LAUNCHES
    # the first steps of a trace differ: there is nothing before them
    assert len(large.edges) - queued[1] <= 10 * len(small.edges) + 100
    assert len(large.edges) <= 2 * len(large.when)  # a point waits for two others at most


def test_each_edge_is_read_once_for_an_answer_and_once_for_the_order(
    replays: tuple[Replay, Replay],
) -> None:
    for made in replays:
        graph, plan = made.graph, made.plan
        points, edges = len(graph.when), len(graph.edges)
        ends = graph.edges.first, graph.edges.src
        columns = plan.order, *ends, graph.edges.ns, graph.floor, np.zeros(points, np.int64)
        # an edge: its source, its length, and the source's time; a point: two ends, floor, rest
        assert reads_of(solve.longest, *columns) <= 3 * edges + 4 * points
        # an edge: its source, and twice more where that is sorted first, as each point is but once;
        # a point: where its edges begin, and where they end, before and after that
        assert reads_of(solve.ordered, *ends) <= edges + 5 * points


def test_paths_of_stages_side_by_side_visit_each_point_once(
    replays: tuple[Replay, Replay], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unexplained part of a stage is read off its own path: no walk begins at the trace's."""
    seen: list[int] = []
    walk = solve.path

    def counted(columns: solve.Lists, v: int, until: int) -> tuple[int, int]:
        above, _, when = columns
        at = v
        while when[at] > until and above[at] >= 0:
            seen.append(at)
            at = above[at]
        return walk(columns, v, until)

    monkeypatch.setattr(solve, "kernel", lambda _points: None)
    monkeypatch.setattr(solve, "path", counted)
    visits = []
    for made in replays:
        seen.clear()
        Replay(made.trace)
        visits.append(len(seen))
        # of three windows (two clocks of the stage, the device) each visits a point at most once
        assert len(seen) <= 3 * len(made.graph.when)
    assert visits[1] <= 10 * visits[0] + 100


def test_a_change_of_70000_points_is_the_sum_of_its_steps(replays: tuple[Replay, Replay]) -> None:
    """What a half as long GEMM saves of each step does not depend on how many there are."""
    saved = []
    for made, count in zip(replays, (150, 1_500), strict=True):
        guess = made.predict(weights(made, Change(scale=("gemm=0.5",))))
        decode = made.fidelity[0]
        assert decode.stage == "decode"
        assert guess[0].predicted_ns is not None
        saved.append((decode.measured_ns - guess[0].predicted_ns) / count)
    assert saved[0] == pytest.approx(saved[1], rel=0.01)


@pytest.mark.parametrize("which", ["none", "of heads", "any"])
def test_a_walk_over_heads_alone_says_when_each_point_is(
    replays: tuple[Replay, Replay], which: str
) -> None:
    plan = replays[0].plan
    edges, chains = plan.graph.edges, plan.chains
    assert chains is not None
    assert 5 * len(chains.order) < len(plan.graph.when)  # which is why it is quicker
    chance = np.random.default_rng(which == "any")
    dropped = np.zeros(len(edges), bool)
    if which != "none":
        dropped[chains.edges] = chance.random(len(chains.edges)) < 0.2
    if which == "any":
        dropped |= chance.random(len(edges)) < 0.01
    weight = chance.integers(-500, 5_000, len(edges))
    for pad in (False, True):
        extra = plan.pad if pad else np.zeros_like(plan.pad)
        held = np.where(dropped, NEVER, weight)
        columns = plan.order, edges.first, edges.src, held, plan.graph.floor, extra
        found = solve.solve(plan, weight, pad=pad, dropped=dropped)
        assert found.tolist() == solve.longest(*columns).tolist()
