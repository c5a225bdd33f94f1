"""OneLLM's IMU encoder and Universal Projection Module, with the names of the published weights.

Shapes: B rows, N = 392 tokens (391 of the Conv1d and the class token), W encoder width, X = 30 + N
tokens in the projection module, D hidden size of the LLM.

Source: arXiv 2312.03700 §3; CLIP ViT-L/14 of arXiv 2103.00020; blocks of arXiv 2302.13971.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tracekit.models.onellm.config import OneLLMConfig


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, eager: bool) -> torch.Tensor:
    """Bidirectional attention of [B, heads, T, head] tensors, fused unless `eager`."""
    if not eager:
        return functional.scaled_dot_product_attention(q, k, v)
    scores = torch.matmul(q, k.transpose(2, 3)) * q.shape[-1] ** -0.5
    return torch.matmul(functional.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype), v)


class ClipAttention(nn.Module):
    """Multi-head attention with one matrix for q, k and v, named as torch's MultiheadAttention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.eager = False
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, N, W] to [B, N, W]."""
        B, N, W = x.shape
        qkv = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(B, N, 3, self.heads, W // self.heads).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v, self.eager).transpose(1, 2).reshape(B, N, W)
        out: torch.Tensor = self.out_proj(mixed)
        return out


class ClipMlp(nn.Module):
    """Two layers with QuickGELU, x·σ(1.702x), as OpenAI's weights were trained."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, N, W] to [B, N, W]."""
        x = self.c_fc(x)
        out: torch.Tensor = self.c_proj(x * torch.sigmoid(1.702 * x))
        return out


class ClipBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = ClipAttention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = ClipMlp(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, N, W] to [B, N, W]."""
        x = x + self.attn(self.ln_1(x))
        out: torch.Tensor = x + self.mlp(self.ln_2(x))
        return out


class ClipVisual(nn.Module):
    """The part of CLIP's image tower that sensors pass through; its patches and head are unused."""

    def __init__(self, config: OneLLMConfig) -> None:
        super().__init__()
        width = config.clip_width
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.ln_pre = nn.LayerNorm(width)
        blocks = [ClipBlock(width, config.clip_heads) for _ in range(config.clip_layers)]
        self.transformer = nn.ModuleDict({"resblocks": nn.Sequential(*blocks)})
        self.ln_post = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Tokens [B, N − 1, W] to [B, N, W], the class token first; ln_post on all of them."""
        first = self.class_embedding.expand(x.shape[0], 1, -1)
        x = self.ln_pre(torch.cat([first, x], dim=1) + positions)
        out: torch.Tensor = self.ln_post(self.transformer["resblocks"](x))
        return out


class RMSNorm(nn.Module):
    """Root mean square norm in float32, cast back before the scale, as LLaMA computes it."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, W] to […, W]."""
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return wide.to(x.dtype) * self.weight


class ExpertAttention(nn.Module):
    """LLaMA's attention without positions and without a mask."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.eager = False
        self.wq = nn.Linear(width, width, bias=False)
        self.wk = nn.Linear(width, width, bias=False)
        self.wv = nn.Linear(width, width, bias=False)
        self.wo = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, X, W] to [B, X, W]."""
        B, X, W = x.shape
        q, k, v = (
            project(x).view(B, X, self.heads, W // self.heads).transpose(1, 2)
            for project in (self.wq, self.wk, self.wv)
        )
        mixed = attend(q, k, v, self.eager).transpose(1, 2).reshape(B, X, W)
        out: torch.Tensor = self.wo(mixed)
        return out


class SwiGLU(nn.Module):
    """w2(silu(w1 x) · w3 x)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, inner, bias=False)
        self.w2 = nn.Linear(inner, width, bias=False)
        self.w3 = nn.Linear(width, inner, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, W] to […, W]."""
        out: torch.Tensor = self.w2(functional.silu(self.w1(x)) * self.w3(x))
        return out


class ExpertBlock(nn.Module):
    """One block of a projection expert."""

    def __init__(self, config: OneLLMConfig) -> None:
        super().__init__()
        width = config.clip_width
        self.attention = ExpertAttention(width, config.resample_heads)
        self.feed_forward = SwiGLU(width, config.ffn(width))
        self.attention_norm = RMSNorm(width, config.norm_eps)
        self.ffn_norm = RMSNorm(width, config.norm_eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, X, W] to [B, X, W]."""
        x = x + self.attention(self.attention_norm(x))
        out: torch.Tensor = x + self.feed_forward(self.ffn_norm(x))
        return out


class Router(nn.Module):
    """Logits of every expert for every token."""

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, experts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, X, W] to [B, X, experts]."""
        out: torch.Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


def _projection(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.LayerNorm(out))


class ImuEncoder(nn.Module):
    """IMU [B, 6, 400] to tokens in LLM space [B, 30, D]. Dicts hold one modality, as published."""

    def __init__(self, config: OneLLMConfig) -> None:
        super().__init__()
        self.config = config
        width, dim = config.clip_width, config.dim
        self.clip = nn.ModuleDict({"visual": ClipVisual(config)})
        self.conv1 = nn.ModuleDict({"imu": nn.Conv1d(6, width, config.imu_kernel, bias=False)})
        self.positional_embedding = _parameters(config.positions, width)
        self.resample_tokens = _parameters(1, config.n_resample_tokens, width)
        self.clip_proj1 = nn.ModuleDict({"imu": _projection(width, width)})
        self.routers = nn.ModuleDict({"imu": Router(width, config.n_experts)})
        self.resample_layers = nn.ModuleList(
            nn.Sequential(*(ExpertBlock(config) for _ in range(config.n_resample_layers)))
            for _ in range(config.n_experts)
        )
        self.clip_proj2 = nn.ModuleDict({"imu": _projection(width, dim)})
        self.start_tag = _parameters(1, 1, dim)
        self.end_tag = _parameters(1, 1, dim)

    def forward(self, imu: torch.Tensor) -> torch.Tensor:
        """All three experts run on all tokens; the router weighs them by normalised sigmoids."""
        kept = self.config.n_resample_tokens
        x = self.conv1["imu"](imu).transpose(1, 2)
        x = self.clip["visual"](x, self.positional_embedding["imu"])
        x = self.clip_proj1["imu"](x)
        x = torch.cat([self.resample_tokens["imu"].expand(x.shape[0], -1, -1), x], dim=1)
        shares = torch.sigmoid(self.routers["imu"](x))[:, :kept]
        shares = shares / shares.sum(dim=-1, keepdim=True)
        routed = torch.zeros_like(x[:, :kept])
        for number, expert in enumerate(self.resample_layers):
            routed = routed + shares[:, :, number, None] * expert(x)[:, :kept]
        out: torch.Tensor = self.clip_proj2["imu"](routed)
        return out

    def set_eager(self, eager: bool) -> None:
        """Compute attention step by step instead of fused."""
        for module in self.modules():
            if isinstance(module, ClipAttention | ExpertAttention):
                module.eager = eager


def _parameters(*shape: int) -> nn.ParameterDict:
    return nn.ParameterDict({"imu": nn.Parameter(torch.empty(*shape))})
