"""An EventGPT checkpoint folder: configuration, weights wherever they lie, tokenizer.

Source: github.com/XduSyL/EventGPT; the vision tower may be inside, or be CLIP's own folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt
from pathlib import Path
from typing import Any

from tracekit.errors import TracekitError
from tracekit.models.shared import checkpoints, tokenizers

TOWER = "model.visual_tower.visual_tower.vision_model."
PUBLISHED = "vision_model."  # the same tensors in CLIP's own checkpoint
TABLES = ("model.embed_tokens.weight", "lm_head.weight")
UNUSED = ("query_embedder", "attention_layers", "rotary_emb.inv_freq", "embeddings.position_ids")
LLAMA = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "vocab_size", "rms_norm_eps", "max_position_embeddings"),
    *("rope_theta", "rope_scaling", "rope_parameters", "hidden_act", "tie_word_embeddings"),
    *("head_dim", "attention_bias", "mlp_bias", "bos_token_id", "eos_token_id", "pad_token_id"),
)
CLIP_HEAD = 64  # width of one head in every published CLIP


@dataclass(frozen=True, slots=True)
class Found:
    """What a checkpoint holds, ready to build from."""

    tokenizer: Path  # which may not be there
    llm: dict[str, Any]  # fields of LlamaConfig
    vision: dict[str, Any]  # fields of CLIPVisionConfig
    weights: checkpoints.Weights  # under the names of the published checkpoint
    special: dict[str, int]  # tokens beyond SentencePiece's
    said: dict[str, Any] = field(default_factory=dict)  # for the trace's metadata


def read(checkpoint: Path, tower: Path | None = None, named: Path | None = None) -> Found:
    """A checkpoint's parts.

    `tower` is the folder of CLIP's own checkpoint, or its file; `named` a tokenizer.model that
    lies elsewhere.

    Raises: TracekitError where files are missing or damaged, or there is no vision tower.
    """
    folder = checkpoints.folder(checkpoint)
    config = checkpoints.read_json(folder / "config.json")
    weights = checkpoints.open_checkpoint(checkpoint).renamed(
        lambda name: None if any(part in name for part in UNUSED) else name
    )
    llm = {name: config[name] for name in LLAMA if config.get(name) is not None}
    needed = [name for name in ("hidden_size", "num_attention_heads") if name not in llm]
    if needed:
        raise TracekitError(
            f"config.json has no {', '.join(needed)}",
            where=folder,
            hint="the folder of a published EventGPT checkpoint is expected",
        )
    shape = weights.shapes.get(TABLES[0])
    pieces = int(llm.get("vocab_size", 32000)) if shape is None else shape[0]
    llm["vocab_size"] = pieces
    model = named or folder / "tokenizer.model"
    special, rows = _special(model, config, pieces)
    if rows > pieces:
        _widen(weights, rows)
        llm["vocab_size"] = rows
    said: dict[str, Any] = {"vision_tower": "in the checkpoint"}
    described = config.get("vision_config")
    if not any(name.startswith(TOWER) for name in weights):
        described = _from_clip(weights, folder, config, tower)
        said["vision_tower"] = "CLIP's own"
    vision = vision_of(weights.shapes, described, folder)
    if rows > pieces:
        said["rows_added"] = rows - pieces
    return Found(model, llm, vision, weights, special, said)


def _special(model: Path, config: Mapping[str, object], pieces: int) -> tuple[dict[str, int], int]:
    """Tokens beyond those of `model`, and how many rows the embeddings need for them.

    None without a tokenizer: the stand-in has no ids that training gave a meaning.
    """
    if not model.is_file():
        return {}, pieces
    path = model.parent / "added_tokens.json"
    known: dict[str, int] = {}
    if path.is_file():
        known = {k: v for k, v in checkpoints.read_json(path).items() if isinstance(v, int)}
    first = tokenizers.SentencePiece(model).vocab
    if first > pieces:  # not this model's; said where the tokenizer is made
        return {}, pieces
    special = added(known, first, config)
    return special, max([pieces, *(number + 1 for number in special.values())])


def added(known: Mapping[str, int], first: int, config: Mapping[str, Any]) -> dict[str, int]:
    """The tokens that the original adds at start, by text, beside those already `known`.

    `first` is the first free id. A configuration that does not say gets <ev_patch> and no tags.
    """
    special = dict(known)
    names = ["<ev_patch>"] if config.get("mm_use_im_patch_token", True) else []
    if config.get("mm_use_im_start_end", False):
        names += ["<ev_start>", "<ev_end>"]
    for name in names:
        if name not in special:
            special[name] = max([first, *(number + 1 for number in special.values())])
    return special


def _widen(weights: checkpoints.Weights, rows: int) -> None:
    """Rows for tokens that were added after training: the mean of all others."""
    import torch

    before = weights.renamed(lambda name: name)
    for name in TABLES:
        if name not in weights:
            continue
        shape = weights.shapes[name]

        def wide(name: str = name, missing: int = rows - shape[0]) -> torch.Tensor:
            table = before.get(name)
            mean = table.float().mean(0, keepdim=True).to(table.dtype)
            return torch.cat([table, mean.expand(missing, -1)])

        weights.put(name, (rows, *shape[1:]), wide)


def _from_clip(
    weights: checkpoints.Weights,
    folder: Path,
    config: Mapping[str, object],
    tower: Path | None,
) -> Any:
    """Add the tower of CLIP's own checkpoint to `weights`; returns its configuration, if any."""
    named = tower or config.get("mm_visual_tower")
    path = Path(str(named)) if named else None
    if path is not None and not path.is_absolute() and not path.exists():
        path = folder / path
    if path is None or not path.exists():
        raise TracekitError(
            f"the checkpoint has no vision tower inside, and its mm_visual_tower ({named}) "
            "is not here",
            where=folder,
            hint="name the folder of openai/clip-vit-large-patch14-336 with --set vision_tower=…",
        )
    clip = checkpoints.open_checkpoint(path)
    for name in clip:
        if name.startswith(PUBLISHED) and not name.endswith("position_ids"):
            new = TOWER + name[len(PUBLISHED) :]
            weights.put(new, clip.shapes[name], lambda name=name: clip.get(name))  # type: ignore[misc]
    about = checkpoints.folder(path) / "config.json"
    if not about.is_file():
        return None
    found = checkpoints.read_json(about)
    return found.get("vision_config", found)


