"""Kernels by name, category and phase: exact sums, real phases, a merge that adds up."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from tracekit.analyses.kernels import analysis as kernels

from tests.conftest import gpus_only, shared
from tests.drawing import draw
from tests.random_traces import traces
from tests.real import NAMES, loaded
from tracekit.errors import MissingEventsError
from tracekit.results.result import to_plain
from tracekit.taxonomy import Category
from tracekit.trace.trace import Cat, Trace


@pytest.mark.parametrize("name", NAMES or ["none"])
def test_counts_and_sums_by_name_equal_the_independent_figures(name: str) -> None:
    gpus_only(name)
    by_name = json.loads(shared("traces", "expected", f"{name}.json").read_text())["brute_force"][
        "by_name"
    ]
    column = {key: at for at, key in enumerate(by_name["columns"])}
    want = {
        row[column["name"]]: tuple(row[column[c]] for c in ("count", "sum_ns", "min_ns", "max_ns"))
        for row in by_name["rows"]
        if row[column["kind"]] == "kernel"
    }
    trace = loaded(name)
    if not want:
        with pytest.raises(MissingEventsError, match="no kernel events"):
            kernels.kernels(trace)
        return
    rows = kernels.kernels(trace).rows
    count, total = Counter[str](), Counter[str]()
    for row in rows:
        count[row.name] += row.count
        total[row.name] += row.total_ns
    assert len(want) == by_name["n_names"] - sum(
        row[column["kind"]] != "kernel" for row in by_name["rows"]
    )
    got = {
        name: (
            count[name], total[name],
            min(r.min_ns for r in rows if r.name == name),
            max(r.max_ns for r in rows if r.name == name),
        )
        for name in count
    }  # fmt: skip
    assert got == want


def test_a_kernel_belongs_to_the_phase_that_launched_it_even_if_it_runs_later() -> None:
    trace = draw(
        """
        mark      pppppp.dddddd..
        host      .a.b...c....e.f
        stream 7  ...AA.BB.CC.XXE.F
        """,
        names={"p": "execute_context_1(5)_generation_0(0)", "d": "step[DECODE bs=2]"},
    )
    result = kernels.kernels(trace)
    got = {(r.name, r.phase): (r.count, r.total_ns) for r in result.rows}
    assert got == {
        ("A", "prefill"): (1, 2000),
        ("B", "prefill"): (1, 2000),
        ("C", "decode"): (1, 2000),
        ("E", "decode"): (1, 1000),
        ("F", "outside every stage"): (1, 1000),
        ("X", "launch not in the trace"): (1, 2000),
    }
    decode = next(p for p in result.phases if p.phase == "decode")
    assert decode.tokens == 2
    assert {r.name: r.per_token_ns for r in result.rows if r.phase == "decode"} == {
        "C": 1000.0, "E": 500.0,
    }  # fmt: skip
    prefill = next(p for p in result.phases if p.phase == "prefill")
    assert prefill.tokens == 5
    assert {r.per_token_ns for r in result.rows if r.phase == "prefill"} == {400.0}
    assert all(r.only_here for r in result.rows if r.phase in ("prefill", "decode"))


def test_op_and_rule_come_from_the_launch_and_a_replay_has_no_op() -> None:
    trace = draw(
        """
        op        mmmm.mmmm
        host      .a...g...
        stream 7  ..A....G.F
        """,
        names={"m": "aten::mm", "A": "attn_fwd", "G": "attn_fwd", "F": "secret",
               "g": "cudaGraphLaunch"},
        launched_by={"F": "g"},
    )  # fmt: skip
    rows = {(r.name, r.category): r for r in kernels.kernels(trace).rows}
    by_op = rows["attn_fwd", Category.GEMM]
    assert (by_op.op, by_op.rule, by_op.replayed_count) == ("aten::mm", "op aten::mm", 0)
    by_name = rows["attn_fwd", Category.ATTENTION]
    assert (by_name.op, by_name.rule, by_name.replayed_count) == (None, "attention name", 1)
    assert rows["secret", Category.OTHER].rule == "no rule"


def test_without_annotations_all_work_is_one_phase() -> None:
    trace = draw("host a.a\nstream 7 .A.A")
    result = kernels.kernels(trace)
    assert {(r.phase, r.only_here) for r in result.rows} == {("all", None)}
    assert [p.tokens for p in result.phases] == [None]


def test_asking_for_stages_that_are_not_there_says_so() -> None:
    with pytest.raises(MissingEventsError, match="no annotation matches"):
        kernels.kernels(draw("host a\nstream 7 A"), stages="nothing")


def test_copies_and_fills_are_no_kernels() -> None:
    trace = draw("host ab\nstream 7 AAB", kinds={"A": Cat.MEMCPY, "B": Cat.MEMSET})
    with pytest.raises(MissingEventsError, match="no kernel events"):
        kernels.kernels(trace)


@given(traces(gpu=True))
def test_rows_phases_and_categories_all_add_up_to_the_kernel_time(trace: Trace) -> None:
    work = trace.of(Cat.KERNEL)
    if not len(work):
        return
    result = kernels.kernels(trace)
    total, count = int(work.dur.sum()), len(work)
    for parts in (result.rows, result.phases, result.categories):
        assert sum(p.total_ns for p in parts) == total
        assert sum(p.count for p in parts) == count
    for row in result.rows:
        assert sum(o.total_ns for o in row.origins) == row.total_ns
        assert sum(o.count for o in row.origins) == row.count
        assert row.median_ns is not None
        assert row.min_ns <= row.median_ns <= row.max_ns
    for phase in result.phases:
        if phase.total_ns:
            shares = [c.share or 0 for c in result.categories if c.phase == phase.phase]
            assert sum(shares) == pytest.approx(1)


@given(traces(gpu=True), traces(gpu=True), traces(gpu=True))
def test_merging_is_associative_and_loses_nothing(a: Trace, b: Trace, c: Trace) -> None:
    if not all(len(t.of(Cat.KERNEL)) for t in (a, b, c)):
        return
    one, two, three = (kernels.kernels(t) for t in (a, b, c))
    left = kernels.merge(kernels.merge(one, two), three)
    right = kernels.merge(one, kernels.merge(two, three))
    key = lambda p: p["phase"]  # noqa: E731
    first, second = to_plain(left), to_plain(right)
    assert first["rows"] == second["rows"]
    assert sorted(first["phases"], key=key) == sorted(second["phases"], key=key)
    assert sum(r.total_ns for r in left.rows) == sum(
        int(t.of(Cat.KERNEL).dur.sum()) for t in (a, b, c)
    )


def test_an_extend_step_is_prefill_and_its_pair_is_decode() -> None:
    prefill = kernels.kernels(loaded("tl_sglang_prefilldecode"))
    decode = kernels.kernels(loaded("tl_sglang_decode"))
    assert {p.phase for p in prefill.phases} == {"prefill"}
    assert {(p.phase, p.tokens) for p in decode.phases} == {("decode", 32)}
    both = kernels.merge(prefill, decode)
    only = {r.name: r.phase for r in both.rows if r.only_here and r.share and r.share > 0.015}
    prefill_attention = [n for n in only if "FmhaBatchPrefill" in n]
    decode_attention = [n for n in only if "paged_attention" in n]
    assert [only[n] for n in prefill_attention] == ["prefill"]
    assert [only[n] for n in decode_attention] == ["decode", "decode"]
    shared_kernels = {r.name for r in both.rows if r.only_here is False}
    assert any("add_rmsnorm" in name for name in shared_kernels)
    assert any("act_and_mul" in name for name in shared_kernels)
    share = {(c.phase, c.category): c.share or 0 for c in both.categories}
    # weights are re-read for 32 tokens instead of 15,360: attention weighs more, GEMM less
    assert share["decode", Category.ATTENTION] > 3 * share["prefill", Category.ATTENTION]
    assert share["decode", Category.GEMM] < share["prefill", Category.GEMM]


def test_a_step_with_prefill_and_decode_is_mixed() -> None:
    result = kernels.kernels(loaded("tl_vllm_prefilldecode_piecewise"))
    assert {p.phase for p in result.phases} == {"mixed"}
    assert sum(r.replayed_count for r in result.rows) > 300
    attention = [r for r in result.rows if r.category is Category.ATTENTION]
    assert {r.op for r in attention} == {"vllm::unified_attention_with_output"}


@pytest.mark.parametrize("name", ["tl_sglang_decode", "tl_h100_qwen15_05b"])
def test_tables_and_charts_hold_what_the_result_says(name: str, tmp_path: Path) -> None:
    result = kernels.kernels(loaded(name))
    grids = {grid.key: grid for grid in kernels.tables(result)}
    assert grids["kernels"].rows[0][4] == max(r.total_ns for r in result.rows)
    for grid in grids.values():
        assert all(len(row) == len(grid.columns) for row in grid.rows)
    assert {chart.table for chart in kernels.charts(result)} <= set(grids)
    assert json.loads(json.dumps(result.to_json()))["rows"]
    assert {"name", "category", "phase", "count", "total_ns", "mean_ns"} <= set(
        result.to_json()["rows"][0]
    )


@pytest.mark.parametrize(
    ("name", "expert"),
    [
        ("bmm_E4m3_E4m3E4m3_Fp32_t128x8x128_s6_et64x8_swiGlu_sm100f", True),
        ("_matmul_ogs_NNT_bf16xbf16xmxfp4_128x128x128x1_swiglu", True),
        ("fused_moe_kernel", True),
        ("ampere_bf16_s16816gemm_bf16_128x64_tn", False),
        ("void vllm::moe::moe_sum_kernel<c10::BFloat16, 8>(P)", False),
    ],
)
def test_gemms_of_experts_are_told_apart(name: str, expert: bool) -> None:
    (row,) = kernels.kernels(draw("host a\nstream 7 A", names={"A": name})).rows
    assert row.expert_gemm is expert
