"""Floors and gauges, held to numbers worked out by hand."""

from __future__ import annotations

import pytest

from tracekit import devices
from tracekit.capture import floors, gauges

LLM = {
    "weight_parameters": 1_000_000_000, "bytes_per_value": 2, "layers": 10, "kv_heads": 8,
    "head_dim": 64,
}  # fmt: skip
DEVICE = "NVIDIA H100 80GB HBM3"


def test_decode_is_bound_by_bytes_and_prefill_by_flops() -> None:
    found = devices.named(DEVICE)
    assert found is not None
    least = floors.floors(
        {"llm": LLM, "encode": {"flops": 10**9, "weight_parameters": 10}},
        device=DEVICE, dtype="bfloat16", batch_size=1, prefill_tokens=1000, generated=3,
    )  # fmt: skip
    peak, bandwidth = found.flops["bfloat16"], found.memory_bytes_per_s
    assert least["prefill"] == pytest.approx(2 * 10**9 * 1000 / peak * 1e9)
    cache = 2 * 10 * 8 * 64 * 2  # bytes of one position
    read = sum(2 * 10**9 + cache * positions for positions in (1000, 1001))
    assert least["decode"] == pytest.approx(read / bandwidth * 1e9)
    assert least["encode"] == pytest.approx(10**9 / peak * 1e9)


def test_an_unknown_device_has_no_floor() -> None:
    given = {"dtype": "bfloat16", "batch_size": 1, "prefill_tokens": 10, "generated": 3}
    assert floors.floors({"llm": LLM}, device="AMD EPYC", **given) == {}
    assert set(floors.floors({"llm": LLM}, device=DEVICE, **given)) == {"prefill", "decode"}
    assert floors.floors({}, device=DEVICE, **given) == {}


def test_throttling_is_said_in_words_and_idle_is_none() -> None:
    assert gauges.throttling(0x1) == []
    assert gauges.throttling(0x4 | 0x40) == ["power cap", "hardware thermal slowdown"]


def test_on_a_cpu_nothing_of_a_gpu_is_measured() -> None:
    assert gauges.joules("cpu") is None
    assert gauges.clocks("cpu") == {}
    assert gauges.driver("cpu") is None
    assert gauges.allocated("cpu") is None
    assert gauges.peak("cpu") is None
    assert gauges.timer("cpu") is None
