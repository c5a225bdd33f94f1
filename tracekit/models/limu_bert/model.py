"""LIMU-BERT, the encoder by itself: 6 s of IMU at 20 Hz to one vector a sample.

Input as in the paper's data sets: acceleration over 9.8, angular velocity as it is.
Source: Xu et al., SenSys 2021; github.com/dapowan/LIMU-BERT-Public (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Sample
from tracekit.datasets.formats.windows_20hz import ACCEL_SCALE
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions, Description, Facts, Model
from tracekit.models.shared import build_options, checkpoints, limu_window
from tracekit.models.shared.decoder.network import fill
from tracekit.models.shared.encoder import EncoderAdapter, sizes
from tracekit.taxonomy import Stage

if TYPE_CHECKING:
    import torch

    from tracekit.models.limu_bert.net import Encoder, LimuConfig
    from tracekit.models.shared.golden import Golden

SIZES: Mapping[str, Mapping[str, Any]] = {
    "full": {},  # base_v1 as published
    "tiny": {"hidden": 24, "hidden_ff": 40, "n_layers": 2, "n_heads": 3},
}
COUNTS: Mapping[str, Mapping[str, int]] = {  # of values, as `parameters` counts them
    "full": {"encoder": 51_552, "pretraining_head": 11_094},
    "tiny": {"encoder": 7_576, "pretraining_head": 1_398},
}
GOLDENS = ("LIMU-BERT", "LIMU-BERT base_v1, real published weights")
TAKES: Mapping[str, str] = {
    "layers": "with --checkpoint: how often the shared block runs, no weight tells (default 4)",
    "heads": "with --checkpoint: attention heads, no weight tells (default 4)",
}
PATTERNS = ("*.safetensors", "*.pt", "*.pth")


def config(size: str) -> LimuConfig:
    """The configuration of a size."""
    from tracekit.models.limu_bert.net import LimuConfig

    return LimuConfig(**SIZES[size])


def parameters(size: str) -> dict[str, int]:
    """Parameters of the encoder, and of the pretraining head that its checkpoint also holds."""
    from tracekit.models.limu_bert.net import Pretraining

    with checkpoints.on_meta():
        whole = Pretraining(config(size))
    encoder = checkpoints.count(whole.transformer)
    return {"encoder": encoder, "pretraining_head": checkpoints.count(whole) - encoder}


class LimuBert(EncoderAdapter):
    """load, preprocess and encode of LIMU-BERT; encode gives [B, T, hidden], one vector a sample.

    Its weights are read once a layer: the block is shared.
    """

    def __init__(self, encoder: Encoder, options: BuildOptions) -> None:
        config = encoder.config
        super().__init__(
            "limu_bert",
            encoder,
            options,
            flops=flops(config),
            tokens=config.seq_len,
            config=asdict(config),
            attention=options.attention,
        )
        self._lengths: set[int] = set()  # samples of the windows so far

    @property
    def facts(self) -> Facts:
        """The facts of the windows so far; before the first, of a whole one."""
        config, made = self.encoder.config, self.described
        lengths = sorted(self._lengths or {config.seq_len})
        encode = dict(made.dims["encode"])
        if len(lengths) > 1:
            del encode["flops"], encode["tokens"]
        else:
            encode |= {
                "flops": flops(replace(config, seq_len=lengths[0])), "tokens": lengths[0],
            }  # fmt: skip
        short = [f"{n} of {config.seq_len} samples" for n in lengths if n < config.seq_len]
        note = f"shorter than the model's window, and not padded: {', '.join(short)}"
        return replace(
            made, dims={**made.dims, "encode": encode}, notes=(note,) if short else made.notes
        )

    def encode(self, inputs: torch.Tensor) -> torch.Tensor:
        """One vector a sample, [B, T, hidden]."""
        self._lengths.add(int(inputs.shape[1]))
        return super().encode(inputs)

    def preprocess(self, sample: Sample, raw: object) -> torch.Tensor:
        """[B, T, 6] on the device; every row of the batch is this window.

        Raises: TracekitError for a recording that holds no window.
        """
        length = self.encoder.config.seq_len
        return self.rows(limu_window.window(sample.parse(raw), where=sample.path, length=length))


def flops(made: LimuConfig) -> int:
    """FLOPs of one window, 2 a multiply-add; norms, softmax and GELU are not counted."""
    T, D, F = made.seq_len, made.hidden, made.hidden_ff
    layer = 2 * T * (4 * D * D + 2 * D * F) + 4 * T * T * D
    return 2 * T * made.feature_num * D + made.n_layers * layer


def build(options: BuildOptions) -> LimuBert:
    """LIMU-BERT on the device, with a checkpoint's weights or random ones.

    Raises: TracekitError for an attention it has not, or a checkpoint that is not its own.
    """
    from tracekit.models.limu_bert import net

    build_options.check_extra(options, TAKES, "limu_bert")
    build_options.device_checked(options)
    if options.attention == "flash":
        raise TracekitError(
            "LIMU-BERT has no flash attention",
            where="--attention flash",
            hint="use sdpa, or eager for the operations of the original",
        )
    if options.checkpoint is not None:
        encoder = net.load_encoder(
            checkpoints.open_one(options.checkpoint, PATTERNS),
            n_layers=build_options.whole(options, "layers", 4),
            n_heads=build_options.whole(options, "heads", 4),
            attention=options.attention,
            device=options.device,
            dtype=checkpoints.dtype_named(options.dtype),
            where=options.checkpoint,
        )
        if encoder.config.feature_num != 6:
            raise TracekitError(
                f"the checkpoint takes {encoder.config.feature_num} features a sample",
                where=options.checkpoint,
                hint="recordings have 6; give a model trained without the magnetometer",
            )
        return LimuBert(encoder, options)
    made = config(build_options.size(options, SIZES, "limu_bert"))
    with checkpoints.on_meta():
        encoder = net.Encoder(made, options.attention).eval()
    fill(encoder, options, None)
    return LimuBert(encoder, options)


def download(folder: Path, *, revision: str | None = None) -> None:
    """Fetch the published weights (0.5 MB) into a folder.

    Raises: TracekitError where they cannot be had, or are not the published ones.
    """
    from tracekit.models.limu_bert.weights import download as fetch

    fetch(folder, revision=revision)


def golden(case: Golden) -> dict[str, object]:
    """Our outputs for a golden: every layer, the last attention, the reconstruction."""
    import torch
    from safetensors.torch import load_file

    from tracekit.models.limu_bert import net

    state = {name: torch.from_numpy(value) for name, value in case.under("weights.").items()}
    if not state:  # the golden of published weights, which lie in the folder above, names them
        named = Path(str(case.sidecar["weights"]).split()[0]).name
        state = load_file(case.path.parent.parent / named)
    whole = net.Pretraining(net.LimuConfig(**case.sidecar["config"]), "eager").eval()
    whole.load_state_dict(state)
    encoder = whole.transformer
    raw = torch.from_numpy(case.tensors["in.imu_raw"])
    x = raw / torch.tensor([ACCEL_SCALE] * 3 + [1.0] * 3)
    out: dict[str, object] = {}
    with torch.inference_mode():
        h = encoder.embed(x)
        out["out.after_embed"] = h.numpy()
        for k in range(1, encoder.config.n_layers + 1):
            if k == encoder.config.n_layers and "out.attn_scores_last" in case.tensors:
                out["out.attn_scores_last"] = encoder.attn.weights(h).numpy()
            h = encoder.layer(h)
            out[f"out.after_layer_{k}"] = h.numpy()
        out["out.encoder"] = encoder(x).numpy()
        out["out.reconstruction"] = whole(x).numpy()
    return out


def described(dtype: str) -> dict[str, Any]:
    """The dimensions of the published size."""
    made = config("full")
    return sizes(COUNTS["full"]["encoder"], dtype, flops=flops(made), tokens=made.seq_len)


MODEL = Model(
    title="LIMU-BERT, base_v1: the encoder alone",
    input="imu",
    stages=(Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE),
    sizes=SIZES,
    build=build,
    parameters=parameters,
    counts=COUNTS,
    licence="MIT, code and weights",
    weights="saved/pretrain_base_*_20_120/*.pt in github.com/dapowan/LIMU-BERT-Public",
    source="Xu et al., LIMU-BERT, SenSys 2021; github.com/dapowan/LIMU-BERT-Public",
    download=download,
    takes=TAKES,
    description=Description(
        encoder="4 layers of one shared block over 120 samples of IMU at 20 Hz: a vector of 72 a "
        "sample",
        trained_on="HHAR, UCI HAR, MotionSense or Shoaib, without labels: one set of weights each",
        dims=described,
    ),
)
