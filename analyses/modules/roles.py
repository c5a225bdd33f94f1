"""What the name of a module's class, or of a module, says it is."""

from __future__ import annotations

from functools import cache

from tracekit.attribution.kernels.module_paths import FUSED, is_index
from tracekit.patterns import Words

ROLES: tuple[tuple[str, Words], ...] = (
    ("attention", Words("attention", "attn", "mha")),
    ("MLP", Words("mlp", "feed_?forward", "ffn", "experts$", "moe", "swi_?glu")),
    ("normalisation", Words("norm")),
    ("rotary", Words("rotary", "rope")),
    ("embedding", Words("embed")),
    ("head", Words("lm_?head", "logits", "classifier", "pooler")),
    (
        "encoder",
        Words("encoder(?!_?layer)", "tower", "vit(?![a-z])", "clip", "resampler", "universal"),
    ),
    ("projector", Words("project(or|ion)", "adapter")),
    ("layer", Words("layer", "block")),
    ("activation", Words("silu", "gelu", "relu", "tanh", "sigmoid", "softmax")),
    ("linear", Words("linear", "conv")),
    ("model", Words("model", "for_?causal", "llm")),
)


@cache
def role(kind: str) -> str:
    """What the name of a class says it is, or nothing."""
    return next((name for name, words in ROLES if words.search(kind)), "")


def of_path(name: str) -> str:
    """The same of a fully qualified name, by its innermost part that says it, within its layer.

    `layers.0` and `layers.*` are layers, `layers` is no single one; `layers.0.attention_norm` is a
    normalisation. Of a fused kernel's modules, what all of them are.
    """
    found = {_of_one(one.split(".")) for one in name.split(FUSED)}
    return found.pop() if len(found) == 1 else ""


def _of_one(parts: list[str]) -> str:
    entry = _place(parts[-1])
    places = [at for at, part in enumerate(parts[:-1]) if _place(part)]
    own = parts[-2:-1] if entry else parts[max(places, default=-1) + 1 :]
    for part in reversed(own):
        found = "normalisation" if "norm" in part.lower() else role(part)
        if found and (entry or found != "layer"):
            return found
    return ""


def _place(part: str) -> bool:
    return part == "*" or is_index(part)
