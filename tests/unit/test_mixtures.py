"""Mixtures of experts: routed weights counted in modules on `meta`, and what a token chooses."""

from typing import Any

import pytest

from tracekit.models.huggingface import model as huggingface
from tracekit.models.shared.decoder.shape import dims, read_per_pass
from tracekit.models.shared.experts import DENSE, Experts, routed

COMMON = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": False,
}  # fmt: skip
EXPERT = 3 * 32 * 48  # gate, up and down
SMALL = 3 * 32 * 24  # the same with moe_intermediate_size 24

# family: (its own spelling, layers with experts, parameters of one expert, experts, chosen)
FAMILIES: dict[str, tuple[dict[str, Any], int, int, int, int]] = {
    "mixtral": ({"num_local_experts": 8, "num_experts_per_tok": 2}, 4, EXPERT, 8, 2),
    "qwen2_moe": (
        {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 24,
         "shared_expert_intermediate_size": 48, "decoder_sparse_step": 2}, 2, SMALL, 6, 3),
    "qwen3_moe": (
        {"num_experts": 8, "num_experts_per_tok": 4, "moe_intermediate_size": 24, "head_dim": 8,
         "mlp_only_layers": [0]}, 3, SMALL, 8, 4),
    "deepseek_v3": (
        {"n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 2,
         "topk_group": 1, "moe_intermediate_size": 24, "first_k_dense_replace": 1, "q_lora_rank": 8,
         "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8,
         "num_key_value_heads": 4}, 3, SMALL, 8, 2),
    "olmoe": ({"num_experts": 8, "num_experts_per_tok": 2}, 4, EXPERT, 8, 2),
    "glm4_moe": (
        {"n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 1,
         "moe_intermediate_size": 24, "first_k_dense_replace": 2, "head_dim": 8}, 2, SMALL, 8, 2),
    "ernie4_5_moe": (
        {"moe_num_experts": 8, "moe_k": 2, "moe_intermediate_size": 24, "moe_layer_start_index": 1,
         "moe_layer_end_index": 3, "moe_num_shared_experts": 1}, 3, SMALL, 8, 2),
    # gate and up have biases, and so has down
    "gpt_oss": (
        {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8}, 4,
        EXPERT + 2 * 48 + 32, 4, 2),
}  # fmt: skip


def built(family: str, **own: Any) -> tuple[Any, Any]:
    pytest.importorskip("transformers")
    from transformers import AutoConfig

    config = AutoConfig.for_model(family, **{**COMMON, **own})
    return huggingface.skeleton(config), config


@pytest.mark.parametrize("family", FAMILIES)
def test_routed_experts_are_counted_in_the_modules_of_each_family(family: str) -> None:
    own, layers, one, number, chosen = FAMILIES[family]
    model, config = built(family, **own)
    assert routed(model, config) == Experts(layers * number * one, number, chosen)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_every_pass_reads_holds_no_routed_expert(family: str) -> None:
    own, layers, one, number, chosen = FAMILIES[family]
    model, config = built(family, **own)
    found = dims(config, "bfloat16", read_per_pass(model), routed(model, config))
    without = sum(
        p.numel() for name, p in model.named_parameters()
        if ".experts." not in name and "embed_tokens" not in name
    )  # fmt: skip
    assert found["weight_parameters"] == without
    assert (found["experts"], found["experts_per_token"]) == (number, chosen)
    assert found["expert_parameters"] == layers * number * one


def test_a_dense_model_has_no_experts() -> None:
    model, config = built("llama")
    assert routed(model, config) == DENSE
    found = dims(config, "bfloat16", read_per_pass(model), DENSE)
    assert "experts" not in found
    assert found["weight_parameters"] == read_per_pass(model)


def test_where_it_is_not_known_how_many_a_token_chooses_no_weights_are_claimed() -> None:
    model, config = built("mixtral", num_local_experts=8, num_experts_per_tok=2)
    config.zero_expert_num = 4  # LongCat: of those that a token chooses some have no weights
    mixture = routed(model, config)
    assert mixture.parameters == 4 * 8 * EXPERT
    assert mixture.chosen is None
    assert "weight_parameters" not in dims(config, "bfloat16", read_per_pass(model), mixture)


def test_mixtral_8x7b_reads_a_quarter_of_its_experts_for_a_token() -> None:
    """By hand: 32 layers of 8 experts of 3·4096·14336; all weights over active ones are 3.65."""
    model, config = built(
        "mixtral", vocab_size=32000, hidden_size=4096, intermediate_size=14336,
        num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8,
        num_local_experts=8, num_experts_per_tok=2,
    )  # fmt: skip
    found = dims(config, "bfloat16", read_per_pass(model), routed(model, config))
    assert found["expert_parameters"] == 32 * 8 * 3 * 4096 * 14336
    active = found["weight_parameters"] + found["expert_parameters"] // 4
    assert read_per_pass(model) / active == pytest.approx(3.65, abs=0.005)
