"""The IMU2CLIP encoder in torch. Import it inside a function: torch takes seconds.

Source: Moon et al., arXiv 2210.14395; facebookresearch/imu2clip, encoder "mw2".
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

CHANNELS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Imu2ClipConfig:
    """The published configuration by default: CLIP ViT-B/32's joint width, 5 s at 200 Hz."""

    input_dim: int = 32
    size_embeddings: int = 512
    window: int = 1000


class Block(nn.Module):
    """Dilated convolution and max-pool; no activation between blocks, as published."""

    def __init__(self, channels: int, out: int, kernel: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(channels, out, kernel, dilation=2, bias=False), nn.MaxPool1d(3)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class LastHidden(nn.GRU):
    """A GRU's last hidden state, [B, hidden].

    The map [B, channels, positions] comes in untransposed, as published: the channels are the
    steps that the GRU walks over, and the positions are the features of each.
    """

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        _, last = super().forward(x)
        out: Tensor = last[0]
        return out


class Encoder(nn.Module):
    """[B, 6, T] to [B, size_embeddings], where T leaves `input_dim` positions:
    980 to 1004 for the published 32."""

    def __init__(self, config: Imu2ClipConfig) -> None:
        super().__init__()
        width = config.input_dim
        self.config = config
        self.net = nn.Sequential(
            nn.GroupNorm(2, CHANNELS),  # acceleration and rotation, each by itself
            Block(CHANNELS, width, 10),
            Block(width, width, 5),
            Block(width, width, 5),
            nn.GroupNorm(4, width),
            LastHidden(width, config.size_embeddings, batch_first=True),
        )

    @property
    def gru(self) -> LastHidden:
        """The last stage."""
        found: LastHidden = self.net[-1]  # type: ignore[assignment]
        return found

    def flatten(self) -> None:
        """Lay the GRU's weights out as cuDNN wants them, once and not in every call."""
        self.gru.flatten_parameters()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out
