"""Attention: QKᵀ and PV over the pairs that the mask leaves; softmax is not counted.

Least bytes: queries, the keys and values that some query sees, the result. The backward pass does
five products where the forward pass does two: QKᵀ again, and the gradients of V, P, Q and K.

Lengths of packed sequences are in a tensor that the trace does not hold. They are exact where the
arguments leave one choice (all are the longest), or where the annotation of the step gives sums;
of a packed batch that attends to itself the sum of squares has a least value. Else there is no
number.

Source: torch.nn.functional.scaled_dot_product_attention; Dao, "FlashAttention-2", arXiv 2307.08691,
3.1 (backward); flash-attn's README and its `window_size=(left, right)`; AITER aiter/ops/mha.py;
vLLM PR 37524 (sums of lengths in annotations).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracekit.attribution.roofline.attention_mask import FULL, TOP_LEFT, Band, bottom_right
from tracekit.attribution.roofline.formulas.work import Call, Family, Formula, Known, Work, entries

_FORWARD, _BACKWARD = 2, 5  # products of the size queries × keys × head dimension
Mask = Callable[[int, int], Band]


def attention(
    batch: int, heads: int, kv_heads: int, queries: int, keys: int, dim: int, value_dim: int,
    mask: Band, size: int, dtype: str, note: str = "", backward: bool = False,
) -> Work:  # fmt: skip
    """Of `batch` sequences. `note` says the mask in words.

    Least bytes leave out the keys and values that no query sees.
    """
    pairs, seen = mask.seen(queries, keys)
    flops = 2 * batch * heads * pairs * (dim + value_dim)
    values = heads * queries * (dim + value_dim) + kv_heads * seen * (dim + value_dim)
    if backward:
        # scores again, P and dP from V: dim, value_dim twice; dQ and dK: dim twice
        flops = 2 * batch * heads * pairs * (3 * dim + 2 * value_dim)
        # queries, keys, values, result and its gradient are read, three gradients written
        values = heads * queries * (2 * dim + 2 * value_dim) + 2 * kv_heads * seen * (
            dim + value_dim
        )
    shape = f"{batch}×{heads}×{queries}×{keys}×{dim}{note}"
    return Work(flops, batch * values * size, dtype, shape, None, Family.ATTENTION)


def _of_four(
    call: Call, order: Sequence[int], mask: Mask, note: str, at: int = 0, backward: bool = False
) -> Work:
    """Of queries, keys and values from argument `at` on, [B, H, S, D] once in `order`."""
    if len(call.dims[at]) != 4:
        raise ValueError("packed sequences have no lengths here")
    query, key, value = ([four[i] for i in order] for four in call.dims[at : at + 3])
    return attention(
        query[0], query[1], key[1], query[2], key[2], query[3], value[3],
        mask(query[2], key[2]), call.size(at), call.dtype(at), note, backward,
    )  # fmt: skip


def sdpa(causal_at: int, at: int = 0, backward: bool = False) -> Callable[[Call], Work]:
    """PyTorch's: [B, H, S, D], a causal mask from the top left."""

    def work(call: Call) -> Work:
        causal = call.flag(causal_at)
        band = TOP_LEFT if causal else FULL
        note = " causal" if causal else ""
        return _of_four(call, (0, 1, 2, 3), lambda _q, _k: band, note, at, backward)

    return work


def flash(
    causal_at: int, window_at: int | None, at: int = 0, backward: bool = False
) -> Callable[[Call], Work]:
    """flash-attn's and AITER's: [B, S, H, D], a mask and a window from the bottom right."""

    def work(call: Call) -> Work:
        mask, note = _masked(call, causal_at, window_at)
        return _of_four(call, (0, 2, 1, 3), mask, note, at, backward)

    return work


