"""A decoder's dimensions from a `config.json` of Hugging Face.

Its keys have a few spellings; what a key says is taken as it stands, and what is not said is never
guessed: a configuration that lacks a size is refused by name.

Source: transformers, `PretrainedConfig` and the configuration classes of its models;
`quantization_config` as transformers, vLLM and compressed-tensors write it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracekit.attribution.roofline.decoder.dimensions import Decoder, Latent, Mixture, Stored
from tracekit.attribution.roofline.devices import DTYPES
from tracekit.errors import UsageError
from tracekit.patterns import later

FILE = "config.json"
_MOST = 16 << 20  # bytes: no configuration is as long
_INNER = ("text_config", "llm_config", "language_config", "thinker_config")
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "multi_query_group_num")
_WIDE = ("intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim")
_VOCAB = ("vocab_size", "padded_vocab_size")
# the routed experts of a layer, and those that a token chooses
EXPERTS = ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts", "n_experts")
CHOSEN = (
    "num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_top_k", "moe_topk",
    "moe_k", "num_selected_experts", "n_activated_experts",
)  # fmt: skip
_LATENT = ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
# whose MLP has no gate
_UNGATED = frozenset((
    "gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "falcon", "mpt", "phi", "codegen",
    "gpt_bigcode", "starcoder2", "nemotron", "persimmon",
))  # fmt: skip
_FOURFOLD = frozenset(("gpt2", "gpt_neo", "gptj", "bloom", "falcon", "codegen", "gpt_bigcode"))
_SEES_ALL = "full_attention"
_ATTENDS = frozenset((_SEES_ALL, "sliding_attention", "chunked_attention"))
_EVERY = frozenset(("compressed-tensors", "compressed_tensors", "modelopt", "bitsandbytes"))
_ONE_LAYER = later(r"\.\d+\.")


def read(path: Path) -> Mapping[str, Any]:
    """The configuration in a file, or in the `config.json` of a folder.

    Raises: UsageError for a file that is none.
    """
    file = path / FILE if path.is_dir() else path
    try:
        if file.stat().st_size > _MOST:
            raise ValueError("too long")
        found = json.loads(file.read_text("utf-8"))
    except OSError as fault:
        raise UsageError(f"cannot be read: {fault.strerror}", where=file, hint=_HINT) from None
    except (ValueError, RecursionError):
        raise UsageError("is no JSON of a configuration", where=file, hint=_HINT) from None
    if not isinstance(found, dict):
        raise UsageError("is no JSON of a configuration", where=file, hint=_HINT)
    return found


_HINT = f"name the {FILE} of a Hugging Face model, its folder, or a model of `tracekit models`"


def decoder(config: Mapping[str, Any], tp: int, *, where: object) -> Decoder:
    """What one rank of `tp` has. Raises: UsageError for a size that is not said, or not divided."""
    text = _text(config)
    kind = str(text.get("model_type", ""))
    layers, hidden, heads, vocab = (
        _needed(text, names, where) for names in (_LAYERS, _HIDDEN, _HEADS, _VOCAB)
    )
    latent, mixture = _latent(text, where), _mixture(text, layers, where)
    wide = _first(text, _WIDE) or (4 * hidden if kind in _FOURFOLD else None)
    if wide is None and mixture is not None:
        wide = mixture.intermediate
    if wide is None:
        wide = _needed(text, _WIDE, where)
    if not _first(text, ("head_dim",)) and hidden % heads:
        raise UsageError("says no head_dim", where=where, hint="add it")
    dtype = _dtype(text, config, where)
    made = Decoder(
        layers=layers, hidden=hidden, heads=heads, kv_heads=_kv_heads(text, heads),
        head_dim=_first(text, ("head_dim",)) or hidden // heads, intermediate=wide, vocab=vocab,
        dtype=dtype, gated=kind not in _UNGATED, windowed=_windowed(text, layers, where),
        latent=latent, mixture=mixture, stored=_stored(config, text, dtype, where), tp=tp,
    )  # fmt: skip
    _divided(made, where)
    return made


def _text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a multimodal model that is the language model's."""
    for name in _INNER:
        inner = config.get(name)
        if isinstance(inner, Mapping):
            return _text(inner)
    return config


