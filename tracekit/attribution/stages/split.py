"""The two splits of a stage, never mixed up: by clock, and by launch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle.busy import busy, communication
from tracekit.attribution.idle.causes import idle
from tracekit.records import Record, replace
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import Spans, covered, total, union
from tracekit.trace.trace import I64, Cat, Mask, Trace

Pairs = tuple[I64, I64]  # (group, row of `links.work`)


class Clock(Record, frozen=True):
    """What the devices did in a span. wall = kernel + memcpy + memset + idle, in ns."""

    kernel_ns: int
    memcpy_ns: int
    memset_ns: int
    idle_ns: int


class ClockDetail(Record, frozen=True):
    """Of the parts of a Clock, in ns."""

    communication_ns: int  # of kernel_ns
    exposed_communication_ns: int  # of communication_ns: no other kernel ran
    suspect_ns: int  # of idle_ns: the device probably ran work that the file lacks (causes.py)


class Launched(Record, frozen=True):
    """The work that a span launched, on any thread of its process.

    window = kernel + memcpy + memset + other + idle, in ns.
    """

    count: int
    window_ns: int  # first start to last end of this work
    kernel_ns: int
    memcpy_ns: int
    memset_ns: int
    other_ns: int  # the device ran work that was launched elsewhere
    idle_ns: int


class LaunchedDetail(Record, frozen=True):
    """Of the parts of a Launched, in ns where nothing else is said."""

    kernel_sum_ns: int  # durations added up: more than kernel_ns where streams overlap
    communication_ns: int  # of kernel_ns
    exposed_communication_ns: int
    suspect_ns: int  # of idle_ns, as in ClockDetail
    same_thread_count: int  # of count: launched on the marker's own thread
    start_ns: int | None  # of the first activity, from the first slice; None without any


ByClock = tuple[Clock, ClockDetail]
ByLaunch = tuple[Launched, LaunchedDetail]


def clocks(trace: Trace, windows: Spans) -> list[ByClock]:
    """One for each window; windows may overlap."""
    return [_clock(row) for row in _clock_columns(trace, windows).T]


def clocks_of(trace: Trace, parts: Sequence[Spans]) -> list[ByClock]:
    """One for each list of flat spans, all of it together."""
    if not parts:
        return []
    columns = _clock_columns(trace, np.concatenate(parts))
    return [_clock(own.sum(axis=1)) for own in _apart(columns, parts)]


def _apart(columns: I64, parts: Sequence[Spans]) -> list[I64]:
    """What columns [..., W] say of the spans of each part, which they have one after another."""
    return np.split(columns, np.cumsum([len(part) for part in parts])[:-1], axis=-1)


def _clock(column: I64) -> ByClock:
    values = column.tolist()
    return Clock(*values[:4]), ClockDetail(*values[4:])


def _clock_columns(trace: Trace, windows: Spans) -> I64:
    """[7, W] in the order of Clock, then of ClockDetail."""
    done, suspect = busy(trace), covered(idle(trace).suspect, windows)
    kernel, copied, any_ = (covered(s, windows) for s in (done.kernel, done.copied, done.busy))
    talk, compute = covered(done.communication, windows), covered(done.compute, windows)
    wall = windows[:, 1] - windows[:, 0]
    return np.stack(
        [kernel, copied - kernel, any_ - copied, wall - any_, talk, kernel - compute, suspect]
    )


def launches(trace: Trace, pairs: Pairs, same_thread: Pairs, groups: int) -> list[ByLaunch]:
    """One for each group; its window is from the first start to the last end of its work."""
    gpu = links.work(trace)
    first, last = segments.bounds(pairs[0], gpu.ts[pairs[1]], gpu.end[pairs[1]], groups)
    window = np.stack([first, last], axis=1)
    device = covered(busy(trace).busy, window)
    same = np.bincount(same_thread[0], minlength=groups)
    suspect = covered(idle(trace).suspect, window)
    own = {**_own(trace, pairs, groups), "suspect_ns": suspect, "same_thread_count": same}
    return _rows(own, last - first, device, first)


def launches_of(
    trace: Trace, pairs: Pairs, same_thread: Pairs, groups: int, parts: Sequence[Spans]
) -> list[ByLaunch]:
    """One for each group; its window is the union of its `parts`, which hold all its work."""
    gpu = links.work(trace)
    pairs, same_thread = distinct(pairs, len(gpu)), distinct(same_thread, len(gpu))
    flat = [union(part) for part in parts]
    window = np.array([total(f) for f in flat], np.int64)
    every = np.concatenate(flat)
    device, suspect = (
        np.array([own.sum() for own in _apart(covered(where, every), flat)], np.int64)
        for where in (busy(trace).busy, idle(trace).suspect)
    )
    first = segments.bounds(pairs[0], gpu.ts[pairs[1]], gpu.end[pairs[1]], groups)[0]
    same = np.bincount(same_thread[0], minlength=groups)
    own = {**_own(trace, pairs, groups), "suspect_ns": suspect, "same_thread_count": same}
    return _rows(own, window, device, first)


def distinct(pairs: Pairs, works: int) -> Pairs:
    """Each (group, work) once."""
    key = segments.sorted_unique(pairs[0] * max(works, 1) + pairs[1])
    return key // max(works, 1), key % max(works, 1)


def _own(trace: Trace, pairs: Pairs, groups: int) -> dict[str, I64]:
    """Columns of Launched and LaunchedDetail that need no window, and `busy`."""
    group, row = pairs
    gpu = links.work(trace)
    start, end, cat, talk = gpu.ts[row], gpu.end[row], gpu.cat[row], communication(trace)[row]

    def covers(keep: Mask) -> I64:
        return segments.union_ns(group, start, end, groups, keep)

    is_kernel = cat == int(Cat.KERNEL)
    kernel = covers(is_kernel)
    copied = covers(is_kernel | (cat == int(Cat.MEMCPY)))
    everything = covers(np.ones(len(row), bool))
    return {
        "count": np.bincount(group, minlength=groups),
        "kernel_ns": kernel,
        "memcpy_ns": copied - kernel,
        "memset_ns": everything - copied,
        "kernel_sum_ns": segments.sums(group[is_kernel], gpu.dur[row[is_kernel]], groups),
        "communication_ns": covers(talk),
        "exposed_communication_ns": kernel - covers(is_kernel & ~talk),
        "busy": everything,
    }


def _rows(own: dict[str, I64], window: I64, device: I64, first: I64) -> list[ByLaunch]:
    columns = {
        **own,
        "window_ns": window,
        "other_ns": device - own["busy"],
        "idle_ns": window - device,
        "start_ns": first,
    }
    names = [*Launched.__struct_fields__, *LaunchedDetail.__struct_fields__]
    table = zip(*(columns[name].tolist() for name in names), strict=True)
    cut = len(Launched.__struct_fields__)
    rows = [(Launched(*values[:cut]), LaunchedDetail(*values[cut:])) for values in table]
    return [(w, d) if w.count else (w, replace(d, start_ns=None)) for w, d in rows]
