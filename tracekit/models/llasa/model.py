"""LLaSA 7B: LIMU-BERT, a two-layer projector and Vicuna; one token for each of 120 IMU samples.

Source: arXiv 2406.14498, github.com/BASHLab/LLaSA; our own implementation of its inference path.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import LLAMA_IDS, BuildOptions, Description, Facts, Model
from tracekit.models.shared import build_options, checkpoints, prompts, tokenizers
from tracekit.models.shared.decoder.decoder import Decoder
from tracekit.models.shared.decoder.network import TINY, VICUNA_7B, fill, llama, read_frequencies
from tracekit.models.shared.decoder.request import Request
from tracekit.models.shared.decoder.request import without_gradients as frozen
from tracekit.models.shared.decoder.shape import dims, read_per_pass
from tracekit.models.shared.sensor_llm import SensorLLM
from tracekit.taxonomy import Stage

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tracekit.models.limu_bert.net import LimuConfig

SAMPLES = 120  # of IMU at 20 Hz: as many as the tower has positions
PROMPT = "What is the person doing?"
TEMPLATES = ("llava_v1", "v1", "llava_v0")
CONTROLS = {"<unk>": 0, "<s>": 1, "</s>": 2}  # special to transformers' tokenizer
TOWER, PROJECTOR = "model.vision_tower.vision_tower.0.", "model.mm_projector."
SIZES: Mapping[str, Mapping[str, Any]] = {"full": VICUNA_7B, "tiny": TINY}
COUNTS: Mapping[str, Mapping[str, int]] = {  # of values, as `parameters` counts them
    "full": {"tower": 51_552, "projector": 17_080_320, "llm": 6_738_415_616},
    "tiny": {"tower": 51_552, "projector": 8_832, "llm": 216_512},
}
LLM_FIELDS = (
    *VICUNA_7B,
    "rope_scaling",
    "hidden_act",
    "attention_bias",
    "tie_word_embeddings",
    "head_dim",
)
TAKES: Mapping[str, str] = {
    "template": (
        "llava_v1 (default): the original's inference prompt; v1: the one of its training; "
        "llava_v0: with ### between turns"
    ),
    "tower": "path of a LIMU-BERT checkpoint, where the LLaSA checkpoint does not hold the tower",
    **build_options.LLM_TAKES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LlasaConfig:
    """The LLM's fields as transformers names them, the tower, and the longest prompt."""

    llm: Mapping[str, Any]
    tower: LimuConfig
    most_prompt: int  # positions; what is longer loses its end, as published
    published: bool  # whether these are the sizes of a named size


@dataclass(frozen=True, slots=True)
class Inputs:
    """A request on the device: IMU [B, T, 6] (None: text only), ids [B, P], MARKER at `at`."""

    imu: torch.Tensor | None
    ids: torch.Tensor
    at: int | None
    prompt: str


class Llasa(SensorLLM):
    """The adapter: one method a stage."""

    def __init__(
        self, net: Any, config: LlasaConfig, options: BuildOptions, tokenizer: tokenizers.Tokenizer
    ) -> None:
        self.tower, self.projector = net["tower"], net["projector"]
        self.config = config
        self.template = build_options.choice(options, "template", TEMPLATES)
        super().__init__(Decoder(net["llm"], options, eos=[tokenizer.eos]), options, tokenizer)
        self.net = net
        self.prompt(options.prompt or PROMPT)  # what is wrong with it is said before a request
        self._seen: set[tuple[int, int]] = set()  # (IMU samples, text tokens) of the requests

    @property
    def facts(self) -> Facts:
        """The facts of the requests so far; before the first, of a whole window."""
        return _facts(self.net, self, self._seen)

    @frozen
    def preprocess(self, sample: Sample, raw: object) -> Inputs:
        """The window at 20 Hz, acceleration over 9.8, and the prompt; rows are copies."""
        import torch

        from tracekit.models.shared import limu_window

        window = limu_window.window(
            sample.parse(raw), where=sample.path, length=self.config.tower.seq_len
        )
        prompt, ids = self.prompt(build_options.question(self.options, sample, PROMPT))
        rows, device = self.options.batch_size, self.options.device
        imu = torch.from_numpy(window).to(checkpoints.dtype_named(self.options.dtype))
        return Inputs(
            imu=imu[None].repeat(rows, 1, 1).to(device),
            ids=torch.tensor([ids] * rows).to(device),
            at=ids.index(tokenizers.MARKER),
            prompt=prompt,
        )

    def prompt(self, question: str) -> tuple[str, list[int]]:
        """The text that the model sees for a question, and its ids with MARKER.

        Raises: TracekitError for a question that holds the marker itself.
        """
        form = prompts.template("llasa", self.template)
        return prompts.asked(form, self.tokenizer, question, self.options.prompt_tokens)

    @frozen
    def encode(self, inputs: Inputs) -> torch.Tensor:
        """One token in LLM space for each IMU sample, [B, T, D]."""
        tokens: torch.Tensor = self.projector(self.tower(inputs.imu))
        return tokens

    @frozen
    def prefill(self, inputs: Inputs, tokens: torch.Tensor | None) -> Request:
        """The prompt with the IMU tokens in place of the marker."""
        state = self.decoder.prefill(self.embeds(inputs, tokens))
        state.prompt = inputs.prompt
        if tokens is not None:
            self._seen.add((int(tokens.shape[1]), int(inputs.ids.shape[1]) - 1))
        return state

    @frozen
    def embeds(self, inputs: Inputs, tokens: torch.Tensor | None) -> torch.Tensor:
        """The LLM's input [B, P − 1 + T, D], cut to the longest prompt."""
        import torch

        at = inputs.at
        if at is None or tokens is None:
            return self.decoder.embed(inputs.ids)
        before = self.decoder.embed(inputs.ids[:, :at])
        after = self.decoder.embed(inputs.ids[:, at + 1 :])
        return torch.cat([before, tokens, after], dim=1)[:, : self.config.most_prompt]