def _first(text: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = text.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _needed(text: Mapping[str, Any], names: tuple[str, ...], where: object) -> int:
    found = _first(text, names)
    if found is None:
        raise UsageError(f"says no {names[0]}", where=where, hint=_HINT)
    return found


def _kv_heads(text: Mapping[str, Any], heads: int) -> int:
    if text.get("multi_query") is True and not text.get("new_decoder_architecture"):
        return 1  # Falcon, GPT BigCode
    return _first(text, _KV_HEADS) or heads


def _dtype(text: Mapping[str, Any], config: Mapping[str, Any], where: object) -> str:
    said = [one.get(name) for one in (text, config) for name in ("torch_dtype", "dtype")]
    known = [DTYPES[str(one)] for one in said if str(one) in DTYPES]
    if not known:
        raise UsageError(
            "says no dtype", where=where, hint='add the one that ran, as "dtype": "bfloat16"'
        )
    return known[0]


def _latent(text: Mapping[str, Any], where: object) -> Latent | None:
    if _first(text, _LATENT[:1]) is None:
        return None
    kv, nope, rope, values = (_needed(text, (name,), where) for name in _LATENT)
    return Latent(_first(text, ("q_lora_rank",)) or 0, kv, nope, rope, values)


def _mixture(text: Mapping[str, Any], layers: int, where: object) -> Mixture | None:
    experts = _first(text, EXPERTS)
    if experts is None or experts == 1:
        return None
    chosen = _needed(text, CHOSEN, where)
    if chosen > experts:
        raise UsageError(f"chooses {chosen} of {experts} experts", where=where, hint=_HINT)
    wide = _needed(text, ("moe_intermediate_size", "intermediate_size"), where)
    shared = _first(text, ("shared_expert_intermediate_size",))
    if shared is None:
        shared = wide * (_first(text, ("n_shared_experts",)) or 0)
    return Mixture(experts, chosen, wide, _sparse(text, layers), shared)


def _sparse(text: Mapping[str, Any], layers: int) -> int:
    """How many layers have experts."""
    first = _first(text, ("first_k_dense_replace",)) or 0
    every = _first(text, ("moe_layer_freq", "decoder_sparse_step", "interleave_moe_layer_step"))
    dense = text.get("mlp_only_layers")
    apart = set(dense) if isinstance(dense, list) else set()
    step = every or 1
    if "decoder_sparse_step" in text or "interleave_moe_layer_step" in text:
        return sum((at + 1) % step == 0 and at not in apart for at in range(layers))
    return sum(at >= first and at % step == 0 and at not in apart for at in range(layers))


def _windowed(text: Mapping[str, Any], layers: int, where: object) -> int:
    """Layers that may see less than all positions. Raises: UsageError for layers that recur."""
    kinds = text.get("layer_types")
    if isinstance(kinds, list) and kinds:
        others = sorted({str(kind) for kind in kinds} - _ATTENDS)
        if others:
            raise UsageError(
                f"has layers of {', '.join(others)}, which have no GEMMs around attention",
                where=where, hint="read the trace without it",
            )  # fmt: skip
        return sum(kind != _SEES_ALL for kind in kinds)
    has = any(_first(text, (name,)) for name in ("sliding_window", "attention_chunk_size"))
    return layers if has and text.get("use_sliding_window") is not False else 0


# ---------------------------------------------------------------- quantised weights


def _stored(
    config: Mapping[str, Any], text: Mapping[str, Any], dtype: str, where: object
) -> Stored | None:
    found = config.get("quantization_config") or text.get("quantization_config")
    if not isinstance(found, Mapping):
        return None
    method = str(found.get("quant_method") or found.get("quant_algo") or "").lower()
    sizes = _bits(found, method, dtype)
    if sizes is None:
        raise UsageError(
            f"is quantised by a method that is not known here ({method or 'not named'})",
            where=where, hint="known are fp8, awq, gptq, mxfp4, bitsandbytes, compressed-tensors",
        )  # fmt: skip
    kept = _kept(found)
    # which quantise every linear layer that they do not except
    every = method in _EVERY
    return Stored(
        *sizes,
        attention=not any("attn" in one or "attention" in one for one in kept),
        mlp=not any(re.search(r"mlp(\.\*)?$|(gate|up|down)_proj", one) for one in kept),
        experts=not any(re.search(r"experts|mlp(\.\*)?$", one) for one in kept),
        router=every and not any(re.search(r"router|gate\b", one) for one in kept),
        head=found.get("lm_head") is True or (every and not any("head" in one for one in kept)),
    )


def _bits(found: Mapping[str, Any], method: str, dtype: str) -> tuple[int, str] | None:
    """Bits of a weight, and the dtype of its products."""
    if method in ("fp8", "fbgemm_fp8") or "fp8" in str(found.get("quant_algo", "")).lower():
        return 8, "float8"
    if method == "mxfp4":
        return 4, dtype
    if method == "bitsandbytes":
        return (4, dtype) if found.get("load_in_4bit") else (8, "int8")
    if method in ("compressed-tensors", "compressed_tensors"):
        return _compressed(found, dtype)
    bits = _first(found, ("bits", "w_bit", "wbits"))
    return (bits, dtype) if bits is not None and ("awq" in method or "gptq" in method) else None


def _compressed(found: Mapping[str, Any], dtype: str) -> tuple[int, str] | None:
    groups = found.get("config_groups")
    each = [one for one in groups.values() if isinstance(one, Mapping)] if isinstance(
        groups, Mapping) else []  # fmt: skip
    sizes = []
    for one in each:
        weights, inputs = one.get("weights"), one.get("input_activations")
        bits = _first(weights, ("num_bits",)) if isinstance(weights, Mapping) else None
        if bits is None:
            return None
        own = dtype
        if isinstance(inputs, Mapping) and _first(inputs, ("num_bits",)) == 8:
            own = "int8" if inputs.get("type") == "int" else "float8"
        sizes.append((bits, own))
    return min(sizes) if sizes else None


def _kept(found: Mapping[str, Any]) -> list[str]:
    """Modules of every layer that stay as they were; what is kept of one layer alone is left out:
    quantised, it would read less.
    """
    names: list[str] = []
    for key in ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules"):
        value = found.get(key)
        names += [str(one) for one in value] if isinstance(value, list) else []
    return [one for one in names if not _ONE_LAYER.search(one)]


def _divided(one: Decoder, where: object) -> None:
    """Raises: UsageError where the ranks cannot share these sizes."""
    parts = {"num_attention_heads": one.heads, "intermediate_size": one.intermediate}
    if one.mixture is not None:
        parts["moe_intermediate_size"] = one.mixture.intermediate
    if one.kv_heads > one.tp:
        parts["num_key_value_heads"] = one.kv_heads
    for name, size in parts.items():
        if size % one.tp:
            raise UsageError(
                f"has {name} {size}, which {one.tp} ranks cannot share", where=where,
                hint="name the tensor parallel degree with --tp",
            )  # fmt: skip
