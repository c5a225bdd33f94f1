"""FLOPs and least bytes from shapes, floors from a capture's metadata, against datasheet peaks."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracekit.analyses.roofline import analysis as roofline

from tests.conftest import shared
from tests.drawing import draw
from tracekit.answers.findings import Findings
from tracekit.attribution.roofline import devices, flops, model_bounds
from tracekit.attribution.roofline.op_formulas import described
from tracekit.errors import MissingEventsError
from tracekit.results import catalog, engine
from tracekit.results.result import to_plain
from tracekit.taxonomy import FindingKind
from tracekit.trace import kineto
from tracekit.trace.trace import Cat, Table, Trace

BF16 = "c10::BFloat16"
H100 = {"deviceProperties": [{"name": "NVIDIA H100 80GB HBM3"}]}
sizes = st.integers(1, 40)


def of(name: str, dims: Any, types: Sequence[str], values: Sequence[str] = ()) -> flops.Work | None:
    texts = (json.dumps(part) for part in (dims, types, values))
    return flops.of_op(name, *texts)


@given(sizes, sizes, sizes)
def test_a_matrix_product_counts_every_multiply_add_and_every_operand(
    m: int, n: int, k: int
) -> None:
    work = of("aten::mm", [[m, k], [k, n]], ["float", "float"])
    assert work is not None
    # the slow version: one row times one column is k products and k sums
    assert work.flops == sum(2 * k for _ in range(m) for _ in range(n))
    assert work.bytes == 4 * (m * k + k * n + m * n)
    linear = of("aten::linear", [[1, m, k], [n, k], []], ["float", "float", ""])
    assert linear is not None
    assert (linear.flops, linear.bytes) == (work.flops, work.bytes)
    bias = of("aten::addmm", [[n], [m, k], [k, n], [], []], [BF16, BF16, BF16, "Scalar", "Scalar"])
    assert bias is not None
    assert (bias.flops, bias.bytes) == (work.flops, work.bytes // 2 + 2 * n)


def test_a_matrix_that_a_batch_shares_is_read_once() -> None:
    dims, types = [[4, 2, 64], [4, 64, 100]], ["float", "float"]
    texts = [json.dumps(part) for part in (dims, types, [])]
    apart = flops.of_op("aten::bmm", *texts, json.dumps([[128, 64, 1], [6400, 100, 1]]))
    shared = flops.of_op("aten::bmm", *texts, json.dumps([[128, 64, 1], [0, 1, 64]]))
    assert apart is not None
    assert shared is not None
    assert apart == flops.of_op("aten::bmm", *texts)
    assert shared.flops == apart.flops
    assert apart.bytes - shared.bytes == 3 * 64 * 100 * 4


def test_a_batch_of_one_matrix_is_not_taken_for_weights() -> None:
    dims, types = json.dumps([[1, 16, 16], [1, 16, 1]]), json.dumps(["float", "float"])
    work = flops.of_op("aten::bmm", dims, types, "[]")
    assert work is not None
    assert (work.flops, work.weights) == (2 * 16 * 16, None)


def test_what_an_attention_launches_itself_is_its_own_and_what_lies_inside_is_not(
    tmp_path: Path,
) -> None:
    """The mask of PyTorch is aligned top left, whichever op launches the kernel."""
    shape = [[1, 4, 64, 32], [1, 4, 128, 32], [1, 4, 128, 32], [], [], []]
    args = {"Input Dims": shape, "Input type": [BF16] * 3 + [""] * 3,
            "Concrete Inputs": ["", "", "", "", "0.", "True"]}  # fmt: skip
    whole = {"ph": "X", "cat": "cpu_op", "name": "aten::scaled_dot_product_attention", "pid": 1,
             "tid": 1, "ts": 0, "dur": 50, "args": args}  # fmt: skip
    inner = {**whole, "name": "aten::constant_pad_nd", "ts": 5, "dur": 10, "args": {}}
    calls = [{"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1,
              "ts": ts, "dur": 2, "args": {"correlation": ts}} for ts in (8, 20)]  # fmt: skip
    work = [{"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": 50 + ts, "dur": 5,
             "args": {"device": 0, "stream": 7, "correlation": ts}}
            for ts, name in ((8, "pad_kernel"), (20, "attn_fwd"))]  # fmt: skip
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"traceEvents": [whole, inner, *calls, *work]}))
    found = described(kineto.load(path, tables=frozenset({"shapes"})))
    assert found.call.tolist() == [-1, 0]
    assert found.works[found.work[0]].flops == 4 * 4 * 32 * (64 * 65 // 2)


@given(sizes, sizes, sizes, st.booleans())
def test_attention_counts_the_pairs_that_the_mask_leaves(
    queries: int, keys: int, dim: int, causal: bool
) -> None:
    work = of(
        "aten::_scaled_dot_product_flash_attention",
        [[2, 6, queries, dim], [2, 3, keys, dim], [2, 3, keys, dim], [], []],
        [BF16, BF16, BF16, "Scalar", "Scalar"], ["", "", "", "0.", str(causal)],
    )  # fmt: skip
    assert work is not None
    pairs = [(i, j) for i in range(queries) for j in range(keys) if not causal or j <= i]
    assert work.flops == 2 * 6 * len(pairs) * 4 * dim
    # keys that no query sees need not be read
    assert work.bytes == 2 * 2 * dim * (6 * queries * 2 + 3 * len({j for _, j in pairs}) * 2)


windows = st.one_of(st.just(-1), st.integers(0, 45))


@given(sizes, sizes, st.booleans(), windows, windows)
def test_flash_attn_aligns_masks_and_windows_to_the_bottom_right(
    queries: int, keys: int, causal: bool, left: int, right: int
) -> None:
    """As flash-attn's README draws them: the last query is at the last key."""
    values = ["", "", "", "0.", "0.125", str(causal), str(left), str(right), "0.", "", "False"]
    dims = [[2, queries, 6, 8], [2, keys, 3, 8], [2, keys, 3, 8], *[[]] * 8]
    work = of("flash_attn::_flash_attn_forward", dims, [BF16] * 3 + ["Scalar"] * 8, values)

    def sees(i: int, j: int) -> bool:
        own = i + keys - queries
        back = left < 0 or j >= own - left
        ahead = j <= own if causal else right < 0 or j <= own + right
        return back and ahead

    pairs = [(i, j) for i in range(queries) for j in range(keys) if sees(i, j)]
    if not pairs:
        assert work is None
        return
    assert work is not None
    assert work.flops == 2 * 6 * len(pairs) * 4 * 8
    assert work.bytes == 2 * 2 * 8 * (6 * queries * 2 + 3 * len({j for _, j in pairs}) * 2)


