"""A model that puts a sensor's tokens into a causal language model: the stages that all share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracekit.datasets.entry import Sample
from tracekit.models.entry import BuildOptions, Facts
from tracekit.models.shared import tokenizers
from tracekit.models.shared.decoder.decoder import Decoder
from tracekit.models.shared.decoder.request import Request


class SensorLLM:
    """load, decode and text; preprocess, encode and prefill are the model's own."""

    stop: str | None = None  # text at which the template's next turn would begin

    def __init__(
        self, decoder: Decoder, options: BuildOptions, tokenizer: tokenizers.Tokenizer
    ) -> None:
        self.decoder, self.options, self.tokenizer = decoder, options, tokenizer

    def load(self, sample: Sample) -> Any:
        """The sample's bytes, read from disk."""
        return sample.read()

    def decode(self, state: Request) -> Request:
        """One more token."""
        return self.decoder.decode(state)

    def text(self, state: Request) -> list[str]:
        """What was generated, without the end token, up to where the next turn would begin."""
        eos = self.tokenizer.eos
        texts = [self.tokenizer.decode([i for i in row if i != eos]) for row in state.ids]
        return [(text.split(self.stop)[0] if self.stop else text).strip() for text in texts]

    def described(
        self,
        model: str,
        size: str,
        parameters: Mapping[str, int],
        dims: Mapping[str, Any],
        notes: Sequence[str] = (),
        **more: object,
    ) -> Facts:
        """The facts of this model; `more` goes into their options."""
        return Facts(
            model=model,
            size=size,
            parameters=parameters,
            random_weights=self.options.checkpoint is None,
            dims={"batch_size": self.options.batch_size, **dims},
            tokenizer=self.tokenizer.about,
            attention=self.decoder.attention,
            cache=self.decoder.cache_kind,
            options={**more, "compile": self.decoder.compiled},
            notes=tuple(notes),
        )
