"""OneLLM 7B: IMU windows through one universal encoder before LLaMA-2.

Source: arXiv 2312.03700, github.com/csuhan/OneLLM; our own implementation of its IMU path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import LLAMA_IDS, BuildOptions, Description, Facts, Model
from tracekit.models.onellm.config import FULL, TINY, OneLLMConfig, encode_flops
from tracekit.models.shared import build_options, checkpoints, imu_window, prompts, tokenizers
from tracekit.models.shared.decoder.attention import flash_backend as flash
from tracekit.models.shared.decoder.decoder import Decoder
from tracekit.models.shared.decoder.network import fill, llama
from tracekit.models.shared.decoder.request import Request
from tracekit.models.shared.decoder.request import without_gradients as frozen
from tracekit.models.shared.decoder.shape import dims, read_per_pass
from tracekit.models.shared.sensor_llm import SensorLLM
from tracekit.taxonomy import Stage

if TYPE_CHECKING:
    import torch
    from torch import nn


SECONDS = 2.0  # of IMU data, 400 samples at 200 Hz: the positions allow no other
PROMPT = "Describe the scene."
STOP = "###"  # where the template's next turn would begin
INSERTED = 32  # sensor tokens and the two tags around them
COUNTED = 30  # of which the published decode loop counts so many
OFFSETS = ("corrected", "published")
SIZES: Mapping[str, OneLLMConfig] = {"full": FULL, "tiny": TINY}
COUNTS: Mapping[str, Mapping[str, int]] = {  # of values, as `parameters` counts them
    "full": {
        "clip": 302_314_496,
        "projection_experts": 308_330_496,
        "imu": 9_970_691,
        "llm": 6_738_415_616,
    },
    "tiny": {"clip": 25_568, "projection_experts": 80_256, "imu": 23_523, "llm": 221_632},
}
TAKES: Mapping[str, str] = {
    "cache_offset": (
        "corrected (default): decoding continues behind the prompt; published: as the original "
        "code, which counts 30 of the 32 inserted positions, so that the first two generated "
        "tokens overwrite the last two prompt tokens in the cache"
    ),
    **build_options.LLM_TAKES,
}

# names of the LLM's weights: transformers' and the published ones
_LAYER = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}
_TOP = {
    "model.embed_tokens.weight": "tok_embeddings.weight",
    "model.norm.weight": "norm.weight",
    "lm_head.weight": "output.weight",
}
_OTHERS = re.compile(  # the seven other modalities, CLIP's patches, head and text side
    r"\.(image|video|audio|point|rgbd|rgbn|fmri)(\.|$)"
    r"|^llma\.clip\.visual\.(conv1\.weight|positional_embedding|proj)$"
    r"|^llma\.clip\.(positional_embedding|text_projection|logit_scale|attn_mask)$"
    r"|^llma\.clip\.(token_embedding|ln_final)\.|rope\.freqs$"
)


@dataclass(frozen=True, slots=True)
class Inputs:
    """A request on the device: IMU [B, 6, 400] (None: text only), prompt ids [B, P]."""

    imu: torch.Tensor | None
    ids: torch.Tensor
    prompt: str


class OneLLM(SensorLLM):
    """The adapter: one method a stage."""

    stop = STOP

    def __init__(
        self, net: Any, config: OneLLMConfig, options: BuildOptions, tokenizer: tokenizers.Tokenizer
    ) -> None:
        self.encoder = net.encoder
        self.published = build_options.choice(options, "cache_offset", OFFSETS) == "published"
        decoder = Decoder(net.llm, options, eos=[tokenizer.eos], most=config.max_seq_len)
        super().__init__(decoder, options, tokenizer)
        self._flash = options.attention == "flash"
        net.encoder.set_eager(options.attention == "eager")
        self.facts = _facts(net, config, options, self)

    @frozen
    def preprocess(self, sample: Sample, raw: object) -> Inputs:
        """The window at 200 Hz and the tokenised prompt, on the device; rows are copies."""
        import torch

        window = imu_window.of_recording(sample.parse(raw), SECONDS, sample.path)
        prompt, ids = self.prompt(build_options.question(self.options, sample, PROMPT))
        rows, device = self.options.batch_size, self.options.device
        imu = torch.from_numpy(window).to(checkpoints.dtype_named(self.options.dtype))
        return Inputs(
            imu=imu[None].repeat(rows, 1, 1).to(device),
            ids=torch.tensor([ids] * rows).to(device),
            prompt=prompt,
        )

    def prompt(self, question: str) -> tuple[str, list[int]]:
        """The text that the model sees for a question, and its ids."""
        form = prompts.template("onellm", "v1")
        ids = prompts.ids(form, self.tokenizer, [question])
        filler = self.tokenizer.encode("\n", bos=False)[-1]
        return form.text([question]), tokenizers.fit(ids, self.options.prompt_tokens, filler=filler)

    @frozen
    def encode(self, inputs: Inputs) -> torch.Tensor:
        """30 tokens in LLM space, [B, 30, D]."""
        if self._flash:
            with flash():
                return self._encoded(inputs)
        return self._encoded(inputs)

    def _encoded(self, inputs: Inputs) -> torch.Tensor:
        tokens: torch.Tensor = self.encoder(inputs.imu)
        return tokens

    @frozen
    def prefill(self, inputs: Inputs, tokens: torch.Tensor | None) -> Request:
        """[BOS][start tag][30 tokens][end tag][rest of the prompt]; without tokens text only."""
        import torch

        embeds = self.decoder.embed(inputs.ids)
        if tokens is not None:
            rows = len(embeds)
            start = self.encoder.start_tag["imu"].expand(rows, -1, -1)
            end = self.encoder.end_tag["imu"].expand(rows, -1, -1)
            embeds = torch.cat([embeds[:, :1], start, tokens, end, embeds[:, 1:]], dim=1)
        forget = INSERTED - COUNTED if self.published and tokens is not None else 0
        state = self.decoder.prefill(embeds, forget=forget)
        state.prompt = inputs.prompt
        return state


def published(name: str) -> str:
    """The name in the published checkpoint of a weight of ours."""
    part, _, rest = name.partition(".")
    if part == "encoder":
        return f"llma.{rest}"
    if rest in _TOP:
        return f"llma.{_TOP[rest]}"
    layer, leaf = rest.removeprefix("model.layers.").split(".", 1)
    return f"llma.layers.{layer}.{_LAYER[leaf.removesuffix('.weight')]}.weight"


def half_split(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """A q or k projection whose heads rotate halves instead of neighbouring pairs.

    Meta's LLaMA rotates (x0, x1), (x2, x3), …; transformers (x0, x64), (x1, x65), …
    """
    out, dim = weight.shape
    return weight.view(heads, out // heads // 2, 2, dim).transpose(1, 2).reshape(out, dim)


def network(config: OneLLMConfig) -> nn.Module:
    """The encoder and the LLM as one module, without values."""
    from torch.nn import ModuleDict

    from tracekit.models.onellm.net import ImuEncoder

    llm = llama(
        {
            "hidden_size": config.dim,
            "intermediate_size": config.ffn(config.dim),
            "num_hidden_layers": config.n_layers,
            "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.n_heads,
            "vocab_size": config.vocab_size,
            "rms_norm_eps": config.norm_eps,
            "max_position_embeddings": config.max_seq_len,
            "rope_theta": config.rope_theta,
        }
    )
    with checkpoints.on_meta():
        encoder = ImuEncoder(config)
    return ModuleDict({"encoder": encoder, "llm": llm}).eval()


def parameters(size: str) -> dict[str, int]:
    """How many values each component of a size has; the IMU path only."""
    return _components(network(SIZES[size]))


def _components(net: Any) -> dict[str, int]:
    encoder, llm = net["encoder"], net["llm"]
    clip, experts = checkpoints.count(encoder.clip), checkpoints.count(encoder.resample_layers)
    return {
        "clip": clip,
        "projection_experts": experts,
        "imu": checkpoints.count(encoder) - clip - experts,
        "llm": checkpoints.count(llm),
    }


def _sizes(
    llm: Any, counts: Mapping[str, int], config: OneLLMConfig, dtype: str
) -> dict[str, object]:
    """`Facts.dims` but for the prompt."""
    encoder = sum(counts.values()) - counts["llm"] - 2 * config.dim  # the tags enter in prefill
    return {
        "llm": dims(llm.config, dtype, read_per_pass(llm)),
        "encode": {
            "flops": encode_flops(config),
            "weight_parameters": encoder,
            "bytes_per_value": checkpoints.bytes_per_value(dtype),
            "tokens": config.n_resample_tokens,
        },
    }


def described(dtype: str) -> dict[str, Any]:
    """The dimensions of the published size, on `meta`."""
    net: Any = network(SIZES["full"])
    return _sizes(net["llm"], _components(net), SIZES["full"], dtype)


def _facts(net: Any, config: OneLLMConfig, options: BuildOptions, adapter: OneLLM) -> Facts:
    counts = _components(net._net)
    text = len(adapter.prompt(options.prompt or PROMPT)[1])
    return adapter.described(
        "onellm",
        options.size,
        counts,
        {
            **_sizes(net.llm, counts, config, options.dtype),
            "prefill": {
                "tokens": text + INSERTED,
                "text_tokens": text,
                "sensor_tokens": config.n_resample_tokens,
                "tag_tokens": INSERTED - config.n_resample_tokens,
            },
        },
        cache_offset=OFFSETS[adapter.published],
        template="v1",
        config=asdict(config),
    )


def _config(options: BuildOptions) -> OneLLMConfig:
    """The sizes asked for, once params.json of the checkpoint, if there is one, agrees."""
    config = SIZES[build_options.size(options, SIZES, "onellm")]
    if options.checkpoint is None:
        return config
    path = checkpoints.folder(options.checkpoint) / "params.json"
    if not path.is_file():
        return config
    said = checkpoints.read_json(path)
    for name in ("dim", "n_layers", "n_heads", "multiple_of"):
        ours = getattr(config, name)
        if said.get(name, ours) != ours:
            raise TracekitError(
                f"the checkpoint has {name} {said[name]}, size {options.size!r} has {ours}",
                where=path,
                hint="use --size full for the published weights",
            )
    return replace(config, norm_eps=float(said.get("norm_eps", config.norm_eps)))


def build(options: BuildOptions) -> OneLLM:
    """The model, with published or random weights.

    Raises: TracekitError for an unknown size, device or option, or weights that do not fit.
    """
    build_options.check_extra(options, TAKES, "onellm")
    build_options.device_checked(options)
    config = _config(options)
    folder = checkpoints.folder(options.checkpoint) if options.checkpoint else None
    tokenizer = tokenizers.find(
        folder, vocab=config.vocab_size, named=build_options.path(options, build_options.TOKENIZER)
    )
    weights = _opened(options.checkpoint, config) if options.checkpoint else None
    return assembled(config, options, weights, tokenizer)


def _opened(checkpoint: Path, config: OneLLMConfig) -> checkpoints.Weights:
    weights = checkpoints.open_checkpoint(
        checkpoint, ("consolidated.*.s*.pth", "consolidated.*.pth", *checkpoints.PATTERNS)
    )
    rotated(weights, config)
    return weights


def rotated(weights: checkpoints.Weights, config: OneLLMConfig) -> None:
    """Pass the q and k projections of published weights through `half_split` when read."""
    for name, shape in weights.shapes.items():
        if re.fullmatch(r"llma\.layers\.\d+\.attention\.w[qk]\.weight", name) and len(shape) == 2:
            weights.changed(name, lambda value: half_split(value, config.n_heads))


@dataclass(slots=True)
class _Parts:
    encoder: Any
    llm: Any
    _net: object


def assembled(
    config: OneLLMConfig,
    options: BuildOptions,
    weights: checkpoints.Weights | None,
    tokenizer: tokenizers.Tokenizer,
) -> OneLLM:
    """The adapter of a configuration, filled."""
    net: Any = network(config)
    fill(
        net,
        options,
        weights,
        where=options.checkpoint or "weights",
        ignore=lambda name: bool(_OTHERS.search(name)),
        names=published,
    )
    return OneLLM(_Parts(net["encoder"], net["llm"], net), config, options, tokenizer)


def download(folder: Path, *, revision: str | None = None) -> None:
    """Fetch the published weights (15.2 GB) into a folder."""
    from tracekit.models.shared.download import fetch

    fetch("csuhan/OneLLM-7B", folder, revision=revision)


MODEL = Model(
    title="OneLLM 7B",
    input="imu",
    stages=tuple(Stage),
    sizes=SIZES,
    build=build,
    parameters=parameters,
    counts=COUNTS,
    licence="LLaMA 2 Community License (code and weights)",
    weights="huggingface.co/csuhan/OneLLM-7B (15.2 GB)",
    source="arXiv 2312.03700, github.com/csuhan/OneLLM",
    default_prompt=PROMPT,
    download=download,
    takes=TAKES,
    description=Description(
        encoder="CLIP ViT-L/14 over 400 samples of IMU and a universal projection of 3 experts: "
        "30 tokens",
        decoder="LLaMA 2 7B",
        vocabulary=LLAMA_IDS,
        trained_on="image and text first, then the other modalities; 2 M instructions of image, "
        "audio, video, point cloud, depth and normal map, IMU (Ego4D) and fMRI",
        prompt_tokens=81,
        dims=described,
    ),
)
