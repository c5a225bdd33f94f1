"""Checks of the GPU work: what is lost, stretched, hidden or without a launch."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from tracekit.answers.audit import Effect, Finding
from tracekit.attribution import links, lost_launches
from tracekit.attribution.idle.busy import busy
from tracekit.attribution.stages.instances import Markers, launched
from tracekit.patterns import later
from tracekit.results.units import count, duration, share
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import Spans, total, union_of
from tracekit.trace.trace import GPU_WORK, HOST, I64, Mask, Trace

from . import frames
from .finding import ALL_WORK, BOTH, BY_LAUNCH

_MANY, _GIANT = 100, 10  # of fewer activities a giant is this many times as long as the next
_NEARLY = 0.9  # of a length: clocks and flushes are a little apart
STEP_NUMBER = later(r"#\d+$")


def lost_work(trace: Trace) -> Iterator[Finding]:
    """Launch calls whose kernels are not in the file."""
    if not len(links.work(trace)):
        return
    calls, real = links.calls(trace), lost_launches.issuing(trace)
    lost = lost_launches.without_work(trace) & ~lost_launches.set_aside(trace)
    if not lost.any():
        return
    part = float(lost.sum() / real.sum())
    first = lost & (calls.ts <= links.work(trace).ts.min())
    start = f"; {count(int(first.sum()))} of them before the first kernel" if first.any() else ""
    what = (
        f"{count(int(lost.sum()))} of {count(int(real.sum()))} kernel launches ({share(part)}) "
        f"have no kernel in the file{start}: GPU time is missing, and idle time is too long."
    )
    effect: Effect = "refused" if part > 0.5 else "degraded" if part >= frames.MATERIAL else "note"
    yield Finding(trace.path, "lost_work", effect, what, int(lost.sum()), None, part, ALL_WORK)


def empty_steps(trace: Trace) -> Iterator[Finding]:
    """Steps or samples whose GPU work is lost, where others of their family have some.

    Regions that a user named may well launch nothing: they are not asked. Nor is a step that the
    file ends in, which had nothing to launch.
    """
    if len(links.work(trace)):
        for marks in frames.marked(trace):
            yield from _empty(trace, marks)


def _empty(trace: Trace, marks: Markers) -> Iterator[Finding]:
    done = np.bincount(launched(trace, marks)[0], minlength=len(marks))
    known = np.array([step is not None for step in marks.step], bool)
    for mine in marks.members:
        mine = mine[known[mine] & ~marks.repeated[mine]]
        full = done[mine] > 0
        if full.all() or not full.any():  # a stage on the host alone, load say
            continue
        empty = mine[~full & _worked(trace, marks, mine, full)]
        if not len(empty):
            continue
        part = len(empty) / len(mine)
        what = (
            f"{count(len(empty))} of {count(len(mine))} {marks.name[int(empty[0])]!r} and the like "
            "launched no GPU work in the file, the others did: their kernels are probably lost. "
            "Idle time is too long, and totals are those of the rest."
        )
        effect: Effect = "refused" if part > 0.5 else "degraded"
        time = int((marks.end - marks.start)[empty].sum())
        touches = (*BOTH, "transfers")
        yield Finding(trace.path, "empty_steps", effect, what, len(empty), time, part, touches)


def _worked(trace: Trace, marks: Markers, mine: I64, full: Mask) -> Mask:
    """[M] instances that call for work, or are like those whose work is in the file.

    With half their ops; without any ops, half as long. The tail of a step in which a profiler stops
    is neither: nothing of it is lost.
    """
    calls, ops = links.calls(trace), links.ops(trace)
    launches = lost_launches.issuing(trace)
    like = _starting(ops.ts, ops.pid, marks, mine)
    if not like[full].any():
        like = (marks.end - marks.start)[mine]
    asked = _starting(calls.ts[launches], calls.pid[launches], marks, mine)
    return np.asarray((asked > 0) | (2 * like >= np.median(like[full])))


def _starting(ts: I64, pid: I64, marks: Markers, mine: I64) -> I64:
    """[M] how many of these slices begin in each instance, in its process."""
    out = np.zeros(len(mine), np.int64)
    for process in segments.sorted_unique(marks.pid[mine]).tolist():
        own = marks.pid[mine] == process
        when = np.sort(ts if process == -1 else ts[pid == process])
        low, high = marks.start[mine[own]], marks.end[mine[own]]
        out[own] = np.searchsorted(when, high) - np.searchsorted(when, low)
    return out


def short_replays(trace: Trace) -> Iterator[Finding]:
    """Graph launches with fewer kernels than the same launch of a step of the same name."""
    if not len(links.work(trace)):
        return
    for marks in frames.marked(trace)[-1:]:
        yield from _short(trace, marks)


def _short(trace: Trace, marks: Markers) -> Iterator[Finding]:
    calls = links.calls(trace)
    graphs = np.flatnonzero(calls.named("GraphLaunch") & ~lost_launches.capturing(trace))
    if not len(graphs):
        return
    nodes = links.launch_count(trace)[graphs]
    when, pid = calls.ts[graphs], calls.pid[graphs]
    replays: defaultdict[str, list[I64]] = defaultdict(list)
    for i in np.flatnonzero(~marks.repeated):
        mine = (when >= marks.start[i]) & (when < marks.end[i])
        mine &= (pid == marks.pid[i]) | (marks.pid[i] == -1)
        if mine.any():
            replays[STEP_NUMBER.sub("", marks.name[i])].append(nodes[mine])
    short = missing = known = 0
    for steps in replays.values():
        length = Counter(len(step) for step in steps).most_common(1)[0][0]
        table = np.array([step for step in steps if len(step) == length])
        known += table.size
        lacking = table.max(axis=0) - table
        short += int((lacking > 0).sum())
        missing += int(lacking.sum())
    if short:
        what = (
            f"{count(short)} of {count(known)} graph launches hold fewer kernels than the same "
            f"launch of another step; {count(missing)} kernels in all: they may be lost."
        )
        yield Finding(
            trace.path, "short_replays", "degraded", what, short, None, short / known,
            ("devices", "stages", "idle", "kernels", "tokens"),
        )  # fmt: skip


def unlinked_work(trace: Trace) -> Iterator[Finding]:
    """GPU work whose launch is not in the file."""
    gpu = links.work(trace)
    lost = links.without_launch(trace)
    if not lost.any():
        return
    busy_ns = total(union_of(gpu.ts, gpu.end, lost))
    part = busy_ns / max(total(busy(trace).busy), 1)
    what = (
        f"{count(int(lost.sum()))} of {count(len(gpu))} GPU activities ({share(part)} of the busy "
        f"time) have no launch in the file{_when_launched(trace, lost)}: they are in the totals of "
        "the device, and in no stage."
    )
    effect: Effect = "degraded" if part > frames.MATERIAL else "note"
    # idle time before such work is a class of its own: no number of it is wrong
    touches = tuple(name for name in BY_LAUNCH if name != "idle")
    yield Finding(trace.path, "unlinked_work", effect, what, int(lost.sum()), busy_ns, part,
                  touches)  # fmt: skip


def _when_launched(trace: Trace, lost: Mask) -> str:
    """What the file shows of launches that it lacks, as the end of a clause."""
    gpu = links.work(trace)
    if lost.all():
        return ", as all the others" if len(gpu) > 1 else ""
    ahead = int((gpu.ts[lost] < gpu.ts[~lost].min()).sum())
    if not ahead:
        return ""
    which = f"{count(ahead)} of them" if ahead < lost.sum() else "all of them"
    return f"; {which if lost.sum() > 1 else 'it'} began ahead of all that have"


def stray_events(trace: Trace) -> Iterator[Finding]:
    """A device window stretched by a few activities far from the rest, on one side or on both."""
    gpu = links.work(trace)
    for device in trace.devices:
        mine = gpu.device == device
        flat = busy(trace, device).busy
        if len(flat) < 2 or mine.sum() < 10:
            continue
        start, end = gpu.ts[mine], gpu.end[mine]
        low, high = _core(start, flat)
        if low == flat[0, 0] and high == flat[-1, 1]:
            continue
        few = int(((start < low) | (end > high)).sum())
        window, rest = int(flat[-1, 1] - flat[0, 0]), high - low
        ahead, behind = flat[flat[:, 0] < low, 1], flat[flat[:, 1] > high, 0]
        gaps = {
            "before": low - int(ahead[-1]) if len(ahead) else 0,
            "after": int(behind[0]) - high if len(behind) else 0,
        }
        if 2 * sum(gaps.values()) < window:
            continue
        sides = " and ".join(f"{duration(ns)} {side}" for side, ns in gaps.items() if ns)
        what = (
            f"{count(few)} of {count(len(start))} activities of device {device} "
            f"{'lie' if few > 1 else 'lies'} {sides} the rest: from the first activity to the last "
            f"it is {duration(window)}, without {'them' if few > 1 else 'it'} {duration(rest)}."
        )
        yield Finding(
            trace.path, "stray_events", "degraded", what, few, sum(gaps.values()),
            sum(gaps.values()) / window, ("devices", "stages", "idle"),
        )  # fmt: skip


def _core(start: I64, flat: Spans) -> tuple[int, int]:
    """Start and end of a device's busy time without the few activities, on each side, that a gap
    longer than all the rest cuts off. `start` is sorted.
    """
    gap = flat[1:, 0] - flat[:-1, 1]
    before = segments.below(start, flat[1:, 0])  # activities ahead of each gap
    few = max(1, len(start) // 50)
    left = int(np.where(before <= few, gap, 0).argmax())
    right = int(np.where(len(start) - before <= few, gap, 0).argmax())
    cut_left, cut_right = before[left] <= few, len(start) - before[right] <= few
    rest = int(flat[-1, 1] - flat[0, 0]) - gap[left] * cut_left - gap[right] * cut_right
    low = flat[left + 1, 0] if cut_left and gap[left] >= rest else flat[0, 0]
    high = flat[right, 1] if cut_right and gap[right] >= rest else flat[-1, 1]
    return int(low), int(high)


def giant_events(trace: Trace) -> Iterator[Finding]:
    """One activity that is most of the GPU time, with an end that nothing in the file confirms."""
    gpu = links.work(trace)
    if not len(gpu):
        return
    row = int(gpu.dur.argmax())
    length = int(gpu.dur[row])
    part = length / max(int(gpu.dur.sum()), 1)
    next_longest = int(np.delete(gpu.dur, row).max(initial=0))
    if part <= 0.5 or (len(gpu) < _MANY and length <= _GIANT * next_longest):
        return
    doubt = _doubt(trace, row)
    if doubt:
        what = (
            f"One activity of {count(len(gpu))}, {gpu.text(row)[:80]!r}, lasts "
            f"{duration(length)}, {share(part)} of all GPU time, and {doubt}: check that it is "
            "real."
        )
        yield Finding(
            trace.path, "giant_events", "degraded", what, 1, length, part,
            ("devices", "stages", "idle", "kernels", "tokens", "roofline", "roles"),
        )  # fmt: skip


def _doubt(trace: Trace, row: int) -> str:
    """Why a row of `links.work` may not have lasted as long as it says; '' where the file bears it
    out.

    What follows a real kernel on its stream starts after it, a call that waits for the device
    returns after it, and a recording goes on until it has ended. One in a file of nothing else is
    not doubted.
    """
    gpu, calls = links.work(trace), links.calls(trace)
    start, length, launched_at = int(gpu.ts[row]), int(gpu.dur[row]), links.launch_end(trace)[row]
    nearly = start + int(_NEARLY * length)
    if launched_at >= 0:
        waits = calls.named(r"(Device|Ctx)Synchronize") & (calls.ts >= launched_at)
        early = waits & (calls.end < nearly)
        if early.any():
            return "a call that began after its launch to wait for the device returned before it"
    known = trace.is_(*HOST, *GPU_WORK) & (trace.id != gpu.id[row])
    others = trace.end[known]
    if len(others) and int(others.max()) < nearly:
        return f"the rest of the file ends {duration(start + length - int(others.max()))} earlier"
    return ""
