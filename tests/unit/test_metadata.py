"""Metadata is input: whatever a key holds, the answers and the page are made."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tracekit.records import replace
from tracekit.report import traces as page
from tracekit.results import engine
from tracekit.trace import kineto, run_facts
from tracekit.trace.metadata import typed

CAPTURE: dict[str, Any] = {
    "schema": "tracekit-capture/1", "model": "m", "size": "tiny", "title": "M", "stages": ["load"],
    "absent_stages": [], "dtype": "float32", "device": {"name": "cpu", "memory_bytes": 7},
    "versions": {"torch": "2.13.0"}, "parameters": {"llm": 10},
    "dims": {"llm": {"layers": 1, "hidden": 8, "heads": 1, "kv_heads": 1, "head_dim": 8,
                     "intermediate": 16, "vocab": 32, "weight_parameters": 5},
             "encode": {"flops": 10, "tokens": 3}, "prefill": {"tokens": 5}},
    "tokens": {"prompt": 2, "sensor": 3, "prefill": 5, "prefill_each": [5], "generated": [2]},
    "batch_size": 1, "schedule": {"samples": 1}, "options": {"sync": True}, "compile": False,
    "data": {"spec": "synthetic"}, "profiled": {"samples": [{"load": 1}]}, "text": [["a"]],
    "command": "tracekit capture m", "attention": "sdpa", "cache": "static", "interrupted": False,
}  # fmt: skip
FILE: dict[str, Any] = {
    "tracekit": CAPTURE, "deviceProperties": [{"id": 0, "name": "NVIDIA A100-SXM4-80GB"}],
    "distributedInfo": {"rank": 0, "world_size": 2}, "record_shapes": 1, "with_stack": 0,
    "cuda_runtime_version": 12040, "baseTimeNanoseconds": 1,
}  # fmt: skip
ODD: list[Any] = [[1], {"a": [1]}, "x", 1 << 70, -3, True, 0.5, None, [], {}, [None], [[{}]]]


def paths(value: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every place in nested objects."""
    found = [at] if at else []
    for key, item in value.items() if isinstance(value, dict) else ():
        found += paths(item, (*at, key))
    return found


def change(part: dict[str, Any], at: tuple[str, ...], value: Any) -> None:
    for key in at[:-1]:
        part = part[key]
    part[at[-1]] = value


def events() -> list[dict[str, Any]]:
    def x(cat: str, name: str, ts: int, dur: int, **args: Any) -> dict[str, Any]:
        return {"ph": "X", "cat": cat, "name": name, "pid": 0 if cat == "kernel" else 9, "tid": 9,
                "ts": ts, "dur": dur, "args": args}  # fmt: skip

    return [
        x("user_annotation", "tracekit::sample#0", 0, 200),
        x("user_annotation", "tracekit::prefill", 0, 90),
        x("user_annotation", "tracekit::decode", 100, 90),
        x("user_annotation", "tracekit::decode_step#1", 110, 70),
        x("cpu_op", "aten::mm", 10, 20),
        x("cuda_runtime", "cudaLaunchKernel", 12, 2, correlation=1),
        x("kernel", "gemm", 20, 30, correlation=1, device=0, stream=7),
    ]


def together() -> list[list[tuple[str, ...]]]:
    """All places, those that hold none of the others eight at a time, far apart in the file."""
    every = paths(FILE)
    inner = [
        at for at in every if not any(at == other[: len(at)] for other in every if other != at)
    ]
    count = -(-len(inner) // 8)
    return [[at] for at in every if at not in inner] + [inner[n::count] for n in range(count)]


@pytest.mark.parametrize("places", together(), ids=lambda places: "+".join(map(".".join, places)))
def test_any_key_may_have_any_type(places: list[tuple[str, ...]], tmp_path: Path) -> None:
    path, read = tmp_path / "t.json", set()
    # each place has each value once; two files that leave the reader alike give the same answers
    for first in range(len(ODD)):
        whole = copy.deepcopy(FILE)
        for number, at in enumerate(places, first):
            change(whole, at, ODD[number % len(ODD)])
        path.write_text(json.dumps({**whole, "traceEvents": events()}))
        trace = kineto.load(path, tables=engine.tables())
        source = replace(trace.source, reread=None, bytes=0, text_bytes=0)
        if (trace.origin_ns, repr(source)) in read:
            continue
        read.add((trace.origin_ns, repr(source)))
        one = engine.of_trace(trace)
        assert one.answers["devices"].rows[0].busy_ns == 30_000
        page.write([one], tmp_path / "page.html")
        json.dumps(run_facts.about(one.source).said)


def test_what_has_the_right_type_stays_as_it_is() -> None:
    assert typed(FILE) == FILE


def test_only_the_wrong_key_is_left_out() -> None:
    assert typed({"tracekit": {"options": [1], "model": "m", "dims": {"llm": 3}}}) == {
        "tracekit": {"model": "m", "dims": {}}
    }
    assert typed({"tracekit": [1], "other": [1]}) == {"other": [1]}


def test_a_trace_of_our_own_keeps_all_that_it_says() -> None:
    sample = Path(__file__).parents[2] / "traces" / "sample-onellm-tiny-cpu.pt.trace.json.gz"
    meta = kineto.load(sample).source.meta
    assert typed(meta) == meta
    assert meta["tracekit"]["dims"]["llm"]["layers"] == 3
    assert meta["tracekit"]["profiled"]["samples"][0]["steps"]
