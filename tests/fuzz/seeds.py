"""Small files of every kind that is read: what mutations start from."""

from __future__ import annotations

import gzip
import io
import json
import random
from typing import Any

import numpy as np

Event = dict[str, Any]

CAPTURE = {
    "schema": "tracekit-capture/1", "model": "onellm", "size": "tiny", "title": "OneLLM",
    "stages": ["load", "prefill", "decode"], "absent_stages": ["encode"], "dtype": "float32",
    "device": {"name": "NVIDIA A100", "type": "cuda", "memory_bytes": 1 << 34},
    "versions": {"torch": "2.6"}, "parameters": {"llm": 1000}, "random_weights": True,
    "dims": {"llm": {"layers": 2, "width": 64}, "batch_size": 1},
    "tokens": {"prompt": 5, "sensor": 4, "tags": 0, "prefill": 9, "generated": [3]},
    "schedule": {"samples": 1}, "data": {"spec": "synthetic", "samples": ["s0"]},
    "text": [["a b c"]], "options": {"sync": True}, "command": "tracekit capture onellm",
}  # fmt: skip
DEVICE = {"id": 0, "name": "NVIDIA A100-SXM4-40GB", "totalGlobalMem": 1 << 35, "numSms": 108,
          "computeMajor": 8, "computeMinor": 0}  # fmt: skip


def x(name: str, cat: str, ts: float, dur: float, pid: Any = 1, tid: Any = 1, **args: Any) -> Event:
    return {"ph": "X", "cat": cat, "name": name, "pid": pid, "tid": tid, "ts": ts, "dur": dur,
            "args": args}  # fmt: skip


def gpu() -> list[Event]:
    """One request with its marks, launches, kernels, a copy, arrows, memory and stacks."""
    events = [
        {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": "python"}},
        {"ph": "M", "name": "process_labels", "pid": 0, "tid": 0, "args": {"labels": "GPU 0"}},
        x("tracekit::sample#0", "user_annotation", 0, 400),
        x("tracekit::prefill", "user_annotation", 10, 90),
        x("tracekit::decode", "user_annotation", 110, 280),
    ]
    for n in range(4):
        at = 20 + 80 * n
        shapes = {"Input Dims": [[4, 8], [8, 16]], "Input type": ["float", "float"],
                  "External id": n + 1}  # fmt: skip
        events += [
            x(f"tracekit::decode_step#{n}", "user_annotation", at + 30, 40) if n else
            x("ProfilerStep#1", "user_annotation", 0, 399),
            x("nn.Module: Linear_0", "python_function", at, 30, **{"Python id": n}),
            x("aten::mm", "cpu_op", at + 1, 20, **shapes),
            x("cudaLaunchKernel", "cuda_runtime", at + 5, 3, correlation=n + 1),
            x("ampere_sgemm_128x64_tn", "kernel", at + 12, 15, 0, 7, correlation=n + 1, stream=7,
              device=0, grid=[4, 1, 1], block=[128, 1, 1]),
            {"ph": "s", "cat": "ac2g", "id": n + 1, "pid": 1, "tid": 1, "ts": at + 5,
             "name": "ac2g"},
            {"ph": "f", "cat": "ac2g", "id": n + 1, "pid": 0, "tid": 7, "ts": at + 12,
             "name": "ac2g", "bp": "e"},
            {"ph": "i", "name": "[memory]", "pid": 1, "tid": 1, "ts": at + 2, "s": "t",
             "args": {"Bytes": 512, "Total Allocated": 512 * n, "Device Type": 1, "Device Id": 0,
                      "Addr": n}},
        ]  # fmt: skip
    return [
        *events,
        x("cudaMemcpyAsync", "cuda_runtime", 350, 4, correlation=9),
        x("Memcpy DtoH (Device -> Pageable)", "gpu_memcpy", 356, 6, 0, 7, correlation=9, stream=7,
          bytes=4096),
        x("cudaStreamSynchronize", "cuda_runtime", 360, 20, correlation=10),
        x("ncclDevKernel_AllReduce", "kernel", 370, 9, 0, 8, stream=8, **{
            "Collective name": "allreduce", "In msg nelems": 8, "Group size": 2}),
        {"ph": "B", "cat": "cpu_op", "name": "b", "pid": 1, "tid": 2, "ts": 5},
        {"ph": "E", "pid": 1, "tid": 2, "ts": 9},
        {"ph": "C", "name": "power", "pid": 0, "ts": 30, "args": {"W": 250.5}},
    ]  # fmt: skip


def document(rng: random.Random) -> dict[str, Any]:
    """A trace: of a GPU, of a CPU, of another tool's words; with and without what it says."""
    events = gpu()
    kind = rng.choice(["gpu", "gpu", "cpu", "few", "ranks"])
    if kind == "cpu":
        events = [e for e in events if e.get("pid") == 1]
    if kind == "few":
        events = rng.sample(events, rng.randint(1, 6))
    if kind == "ranks":
        events = [{**e, "pid": f"[TP{r}] {e['pid']}"} for r in range(2) for e in events]
    found: dict[str, Any] = {"schemaVersion": 1}
    if rng.random() < 0.5:
        found["deviceProperties"] = [DEVICE]
        found["distributedInfo"] = {"rank": 0, "world_size": 2, "backend": "nccl"}
    if rng.random() < 0.5:
        found["tracekit"] = CAPTURE
    return json.loads(json.dumps({**found, "traceEvents": events}))  # type: ignore[no-any-return]


def recording(rng: random.Random) -> tuple[str, bytes]:
    """A recording of six channels, in a form that people have: (ending, content)."""
    rows = np.round(np.random.default_rng(rng.randint(0, 9)).normal(size=(40, 6)), 3)
    times = np.arange(40) * 20.0
    kind = rng.choice(["csv", "tsv", "json", "jsonl", "npy", "npz", "txt", "csv.gz"])
    table = np.column_stack([times, rows])
    head = rng.choice(["time,ax,ay,az,gx,gy,gz", "timestamp_ms,acc_x,acc_y,acc_z,gyro_x,gyro_y,"
                       "gyro_z", "t [s],ax (g),ay (g),az (g),gx (deg/s),gy (deg/s),gz (deg/s)"
                       ])  # fmt: skip
    lines = "\n".join([head, *(",".join(map(repr, row)) for row in table.tolist())])
    out = io.BytesIO()
    if kind == "npy":
        np.save(out, rows)
    elif kind == "npz":
        np.savez(out, acc=rows[:, :3], gyro=rows[:, 3:], t=times)
    elif kind == "json":
        out.write(json.dumps([dict(zip(head.split(","), row, strict=True))
                              for row in table.tolist()]).encode())  # fmt: skip
    elif kind == "jsonl":
        out.write("\n".join(json.dumps(dict(zip(head.split(","), row, strict=True)))
                            for row in table.tolist()).encode())  # fmt: skip
    elif kind == "csv.gz":
        out.write(gzip.compress(lines.encode(), mtime=0))
    else:
        out.write((lines.replace(",", "\t") if kind == "tsv" else lines).encode())
    return kind, out.getvalue()
