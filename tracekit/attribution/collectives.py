"""Collectives by name: how long they ran uncovered, their sizes, and what rate that makes.

A collective ends when the last rank has come, so its time is transfer and waiting for peers. Of
messages of one size the fastest call shows what the transfer takes; what others take longer is
waiting (or contention). Source of bus bandwidths: nccl-tests, doc/PERFORMANCE.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle.busy import busy, communication
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import covered
from tracekit.trace.trace import I64, Trace

# c10 ScalarTypes as the profiler writes them
_BYTES = {
    "Byte": 1, "Char": 1, "Bool": 1, "Short": 2, "Half": 2, "BFloat16": 2, "Int": 4, "Float": 4,
    "Long": 8, "Double": 8, "ComplexFloat": 8, "Float8_e4m3fn": 1, "Float8_e5m2": 1,
    "Float8_e4m3fnuz": 1, "Float8_e5m2fnuz": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Collective:
    """All kernels of one collective on one device. Sizes and rates None where not recorded."""

    trace: str
    device: int
    name: str  # as the profiler names the collective, else what the kernel's name says
    count: int
    total_ns: int  # durations added up
    exposed_ns: int  # of it, with no other kernel at the time
    group_size: int | None  # ranks; None where not recorded, or several
    sized_count: int
    bytes: int | None  # of those with a size: what one rank puts in, or gets where that is more
    sized_ns: int
    waited_ns: int | None  # of sized_ns: beyond the fastest call of the same size; None: no repeat
    bytes_per_s: float | None  # bytes over sized_ns (algorithm bandwidth)
    bus_bytes_per_s: float | None  # what each link carries; None for a name without a formula
    rank: str | None = None  # of a file of several; None where it holds one process


def collectives(trace: Trace) -> tuple[Collective, ...]:
    """By device, the longest first."""
    gpu = links.work(trace)
    rows = np.flatnonzero(communication(trace))
    if not len(rows):
        return ()
    names, number = _names(trace, rows)
    size, group = _sizes(trace, rows)
    found = []
    for device in trace.devices:
        flat = busy(trace, device).compute
        windows = np.stack([gpu.ts, gpu.end], axis=1)
        mine = gpu.device[rows] == device
        for i in np.unique(number[mine]).tolist():
            own = mine & (number == i)
            at = rows[own]
            hidden = covered(flat, windows[at])
            found.append(
                _row(
                    trace.path, device, names[i], gpu.dur[at], hidden, size[own], group[own]
                )
            )  # fmt: skip
    return tuple(sorted(found, key=lambda c: (c.device, -c.total_ns, c.name)))


def _row(
    path: str, device: int, name: str, dur: I64, hidden: I64, size: I64, group: I64
) -> Collective:
    sized = size > 0
    groups = np.unique(group[sized])
    ranks = int(groups[0]) if len(groups) == 1 and groups[0] > 0 else None
    ns, moved = int(dur[sized].sum()), int(size[sized].sum())
    rate = moved / ns * 1e9 if ns else None
    factor = bus_factor(name, ranks)
    return Collective(
        trace=path, device=device, name=name, count=len(dur), total_ns=int(dur.sum()),
        exposed_ns=int((dur - hidden).sum()), group_size=ranks, sized_count=int(sized.sum()),
        bytes=moved if sized.any() else None, sized_ns=ns,
        waited_ns=_waited(size[sized], dur[sized]), bytes_per_s=rate,
        bus_bytes_per_s=rate * factor if rate is not None and factor is not None else None,
    )  # fmt: skip


def _waited(size: I64, dur: I64) -> int | None:
    """ns beyond the fastest call of the same size, where a size repeats."""
    kinds, which = np.unique(size, return_inverse=True)
    if len(kinds) == len(size):
        return None
    fastest = np.full(len(kinds), np.iinfo(np.int64).max)
    np.minimum.at(fastest, which, dur)
    return int((dur - fastest[which]).sum())


def bus_factor(name: str, ranks: int | None) -> float | None:
    """What the rate of a collective is multiplied by to give what each link carries."""
    if ranks is None or ranks < 1:
        return None
    text = re.sub(r"[^a-z]", "", name.lower())
    if "allreduce" in text:
        return 2 * (ranks - 1) / ranks
    if re.search(r"allgather|reducescatter|alltoall", text):
        return (ranks - 1) / ranks
    return 1.0 if re.search(r"broadcast|reduce|send|recv", text) else None


def _names(trace: Trace, rows: I64) -> tuple[list[str], I64]:
    """The distinct names, and [C] which of them each kernel has."""
    gpu, table = links.work(trace), trace.table("collectives")
    told = table.take(gpu.id[rows], "collective", -1).astype(np.int64)
    kinds, which = segments.distinct(np.stack([told, gpu.name[rows].astype(np.int64)], axis=1))
    texts = [
        (table.strings[n] if n >= 0 else "") or _of_kernel(trace.strings[kernel])
        for n, kernel in kinds.tolist()
    ]
    names = list(dict.fromkeys(texts))
    return names, np.array([names.index(text) for text in texts], np.int64)[which]


def _of_kernel(name: str) -> str:
    """`ncclDevKernel_AllReduce_Sum_f32_RING_LL(…)` says AllReduce."""
    found = re.search(
        r"AllReduce|AllGather|ReduceScatter|AllToAll|SendRecv|Broadcast|Reduce(?!d)"
        r"|all_?reduce|all_?gather|reduce_?scatter|all_?to_?all|broadcast|dispatch|combine",
        name, re.IGNORECASE,
    )  # fmt: skip
    return found[0] if found else "communication"


def _sizes(trace: Trace, rows: I64) -> tuple[I64, I64]:
    """[C] bytes of each kernel's message and ranks of its group; -1 where not recorded."""
    table, ids = trace.table("collectives"), links.work(trace).id[rows]
    width = np.array([_BYTES.get(text, 0) for text in table.strings] or [0], np.int64)
    dtype = table.take(ids, "dtype", -1).astype(np.int64)
    given = table.take(ids, "in_elements", -1).astype(np.int64)
    got = table.take(ids, "out_elements", -1).astype(np.int64)
    size = np.maximum(given, got) * np.where(dtype >= 0, width[np.maximum(dtype, 0)], 0)
    group = table.take(ids, "group_size", -1).astype(np.int64)
    return np.where(size > 0, size, -1), group
