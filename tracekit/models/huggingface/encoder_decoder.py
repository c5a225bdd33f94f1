"""The stages of transformers' encoder-decoder models: one reads once, the other writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tracekit.datasets.entry import Recording, Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions, Facts
from tracekit.models.huggingface.adapters import CausalLM, Inputs
from tracekit.models.huggingface.decoding import LibraryDecoder
from tracekit.models.huggingface.library import run_plainly
from tracekit.models.huggingface.text import Text
from tracekit.models.shared.decoder.request import Request, without_gradients


class SequenceDecoder(LibraryDecoder):
    """A decoder that attends to what an encoder gave, by transformers' pair of caches."""

    def __init__(self, model: object, options: BuildOptions, *, eos: Sequence[int]) -> None:
        """Raises: TracekitError where the attention or cache asked for cannot be had here."""
        if options.compile:
            raise TracekitError(
                "decoding of encoder-decoder models is not compiled here",
                where="--compile",
                hint="leave it out for this model",
            )
        super().__init__(model, options, eos=eos, positions=False)
        self._read: Mapping[str, object] = {}  # what each pass is given of the encoder

    def prefill(self, embeds: Any = None, *, ids: Any = None, **more: Any) -> Request:
        """The first token after the start tokens `ids`; `more` is what the encoder gave."""
        self._read = more
        return super().prefill(embeds, ids=ids)

    def pass_inputs(self, rows: int, start: int, length: int) -> Mapping[str, object]:
        """What the encoder gave."""
        return self._read

    def forward(self, cache: Any, keep: int = 1, **given: Any) -> torch.Tensor:
        """As `Decoder.forward`; the ids are the decoder's."""
        given["decoder_input_ids"] = given.pop("input_ids")
        given[self.cache_name] = cache
        out = self.model(use_cache=True, **given)
        logits: torch.Tensor = out.logits.float()
        return logits[:, -1] if keep == 1 else logits

    def empty_cache(self, rows: int, positions: int) -> object:
        """A cache of the decoder's own keys and values, and one of the encoder's tokens."""
        from transformers import DynamicCache, EncoderDecoderCache

        own = super().empty_cache(rows, positions)
        return EncoderDecoderCache(own, DynamicCache(config=self.model.config))


class EncoderDecoder(CausalLM):
    """Text to text: the encoder reads the prompt, prefill is of the decoder's start tokens."""

    def __init__(
        self, decoder: SequenceDecoder, text: Text, options: BuildOptions, facts: Facts,
        folder: Path,
    ) -> None:  # fmt: skip
        super().__init__(decoder, text, options, facts, folder)
        self.encoder = self.model.get_encoder()
        self._start = start_tokens(self.model, folder)

    def start(self, rows: int) -> torch.Tensor:
        """The decoder's first ids [B, n] on the device."""
        return torch.tensor([self._start] * rows).to(self.options.device)

    def preprocess(self, sample: Sample, raw: object) -> Inputs:
        """The tokenised prompt on the device; rows are copies.

        Raises: TracekitError for a prompt that is longer than the encoder's positions.
        """
        recording = sample.parse(raw)
        prompt, ids = self.tokens.prompt(self.question(sample, recording))
        most = getattr(self.model.config, "max_position_embeddings", None) or 1 << 30
        if len(ids) > most:
            raise TracekitError(
                f"{len(ids)} prompt positions are more than the encoder's {most}",
                where="--prompt",
                hint="shorten the prompt, or cut it with --prompt-tokens",
            )
        rows = self.options.batch_size
        given = torch.tensor([ids] * rows).to(self.options.device)
        return Inputs(ids=self.start(rows), prompt=prompt, more={"input_ids": given})

    def question(self, sample: Sample, recording: Recording) -> str:
        """What the encoder reads."""
        return self.options.prompt or recording.text or sample.prompt or self.default_prompt

    @without_gradients
    def encode(self, inputs: Inputs) -> Any:
        """What the encoder makes of the prompt or sound."""
        self.encode_pass.saw(lambda: self.encoded(inputs), inputs.shapes, len(inputs.ids))
        with run_plainly(self.model, "encode"):
            return self.encoded(inputs)

    def encoded(self, inputs: Inputs) -> object:
        """The encoder's pass."""
        return self.encoder(**inputs.more, return_dict=True)

    def prefill(self, inputs: Inputs, tokens: Any) -> Request:
        """The first token, and the keys and values of the encoder's tokens."""
        more = {"encoder_outputs": tokens}
        if "attention_mask" in inputs.more:
            more["attention_mask"] = inputs.more["attention_mask"]
        with run_plainly(self.model, "prefill"):
            state = self.decoder.prefill(ids=inputs.ids, **more)
        state.prompt = inputs.prompt
        state.sensor_tokens = int(tokens[0].shape[1])
        return state


def start_tokens(model: Any, where: object) -> list[int]:
    """The decoder's first ids, as the generation configuration gives them.

    Raises: TracekitError where it gives none.
    """
    said = model.generation_config
    first = getattr(said, "decoder_start_token_id", None)
    first = first if first is not None else getattr(model.config, "decoder_start_token_id", None)
    first = first if first is not None else getattr(said, "bos_token_id", None)
    if first is None:
        raise TracekitError(
            "neither decoder_start_token_id nor bos_token_id is given",
            where=where,
            hint="add it to generation_config.json",
        )
    ids = [int(first[0] if isinstance(first, list) else first)]
    languages, tasks = getattr(said, "lang_to_id", None), getattr(said, "task_to_id", None)
    if languages:  # Whisper: English where none is said; its own detection is a pass more
        language = getattr(said, "language", None) or "en"
        ids.append(int(languages.get(f"<|{language}|>", next(iter(languages.values())))))
    if tasks:
        ids.append(int(tasks[getattr(said, "task", None) or "transcribe"]))
    if (plain := getattr(said, "no_timestamps_token_id", None)) is not None:
        ids.append(int(plain))
    return ids
