"""Why a device was idle: every idle nanosecond in one class, as spans.

A gap ends when some activity, the closer, starts. Before the closer's launch began, the host had
not asked for it; during the launch call the host was asking; after it the device side waited.

    host      ..aaa.......b....      gap of 9: launch a 3 (inside the call), device side 1,
    stream 7  ......AAA......BB      gap of 6: host 5, inside the call 1
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from msgspec import field

from tracekit.attribution import links
from tracekit.attribution.idle.busy import busy, communication
from tracekit.attribution.idle.cause_names import ORDER, Cause
from tracekit.attribution.idle.host_causes import first_use, host_causes
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import (
    EMPTY,
    Spans,
    covered,
    intersect,
    spans,
    subtract,
    sums,
    total,
    union,
)
from tracekit.trace.trace import I64, Mask, Trace

WAIT_EVENT = later(r"StreamWaitEvent")

# No idle device takes this long to begin what was launched: it ran work that the file lacks (a step
# that was cut out, another process), waited for another device, or loaded a kernel for the first
# time. A flag: no class depends on it.
SUSPECT_NS = 1_000_000


class Idle(Record, frozen=True, eq=False):
    """P disjoint spans, sorted, that cover every instant of [0, end of trace) without work.

    The gaps before the first activity and after the last are included, G in all.
    """

    spans: Spans  # [P, 2]
    cause: npt.NDArray[np.uint8]  # [P] index in ORDER
    gap: I64  # [P] row of `gaps`
    gaps: Spans  # [G, 2]
    opener: I64  # [G] row of `links.work` that ends last before it; -1 for the first gap
    closer: I64  # [G] row of `links.work` that ends it; -1 for the last gap
    suspect: Spans  # flat: launched SUSPECT_NS before or more, and nothing in the file ran
    known: Mapping[Cause, Spans]  # the spans of each class
    sums: dict[Cause, I64] = field(default_factory=dict)
    suspects: dict[Cause, Spans] = field(default_factory=dict)

    def of(self, cause: Cause) -> Spans:
        """The spans of one class, sorted and disjoint."""
        return self.known[cause]

    def ns(self, cause: Cause, windows: Spans) -> I64:
        """[W] of each window what one class is."""
        flat = self.of(cause)
        if cause not in self.sums:
            self.sums[cause] = sums(flat)
        return covered(flat, windows, self.sums[cause])

    def suspect_of(self, cause: Cause) -> Spans:
        """Of the spans of one class, those that are suspect, cut where they are in part."""
        if not len(self.suspect):
            return EMPTY
        if cause not in self.suspects:
            self.suspects[cause] = intersect(self.of(cause), self.suspect)
        return self.suspects[cause]


def idle(trace: Trace, device: int | None = None) -> Idle:
    """Why a device was idle; without `device`, why all of them were at once.

    The trace must have GPU work.
    """
    if device is not None and trace.devices == (device,):
        device = None
    found: Idle = trace.once(("idle", device), lambda: _idle(trace, device))
    return found


def _idle(trace: Trace, device: int | None) -> Idle:
    gpu = links.work(trace)
    rows = np.arange(len(gpu)) if device is None else np.flatnonzero(gpu.device == device)
    gaps, opener, closer = _gaps(trace, device, rows)
    inner = closer >= 0
    start, end = np.zeros(len(gaps), np.int64), np.zeros(len(gaps), np.int64)
    linked = np.zeros(len(gaps), bool)
    linked[inner] = links.launch_row(trace)[closer[inner]] >= 0
    start[linked] = links.launch_start(trace)[closer[linked]]
    end[linked] = links.launch_end(trace)[closer[linked]]
    start = np.clip(start, gaps[:, 0], gaps[:, 1])
    end = np.clip(end, gaps[:, 0], gaps[:, 1])
    parts: defaultdict[Cause, list[Spans]] = defaultdict(list)

    def add(where: Spans, cause: Cause) -> None:
        parts[cause].append(where[where[:, 1] > where[:, 0]])

    add(gaps[~inner], Cause.AFTER_LAST)
    add(gaps[inner & ~linked], Cause.UNLINKED)
    first = np.zeros(len(gaps), bool)
    call = links.call_rows(trace)[links.launch_row(trace)[closer[linked]]]
    first[linked] = first_use(trace)[call]
    in_call = np.stack([start, end], axis=1)
    add(in_call[linked & ~first], Cause.LAUNCH_CALL)
    add(in_call[linked & first], Cause.HOST_INITIALISATION)
    device_side = np.stack([end, gaps[:, 1]], axis=1)
    kinds = _device_causes(trace, opener, closer, linked)
    for cause, mask in kinds.items():
        add(device_side[mask], cause)
    for thread, mask in _threads(trace, closer, linked):
        before = np.stack([gaps[mask, 0], start[mask]], axis=1)
        for cause, where in host_causes(trace, thread, before[before[:, 1] > before[:, 0]]):
            add(where, cause)
    known = {cause: _by_start(parts[cause]) for cause in ORDER}
    where = np.concatenate(list(known.values()))
    order = np.argsort(where[:, 0], kind="stable")
    where = where[order]
    assert total(where) == total(gaps), "every idle nanosecond is in one class"
    waits = device_side[linked & ~kinds[Cause.GRAPH]]
    return Idle(
        spans=where,
        cause=np.repeat(
            np.arange(len(ORDER), dtype=np.uint8), [len(own) for own in known.values()]
        )[order],
        gap=segments.below(gaps[:, 0], where[:, 0] + 1) - 1,
        gaps=gaps,
        opener=opener,
        closer=closer,
        suspect=_suspect(trace, device, waits),
        known=known,
    )


def _by_start(parts: list[Spans]) -> Spans:
    """Sorted spans of several lists as one."""
    if len(parts) < 2:
        return parts[0] if parts else EMPTY
    every = np.concatenate(parts)
    return every[np.argsort(every[:, 0], kind="stable")]


def _suspect(trace: Trace, device: int | None, waits: Spans) -> Spans:
    """Those of SUSPECT_NS or more, less what the file shows one device to wait for: another one."""
    long = waits[waits[:, 1] - waits[:, 0] >= SUSPECT_NS]
    return long if device is None else subtract(long, neighbours(trace, device))


def _gaps(trace: Trace, device: int | None, rows: I64) -> tuple[Spans, I64, I64]:
    """Gaps from the first slice of the trace to its last end, with what is on either side."""
    gpu = links.work(trace)
    flat = busy(trace, device).busy
    first, last = min(int(trace.ts[0]), 0), int(trace.end.max())
    if not len(flat):  # only activities without duration: nothing was busy
        flat = spans(gpu.ts[rows[:1]], [0])
    edges = np.concatenate([[first], flat.ravel(), [max(last, int(flat[-1, 1]))]]).reshape(-1, 2)
    # between flat spans there is time; before and after them there may be none
    edges = edges[int(edges[0, 0] == edges[0, 1]) : len(edges) - int(edges[-1, 0] == edges[-1, 1])]
    real = rows[gpu.dur[rows] > 0] if (gpu.dur[rows] > 0).any() else rows
    at = segments.below(gpu.ts[real], edges[:, 1])
    closer = np.where(at < len(real), real[np.minimum(at, len(real) - 1)], -1)
    by_end = real[np.argsort(gpu.end[real], kind="stable")]
    behind = segments.below(gpu.end[by_end], edges[:, 0] + 1) - 1
    opener = np.where(behind >= 0, by_end[np.maximum(behind, 0)], -1)
    return edges, opener, closer


def _device_causes(trace: Trace, opener: I64, closer: I64, linked: Mask) -> dict[Cause, Mask]:
    """Why work that was launched had not begun: a mask over the gaps for each class."""
    gpu, launch = links.work(trace), links.launch_row(trace)
    both = linked & (opener >= 0)
    one, two = opener[both], closer[both]
    graph, talk, other = (np.zeros(len(closer), bool) for _ in range(3))
    graph[both] = launch[one] == launch[two]
    across = (gpu.stream[one] != gpu.stream[two]) | (gpu.device[one] != gpu.device[two])
    talk[both] = across & communication(trace)[one]
    other[both] = across & _waits(trace)[launch[two]]
    talk &= ~graph
    other &= ~graph & ~talk
    return {
        Cause.GRAPH: graph,
        Cause.COMMUNICATION: talk,
        Cause.OTHER_STREAM: other,
        Cause.QUEUED: linked & ~graph & ~talk & ~other,
    }


def _waits(trace: Trace) -> Mask:
    """[R] whether a stream was told to wait between a runtime call and the last launch before."""

    def make() -> Mask:
        calls = links.calls(trace)
        thread = links.call_thread(trace)
        order = np.lexsort((calls.ts, thread))
        position = np.arange(len(order))
        launches = links.launch_count(trace)[order] > 0
        waits = calls.named(WAIT_EVENT)[order]
        first = np.r_[True, thread[order][1:] != thread[order][:-1]] if len(order) else launches
        begins = np.maximum.accumulate(np.where(first, position, 0))
        seen = np.maximum.accumulate(np.where(waits, position, -1))
        prior = np.r_[-1, np.maximum.accumulate(np.where(launches, position, -1))[:-1]]
        out = np.zeros(len(order), bool)
        out[order] = (seen >= begins) & (seen > prior)
        return out

    return trace.once("waits", make)


def launch_thread(trace: Trace) -> I64:
    """[G] the thread (a value of `links.thread`) that launched each row of `work`, or -1."""

    def make() -> I64:
        launch = links.launch_row(trace)
        thread = links.call_thread(trace)
        out = np.full(len(launch), -1, np.int64)
        out[launch >= 0] = thread[launch[launch >= 0]]
        return out

    return trace.once("launch thread", make)


def _threads(trace: Trace, closer: I64, linked: Mask) -> list[tuple[int, Mask]]:
    """For each launching thread, the gaps that its launches end."""
    of_gap = np.full(len(closer), -1, np.int64)
    of_gap[linked] = launch_thread(trace)[closer[linked]]
    return [(int(n), of_gap == n) for n in segments.sorted_unique(of_gap[linked])]


def neighbours(trace: Trace, device: int) -> Spans:
    """Flat spans in which another device that the same processes launch on was busy."""
    if len(trace.devices) < 2:
        return np.empty((0, 2), np.int64)
    gpu, launch = links.work(trace), links.launch_row(trace)
    pid = np.full(len(gpu), -1, np.int64)
    pid[launch >= 0] = links.calls(trace).pid[launch[launch >= 0]]
    mine = set(segments.sorted_unique(pid[(gpu.device == device) & (launch >= 0)]).tolist())
    parts = [
        busy(trace, other).busy
        for other in trace.devices
        if other != device and mine & set(segments.sorted_unique(pid[gpu.device == other]).tolist())
    ]
    return union(np.concatenate(parts)) if parts else np.empty((0, 2), np.int64)
