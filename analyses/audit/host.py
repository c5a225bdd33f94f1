"""Checks of the host's side: slices that cross, and the profiler's own work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tracekit.answers.audit import Effect, Finding
from tracekit.attribution import links
from tracekit.results.units import count, duration, share
from tracekit.trace.spans import compiled, segments
from tracekit.trace.spans.intervals import Spans, covered, intersect, spans, total, union, union_of
from tracekit.trace.spans.nesting import parents
from tracekit.trace.spans.segments import reach
from tracekit.trace.trace import HOST, I64, Cat, Mask, Trace

from . import frames

# What is nested in what: an annotation crosses the Python frame that opens it, without doubt
ALIKE: Mapping[tuple[str, ...], tuple[Cat, ...]] = {
    ("ops", "kernels", "idle"): (Cat.CPU_OP, Cat.RUNTIME),
    ("stages", "tokens"): (Cat.ANNOTATION,),
    ("modules",): (Cat.PYTHON,),
}


def crossings(trace: Trace) -> Iterator[Finding]:
    """Host slices that cross on one thread: which encloses which is not known there.

    Degraded where crossing slices of one kind (ops and calls; annotations; Python frames) leave
    over 1 % of the host's time, of the durations of all work, or of the idle time in doubt.
    """
    number = int(_crossed(trace, [HOST])[0].sum())
    if not number:
        return
    touched = _in_doubt(trace)
    worst = max(touched.values())
    degraded = tuple(name for name, part in touched.items() if part > frames.MATERIAL)
    tail = (
        f"so it is not known which encloses which: at most {share(worst)} of a number hangs on it."
        if worst
        else "of different kinds, as an annotation and the Python frame that opens it: no number "
        "of an answer hangs on it."
    )
    host = int(trace.is_(*HOST).sum())
    what = f"{count(number)} of {count(host)} host slices cross another on their thread, {tail}"
    effect: Effect = "degraded" if degraded else "note"
    yield Finding(trace.path, "crossings", effect, what, number, None, worst,
                  degraded or tuple(touched))  # fmt: skip


def _crossed(trace: Trace, groups: Sequence[tuple[Cat, ...]]) -> tuple[Mask, I64]:
    """[N] slices that begin inside another one of their group of categories that ends before they
    do, and [N] when that one ends; others end at any time.
    """
    if loops := compiled.of(len(trace)):
        found = loops.enclosed(links.slices(trace), groups)
        if found is not None:
            return found.crossed, found.until
    crossed, until = np.zeros(len(trace), bool), np.zeros(len(trace), np.int64)
    for cats in groups:
        rows = np.flatnonzero(trace.is_(*cats))
        if len(rows):
            crossed[rows], until[rows] = _among(trace, rows, _parents(trace, cats, rows))
    return crossed, until


def _parents(trace: Trace, cats: tuple[Cat, ...], rows: I64) -> I64:
    """[R] which of these rows, all those of some categories, is the one around each, or -1."""
    if cats != HOST:
        return parents(links.thread(trace)[rows], trace.ts[rows], trace.end[rows])
    place = np.cumsum(trace.is_(*HOST)) - 1
    above = links.parent_row(trace)[rows]
    return np.where(above >= 0, place[above], -1)


def _among(trace: Trace, rows: I64, parent: I64) -> tuple[Mask, I64]:
    """[R] of these rows which cross another, and when that one ends."""
    thread, start, end = links.thread(trace)[rows], trace.ts[rows], trace.end[rows]
    # slices at the top of a thread are siblings of one another
    family = np.where(parent >= 0, parent, -1 - thread)
    order = np.argsort(family, kind="stable")
    ordered = family[order]
    same = ordered[1:] == ordered[:-1]
    group = np.cumsum(np.append(False, ~same))
    furthest = reach(group, end[order])
    crossed, until = np.zeros(len(rows), bool), np.zeros(len(rows), np.int64)
    crossed[order[1:]] = same & (furthest[:-1] > start[order[1:]])
    until[order[1:]] = furthest[:-1]
    return crossed & (trace.dur[rows] > 0), np.minimum(until, end)


def _in_doubt(trace: Trace) -> dict[str, float]:
    """The share of each answer's numbers that depends on what encloses what among crossing slices.

    Of the durations of all work, that of work launched there (kernels, stages, tokens, modules); of
    the idle time, that in which a thread was there; of the host's time, that which is there (ops).
    Without device work the last is that of all.
    """
    gpu = links.work(trace)
    found: dict[str, float] = {}
    whole = max(total(union_of(trace.ts, trace.end, trace.is_(*HOST))), 1)
    crossed, until = _crossed(trace, list(ALIKE.values()))
    for names, cats in ALIKE.items():
        rows = np.flatnonzero(crossed & trace.is_(*cats))
        doubt = np.stack([trace.ts[rows], until[rows]], axis=1)
        flat = union(doubt)
        time = total(flat) / whole
        launched = _launched_in(trace, links.thread(trace)[rows], doubt)
        work = int(gpu.dur[launched].sum()) / max(int(gpu.dur.sum()), 1) if len(gpu) else time
        found |= dict.fromkeys(names, work)
        if "ops" in names:
            idle = frames.device_idle(trace)
            found |= {"ops": time, "idle": int(covered(flat, idle).sum()) / max(total(idle), 1)}
    return found


def _launched_in(trace: Trace, thread: I64, where: Spans) -> Mask:
    """[G] work whose launch begins in one of these spans of these threads."""
    calls, lane = links.calls(trace), links.call_thread(trace)
    at = np.stack([calls.ts, calls.ts + 1], axis=1)
    inside = np.zeros(len(calls) + 1, bool)  # the last for work without a launch
    for one in segments.sorted_unique(thread):
        mine = np.flatnonzero(lane == one)
        inside[mine] = covered(union(where[thread == one]), at[mine]) > 0
    return np.asarray(inside[links.launch_row(trace)])


def overhead(trace: Trace) -> Iterator[Finding]:
    """The profiler's own work, and how much of the idle time and of the stages it can be."""
    own, host = trace.of(Cat.OVERHEAD), links.host_window(trace)
    if not len(own) or host is None:
        return
    flat = union(spans(own.ts, own.dur))
    window = np.array([host], np.int64)
    time = int(covered(flat, window)[0])
    if not time:
        return
    device, clock = frames.device_window(trace), frames.stage_clock(trace)
    idle = total(intersect(flat, frames.device_idle(trace)))
    touched: dict[tuple[str, ...], float] = {}
    if len(device):
        touched["idle", "launches"] = idle / max(total(device), 1)
    if len(clock):
        touched["stages", "tokens"] = total(intersect(flat, clock)) / max(total(clock), 1)
    part = time / max(total(window), 1)
    if not touched:
        touched["ops",] = part
    degraded = [name for names, p in touched.items() if p > frames.OVERHEAD for name in names]
    words = {"idle": "of the window of the devices, idle for that long",
             "stages": "of the wall time of the stages"}  # fmt: skip
    said = [f"{share(p)} {words[names[0]]}" for names, p in touched.items() if names[0] in words]
    what = (
        f"The profiler itself was at work for {duration(time)} ({share(part)}) of the recorded "
        f"host time, in {count(len(own))} pieces: host time is longer by at most that"
        f"{''.join(', ' + one for one in said)}."
    )
    effect: Effect = "degraded" if degraded else "note"
    every = [name for names in touched for name in names]
    yield Finding(trace.path, "overhead", effect, what, len(own), time, part,
                  tuple(degraded or every))  # fmt: skip
