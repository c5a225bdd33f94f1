"""Tiny configurations of causal language models: one or two layers, of every kind of layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]

VOCAB = 272  # the stand-in tokenizer takes 259 at least
BASE: Settings = {
    "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_MLA: Settings = {
    "num_key_value_heads": 4, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4, "v_head_dim": 8,
}  # fmt: skip
_MAMBA: Settings = {
    "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 8,
    "mamba_expand": 2, "mamba_chunk_size": 8,
}  # fmt: skip
_ROUTED: Settings = {
    "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 1,
    "topk_group": 1, "moe_intermediate_size": 24, "first_k_dense_replace": 1,
}  # fmt: skip
_DELTA: Settings = {
    "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip

# group: model type: what it takes beside BASE
DENSE: Mapping[str, Settings] = {
    "apertus": {}, "arcee": {}, "biogpt": {}, "bloom": {}, "codegen": {"rotary_dim": 4},
    "cohere": {}, "cohere2": {"layer_types": ["sliding_attention", "full_attention"]},
    "ctrl": {"dff": 48}, "diffllama": {}, "ernie4_5": {"head_dim": 8}, "exaone4": {}, "falcon": {},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8},
    "gemma3_text": {"head_dim": 8, "sliding_window": 8,
                    "layer_types": ["sliding_attention", "full_attention"]},
    "glm": {"head_dim": 8}, "glm4": {"head_dim": 8}, "gpt2": {}, "gpt_bigcode": {},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8},
    "gpt_neox": {}, "gptj": {"rotary_dim": 4}, "granite": {}, "helium": {"head_dim": 8},
    "llama": {}, "ministral": {"head_dim": 8, "sliding_window": 8},
    "mistral": {"sliding_window": 8}, "mpt": {}, "nanochat": {}, "nemotron": {}, "olmo": {},
    "olmo2": {}, "olmo3": {"sliding_window": 8,
                           "layer_types": ["sliding_attention", "full_attention"]},
    "opt": {"word_embed_proj_dim": 32, "ffn_dim": 48}, "persimmon": {},
    "phi": {}, "phi3": {}, "qwen2": {}, "qwen3": {"head_dim": 8}, "roberta": {"is_decoder": True},
    "seed_oss": {"head_dim": 8}, "smollm3": {}, "stablelm": {}, "starcoder2": {},
    "xglm": {"ffn_dim": 48},
}  # fmt: skip
MIXTURES: Mapping[str, Settings] = {
    "ernie4_5_moe": {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 24,
                     "moe_layer_start_index": 1},
    "glm4_moe": {**_ROUTED, "head_dim": 8},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8,
                "sliding_window": 8},
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "llama4_text": {"head_dim": 8, "num_local_experts": 4, "intermediate_size_mlp": 48,
                    "attention_chunk_size": 64},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "phimoe": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
                  "shared_expert_intermediate_size": 24},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24,
                  "head_dim": 8},
}  # fmt: skip
LATENT: Mapping[str, Settings] = {  # latent attention
    "deepseek_v2": {**_MLA, **_ROUTED, "topk_method": "greedy"},
    "deepseek_v3": {**_MLA, **_ROUTED},
    "minicpm3": {**_MLA},
}
RECURRENT: Mapping[str, Settings] = {  # a state in place of a cache, in all layers or in some
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "falcon_h1": {**_MAMBA, "mamba_d_ssm": 64, "head_dim": 8},
    "falcon_mamba": {"state_size": 8},
    "granitemoehybrid": {**_MAMBA, "layer_types": ["mamba", "attention"], "num_local_experts": 4,
                         "num_experts_per_tok": 2, "shared_intermediate_size": 24},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2,
              "expert_layer_offset": 1, "num_experts": 4, "num_experts_per_tok": 2,
              "mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "mamba": {"state_size": 8},
    "mamba2": {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1, "chunk_size": 8},
    "minimax": {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, "block_size": 8,
                "layer_types": ["linear_attention", "full_attention"]},
    "qwen3_next": {**_DELTA, "num_experts": 4, "num_experts_per_tok": 2,
                   "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24},
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 8, "head_dim": 8,
                        "num_hidden_layers": 3},
    "rwkv": {"attention_hidden_size": 32},
    "zamba2": {"num_hidden_layers": 2, "layers_block_type": ["mamba", "hybrid"],
               "mamba_d_state": 8, "n_mamba_heads": 4, "mamba_headdim": 16, "chunk_size": 8,
               "num_mem_blocks": 1, "use_mem_eff_path": False},
}  # fmt: skip
CAUSAL = {**DENSE, **MIXTURES, **LATENT, **RECURRENT}
