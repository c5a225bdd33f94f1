"""Sizes by a configuration that the user names: hand arithmetic, and everything that refuses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tracekit.analyses.roles import analysis as roles

import tracekit
from tests import fresh
from tests.decoder import H100, Decoder
from tests.drawing import Slice
from tests.real import loaded
from tracekit.answers.findings import Findings
from tracekit.answers.roles import Roles
from tracekit.answers.roofline import Op, Roofline
from tracekit.attribution.roofline.decoder import config, matrices
from tracekit.attribution.roofline.decoder.dimensions import NoFitError
from tracekit.attribution.roofline.formulas.work import Family, Known, Lengths
from tracekit.errors import MissingEventsError, UsageError
from tracekit.models import named
from tracekit.records import replace
from tracekit.report.one.overview import overview
from tracekit.results import catalog, engine
from tracekit.results.units import share
from tracekit.taxonomy import FindingKind
from tracekit.trace import graph_captures
from tracekit.trace.trace import Cat, GivenModel, Trace

SMALL: dict[str, Any] = {
    "model_type": "llama", "num_hidden_layers": 3, "hidden_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 192, "vocab_size": 1000,
    "torch_dtype": "bfloat16",
}  # fmt: skip
QWEN3_8B: dict[str, Any] = {
    "model_type": "qwen3", "num_hidden_layers": 36, "hidden_size": 4096, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288, "vocab_size": 151936,
    "use_sliding_window": False, "sliding_window": 4096, "torch_dtype": "bfloat16",
}  # fmt: skip
GPT_OSS: dict[str, Any] = {
    "model_type": "gpt_oss", "num_hidden_layers": 24, "hidden_size": 2880,
    "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 2880,
    "num_local_experts": 32, "num_experts_per_tok": 4, "vocab_size": 201088,
    "torch_dtype": "bfloat16", "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 12,
    "quantization_config": {
        "quant_method": "mxfp4", "modules_to_not_convert": [
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"
        ],
    },
}  # fmt: skip
DEEPSEEK: dict[str, Any] = {
    "model_type": "deepseek_v3", "num_hidden_layers": 61, "hidden_size": 7168,
    "num_attention_heads": 128, "num_key_value_heads": 128, "intermediate_size": 18432,
    "moe_intermediate_size": 2048, "n_routed_experts": 256, "num_experts_per_tok": 8,
    "n_shared_experts": 1, "first_k_dense_replace": 3, "moe_layer_freq": 1, "q_lora_rank": 1536,
    "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "vocab_size": 129280, "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}  # fmt: skip
LAYER = ("norm", "qkv", "rotary", "cache", "attention", "o", "norm", "gate_up", "act", "down")
MIXTURE = ("norm", "qkv", "rotary", "attention", "o", "norm", "router", "routing", "experts_in",
           "act", "experts_out")  # fmt: skip
FUSED = {"qkv": (64, 128), "o": (64, 64), "gate_up": (64, 384), "down": (192, 64),
         "head": (64, 1000), "router": (64, 8)}  # fmt: skip
STEPS = (  # vLLM's: four requests of 100 positions together, then three of 80
    "execute_4_context_0(sq0sk0sqsq0sqsk0)_generation_4(sq4sk100sqsq4sqsk100)",
    "execute_3_context_0(sq0sk0sqsq0sqsk0)_generation_3(sq3sk80sqsq3sqsk80)",
)


def replayed(*steps: str, layer: tuple[str, ...] = LAYER, **meta: object) -> Trace:
    """Steps of a made-up engine, a graph each: no kernel has an op."""
    model = Decoder(layer=layer, matrices=FUSED)
    for step in steps:
        model.stage(step, [4], replay=True)
    return model.trace(**{**H100, **meta})


def of_model(trace: Trace, said: Mapping[str, Any], tp: int | None = None) -> Trace:
    given = GivenModel("config.json", {k: v for k, v in said.items() if v is not None}, tp)
    return replace(trace, source=replace(trace.source, model=given), memo={})


def asked(trace: Trace, said: Mapping[str, Any], tp: int | None = None) -> Roofline:
    return catalog.ask(of_model(trace, said, tp), Roofline)


def refusal(trace: Trace, said: Mapping[str, Any], tp: int | None = None) -> str:
    """Why nothing of a configuration is used."""
    fit = roles.roles(of_model(trace, said, tp)).model
    assert fit is not None
    assert (fit.used, fit.tokens) == (False, {})
    return fit.why or ""


def by_op(found: Roofline) -> dict[str, Op]:
    return {row.op: row for row in found.stated}


# ---------------------------------------------------------------- what it gives


def test_every_kernel_of_two_replayed_steps_has_the_sizes_of_hand_arithmetic() -> None:
    """Seven rows in two passes of three layers; bfloat16, a cache of which no name says the dtype.

    Queries 64 wide, keys 32; contexts of 100 and 80 positions together.
    """
    found = asked(replayed(*STEPS), SMALL)
    assert found.model is not None
    assert (found.model.used, found.model.tp, found.model.tokens) == (True, 1, {"decode": 7})
    rows, layers = 7 * 3, 2 * 3

    def product(k: int, n: int) -> tuple[int, int, int]:
        return layers, 2 * rows * k * n, 2 * (layers * k * n + rows * (k + n))

    want = {  # kernels, FLOPs, bytes
        "query, key, value projection": product(64, 64 + 2 * 32),
        "attention output projection": product(64, 64),
        "MLP gate, up projection": product(64, 2 * 192),
        "MLP down projection": (2 * layers, *product(192, 64)[1:]),  # split along k: two kernels
        "head": (2, 2 * 7 * 64 * 1000, 2 * (2 * 64 * 1000 + 7 * 1064)),
        "attention": (
            layers, 3 * 4 * 64 * 180, 3 * (2 * 7 * 64 * 2 + 180 * 2 * 32),
        ),
        "work before query, key, value projection": (layers, 4 * rows * 64, 2 * 2 * rows * 64),
        "work before MLP up projection": (layers, 4 * rows * 64, 2 * 2 * rows * 64),
        "work before MLP down projection": (layers, rows * 192, 2 * 2 * rows * 192),
        "work before the head": (2, 4 * 7 * 64, 2 * 2 * 7 * 64),
        "work after the last GEMM": (2, 0, 2 * 7 * 1000),
    }  # fmt: skip
    told = {op: (r.kernels, r.flops, r.bytes) for op, r in by_op(found).items() if op in want}
    assert told == want
    before = {r.kernel: r for r in found.stated if r.op == "work before attention"}
    assert (before["rotary_kernel"].flops, before["rotary_kernel"].bytes) == (
        3 * rows * 96, 2 * 2 * rows * 96
    )  # fmt: skip
    assert before["store_kvcache"].bytes == 2 * rows * 2 * 32  # what is written may be in 8 bits
    assert {r.known for r in found.stated} == {Known.LEAST}
    assert found.covered_share == pytest.approx(1)
    assert found.uncovered == ()
    note = next(g for g in catalog.analysis("roofline").tables(found) if g.key == "stated").note
    assert note.startswith("Tokens through the layers, as annotations say: decode 7.")


def test_without_the_number_of_tokens_the_weights_are_a_bound_and_called_one() -> None:
    found = asked(replayed("decode"), SMALL)
    assert found.model is not None
    assert (found.model.used, found.model.tokens) == (True, {"decode": None})
    one = by_op(found)["MLP down projection"]
    assert (one.shape, one.known) == ("≥1×64×192", Known.LEAST)
    assert (one.flops, one.bytes) == (3 * 2 * 192 * 64, 3 * 2 * (192 * 64 + 192 + 64))
    assert "attention" not in by_op(found)  # how long the contexts are is not known either
    note = next(g for g in catalog.analysis("roofline").tables(found) if g.key == "stated").note
    assert "a bound from below whatever the batch" in note
    (down,) = (r for r in catalog.ask(of_model(replayed("decode"), SMALL), Roles).rows
               if r.role == "MLP down projection")  # fmt: skip
    assert (down.rows, down.weights, down.weight_bytes) == (None, "192 → 64", 3 * 2 * 192 * 64)
    assert down.by_config


def test_launched_kernels_without_shapes_have_them_too_and_what_lacks_some_says_so() -> None:
    """An eager step: ops are around its launches, and no arguments are recorded."""
    model = Decoder(layer=(*LAYER[:2], "argmax", *LAYER[2:]), matrices=FUSED, shapes=False)
    model.stage(STEPS[0], [4])
    found = asked(model.trace(**H100), SMALL)
    assert by_op(found)["MLP down projection"].shape == "4×64×192"
    (rest,) = found.uncovered  # one in each layer, of which nobody knows what it is over
    assert (rest.what, rest.why, rest.count) == ("aten::argmax", "captured without shapes", 3)
    (one,) = found.coverage
    assert one.kernel_ns == one.covered_ns + rest.total_ns == one.covered_ns + one.unsized_ns


def test_a_prefill_sends_the_last_position_of_each_prompt_through_the_head() -> None:
    step = "execute_8_context_2(sq6sk6sqsq20sqsk20)_generation_2(sq2sk50sqsq2sqsk50)"
    found = asked(replayed(step), SMALL)
    assert found.model is not None
    assert found.model.tokens == {"mixed": 8}
    head, down = by_op(found)["head"], by_op(found)["MLP down projection"]
    assert (head.shape, down.shape) == ("4×1000×64", "8×64×192")
    # Σ q·k less what the mask takes: 70 - (22 - 8) / 2
    assert by_op(found)["attention"].flops == 3 * 4 * 64 * 63


MOE = {**SMALL, "num_local_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}


def test_experts_do_what_their_tokens_ask_and_read_those_of_one_token_at_least() -> None:
    found = asked(replayed(STEPS[0], layer=MIXTURE), MOE)
    rows = by_op(found)
    up, down = rows["experts' gate, up projection"], rows["experts' down projection"]
    assert up.shape == "4×2 of 8 experts×64×64"
    assert (up.flops, up.bytes) == (
        3 * 2 * 4 * 2 * 64 * 64, 3 * (2 * 2 * 64 * 64 + 4 * (64 + 2 * 32) * 2)
    )  # fmt: skip
    assert (down.flops, down.bytes) == (
        3 * 2 * 4 * 2 * 32 * 64, 3 * (2 * 2 * 32 * 64 + 4 * (2 * 32 + 64) * 2)
    )  # fmt: skip
    assert rows["router"].flops == 3 * 2 * 4 * 64 * 8
    named_ = {r.kernel: r for r in found.stated}
    assert named_["topk_softmax_kernel"].bytes == 3 * 4 * 8 * 2
    assert named_["silu_kernel"].bytes == 3 * 4 * 2 * 32 * 2 * 2
    # which experts were chosen is not known: nothing is said of the bandwidth of all GEMMs
    phase = catalog.ask(of_model(replayed(STEPS[0], layer=MIXTURE), MOE), Roles).phase("decode")
    assert phase is not None
    assert phase.gemm_bytes_share is None


def test_the_finding_and_the_headline_say_how_near_experts_came_to_their_roof() -> None:
    model = Decoder(layer=MIXTURE, matrices=FUSED, gemm_ns=20_000)
    model.stage(STEPS[0], [4], replay=True)
    trace = of_model(model.trace(), MOE)
    trace = replace(trace, source=replace(trace.source, device="H100 SXM"), memo={})
    (row,) = (r for r in catalog.ask(trace, Findings).rows if r.kind == FindingKind.EXPERT_GEMM)
    stated = catalog.ask(trace, Roofline).stated
    least = sum(r.rates.floor_ns or 0 for r in stated if r.op.startswith("experts'"))
    assert row.numbers["floor_ns"] == pytest.approx(least)
    assert row.numbers["floor_share"] == pytest.approx(least / 120_000)
    said = f"They reach {share(least / 120_000)} or more of what H100 SXM allows (memory bandwidth"
    assert said in row.what
    said = f"expert GEMMs 35% at {share(least / 120_000, 0)} or more of roofline"
    assert said in overview(engine.of_trace(trace)).headlines[0]


def test_ranks_that_share_the_weights_have_their_part_of_them() -> None:
    spread = {"rank": 0, "world_size": 2}
    whole = asked(replayed(STEPS[0]), SMALL)
    half = asked(replayed(STEPS[0], distributedInfo=spread), SMALL, 2)
    for role in ("MLP gate, up projection", "query, key, value projection", "head"):
        assert 2 * by_op(half)[role].flops == by_op(whole)[role].flops
    assert by_op(half)["MLP down projection"].shape == "4×64×96"
    assert half.model is not None
    assert half.model.tp == 2
    # ranks may have a part of each expert, or some experts each: the trace does not say
    experts = by_op(asked(replayed(STEPS[0], layer=MIXTURE, distributedInfo=spread), MOE, 2))
    assert "attention output projection" in experts
    assert not any("experts" in role for role in experts)


def test_a_configuration_says_of_a_replay_what_its_capture_says() -> None:
    """Two witnesses: the shapes that the capture recorded, and the published sizes of Qwen3-8B."""
    trace = loaded("tl_sglang_decode")
    found = asked(trace, QWEN3_8B)
    assert found.covered_share is not None
    assert found.covered_share > 0.95
    captured = catalog.ask(graph_captures.attached(trace, ()), Roofline)
    recorded = {r.shape: r for r in captured.rows if r.op == "aten::mm"}
    products = [r for r in found.stated if r.family is Family.GEMM]
    assert len(products) == 5
    for one in products:
        same = recorded[one.shape]
        assert (one.flops, one.bytes, one.calls) == (same.flops, same.bytes, same.calls)
        assert one.total_ns == same.total_ns
    (paged,) = (r for r in captured.rows if "paged_attention" in r.op)
    assert (by_op(found)["attention"].flops, by_op(found)["attention"].bytes) == (
        paged.flops, paged.bytes
    )  # fmt: skip
    moved = {r.kernel: r.bytes for r in captured.rows}
    others = [r for r in found.stated if r.calls == 36 and r.family is not Family.GEMM]
    assert {r.kernel for r in others} <= moved.keys()
    assert all(r.bytes <= moved[r.kernel] for r in others)  # at least


def test_a_piecewise_step_of_experts_is_covered() -> None:
    """GPT-OSS-20B over 8192 tokens: 4 of 32 experts each, 24 layers, 4 bits a weight."""
    trace = loaded("tl_vllm_prefilldecode_piecewise")
    found = asked(trace, GPT_OSS)
    assert found.covered_share is not None
    assert found.covered_share > 0.98
    up = by_op(found)["experts' gate, up projection"]
    assert up.flops == 24 * 2 * 8192 * 4 * 2880 * 5760
    assert up.bytes == 24 * (4 * 2880 * 5760 // 2 + 2 * 8192 * (2880 + 4 * 2880))
    covered = sum(c.covered_ns for c in found.coverage) + sum(u.total_ns for u in found.uncovered)
    assert covered == sum(c.kernel_ns for c in found.coverage)  # no kernel twice, none lost
    other = asked(trace, {**QWEN3_8B, "num_hidden_layers": 24, "quantization_config":
                          {"quant_method": "mxfp4"}})  # fmt: skip
    assert other.model is not None
    assert other.model.why == "it has no experts, and the trace runs GEMMs of experts"
    narrower = asked(trace, {**GPT_OSS, "vocab_size": 151936})
    assert narrower.model is not None
    assert narrower.model.why == "its head is 2880 → 151936, and that of the trace is 2880 → 201088"


# ---------------------------------------------------------------- what contradicts it


def with_kernels(name: str) -> Trace:
    """The replayed step, with GEMMs of this name."""
    model = Decoder(layer=LAYER, matrices=FUSED)
    model.stage(STEPS[0], [4], replay=True)
    model.slices = [
        Slice(**{**vars_of(one), "name": name}) if one.name == "ampere_gemm" else one
        for one in model.slices
    ]
    return model.trace(**H100)


def vars_of(one: Slice) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


# what the configuration says otherwise, the trace, and why it is refused
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "layers": ({"num_hidden_layers": 4}, {}, "it has 4 layers, and a step of the trace runs 3"),
    "a part of the layers": ({"num_hidden_layers": 1}, {}, "it has 1 layers, and a step"),
    "experts": (
        {"num_experts": 8, "num_experts_per_tok": 2}, {}, "it has 8 experts, and no GEMM of a layer"
    ),
    "no experts": ({}, {"layer": MIXTURE}, "it has no experts, and the trace runs GEMMs"),
    "no gate": ({"model_type": "opt"}, {"layer": (*LAYER[:-2], "act", "down", "down")},
                "has 4 GEMMs after attention, which an MLP without a gate has not"),
    "ranks": ({}, {"distributedInfo": {"world_size": 8}},
              "the trace is one of 8 ranks, and does not say how many share the weights (--tp)"),
    # 1.6 TB of weights in 45 µs
    "too large": ({"hidden_size": 65536, "intermediate_size": 1 << 20}, {},
                  "of the memory bandwidth of H100 SXM would be needed"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_configuration_that_contradicts_the_trace_is_refused_in_one_line(case: str) -> None:
    said, drawn, why = REFUSED[case]
    trace = replayed(STEPS[0], **drawn)
    told = refusal(trace, {**SMALL, **said})
    assert why in told
    assert "\n" not in told
    with pytest.raises(MissingEventsError) as fault:  # no shapes, and no sizes by another's word
        asked(trace, {**SMALL, **said})
    assert fault.value.what == f"captured without shapes, and config.json is of no use: {told}"


def test_weights_that_kernels_multiply_in_8_bits_are_not_taken_for_16() -> None:
    trace = with_kernels("nvjet_fp8_64x64")
    assert refusal(trace, SMALL).startswith(
        "its weights are not quantised (no quantization_config)"
    )
    stored = asked(trace, {**SMALL, "quantization_config": {"quant_method": "fp8"}})
    down = by_op(stored)["MLP down projection"]
    assert (down.dtype, down.bytes) == ("float8", 3 * (192 * 64 + 4 * (192 + 64) * 2))
    # engines cast a checkpoint: the kernels say to what
    single = asked(with_kernels("ampere_sgemm_64x64"), SMALL)
    assert by_op(single)["MLP down projection"].bytes == 3 * 4 * (192 * 64 + 4 * (192 + 64))
    cast = asked(with_kernels("nvjet_bf16_64x64"), {**SMALL, "torch_dtype": "float32"})
    assert by_op(cast)["MLP down projection"].bytes == 3 * 2 * (192 * 64 + 4 * (192 + 64))


def test_a_trace_without_layers_says_why_the_configuration_is_of_no_use() -> None:
    model = Decoder(layer=("norm", "act"), matrices=FUSED)
    model.stage(STEPS[0], [4])
    assert refusal(model.trace(**H100), SMALL) == (
        "no layer repeats in the order of the trace's GEMMs"
    )


# ---------------------------------------------------------------- the configuration itself


@pytest.mark.parametrize(
    ("said", "want"),
    [
        (SMALL, {"layers": 3, "queries": 64, "keys": 32, "gated": True, "windowed": 0}),
        (QWEN3_8B, {"queries": 4096, "keys": 1024, "windowed": 0, "size": 2}),
        (GPT_OSS, {"queries": 4096, "keys": 512, "windowed": 12}),
        (DEEPSEEK, {"layers": 61, "mixture.layers": 58, "mixture.shared": 2048,
                    "stored.products": "float8", "latent.kv": 512}),
        # a multimodal model's language model, with windows and without layer_types: all may be
        ({"text_config": {**SMALL, "sliding_window": 512}}, {"windowed": 3}),
        ({"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257,
          "torch_dtype": "float32"},
         {"intermediate": 3072, "gated": False, "keys": 768, "size": 4}),
        ({**SMALL, "model_type": "falcon", "multi_query": True, "num_key_value_heads": None},
         {"keys": 16, "gated": False}),
        ({**SMALL, "num_experts": 4, "num_experts_per_tok": 1, "decoder_sparse_step": 2,
          "moe_intermediate_size": 48}, {"mixture.layers": 1, "mixture.intermediate": 48}),
        ({**SMALL, "quantization_config": {"quant_method": "gptq", "bits": 4}},
         {"stored.bits": 4, "stored.products": "bfloat16"}),
        ({**SMALL, "quantization_config": {"quant_method": "compressed-tensors", "config_groups":
          {"group_0": {"weights": {"num_bits": 8}, "input_activations":
                       {"num_bits": 8, "type": "int"}}}, "ignore": ["lm_head"]}},
         {"stored.bits": 8, "stored.products": "int8", "stored.attention": True,
          "stored.head": False, "stored.router": True}),
    ],
)  # fmt: skip
def test_a_configuration_is_read_as_it_is_spelled(
    said: Mapping[str, Any], want: Mapping[str, Any]
) -> None:
    one = config.decoder(said, 1, where="config.json")
    for path, value in want.items():
        found: Any = one
        for name in path.split("."):
            found = getattr(found, name)
        assert found == value, path


# configuration, GEMMs before attention, which after it are of experts, and by place: k, n, bytes
# read at least by a call, FLOPs of a token
LAYERS: list[tuple[dict[str, Any], int, list[bool], dict[int, tuple[int, int, int, int]]]] = [
    (SMALL, 3, [False] * 4, {
        0: (64, 64, 8192, 8192), 1: (64, 32, 4096, 4096), 4: (64, 64, 8192, 8192),
        7: (192, 64, 24576, 24576),
    }),
    (QWEN3_8B, 1, [False] * 3, {
        0: (4096, 6144, 50331648, 50331648), 3: (4096, 24576, 201326592, 201326592),
    }),
    (GPT_OSS, 1, [False, False, True, True], {
        0: (2880, 5120, 29491200, 29491200), 3: (2880, 32, 184320, 184320),
        4: (2880, 5760, 33177600, 132710400), 5: (2880, 2880, 16588800, 66355200),
    }),
    # absorbed: W_UK and W_UV of 128 heads; fp8 a byte; the router as it is
    (DEEPSEEK, 3, [False, False, False, True, True], {
        0: (7168, 2112, 15138816, 30277632), 1: (1536, 24576, 37748736, 75497472),
        2: (128, 512, 8388608, 16777216), 4: (512, 128, 8388608, 16777216),
        5: (16384, 7168, 117440512, 234881024), 6: (7168, 256, 3670016, 3670016),
        7: (7168, 4096, 234881024, 469762048), 8: (2048, 7168, 117440512, 234881024),
    }),
    # one kernel for all of an expert: 3·7168·2048 weights of a byte, 8 of them
    (DEEPSEEK, 3, [False, False, True], {6: (7168, 4096, 352321536, 704643072)}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "before", "experts", "want"), LAYERS)
def test_the_matrices_of_a_layer_are_those_of_hand_arithmetic(
    said: dict[str, Any], before: int, experts: list[bool],
    want: Mapping[int, tuple[int, int, int, int]],
) -> None:  # fmt: skip
    found = matrices.of_layer(config.decoder(said, 1, where=""), before, experts)
    told = {
        at: (m.k, m.n, m.work(1, 0, 2)[1], m.work(1, 1, 2)[0])
        for at, m in found.items() if at in want
    }  # fmt: skip
    assert told == want


def test_latent_attention_meets_one_cached_key_for_all_heads() -> None:
    """61 layers, 128 heads; two queries over 300 positions: 576 cached values of each."""
    one = config.decoder(DEEPSEEK, 1, where="")
    lengths = Lengths(queries=2, keys=300, query_squares=2, pairs=300)
    assert one.attention(lengths, 2, absorbed=True) == (
        61 * 2 * 128 * 300 * (576 + 512), 61 * (2 * 128 * (576 + 512) * 2 + 300 * 576 * 2)
    )  # fmt: skip
    assert one.attention(lengths, 2, absorbed=False)[0] == 61 * 2 * 128 * 300 * (192 + 128)


@pytest.mark.parametrize(
    ("said", "before", "experts", "why"),
    [
        (SMALL, 4, [False] * 3, "4 GEMMs before attention, not 1 to 3"),
        (SMALL, 1, [False] * 5, "5 GEMMs after attention"),
        (MOE, 1, [False, False, True, True, True], "3 GEMMs of experts, not 1 or 2"),
        (DEEPSEEK, 5, [False, True], "5 GEMMs before its latent attention"),
    ],
)
def test_layers_of_another_make_are_refused(
    said: dict[str, Any], before: int, experts: list[bool], why: str
) -> None:
    with pytest.raises(NoFitError, match=why):
        matrices.of_layer(config.decoder(said, 1, where=""), before, experts)


@pytest.mark.parametrize(
    ("said", "tp", "why"),
    [
        ({**SMALL, "hidden_size": None}, 1, "says no hidden_size"),
        ({**SMALL, "torch_dtype": None}, 1, "says no dtype"),
        ({**SMALL, "layer_types": ["linear_attention", "full_attention"]}, 1, "linear_attention"),
        ({**SMALL, "quantization_config": {"quant_method": "ternary"}}, 1, "ternary"),
        ({**SMALL, "num_experts": 2, "num_experts_per_tok": 3}, 1, "chooses 3 of 2 experts"),
        (SMALL, 3, "num_attention_heads 4, which 3 ranks cannot share"),
    ],
)
def test_a_configuration_that_does_not_say_enough_is_refused(
    said: dict[str, Any], tp: int, why: str
) -> None:
    known = {name: value for name, value in said.items() if value is not None}
    with pytest.raises(UsageError, match=why):
        config.decoder(known, tp, where="config.json")


def test_it_is_named_by_its_file_its_folder_or_a_listed_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    for name in (tmp_path, tmp_path / "config.json", f"hf:{tmp_path}"):
        assert named.given(name, 2).config == SMALL
    dims = {"layers": 32, "hidden": 4096, "heads": 32, "intermediate": 11008, "vocab": 32000}
    about = {"onellm": {"llm": {**dims, "weight_parameters": 1}}, "imu2clip": {"encode": {}}}

    def counted(name: str) -> object:  # torch counts them on `meta`
        return SimpleNamespace(description=SimpleNamespace(dims=lambda _dtype: about[name]))

    monkeypatch.setattr("tracekit.models.entry.model", counted)
    llama = config.decoder(named.given("onellm").config, 1, where="onellm")
    assert (llama.layers, llama.keys, llama.intermediate) == (32, 4096, 11008)
    for none in ("imu2clip", str(tmp_path / "none.json"), Path(__file__)):
        with pytest.raises(UsageError):
            named.given(none)


def written(path: Path, *, layers: int, sums: Mapping[str, Any] | None = None) -> Path:
    """A trace file of one replayed step; `sums` is what two sums a layer over ranks say."""
    model = Decoder(layer=LAYER, matrices=FUSED, layers=layers)
    model.stage(STEPS[0], [4], replay=True)
    cats = {Cat.KERNEL: "kernel", Cat.RUNTIME: "cuda_runtime", Cat.ANNOTATION: "user_annotation"}
    events = [
        {"ph": "X", "cat": cats[one.cat], "name": one.name, "ts": one.ts / 1e3,
         "dur": one.dur / 1e3, "pid": one.pid, "tid": 7 if one.cat is Cat.KERNEL else 1,
         "args": {"correlation": one.correlation, "stream": 7, "device": 0}}
        for one in model.slices
    ]  # fmt: skip
    meta: dict[str, Any] = {**H100}
    if sums is not None:
        meta["distributedInfo"] = {"rank": 0, "world_size": 8}
        last = max(event["ts"] for event in events)
        events += [
            {**events[1], "cat": "kernel", "name": "ncclDevKernel_AllReduce_Sum_bf16_RING_LL",
             "ts": last + at, "dur": 0.5, "tid": 7,
             "args": {"correlation": 1, "stream": 7, "device": 0, **sums}}
            for at in range(1, 1 + 2 * layers)
        ]  # fmt: skip
    path.write_text(json.dumps({"traceEvents": events, **meta}))
    return path


def test_the_group_in_which_a_trace_sums_says_how_many_ranks_share_the_weights(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    sums = {"Collective name": "allreduce", "Group size": 2, "dtype": "BFloat16",
            "In msg nelems": 256, "Out msg nelems": 256}  # fmt: skip
    path = written(tmp_path / "rank0.json", layers=3, sums=sums)
    found = tracekit.load(path, model_config=tmp_path).roofline().result
    assert isinstance(found, Roofline)
    assert found.model is not None
    assert (found.model.used, found.model.tp) == (True, 2)
    assert by_op(found)["MLP down projection"].shape == "4×64×96"


def test_the_command_and_a_notebook_take_it_and_say_where_it_does_not_fit(tmp_path: Path) -> None:
    fits, other = written(tmp_path / "a.json", layers=3), written(tmp_path / "b.json", layers=2)
    (tmp_path / "config.json").write_text(json.dumps(SMALL))
    done = fresh.tracekit(
        "analyze", fits, other, "--model-config", tmp_path, "--only", "roofline", "--json",
        "--workers", "1", "--device", "H200", cwd=tmp_path,
    )  # fmt: skip
    one, two = json.loads(done.stdout)["traces"]
    assert one["answers"]["roofline"]["model"] == {
        "name": str(tmp_path), "used": True, "why": None, "tp": 1, "tokens": {"decode": 4}
    }  # fmt: skip
    assert not two["answers"].get("roofline")
    assert "it has 3 layers, and a step of the trace runs 2" in done.stderr
    trace = tracekit.load(fits)
    shown = trace.roofline(model_config=tmp_path, tp=1).result
    assert isinstance(shown, Roofline)
    assert shown.covered_share == pytest.approx(1)
    assert shown == tracekit.load(fits, model_config=tmp_path, tp=1).roofline().result
    assert tracekit.load(fits, device="H200").trace.source.device == "H200"
    assert "says that it ran on H100 SXM: --device H200 is not used" in done.stderr
    with pytest.raises(UsageError, match="needs model_config"):
        trace.roofline(tp=2)


def test_merged_traces_say_of_which_the_configuration_is_not() -> None:
    many = [roles.roles(of_model(replayed(step), SMALL)) for step in STEPS]
    both = roles.merge(*many)
    assert both.model is not None
    assert both.model.tokens == {"decode": 7}
    other = roles.roles(of_model(replayed(STEPS[0]), {**SMALL, "num_hidden_layers": 4}))
    mixed = roles.merge(many[0], other).model
    assert mixed is not None
    assert not mixed.used
