"""A causal language model of transformers as prefill and decode steps, with its KV cache.

The model is transformers' own (LLaMA for OneLLM, LLaSA and EventGPT; any other for `hf:`). This
adds what a request needs around it: a cache that stays in place between requests, the choice of
attention, the next token, the end of the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions
from tracekit.models.shared.build_options import IGNORE_EOS, flag
from tracekit.models.shared.decoder.attention import flash_backend, set_attention
from tracekit.models.shared.decoder.cache import cache_argument, drop
from tracekit.models.shared.decoder.compiling import compiled
from tracekit.models.shared.decoder.request import Request, without_gradients
from tracekit.models.shared.sampling import choose

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import torch


class Decoder:
    """Prefill and decode of one causal language model.

    Shapes: B rows of the batch, T positions, D hidden size, V vocabulary.
    """

    def __init__(
        self, model: Any, options: BuildOptions, *, eos: Sequence[int], most: int | None = None
    ) -> None:
        """`most` positions fit the model; None asks its configuration.

        Raises: TracekitError where the attention or cache asked for cannot be had here.
        """
        self.model = model
        self.options = options
        self.eos = frozenset() if flag(options, IGNORE_EOS) else frozenset(eos)
        text = model.config.get_text_config(decoder=True)
        self.most: int = most or int(getattr(text, "max_position_embeddings", 0) or 1 << 30)
        self.cache_kind: str = "static" if options.compile else options.cache
        self.attention = set_attention(model, options, self.cache_kind)
        if options.shard is not None:
            options.shard(model)
        self._takes_cache = cache_argument(model)
        self._static: Any = None  # (rows, positions, cache): its addresses stay, for CUDA graphs
        self._step: Any
        self._step, self.compiled = compiled(self.forward, options, "decode step")

    @without_gradients
    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings [B, T, D] of token ids [B, T]."""
        found: torch.Tensor = self.model.get_input_embeddings()(ids)
        return found

    @without_gradients
    def prefill(
        self,
        embeds: torch.Tensor | None = None,
        *,
        ids: torch.Tensor | None = None,
        forget: int = 0,
        **more: Any,
    ) -> Request:
        """The first token, and the cache. Takes embeddings [B, T, D] or ids [B, T].

        `forget` cached positions are dropped again from the end, see OneLLM. `more` goes to the
        model (`pixel_values` of a vision-language model).

        Raises: TracekitError for a prompt that leaves no room for the tokens asked for.
        """
        given = embeds if embeds is not None else ids
        if given is None:
            raise ValueError("embeds or ids")
        rows, length = int(given.shape[0]), int(given.shape[1])
        wanted = length + self.options.max_new_tokens
        if wanted > self.most:
            raise TracekitError(
                f"{length} prompt positions and {self.options.max_new_tokens} new tokens are more "
                f"than the model's {self.most}",
                where="--max-new-tokens",
                hint="ask for fewer, or shorten the prompt",
            )
        cache = self.empty_cache(rows, wanted)
        named = {"inputs_embeds": embeds} if embeds is not None else {"input_ids": ids}
        logits = self.forward(cache, **named, **self.pass_inputs(rows, 0, length), **more)
        if forget:
            drop(cache, forget)
        request = Request(
            ids=[[] for _ in range(rows)],
            finished=False,
            prompt_tokens=length,
            logits=logits,
            next=logits.new_zeros(rows).long(),
            cache=cache,
            length=length - forget,
            done=[False] * rows,
        )
        self._append(request)
        return request

    @without_gradients
    def decode(self, request: Request) -> Request:
        """One more token for every row that is not done. The request is changed in place."""
        if self.options.compile:  # CUDA graphs: what the last step gave is about to be reused
            import torch

            compiler: Any = torch.compiler
            compiler.cudagraph_mark_step_begin()
        more = self.pass_inputs(len(request.ids), request.length, 1)
        request.logits = self._step(request.cache, input_ids=request.next[:, None], **more)
        request.length += 1
        self._append(request)
        return request

    @without_gradients
    def feed(self, request: Request, ids: torch.Tensor) -> torch.Tensor:
        """Logits [B, k, V] float32 of k given tokens [B, k], which enter the cache."""
        more = self.pass_inputs(len(request.ids), request.length, int(ids.shape[1]))
        logits = self.forward(request.cache, keep=0, input_ids=ids, **more)
        request.length += int(ids.shape[1])
        return logits

    def pass_inputs(self, rows: int, start: int, length: int) -> Mapping[str, Any]:
        """What a pass over positions `start` … takes with its tokens; LLaMA counts by itself."""
        return {}

    def forward(self, cache: Any, keep: int = 1, **given: Any) -> torch.Tensor:
        """Logits [B, V] float32 of the last position; [B, T, V] of all where `keep` is 0."""
        with self._backend():
            given[self._takes_cache] = cache
            out = self.model(use_cache=True, logits_to_keep=keep, **given)
        logits: torch.Tensor = out.logits.float()
        return logits[:, -1] if keep == 1 else logits

    def _backend(self) -> AbstractContextManager[None]:
        return flash_backend() if self.attention.startswith("flash (torch") else nullcontext()

    def _append(self, request: Request) -> None:
        """Choose the next token of each row, and see which rows are done."""
        # drawn from torch's own generator, which capture seeds for every request
        request.next = self.chosen(request)
        for row, token in enumerate(request.next.tolist()):
            if not request.done[row]:
                request.ids[row].append(token)
                request.done[row] = token in self.eos
        most = max(map(len, request.ids))
        request.finished = all(request.done) or most >= self.options.max_new_tokens

    def chosen(self, request: Request) -> torch.Tensor:
        """The next token of each row, [B], from the logits of the last pass."""
        return choose(request.logits, self.options.temperature, self.options.top_p)

    def empty_cache(self, rows: int, positions: int) -> Any:
        """A cache without positions; a static one has room for so many, and stays in place."""
        from transformers import DynamicCache, StaticCache

        if self.cache_kind == "dynamic":
            return DynamicCache(config=self.model.config)
        if self._static is None or self._static[0] != rows or self._static[1] < positions:
            room = -(-positions // 8) * 8  # masks of whole vectors
            self._static = (rows, room, StaticCache(config=self.model.config, max_cache_len=room))
        cache = self._static[2]
        cache.reset()
        return cache


def decoded(decoder: Decoder, request: Request, label: str, steps: int) -> dict[str, torch.Tensor]:
    """`steps` more tokens of a one-row request as goldens name them: ids fed, logits after each."""
    import torch

    logits = []
    for _ in range(steps):
        decoder.decode(request)
        logits.append(request.logits[0])
    return {
        f"{label}.decode_ids": torch.tensor([request.ids[0][:steps]]),
        f"{label}.decode_logits": torch.stack(logits),
    }
