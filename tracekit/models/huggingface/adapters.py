"""The stages of transformers' causal language models, with a picture or a sound before the text."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from tracekit.datasets.entry import Recording, Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions, Facts
from tracekit.models.huggingface.decoding import LibraryDecoder
from tracekit.models.huggingface.encode_pass import EncodePass
from tracekit.models.huggingface.library import (
    IMAGE_PROMPT,
    TEXT_PROMPT,
    run_plainly,
)
from tracekit.models.huggingface.processors import processor
from tracekit.models.huggingface.text import Text, templated
from tracekit.models.shared import checkpoints
from tracekit.models.shared.decoder.request import Request, without_gradients


@dataclass(frozen=True, slots=True)
class Inputs:
    """A request on the device: ids [B, P], and what else the model takes of picture or sound."""

    ids: torch.Tensor
    prompt: str
    more: Mapping[str, Any] = field(default_factory=dict)
    placed: int | None = None  # tokens of an encoder in a row's prompt, where an id stands for them

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of what the encoder takes."""
        tensors = (one for one in self.more.values() if isinstance(one, torch.Tensor))
        return tuple(tuple(one.shape) for one in tensors)


class CausalLM:
    """A causal language model: no encode stage."""

    default_prompt = TEXT_PROMPT

    def __init__(
        self, decoder: LibraryDecoder, text: Text, options: BuildOptions, facts: Facts, folder: Path
    ) -> None:
        self.decoder, self.tokens, self.options = decoder, text, options
        self._facts, self.folder = facts, folder
        self.model = decoder.model
        self.encode_pass = EncodePass(options.dtype)

    @property
    def facts(self) -> Facts:
        """The facts; after a request with what it left between its tokens."""
        made, dims = self._facts, dict(self._facts.dims)
        if self.decoder.kept is not None and "llm" in dims:
            dims["llm"] = {**dims["llm"], **self.decoder.kept}
        if encode := self.encode_pass.dims():
            dims["encode"] = encode
        return replace(made, dims=dims, notes=(*made.notes, *self.encode_pass.notes()))

    def load(self, sample: Sample) -> Any:
        """Bytes of the prompt, picture or sound on disk to host memory."""
        return sample.read()

    def preprocess(self, sample: Sample, raw: object) -> Inputs:
        """The tokenised prompt on the device; rows are copies."""
        recording = sample.parse(raw)
        question = self.options.prompt or recording.text or sample.prompt or self.default_prompt
        prompt, ids = self.tokens.prompt(question)
        rows = torch.tensor([ids] * self.options.batch_size)
        return Inputs(ids=rows.to(self.options.device), prompt=prompt)

    def prefill(self, inputs: Inputs, tokens: Any) -> Request:
        """The first token, and the cache."""
        with run_plainly(self.model, "prefill"):
            state = self.decoder.prefill(ids=inputs.ids)
        state.prompt = inputs.prompt
        return state

    def decode(self, state: Request) -> Request:
        """One more token."""
        with run_plainly(self.model, "decode"):
            return self.decoder.decode(state)

    def text(self, state: Request) -> list[str]:
        """What was generated, without special tokens."""
        return [self.tokens.decode(row) for row in state.ids]


