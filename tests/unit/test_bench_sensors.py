"""Bounds and sensors, held to numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tracekit.attribution.roofline import devices, stage_bounds
from tracekit.bench import file, sensors

LLM = {
    "weight_parameters": 1_000_000_000, "bytes_per_value": 2, "layers": 10, "kv_heads": 8,
    "head_dim": 64, "heads": 8, "hidden": 512, "vocab": 1000,
}  # fmt: skip
DEVICE = "NVIDIA H100 80GB HBM3"
ROW = {
    "facts": {"dims": {
        "llm": LLM, "encode": {"flops": 10**9, "weight_parameters": 10, "bytes_per_value": 2},
    }},
    "options": {"dtype": "bfloat16", "batch_size": 1},
    "tokens": {"prompt": 990, "sensor": 10, "tags": 0, "prefill": 1000, "generated": 3},
}  # fmt: skip


def least(row: dict[str, Any], device: str) -> dict[str, float | None]:
    spec, needs = devices.named(device), file.needs(row)
    return {name: stage_bounds.of_need(need, None, spec).floor_ns for name, need in needs.items()}


def test_decode_is_bound_by_bytes_and_prefill_by_flops() -> None:
    found = devices.named(DEVICE)
    assert found is not None
    floor = least(ROW, DEVICE)
    peak, bandwidth = found.flops["bfloat16"], found.memory_bytes_per_s
    head, pairs = 1000 * 512, 1000 * 1001 // 2
    flops = 2 * (10**9 - head) * 1000 + 2 * head + 4 * 10 * 8 * 64 * pairs
    assert floor["prefill"] == pytest.approx(flops / peak * 1e9)
    cache = 2 * 10 * 8 * 64 * 2  # bytes of one position
    read = sum(2 * 10**9 + cache * positions for positions in (1001, 1002))
    assert floor["decode"] == pytest.approx(read / bandwidth * 1e9)
    assert floor["encode"] == pytest.approx(10**9 / peak * 1e9)


def test_an_unknown_device_or_shape_has_no_floor() -> None:
    assert set(least(ROW, "AMD EPYC").values()) == {None}
    assert set(least({**ROW, "facts": {"dims": {"llm": LLM}}}, DEVICE)) == {"prefill", "decode"}
    assert least({**ROW, "facts": None}, DEVICE) == {}
    assert least({}, DEVICE) == {}


def test_throttling_is_said_in_words_and_idle_is_none() -> None:
    assert sensors.throttling(0x1) == []
    assert sensors.throttling(0x4 | 0x40) == ["power cap", "hardware thermal slowdown"]


def test_on_a_cpu_nothing_of_a_gpu_is_measured() -> None:
    assert sensors.joules("cpu") is None
    assert sensors.clocks("cpu") == {}
    assert sensors.driver("cpu") is None
    assert sensors.allocated("cpu") is None
    assert sensors.peak("cpu") is None
    assert sensors.timer("cpu") is None