def test_a_chunk_of_prefill_sees_the_cache_and_a_window_ends_it() -> None:
    """By hand: 2,048 queries after 14,336 cached keys; 4,096 queries that see 1,024 keys each."""
    types = [BF16] * 3 + ["Scalar"] * 8

    def flash(queries: int, keys: int, left: int) -> flops.Work | None:
        values = ["", "", "", "0.", "0.0883", "True", str(left), "-1", "0.", "", "False"]
        dims = [[1, queries, 32, 128], [1, keys, 8, 128], [1, keys, 8, 128], *[[]] * 8]
        return of("flash_attn::_flash_attn_forward", dims, types, values)

    chunk, window = flash(2048, 16384, -1), flash(4096, 4096, 1023)
    assert chunk is not None
    assert window is not None
    assert chunk.flops == (2048 * 14336 + 2048 * 2049 // 2) * 4 * 32 * 128
    assert window.flops == (1024 * 1025 // 2 + 3072 * 1024) * 4 * 32 * 128
    assert window.shape == "1×32×4096×4096×128 causal window 1023,0"


def test_a_grouped_product_counts_each_row_once_and_at_least_one_expert() -> None:
    work = of("aten::_grouped_mm", [[10, 64], [8, 64, 100], [8]], [BF16, BF16, "int"])
    assert work is not None
    assert work.flops == 2 * 10 * 64 * 100
    assert work.bytes == 2 * (10 * 64 + 64 * 100 + 10 * 100)
    assert (work.shape, work.weights) == ("10×100×64 of 8 experts", None)
    # where both are [rows, columns] the groups lie along the sum: another product
    assert of("aten::_grouped_mm", [[64, 10], [10, 100], [8]], [BF16, BF16, "int"]) is None


def test_a_convolution_counts_its_outputs() -> None:
    work = of(
        "aten::_convolution", [[4, 3, 224, 224], [768, 3, 16, 16], [768], [], [], [], [], [], []],
        [BF16, BF16, BF16, *["ScalarList"] * 3, "Scalar", "ScalarList", "Scalar"],
        ["", "", "", "[16, 16]", "[0, 0]", "[1, 1]", "False", "[0, 0]", "1"],
    )  # fmt: skip
    assert work is not None
    assert work.flops == 2 * 4 * 14 * 14 * 768 * 3 * 16 * 16


@pytest.mark.parametrize(
    ("name", "dims", "types", "values"),
    [
        ("aten::mm", [[2, 3], [4, 5]], ["float", "float"], []),  # do not fit
        ("aten::mm", [[2, 3], [3, 5]], ["quint4", "quint4"], []),  # unknown dtype
        ("aten::mm", [], [], []),
        ("aten::mm", [[], []], ["float", "float"], []),
        ("aten::add", [[2, 3], [2, 4]], ["float", "float"], []),  # no sizes to broadcast
        ("aten::index", [[2, 3], []], ["float", "TensorList"], []),  # no formula
        # is_causal was not recorded
        ("aten::_scaled_dot_product_flash_attention", [[1, 1, 4, 8]] * 3, [BF16] * 3, []),
        # packed sequences: their lengths are in a tensor
        ("flash_attn::_flash_attn_forward", [[9, 2, 8]] * 3, [BF16] * 3, ["True"] * 6),
    ],
)  # fmt: skip
def test_what_the_arguments_do_not_say_has_no_number(
    name: str, dims: Any, types: Sequence[str], values: Sequence[str]
) -> None:
    assert of(name, dims, types, values) is None


def with_shapes(trace: Trace, arguments: Mapping[str, tuple[Any, Any, Any]]) -> Trace:
    rows = [r for r in np.flatnonzero(trace.is_(Cat.CPU_OP)) if trace.text(int(r)) in arguments]
    strings: list[str] = []
    columns: dict[str, list[int]] = {"dims": [], "types": [], "concrete": [], "strides": []}
    for row in rows:
        for column, value in zip(columns, (*arguments[trace.text(int(row))], []), strict=True):
            strings.append(json.dumps(value))
            columns[column].append(len(strings) - 1)
    trace.tables["shapes"] = Table(
        trace.id[rows], {c: np.array(v, np.int32) for c, v in columns.items()}, tuple(strings)
    )
    return trace


MM = {"aten::mm": ([[1000, 1000], [1000, 1000]], [BF16, BF16], [])}
PICTURE = """
    mark      pppppppppppppppp
    op        mmmmm....ss.xxx.
    host      ab.......c...d..
    stream 7  .AAAAAAAABBCC.D.
"""
NAMES = {"p": "step[EXTEND bs=1 toks=9]", "m": "aten::mm", "s": "aten::_softmax", "x": "aten::mm",
         "A": "nvjet", "B": "splitK", "C": "softmax", "D": "nvjet"}  # fmt: skip


def test_one_call_is_counted_once_however_many_kernels_it_launches() -> None:
    result = roofline.roofline(with_shapes(draw(PICTURE, names=NAMES, meta=H100), MM))
    (row,) = result.rows
    assert (row.calls, row.kernels, row.total_ns, row.kernel) == (2, 3, 11_000, "nvjet")
    assert row.flops == 2 * 2 * 10**9
    assert row.rates.flops_per_s == pytest.approx(4e9 / 11e-6)
    assert row.rates.flops_share == pytest.approx(4e9 / 11e-6 / 989.4e12)
    assert row.rates.bytes_share == pytest.approx(2 * 6e6 / 11e-6 / 3350e9)
    assert row.rates.bound == "compute"
    assert row.rates.floor_ns == pytest.approx(4e9 / 989.4e12 * 1e9)
    (cover,) = result.coverage
    assert (cover.phase, cover.kernel_ns, cover.covered_ns) == ("prefill", 13_000, 11_000)


def test_an_unknown_device_has_rates_but_no_shares() -> None:
    result = roofline.roofline(with_shapes(draw(PICTURE, names=NAMES), MM))
    (row,) = result.rows
    assert row.rates.flops_per_s == pytest.approx(4e9 / 11e-6)
    assert row.rates.flops_share is row.rates.floor_ns is row.rates.bound is None
    grid = next(g for g in roofline.tables(result) if g.key == "ops")
    shown = dict(zip((c.label for c in grid.columns), grid.rows[0], strict=True))
    assert shown["of peak"] is None
    assert "no peak is known" in grid.note


@pytest.mark.parametrize(("side", "verdict"), [(1000, "trusted"), (10_000, "degraded")])
def test_a_rate_above_the_peak_is_never_plain_truth(side: int, verdict: str) -> None:
    """Two calls in 11 µs: 2·2·side³ FLOPs are 37 % of an H100's peak, or 37,000 %."""
    square = {"aten::mm": ([[side, side], [side, side]], [BF16, BF16], [])}
    found = engine.of_trace(with_shapes(draw(PICTURE, names=NAMES, meta=H100), square))
    assert found.trust["roofline"].verdict == verdict
    said = " ".join(found.trust["roofline"].why)
    assert ("aten::mm 10000×10000×10000 in bfloat16" in said) == (verdict == "degraded")


def test_replayed_kernels_are_not_covered() -> None:
    names = {**NAMES, "a": "cudaGraphLaunch"}
    result = roofline.roofline(with_shapes(draw(PICTURE, names=names, meta=H100), MM))
    assert sum(r.total_ns for r in result.rows) == 3_000  # B and D only
    assert result.coverage[0].covered_ns == 3_000


def test_the_reason_is_said_where_there_is_no_answer() -> None:
    with pytest.raises(MissingEventsError, match="captured without shapes"):
        roofline.roofline(draw("host a\nstream 7 A"))
    with pytest.raises(MissingEventsError, match="no kernel events"):
        roofline.roofline(draw("op mm"))


LLM = {"layers": 2, "hidden": 8, "heads": 4, "kv_heads": 2, "head_dim": 2, "intermediate": 16,
       "vocab": 10, "bytes_per_value": 2, "weight_parameters": 1000}  # fmt: skip
OURS: dict[str, Any] = {
    "dtype": "bfloat16", "batch_size": 3, "dims": {
        "llm": LLM, "encode": {"flops": 5000, "weight_parameters": 70, "bytes_per_value": 2}},
    "tokens": {"prompt": 3, "sensor": 2, "prefill": 5, "generated": [3, 1]},
    "profiled": {"samples": [{}, {}]},
}  # fmt: skip


def test_floors_follow_from_the_dimensions_in_the_metadata() -> None:
    encode, prefill, decode = model_bounds.needs(draw("mark m", meta={"tracekit": OURS}))
    assert encode.passes == ((3 * 5000, 140), (3 * 5000, 140))
    kv = 2 * 2 * 2 * 2 * 2  # of one position: K and V, layers, KV heads, dim, bytes
    one_pair = 4 * 2 * 4 * 2
    # the head, 80 weights, sees the last of five positions; causal pairs 1 + 2 + 3 + 4 + 5
    assert prefill.passes[0] == (3 * (2 * 920 * 5 + 2 * 80 + 15 * one_pair), 2000 + 3 * 5 * kv)
    assert len(prefill.passes) == 2
    assert prefill.tokens == 30
    # of three tokens the first is prefill's; of one token nothing is left to decode
    assert decode.passes == (
        (3 * (2 * 1000 + 6 * one_pair), 2000 + 3 * 6 * kv),
        (3 * (2 * 1000 + 7 * one_pair), 2000 + 3 * 7 * kv),
    )
    assert (decode.weight_bytes, decode.tokens) == (4000, 6)


MIXTURE = {**LLM, "expert_parameters": 3200, "experts": 8, "experts_per_token": 2}


def test_a_mixture_multiplies_with_the_experts_that_a_token_chose() -> None:
    """1,000 weights that every pass reads; a token chooses a fourth of 3,200 of experts."""
    dims = {**OURS["dims"], "llm": MIXTURE}
    meta = {"tracekit": {**OURS, "dims": dims}}
    _, prefill, decode = model_bounds.needs(draw("mark m", meta=meta))
    kv, one_pair = 2 * 2 * 2 * 2 * 2, 4 * 2 * 4 * 2
    active = 1000 + 3200 * 2 // 8
    assert prefill.passes[0] == (
        3 * (2 * (active - 80) * 5 + 2 * 80 + 15 * one_pair), 2 * active + 3 * 5 * kv,
    )  # fmt: skip
    assert decode.passes[0] == (3 * (2 * active + 6 * one_pair), 2 * active + 3 * 6 * kv)
    # three rows a step reach 1 - (3/4)³ of the experts if they choose evenly: no part of the floor
    assert decode.weight_bytes == 2 * 2 * active
    assert decode.even_weight_bytes == round(2 * 2 * (1000 + 3200 * (1 - 0.75**3)))


def test_one_row_reads_its_own_experts_and_a_dense_model_has_no_estimate() -> None:
    llm = model_bounds.llm_of({"dims": {"llm": MIXTURE}})
    dense = model_bounds.llm_of({"dims": {"llm": LLM}})
    assert llm is not None
    assert dense is not None
    assert llm.even_parameters(1) == pytest.approx(llm.active_parameters)
    assert llm.even_parameters(10**6) == pytest.approx(1000 + 3200)
    assert dense.even_bytes([1, 2]) is None
    assert dense.active_parameters == 1000


@pytest.mark.parametrize("odd", [{"experts": 0}, {"experts_per_token": 9}, {"experts": "8"}])
def test_a_mixture_that_contradicts_itself_has_no_floor(odd: Any) -> None:
    assert model_bounds.llm_of({"dims": {"llm": {**MIXTURE, **odd}}}) is None


def test_prompts_of_different_lengths_have_floors_of_their_own() -> None:
    def need(**tokens: Any) -> list[model_bounds.Need]:
        counts = {"generated": [2, 2], **tokens}
        meta = {"tracekit": {**OURS, "tokens": counts}}
        return [n for n in model_bounds.needs(draw("mark m", meta=meta)) if n.stage != "encode"]

    short, long = need(prefill=5), need(prefill=9)
    mixed = need(prefill=None, prefill_each=[5, 9])
    assert len(mixed) == 2
    for at, one in enumerate(mixed):
        assert one.passes == (short[at].passes[0], long[at].passes[1])
    assert mixed[0].tokens == 3 * (5 + 9)
    assert need(prefill=None, prefill_each=[5, None]) == []
    assert need(prefill=None) == []


@pytest.mark.parametrize(
    "meta",
    [{}, {"dims": None}, {**OURS, "dtype": "odd"}, {**OURS, "dims": {"llm": {"layers": 2}}},
     {**OURS, "dims": [], "tokens": "many"}, {**OURS, "tokens": None, "profiled": None}],
)  # fmt: skip
def test_damaged_or_missing_metadata_gives_no_floor(meta: Any) -> None:
    needs = model_bounds.needs(draw("mark m", meta={"tracekit": meta}))
    assert "prefill" not in {need.stage for need in needs}


STAGES = """
    mark      eepppppddddddd...
    host      a.b....c.........
    stream 7  .AABBBBBB.CCCC...
"""
OWN = {"e": "tracekit::encode", "p": "tracekit::prefill", "d": "tracekit::decode",
       "A": "k", "B": "k", "C": "k"}  # fmt: skip


def test_the_floor_stands_beside_what_the_stage_took() -> None:
    trace = draw(STAGES, names=OWN, meta={"tracekit": OURS, **H100})
    result = roofline.roofline(trace)
    assert result.unshaped == "captured without shapes"
    found = {f.stage: f for f in result.floors}
    # the work of encode and of prefill outlasts their markers
    assert {name: f.took_ns for name, f in found.items()} == {
        "encode": 3000, "prefill": 7000, "decode": 7000,
    }  # fmt: skip
    decode = found["decode"]
    assert decode.floor_ns == pytest.approx(decode.bytes / 3350e9 * 1e9)
    assert decode.mbu == pytest.approx(decode.bytes / 7e-6 / 3350e9)
    assert decode.mbu_weights == pytest.approx(4000 / 7e-6 / 3350e9)
    assert found["prefill"].mfu == pytest.approx(found["prefill"].flops / 7e-6 / 989.4e12)
    assert [c.key for c in roofline.charts(result)] == ["floors"]


def test_mbu_of_a_mixture_counts_active_experts_and_says_the_estimate_beside_it() -> None:
    own = {**OURS, "dims": {**OURS["dims"], "llm": MIXTURE}}
    result = roofline.roofline(draw(STAGES, names=OWN, meta={"tracekit": own, **H100}))
    decode = next(f for f in result.floors if f.stage == "decode")
    assert decode.mbu == pytest.approx(decode.bytes / 7e-6 / 3350e9)
    more = (decode.even_weight_bytes or 0) - decode.weight_bytes
    assert more > 0
    assert decode.mbu_even == pytest.approx((decode.bytes + more) / 7e-6 / 3350e9)
    grid = next(g for g in roofline.tables(result) if g.key == "floors")
    assert grid.columns[-1].label == "MBU, even experts"
    assert grid.rows[-1][-1] == decode.mbu_even
    both = roofline.merge(result, result)
    assert next(f for f in both.floors if f.stage == "decode").mbu_even == decode.mbu_even


def test_merging_adds_up_and_takes_every_share_anew() -> None:
    one = roofline.roofline(with_shapes(draw(PICTURE, names=NAMES, meta=H100), MM))
    two = roofline.roofline(draw(STAGES, names=OWN, meta={"tracekit": OURS, **H100}))
    other = roofline.roofline(with_shapes(draw(PICTURE, names=NAMES), MM))
    both = roofline.merge(one, one)
    assert both.rows[0].total_ns == 22_000
    assert both.rows[0].rates.flops_share == pytest.approx(one.rows[0].rates.flops_share)
    left = roofline.merge(roofline.merge(one, two), two)
    right = roofline.merge(one, roofline.merge(two, two))
    assert to_plain(left) == to_plain(right)
    assert left.floors[0].took_ns == 2 * (two.floors[0].took_ns or 0)
    assert left.floors[0].mfu == pytest.approx(two.floors[0].mfu)
    mixed = roofline.merge(one, other)
    assert mixed.device is None
    assert mixed.rows[0].rates.flops_share is None


def test_a_real_prefill_stays_below_the_peaks_of_its_device() -> None:
    path = shared("traces", "tl_h100_qwen15_05b.json.gz")
    result = roofline.roofline(kineto.load(path, tables=frozenset({"shapes"})))
    assert result.device == "H100 SXM"
    # 24 layers: 3 projections and an output of 1024×1024, gate and up 1024×2816, down 2816×1024
    gemm = [r for r in result.rows if r.op in ("aten::mm", "aten::addmm")]
    assert sum(r.calls for r in gemm) == 24 * 7
    tokens = 16 * 559
    layers = sum(r.flops for r in gemm)
    assert layers == 2 * tokens * 24 * (4 * 1024 * 1024 + 3 * 1024 * 2816)
    assert all(0 < (r.rates.flops_share or 0) < 1 for r in result.products)
    assert all(0 < (r.rates.bytes_share or 0) < 1 for r in result.rows)
    # 1,198 kernels with a launch are 69.9 % of the time; of the 509 launched before, all but those
    # of no run of 20
    assert result.covered_share is not None
    assert result.covered_share > 0.99
    assert sum(c.alike_ns for c in result.coverage) == sum(r.total_ns for r in result.alike)
    peak = devices.named("NVIDIA H100 80GB HBM3")
    assert peak is not None
    assert result.peaks == dict(peak.flops)


def test_shapes_that_no_formula_reads_are_not_called_missing(tmp_path: Path) -> None:
    events = [
        {"ph": "X", "cat": "cpu_op", "name": "my::attention", "pid": 1, "tid": 1, "ts": 0.0,
         "dur": 15.0, "args": {"Input Dims": [[2, 32, 512, 128]], "Input type": ["c10::Half"]}},
        {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1,
         "ts": 3.0, "dur": 4.0, "args": {"correlation": 1}},
        {"ph": "X", "cat": "kernel", "name": "flash_fwd_kernel", "pid": 0, "tid": 7, "ts": 20.0,
         "dur": 900.0, "args": {"device": 0, "stream": 7, "correlation": 1}},
    ]  # fmt: skip
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": events}))
    rows = catalog.ask(kineto.load(path), Findings).rows
    (row,) = [row for row in rows if row.kind is FindingKind.RECORD_MORE]
    assert "no op around them has shapes that a formula reads" in row.what
    assert "record_shapes" not in row.do