def _masked(call: Call, causal_at: int, window_at: int | None) -> tuple[Mask, str]:
    """The mask, and it in words; without a window where the op has none."""
    causal = call.flag(causal_at)
    left, right = (
        -1 if window_at is None or not call.values[window_at + side] else
        call.number(window_at + side)
        for side in (0, 1)
    )  # fmt: skip

    def mask(queries: int, keys: int) -> Band:
        return bottom_right(queries, keys, causal, left, right)

    note = " causal" if causal else ""
    if left >= 0 or (right >= 0 and not causal):
        note += f" window {left},{0 if causal else right}"
    return mask, note


def packed(
    longest_at: int, causal_at: int, window_at: int | None, starts_at: int = 3
) -> Callable[[Call], Work]:
    """[T, H, D] with the starts of the sequences [B + 1], and the longest of queries and keys.

    Where all tokens make B sequences of the longest, each has that length.
    """

    def work(call: Call) -> Work:
        mask, note = _masked(call, causal_at, window_at)
        (tokens, heads, dim), (of_keys, kv_heads, _), (_, _, value_dim) = call.dims[:3]
        batch = call.dims[starts_at][0] - 1
        queries, keys = call.number(longest_at), call.number(longest_at + 1)
        if tokens == batch * queries and of_keys == batch * keys:
            return attention(
                batch, heads, kv_heads, queries, keys, dim, value_dim,
                mask(queries, keys), call.size(0), call.dtype(0), note,
            )  # fmt: skip
        if tokens != of_keys or queries != keys or not note:
            raise ValueError("the lengths of the sequences are not recorded")
        if note != " causal":
            raise ValueError("a window over sequences of unknown lengths")
        return _causal_at_least(call, batch, queries)

    return work


def _causal_at_least(call: Call, batch: int, longest: int) -> Work:
    """A packed batch that attends to itself: one sequence of the longest, the others alike.

    The sum of L·(L + 1) / 2 with a given sum of L is least where all L are the same.
    """
    (tokens, heads, dim), (_, kv_heads, _), (_, _, value_dim) = call.dims[:3]
    others, rest = batch - 1, tokens - longest
    each, more = divmod(rest, others) if others else (0, 0)
    pairs = longest * (longest + 1) // 2 + (others - more) * each * (each + 1) // 2
    pairs += more * (each + 1) * (each + 2) // 2
    flops = 2 * heads * pairs * (dim + value_dim)
    moved = tokens * (heads + kv_heads) * (dim + value_dim) * call.size(0)
    shape = f"{batch} sequences, {tokens} tokens×{heads}×{dim} causal"
    return Work(flops, moved, call.dtype(0), shape, None, Family.ATTENTION, Known.LEAST)


def batch_prefill(call: Call) -> Work:
    """AITER's: queries [T, H, D] over pages of keys; starts of queries, starts and numbers of
    pages, the longest of queries and keys; causal and the window follow the scale and the cap.

    Where all queries make B sequences of the longest, and the longest keys are as many, each has
    that length: a causal query sees no fewer keys than it has queries before it.
    """
    mask, note = _masked(call, 12, 13)
    tokens, heads, dim = call.dims[0]
    kv_heads, value_dim = call.dims[1][-2], call.dims[2][-1]
    batch, queries, keys = call.dims[3][0] - 1, call.number(6), call.number(7)
    if tokens == batch * queries and queries == keys:
        return attention(
            batch, heads, kv_heads, queries, keys, dim, value_dim, mask(queries, keys),
            call.size(0), call.dtype(0), note,
        )  # fmt: skip
    if note != " causal":
        raise ValueError("a window over sequences of unknown lengths")
    return _by_annotation(call, heads, kv_heads, dim, value_dim, call.size(1), 0, Known.EXACT)


