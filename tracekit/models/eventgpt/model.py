"""EventGPT 7B: events of an event camera through CLIP into Vicuna, 582 tokens for 5 images.

Source: Liu et al., arXiv 2412.00832; github.com/XduSyL/EventGPT.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import LLAMA_IDS, BuildOptions, Description, Model
from tracekit.models.eventgpt import checkpoint
from tracekit.models.shared import (
    build_options,
    checkpoints,
    event_frames,
    prompts,
    tokenizers,
)
from tracekit.models.shared.decoder import shape
from tracekit.models.shared.decoder.attention import flash_backend
from tracekit.models.shared.decoder.decoder import Decoder
from tracekit.models.shared.decoder.network import TINY, VICUNA_7B
from tracekit.models.shared.decoder.request import Request
from tracekit.models.shared.decoder.request import without_gradients as frozen
from tracekit.models.shared.sensor_llm import SensorLLM
from tracekit.taxonomy import Stage

if TYPE_CHECKING:
    import torch

    from tracekit.models.shared.golden import Golden

VIT_L_14_336: Mapping[str, object] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
TINY_VIT: Mapping[str, object] = {
    **VIT_L_14_336,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 42,
    "projection_dim": 32,
}
SIZES: Mapping[str, Mapping[str, Any]] = {
    "full": {"llm": VICUNA_7B, "vision": VIT_L_14_336},
    "tiny": {"llm": TINY, "vision": TINY_VIT},
}
COUNTS: Mapping[str, Mapping[str, int]] = {  # of values, as `parameters` counts them
    "full": {
        "vision_tower": 303_507_456,
        "projector": 20_979_712,
        "adaptor": 16_781_312,
        "llm": 6_738_415_616,
    },
    "tiny": {"vision_tower": 85_824, "projector": 7_296, "adaptor": 4_160, "llm": 216_512},
}
QUESTION = "Describe in detail what happened in the scene."
LONGEST = 2048  # positions the original keeps of a prompt, event tokens included
TAKES: Mapping[str, str] = {
    "vision_tower": "folder of CLIP ViT-L/14-336, where the checkpoint has none inside",
    **build_options.LLM_TAKES,
}
GOLDENS = ("EventGPT",)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What preprocess leaves on the device."""

    pixels: torch.Tensor  # [B, 5, 3, S, S]
    ids: torch.Tensor  # [P] of the prompt, MARKER at `at`, where the event tokens go
    at: int
    prompt: str


def parameters(size: str) -> dict[str, int]:
    """Parameters of the vision tower, projector, adaptor and language model."""
    from tracekit.models.eventgpt import net

    return net.parts(net.build(**SIZES[size]))


class EventGPT(SensorLLM):
    """The five stages of EventGPT."""

    def __init__(
        self,
        model: Any,
        options: BuildOptions,
        tokenizer: tokenizers.Tokenizer,
        said: Mapping[str, Any] | None = None,
    ) -> None:
        """`model` is filled and on its device; `said` goes into the facts' options."""
        from tracekit.models.eventgpt import net

        self.model = model
        decoder = Decoder(model, options, eos=[tokenizer.eos])
        super().__init__(decoder, options, tokenizer)
        net.set_attention(model, self.decoder.attention)
        self.vision = net.tower_of(model).config
        self.facts = self.described(
            "eventgpt",
            options.size,
            net.parts(model),
            dims(self),
            template="eventgpt_v1",
            vision={name: getattr(self.vision, name) for name in VIT_L_14_336},
            **(said or {}),
        )

    def preprocess(self, sample: Sample, raw: object) -> Inputs:
        """Five images on the device, and the prompt's ids; every row of the batch is this sample.

        Raises: TracekitError for a sample that holds no events, or too long a stretch of them.
        """
        import torch

        recording = sample.parse(raw)
        if recording.kind != "events":
            raise TracekitError(
                f"EventGPT takes events, this recording is of kind {recording.kind!r}",
                where=sample.path,
                hint="give an events file, or --data synthetic",
            )
        images = event_frames.frames(event_frames.checked(recording.arrays, sample.path))
        made = torch.from_numpy(event_frames.pixels(images, int(self.vision.image_size)))
        kind = checkpoints.dtype_named(self.options.dtype)
        # the cast on the host: the copy to the device is then half as large
        pixels = made.to(kind).to(self.options.device)
        rows = pixels.expand(self.options.batch_size, -1, -1, -1, -1).contiguous()
        question = build_options.question(self.options, sample, QUESTION)
        if self.options.prompt is None:  # a data set's questions may bring the marker along
            question = question.replace(prompts.EVENT, "").strip()
        prompt, ids = self.prompt(question)
        at = ids.index(tokenizers.MARKER)
        return Inputs(rows, torch.tensor(ids).to(self.options.device), at, prompt)

    def prompt(self, question: str) -> tuple[str, list[int]]:
        """The text that the model sees for a question, and its ids with MARKER for the events.

        Raises: TracekitError for a question that holds the marker itself.
        """
        form = prompts.template("eventgpt", "eventgpt_v1")
        return prompts.asked(form, self.tokenizer, question, self.options.prompt_tokens)

    @frozen
    def encode(self, inputs: Inputs) -> torch.Tensor:
        """[B, 5 + 577, D]: a token for each image, then one for each place."""
        with self._backend():
            return self._seen(inputs.pixels)

    def _backend(self) -> AbstractContextManager[None]:
        torch_flash = self.decoder.attention.startswith("flash (torch")
        return flash_backend() if torch_flash else nullcontext()

    def _seen(self, pixels: torch.Tensor) -> torch.Tensor:
        from tracekit.models.eventgpt import net

        seen = net.look(self.model, pixels.flatten(0, 1))
        adapted = net.adapt(self.model, net.project(self.model, seen))
        return net.aggregate(adapted.view(*pixels.shape[:2], *adapted.shape[1:]))

    @frozen
    def prefill(self, inputs: Inputs, tokens: torch.Tensor) -> Request:
        """The first token, and the cache.

        Raises: TracekitError for a prompt that leaves no room for the tokens asked for.
        """
        request = self.decoder.prefill(splice(self.decoder, inputs, tokens))
        request.prompt = inputs.prompt
        return request


