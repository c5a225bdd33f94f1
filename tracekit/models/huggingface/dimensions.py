"""What a decoder of transformers reads and multiplies, counted in its modules and in its cache.

Nothing here is by family: parameters are those of the modules, what is kept between tokens is what
the first request left in the cache (windows, latent keys, recurrent states included).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tracekit.models.shared import checkpoints
from tracekit.models.shared.experts import DENSE, routed

STATES = ("conv_states", "recurrent_states")
CHUNKED = "chunked_attention"
# what makes keys and values of an encoder's tokens, in the names of decoders' parameters
_CROSS = re.compile(
    r"\b(encoder_attn|EncDecAttention|cross_?attn|cross_?attention)\.(.*\.)?"
    r"(k|v|key|value|k_proj|v_proj)\.(weight|bias)$"
)


def shape(config: Any) -> dict[str, int]:
    """Sizes that the configuration states, where it states them as one number."""
    text = config.get_text_config(decoder=True)
    heads, hidden = _whole(text, "num_attention_heads"), _whole(text, "hidden_size")
    found = {
        "layers": _whole(text, "num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": _whole(text, "num_key_value_heads") or heads,
        "head_dim": _whole(text, "head_dim") or (hidden // heads if hidden and heads else None),
        "intermediate": _whole(text, "intermediate_size") or (4 * hidden if hidden else None),
        "vocab": _whole(text, "vocab_size"),
    }
    return {name: value for name, value in found.items() if value}


def _whole(config: Any, name: str) -> int | None:
    try:
        value = getattr(config, name, None)
    except (AttributeError, ValueError):  # one that differs from layer to layer
        return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_per_pass(model: Any, without: Sequence[Any] = ()) -> int:
    """Values that one forward pass reads whole: all but tables, of which it reads rows.

    A table that is tied to the head is read whole by the head, and counts once, as do weights that
    layers share. `without` are parts that a pass over text does not enter.
    """
    from torch import nn

    head = model.get_output_embeddings()
    tables = {id(one.weight) for one in model.modules() if isinstance(one, nn.Embedding)}
    apart = tables | {id(value) for part in without for value in part.parameters()}
    total = sum(int(value.numel()) for value in model.parameters() if id(value) not in apart)
    tied = head is not None and id(head.weight) in tables
    return total + (int(head.weight.numel()) if tied else 0)


def llm(model: Any, dtype: str, *, without: Sequence[Any] = ()) -> dict[str, int]:
    """`Facts.dims["llm"]` of a model that has not run yet: its shape and the weights of a pass.

    Where it is not known how many experts a token chooses, no number of weights is given.
    """
    found = {**shape(model.config), "bytes_per_value": checkpoints.bytes_per_value(dtype)}
    mixture, weights = routed(model, model.config), read_per_pass(model, without)
    if mixture == DENSE:
        return {**found, "weight_parameters": weights}
    if mixture.number is None or mixture.chosen is None:
        return found
    return {
        **found,
        "weight_parameters": weights - mixture.parameters,
        "expert_parameters": mixture.parameters,
        "experts": mixture.number,
        "experts_per_token": mixture.chosen,
    }


def attending(model: Any, dtype: str) -> dict[str, int] | None:
    """As `llm`, of the decoder of an encoder-decoder; None where its weights cannot be told apart.

    `cross_parameters` are the weights that only the encoder's tokens meet, once a request.
    """
    found = llm(model, dtype, without=[model.get_encoder()])
    cross = {
        id(value): int(value.numel())
        for name, value in model.get_decoder().named_parameters()
        if _CROSS.search(name)
    }
    if not cross or "weight_parameters" not in found:
        return None
    crossed = sum(cross.values())
    whole = found["weight_parameters"] - crossed
    return {**found, "weight_parameters": whole, "cross_parameters": crossed}


def kept(cache: Any, config: Any, rows: int) -> dict[str, int] | None:
    """What a request left between its tokens, of each row; None where that is not understood.

    `cache_values` are values cached for a position, `pair_flops` FLOPs of a query with a key, both
    over the layers that see all positions; `window_…` over those that see the last `window`, or
    their `chunk`; `cross_…` over the tokens of an encoder; `state_values` of recurrent states.
    Of a query with a key, QKᵀ and PV: 2 · heads · (d_k + d_v).
    """
    crossed = getattr(cache, "cross_attention_cache", None)
    if crossed is not None:
        return _crossed(kept(cache.self_attention_cache, config, rows), kept(crossed, config, rows),
                        crossed)  # fmt: skip
    text = config.get_text_config(decoder=True)
    chunked = CHUNKED in (getattr(text, "layer_types", None) or ())
    found = dict.fromkeys(("cache_values", "pair_flops", "window_cache_values",
                           "window_pair_flops", "state_values"), 0)  # fmt: skip
    heads = _whole(text, "num_attention_heads")
    windows: set[int] = set()
    layers = getattr(cache, "layers", None)
    if layers is None:
        return _states_alone(cache, rows)
    for layer in layers:
        found["state_values"] += sum(_values(getattr(layer, name, None)) for name in STATES) // rows
        keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
        if keys is None or values is None or not keys.numel():
            continue
        if heads is None or keys.dim() != 4:
            return None
        window = getattr(layer, "sliding_window", None) if layer.is_sliding else None
        windows |= {int(window)} if window else set()
        sort = "window_" if window else ""
        for one in (keys, values):  # [B, heads, positions, width]
            found[f"{sort}cache_values"] += int(one.shape[1] * one.shape[3])
        wide = _latent(text) or int(keys.shape[3] + values.shape[3])
        found[f"{sort}pair_flops"] += 2 * heads * wide
    if len(windows) > 1:
        return None
    return {**found, "chunk" if chunked else "window": windows.pop()} if windows else found


def _crossed(
    own: Mapping[str, int] | None, cross: Mapping[str, int] | None, cache: Any
) -> dict[str, int] | None:
    """Both caches of a decoder that attends to an encoder's tokens; None where one is not known."""
    if own is None or cross is None or not cross["cache_values"]:
        return None
    return {
        **own,
        "cross_positions": int(cache.layers[0].keys.shape[2]),
        "cross_pair_flops": cross["pair_flops"],
        "cross_values": cross["cache_values"],
    }


def _latent(text: object) -> int | None:
    """d_k + d_v of a head of latent attention, whose cache may hold what they are made from."""
    if _whole(text, "kv_lora_rank") is None:
        return None
    parts = [_whole(text, name) for name in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")]
    return sum(part for part in parts if part) if all(parts) else None


def _states_alone(state: object, rows: int) -> dict[str, int] | None:
    values = _values(state)
    return {"cache_values": 0, "pair_flops": 0, "state_values": values // rows} if values else None


def _values(state: Any) -> int:
    """Values of all tensors in a state, however it holds them."""
    return sum(int(one.numel()) for one in _tensors(state))


def _tensors(state: object) -> Iterator[Any]:
    if hasattr(state, "numel"):
        yield state
    elif isinstance(state, Mapping):
        for one in state.values():
            yield from _tensors(one)
    elif isinstance(state, list | tuple):
        for one in state:
            yield from _tensors(one)
