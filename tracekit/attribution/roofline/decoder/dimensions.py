"""A decoder in numbers, whoever states them, and what it has to do at least for so many tokens.

Two origins: the metadata of our own captures, and the `config.json` that a user names.
"""

from __future__ import annotations

from tracekit.attribution.roofline.devices import BYTES
from tracekit.attribution.roofline.formulas.work import Lengths
from tracekit.records import Record


class NoFitError(Exception):
    """Why dimensions are not those of a trace: one line without a full stop."""


class Latent(Record, frozen=True):
    """Multi-head latent attention. Source: DeepSeek-V2, arXiv 2405.04434, 2.1."""

    queries: int  # q_lora_rank
    kv: int  # kv_lora_rank: what is cached of keys and values, beside `rope`
    nope: int  # of a head, of its queries and keys without positions
    rope: int  # with positions; keys share one
    values: int


class Mixture(Record, frozen=True):
    """Routed experts."""

    experts: int  # of a layer
    chosen: int  # by a token
    intermediate: int
    layers: int  # that have them; the others are dense
    shared: int = 0  # intermediate of all shared experts together


class Stored(Record, frozen=True):
    """Quantised weights: bits of a value, without what scales take."""

    bits: int
    products: str  # the dtype in which products are: of the inputs, else of the model
    attention: bool = True  # whether these matrices are quantised
    mlp: bool = True
    experts: bool = True
    router: bool = False
    head: bool = False


class Decoder(Record, frozen=True):
    """The matrices and heads that one rank of `tp` has a share of."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    dtype: str  # a key of devices.BYTES
    gated: bool = True  # the MLP has a gate beside `up`
    windowed: int = 0  # layers that may see less than all positions
    latent: Latent | None = None
    mixture: Mixture | None = None
    stored: Stored | None = None  # None: all weights are in `dtype`
    tp: int = 1

    @property
    def size(self) -> int:
        """Bytes of a value that is not quantised."""
        return BYTES[self.dtype]

    @property
    def queries(self) -> int:
        """Columns of this rank's queries."""
        return self.heads * self.head_dim // self.tp

    @property
    def keys(self) -> int:
        """Columns of this rank's keys: a head is not divided."""
        return max(self.kv_heads // self.tp, 1) * self.head_dim

    @property
    def head_columns(self) -> int:
        """Columns of the head, padding not counted."""
        return -(-self.vocab // self.tp)

    def attention(self, lengths: Lengths, cache_size: int, absorbed: bool) -> tuple[int, int]:
        """FLOPs and least bytes of all layers' attention over the requests of one pass.

        `cache_size` are bytes of a cached value; `absorbed`: latent attention that meets the cache
        as it is. A layer with a window meets a key for each query at least.
        """
        if self.latent is not None:
            return self._latent(self.latent, lengths, cache_size, absorbed)
        full, pairs = self.layers - self.windowed, lengths.causal_pairs
        done = 4 * self.queries * (full * pairs + self.windowed * lengths.queries)
        moved = 2 * self.layers * lengths.queries * self.queries * self.size
        return done, moved + full * lengths.keys * 2 * self.keys * cache_size

    def _latent(
        self, own: Latent, lengths: Lengths, cache_size: int, absorbed: bool
    ) -> tuple[int, int]:
        """Each head with the one cached key; not absorbed, with keys and values made of it."""
        heads, pairs = self.heads // self.tp, lengths.causal_pairs
        cached = own.kv + own.rope
        wide, out = (cached, own.kv) if absorbed else (own.nope + own.rope, own.values)
        done = 2 * self.layers * heads * pairs * (wide + out)
        moved = self.layers * lengths.queries * heads * (wide + out) * self.size
        return done, moved + self.layers * lengths.keys * cached * cache_size
