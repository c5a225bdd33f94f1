"""The least time each stage could take on a device: its datasheet against the model's sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracekit import devices

DEFINITION = (
    "The longer of FLOPs over the device's peak for the dtype, and bytes that must be read at "
    "least (weights once a pass; in decode also keys and values) over its memory bandwidth."
)


def floors(
    dims: Mapping[str, Any],
    *,
    device: str,
    dtype: str,
    batch_size: int,
    prefill_tokens: int | None,
    generated: int,
) -> dict[str, float]:
    """ns by stage, for the stages whose work and the device whose peaks are known.

    `dims` are `Facts.dims` (docs/models.md), `generated` the tokens of a row. decode is the sum
    over its `generated - 1` steps. A multiply-add is 2 FLOPs.
    """
    found = devices.named(device)
    if found is None:
        return {}
    peak = found.flops.get(dtype)
    out: dict[str, float] = {}
    encode, llm = dims.get("encode") or {}, dims.get("llm") or {}
    width = llm.get("bytes_per_value") or devices.BYTES.get(dtype)
    if encode.get("flops") and width:
        out["encode"] = _least(
            batch_size * encode["flops"], (encode.get("weight_parameters") or 0) * width,
            peak, found.memory_bytes_per_s,
        )  # fmt: skip
    if llm.get("weight_parameters") and prefill_tokens and width:
        weights = llm["weight_parameters"]
        passes = 2 * weights * batch_size
        bandwidth = found.memory_bytes_per_s
        out["prefill"] = _least(passes * prefill_tokens, weights * width, peak, bandwidth)
        steps = range(max(generated - 1, 0))
        out["decode"] = sum(
            _least(passes, decode_bytes(llm, batch_size, prefill_tokens + step), peak, bandwidth)
            for step in steps
        )
    return out


def decode_bytes(llm: Mapping[str, Any], batch_size: int, positions: float) -> float:
    """Bytes that one decode step reads: all weights once, keys and values of every position."""
    return float(llm["bytes_per_value"] * (
        llm["weight_parameters"]
        + 2 * llm["layers"] * llm["kv_heads"] * llm["head_dim"] * positions * batch_size
    ))  # fmt: skip


def _least(flops: float, bytes_: float, peak: float | None, bytes_per_s: float) -> float:
    """ns. Where the peak for the dtype is not known, the bytes alone bound it."""
    compute = flops / peak if peak else 0.0
    return max(compute, bytes_ / bytes_per_s) * 1e9
