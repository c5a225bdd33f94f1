"""Traces of requests as files: what a fleet collects, drawn small."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

STAGES = {"load": 100.0, "preprocess": 50.0, "encode": 80.0, "prefill": 400.0}
BASE_NS = 1_700_000_000_000_000_000  # a time of day in November 2023


def write(
    path: Path,
    decode_us: Sequence[float],
    *,
    day: int = 0,
    model: str = "drawn",
    torch: str = "2.13.0",
    world: tuple[int, int] | None = None,
) -> Path:
    """A trace of one request for each length of decode, which is two tokens long.

    Prefill launches an elementwise kernel, decode a GEMM, each of three quarters of its stage.
    `world` is rank and number of ranks.
    """
    events: list[dict[str, object]] = []
    at, link = 0.0, 0
    for number, decode in enumerate(decode_us):
        begun = at
        for stage, us in {**STAGES, "decode": decode}.items():
            events.append(_slice("user_annotation", f"tracekit::{stage}", at, us))
            if stage in ("prefill", "decode"):
                link += 1
                name = "ampere_sgemm_64" if stage == "decode" else "vectorized_elementwise_kernel"
                arguments = {"correlation": link}
                events.append(_slice("cuda_runtime", "cudaLaunchKernel", at + 1, 5, **arguments))
                events.append(
                    _slice(
                        "kernel", name, at + 10, us * 0.75, 0, 7, **arguments, stream=7, device=0
                    )
                )
            if stage == "decode":
                events.append(_slice("user_annotation", "tracekit::decode_step#1", at, us))
            at += us
        events.append(_slice("user_annotation", f"tracekit::sample#{number}", begun, at - begun))
        at += 20
    whole = {
        "schemaVersion": 1,
        "baseTimeNanoseconds": BASE_NS + day * 86_400_000_000_000,
        "tracekit": {
            "schema": "tracekit-capture/1", "model": model, "size": "tiny", "title": model,
            "dtype": "float32", "device": {"name": "Drawn GPU", "type": "cuda"}, "batch_size": 1,
            "versions": {"torch": torch}, "schedule": {"samples": len(decode_us)},
            "options": {"sync": True},
        },
        "traceEvents": events,
    }  # fmt: skip
    if world is not None:
        whole["distributedInfo"] = {"rank": world[0], "world_size": world[1]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole))
    return path


def _slice(
    cat: str, name: str, ts: float, dur: float, pid: int = 1, tid: int = 1, **args: int
) -> dict[str, object]:
    return {"ph": "X", "cat": cat, "name": name, "pid": pid, "tid": tid, "ts": round(ts, 3),
            "dur": round(dur, 3), "args": args}  # fmt: skip
