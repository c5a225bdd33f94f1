"""Prefill and decode of any model of transformers, token by token as its own `generate` does it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions
from tracekit.models.huggingface import dimensions, generation
from tracekit.models.shared.decoder.cache import CACHES, cache_argument
from tracekit.models.shared.decoder.decoder import Decoder
from tracekit.models.shared.decoder.request import Request
from tracekit.models.shared.sampling import choose

if TYPE_CHECKING:
    import torch

# absolute biases that transformers builds for the positions so far, not for those of a static cache
ALIBI = ("bloom", "mpt")
# text differs from that of a dynamic cache: why
STATIC_DIFFERS: Mapping[str, str] = {
    "gpt_neo": "its local attention counts from the end of the cache, where a static one is empty",
}
KEPT = "a state of its own"


@dataclass(slots=True)
class Carried:
    """What a model makes of itself in place of a cache of transformers, handed on step by step."""

    value: Any = None


class LibraryDecoder(Decoder):
    """One model of transformers with what its `generate` would pass and apply.

    `positions` says whether passes are told their positions, as `generate` does for text.
    """

    def __init__(
        self, model: Any, options: BuildOptions, *, eos: Sequence[int], positions: bool = True
    ) -> None:
        """Raises: TracekitError where the attention or cache asked for cannot be had here."""
        named = inspect.signature(model.forward).parameters
        if not any(name in named for name in CACHES):
            raise TracekitError(
                "cannot be taken stage by stage: it has no cache of what it has read",
                where=type(model).__name__,
                hint="write an adapter of your own: docs/models.md",
            )
        check_cache(model, options)
        super().__init__(model, options, eos=eos)
        self.carries = _carries(model)
        if self.carries:
            self.cache_kind = KEPT
        self.cache_name = cache_argument(model)
        self._cuts = "logits_to_keep" in named
        self._positions = positions and "position_ids" in named
        self.cache_kind = self._kept()
        self.effects = generation.effects(model.generation_config, self.eos)
        self._seen: torch.Tensor | None = None  # [B, n] prompt and generated ids
        self._processors: Any = None
        self._measured = False
        self.kept: Mapping[str, int] | None = None  # see dimensions; None: not run, or not known

    def _kept(self) -> str:
        """What is kept between tokens, in words: a cache, a recurrent state, or both."""
        if self.carries:
            return KEPT
        layers = getattr(self.empty_cache(1, 8), "layers", [])
        self._static = None
        states = sum(any("LinearAttention" in kind.__name__ for kind in type(one).__mro__)
                     for one in layers)  # fmt: skip
        if not states:
            return self.cache_kind
        keys = sum(hasattr(one, "get_mask_sizes") for one in layers)
        state = f"recurrent state in {states} of {len(layers)} layers"
        return f"{self.cache_kind} in {keys}, {state}" if keys else state

    def notes(self) -> list[str]:
        """What one should know of how this model runs here, in words."""
        said = []
        if self.attention.startswith("eager (") and self.options.attention != "eager":
            said.append(f"attention: {self.attention}")
        why = STATIC_DIFFERS.get(self.model.config.get_text_config(decoder=True).model_type)
        if why and self.cache_kind.startswith("static"):
            said.append(f"a static cache changes this model's text: {why}")
        if self.carries or "recurrent" in self.cache_kind:
            said.append(f"kept between tokens: {self.cache_kind}")
        return [*said, *self.effects.sentences()]

    def prefill(self, embeds: Any = None, *, ids: Any = None, **more: Any) -> Request:
        """As `Decoder.prefill`; what the generation configuration applies begins here."""
        if self.effects.applied:
            self._seen = ids if ids is not None else embeds.new_zeros((len(embeds), 0)).long()
            length = int(self._seen.shape[1])
            most = length + self.options.max_new_tokens
            self._processors = generation.processors(
                self.effects, length, most, self.eos, self._seen.device
            )
        request = super().prefill(embeds, ids=ids, **more)
        if not self._measured:  # once: it is alike for all requests
            self._measured = True
            held = request.cache.value if isinstance(request.cache, Carried) else request.cache
            self.kept = dimensions.kept(held, self.model.config, len(request.ids))
        return request

    def pass_inputs(self, rows: int, start: int, length: int) -> Mapping[str, object]:
        """Positions [B, T] as `generate` counts them, made on the device."""
        if not self._positions:
            return {}
        import torch

        at = torch.arange(start, start + length, device=self.options.device)
        return {"position_ids": at.expand(rows, length)}

    def forward(self, cache: Any, keep: int = 1, **given: Any) -> torch.Tensor:
        """As `Decoder.forward`; a state of the model's own is handed on."""
        if not isinstance(cache, Carried):
            return super().forward(cache, keep, **given)
        given[self.cache_name] = cache.value
        if self._cuts:
            given["logits_to_keep"] = keep
        out = self.model(use_cache=True, **given)
        cache.value = next(
            (found for name in CACHES if (found := getattr(out, name, None)) is not None), None
        )
        logits: torch.Tensor = out.logits.float()
        return logits[:, -1] if keep == 1 else logits

    def empty_cache(self, rows: int, positions: int) -> object:
        """A cache of transformers, or the place of a state that the model makes by itself."""
        return Carried() if self.carries else super().empty_cache(rows, positions)

    def chosen(self, request: Request) -> torch.Tensor:
        """The next token of each row, [B], with what the generation configuration applies."""
        if not self.effects.applied:
            return super().chosen(request)
        import torch

        assert self._seen is not None
        scores = self._processors(self._seen, request.logits)
        token = choose(scores, self.options.temperature, self.options.top_p)
        self._seen = torch.cat([self._seen, token[:, None]], dim=-1)
        return token


def _carries(model: Any) -> bool:
    """Whether the model makes its own state where others take a cache of transformers."""
    return not model._supports_default_dynamic_cache()


def check_cache(model: Any, options: BuildOptions) -> None:
    """Nothing where the model can have the cache asked for. Raises: TracekitError where not."""
    if not options.compile and options.cache != "static":
        return
    flag = "--compile" if options.compile else "--cache static"
    text = model.config.get_text_config(decoder=True)
    why = ""
    if _carries(model):
        why = f"{type(model).__name__} keeps a state of its own, not a cache that could be static"
    elif text.model_type in ALIBI or getattr(text, "alibi", False):
        why = "its ALiBi biases are as long as the positions so far, and a static cache is longer"
    if why:
        raise TracekitError(why, where=flag, hint="use --cache dynamic without --compile")