def splice(decoder: Decoder, inputs: Inputs, tokens: torch.Tensor) -> torch.Tensor:
    """The prompt's embeddings with the event tokens in place of the marker, [B, T, D].

    T is at most 2048: what is beyond is cut from the right, as in the original.
    """
    import torch

    rows = tokens.shape[0]
    before = decoder.embed(inputs.ids[: inputs.at]).expand(rows, -1, -1)
    after = decoder.embed(inputs.ids[inputs.at + 1 :]).expand(rows, -1, -1)
    return torch.cat([before, tokens, after], dim=1)[:, :LONGEST]


def sizes(model: Any, dtype: str) -> dict[str, Any]:
    """`Facts.dims` but for the prompt. FLOPs are of one row's five images."""
    from tracekit.models.eventgpt import net

    parts, vision = net.parts(model), net.tower_of(model).config
    table = int(model.get_input_embeddings().weight.numel())
    return {
        "llm": shape.dims(model.config, dtype, parts["llm"] - table),
        "encode": {
            "flops": flops(vision, model.config.hidden_size),
            "weight_parameters": sum(parts.values()) - parts["llm"],
            "bytes_per_value": checkpoints.bytes_per_value(dtype),
            "tokens": event_frames.FRAMES + places(vision),
        },
    }


def described(dtype: str) -> dict[str, Any]:
    """The dimensions of the published size, on `meta`."""
    from tracekit.models.eventgpt import net

    return sizes(net.build(**SIZES["full"]), dtype)


def dims(ours: EventGPT) -> dict[str, Any]:
    """What FLOP and byte formulas need: see docs/models.md."""
    made = sizes(ours.model, ours.options.dtype)
    tokens = made["encode"]["tokens"]
    text = sum(i != tokenizers.MARKER for i in ours.prompt(ours.options.prompt or QUESTION)[1])
    return {
        **made,
        "prefill": {
            "tokens": min(LONGEST, text + tokens),
            "text_tokens": text,
            "sensor_tokens": tokens,
        },
    }