def published(name: str) -> str:
    """The name in the published checkpoint of a weight of ours."""
    part, _, rest = name.partition(".")
    return {"tower": TOWER, "projector": PROJECTOR, "llm": ""}[part] + rest


def network(config: LlasaConfig, attention: str = "sdpa") -> nn.Module:
    """Tower, projector and LLM as one module, without values."""
    from torch.nn import GELU, Linear, ModuleDict, Sequential

    from tracekit.models.limu_bert.net import Encoder

    hidden = int(config.llm["hidden_size"])
    llm = llama(config.llm)
    with checkpoints.on_meta():
        tower = Encoder(config.tower, "eager" if attention == "eager" else "sdpa")
        projector = Sequential(Linear(config.tower.hidden, hidden), GELU(), Linear(hidden, hidden))
    return ModuleDict({"tower": tower, "projector": projector, "llm": llm}).eval()


def sized(size: str) -> LlasaConfig:
    """The configuration of a named size."""
    from tracekit.models.limu_bert.net import LimuConfig

    return LlasaConfig(llm=SIZES[size], tower=LimuConfig(), most_prompt=2048, published=True)


def parameters(size: str) -> dict[str, int]:
    """How many values each component of a size has."""
    net: Any = network(sized(size))
    return {name: checkpoints.count(net[name]) for name in net}


def encode_flops(config: LlasaConfig, samples: int) -> int:
    """Floating-point operations of encoding a window of so many samples; 2 for a multiply-add."""
    from tracekit.models.limu_bert import model

    tower, hidden = replace(config.tower, seq_len=samples), int(config.llm["hidden_size"])
    projector = 2 * tower.seq_len * (tower.hidden * hidden + hidden * hidden)
    return model.flops(tower) + projector


def described(dtype: str) -> dict[str, Any]:
    """The dimensions of the published size, on `meta`."""
    config = sized("full")
    net: Any = network(config)
    samples = config.tower.seq_len
    return {
        "llm": dims(net["llm"].config, dtype, read_per_pass(net["llm"])),
        "encode": {
            "flops": encode_flops(config, samples),
            "weight_parameters": checkpoints.count(net["tower"])
            + checkpoints.count(net["projector"]),
            "bytes_per_value": checkpoints.bytes_per_value(dtype),
            "tokens": samples,
        },
    }


def _facts(net: Any, adapter: Llasa, seen: Collection[tuple[int, int]]) -> Facts:
    """The facts after requests with so many IMU samples and text tokens each.

    Lengths that differ between them are not stated as one.
    """
    config, options = adapter.config, adapter.options
    counts = {name: checkpoints.count(net[name]) for name in net}
    whole = config.tower.seq_len
    asked = {(whole, len(adapter.prompt(options.prompt or PROMPT)[1]) - 1)}
    windows, texts = (sorted(set(each)) for each in zip(*(seen or asked), strict=True))
    encode: dict[str, int] = {
        "weight_parameters": counts["tower"] + counts["projector"],
        "bytes_per_value": checkpoints.bytes_per_value(options.dtype),
    }
    dims_: dict[str, Any] = {
        "llm": dims(net["llm"].config, options.dtype, read_per_pass(net["llm"])),
        "encode": encode,
    }
    if len(windows) == 1:
        encode |= {"flops": encode_flops(config, windows[0]), "tokens": windows[0]}
        if len(texts) == 1:
            filled = min(windows[0] + texts[0], config.most_prompt)
            dims_["prefill"] = {
                "tokens": filled, "text_tokens": filled - windows[0], "sensor_tokens": windows[0],
            }  # fmt: skip
    short = [f"{n} of {whole} samples" for n in windows if n < whole]
    notes = (
        [f"shorter than the model's window, and not padded: {', '.join(short)}"] if short else []
    )
    return adapter.described(
        "llasa",
        options.size if config.published else "checkpoint",
        counts,
        dims_,
        notes,
        template=adapter.template,
        config={**config.llm, "tower": asdict(config.tower)},
    )


