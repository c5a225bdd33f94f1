"""Replayed graphs joined with the trace in which they were captured."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.random_traces import traces
from tests.real import trace_file
from tracekit.answers.kernels import Kernels
from tracekit.answers.modules import Modules
from tracekit.answers.roofline import Roofline
from tracekit.attribution import links
from tracekit.attribution.kernels.graphs import alignment, origin
from tracekit.records import replace
from tracekit.report import notebook
from tracekit.results import engine
from tracekit.trace import graph_captures, kineto
from tracekit.trace.trace import GraphCapture

MM = "Cijk_Alik_gemm"
NORM = "rms_norm_kernel"
ACT = "silu_and_mul_kernel"
LAYER = ((NORM, "aiter::rmsnorm"), (MM, "aten::mm"), (ACT, "sgl_kernel::silu_and_mul"))


def event(cat, name, ts, dur, tid=1, **args):
    return {"ph": "X", "cat": cat, "name": name, "pid": 7, "tid": tid, "ts": ts, "dur": dur,
            "args": args}  # fmt: skip


def captured(nodes, rows=4, label="", named=True, at=0.0, grid=None, module="Layer_0"):
    """Events of one capture: of each node (kernel, op) an op with shapes around its launch."""
    start = at
    out = [event("cuda_runtime", "hipStreamBeginCapture", at, 1)]
    for kernel, op in nodes:
        at += 10
        dims = [[rows, 64], [64, 32]]
        out.append(event("cpu_op", op, at, 6, **{"Input Dims": dims,
                         "Input type": ["c10::BFloat16"] * 2, "Concrete Inputs": ["", ""],
                         "Input Strides": [[64, 1], [32, 1]]}))  # fmt: skip
        said = {"kernel": kernel, "grid": grid or [rows, 1, 1], "block": [64, 1, 1]}
        out.append(event("cuda_runtime", "hipLaunchKernel", at + 2, 2,
                         correlation=int(at) + 100_000, **(said if named else {})))  # fmt: skip
    out.append(event("cuda_runtime", "hipStreamEndCapture", at + 10, 1))
    out.append(event("python_function", f"nn.Module: {module}", start, at + 12 - start))
    if label:
        out.append(event("user_annotation", label, start, at + 12 - start))
    return out


def replayed(kernels, label="", at=100_000.0, correlation=5, grid=None):
    """Events of one graph launch and of its nodes, 10 µs each."""
    out = [event("cuda_runtime", "hipGraphLaunch", at, 5, correlation=correlation)]
    for i, kernel in enumerate(kernels):
        sized = {"grid": grid, "block": [64, 1, 1]} if grid else {}
        out.append(event("kernel", kernel, at + 20 + 20 * i, 10, tid=3, device=0, stream=3,
                         correlation=correlation, **sized))  # fmt: skip
    if label:
        out.append(event("user_annotation", label, at - 1, 30))
    return out


def write(path, events):
    path.write_text(json.dumps({"traceEvents": events}))
    return path


def joined(tmp_path, replay, *captures):
    path = write(tmp_path / "replay.json", replay)
    files = [write(tmp_path / f"x{i}.json", some) for i, some in enumerate(captures)]
    return graph_captures.attached(kineto.load(path), files)


def ops_of(trace):
    """The op of each piece of work, in the order of their starts."""
    names, strings = origin.op_names(trace)
    return [strings[names[row]] if row >= 0 else None for row in origin.op_row(trace)]


KERNELS = [kernel for kernel, _ in LAYER]


def test_nodes_get_the_op_the_module_and_the_grid_of_the_launch_they_were_captured_from(tmp_path):
    trace = joined(tmp_path, replayed(KERNELS), captured(LAYER))
    assert ops_of(trace) == [op for _, op in LAYER]
    (match,) = origin.matches(trace)
    assert (match.nodes, match.matched, match.share, match.used) == (3, 3, 1.0, True)
    answers = engine.of_trace(trace)
    rows = {row.name: row for row in answers.get(Kernels).rows}
    assert rows[MM].op == "aten::mm"
    assert rows[MM].module == "Layer"
    assert rows[MM].grid == (4, 1, 1)
    (gemm,) = (row for row in answers.get(Roofline).rows if row.op == "aten::mm")
    assert gemm.shape == "4×32×64"
    assert gemm.calls == 1
    assert gemm.flops == 2 * 4 * 32 * 64
    (layer,) = answers.get(Modules).rows
    assert (layer.module, layer.gpu_ns, layer.calls) == ("Layer_0", 30_000, None)


def test_a_capture_counts_its_ops_once_a_replay(tmp_path):
    twice = replayed(KERNELS) + replayed(KERNELS, at=200_000.0, correlation=6)
    answers = engine.of_trace(joined(tmp_path, twice, captured(LAYER)))
    (gemm,) = (row for row in answers.get(Roofline).rows if row.op == "aten::mm")
    assert (gemm.calls, gemm.total_ns, gemm.flops) == (2, 20_000, 2 * 2 * 4 * 32 * 64)


def test_what_is_missing_on_one_side_leaves_the_rest_matched(tmp_path):
    trace = joined(tmp_path, replayed([NORM, "unknown", MM, ACT]), captured(LAYER))
    assert ops_of(trace) == ["aiter::rmsnorm", None, "aten::mm", "sgl_kernel::silu_and_mul"]
    (match,) = origin.matches(trace)
    assert match.how == ("longest common subsequence",)
    assert match.share == 0.75


def test_a_node_that_could_be_one_of_two_different_ops_is_not_matched(tmp_path):
    nodes = [(MM, "aten::mm"), (ACT, "sgl_kernel::silu_and_mul"), (MM, "aten::linear")]
    assert ops_of(joined(tmp_path, replayed([MM]), captured(nodes))) == [None]
    same = [(MM, "aten::mm"), (ACT, "sgl_kernel::silu_and_mul"), (MM, "aten::mm")]
    assert ops_of(joined(tmp_path, replayed([MM]), captured(same))) == ["aten::mm"]


def shape(trace):
    (gemm,) = (row for row in engine.of_trace(trace).get(Roofline).rows if row.op == "aten::mm")
    return gemm.shape


SIZES = (64, 32, 16)


def sizes(labels=True, **more):
    return [e for n, rows in enumerate(SIZES)
            for e in captured(LAYER, rows, f"capture_{rows}_DECODE" if labels else "",
                              at=1000.0 * n, **more)]  # fmt: skip


@pytest.mark.parametrize(("label", "rows"), [
    ("execute_32_context_0(sq0sk0)_generation_32(sq32sk99)", 32),
    ("step[DECODE bs=16]", 16),
    ("step[DECODE bs=30]", 32),  # padded to the next that was captured
])  # fmt: skip
def test_of_several_batch_sizes_the_annotation_says_which_was_replayed(tmp_path, label, rows):
    assert shape(joined(tmp_path, replayed(KERNELS, label), sizes())) == f"{rows}×32×64"


@pytest.mark.parametrize("rows", SIZES)
def test_of_several_batch_sizes_the_grid_says_which_was_replayed(tmp_path, rows):
    trace = joined(tmp_path, replayed(KERNELS, grid=[rows, 1, 1]), sizes(labels=False))
    assert shape(trace) == f"{rows}×32×64"


@pytest.mark.parametrize(("label", "rows"), [
    ("execute_16_context_0(sq0sk0)_generation_16(sq16sk99)", 16), ("step[DECODE bs=30]", 32),
])  # fmt: skip
def test_captures_without_a_label_are_told_apart_by_the_rows_that_they_multiply(
    tmp_path, label, rows
):
    trace = joined(tmp_path, replayed(KERNELS, label), sizes(labels=False))
    assert shape(trace) == f"{rows}×32×64"


def test_a_draft_of_several_tokens_a_request_is_matched_by_its_only_capture(tmp_path):
    label = "execute_8_context_0(sq0sk0)_generation_8(sq8sk99)"
    assert shape(joined(tmp_path, replayed(KERNELS, label), captured(LAYER, 32))) == "32×32×64"


def test_of_several_batch_sizes_none_is_guessed(tmp_path):
    trace = joined(tmp_path, replayed(KERNELS), sizes())
    assert ops_of(trace) == [None] * 3
    assert not origin.matches(trace)[0].used


def test_a_capture_of_another_batch_size_does_not_fit(tmp_path):
    label = "execute_8_context_0(sq0sk0)_generation_8(sq8sk99)"
    assert ops_of(joined(tmp_path, replayed(KERNELS, label), sizes())) == [None] * 3
    other = replayed(KERNELS, grid=[8, 1, 1])
    assert ops_of(joined(tmp_path, other, captured(LAYER, 32))) == [None] * 3


def test_pieces_that_say_the_same_are_taken_in_turn(tmp_path):
    pieces = [e for n in range(3) for e in captured(LAYER, at=1000.0 * n, module=f"Layer_{n}")]
    steps = [e for n in range(6)
             for e in replayed(KERNELS, at=100_000.0 + 1000 * n, correlation=10 + n)]  # fmt: skip
    rows = engine.of_trace(joined(tmp_path, steps, pieces)).get(Modules).rows
    assert {r.module: r.work_count for r in rows} == {f"Layer_{n}": 6 for n in range(3)}
    # one step too short to say where it begins: the class is known, the layer is not
    answers = engine.of_trace(joined(tmp_path, steps[:-4], pieces))
    assert answers.get(Modules).rows == ()
    assert [row.module for row in answers.get(Modules).kinds] == ["Layer"]
    assert answers.get(Kernels).graphs[0].share == 1.0


def test_launches_without_names_are_matched_by_their_place_and_kind(tmp_path):
    trace = joined(tmp_path, replayed(KERNELS), captured(LAYER, named=False))
    assert ops_of(trace) == [op for _, op in LAYER]
    assert origin.matches(trace)[0].how == ("place and kind of op",)
    other = [(k, o) for k, (_, o) in zip(KERNELS, LAYER[::-1], strict=True)]
    assert None in ops_of(joined(tmp_path, replayed(KERNELS), captured(other, named=False)))


def eager(nodes, rows, at, correlation=1000):
    """The same ops run before a capture, without its marks, each with its kernel."""
    out = []
    for one in captured(nodes, rows, named=False, at=at):
        if "Capture" in one["name"] or one["cat"] == "python_function":
            continue
        if one["cat"] == "cuda_runtime":
            correlation += 1
            one["args"]["correlation"] = correlation
            kernel = nodes[len([e for e in out if e["cat"] == "kernel"])][0]
            ran = {"correlation": correlation, "grid": [rows, 1, 1], "block": [64, 1, 1]}
            ran |= {"device": 0, "stream": 3}
            out.append(event("kernel", kernel, one["ts"] + 500, 5, tid=3, **ran))
        out.append(one)
    return out


def test_a_warm_up_before_the_capture_names_kernels_and_grids(tmp_path):
    both = []
    for n, rows in enumerate(SIZES):
        at = 2000.0 * n
        both += eager(LAYER, rows, at, 1000 + 100 * n)
        both += captured(LAYER, rows, named=False, at=at + 1000)
    for rows in SIZES:
        trace = joined(tmp_path, replayed(KERNELS, grid=[rows, 1, 1]), both)
        assert shape(trace) == f"{rows}×32×64"
        assert origin.matches(trace)[0].how == ("exact sequence",)


def test_a_compiled_kernel_is_named_by_its_op(tmp_path):
    name = "triton_poi_fused_add_0"
    nodes = [(MM, "aten::mm"), (name, name), (name, name)]
    trace = joined(tmp_path, replayed([MM, name, name]), captured(nodes, named=False))
    assert ops_of(trace) == ["aten::mm", name, name]


def test_a_trace_of_other_work_says_nothing_of_a_graph(tmp_path):
    """Launches without names, ops or marks could be anything; a fill of many is in any trace."""
    bare = [event("cuda_runtime", "cudaLaunchKernel", 10.0 * i, 2, correlation=i + 1)
            for i in range(3)]  # fmt: skip
    trace = joined(tmp_path, replayed(KERNELS), bare)
    assert ops_of(trace) == [None] * 3
    assert origin.matches(trace) == ()
    filled = [("fill", "aten::fill_"), *((f"other {i}", "aten::mm") for i in range(9))]
    few = joined(tmp_path, replayed([*KERNELS * 3, "fill"]), captured(filled))
    assert ops_of(few) == [None] * 10
    assert not origin.matches(few)[0].used


def test_nodes_are_in_the_order_of_capture_where_they_are_numbered(tmp_path):
    replay = replayed([ACT, MM, NORM])
    for place, one in enumerate(e for e in replay if e["cat"] == "kernel"):
        one["args"]["graph node id"] = 100 - place
    trace = joined(tmp_path, replay, captured(LAYER))
    assert ops_of(trace) == [op for _, op in LAYER[::-1]]
    assert origin.matches(trace)[0].how == ("exact sequence",)


def test_a_trace_that_holds_both_is_joined_with_itself(tmp_path):
    trace = kineto.load(write(tmp_path / "both.json", captured(LAYER) + replayed(KERNELS)))
    assert ops_of(trace) == [op for _, op in LAYER]
    (match,) = engine.of_trace(trace).get(Kernels).graphs
    assert match.own
    assert match.used


def test_a_trace_beside_it_is_used_where_it_fits_and_said_by_name(tmp_path):
    write(tmp_path / "graph_capture_rank_0.json", captured(LAYER))
    replay = write(tmp_path / "replay.json", replayed(KERNELS))
    (match,) = engine.answers(replay).get(Kernels).graphs
    assert (match.name, match.given, match.used) == ("graph_capture_rank_0.json", False, True)
    assert notebook.load(replay).kernels().result.graphs == (match,)


def test_a_file_for_each_batch_size_is_chosen_by_its_name_and_read_where_it_is_asked_for(tmp_path):
    folder = tmp_path / "capture_traces"
    folder.mkdir()
    for size in (16, 32, 64):
        for rank in (0, 1):
            other = LAYER if size != 16 else LAYER[:2]
            write(folder / f"bs_{size}_rank{rank}.json", captured(other, size))
    steps = replayed(KERNELS, "step[DECODE bs=30]")
    steps += replayed(KERNELS[:2], "step[DECODE bs=16]", at=200_000.0, correlation=6)
    answers = engine.answers(write(tmp_path / "run-TP-1.json", steps))
    shapes = {row.shape for row in answers.get(Roofline).rows if row.op == "aten::mm"}
    assert shapes == {"32×32×64", "16×32×64"}
    # each of them fits a part, both together all
    graphs = {m.name: (m.used, m.matched) for m in answers.get(Kernels).graphs}
    assert graphs == {"bs_32_rank1.json": (True, 3), "bs_16_rank1.json": (True, 2)}


def test_a_trace_beside_it_that_fits_a_part_is_said_and_not_used(tmp_path):
    half = write(tmp_path / "capture.json", captured(LAYER))
    replay = write(tmp_path / "replay.json", replayed([*KERNELS, "a", "b", "c"]))
    result = engine.answers(replay).get(Kernels)
    (match,) = result.graphs
    assert (match.share, match.used) == (0.5, False)
    assert all(row.op is None for row in result.rows)
    (match,) = engine.answers(replay, graph_capture=[half]).get(Kernels).graphs
    assert (match.given, match.used) == (True, True)


def best(nodes, launches):
    """All longest common subsequences, as pairs, the slow way."""
    for size in range(min(len(nodes), len(launches)), 0, -1):
        found = [
            tuple(zip(i, j, strict=True))
            for i in itertools.combinations(range(len(nodes)), size)
            for j in itertools.combinations(range(len(launches)), size)
            if all(nodes[a] == launches[b] for a, b in zip(i, j, strict=True))
        ]
        if found:
            return found
    return [()]


words = st.lists(st.integers(0, 2), max_size=5)


@given(words, words)
def test_a_node_is_sure_where_every_longest_subsequence_says_the_same_of_it(nodes, launches):
    codes, says = np.array(launches, np.int64), np.array(launches, np.int64) // 2
    found = alignment.align(
        len(nodes), len(launches), lambda i: (codes == nodes[i]).astype(np.int64), says
    )
    every = best(nodes, launches)
    pairs = tuple((i, j) for i, j in enumerate(found.call.tolist()) if j >= 0)
    assert pairs in every
    for node in range(len(nodes)):
        said = {dict(one).get(node, -1) for one in every}
        same = -1 not in said and len({says[j] for j in said}) == 1
        assert found.sure[node] == same


@given(traces(gpu=True), traces())
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_any_trace_beside_any_other_takes_no_time_from_it_and_adds_none(trace, other):
    alone = engine.of_trace(trace)
    with_it = replace(trace.source, captures=(GraphCapture(other, True),))
    both = engine.of_trace(replace(trace, source=with_it, memo={}))
    one, two = alone.get(Kernels), both.get(Kernels)
    assert (one is None) == (two is None)
    for match in two.graphs if two is not None else ():
        assert 0 <= match.matched <= match.nodes
        assert 0 <= match.matched_ns <= match.total_ns
    if one is not None:
        assert sum(r.total_ns for r in one.rows) == sum(r.total_ns for r in two.rows)


@pytest.fixture(scope="module")
def decode():
    return engine.answers(trace_file("tl_sglang_decode"))


def test_the_decode_step_of_sglang_is_known_by_its_capture(decode):
    (match,) = (m for m in decode.get(Kernels).graphs if m.used)
    assert match.name == Path(trace_file("tl_sglang_decode_capture")).name
    assert (match.nodes, match.matched, match.how) == (544, 544, ("exact sequence",))
    mine = {r.shape: r.calls for r in decode.get(Roofline).rows if r.op == "aten::mm"}
    assert mine == {"32×24576×4096": 36, "32×4096×12288": 36, "32×6144×4096": 36,
                    "32×4096×4096": 36, "32×151936×4096": 1}  # fmt: skip
    kinds = {row.module: row for row in decode.get(Modules).kinds}
    assert kinds["Qwen3DecoderLayer"].work_count == 36 * 15
    assert not links.launch_count(kineto.load(trace_file("tl_sglang_decode_capture"))).max() > 1
