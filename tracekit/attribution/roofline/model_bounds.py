"""The least work of each stage of our own captures, from the model's dimensions in the metadata.

Weights are read once a forward pass, keys and values of the context once a token, and every weight
of a matrix does one multiply-add a token. Prefill applies the head to the last position alone.
Norms, softmax, rotary embeddings, activations and the scans of recurrent layers are left out: about
one percent. Layers that see a window meet and read no more than its positions; a recurrent
layer reads its state once a token, whatever came before, and one that attends in chunks the
positions of its chunk. Keys and values are those that the run itself cached, where the metadata
says how many: of latent attention they are fewer, or expanded. A decoder that attends to an
encoder's tokens makes keys and values of them in prefill, and reads these in every pass.

Of a mixture of experts a token multiplies with the experts that it chose. A pass reads at least as
many as one token chooses, since all its tokens may choose the same. Chosen evenly, n tokens reach
E·(1 - (1 - k/E)ⁿ) of E experts: an estimate, so no part of the floor.

Source: 2 FLOPs a weight and token, with attention beside it: Kaplan et al., arXiv 2001.08361, 2.1;
MFU: Chowdhery et al., arXiv 2204.02311, appendix B.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracekit.attribution.roofline.devices import DTYPES
from tracekit.records import Record
from tracekit.trace.trace import Trace


class Need(Record, frozen=True):
    """What a stage has to do at least, for all its forward passes."""

    stage: str
    dtype: str
    passes: tuple[tuple[int, int], ...]  # FLOPs and bytes of each forward pass
    weight_bytes: int  # of the bytes: weights read
    tokens: int | None  # through the stage, over all batch rows
    even_weight_bytes: int | None = None  # weights read if experts are chosen evenly; None: dense


def needs(trace: Trace) -> tuple[Need, ...]:
    """One for each stage whose dimensions the metadata gives; empty for any other trace."""
    meta = trace.source.meta.get("tracekit")
    return stated(meta) if isinstance(meta, Mapping) else ()


def stated(meta: Mapping[str, object]) -> tuple[Need, ...]:
    """The needs of the requests that `dims`, `tokens`, `dtype` and `batch_size` describe.

    They are as in docs/metadata.md; a stage whose dimensions are not known is left out.
    """
    dims, tokens = meta.get("dims"), meta.get("tokens")
    dtype = DTYPES.get(str(meta.get("dtype")))
    if not isinstance(dims, Mapping) or dtype is None:
        return ()
    batch = _whole(meta.get("batch_size")) or 1
    counts = tokens if isinstance(tokens, Mapping) else {}
    generated = counts.get("generated")
    made = [n for one in _list(generated) if (n := _whole(one)) is not None]
    requests = _requests(meta, len(made))
    out: list[Need] = []
    encoder, llm = dims.get("encode"), dims.get("llm")
    if isinstance(encoder, Mapping) and requests:
        out += _encoder(encoder, dtype, requests, counts, batch)
    lengths = prompts(counts, len(made))
    if isinstance(llm, Mapping) and lengths:
        shape = _shape(llm)
        if shape is not None and _attends_alike(shape, counts):
            out.append(_prefill(shape, dtype, lengths, batch))
            out.append(_decode(shape, dtype, lengths, batch, made))
    return tuple(need for need in out if need.passes)


def prompts(counts: Mapping[str, object], requests: int) -> list[int]:
    """Positions that prefill filled, of each row, request by request; empty where not known."""
    each = [_whole(one) or 0 for one in _list(counts.get("prefill_each"))]
    one = _whole(counts.get("prefill")) or 0
    found = each if len(each) == requests else [one] * requests
    return found if all(found) else []


def _requests(meta: Mapping[str, object], made: int) -> int:
    profiled = meta.get("profiled")
    samples = profiled.get("samples") if isinstance(profiled, Mapping) else None
    return len(_list(samples)) or made


def _attends_alike(llm: Llm, counts: Mapping[str, object]) -> bool:
    """Whether every request attends to as many of an encoder's tokens as `llm` states."""
    return not llm.cross_positions or _whole(counts.get("sensor")) == llm.cross_positions


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


