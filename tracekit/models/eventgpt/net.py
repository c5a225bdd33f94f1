"""EventGPT in torch: CLIP, projector and adaptor inside a LLaMA, under the published names.

Import it inside a function: torch takes seconds.
Source: Liu et al., arXiv 2412.00832; github.com/XduSyL/EventGPT (model/EventChatModel.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tracekit.models.entry import BuildOptions
from tracekit.models.shared import checkpoints
from tracekit.models.shared.decoder import network


def build(llm: Mapping[str, Any], vision: Mapping[str, Any]) -> nn.Module:
    """LlamaForCausalLM with the event branch in its `model`, on `meta`.

    `llm` holds fields of LlamaConfig, `vision` of CLIPVisionConfig. The state dict has the names
    of a published checkpoint.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModel

    model = network.llama(llm)
    width, hidden = int(vision["hidden_size"]), int(llm["hidden_size"])
    with checkpoints.on_meta():
        tower: Any = CLIPVisionModel(CLIPVisionConfig(**vision))
        tower.eval()
        if not hasattr(tower, "vision_model"):  # transformers 5 took this level away
            flat, tower = tower, nn.Module()
            tower.vision_model = flat
        branch: Any = nn.Module()
        branch.visual_tower = tower
        inner: Any = model.model
        inner.visual_tower = branch
        inner.visual_projector = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )
        inner.feature_adaptor = nn.Linear(hidden, hidden)
    return model


def fill(
    model: Any, options: BuildOptions, weights: checkpoints.Weights | None, *, where: object
) -> None:
    """Values for a model of `build`: of `weights`, or random ones where there are none.

    Raises: TracekitError where the weights do not fit.
    """
    network.fill(model, options, weights, where=where)
    # CLIP's position numbers are in no checkpoint: they follow from the configuration
    embeddings = tower_of(model).embeddings
    count = embeddings.position_embedding.weight.shape[0]
    embeddings.position_ids = torch.arange(count, device=options.device)[None]


def set_attention(model: Any, attention: str) -> None:
    """Give CLIP the attention that the language model has; `attention` as `Decoder` names it."""
    chosen = "eager" if attention == "eager" else "sdpa"
    tower_of(model).config._attn_implementation = (
        "flash_attention_2" if "flash-attn" in attention else chosen
    )


def tower_of(model: Any) -> Any:
    """The CLIP vision transformer within the model."""
    return model.model.visual_tower.visual_tower.vision_model


def parts(model: Any) -> dict[str, int]:
    """How many parameters each component has."""
    inner = model.model
    branch = {
        "vision_tower": checkpoints.count(inner.visual_tower),
        "projector": checkpoints.count(inner.visual_projector),
        "adaptor": checkpoints.count(inner.feature_adaptor),
    }
    return {**branch, "llm": checkpoints.count(model) - sum(branch.values())}


def look(model: Any, pixels: Tensor) -> Tensor:
    """CLIP's last layer, class token kept and no norm after it: [F, 3, S, S] to [F, 1 + n, W]."""
    out: Tensor = tower_of(model)(pixel_values=pixels).last_hidden_state
    return out


def project(model: Any, seen: Tensor) -> Tensor:
    """Into the language model's width: [..., W] to [..., D]."""
    out: Tensor = model.model.visual_projector(seen)
    return out


def adapt(model: Any, projected: Tensor) -> Tensor:
    """The linear map after the projector: [..., D] to the same."""
    out: Tensor = model.model.feature_adaptor(projected)
    return out


def aggregate(adapted: Tensor) -> Tensor:
    """One row a frame, then one row a place: [B, F, n, D] to [B, F + n, D].

    The first are means over places (when), the others means over frames (where).
    """
    return torch.cat([adapted.mean(dim=2), adapted.mean(dim=1)], dim=1)
