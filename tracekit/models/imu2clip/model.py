"""IMU2CLIP, the IMU encoder: 5 s of IMU at 200 Hz to one vector in CLIP's joint space.

There is no language model in IMU2CLIP, so prefill and decode are absent.
Source: Moon et al., arXiv 2210.14395; github.com/facebookresearch/imu2clip, encoder "mw2".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions, Description, Model
from tracekit.models.shared import build_options, checkpoints, imu_window
from tracekit.models.shared.decoder.network import fill
from tracekit.models.shared.encoder import EncoderAdapter, sizes
from tracekit.taxonomy import Stage

if TYPE_CHECKING:
    import torch

    from tracekit.models.imu2clip.net import Encoder, Imu2ClipConfig
    from tracekit.models.shared.golden import Golden

SIZES: Mapping[str, Mapping[str, int]] = {"full": {}, "tiny": {"size_embeddings": 64}}
COUNTS: Mapping[str, Mapping[str, int]] = {  # of values, as `parameters` counts them
    "full": {"encoder": 850_892},
    "tiny": {"encoder": 31_052},
}
GOLDENS = ("IMU2CLIP MW2StackRNNPooling",)
PATTERNS = ("*_imu_encoder.pt", "*.safetensors", "*.pt", "*.pth", "*.ckpt")
LIGHTNING = "imu_encoder."  # a trainer's checkpoint holds the encoder under this name
SECONDS = 5.0


def config(size: str) -> Imu2ClipConfig:
    """The configuration of a size."""
    from tracekit.models.imu2clip.net import Imu2ClipConfig

    return Imu2ClipConfig(**SIZES[size])


def parameters(size: str) -> dict[str, int]:
    """Parameters of the encoder."""
    from tracekit.models.imu2clip.net import Encoder

    with checkpoints.on_meta():
        return {"encoder": checkpoints.count(Encoder(config(size)))}


class Imu2Clip(EncoderAdapter):
    """load, preprocess and encode of IMU2CLIP.

    encode gives [B, 512], the last hidden state; divide by its length before comparing with CLIP's.
    """

    def __init__(self, encoder: Encoder, options: BuildOptions) -> None:
        config = encoder.config
        super().__init__(
            "imu2clip", encoder, options, flops=flops(config), tokens=1, config=asdict(config)
        )

    def preprocess(self, sample: Sample, raw: object) -> torch.Tensor:
        """[B, 6, 1000] on the device, raw units; every row of the batch is this window.

        Raises: TracekitError for a recording that holds no window.
        """
        return self.rows(imu_window.of_recording(sample.parse(raw), SECONDS, sample.path))


def flops(made: Imu2ClipConfig) -> int:
    """FLOPs of one window, 2 a multiply-add: convolutions and GRU; norms and pools not counted."""
    length, channels, total = made.window, 6, 0
    for kernel in (10, 5, 5):
        length -= 2 * (kernel - 1)
        total += 2 * length * made.input_dim * channels * kernel
        length, channels = length // 3, made.input_dim
    gates = 3 * made.size_embeddings * (length + made.size_embeddings)
    return total + 2 * made.input_dim * gates


def build(options: BuildOptions) -> Imu2Clip:
    """IMU2CLIP's encoder on the device, with a checkpoint's weights or random ones.

    Raises: TracekitError for a checkpoint that is not its own.
    """
    from tracekit.models.imu2clip import net

    build_options.check_extra(options, {}, "imu2clip")
    build_options.device_checked(options)
    if options.checkpoint is None:
        made = config(build_options.size(options, SIZES, "imu2clip"))
        with checkpoints.on_meta():
            encoder = net.Encoder(made).eval()
        fill(encoder, options, None)
    else:
        found = encoder_part(checkpoints.open_one(options.checkpoint, PATTERNS))
        made = config_of(found.shapes, options.checkpoint)
        with checkpoints.on_meta():
            encoder = net.Encoder(made).eval()
        kind = checkpoints.dtype_named(options.dtype)
        checkpoints.load_into(
            encoder, found, device=options.device, dtype=kind, where=options.checkpoint
        )
    encoder.flatten()
    return Imu2Clip(encoder, options)


def encoder_part(found: checkpoints.Weights) -> checkpoints.Weights:
    """The IMU encoder's weights: of its own state dict, or out of a Lightning checkpoint.

    The text and video towers (CLIP), the loss and a classification head beside it are left out.
    """
    if any(name.startswith(LIGHTNING) for name in found):
        return found.renamed(
            lambda name: name[len(LIGHTNING) :] if name.startswith(LIGHTNING) else None
        )
    if any(name.startswith("encoder.net.") for name in found):  # the downstream classifier
        return found.renamed(
            lambda name: name[len("encoder.") :] if name.startswith("encoder.") else None
        )
    return found


def config_of(shapes: Mapping[str, tuple[int, ...]], where: object) -> Imu2ClipConfig:
    """The configuration that the shapes tell.

    Raises: TracekitError where they are of no IMU2CLIP encoder.
    """
    from tracekit.models.imu2clip.net import Imu2ClipConfig

    hidden = shapes.get("net.5.weight_hh_l0", ())
    inputs = shapes.get("net.5.weight_ih_l0", ())
    if len(hidden) != 2 or len(inputs) != 2:
        raise TracekitError(
            "is no IMU2CLIP encoder: net.5.weight_hh_l0 or net.5.weight_ih_l0 missing",
            where=where,
            hint="give …_imu_encoder.pt or the trainer's .ckpt of the encoder 'mw2'",
        )
    return Imu2ClipConfig(input_dim=inputs[1], size_embeddings=hidden[1])


def golden(case: Golden) -> dict[str, object]:
    """Our outputs for a golden: every stage of the encoder, the GRU's steps, the embedding."""
    import torch
    from torch import nn

    from tracekit.models.imu2clip import net

    encoder = net.Encoder(net.Imu2ClipConfig(**case.sidecar["config"])).eval()
    state = {name: torch.from_numpy(value) for name, value in case.under("weights.").items()}
    encoder.load_state_dict(state)
    out: dict[str, object] = {}
    with torch.inference_mode():
        x = torch.from_numpy(case.tensors["in.imu"])
        last = encoder(x)
        for k, stage in enumerate(list(encoder.net)[:-1]):
            x = stage(x)
            out[f"out.net{k}"] = x.numpy()
        out["out.gru_sequence"] = nn.GRU.forward(encoder.gru, x)[0].numpy()
    out["out.embedding"] = last.numpy()
    out["out.embedding_l2"] = nn.functional.normalize(last, dim=-1).numpy()
    return out


def described(dtype: str) -> dict[str, Any]:
    """The dimensions of the published size."""
    return sizes(COUNTS["full"]["encoder"], dtype, flops=flops(config("full")), tokens=1)


MODEL = Model(
    title="IMU2CLIP: the IMU encoder (stacked CNN and GRU)",
    input="imu",
    stages=(Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE),
    sizes=SIZES,
    build=build,
    parameters=parameters,
    counts=COUNTS,
    licence="CC BY-NC 4.0",
    weights="none published; a checkpoint you trained (…_imu_encoder.pt or Lightning .ckpt) loads",
    source="Moon et al., arXiv 2210.14395; github.com/facebookresearch/imu2clip",
    description=Description(
        encoder="3 convolutions and a GRU over 5 s of IMU at 200 Hz: one vector of 512",
        trained_on="Ego4D: IMU with video and narrations",
        dims=described,
    ),
)