def _by_annotation(
    call: Call, heads: int, kv_heads: int, dim: int, value_dim: int, kv_size: int, at: int,
    known: Known,
) -> Work:  # fmt: skip
    """By the sums that the annotation of the step gives. Raises: ValueError without them."""
    lengths = call.lengths
    if lengths is None or not lengths.keys:
        raise ValueError("the lengths of the sequences are not recorded")
    pairs = lengths.causal_pairs
    flops = 2 * heads * pairs * (dim + value_dim)
    moved = lengths.queries * heads * (dim + value_dim) * call.size(at)
    moved += lengths.keys * kv_heads * (dim + value_dim) * kv_size
    shape = f"{lengths.queries} queries, {lengths.keys} keys×{heads}×{dim} causal"
    return Work(flops, moved, call.dtype(at), shape, None, Family.ATTENTION, known)


def paged_ragged(call: Call) -> Work:
    """AITER's: result, workspace, queries [B, H, D], pages of keys and values [N, P, Hkv, D]."""
    _, heads, dim = call.dims[2]
    kv_heads, value_dim = call.dims[3][-2], call.dims[4][-1]
    return _by_annotation(call, heads, kv_heads, dim, value_dim, call.size(3), 2, Known.EXACT)


def unified(call: Call) -> Work:
    """vLLM's: queries [T, H, D], keys and values [T, Hkv, D] of the new tokens.

    A sliding window and the dtype of the cache are the layer's, and in no argument: with a window
    it is less than what is said here.
    """
    heads, dim = call.dims[0][-2:]
    kv_heads, value_dim = call.dims[1][-2], call.dims[2][-1]
    return _by_annotation(call, heads, kv_heads, dim, value_dim, call.size(1), 0, Known.MOST)


_TORCH = "torch.nn.functional.scaled_dot_product_attention"
_FLASH = "flash-attn, flash_attn_interface.py"
FORMULAS: dict[str, Formula] = {
    **entries(_TORCH, sdpa(4), "aten::_scaled_dot_product_flash_attention"
              " aten::_scaled_dot_product_flash_attention_for_cpu"),
    **entries(_TORCH, sdpa(6), "aten::_scaled_dot_product_efficient_attention"
              " aten::_scaled_dot_product_cudnn_attention"),
    **entries(_TORCH, sdpa(5), "aten::_scaled_dot_product_fused_attention_overrideable"
              " aten::scaled_dot_product_attention"),
    **entries(_TORCH, sdpa(11, at=1, backward=True),
              "aten::_scaled_dot_product_flash_attention_backward"
              " aten::_scaled_dot_product_efficient_attention_backward"),
    **entries(_TORCH, sdpa(14, at=1, backward=True),
              "aten::_scaled_dot_product_cudnn_attention_backward"),
    **entries(_TORCH, sdpa(13, at=1, backward=True),
              "aten::_scaled_dot_product_fused_attention_overrideable_backward"),
    **entries(_TORCH, sdpa(7, at=1, backward=True),
              "aten::_scaled_dot_product_flash_attention_for_cpu_backward"),
    **entries("torch, native_functions.yaml", flash(8, 11), "aten::_flash_attention_forward"),
    **entries("torch, native_functions.yaml", flash(11, 15, at=1, backward=True),
              "aten::_flash_attention_backward"),
    **entries(_FLASH, flash(5, 6), "flash_attn::_flash_attn_forward aiter::mha_fwd"
              " aiter::fmha_v3_fwd"),
    **entries(_FLASH, flash(11, 12, at=1, backward=True), "flash_attn::_flash_attn_backward"),
    **entries(_FLASH, packed(5, 9, 10), "flash_attn::_flash_attn_varlen_forward"),
    **entries("AITER aiter/ops/mha.py, mha_batch_prefill", batch_prefill,
              "aiter::mha_batch_prefill", asks_lengths=True),
    **entries("AITER aiter/ops/attention.py, paged_attention_ragged", paged_ragged,
              "aiter::paged_attention_ragged", asks_lengths=True),
    **entries("vLLM vllm/attention/layer.py, unified_attention", unified,
              "vllm::unified_attention vllm::unified_attention_with_output", asks_lengths=True),
}  # fmt: skip
