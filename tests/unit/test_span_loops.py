"""Compiled loops over spans say what numpy says: in plain Python, and as machine code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracekit.analyses.audit.host import crossings
from tracekit.analyses.tree.chains import chains

from tests.drawing import Slice, build
from tests.examples import examples
from tests.machine import compiled as machine_code
from tracekit.attribution import links
from tracekit.attribution.idle.host_stack import innermost_call
from tracekit.attribution.reasons import holders
from tracekit.trace.scan import asked
from tracekit.trace.scan import kernel as plain
from tracekit.trace.spans import compiled, detail, intervals, nesting, segments
from tracekit.trace.spans.among import Among
from tracekit.trace.trace import I64, Cat, Trace

# track, start, length
ROWS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-9, 20), st.integers(-2, 9)), min_size=1, max_size=25
)
CATS = (Cat.CPU_OP, Cat.RUNTIME, Cat.ANNOTATION, Cat.PYTHON)


@contextmanager
def loops(run: asked.Kernel | None) -> Iterator[None]:
    """Meanwhile whatever has a compiled loop takes it; without `run` nothing does."""
    before = compiled.loops, compiled.MANY
    compiled.loops, compiled.MANY = asked.Loops(run) if run else None, 0
    try:
        yield
    finally:
        compiled.loops, compiled.MANY = before


def both(run: asked.Kernel, say: Callable[[], object]) -> None:
    with loops(None):
        want = say()
    with loops(run):
        assert say() == want


def columns(rows: list[tuple[int, int, int]]) -> tuple[I64, I64, I64]:
    track, start, length = np.array(rows, np.int64).T
    return track, start, start + length


def answers(one: list[tuple[int, int, int]], two: list[tuple[int, int, int]], far: int) -> object:
    """All that has a loop, of the same rows: as they are drawn, and in order of time."""
    by_time = sorted(one, key=lambda row: (row[1], -row[2]))
    track, start, end = columns([row for row in two if row[2] > 0] or [(0, 0, 1)])
    found: list[object] = []
    for rows in (one, by_time):
        outer = columns(rows)
        outer[0][outer[0] > 0] += far  # numbers of threads are any
        tracks = track + far * (track > 0)
        around = nesting.innermost(*outer, tracks, start, end)
        flat = intervals.union(np.stack(outer[1:], axis=1))
        windows = np.stack([start, end], axis=1)
        united = intervals.union(windows)
        found += [
            around.tolist(), nesting.parents(*outer).tolist(), flat.tolist(),
            intervals.union_of(*outer[1:], outer[1] % 3 > 0).tolist(),
            intervals.intersect(flat, united).tolist(),
            intervals.intersect(windows, flat).tolist(),
            intervals.covered(flat, np.array([row[1:] for row in two])).tolist(),
            [part.tolist() for part in segments.codes(outer[1] * far)],
            [part.tolist() for part in segments.distinct([outer[1] * far, outer[0]])],
            segments.union_ns(columns(rows)[0], *outer[1:], 5).tolist(),
            segments.previous(outer[1] * far).tolist(),
            segments.below(np.sort(outer[1]), start).tolist(),
            segments.places(np.sort(outer[1] * far), start * far).tolist(),
            nesting.nearest(nesting.parents(*outer), outer[1] % 3 == 0).tolist(),
            segments.grouped(outer[1] - outer[1].min(), int(np.ptp(outer[1])) + 1).tolist(),
        ]  # fmt: skip
    slices = [
        Slice(begin, max(length, 0), f"n{length}", CATS[(begin + length) % 4], tid=number)
        for number, begin, length in one
    ]
    trace = build(slices)
    said = [str(one) for one in crossings(trace)]
    return found, said, of_slices(trace, windows, one)


def of_slices(trace: Trace, windows: I64, rows: list[tuple[int, int, int]]) -> object:
    """What loops say of all slices of a trace: what is around each, and open when."""
    parent = links.parent_row(trace)
    whole = np.arange(len(trace))
    found: list[object] = [parent.tolist(), holders.above(trace, whole, trace.dur > 2).tolist()]
    for thread in range(3):
        pieces, row = innermost_call(trace, thread, intervals.union(windows))
        open_ns = segments.sums(row, pieces[:, 1] - pieces[:, 0], len(trace))
        flat = [intervals.union(pieces[row == one]).tolist() for one in sorted({*row.tolist()})]
        found += [open_ns.tolist(), flat]
    made = chains(parent, trace.dur)
    found += [made.code.tolist(), made.before.tolist(), made.end.tolist()]
    some, slices = trace.dur % 3 > 0, links.slices(trace)
    among = Among(slices, some)
    asked_of = among.around(slices, some, *columns(rows))
    found += [among.tops(some).tolist(), asked_of.tolist()]
    track, start, length = np.array(rows, np.int64).T
    left_out = length == 3
    runs = detail.runs(track, start, abs(length), left_out, window=(-9, 20), bins=7)
    return [*found, runs.tolist()]


@examples(100)
@given(one=ROWS, two=ROWS, far=st.sampled_from([1, 1 << 40]))
def test_loops_say_what_numpy_says(
    one: list[tuple[int, int, int]], two: list[tuple[int, int, int]], far: int
) -> None:
    both(plain.run, lambda: answers(one, two, far))


@pytest.mark.parametrize("most", [50, 100_000])
def test_machine_code_says_what_numpy_says(most: int) -> None:
    random = np.random.default_rng(most)
    one, two = (
        list(zip(random.integers(0, 5, size).tolist(), random.integers(0, most, size).tolist(),
                 random.integers(-1, 40, size).tolist(), strict=True))
        for size in (3_000, 2_000)
    )  # fmt: skip
    both(machine_code(), lambda: answers(one, two, 1 << 40))
