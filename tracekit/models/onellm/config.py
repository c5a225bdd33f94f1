"""Sizes of OneLLM's IMU path, and what encoding costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OneLLMConfig:
    """Sizes of the IMU path. `max_seq_len` positions of the LLM include the prompt."""

    dim: int = 4096
    n_layers: int = 32
    n_heads: int = 32
    multiple_of: int = 256
    norm_eps: float = 1e-5
    vocab_size: int = 32000
    clip_width: int = 1024
    clip_heads: int = 16
    clip_layers: int = 24
    imu_kernel: int = 10
    imu_len: int = 400
    resample_heads: int = 16
    n_experts: int = 3
    n_resample_layers: int = 8
    n_resample_tokens: int = 30
    max_seq_len: int = 2048
    rope_theta: float = 10000.0

    @property
    def positions(self) -> int:
        """Tokens of the encoder: outputs of the convolution and the class token."""
        return self.imu_len - self.imu_kernel + 2

    def ffn(self, width: int) -> int:
        """Width of a SwiGLU for a block `width` wide."""
        return -(-int(8 * width / 3) // self.multiple_of) * self.multiple_of


FULL = OneLLMConfig()  # as published
TINY = OneLLMConfig(
    dim=64,
    n_layers=3,
    n_heads=4,
    multiple_of=32,
    vocab_size=480,
    clip_width=32,
    clip_heads=2,
    clip_layers=2,
    resample_heads=4,
    n_resample_layers=2,
)


def encode_flops(config: OneLLMConfig) -> int:
    """Floating-point operations of encoding one window; 2 for a multiply-add.

    Source: linear maps 2·tokens·in·out, attention 4·tokens²·width; norms and activations left out.
    """
    W, D = config.clip_width, config.dim
    N, X = config.positions, config.positions + config.n_resample_tokens
    convolution = 2 * (N - 1) * 6 * config.imu_kernel * W
    clip = config.clip_layers * (24 * N * W * W + 4 * N * N * W)
    projections = 2 * N * W * W + 2 * config.n_resample_tokens * W * D
    router = 2 * X * (4 * W * W + 4 * W * config.n_experts)
    block = 2 * X * (4 * W * W + 3 * W * config.ffn(W)) + 4 * X * X * W
    experts = config.n_experts * config.n_resample_layers * block
    return convolution + clip + projections + router + experts
