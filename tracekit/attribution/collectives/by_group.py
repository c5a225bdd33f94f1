"""Collectives by name and process group: how long they ran uncovered, their sizes, the rate.

A collective ends when the last rank has come, so its time is transfer and waiting for peers. Of
messages of one size the fastest call shows what the transfer takes; what others take longer is
waiting (or contention). Source of bus bandwidths: nccl-tests, doc/PERFORMANCE.md.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from msgspec.structs import asdict

from tracekit.attribution import links
from tracekit.attribution.collectives import link_peaks
from tracekit.attribution.collectives.calls import Calls, calls
from tracekit.attribution.idle.busy import communication
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Trace

F64 = npt.NDArray[np.float64]


class Collective(Record, frozen=True):
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


class GroupCollective(Collective, frozen=True):
    """The same of one process group."""

    group: str | None = None  # as the profiler names the process group
    link: str | None = None  # what joins the devices; None where not known, or beyond one machine
    link_bytes_per_s: float | None = None  # of one device, in one direction
    link_share: float | None = None  # bus bandwidth over that
    received_bytes: int | None = None  # what this rank got; None where not recorded


def collectives(trace: Trace) -> tuple[Collective, ...]:
    """By device and name, the longest first."""
    every = calls(trace)
    found = [_row(trace, every, own) for own in _split(trace, every, every.name)]
    return tuple(sorted(found, key=lambda c: (c.device, -c.total_ns, c.name)))


def by_group(trace: Trace) -> tuple[GroupCollective, ...]:
    """By device, process group and name, the longest first."""
    every, peak = calls(trace), link_peaks.of_trace(trace)
    found = []
    for own in _split(trace, every, every.name, every.group, every.member):
        row, first = _row(trace, every, own), own[0]
        members = every.members[every.member[first]]
        near = peak is not None and link_peaks.in_one_machine(row.group_size or 0, members)
        most = peak.bytes_per_s if peak and near else None
        said = asdict(row)
        found.append(GroupCollective(
            **said, group=every.groups[every.group[first]] or None,
            link=peak.link if peak and near else None, link_bytes_per_s=most,
            link_share=row.bus_bytes_per_s / most if row.bus_bytes_per_s and most else None,
            received_bytes=_sum(every.received[own]),
        ))  # fmt: skip
    return tuple(sorted(found, key=lambda c: (c.device, -c.total_ns, c.name, c.group or "")))


def link_bounds(trace: Trace) -> F64:
    """[G] ns that each row of `links.work` takes at least by the bytes that a link carries of it;
    -1 for all but collectives of known size within one machine of known links.
    """
    peak, out = link_peaks.of_trace(trace), np.full(len(links.work(trace)), -1.0)
    if peak is None or not communication(trace).any():
        return out
    every = calls(trace)
    kinds, which = segments.distinct([every.name, every.ranks, every.member])
    ns = np.full(len(kinds), np.nan)  # a byte
    for at, (name, ranks, member) in enumerate(kinds.tolist()):
        factor = bus_factor(every.names[name], ranks)
        if factor is not None and link_peaks.in_one_machine(ranks, every.members[member]):
            ns[at] = factor / peak.bytes_per_s * 1e9
    floor = np.where(every.size > 0, every.size, np.nan) * ns[which]
    out[every.row] = np.nan_to_num(floor, nan=-1.0)
    return out


def _sum(size: I64) -> int | None:
    """Of those that are recorded; None where none is."""
    return int(size[size > 0].sum()) if (size > 0).any() else None


def _split(trace: Trace, every: Calls, *by: I64) -> list[I64]:
    """The calls of each device and each of these numbers."""
    if not len(every.row):
        return []
    device = links.work(trace).device[every.row].astype(np.int64)
    kinds, which = segments.distinct(np.stack([device, *by], axis=1))
    return [np.flatnonzero(which == number) for number in range(len(kinds))]


def _row(trace: Trace, every: Calls, own: I64) -> Collective:
    gpu, row = links.work(trace), every.row[own]
    dur, size = gpu.dur[row], every.size[own]
    sized = size > 0
    groups = segments.sorted_unique(every.ranks[own][sized])
    ranks = int(groups[0]) if len(groups) == 1 and groups[0] > 0 else None
    ns, moved = int(dur[sized].sum()), int(size[sized].sum())
    rate = moved / ns * 1e9 if ns else None
    name = every.names[every.name[own[0]]]
    factor = bus_factor(name, ranks)
    return Collective(
        trace=trace.path, device=int(gpu.device[row[0]]), name=name, count=len(dur),
        total_ns=int(dur.sum()), exposed_ns=int(every.exposed_ns[own].sum()), group_size=ranks,
        sized_count=int(sized.sum()), bytes=moved if sized.any() else None, sized_ns=ns,
        waited_ns=_waited(_alike(every, own[sized]), dur[sized]), bytes_per_s=rate,
        bus_bytes_per_s=rate * factor if rate is not None and factor is not None else None,
    )  # fmt: skip


def _alike(every: Calls, own: I64) -> I64:
    """[O] which calls are alike: of one size in one process group, as groups differ in links."""
    return segments.distinct(
        np.stack([every.size[own], every.group[own], every.member[own]], axis=1)
    )[1]


def _waited(kind: I64, dur: I64) -> int | None:
    """ns beyond the fastest call of the same kind, where a kind repeats."""
    kinds, which = np.unique(kind, return_inverse=True)
    if len(kinds) == len(kind):
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
