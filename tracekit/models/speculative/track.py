"""A decoder's cache through rounds of speculation: what is refused leaves it, row by row.

Rows of a batch that accept different numbers hold different numbers of positions. Each row's stand
in the first slots of the cache, without holes; a pass writes behind the longest row, and what a
shorter one keeps of it is then moved down:

    before a pass     row 0  abcde        row 1  abc..
    after it          row 0  abcdeFGH     row 1  abc..FGH    a mask hides the two empty slots
    2 and 3 kept      row 0  abcdeFG      row 1  abcFGH.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tracekit.errors import TracekitError
from tracekit.models.shared.decoder.cache import CACHE_KINDS, drop
from tracekit.models.shared.decoder.decoder import Decoder
from tracekit.models.shared.decoder.request import Request
from tracekit.models.shared.decoder.request import without_gradients as frozen

if TYPE_CHECKING:
    import torch


class Track:
    """A decoder and the cache of one request in the course of its rounds."""

    def __init__(self, decoder: Decoder, request: Request) -> None:
        """`request` as prefill left it."""
        self.decoder, self.cache = decoder, request.cache
        self.lengths = [request.length] * len(request.ids)  # [B] positions that each row holds
        self._start = request.length  # the first slot behind the longest row
        self._fed = 0  # positions fed since `settle`
        for layer in _sliding(self.cache.layers):
            layer.activate_past_recording()  # what a roll-back brings back into the window stays

    @frozen
    def feed(self, ids: torch.Tensor, keep: int = 0) -> torch.Tensor:
        """Logits of tokens [B, w], which enter the cache: [B, w, V], or [B, V] (keep 1)."""
        width = int(ids.shape[1])
        logits = self.decoder.forward(self.cache, keep, input_ids=ids, **self._places(width))
        self._fed += width
        return logits

    def _places(self, width: int) -> Mapping[str, object]:
        """Positions and mask of a pass; of rows of one length what the decoder itself says."""
        rows, begin = len(self.lengths), self._start + self._fed
        if all(length == self._start for length in self.lengths):
            return self.decoder.pass_inputs(rows, begin, width)
        import torch

        device = self.decoder.options.device
        held = torch.tensor(self.lengths, device=device)[:, None]
        slots = torch.arange(begin + width, device=device)
        return {
            "attention_mask": ((slots < held) | (slots >= self._start)).long(),
            "position_ids": held + torch.arange(self._fed, self._fed + width, device=device),
        }

    @frozen
    def settle(self, lengths: Sequence[int]) -> None:
        """Each row keeps its first `lengths` positions, of those it held and those fed since."""
        kept = [max(new - old, 0) for new, old in zip(lengths, self.lengths, strict=True)]
        if any(k and old < self._start for k, old in zip(kept, self.lengths, strict=True)):
            self._move(kept)
        refused = self._start + self._fed - max(lengths)
        drop(self.cache, refused)
        if not refused:
            for layer in _sliding(self.cache.layers):
                layer.crop(0)  # down to the window again
        self.lengths, self._fed, self._start = list(lengths), 0, max(lengths)

    def _move(self, kept: Sequence[int]) -> None:
        """The first `kept` positions of the passes since, down to the end of each row."""
        import torch

        device = self.decoder.options.device
        number = torch.arange(max(kept), device=device)
        held = torch.tensor(self.lengths, device=device)[:, None]
        ours = number < torch.tensor(kept, device=device)[:, None]  # [B, n]
        source = (self._start + number).expand_as(ours)
        place = torch.where(ours, held + number, source)  # what is not kept stays where it is
        for layer in self.cache.layers:
            for values in (layer.keys, layer.values):  # [B, heads, slots, D]
                wide = (-1, values.shape[1], -1, values.shape[3])
                moved = values.gather(2, source[:, None, :, None].expand(wide))
                values.scatter_(2, place[:, None, :, None].expand(wide), moved)

    @property
    def bytes(self) -> int:
        """Bytes of the cache: of a static one all its room."""
        return sum(t.nbytes for layer in self.cache.layers for t in (layer.keys, layer.values))


def _sliding(layers: Sequence[Any]) -> list[Any]:
    """The layers that keep a window of tokens."""
    return [layer for layer in layers if getattr(layer, "is_sliding", False)]


def _why_not_sliding(decoder: Decoder, layers: Sequence[Any]) -> str:
    """Why windows cannot be rolled back here; empty where there are none, or they can."""
    if not layers:
        return ""
    slides = "its attention slides over a window"
    if decoder.cache_kind != "dynamic":
        return f"{slides}, and a static cache of it forgets what a roll-back would need"
    if decoder.options.batch_size > 1:
        return f"{slides}, in which rows that accept different numbers cannot be moved"
    if not all(hasattr(layer, "activate_past_recording") for layer in layers):
        return f"{slides}, which this version of transformers cannot roll back"
    return ""


def check(decoder: Decoder, name: str) -> None:
    """Nothing where a decoder's cache can be rolled back. Raises: TracekitError with the reason."""
    from transformers import DynamicCache

    why = ""
    if decoder.cache_kind not in CACHE_KINDS:
        why = f"it keeps {decoder.cache_kind}, which cannot be rolled back"
    else:
        why = _why_not_sliding(decoder, _sliding(DynamicCache(config=decoder.model.config).layers))
    if why:
        raise TracekitError(
            why, where=name, hint="choose a model whose layers keep keys and values of all tokens"
        )
    if decoder.options.batch_size == 1:
        return
    if "position_ids" not in inspect.signature(decoder.model.forward).parameters:
        raise TracekitError(
            "takes no positions, which rows of a batch need that accept different numbers",
            where=name,
            hint="use --batch-size 1",
        )
    if decoder.attention.startswith("flash (torch"):
        raise TracekitError(
            "torch's flash attention takes no mask, which rows of a batch need that accept "
            "different numbers",
            where=f"{name}, --attention flash",
            hint="use --batch-size 1, or --attention sdpa",
        )
