"""The LIMU-BERT network in torch. Import it inside a function: torch takes seconds.

Source: github.com/dapowan/LIMU-BERT-Public (MIT); Xu et al., SenSys 2021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from tracekit.errors import TracekitError
from tracekit.models.shared import checkpoints
from tracekit.models.shared.checkpoints import Weights

Attention = Literal["sdpa", "eager"]
PREFIX = "transformer."
HEAD = ("fc.", "linear.", "norm.", "decoder.")  # used in pretraining only; `fc` not even there


@dataclass(frozen=True, slots=True, kw_only=True)
class LimuConfig:
    """The published base_v1 by default. base_v2 differs in `feature_num` 9."""

    hidden: int = 72
    hidden_ff: int = 144
    feature_num: int = 6
    n_layers: int = 4  # the layers share one set of weights, so no shape tells how many
    n_heads: int = 4
    seq_len: int = 120
    emb_norm: bool = True


class LayerNorm(nn.Module):
    """Layer norm, ε inside the root, spelled out as published: the op mix is what is profiled.

    In fp16 ε rounds to 0, as in the original.
    """

    def __init__(self, hidden: int, eps: float = 1e-12) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(hidden))
        self.beta = nn.Parameter(torch.zeros(hidden))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).pow(2).mean(-1, keepdim=True)  # biased
        return self.gamma * ((x - mean) / torch.sqrt(variance + self.eps)) + self.beta


class Embeddings(nn.Module):
    """Samples to vectors, with a learned position. One norm serves twice."""

    def __init__(self, config: LimuConfig) -> None:
        super().__init__()
        self.lin = nn.Linear(config.feature_num, config.hidden)
        self.pos_embed = nn.Embedding(config.seq_len, config.hidden)
        self.norm = LayerNorm(config.hidden)
        self.emb_norm = config.emb_norm

    def forward(self, x: Tensor) -> Tensor:
        e = self.lin(x)
        if self.emb_norm:
            e = self.norm(e)
        positions = torch.arange(x.shape[1], device=x.device)
        out: Tensor = self.norm(e + self.pos_embed(positions))
        return out


class SelfAttention(nn.Module):
    """Self-attention without a mask and without an output projection."""

    def __init__(self, config: LimuConfig, attention: Attention) -> None:
        super().__init__()
        self.proj_q = nn.Linear(config.hidden, config.hidden)
        self.proj_k = nn.Linear(config.hidden, config.hidden)
        self.proj_v = nn.Linear(config.hidden, config.hidden)
        self.heads = config.n_heads
        self.attention = attention

    def split(self, x: Tensor) -> Tensor:
        """[B, T, hidden] to [B, heads, T, hidden / heads]."""
        B, T, D = x.shape
        return x.view(B, T, self.heads, D // self.heads).transpose(1, 2)

    def weights(self, x: Tensor) -> Tensor:
        """What each sample attends to, [B, heads, T, T], rows sum to 1."""
        q, k = self.split(self.proj_q(x)), self.split(self.proj_k(x))
        return (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        if self.attention == "eager":
            mixed = self.weights(x) @ self.split(self.proj_v(x))
        else:
            mixed = functional.scaled_dot_product_attention(
                self.split(self.proj_q(x)), self.split(self.proj_k(x)), self.split(self.proj_v(x))
            )
        return mixed.transpose(1, 2).flatten(2)


class FeedForward(nn.Module):
    """Two linear maps with an exact GELU between."""

    def __init__(self, config: LimuConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden, config.hidden_ff)
        self.fc2 = nn.Linear(config.hidden_ff, config.hidden)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class Encoder(nn.Module):
    """[B, T, features] to [B, T, hidden]: one block, applied `n_layers` times.

    The residual of the attention half adds to the attention's output, not to the block's input.
    """

    def __init__(self, config: LimuConfig, attention: Attention = "sdpa") -> None:
        super().__init__()
        self.config = config
        self.embed = Embeddings(config)
        self.attn = SelfAttention(config, attention)
        self.proj = nn.Linear(config.hidden, config.hidden)
        self.norm1 = LayerNorm(config.hidden)
        self.pwff = FeedForward(config)
        self.norm2 = LayerNorm(config.hidden)

    def layer(self, h: Tensor) -> Tensor:
        """One pass through the shared block, [B, T, hidden] to the same."""
        a = self.attn(h)
        h = self.norm1(a + self.proj(a))
        out: Tensor = self.norm2(h + self.pwff(h))
        return out

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.embed(x)
        for _ in range(self.config.n_layers):
            h = self.layer(h)
        return h


class Pretraining(nn.Module):
    """The whole published checkpoint: encoder and reconstruction head, 62,646 values."""

    def __init__(self, config: LimuConfig, attention: Attention = "sdpa") -> None:
        super().__init__()
        self.transformer = Encoder(config, attention)
        self.fc = nn.Linear(config.hidden, config.hidden)  # in the file, in no forward pass
        self.linear = nn.Linear(config.hidden, config.hidden)
        self.norm = LayerNorm(config.hidden)
        self.decoder = nn.Linear(config.hidden, config.feature_num)

    def reconstruct(self, h: Tensor) -> Tensor:
        """Samples from embeddings, [B, T, hidden] to [B, T, features]."""
        out: Tensor = self.decoder(self.norm(functional.gelu(self.linear(h))))
        return out

    def forward(self, x: Tensor) -> Tensor:
        return self.reconstruct(self.transformer(x))


def encoder_part(weights: Weights, prefix: str = PREFIX) -> Weights:
    """The encoder's weights of a checkpoint, names without `prefix`; the pretraining head left out.

    A checkpoint of the encoder alone, without the prefix, is taken as it is.
    """
    if any(name.startswith(prefix) for name in weights):
        return weights.renamed(
            lambda name: name[len(prefix) :] if name.startswith(prefix) else _foreign(name)
        )
    return weights.renamed(lambda name: None if name.startswith(HEAD) else name)


def _foreign(name: str) -> str | None:
    """Nothing for the head; anything else keeps its name, so that it is reported as unexpected."""
    return None if name.startswith(HEAD) else name


def config_of(
    shapes: Mapping[str, tuple[int, ...]], *, n_layers: int, n_heads: int, where: object
) -> LimuConfig:
    """The configuration that the shapes of an encoder's weights tell, and what they do not.

    Raises: TracekitError where they are not a LIMU-BERT encoder's, or `n_heads` does not divide
        its width.
    """
    needed = ("embed.lin.weight", "embed.pos_embed.weight", "pwff.fc1.weight")
    if any(len(shapes.get(name, ())) != 2 for name in needed):
        absent = [name for name in needed if len(shapes.get(name, ())) != 2]
        raise TracekitError(
            f"is no LIMU-BERT checkpoint: {', '.join(absent)} missing or no matrix",
            where=where,
            hint="give a pretraining checkpoint of LIMU-BERT (.pt or .safetensors)",
        )
    hidden, features = shapes["embed.lin.weight"]
    if n_heads < 1 or hidden % n_heads or n_layers < 1:
        raise TracekitError(
            f"{n_layers} layers of {n_heads} heads do not fit a width of {hidden}",
            where=where,
            hint="say with how many it was trained; the published one has 4 and 4",
        )
    return LimuConfig(
        hidden=hidden,
        hidden_ff=shapes["pwff.fc1.weight"][0],
        feature_num=features,
        n_layers=n_layers,
        n_heads=n_heads,
        seq_len=shapes["embed.pos_embed.weight"][0],
    )


def load_encoder(
    weights: Weights | Mapping[str, Tensor],
    *,
    prefix: str = PREFIX,
    n_layers: int = 4,
    n_heads: int = 4,
    attention: Attention = "sdpa",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    where: object = "LIMU-BERT",
) -> Encoder:
    """The encoder with these weights, on the device, for inference.

    `weights`, or a state dict, are a pretraining checkpoint's (names begin with `prefix`; the head
    is left out) or the encoder's alone. How many layers and heads it has must be said: no shape
    tells.

    Raises: TracekitError where names are missing, unexpected or of another shape.
    """
    if not isinstance(weights, Weights):
        state, weights = weights, Weights(())
        for name, value in state.items():
            weights.put(name, tuple(value.shape), lambda value=value: value)  # type: ignore[misc]
    inside = encoder_part(weights, prefix)
    config = config_of(inside.shapes, n_layers=n_layers, n_heads=n_heads, where=where)
    with checkpoints.on_meta():
        encoder = Encoder(config, attention).eval()
    checkpoints.load_into(encoder, inside, device=device, dtype=dtype, where=where)
    return encoder