class PromptedLM(CausalLM):
    """A model whose encoder's tokens take places in the prompt: encode is a stage of its own.

    `features` is the method of the model that runs its encoder, `mark` the config's id of the token
    that each of the encoder's replaces.
    """

    features = "get_image_features"
    marks = ("image_token_id", "image_token_index")
    what = "picture"

    def __init__(
        self,
        decoder: LibraryDecoder,
        text: Text,
        options: BuildOptions,
        facts: Facts,
        folder: Path,
        model: Any = None,
    ) -> None:
        """`model` is the whole where the decoder runs a part of it.

        Raises: TracekitError where the folder has no processor, or the model no encoder.
        """
        super().__init__(decoder, text, options, facts, folder)
        self.model = model if model is not None else decoder.model
        self.processor = processor(folder)
        self._forward = inspect.signature(self.model.forward).parameters
        self.owner = self._owner()
        if options.prompt_tokens is not None:
            raise TracekitError(
                f"a {self.what}'s prompt cannot be cut or padded",
                where="--prompt-tokens",
                hint="leave it out for this model",
            )

    def _owner(self) -> object:
        inner = getattr(self.model, "model", self.model)
        owner = inner if hasattr(inner, self.features) else self.model
        if not hasattr(owner, self.features):
            raise TracekitError(
                f"its {self.what} encoder cannot be run by itself",
                where=type(self.model).__name__,
                hint="write an adapter of your own: docs/models.md",
            )
        return owner

    def preprocess(self, sample: Sample, raw: Any) -> Inputs:
        """Picture or sound and prompt through the model's own processor; rows are copies.

        Raises: TracekitError where the processor fails, or gives ids that the model has not.
        """
        recording = sample.parse(raw)
        prompt = self.asked(self.options.prompt or sample.prompt or self.default_prompt)
        with run_plainly(self.processor, "preprocess"):
            made = self.processed(recording, sample, prompt)
        row = made["input_ids"][0].tolist()  # on the host: the device is not waited for
        self.tokens.check(row)
        dtype = checkpoints.dtype_named(self.options.dtype)
        moved: dict[str, Any] = {}
        for name, value in made.items():
            if name == "attention_mask" or not self._takes(name):
                continue
            if isinstance(value, torch.Tensor):
                kind = dtype if value.is_floating_point() else value.dtype
                value = value.to(self.options.device, kind)
            moved[name] = value
        ids = moved.pop("input_ids")
        return Inputs(ids=ids, prompt=prompt, more=moved, placed=self._placed(row))

    def _takes(self, name: str) -> bool:
        """Whether the model's forward takes this by name; targets of training are no input."""
        return name in self._forward and name != "labels"

    def processed(self, recording: Recording, sample: Sample, prompt: str) -> Mapping[str, Any]:
        """What the model's own processor makes of picture or sound and prompt, on the host."""
        pictures = [[_picture(recording, sample)] for _ in range(self.options.batch_size)]
        texts = [prompt] * len(pictures)
        found: Mapping[str, Any] = self.processor(images=pictures, text=texts, return_tensors="pt")
        return found

    def asked(self, question: str) -> str:
        """The prompt as the model sees it, the place of picture or sound in it."""
        if getattr(self.processor, "chat_template", None):
            content = [{"type": "image"}, {"type": "text", "text": question}]
            return templated(self.processor, [{"role": "user", "content": content}], self.folder)
        if getattr(self.processor, "num_query_tokens", None):  # BLIP-2's puts its tokens in itself
            return question
        mark = getattr(self.processor, "image_token", "<image>")
        return f"USER: {mark}\n{question} ASSISTANT:"  # LLaVA's

    default_prompt = IMAGE_PROMPT

    @without_gradients
    def encode(self, inputs: Inputs) -> Any:
        """What the model's encoder and connector make of the picture or sound."""
        self.encode_pass.saw(lambda: self.encoded(inputs), inputs.shapes, len(inputs.ids))
        with run_plainly(self.model, "encode"):
            return self.encoded(inputs)

    def encoded(self, inputs: Inputs) -> object:
        """The encoder's pass."""
        run = getattr(self.owner, self.features)
        wanted = inspect.signature(run).parameters
        given = {name: value for name, value in inputs.more.items() if name in wanted}
        return run(**given, return_dict=True)

    def prefill(self, inputs: Inputs, tokens: Any) -> Request:
        """The first token; the model finds its picture or sound encoded already."""
        with self._encoded(tokens), run_plainly(self.model, "prefill"):
            state = self.decoder.prefill(ids=inputs.ids, **inputs.more)
        state.prompt = inputs.prompt
        state.sensor_tokens = inputs.placed
        return state

    def _placed(self, row: Sequence[int]) -> int | None:
        """Tokens of the encoder in a row's prompt; None where no id stands for them."""
        config = self.model.config
        mark = next((m for name in self.marks if (m := getattr(config, name, None))), None)
        return None if mark is None else row.count(mark)

    @contextmanager
    def _encoded(self, tokens: object) -> Iterator[None]:
        """Inside, asking the encoder gives `tokens`."""
        setattr(self.owner, self.features, lambda *_given, **_named: tokens)
        try:
            yield
        finally:
            delattr(self.owner, self.features)  # the class's own again


class QueriedLM(PromptedLM):
    """BLIP-2: queries take their places among the embeddings, and the LLM reads those."""

    def prefill(self, inputs: Inputs, tokens: Any) -> Request:
        """The first token; the LLM is run by itself, as the model's own `generate` does."""
        with run_plainly(self.model, "prefill"):
            state = self.decoder.prefill(self.embeds(inputs.ids, tokens.pooler_output))
        state.prompt = inputs.prompt
        state.sensor_tokens = inputs.placed
        return state

    @without_gradients
    def embeds(self, ids: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The LLM's input [B, P, D]: text, with the queries' tokens [B, n, D] in their places."""
        found: torch.Tensor = self.model.get_input_embeddings()(ids)
        places = (ids == self.model.config.image_token_id)[..., None]
        return found.masked_scatter(places, tokens.to(found.dtype))


def _picture(recording: Recording, sample: Sample) -> Any:
    """The pixels as Pillow's image, which every processor takes."""
    from PIL import Image

    pixels = recording.arrays.get("pixels")
    if pixels is None:
        raise TracekitError(
            f"a picture is wanted, this is {recording.kind}",
            where=sample.path,
            hint="give --data a .png, .jpg or .npy [H, W, 3]",
        )
    return Image.fromarray(pixels)
