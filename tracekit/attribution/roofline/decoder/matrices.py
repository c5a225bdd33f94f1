"""The matrices of a decoder's layer in the order in which it multiplies with them.

    q k v | attention | o gate up down                each alone
    qkv   | attention | o gate_up down                fused, as engines have them
    qkv   | attention | o router experts experts      a mixture
    qkv_a q_b uk | attention | uv o …                 latent attention, absorbed: W_UK, W_UV

Places are as in a layer: those before attention, attention, those after. What a layer has more or
fewer than these is another make, and is refused.

Source: vLLM vllm/model_executor/models/{llama,mixtral,gpt_oss,deepseek_v2}.py, SGLang
python/sglang/srt/models of the same names; DeepSeek-V2, arXiv 2405.04434, appendix C (absorbed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracekit.attribution.roofline.decoder.dimensions import Decoder, Mixture, NoFitError
from tracekit.records import Record


class Matrix(Record, frozen=True):
    """Weights [k, n], or as many of them as experts; `heads` of them in one batched product."""

    name: str
    k: int
    n: int
    bits: int  # of a stored value
    dtype: str  # of the products
    heads: int = 1
    experts: int = 0  # that have one each; 0: dense
    chosen: int = 0  # of them by a token
    also: int = 0  # weights of an expert that the same kernel multiplies with too
    passed: int = 0  # values of a token that experts read and write at least, by all it chose

    @property
    def values(self) -> int:
        """Weights of one dense matrix, or of one expert."""
        return self.heads * self.k * self.n + self.also

    @property
    def least(self) -> int:
        """Bytes of weights that a call reads: of experts, all tokens may choose the same."""
        return min(self.chosen, self.experts) * self._bytes if self.experts else self._bytes

    @property
    def _bytes(self) -> int:
        return self.values * self.bits // 8

    @property
    def told(self) -> str:
        return f"{self.k} → {self.n}"

    def work(self, calls: int, rows: int, size: int) -> tuple[int, int]:
        """FLOPs and least bytes of `calls` products over `rows` tokens together."""
        times = self.chosen if self.experts else 1
        passed = self.passed if self.experts else self.heads * (self.k + self.n)
        return 2 * rows * times * self.values, calls * self.least + rows * passed * size

    def shape(self, rows: str) -> str:
        """For a reader: m×n×k, of experts how many a token chooses."""
        if self.experts:
            return f"{rows}×{self.chosen} of {self.experts} experts×{self.n}×{self.k}"
        return f"{self.heads}×{rows}×{self.n}×{self.k}" if self.heads > 1 else (
            f"{rows}×{self.n}×{self.k}"
        )  # fmt: skip


def head(decoder: Decoder) -> Matrix:
    """The head, which few methods of quantisation touch."""
    return _matrix(decoder, "head", "head", decoder.hidden, decoder.head_columns)


def of_layer(decoder: Decoder, before: int, experts: Sequence[bool]) -> Mapping[int, Matrix]:
    """By place. `experts` says of each GEMM after attention whether its kernel is named as of some.

    Raises: NoFitError where the layer has other GEMMs than the decoder.
    """
    first = _before(decoder, before)
    after = _after(decoder, before, experts)
    return {**dict(enumerate(first)), **{before + 1 + at: one for at, one in after.items()}}


def _before(one: Decoder, count: int) -> list[Matrix]:
    if one.latent is not None:
        return _latent_before(one, count)
    keys = one.keys
    columns = {
        1: [("query, key, value projection", one.queries + 2 * keys)],
        2: [("query projection", one.queries), ("key, value projection", 2 * keys)],
        3: [("query projection", one.queries), ("key projection", keys),
            ("value projection", keys)],
    }.get(count)  # fmt: skip
    if columns is None:
        raise NoFitError(f"a layer of the trace has {count} GEMMs before attention, not 1 to 3")
    return [_attention(one, name, one.hidden, n) for name, n in columns]


def _latent_before(one: Decoder, count: int) -> list[Matrix]:
    own = one.latent
    assert own is not None
    if not own.queries or count not in (2, 3):
        raise NoFitError(
            f"a layer of the trace has {count} GEMMs before its latent attention, which are not "
            "told apart"
        )
    heads = one.heads // one.tp
    made = [
        _attention(one, "query, key, value down-projection", one.hidden,
                   own.queries + own.kv + own.rope),
        _attention(one, "query up-projection", own.queries, heads * (own.nope + own.rope)),
    ]  # fmt: skip
    # absorbed, the keys' up-projection meets the queries; else it makes keys (and values)
    third = Matrix("key up-projection", own.nope, own.kv, _bits(one, "attention"), one.dtype, heads)
    return [*made, third][:count]


def _after(one: Decoder, before: int, experts: Sequence[bool]) -> dict[int, Matrix]:
    if one.mixture is not None:
        if not any(experts):
            raise NoFitError(
                f"it has {one.mixture.experts} experts, and no GEMM of a layer is named as of some"
            )
        return {**_apart_from_experts(one, before, experts), **_mixture(one, one.mixture, experts)}
    if any(experts):
        raise NoFitError("it has no experts, and the trace runs GEMMs of experts")
    if one.latent is not None and len(experts) != 3:
        raise NoFitError(
            f"a layer of the trace has {len(experts)} GEMMs after its latent attention, which are "
            "not told apart"
        )
    return dict(enumerate([_out(one), *_dense(one, len(experts) - 1)]))


def _out(one: Decoder) -> Matrix:
    wide = one.queries if one.latent is None else one.heads * one.latent.values // one.tp
    return _attention(one, "attention output projection", wide, one.hidden)


def _apart_from_experts(one: Decoder, before: int, experts: Sequence[bool]) -> dict[int, Matrix]:
    """The GEMMs of a mixture's layer that are none of an expert, as far as their number tells: the
    output, the router, two of shared experts in any order; absorbed, one that makes values first.
    """
    rows = [at for at, named in enumerate(experts) if not named]
    made: list[Matrix] = []
    if one.latent is not None and len(rows) % 2:
        if before < 3 or len(rows) < 3:
            return {}
        heads = one.heads // one.tp
        made.append(Matrix("value up-projection", one.latent.kv, one.latent.values,
                           _bits(one, "attention"), one.dtype, heads))  # fmt: skip
    made.append(_out(one))
    assert one.mixture is not None
    if len(rows) == len(made) + 1 and rows[-1] < experts.index(True):
        made.append(_matrix(one, "router", "router", one.hidden, one.mixture.experts))
    # all but the router and shared experts' come first
    return dict(zip(rows, made, strict=False)) if rows[: len(made)] == [*range(len(made))] else {}


def _dense(one: Decoder, count: int) -> list[Matrix]:
    wide = one.intermediate // one.tp
    names = {
        (2, True): [("MLP gate, up projection", one.hidden, 2 * wide)],
        (2, False): [("MLP up projection", one.hidden, wide)],
        (3, True): [("MLP gate projection", one.hidden, wide),
                    ("MLP up projection", one.hidden, wide)],
    }.get((count, one.gated))  # fmt: skip
    if names is None:
        kind = "with" if one.gated else "without"
        raise NoFitError(
            f"a layer of the trace has {count + 1} GEMMs after attention, which an MLP {kind} a "
            "gate has not"
        )
    every = [*names, ("MLP down projection", wide, one.hidden)]
    return [_matrix(one, "mlp", name, k, n) for name, k, n in every]


def _mixture(one: Decoder, own: Mixture, experts: Sequence[bool]) -> dict[int, Matrix]:
    """The experts' GEMMs: one kernel for each product, or one for both.

    None where several ranks share the weights: whether they share each expert, or have some of them
    each, does not show, so nothing is the least that a rank does.
    """
    wide, rows = own.intermediate // one.tp, [at for at, named in enumerate(experts) if named]
    bits, dtype = _bits(one, "experts"), _products(one, "experts")
    gate = (2 if one.gated else 1) * wide

    def expert(name: str, k: int, n: int, passed: int, also: int = 0) -> Matrix:
        return Matrix(name, k, n, bits, dtype, 1, own.experts, own.chosen, also, passed)

    # a token's row is read once, and one is written; what lies between is of each expert, and a
    # gate may have been multiplied with before it is written
    into, out = one.hidden + own.chosen * wide, own.chosen * wide + one.hidden
    if len(rows) not in (1, 2):
        raise NoFitError(f"a layer of the trace runs {len(rows)} GEMMs of experts, not 1 or 2")
    if one.tp > 1:
        return {}
    if len(rows) == 1:
        both = expert("experts", one.hidden, gate, 2 * one.hidden, wide * one.hidden)
        return {rows[0]: both}
    return {
        rows[0]: expert("experts' gate, up projection", one.hidden, gate, into),
        rows[1]: expert("experts' down projection", wide, one.hidden, out),
    }


def _attention(one: Decoder, name: str, k: int, n: int) -> Matrix:
    return _matrix(one, "attention", name, k, n)


def _matrix(one: Decoder, part: str, name: str, k: int, n: int) -> Matrix:
    return Matrix(name, k, n, _bits(one, part), _products(one, part))


def _quantised(one: Decoder, part: str) -> bool:
    return one.stored is not None and bool(getattr(one.stored, part))


def _bits(one: Decoder, part: str) -> int:
    return one.stored.bits if one.stored is not None and _quantised(one, part) else 8 * one.size


def _products(one: Decoder, part: str) -> str:
    return one.stored.products if one.stored is not None and _quantised(one, part) else one.dtype