def vision_of(
    shapes: Mapping[str, tuple[int, ...]], described: object, where: object
) -> dict[str, Any]:
    """CLIPVisionConfig's fields, from the shapes of the tower and what is `described` besides.

    Raises: TracekitError where the tower's embeddings are not there.
    """
    patch = shapes.get(f"{TOWER}embeddings.patch_embedding.weight", ())
    places = shapes.get(f"{TOWER}embeddings.position_embedding.weight", ())
    fc1 = shapes.get(f"{TOWER}encoder.layers.0.mlp.fc1.weight", ())
    if len(patch) != 4 or len(places) != 2 or len(fc1) != 2:
        raise TracekitError(
            "the vision tower is not whole: patch or position embeddings, or layer 0, are missing",
            where=where,
            hint="give a CLIP vision model, ViT-L/14-336 as published",
        )
    prefix = f"{TOWER}encoder.layers."
    layers = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
    more = described if isinstance(described, dict) else {}
    return {
        "hidden_size": patch[0],
        "intermediate_size": fc1[0],
        "num_hidden_layers": len(layers),
        "num_attention_heads": int(
            more.get("num_attention_heads") or max(1, patch[0] // CLIP_HEAD)
        ),
        "image_size": isqrt(places[0] - 1) * patch[3],
        "patch_size": patch[3],
        "hidden_act": more.get("hidden_act", "quick_gelu"),
        "layer_norm_eps": more.get("layer_norm_eps", 1e-5),
    }


def tokenizer(found: Found) -> tokenizers.Tokenizer:
    """The checkpoint's tokenizer with its added tokens, or the stand-in where it has none.

    Raises: TracekitError where it does not fit the model.
    """
    controls = {"<s>": tokenizers.BOS, "</s>": tokenizers.EOS}
    return tokenizers.find(
        vocab=int(found.llm["vocab_size"]),
        named=found.tokenizer if found.tokenizer.is_file() else None,
        special=found.special | controls,
    )
