"""transformers' LLaMA: built without values, filled with a checkpoint's or random ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from tracekit.models.entry import BuildOptions
from tracekit.models.shared import checkpoints

if TYPE_CHECKING:
    from torch import nn


VICUNA_7B: Mapping[str, Any] = {  # the LLaMA-2 7B shape that all models of the field share
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32000,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096,
    "rope_theta": 10000.0,
}

TINY: Mapping[str, Any] = {
    **VICUNA_7B,
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 512,
    "max_position_embeddings": 2048,
}


def llama(config: Mapping[str, Any]) -> nn.Module:
    """LlamaForCausalLM of a configuration, without values: fill it, then call `Decoder`.

    `config` holds the fields of transformers' LlamaConfig; `rope_scaling` is honoured.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    fields = {key: value for key, value in config.items() if value is not None}
    with checkpoints.on_meta():
        model: Any = LlamaForCausalLM(LlamaConfig(**fields))
    return cast("nn.Module", model.eval())


def restore_buffers(model: nn.Module, device: str) -> None:
    """Give every RoPE module of a model built on `meta` its frequencies, on the device.

    They are in no checkpoint: they follow from the configuration.
    """
    for name, module in list(model.named_modules()):
        config = getattr(module, "config", None)
        if "inv_freq" in module._buffers and config is not None:
            fresh = type(module)(config=config).to(device)
            path, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(path), leaf, fresh)


def read_frequencies(name: str) -> bool:
    """Whether a checkpoint's name is of RoPE frequencies, which old files hold needlessly."""
    return name.endswith("rotary_emb.inv_freq")


def fill(
    model: nn.Module,
    options: BuildOptions,
    weights: checkpoints.Weights | None,
    *,
    where: object = "",
    ignore: Callable[[str], bool] = read_frequencies,
    names: Callable[[str], str] = lambda name: name,
) -> None:
    """Values for a model built on `meta`: of `weights`, or random where there are none.

    Raises: TracekitError where the weights do not fit.
    """
    dtype = checkpoints.dtype_named(options.dtype)
    if weights is None:
        checkpoints.randomize(model, device=options.device, dtype=dtype, seed=options.seed)
    else:
        checkpoints.load_into(
            model,
            weights,
            device=options.device,
            dtype=dtype,
            where=where,
            ignore=ignore,
            names=names,
        )
    restore_buffers(model, options.device)
