"""The stages of transformers' causal and vision-language models."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tracekit.datasets.entry import Recording, Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions, Facts
from tracekit.models.huggingface.library import IMAGE_PROMPT, TEXT_PROMPT, quiet, said_plainly
from tracekit.models.shared import build_options, checkpoints, tokenizers
from tracekit.models.shared.llama import Decoder, Request

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")


class Text:
    """The folder's tokenizer, or the stand-in where it has none."""

    def __init__(self, folder: Path, options: BuildOptions, vocab: int) -> None:
        self.tokenizer: Any = None
        self._stand_in: tokenizers.WordPieces | None = None
        self.options = options
        if any((folder / name).is_file() for name in TOKENIZER_FILES):
            from transformers import AutoTokenizer

            library: Any = AutoTokenizer
            with said_plainly(folder), quiet():
                self.tokenizer = library.from_pretrained(folder, local_files_only=True)
            self.about = f"{type(self.tokenizer).__name__}, {len(self.tokenizer)} ids"
        else:
            self._stand_in = tokenizers.WordPieces(vocab)
            self.about = self._stand_in.about

    def prompt(self, question: str) -> tuple[str, list[int]]:
        """The text that the model sees, and its ids."""
        text, special = self._templated(question), True
        if self._stand_in is not None:
            ids = self._stand_in.encode(text)
        else:
            special = not self.chat  # a chat template writes its special tokens itself
            ids = list(self.tokenizer(text, add_special_tokens=special)["input_ids"])
        if not ids:
            raise TracekitError(
                "the prompt has no tokens", where="--prompt", hint="write some text"
            )
        return text, tokenizers.fit(ids, self.options.prompt_tokens, filler=ids[-1])

    @property
    def chat(self) -> bool:
        """Whether the tokenizer's chat template is used."""
        there = bool(getattr(self.tokenizer, "chat_template", None))
        return there and (
            "chat" not in self.options.extra or build_options.flag(self.options, "chat")
        )

    def _templated(self, question: str) -> str:
        if not self.chat:
            return question
        turns = [{"role": "user", "content": question}]
        made = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return str(made)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated ids."""
        if self._stand_in is not None:
            return self._stand_in.decode(ids)
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()


@dataclass(frozen=True, slots=True)
class Inputs:
    """A request on the device: ids [B, P], and what else the model takes of a picture."""

    ids: torch.Tensor
    prompt: str
    more: Mapping[str, torch.Tensor]


class CausalLM:
    """A causal language model: no encode stage."""

    default_prompt = TEXT_PROMPT

    def __init__(
        self, decoder: Decoder, text: Text, options: BuildOptions, facts: Facts, folder: Path
    ) -> None:
        self.decoder, self.tokens, self.options = decoder, text, options
        self.facts, self.folder = facts, folder
        self.model = decoder.model

    def load(self, sample: Sample) -> Any:
        """Bytes of the prompt or picture on disk to host memory."""
        return sample.read()

    def preprocess(self, sample: Sample, raw: Any) -> Inputs:
        """The tokenised prompt on the device; rows are copies."""
        recording = sample.parse(raw)
        question = self.options.prompt or recording.text or sample.prompt or self.default_prompt
        prompt, ids = self.tokens.prompt(question)
        rows = torch.tensor([ids] * self.options.batch_size)
        return Inputs(ids=rows.to(self.options.device), prompt=prompt, more={})

    def prefill(self, inputs: Inputs, tokens: Any) -> Request:
        """The first token, and the cache."""
        state = self.decoder.prefill(ids=inputs.ids)
        state.prompt = inputs.prompt
        return state

    def decode(self, state: Request) -> Request:
        """One more token."""
        return self.decoder.decode(state)

    def text(self, state: Request) -> list[str]:
        """What was generated, without special tokens."""
        return [self.tokens.decode(row) for row in state.ids]


class VisionLM(CausalLM):
    """A vision-language model: what its image encoder gives is computed in a stage of its own."""

    default_prompt = IMAGE_PROMPT

    def __init__(
        self, decoder: Decoder, text: Text, options: BuildOptions, facts: Facts, folder: Path
    ) -> None:
        """Raises: TracekitError where the folder has no processor, or the model no encoder."""
        from transformers import AutoProcessor

        super().__init__(decoder, text, options, facts, folder)
        library: Any = AutoProcessor
        with said_plainly(folder), quiet():
            self.processor = library.from_pretrained(folder, local_files_only=True)
        inner = getattr(self.model, "model", self.model)
        self.owner: Any = inner if hasattr(inner, "get_image_features") else self.model
        if not hasattr(self.owner, "get_image_features"):
            raise TracekitError(
                "its image encoder cannot be run by itself",
                where=type(self.model).__name__,
                hint="write an adapter of your own: docs/models.md",
            )
        if options.prompt_tokens is not None:
            raise TracekitError(
                "a picture's prompt cannot be cut or padded",
                where="--prompt-tokens",
                hint="leave it out for this model",
            )

    def preprocess(self, sample: Sample, raw: Any) -> Inputs:
        """Picture and prompt through the model's own processor, on the device; rows are copies."""
        recording = sample.parse(raw)
        question = self.options.prompt or sample.prompt or self.default_prompt
        prompt = self._prompt(question)
        rows, device = self.options.batch_size, self.options.device
        made = self.processor(
            images=[_pixels(recording, sample)] * rows, text=[prompt] * rows, return_tensors="pt"
        )
        dtype = checkpoints.dtype_named(self.options.dtype)
        moved = {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in made.items()
            if isinstance(value, torch.Tensor) and name != "attention_mask"
        }
        return Inputs(ids=moved.pop("input_ids"), prompt=prompt, more=moved)

    def _prompt(self, question: str) -> str:
        if getattr(self.processor, "chat_template", None):
            content = [{"type": "image"}, {"type": "text", "text": question}]
            turns = [{"role": "user", "content": content}]
            return str(self.processor.apply_chat_template(turns, add_generation_prompt=True))
        mark = getattr(self.processor, "image_token", "<image>")
        return f"USER: {mark}\n{question} ASSISTANT:"  # LLaVA's

    @torch.no_grad()
    def encode(self, inputs: Inputs) -> Any:
        """What the model's image encoder and connector make of the picture."""
        wanted = inspect.signature(self.owner.get_image_features).parameters
        given = {name: value for name, value in inputs.more.items() if name in wanted}
        return self.owner.get_image_features(**given, return_dict=True)

    def prefill(self, inputs: Inputs, tokens: Any) -> Request:
        """The first token; the model finds its picture encoded already."""
        with self._encoded(tokens):
            more: dict[str, Any] = dict(inputs.more)
            state = self.decoder.prefill(ids=inputs.ids, **more)
        state.prompt = inputs.prompt
        return state

    @contextmanager
    def _encoded(self, tokens: Any) -> Iterator[None]:
        """Inside, asking the encoder gives `tokens`."""
        self.owner.get_image_features = lambda *_given, **_named: tokens
        try:
            yield
        finally:
            del self.owner.get_image_features  # the class's own again


def _pixels(recording: Recording, sample: Sample) -> Any:
    pixels = recording.arrays.get("pixels")
    if pixels is None:
        raise TracekitError(
            f"a picture is wanted, this is {recording.kind}",
            where=sample.path,
            hint="give --data a .png, .jpg or .npy [H, W, 3]",
        )
    return pixels