def places(vision: Any) -> int:
    """Tokens of one image: its patches and the class token."""
    return 1 + int(vision.image_size // vision.patch_size) ** 2


def flops(vision: Any, hidden: int) -> int:
    """FLOPs of the five images through tower, projector and adaptor, 2 a multiply-add.

    Norms, softmax and activations are not counted.
    """
    T = places(vision)
    W, F, N = vision.hidden_size, vision.intermediate_size, event_frames.FRAMES
    layer = 2 * T * (4 * W * W + 2 * W * F) + 4 * T * T * W
    patches = 2 * (T - 1) * 3 * vision.patch_size**2 * W
    after = 2 * T * (W * hidden + hidden * hidden + hidden * hidden)
    return int(N * (patches + vision.num_hidden_layers * layer + after))


def build(options: BuildOptions) -> EventGPT:
    """EventGPT on the device, with a checkpoint's weights or random ones.

    Raises: TracekitError for a checkpoint that is not its own.
    """
    from tracekit.models.eventgpt import net

    build_options.check_extra(options, TAKES, "eventgpt")
    build_options.device_checked(options)
    named = build_options.path(options, build_options.TOKENIZER)
    if options.checkpoint is not None:
        tower = build_options.path(options, "vision_tower")
        found = checkpoint.read(options.checkpoint, tower, named)
        model = net.build(found.llm, found.vision)
        net.fill(model, options, found.weights, where=options.checkpoint)
        tokenizer = checkpoint.tokenizer(found)
        return EventGPT(model, options, tokenizer, found.said)
    made = SIZES[build_options.size(options, SIZES, "eventgpt")]
    model = net.build(**made)
    net.fill(model, options, None, where="")
    return EventGPT(model, options, tokenizers.find(vocab=made["llm"]["vocab_size"], named=named))


def golden(case: Golden) -> dict[str, object]:
    """Our outputs for a golden: images, pixels, every step of the branch, greedy decoding."""
    import torch

    from tracekit.models.eventgpt import net

    config, steps = case.sidecar["config"], int(case.sidecar["decode_steps"])
    weights = checkpoints.Weights(())
    for name, value in case.under("weights.").items():
        weights.put(name, value.shape, partial(torch.from_numpy, value))
    options = BuildOptions(max_new_tokens=steps + 1, extra={"ignore_eos": True})
    model = net.build(config["llm"], config["vision"])
    net.fill(model, options, weights, where=case.path)
    special = checkpoint.added({}, 480, config)
    named = case.neighbour("tiny_llama_like_sp.model")
    tokenizer = tokenizers.find(vocab=config["llm"]["vocab_size"], named=named, special=special)
    ours = EventGPT(model, replace(options, prompt=case.sidecar["question"]), tokenizer)
    return _run(ours, case, steps)


def _run(ours: EventGPT, case: Golden, steps: int) -> dict[str, object]:
    """The outputs of one request, stage by stage."""
    import numpy as np
    import torch

    from tracekit.models.eventgpt import net

    images = event_frames.frames(event_frames.checked(case.under("in.events."), case.path))
    pixels = event_frames.pixels(images, int(ours.vision.image_size))
    out: dict[str, object] = {f"out.frame{k}": image for k, image in enumerate(images)}
    out["out.pixel_values"] = pixels
    ids = tuple(case.tensors["in.input_ids"][0].tolist())
    form = prompts.template("eventgpt", "eventgpt_v1")
    question = case.sidecar["question"]
    out["prompt"] = form.text([question]) == case.sidecar["prompt"] or "prompts differ"
    mine = tuple(prompts.ids(form, ours.tokenizer, [question]))
    out["input_ids"] = mine == ids or f"got {mine}"
    given = torch.from_numpy(pixels)
    asked = Inputs(given[None], torch.tensor(ids), ids.index(tokenizers.MARKER), "")
    with torch.inference_mode():
        seen = net.look(ours.model, given)
        projected = net.project(ours.model, seen)
        adapted = net.adapt(ours.model, projected)
        tokens = ours.encode(asked)
        embeds = splice(ours.decoder, asked, tokens)
    stages = {"clip_last_hidden": seen, "projected": projected, "adapted": adapted}
    out |= {f"out.{name}": value.numpy() for name, value in stages.items()}
    out["out.event_tokens"] = tokens[0].numpy()
    out["out.inputs_embeds"] = embeds.numpy()
    state = ours.prefill(asked, tokens)
    out["out.prefill_logits"] = state.logits.numpy()
    logits = []
    for _ in range(steps):
        state = ours.decode(state)
        logits.append(state.logits[0].numpy())
    out["out.decode_logits"] = np.stack(logits)
    out["out.decode_ids"] = np.array(state.ids)[:, :steps]
    return out


MODEL = Model(
    title="EventGPT 7B: an event camera's stream through CLIP ViT-L/14-336 into Vicuna",
    input="events",
    stages=tuple(Stage),
    sizes=SIZES,
    build=build,
    parameters=parameters,
    counts=COUNTS,
    licence="Apache-2.0 by the repository's badge; LLaMA-2 Community for the language model",
    weights="the authors' Google Drive, linked from github.com/XduSyL/EventGPT",
    source="Liu et al., arXiv 2412.00832; github.com/XduSyL/EventGPT",
    default_prompt=QUESTION,
    takes=TAKES,
    description=Description(
        encoder="CLIP ViT-L/14-336 over 5 images of the events, means over time and over space: "
        "582 tokens",
        decoder="Vicuna 7B (LLaMA 2)",
        vocabulary=replace(LLAMA_IDS, added="<ev_patch>, and <ev_start>, <ev_end> where on"),
        trained_on="image-text pairs; N-ImageNet-Chat (synthetic events); Event-Chat",
        prompt_tokens=635,
        dims=described,
    ),
)
