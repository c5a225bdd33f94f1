"""Aligned rows: the same place of a layer in prefill and decode, and nothing lost on the way."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from tracekit.analyses.findings import analysis as findings
from tracekit.analyses.kernels import analysis as kernels
from tracekit.analyses.ops import analysis as ops
from tracekit.analyses.roles import analysis as roles
from tracekit.analyses.roles.analysis import Roles, join, merge

from analyses.roles.role_rows import Pair, Role
from tests.decoder import H100, MATRICES, Decoder
from tests.drawing import draw
from tests.random_traces import traces
from tests.real import loaded
from tracekit.answers.roofline import Roofline
from tracekit.attribution.roofline import devices, weight_bound
from tracekit.attribution.roofline.formulas.work import Family, Known
from tracekit.attribution.roofline.left_over import NO_CAPTURE
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results import catalog
from tracekit.results.result import to_plain
from tracekit.trace import kineto
from tracekit.trace.trace import Cat, Trace

NAMES = {
    "q": "query projection", "k": "key projection", "v": "value projection",
    "o": "attention output projection", "gate": "MLP gate projection", "up": "MLP up projection",
    "down": "MLP down projection", "head": "head",
}  # fmt: skip


def both(*, replay: bool = False, shapes: bool = True, gpu: bool = True, **meta: object) -> Trace:
    """Prefill of 16 rows, then four tokens; of three layers."""
    model = Decoder(shapes=shapes, gpu=gpu)
    model.stage("prefill", [16])
    model.stage("decode", [1] * 4, replay)
    return model.trace(**meta)


def row(result: Roles, role: str, phase: str) -> Role:
    (found,) = [r for r in result.rows if (r.role, r.phase) == (role, phase)]
    return found


def pair(result: Roles, role: str) -> Pair:
    (found,) = [p for p in result.pairs if p.role == role]
    return found


@pytest.mark.parametrize("replay", [False, True])
def test_every_gemm_is_found_by_its_place_even_in_a_replay(replay: bool) -> None:
    result = roles.roles(both(replay=replay))
    assert [(p.phase, p.before, p.after, p.layers) for p in result.phases] == [
        ("prefill", 3, 4, 3),
        ("decode", 3, 4, 12),
    ]
    for letter, role in NAMES.items():
        places = 1 if letter == "head" else 3
        prefill, decode = row(result, role, "prefill"), row(result, role, "decode")
        assert (prefill.calls, decode.calls) == (places, 4 * places)
        extra = 500 if letter == "down" else 0  # the second kernel of a split-K GEMM
        assert prefill.total_ns == places * (5_000 + extra)
        assert decode.total_ns == 4 * places * 5_000
        k, n = MATRICES[letter]
        assert pair(result, role).weights == f"{k} → {n}"


def test_a_role_has_its_rows_and_what_a_row_costs_in_each_phase() -> None:
    result = roles.roles(both())
    prefill, decode = (row(result, NAMES["o"], phase) for phase in ("prefill", "decode"))
    assert (prefill.form, decode.form) == ("GEMM", "GEMV")
    assert (prefill.rows, decode.rows) == (3 * 16, 12)
    assert prefill.row_ns == pytest.approx(5_000 / 16)
    assert decode.row_ns == 5_000
    assert pair(result, NAMES["o"]).row_ratio == pytest.approx(16)
    assert pair(result, NAMES["o"]).call_ratio == 1
    assert prefill.flops == 3 * 2 * 16 * 64 * 64
    assert decode.bytes == 12 * 2 * (64 * 64 + 64 + 64)


def test_the_words_name_the_roof_that_bounds_each_call() -> None:
    result = roles.roles(both(**H100))
    memory, peak = 3350e9, 989.4e12
    moved = 2 * (64 * 192 + 64 + 192) / 5e-6 / memory
    prefill = row(result, NAMES["gate"], "prefill")
    assert prefill.rates.bound == "memory"  # 16 rows are few
    assert row(result, NAMES["gate"], "decode").rates.bytes_share == pytest.approx(moved)
    assert pair(result, NAMES["gate"]).words == (
        f"a GEMM over 16 rows at {prefill.rates.bytes_share:.1%} of peak bandwidth became a GEMV "
        f"at {moved:.1%} of peak bandwidth"
    )
    many = Decoder()
    many.stage("prefill", [20_000])
    result = roles.roles(many.trace(**H100))
    reached = 2 * 20_000 * 64 * 1000 / 5e-6 / peak
    head = row(result, "head", "prefill")
    assert head.rates.flops_share == pytest.approx(reached, rel=1e-3)


def test_a_replay_is_measured_by_the_weights_that_prefill_recorded() -> None:
    result = roles.roles(both(replay=True, **H100))
    down = row(result, NAMES["down"], "decode")
    assert down.rows is None
    assert down.rates.bytes_share is None  # the rows are not known, so the least bytes are not
    assert down.weight_bytes == 12 * 2 * 192 * 64
    assert down.weight_share == pytest.approx(2 * 192 * 64 / 5e-6 / 3350e9)
    assert "became a GEMV reading weights at" in pair(result, NAMES["down"]).words


def test_without_shapes_the_kernels_name_says_what_it_is_and_rates_are_not_known() -> None:
    result = roles.roles(both(shapes=False, **H100))
    down = row(result, NAMES["down"], "decode")
    assert (down.form, down.rows, down.weights, down.weight_share) == ("GEMV", None, None, None)
    assert pair(result, NAMES["down"]).words == (
        "a GEMM of 5.50 µs a call became a GEMV of 5.00 µs a call"
    )
    assert "No shapes of GEMMs are recorded" in roles.tables(result)[0].note


def described(prompt: int, generated: list[int]) -> dict[str, object]:
    """Our own metadata of the made-up decoder."""
    dims = {
        "layers": 3, "hidden": 64, "heads": 4, "kv_heads": 2, "head_dim": 16, "vocab": 1000,
        "intermediate": 192, "bytes_per_value": 2,
        "weight_parameters": 3 * sum(k * n for k, n in list(MATRICES.values())[:-1]) + 64 * 1000,
    }  # fmt: skip
    tokens = {"prefill": prompt, "generated": generated}
    return {"dtype": "bfloat16", "batch_size": 1, "dims": {"llm": dims}, "tokens": tokens}


def test_dimensions_in_the_metadata_stand_in_for_shapes() -> None:
    result = roles.roles(both(shapes=False, tracekit=described(16, [5])))
    assert result.shapes == "metadata"
    assert row(result, NAMES["down"], "prefill").rows == 3 * 16
    assert row(result, "head", "prefill").rows == 1  # the last position alone
    for role in (NAMES["q"], NAMES["k"], NAMES["up"]):
        stated = row(result, role, "decode")
        assert stated.by_metadata
        assert replace(stated, by_metadata=False) == row(roles.roles(both()), role, "decode")


def test_a_replay_has_the_shapes_that_the_models_dimensions_say() -> None:
    trace = both(replay=True, tracekit=described(16, [5]), **H100)
    result = roles.roles(trace)
    assert result.shapes == "recorded"  # of prefill
    assert {r.phase for r in result.rows if r.by_metadata} == {"decode"}
    stated = {op.op: op for op in catalog.ask(trace, Roofline).stated if op.family == Family.GEMM}
    assert stated.keys() == set(NAMES.values())
    for letter, places in (("q", 3), ("down", 3), ("head", 1)):
        one, (k, n) = stated[NAMES[letter]], MATRICES[letter]
        assert (one.phase, one.shape, one.calls) == ("decode", f"1×{n}×{k}", 4 * places)
        assert (one.flops, one.bytes) == (4 * places * 2 * k * n, 4 * places * 2 * (k * n + k + n))
        assert one.dtype == "bfloat16"
        assert one.rates.bytes_share == pytest.approx(2 * (k * n + k + n) / 5e-6 / 3350e9)


def test_all_of_a_replayed_layer_has_the_sizes_of_the_model() -> None:
    """Four passes of one row over contexts of 17 to 20; three layers 64 wide, 4 heads of 16, 2 of
    keys, an MLP of 192; bfloat16.
    """
    result = catalog.ask(both(replay=True, tracekit=described(16, [5]), **H100), Roofline)
    rows = {op.op: op for op in result.stated if op.family != Family.GEMM}
    norm, context = 4 * 3 * 64, 17 + 18 + 19 + 20
    want = {  # kernels, FLOPs, bytes
        "work before query projection": (12, 4 * norm, 2 * 2 * norm),
        "work before MLP gate projection": (12, 4 * norm, 2 * 2 * norm),
        "work before the head": (4, 4 * 4 * 64, 2 * 2 * 4 * 64),
        "work before attention": (12, 3 * 4 * 3 * 96, 2 * 2 * 4 * 3 * 96),
        "work before MLP down projection": (12, 4 * 3 * 192, 2 * 2 * 4 * 3 * 192),
        "attention": (
            12, 4 * 3 * 4 * 16 * context, 2 * (2 * 3 * 2 * 16 * context + 4 * 3 * 2 * 64)
        ),
    }  # fmt: skip
    assert {op: (r.kernels, r.flops, r.bytes) for op, r in rows.items()} == want
    assert {r.known for r in rows.values()} == {Known.LEAST}
    assert rows["attention"].rates.floor_ns == pytest.approx(want["attention"][2] / 3350)
    (decode,) = (c for c in result.coverage if c.phase == "decode")
    one = 3 * (7 * 5_000 + 5_000) + 1_000 + 5_000 + 1_000  # a pass; the last is argmax
    assert (decode.kernel_ns, decode.covered_ns) == (4 * one, 4 * (one - 1_000))
    assert decode.unsized_ns == 4_000
    (rest,) = (r for r in result.uncovered if r.why == NO_CAPTURE)
    assert (rest.what, rest.count, rest.total_ns) == ("argmax_kernel", 4, 4_000)


def test_kernels_that_do_not_fit_the_layers_have_no_sizes() -> None:
    """A rotary kernel is missing in one layer of one pass: all others of its name stay unknown."""
    model = Decoder()
    model.stage("prefill", [16])
    model.stage("decode", [1] * 4, replay=True)
    lost = max((s for s in model.slices if s.name == "rotary_kernel"), key=lambda s: s.ts)
    model.slices.remove(lost)
    parts = roles.roles(model.trace(tracekit=described(16, [5]), **H100)).parts
    assert "work before attention" not in {p.role for p in parts}
    assert "attention" in {p.role for p in parts}


def test_prompts_of_different_lengths_are_each_counted_by_their_own() -> None:
    model = Decoder(shapes=False)
    model.stage("prefill", [16, 40])
    model.stage("decode", [1] * 5)
    stated = described(16, [5, 2])
    stated["tokens"] = {"prefill": None, "prefill_each": [16, 40], "generated": [5, 2]}
    result = roles.roles(model.trace(tracekit=stated))
    assert row(result, NAMES["down"], "prefill").rows == 3 * (16 + 40)
    assert row(result, NAMES["down"], "decode").rows == 3 * 5
    assert row(result, "head", "prefill").rows == 2


@pytest.mark.parametrize(
    ("prompt", "generated"), [(None, [5]), (16, [6]), (16, [3, 3]), (16, []), (16, None)]
)
def test_dimensions_are_not_used_where_other_passes_ran(
    prompt: int | None, generated: list[int] | None
) -> None:
    stated = described(16, [5])
    stated["tokens"] = {"prefill": prompt, "generated": generated}
    result = roles.roles(both(shapes=False, tracekit=stated))
    assert result.shapes is None
    assert {r.rows for r in result.rows} == {None}


def test_a_prompt_in_chunks_has_no_rows_by_its_length() -> None:
    model = Decoder(shapes=False)
    model.stage("prefill", [8, 8])
    model.stage("decode", [1] * 4)
    result = roles.roles(model.trace(tracekit=described(16, [5])))
    assert row(result, NAMES["down"], "prefill").rows is None


def test_other_work_is_named_by_what_it_precedes() -> None:
    result = roles.roles(both())
    want = {
        "work before query projection": "normalisation",
        "work before attention": "rotary",
        "work before MLP gate projection": "normalisation",
        "work before MLP down projection": "elementwise",
        "work before the head": "normalisation",
        "work after the last GEMM": "softmax/sampling",
    }
    got = {r.role: r.category for r in result.rows if r.calls is None and r.phase == "decode"}
    assert got == want
    assert [p.role for p in result.pairs][:3] == [
        "work before query projection", "query projection", "key projection",
    ]  # fmt: skip


def test_on_a_host_trace_ops_are_aligned_and_an_op_is_not_called_a_gemv_unseen() -> None:
    result = roles.roles(both(gpu=False))
    assert not result.on_gpu
    assert row(result, NAMES["up"], "decode").form == "GEMV"  # its rows say so
    blind = roles.roles(both(gpu=False, shapes=False))
    assert row(blind, NAMES["up"], "decode").form is None
    assert pair(blind, NAMES["up"]).words.endswith("a call in decode")
    said = str([(g.title, g.note, g.columns) for g in roles.tables(blind)])
    assert "kernel" not in said


def test_prefill_and_decode_of_two_files_are_aligned_when_they_are_put_together() -> None:
    alone = []
    for phase, passes in (("prefill", [16]), ("decode", [1] * 4)):
        model = Decoder()
        model.stage(phase, passes, replay=phase == "decode")
        alone.append(roles.roles(model.trace(**H100)))
    assert [a.pairs for a in alone] == [(), ()]
    together = join(alone)
    assert together is not None
    assert to_plain(together) == to_plain(roles.roles(both(replay=True, **H100)))


def test_what_is_added_up_is_a_gemv_only_where_every_part_is_known_to_be_one() -> None:
    def form(passes: Sequence[int], shapes: bool = True) -> Roles:
        model = Decoder(gpu=False, shapes=shapes)
        model.stage("decode", passes)
        return roles.roles(model.trace())

    def merged(*parts: Roles) -> str | None:
        return row(merge(*parts), NAMES["o"], "decode").form

    assert merged(form([1]), form([1])) == "GEMV"
    assert merged(form([1]), form([4])) == "GEMM"
    assert merged(form([1]), form([1], shapes=False)) is None


def test_files_of_two_models_or_of_one_phase_are_not_put_together() -> None:
    def one(phase: str, layers: int = 3, **meta: object) -> Roles:
        model = Decoder(layers=layers)
        model.stage(phase, [1])
        return roles.roles(model.trace(**meta))

    assert join([one("prefill"), one("decode")]) is not None
    assert join([one("prefill"), one("decode", layers=4)]) is None
    assert join([one("prefill"), one("decode", **H100)]) is None
    assert join([one("prefill"), one("prefill")]) is None
    assert join([one("prefill"), one("decode"), one("decode")]) is None
    assert join([both_in_one := roles.roles(both()), both_in_one]) is None


def test_experts_are_numbered_not_named() -> None:
    model = Decoder()
    model.stage("decode", [1])
    trace = model.trace()
    named = [s.replace("silu_kernel", "fused_moe_act_silu") for s in trace.strings]
    object.__setattr__(trace, "strings", tuple(named))
    found = {r.role for r in roles.roles(trace).rows}
    assert "GEMM 2 of 4 after attention" in found
    assert "MLP gate projection" not in found


@pytest.mark.parametrize(
    "other",
    [
        {"k": (64, 40), "v": (32, 128)},  # latent attention: down, then up
        {"q": (64, 128), "k": (64, 8), "v": (8, 128)},  # an adapter beside one projection
        {"gate": (64, 4)},  # a router
        {"down": (190, 64)},
    ],
)
def test_layers_whose_weights_are_not_those_of_llama_are_numbered(
    other: dict[str, tuple[int, int]],
) -> None:
    model = Decoder()
    model.matrices |= other
    model.stage("prefill", [16])
    model.stage("decode", [1] * 3, replay=True)
    found = {r.role for r in roles.roles(model.trace()).rows}
    assert {"GEMM 2 of 3 before attention", "GEMM 4 of 4 after attention", "head"} <= found
    assert not [role for role in found if "projection" in role]


def test_gemms_that_a_compiler_reorders_in_decode_are_not_set_beside_others() -> None:
    model = Decoder()
    model.stage("prefill", [16])
    model.layer = ["k", "v", "q", *(p for p in model.layer if p not in ("q", "k", "v"))]
    model.stage("decode", [1] * 3)
    result = roles.roles(model.trace())
    assert {p.by for p in result.phases} == {"weights"}
    assert pair(result, "GEMM 64 → 32").prefill_ns == 3 * 2 * 5_000
    assert pair(result, "GEMM 64 → 64").decode_ns == 9 * 2 * 5_000


def test_gemms_are_numbered_where_phases_run_a_layer_in_different_ones() -> None:
    model = Decoder()
    model.stage("prefill", [16])
    model.layer = [part for part in model.layer if part not in ("k", "v")]  # fused into one
    model.stage("decode", [1] * 3, replay=True)
    result = roles.roles(model.trace())
    assert [(p.phase, p.before, p.after) for p in result.phases] == [
        ("prefill", 3, 4),
        ("decode", 1, 4),
    ]
    assert pair(result, "GEMM 2 of 3 before attention").words == "in prefill only"
    assert pair(result, "GEMM 4 of 4 after attention").weights == "192 → 64"
    assert not [r for r in result.rows if "projection" in r.role]


def test_what_cublas_runs_after_a_gemm_is_part_of_it_in_a_replay() -> None:
    def found(second: str) -> list[tuple[str, str, int]]:
        model = Decoder()
        model.stage("prefill", [16])
        model.stage("decode", [4] * 3, replay=True)
        trace = model.trace()
        names = [s.replace("splitKreduce_kernel", second) for s in trace.strings]
        object.__setattr__(trace, "strings", tuple(names))
        return [(r.role, r.phase, r.total_ns) for r in roles.roles(trace).rows]

    alike = found("splitKreduce_kernel")
    assert (NAMES["down"], "decode", 9 * 5_500) in alike
    assert found("void cublasLt::epilogue::impl::globalKernel<8>") == alike


def test_names_need_every_phase_or_the_weights_to_bear_them_out() -> None:
    model = Decoder(layers=4, shapes=False)
    experts = [part for part in model.layer if part != "up"]  # a router, and one expert a token
    model.layer = experts
    model.stage("decode", [1] * 3)
    model.layers, model.layer = (
        1,
        [part for more in (1, 2, 0) for part in (*experts, *("gate", "down") * more)],
    )
    model.stage("prefill", [16])  # where each layer calls others
    found = {r.role for r in roles.roles(model.trace()).rows}
    assert "GEMM 2 of 3 after attention" in found
    assert not [role for role in found if "projection" in role]


def test_where_no_layer_repeats_gemms_are_aligned_by_their_weights() -> None:
    model = Decoder(layers=1)
    model.stage("prefill", [16])
    model.stage("decode", [1])
    result = roles.roles(model.trace())
    assert {p.by for p in result.phases} == {"weights"}
    assert pair(result, "GEMM 64 → 192").prefill_ns == 2 * 5_000  # gate and up are one here
    blind = Decoder(layers=1, shapes=False)
    blind.stage("prefill", [16])
    with pytest.raises(MissingEventsError, match="no layer repeats"):
        roles.roles(blind.trace())


def test_attention_written_out_in_batched_gemms_is_attention() -> None:
    unit = "q.k.v.b.s.b.o.g.u.d."
    picture = f"""
        mark      {"p" * len(unit) * 3}
        op        {unit * 3}
    """
    names = {
        **dict.fromkeys("qkvogud", "aten::linear"), "b": "aten::bmm", "s": "aten::softmax",
        "p": "tracekit::prefill",
    }  # fmt: skip
    result = roles.roles(draw(picture, names))
    assert [(p.before, p.after, p.layers) for p in result.phases] == [(3, 4, 3)]
    attention = row(result, "attention", "prefill")
    assert (attention.calls, attention.total_ns) == (3, 3 * 2_000)


def test_a_trace_without_prefill_or_decode_says_what_to_capture() -> None:
    with pytest.raises(MissingEventsError, match="no step of prefill or decode is marked") as said:
        roles.roles(draw("mark aaaa\nhost a\nstream 7 .A"))
    assert "tracekit capture" in str(said.value.hint)


@given(traces(gpu=True))
def test_rows_of_a_phase_add_up_to_its_kernel_time(trace: Trace) -> None:
    check_sums(trace)


@pytest.mark.parametrize(
    "name",
    ["tl_sglang_prefilldecode", "tl_sglang_decode", "tl_vllm_prefilldecode_piecewise"],
)
def test_real_traces_are_aligned_whole_and_add_up(name: str) -> None:
    trace = loaded(name)
    result = check_sums(trace)
    assert result is not None
    assert all(p.aligned_ns == p.total_ns for p in result.phases)
    assert all(p.layers == {"mixed": 24}.get(p.phase, 36) for p in result.phases)


def check_sums(trace: Trace) -> Roles | None:
    try:
        result = roles.roles(trace)
    except MissingEventsError:
        return None
    has_kernels = len(trace.of(Cat.KERNEL)) > 0
    want = (
        {p.phase: (p.total_ns, p.count) for p in kernels.kernels(trace).phases}
        if has_kernels
        else {p.phase: (p.self_ns, p.count) for p in ops.ops(trace).phases}
    )
    for phase in result.phases:
        mine = [r for r in result.rows if r.phase == phase.phase]
        assert (sum(r.total_ns for r in mine), sum(r.count for r in mine)) == want[phase.phase]
        assert phase.total_ns == want[phase.phase][0]
        if phase.total_ns:
            assert sum(r.share or 0 for r in mine) == pytest.approx(1)
    return result


def test_prefill_and_decode_of_one_server_become_one_table() -> None:
    """The layer of Qwen3-8B, whose decode is a graph: shapes and rows are its published ones."""
    many = [roles.roles(loaded(name)) for name in ("tl_sglang_prefilldecode", "tl_sglang_decode")]
    result = merge(*many)
    weights = {p.role: p.weights for p in result.pairs if p.weights}
    assert weights == {
        "query, key, value projection": "4096 → 6144",
        "attention output projection": "4096 → 4096",
        "MLP up projection": "4096 → 24576",
        "MLP down projection": "12288 → 4096",
        "head": "4096 → 151936",
    }
    for one in (p for p in result.pairs if p.weights):
        assert "at " in one.words
        decode = row(result, one.role, "decode")
        assert decode.weight_share is not None
        assert 0.2 < decode.weight_share < 1  # of the memory bandwidth: more cannot be


def test_weights_of_a_replayed_step_and_their_share_of_the_bandwidth_add_up_by_hand() -> None:
    """36 layers of Qwen3-8B and its head in bfloat16, on an MI300X of 5.3 TB/s and 1,307 TFLOP/s.

    A step of 32 rows reads 15.14 GB of weights in 5.78 of its 9.77 ms: 49 % of the bandwidth.
    """
    names = ("tl_sglang_prefilldecode", "tl_sglang_decode")
    one, two = (roles.roles(loaded(name)) for name in names)
    prefill, decode = merge(one, two).phases
    layer = 4096 * 6144 + 4096 * 4096 + 4096 * 24576 + 12288 * 4096
    read = 2 * (36 * layer + 4096 * 151936)
    assert decode.gemm_weight_bytes == prefill.gemm_weight_bytes == read == 15_136_194_560
    assert decode.gemm_bytes_share == pytest.approx(read / (decode.gemm_ns / 1e9) / 5300e9)
    assert decode.gemm_bytes_share == pytest.approx(0.494, abs=0.001)
    assert decode.gemm_share == pytest.approx(0.592, abs=0.001)
    assert (decode.gemm_bound, decode.step_rows, prefill.gemm_bound) == ("memory", 32, "compute")
    # 15,360 rows through the layers, and the last of 15 sequences through the head
    done = 2 * (15360 * 36 * layer + 15 * 4096 * 151936)
    reached = done / (prefill.gemm_ns / 1e9) / 1307.4e12
    assert prefill.gemm_flops_share == pytest.approx(reached)
    assert reached == pytest.approx(0.388, abs=0.001)
    # alone, the replay says what bounds its GEMMs, not how far they are from it
    (alone,) = two.phases
    assert (alone.gemm_bound, alone.gemm_bytes_share) == ("memory", None)


@pytest.mark.parametrize(
    ("rows", "kernel", "below"),
    [
        # an H100 does 989.4 TFLOP/s in bfloat16 at 3.35 TB/s: 295 FLOPs a byte
        (290, "nvjet_tst_bf16_128x64", True),
        (300, "nvjet_tst_bf16_128x64", False),
        (32, "nvjet_tst_128x64", True),  # float32 too would be below its 40 rows
        (64, "nvjet_tst_128x64", False),  # float32 would not: the name does not say
        (1, "void marlin::Marlin<__half, 256, 1, 8, 8>(P)", False),  # half a byte a weight
    ],
)
def test_few_rows_tell_that_reading_weights_is_the_bound(
    rows: int, kernel: str, below: bool
) -> None:
    spec = devices.named("NVIDIA H100 80GB HBM3")
    assert spec is not None
    assert weight_bound.memory_bound(rows, [kernel], spec) is below


def sides(result: Roles) -> Sequence[str]:
    return [c.label for c in roles.tables(result)[0].columns]


def test_the_table_of_pairs_adds_up_and_every_column_is_defined() -> None:
    result = roles.roles(both())
    grid = roles.tables(result)[0]
    at = {label: i for i, label in enumerate(sides(result))}
    assert grid.total is not None
    for label in ("prefill time", "decode time", "prefill share", "decode share"):
        assert sum(r[at[label]] for r in grid.rows) == pytest.approx(grid.total[at[label]])
    assert grid.total[at["decode per token"]] is None  # no decode steps are marked here
    assert all(c.definition for g in roles.tables(result) for c in g.columns if c.label != "phase")
    assert {c.key for c in roles.charts(result)} == {"roles"}


def test_decode_gemms_far_below_the_memory_bandwidth_are_a_finding() -> None:
    trace = both(replay=False, **H100)
    found = [f for f in findings.findings(trace).rows if "GEMMs that use" in f.what]
    assert len(found) == 1
    assert found[0].stage == "decode"
    assert "in prefill they reach" in found[0].what
    assert found[0].rests_on == ("roles",)
    alone = Decoder()
    alone.stage("decode", [1] * 4)
    for one in (trace, alone.trace(**H100)):  # not said again of each op
        claims = [f.what for f in findings.findings(one).rows if f.stage == "decode"]
        assert not [text for text in claims if "aten::linear" in text]


def test_decode_of_so_many_rows_that_arithmetic_bounds_it_is_not_told_to_take_more() -> None:
    def said(rows: int) -> list[str]:
        model = Decoder(gemm_ns=400_000)
        model.matrices |= {"q": (4096, 4096), "gate": (4096, 8192), "down": (8192, 4096)}
        model.stage("decode", [rows] * 3)
        result = findings.findings(model.trace(**H100))
        return [f.what for f in result.rows if "GEMMs that use" in f.what]

    assert len(said(1)) == 1
    assert said(4096) == []


def test_the_sample_in_the_project_is_aligned(pytestconfig: pytest.Config) -> None:
    (path,) = Path(pytestconfig.rootpath, "traces").glob("sample-onellm*.json.gz")
    result = roles.roles(kineto.load(path))
    assert [(p.phase, p.before, p.after) for p in result.phases] == [
        ("prefill", 3, 4), ("decode", 3, 4),
    ]  # fmt: skip
    assert all(p.aligned_ns == p.total_ns for p in result.phases)
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["pairs"]