def _opened(options: BuildOptions, checkpoint: Path) -> tuple[checkpoints.Weights, LlasaConfig]:
    """Weights and configuration of a Hugging Face folder, the tower from elsewhere if need be."""
    from tracekit.models.limu_bert.net import config_of

    said = checkpoints.read_json(checkpoints.folder(checkpoint) / "config.json")
    weights = checkpoints.open_checkpoint(checkpoint)
    elsewhere = build_options.path(options, "tower")
    if elsewhere is not None:
        _graft(weights, checkpoints.open_checkpoint(elsewhere))
    shapes = {k.removeprefix(TOWER): v for k, v in weights.shapes.items() if k.startswith(TOWER)}
    if not shapes:
        raise TracekitError(
            "the checkpoint does not hold the LIMU-BERT tower, and the file that its config.json "
            "names is the trainer's own",
            where=checkpoint,
            hint="name a LIMU-BERT checkpoint with --set tower=PATH",
        )
    tower = config_of(shapes, n_layers=4, n_heads=4, where=elsewhere or checkpoint)
    llm = {key: said[key] for key in LLM_FIELDS if said.get(key) is not None}
    config = LlasaConfig(
        llm={**VICUNA_7B, **llm},
        tower=tower,
        most_prompt=int(said.get("tokenizer_model_max_length") or 2048),
        published=all(llm.get(key) == value for key, value in SIZES[options.size].items()),
    )
    return weights, config


def _graft(weights: checkpoints.Weights, tower: checkpoints.Weights) -> None:
    """Take the tower's values from a LIMU-BERT checkpoint, whatever `weights` holds of it."""
    from tracekit.models.limu_bert.net import encoder_part

    inside = encoder_part(tower)
    for name, shape in inside.shapes.items():
        weights.put(TOWER + name, shape, lambda name=name: inside.get(name))  # type: ignore[misc]


def build(options: BuildOptions) -> Llasa:
    """The model, with a checkpoint's or random weights.

    Raises: TracekitError for an unknown size, device or option, or weights that do not fit.
    """
    build_options.check_extra(options, TAKES, "llasa")
    build_options.device_checked(options)
    size = build_options.size(options, SIZES, "llasa")
    weights, config, folder = None, sized(size), None
    if options.checkpoint is not None:
        weights, config = _opened(options, options.checkpoint)
        folder = checkpoints.folder(options.checkpoint)
    elif "tower" in options.extra:
        raise TracekitError(
            "a tower's weights go with a checkpoint of the rest",
            where="tower",
            hint="add --checkpoint, or leave tower out for random weights",
        )
    tokenizer = tokenizers.find(
        folder,
        vocab=int(config.llm["vocab_size"]),
        named=build_options.path(options, build_options.TOKENIZER),
        special=CONTROLS,
    )
    return assembled(config, options, weights, tokenizer)


def assembled(
    config: LlasaConfig,
    options: BuildOptions,
    weights: checkpoints.Weights | None,
    tokenizer: tokenizers.Tokenizer,
) -> Llasa:
    """The adapter of a configuration, filled."""
    net = network(config, options.attention)
    fill(
        net,
        options,
        weights,
        where=options.checkpoint or "weights",
        ignore=lambda name: read_frequencies(name) or name.endswith("position_ids"),
        names=published,
    )
    return Llasa(net, config, options, tokenizer)


def download(folder: Path, *, revision: str | None = None) -> None:
    """Fetch the published weights (13.5 GB) into a folder."""
    from tracekit.models.shared.download import fetch

    fetch("BASH-Lab/LLaSA-7B", folder, revision=revision)


MODEL = Model(
    title="LLaSA 7B",
    input="imu",
    stages=tuple(Stage),
    sizes=SIZES,
    build=build,
    parameters=parameters,
    counts=COUNTS,
    licence="code Apache-2.0; weights on LLaMA 2 (LLaMA 2 Community License)",
    weights="huggingface.co/BASH-Lab/LLaSA-7B (13.5 GB); the tower may be a file of its own",
    source="arXiv 2406.14498, github.com/BASHLab/LLaSA",
    default_prompt=PROMPT,
    download=download,
    takes=TAKES,
    description=Description(
        encoder="LIMU-BERT over 120 samples of IMU at 20 Hz and an MLP: a token a sample",
        decoder="Vicuna 1.5 7B (LLaMA 2)",
        vocabulary=LLAMA_IDS,
        trained_on="SensorCaps and OpenSQA: captions and questions on windows of HHAR, UCI HAR, "
        "MotionSense, Shoaib and PAMAP2",
        prompt_tokens=200,
        dims=described,
    ),
)
