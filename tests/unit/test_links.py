"""Links between slices, each against a slow and obvious version."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import shared
from tests.examples import examples
from tests.real import loaded
from tracekit.attribution import links
from tracekit.trace import kineto
from tracekit.trace.ranks import last_before
from tracekit.trace.spans.nesting import innermost, parents
from tracekit.trace.trace import Cat, Trace

small = st.integers(0, 12)
two = st.integers(1, 2)
rest = (small, st.integers(0, 6), st.integers(-1, 4))  # start, duration, correlation
host_cat = st.sampled_from(["cpu_op", "user_annotation", "cuda_runtime", "python_function"])
host = st.tuples(host_cat, two, two, *rest)
gpu_cat = st.sampled_from(["kernel", "gpu_memcpy", "gpu_memset"])
gpu = st.tuples(gpu_cat, st.just(0), st.integers(7, 8), *rest)
events = st.lists(st.one_of(host, gpu), max_size=25)


def trace_of(rows: list[tuple[str, int, int, int, int, int]], folder: Path) -> Trace:
    made: list[dict[str, Any]] = [{"ph": "M", "name": "process_name", "pid": 1, "args": {}}]
    for cat, pid, tid, ts, dur, correlation in rows:
        args: dict[str, Any] = {} if correlation < 0 else {"correlation": correlation}
        made.append({"ph": "X", "cat": cat, "name": f"{cat} {len(made)}", "pid": pid, "tid": tid,
                     "ts": ts, "dur": dur, "args": args})  # fmt: skip
    path = folder / "t.json"
    path.write_text(json.dumps({"traceEvents": made}))
    return kineto.load(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("links")


def slow_innermost(outer: list[tuple[int, int, int]], one: tuple[int, int, int]) -> tuple[int, int]:
    """(start, end) of the innermost enclosing outer span, or (-1, -1)."""
    lane, start, end = one
    around = [(s, -e) for where, s, e in outer if where == lane and s <= start and e >= end]
    best = max(around, default=(-1, 1))
    return best[0], -best[1]


lanes = st.lists(
    st.tuples(st.integers(0, 2), small, st.integers(0, 8)).map(lambda t: (t[0], t[1], t[1] + t[2])),
    max_size=30,
)


@given(lanes, lanes)
def test_innermost_is_the_last_started_span_that_reaches_far_enough(
    outer: list[tuple[int, int, int]], inner: list[tuple[int, int, int]]
) -> None:
    o = np.array(outer, np.int64).reshape(-1, 3)
    i = np.array(inner, np.int64).reshape(-1, 3)
    found = innermost(o[:, 0], o[:, 1], o[:, 2], i[:, 0], i[:, 1], i[:, 2])
    got = [outer[at][1:] if at >= 0 else (-1, -1) for at in found]
    assert got == [slow_innermost(outer, one) for one in inner]


@given(lanes)
def test_parents_are_other_spans_and_never_form_a_ring(rows: list[tuple[int, int, int]]) -> None:
    a = np.array(rows, np.int64).reshape(-1, 3)
    found = parents(a[:, 0], a[:, 1], a[:, 2])
    for index, (lane, start, end) in enumerate(rows):
        above = found[index]
        twins = [k for k in range(index) if rows[k] == rows[index]]
        if twins:
            assert above == twins[-1]
        else:
            longer = [r for r in rows if r != rows[index]]
            want = slow_innermost(longer, (lane, start, end))
            assert (tuple(rows[above][1:]) if above >= 0 else (-1, -1)) == want
    up = found.copy()
    for _ in rows:
        up = np.where(up >= 0, found[up], -1) if len(up) else up
    assert (up < 0).all()


@examples(200)
@given(rows=events)
def test_work_is_linked_to_the_earliest_call_of_its_correlation(
    rows: list[tuple[str, int, int, int, int, int]], folder: Path
) -> None:
    trace = trace_of(rows, folder)
    work, calls = links.work(trace), links.calls(trace)
    counts = np.zeros(len(calls), int)
    for g, row in enumerate(links.launch_row(trace)):
        same = [
            c
            for c in range(len(calls))
            if calls.correlation[c] == work.correlation[g] and work.correlation[g] > 0
        ]
        assert row == (same[0] if same else -1)
        assert links.launch_start(trace)[g] == (calls.ts[row] if same else -1)
        assert links.launch_end(trace)[g] == (calls.end[row] if same else -1)
        assert links.without_launch(trace)[g] == (not same)
        if same:
            counts[row] += 1
    assert links.launch_count(trace).tolist() == counts.tolist()


@examples(200)
@given(rows=events, any_thread=st.booleans())
def test_work_belongs_to_the_innermost_annotation_its_launch_starts_in(
    rows: list[tuple[str, int, int, int, int, int]], any_thread: bool, folder: Path
) -> None:
    trace = trace_of(rows, folder)
    calls, marks = links.calls(trace), links.marks(trace)
    for g, row in enumerate(links.launch_row(trace)):
        at = links.annotation_row(trace, any_thread)[g]
        if row < 0:
            assert at == -1
            continue
        inside = [
            m
            for m in range(len(marks))
            if marks.pid[m] == calls.pid[row] and marks.ts[m] <= calls.ts[row] < marks.end[m]
        ]
        own = [m for m in inside if marks.tid[m] == calls.tid[row]]
        pool = own or (inside if any_thread else [])
        if pool:
            best = max(pool, key=lambda m: (marks.ts[m], -marks.dur[m], m))
            assert (marks.ts[at], marks.dur[at]) == (marks.ts[best], marks.dur[best])
            assert at in pool
        else:
            assert at == -1


@examples(200)
@given(rows=events)
def test_a_call_and_its_work_belong_to_the_innermost_op_around_the_call(
    rows: list[tuple[str, int, int, int, int, int]], folder: Path
) -> None:
    trace = trace_of(rows, folder)
    calls, ops = links.calls(trace), links.ops(trace)
    table = [
        (int(p) * 100 + int(t), int(s), int(e))
        for p, t, s, e in zip(ops.pid, ops.tid, ops.ts, ops.end, strict=True)
    ]
    found = links.call_op_row(trace)
    for c in range(len(calls)):
        one = (int(calls.pid[c]) * 100 + int(calls.tid[c]), int(calls.ts[c]), int(calls.end[c]))
        at = found[c]
        assert ((int(ops.ts[at]), int(ops.end[at])) if at >= 0 else (-1, -1)) == slow_innermost(
            table, one
        )
    launches, linked = links.launch_row(trace), links.op_row(trace)
    want = [found[row] if row >= 0 else -1 for row in launches]
    assert linked.tolist() == want


@examples(200)
@given(rows=events)
def test_top_ops_lie_in_no_other_op_and_around_the_launch(
    rows: list[tuple[str, int, int, int, int, int]], folder: Path
) -> None:
    trace = trace_of(rows, folder)
    ops = links.ops(trace)
    for inner, top in zip(links.op_row(trace), links.top_op_row(trace), strict=True):
        assert (inner < 0) == (top < 0)
        if top >= 0:
            assert ops.ts[top] <= ops.ts[inner]
            assert ops.end[top] >= ops.end[inner]


@examples(200)
@given(rows=events)
def test_parents_of_slices_are_host_slices_of_their_own_thread(
    rows: list[tuple[str, int, int, int, int, int]], folder: Path
) -> None:
    trace = trace_of(rows, folder)
    for row, above in enumerate(links.parent_row(trace)):
        if trace.cat[row] in (Cat.KERNEL, Cat.MEMCPY, Cat.MEMSET):
            assert above == -1
        if above >= 0:
            assert (trace.pid[above], trace.tid[above]) == (trace.pid[row], trace.tid[row])
            assert trace.ts[above] <= trace.ts[row]
            assert trace.end[above] >= trace.end[row]


@given(
    calls=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=12),
    asked=st.lists(st.tuples(st.integers(-1, 11), st.integers(-1, 5)), max_size=12),
)
def test_work_is_of_the_last_entry_before_it_else_of_the_first(
    calls: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    calls.sort()
    at, key = np.array(calls, np.int64).reshape(-1, 2).T
    when, wanted = np.array(asked, np.int64).reshape(-1, 2).T
    for far in (1, 1 << 40):
        found = last_before(key * far, at, wanted * far, when)
        for instant, number, row in zip(when, wanted, found.tolist(), strict=True):
            own = np.flatnonzero(key == number).tolist()
            before = [one for one in own if at[one] <= instant]
            assert row == (before[-1] if before else own[0] if own else -1)


TRACES = [
    "tl_h100_qwen15_05b",
    "hta_negative_queue_a100",
    "tl_sglang_decode",
    "tl_vllm_prefilldecode_piecewise",
    "amd_mi250_minitoy_train",
    "kin_before_fix",
]


@pytest.mark.parametrize("name", TRACES)
def test_real_launches_are_as_many_as_the_reference_counts(name: str) -> None:
    want = json.loads(shared("traces", "expected", f"{name}.json").read_text())["brute_force"]
    trace = loaded(name)
    linked = links.launch_row(trace) >= 0
    assert int(linked.sum()) == want["gpu_activities_with_a_launch_event"]
    counts = links.launch_count(trace)
    delay = links.work(trace).ts[linked] - links.launch_start(trace)[linked]
    assert int(delay.min()) == want["launch_to_start_ns"]["min"]
    assert int(delay.max()) == want["launch_to_start_ns"]["max"]
    assert int((counts > 1).sum()) <= want["correlations_shared_by_several_gpu_activities"]


def test_without_correlations_calls_and_work_of_one_op_go_in_pairs(tmp_path: Path) -> None:
    """Op 5 launches two kernels; of op 6 a launch is lost; the kernel of op 7 began before its."""
    host = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1}
    work = {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7}
    made = [
        {**row, "ts": ts, "dur": 2, "args": {"External id": op}}
        for row, starts in ((host, ((1, 5), (4, 5), (7, 6), (40, 7), (50, 0))),
                            (work, ((10, 5), (20, 5), (25, 6), (30, 6), (35, 7), (60, 0))))
        for ts, op in starts
    ]  # fmt: skip
    # another call of the op launches nothing
    made.append({**host, "name": "cudaStreamIsCapturing", "ts": 0.5, "dur": 0.2,
                 "args": {"External id": 5}})  # fmt: skip
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"traceEvents": made}))
    trace = kineto.load(path)
    starts = [int(links.calls(trace).ts[row]) if row >= 0 else None
              for row in links.launch_row(trace)]  # fmt: skip
    assert starts == [500, 3_500, None, None, None, None]