class Llm(Record, frozen=True):
    """A decoder: docs/metadata.md, `dims.llm`."""

    layers: int
    hidden: int
    vocab: int
    bytes_per_value: int
    weight_parameters: int  # that every forward pass reads: layers, final norm, head
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    expert_parameters: int = 0  # of routed experts, in all layers; 0: dense
    experts: int = 0  # in a layer
    experts_per_token: int = 0
    pair_flops: int | None = None  # of a query with a key, over layers that see all positions
    cache_values: int | None = None  # of a position, over those layers
    window: int = 0  # positions that the other attention layers see
    chunk: int = 0  # or: they see those of their chunk of so many
    window_pair_flops: int = 0
    window_cache_values: int = 0
    state_values: int = 0  # of the recurrent states of a row
    cross_positions: int = 0  # of an encoder, that each layer attends to
    cross_pair_flops: int = 0  # of a query with one of them, over all layers
    cross_values: int = 0  # cached of one of them, over all layers
    cross_parameters: int = 0  # that make those, once a request: in no other number of weights

    @property
    def head_weights(self) -> int:
        return self.vocab * self.hidden

    @property
    def active_parameters(self) -> int:
        """Weights that one token multiplies with: the least that a pass reads."""
        if not self.expert_parameters:
            return self.weight_parameters
        chosen = self.expert_parameters * self.experts_per_token // self.experts
        return self.weight_parameters + chosen

    def even_parameters(self, tokens: int) -> float:
        """Weights that a pass over `tokens` reads if each chooses its experts evenly, by itself."""
        if not self.expert_parameters:
            return self.weight_parameters
        missed = (1 - self.experts_per_token / self.experts) ** tokens
        return self.weight_parameters + self.expert_parameters * (1 - missed)

    def even_bytes(self, passes: Sequence[int]) -> int | None:
        """Bytes of weights of passes over so many tokens each, if chosen evenly; None: dense."""
        if not self.expert_parameters:
            return None
        return round(sum(map(self.even_parameters, passes)) * self.bytes_per_value)

    def pairs_flops(self, first: int, last: int) -> int:
        """QKᵀ and PV, in all layers, of the queries at positions `first` to `last`, from 1.

        Each meets the keys of all positions up to its own, or of the last `window` of them, or of
        those in its chunk; and all of the encoder's.
        """
        pair = self.pair_flops
        if pair is None:
            pair = 4 * self.layers * self.heads * self.head_dim
        queries = last - first + 1
        own = pair * ((first + last) * queries // 2)
        crossed = self.cross_pair_flops * self.cross_positions * queries
        return own + crossed + self.window_pair_flops * self._in_sight(first, last)

    def _in_sight(self, first: int, last: int) -> int:
        """Keys that the queries of windowed or chunked layers meet."""
        if self.chunk:
            return self._chunked(last) - self._chunked(first - 1)
        short = max(min(last, self.window) - first + 1, 0)  # queries that see less than a window
        seen = (first + min(last, self.window)) * short // 2
        return seen + (last - first + 1 - short) * self.window

    def _chunked(self, last: int) -> int:
        """Keys that the queries up to `last` meet, each those of its chunk up to its own."""
        whole, rest = divmod(last, self.chunk)
        return whole * self.chunk * (self.chunk + 1) // 2 + rest * (rest + 1) // 2

    def kept_bytes(self, positions: int) -> int:
        """Keys and values of `positions`, and recurrent states, of one row, in all layers."""
        values = self.cache_values
        if values is None:
            values = 2 * self.layers * self.kv_heads * self.head_dim
        seen = (positions - 1) % self.chunk + 1 if self.chunk else min(positions, self.window)
        other = self.window_cache_values * seen + self.cross_values * self.cross_positions
        return (values * positions + other + self.state_values) * self.bytes_per_value


def llm_of(meta: Mapping[str, object]) -> Llm | None:
    """The decoder that the metadata of one of our own captures describes, or None."""
    dims = meta.get("dims")
    llm = dims.get("llm") if isinstance(dims, Mapping) else None
    return _shape(llm) if isinstance(llm, Mapping) else None


_MIXTURE = ("expert_parameters", "experts", "experts_per_token")
_NEEDED = ("layers", "hidden", "vocab", "bytes_per_value", "weight_parameters")
_HEADS = ("heads", "kv_heads", "head_dim")
_MEASURED = ("pair_flops", "cache_values")  # of the run, in place of the heads' formula


def _shape(dims: Mapping[str, object]) -> Llm | None:
    """The decoder, or None where a number is missing or the mixture contradicts itself."""
    stated = {name: _whole(dims.get(name)) for name in Llm.__struct_fields__}
    found = {name: value for name, value in stated.items() if value is not None}
    measured = all(name in found for name in _MEASURED)
    needed = _NEEDED if measured else (*_NEEDED, *_HEADS)
    if not all(found.get(name) for name in needed):
        return None
    if found.get("window_cache_values") and not (found.get("window") or found.get("chunk")):
        return None
    mixture = [found.get(name, 0) for name in _MIXTURE]
    if any(mixture) and (not all(mixture) or mixture[2] > mixture[1]):
        return None
    return Llm(**found)


def _encoder(
    dims: Mapping[str, object], dtype: str, requests: int, counts: Mapping[str, object], batch: int
) -> list[Need]:
    """`flops` is of one row of the batch; weights are read once a request."""
    flops, weights = _whole(dims.get("flops")), _whole(dims.get("weight_parameters"))
    size = _whole(dims.get("bytes_per_value"))
    if flops is None or weights is None or size is None:
        return []
    sensor = _whole(counts.get("sensor"))
    tokens = sensor * batch * requests if sensor is not None else None
    each = (batch * flops, weights * size)
    return [Need("encode", dtype, (each,) * requests, weights * size * requests, tokens)]


def _prefill(llm: Llm, dtype: str, lengths: Sequence[int], batch: int) -> Need:
    inner = llm.active_parameters - llm.head_weights
    weights = (llm.active_parameters + llm.cross_parameters) * llm.bytes_per_value
    others = 2 * llm.head_weights + 2 * llm.cross_parameters * llm.cross_positions
    passes = tuple(
        (
            batch * (2 * inner * length + others + llm.pairs_flops(1, length)),
            weights + batch * llm.kept_bytes(length),  # written
        )
        for length in lengths
    )
    even = llm.even_bytes([batch * length for length in lengths])
    return Need("prefill", dtype, passes, weights * len(passes), batch * sum(lengths), even)


def _decode(llm: Llm, dtype: str, lengths: Sequence[int], batch: int, made: Sequence[int]) -> Need:
    """The first token is prefill's; step s reads the context of prompt and s tokens."""
    weights = llm.active_parameters * llm.bytes_per_value
    passes = tuple(
        (
            batch * (2 * llm.active_parameters + llm.pairs_flops(length + step, length + step)),
            weights + batch * llm.kept_bytes(length + step),
        )
        for length, tokens in zip(lengths, made, strict=True)
        for step in range(1, tokens)
    )
    even = llm.even_bytes([batch] * len(passes))
    return Need("decode", dtype, passes, weights * len(passes), batch * len(passes), even)


def pass_over(llm: Llm, first: int, last: int, batch: int = 1) -> tuple[int, int]:
    """FLOPs and least bytes of a pass over positions `first` to `last` (from 1) of each row.

    Every position goes through the head: a step of decode, or a pass that verifies draft tokens.
    """
    flops = 2 * llm.active_parameters * (last - first + 1) + llm.pairs_flops(first, last)
    kept = llm.kept_bytes(last)
    return batch * flops, llm.active_parameters * llm.bytes_per_value + batch * kept
