"""Bounds and sensors, held to numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tracekit.attribution.roofline import devices, stage_bounds
from tracekit.bench import file, sensors, tables

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


def sample(filled: int, prefill: int, tokens: int = 3) -> dict[str, Any]:
    return {"load": 1, "preprocess": 2, "encode": 3, "prefill": prefill, "decode": 20,
            "steps": [10] * (tokens - 1), "tokens": [tokens], "prefill_tokens": filled}  # fmt: skip


def test_requests_that_differ_have_a_range_and_a_ttft_for_each_length() -> None:
    samples = [sample(1000, 40), sample(10, 4), sample(1000, 60), sample(20, 8, tokens=5)]
    row = {**ROW, "samples": samples, "tokens": {"prefill": None, "generated": None}}
    content = {"absent_stages": [], "environment": {"device": {"name": DEVICE}}}
    _times, each, resources = tables.full(content, row)
    said = {line[0]: line[1] for line in resources.rows}
    assert said["tokens in"] == "10 to 1,000"
    assert said["tokens out"] == "3 to 5"
    assert [tuple(line) for line in each.rows] == [
        ("10", 10, 4, 1), ("20", 14, 8, 1), ("1,000", 56, 50, 2),
    ]  # fmt: skip
    # the floor is that of the middle request: 1,000 positions
    assert file.needs(row)["prefill"].tokens == 1000
    alike = {**row, "samples": [sample(10, 4)] * 2, "tokens": {"prefill": 10, "generated": 3}}
    assert tables.by_length(alike) is None
    many = {**row, "samples": [sample(n, n) for n in range(1, 100)]}
    grid = tables.by_length(many)
    assert grid is not None
    assert len(grid.rows) <= tables.MOST_LENGTHS
    assert sum(line[3] for line in grid.rows) == 99
