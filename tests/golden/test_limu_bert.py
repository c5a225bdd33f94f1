"""LIMU-BERT against numbers of the original code."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import shared
from tracekit.errors import TracekitError
from tracekit.models import _limu_bert_net as net


def golden(name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    sidecar = json.loads(shared("reference", "models", "golden", f"{name}.json").read_text())
    return sidecar, load_file(shared("reference", "models", "golden", f"{name}.safetensors"))


def close(got: torch.Tensor, want: torch.Tensor) -> None:
    np.testing.assert_allclose(got.numpy(), want.numpy(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["limu_bert_tiny", "limu_bert_uci"])
@torch.inference_mode()
def test_every_layer_equals_the_original(name: str, attention: net.Attention) -> None:
    sidecar, tensors = golden(name)
    config = sidecar["config"]
    state = (
        load_file(shared("reference", "models", "limu_bert_uci.safetensors"))
        if name == "limu_bert_uci"
        else {k.removeprefix("weights."): v for k, v in tensors.items() if k[:8] == "weights."}
    )
    encoder = net.load_encoder(
        state, n_layers=config["n_layers"], n_heads=config["n_heads"], attention=attention
    )
    assert asdict(encoder.config) == config
    h = encoder.embed(tensors["in.imu_normalised"])
    close(h, tensors["out.after_embed"])
    for k in range(1, config["n_layers"] + 1):
        if k == config["n_layers"] and "out.attn_scores_last" in tensors:
            close(encoder.attn.weights(h), tensors["out.attn_scores_last"])
        h = encoder.layer(h)
        close(h, tensors[f"out.after_layer_{k}"])
    close(encoder(tensors["in.imu_normalised"]), tensors["out.encoder"])


@pytest.mark.parametrize("name", ["uci", "hhar"])
def test_the_published_weights_load_and_are_62646_values(name: str) -> None:
    state = load_file(shared("reference", "models", f"limu_bert_{name}.safetensors"))
    whole = net.Pretraining(net.LimuConfig())
    whole.load_state_dict(state)
    assert sum(p.numel() for p in whole.parameters()) == 62_646
    assert sum(p.numel() for p in whole.transformer.parameters()) == 51_552


def test_a_state_dict_of_the_encoder_alone_loads_too() -> None:
    state = load_file(shared("reference", "models", "limu_bert_uci.safetensors"))
    alone = net.encoder_state(state)
    x = torch.randn(1, 120, 6, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        assert torch.equal(net.load_encoder(alone)(x), net.load_encoder(state)(x))


def test_a_wrong_state_dict_is_said_to_be_wrong() -> None:
    with pytest.raises(TracekitError, match="not a LIMU-BERT state dict"):
        net.load_encoder({"model.embed_tokens.weight": torch.zeros(4, 4)})
    state = net.encoder_state(net.Pretraining(net.LimuConfig()).state_dict())
    with pytest.raises(TracekitError, match="5 heads do not divide a width of 72"):
        net.load_encoder(state, n_heads=5)
    with pytest.raises(TracekitError, match=r"norm2\.beta"):
        net.load_encoder({k: v for k, v in state.items() if k != "norm2.beta"})
