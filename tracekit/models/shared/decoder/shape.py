"""The shape of a causal language model in numbers, for FLOP and byte formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracekit.models.shared import checkpoints
from tracekit.models.shared.experts import DENSE, Experts

if TYPE_CHECKING:
    pass


def fields(config: Any) -> dict[str, int]:
    """The shape of a causal language model, for FLOP and byte formulas: see docs/models.md."""
    text = config.get_text_config(decoder=True)
    heads = int(text.num_attention_heads)
    hidden = int(text.hidden_size)
    return {
        "layers": int(text.num_hidden_layers),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": int(getattr(text, "num_key_value_heads", None) or heads),
        "head_dim": int(getattr(text, "head_dim", None) or hidden // heads),
        "intermediate": int(getattr(text, "intermediate_size", None) or 4 * hidden),
        "vocab": int(text.vocab_size),
    }


def dims(
    config: Any, dtype: str, weight_parameters: int, mixture: Experts = DENSE
) -> dict[str, int]:
    """`Facts.dims["llm"]`: the shape, bytes of one value, and the weights one pass reads.

    `weight_parameters` counts what every forward pass reads once: layers, final norm and head,
    without the embedding table, of which it reads a row a token. Of a mixture it comes with all
    experts; the routed ones are a number of their own here. Where it is not known how many a token
    chooses, no number of weights is given.
    """
    shape = {**fields(config), "bytes_per_value": checkpoints.bytes_per_value(dtype)}
    if not mixture.parameters:
        return {**shape, "weight_parameters": weight_parameters}
    if mixture.number is None or mixture.chosen is None:
        return shape
    return {
        **shape,
        "weight_parameters": weight_parameters - mixture.parameters,
        "expert_parameters": mixture.parameters,
        "experts": mixture.number,
        "experts_per_token": mixture.chosen,
    }


def read_per_pass(model: Any) -> int:
    """Parameters that one forward pass reads whole: all but the embedding table.

    A table that is tied to the head is read whole by the head, and counts once.
    """
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    tied = head is not None and head.weight is table
    return checkpoints.count(model) - (0 if tied else int(table.numel()))
