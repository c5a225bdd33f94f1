"""How much launched work waits on each stream, over time."""

from __future__ import annotations

import numpy as np

from tracekit.answers.launches import Depth
from tracekit.attribution import links
from tracekit.trace.spans import segments
from tracekit.trace.spans.segments import distinct
from tracekit.trace.trace import I64, Trace

BINS = 240


def depths(trace: Trace) -> tuple[Depth, ...]:
    """One for each stream with linked work, by device and stream."""
    gpu = links.work(trace)
    linked = links.launch_row(trace) >= 0
    keys = np.stack([gpu.device.astype(np.int64), gpu.stream], axis=1)
    found = []
    for device, stream in distinct(keys[linked])[0].tolist():
        mine = linked & (gpu.device == device) & (gpu.stream == stream)
        # work that seems to begin before its launch was never queued
        begun = gpu.ts[mine]
        asked = np.minimum(links.launch_start(trace)[mine], begun)
        found.append(_depth(trace.path, device, stream, asked, begun))
    return tuple(found)


def _depth(path: str, device: int, stream: int, asked: I64, begun: I64) -> Depth:
    at, where = segments.codes(np.concatenate([asked, begun]))
    change = np.zeros(len(at), np.int64)
    np.add.at(change, where, np.repeat([1, -1], len(asked)))
    depth = np.cumsum(change)
    length = np.diff(at)
    held = np.concatenate([[0.0], np.cumsum(depth[:-1] * length)])
    start, end = int(at[0]), int(at[-1])
    edges = np.linspace(start, end, BINS + 1)
    width = (end - start) / BINS
    parts = np.diff(np.interp(edges, at, held)) / width if width else np.zeros(BINS)
    whole = end - start
    return Depth(
        trace=path, device=device, stream=stream, start_ns=start, end_ns=end,
        mean=float(held[-1] / whole) if whole else 0.0,
        most=int(depth.max()),
        empty_share=float(length[depth[:-1] == 0].sum() / whole) if whole else None,
        bins=tuple(round(float(part), 3) for part in parts),
    )  # fmt: skip
