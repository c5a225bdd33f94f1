"""Checks of the recording: damage, options, clocks, crossing slices, the profiler itself."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tracekit.answers.audit import Effect, Finding
from tracekit.attribution import links
from tracekit.attribution.host_calls import LAUNCHING
from tracekit.attribution.stages import inferred
from tracekit.attribution.stages.instances import markers
from tracekit.errors import MissingEventsError
from tracekit.results.units import count, duration, plural
from tracekit.results.unknown_work import unknown
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import spans, total, union, union_of
from tracekit.trace.spans.segments import distinct, sums
from tracekit.trace.trace import GPU_WORK, HOST, Cat, Trace

from . import frames
from .finding import BOTH, BY_LAUNCH

UNKNOWN_SHARE = 0.01  # of known and unknown work


def damage(trace: Trace) -> Iterator[Finding]:
    """Parts of the file that could not be read."""
    everything = (*BOTH, "transfers", "memory", "modules", "roofline", "roles")
    for loss in trace.source.losses:
        where = f" at byte {count(loss.at_byte)}" if loss.at_byte is not None else ""
        if loss.bytes_lost == 0 and not loss.events_lost:
            what = f"Part of the file was mended{where} ({loss.what}); no event is missing for it."
            yield Finding(trace.path, "damage", "note", what, 1, None, None, everything)
            continue
        lost = f", {count(loss.bytes_lost)} bytes" if loss.bytes_lost else ""
        events = f": at least {plural(loss.events_lost, 'event')} lost" if loss.events_lost else ""
        kept = f"; {plural(loss.events_kept, 'event')} kept" if loss.events_kept is not None else ""
        what = f"Part of the file is lost{where}{lost} ({loss.what}){events}{kept}."
        yield Finding(
            trace.path, "damage", "degraded", what, loss.events_lost or 1, None, None, everything
        )


def inferred_steps(trace: Trace) -> Iterator[Finding]:
    """Stages that no annotation marks."""
    found = inferred.passes(trace)
    try:
        chosen = markers(trace).chosen
    except MissingEventsError:
        return
    if found is None or chosen != "inferred":
        return
    decoding = int(found.decode.sum())
    what = (
        f"Nothing marks a stage: {plural(len(found.decode) - decoding, 'prefill')} and "
        f"{plural(decoding, 'decode step')} are inferred from the repetition of "
        f"{plural(found.layers, 'layer')} and from what draws a token."
    )
    yield Finding(
        trace.path, "inferred_steps", "note", what, len(found.decode), None, None,
        ("stages", "kernels", "ops", "tokens"),
    )  # fmt: skip


def no_gpu_work(trace: Trace) -> Iterator[Finding]:
    """Launches, and not one GPU activity."""
    launches = links.calls(trace).named(LAUNCHING).sum()
    if launches and not len(links.work(trace)):
        ranges = trace.source.cats.get("cuda_profiler_range", 0)
        got = (
            f"the profiler got no GPU records but {count(ranges)} ranges of hardware counters, "
            "which have no times"
            if ranges
            else "the profiler got no GPU records"
        )
        what = (
            f"{count(int(launches))} kernel launches are recorded and no kernel: {got}. Host time "
            "is right; nothing can be said of the GPU's."
        )
        yield Finding(
            trace.path, "no_gpu_work", "refused", what, int(launches), None, 1.0,
            ("devices", "idle", "kernels", "launches", "transfers"),
        )  # fmt: skip


def unknown_work(trace: Trace) -> Iterator[Finding]:
    """Slices of categories or processes that are not known: they may be work of a device.

    Degraded where they lie apart from the host's threads and cover over 1 % of the known work.
    """
    what = unknown(trace.source)
    if what is None:
        return
    rows = trace.source.unknown
    apart = sum(row.ns for row in rows if not row.on_host)
    gpu = links.work(trace)
    known = total(union(spans(gpu.ts, gpu.dur)))
    part = apart / (apart + known) if apart else 0.0
    effect: Effect = "degraded" if part > UNKNOWN_SHARE else "note"
    yield Finding(trace.path, "unknown_work", effect, what, sum(row.count for row in rows),
                  sum(row.ns for row in rows), part, (*BOTH, "transfers", "roofline"))  # fmt: skip


def impossible_times(trace: Trace) -> Iterator[Finding]:
    """Negative durations, and work that began before its launch."""
    negative = int((trace.dur < 0).sum())
    if negative:
        what = f"{count(negative)} slices have a negative duration; they cover no time."
        part = negative / len(trace)
        yield Finding(
            trace.path, "negative_durations", "degraded", what, negative, None, part,
            BOTH,
        )  # fmt: skip
    gpu, start = links.work(trace), links.launch_start(trace)
    early = (start >= 0) & (gpu.ts < start)
    early &= links.launch_row(trace) >= 0
    if early.any():
        worst = int((start - gpu.ts)[early].max())
        what = (
            f"{count(int(early.sum()))} of {count(len(gpu))} activities begin before their launch, "
            f"by {duration(worst)} at most: the clocks of host and device are apart by that much."
        )
        yield Finding(
            trace.path, "early_work", "degraded", what, int(early.sum()), worst,
            float(early.mean()), ("launches", "idle"),
        )  # fmt: skip


def overlaps(trace: Trace) -> Iterator[Finding]:
    """Activities that begin before the one before them on their stream has ended."""
    gpu = links.work(trace)
    if not len(gpu):
        return
    track = distinct(np.stack([gpu.device.astype(np.int64), gpu.stream], axis=1))[1]
    tracks = int(track.max()) + 1
    order = np.lexsort((gpu.ts, track))
    same = track[order][1:] == track[order][:-1]
    over = (gpu.end[order][:-1] - gpu.ts[order][1:]) * same
    pairs = int((over > 0).sum())
    if not pairs:
        return
    flat = sum(total(union_of(gpu.ts, gpu.end, track == t)) for t in range(tracks))
    extra = int(np.maximum(sums(track, gpu.dur, tracks), 0).sum()) - flat
    part = extra / max(flat, 1)
    what = (
        f"{plural(pairs, 'activity begins', 'activities begin')} before the one before on the "
        f"same stream has ended ({duration(extra)} counted twice in sums of durations; unions "
        "count it once)."
    )
    effect: Effect = "degraded" if part > 0.01 else "note"
    yield Finding(trace.path, "overlaps", effect, what, pairs, extra, part,
                  ("kernels", "roofline", "roles"))  # fmt: skip


def resolution(trace: Trace) -> Iterator[Finding]:
    """Times without any length, whole-microsecond times, and GPU work of duration 0."""
    gpu = links.work(trace)
    yield from _without_lengths(trace)
    if not len(gpu):
        return
    zero = int((gpu.dur == 0).sum())
    if zero == len(gpu):
        return
    absolute = gpu.ts % 1000
    coarse = (
        len(gpu) > 3 and not (gpu.dur % 1000).any() and len(segments.sorted_unique(absolute)) == 1
    )
    if coarse:
        mean = int(gpu.dur.mean())
        what = (
            f"Times are whole microseconds: a duration is right to 1 µs, the mean activity lasts "
            f"{duration(mean)}{f'; {count(zero)} have duration 0' if zero else ''}."
        )
        part = min(1000 / max(mean, 1), 1.0)
        yield Finding(trace.path, "resolution", "degraded" if part > 0.05 else "note", what,
                      len(gpu), None, part, ("kernels", "launches", "idle"))  # fmt: skip
    elif zero:
        what = f"{count(zero)} of {count(len(gpu))} GPU activities have duration 0."
        yield Finding(trace.path, "zero_durations", "note", what, zero, 0, zero / len(gpu),
                      ("kernels",))  # fmt: skip


def _without_lengths(trace: Trace) -> Iterator[Finding]:
    """All lengths of the GPU, or of the host, are 0: what took how long is not in the file."""
    gpu, host = trace.is_(*GPU_WORK), trace.is_(*HOST)
    sides = (
        ("GPU activities", "the device", gpu, (*BOTH, "transfers", "roofline", "roles")),
        ("slices of the host", "the host", host, ("stages", "idle", "launches", "tokens", "ops")),
    )
    for what, who, mine, touches in sides:
        number = int(mine.sum())
        if number and not (mine & (trace.dur != 0)).any():
            said = (
                f"All {count(number)} {what} have duration 0: how long {who} worked is not in the "
                "file, and was not measured."
            )
            yield Finding(trace.path, "zero_durations", "refused", said, number, None, 1.0, touches)


def options(trace: Trace) -> Iterator[Finding]:
    """What was not recorded, and what that rules out.

    Degraded where a number would say something else: without runtime calls whose work it was,
    without ops what the host was in while a device waited (not how long it waited).
    """
    meta = trace.source.meta
    cats = {cat for cat in Cat if trace.is_(cat).any()}
    gpu = len(links.work(trace)) > 0
    absent = {
        "GPU activity, so only host time is known": (
            not gpu and not trace.source.unknown,
            ("devices", "idle", "kernels"),
        ),
        "annotations": (Cat.ANNOTATION not in cats, ("stages", "tokens")),
        "framework ops": (Cat.CPU_OP not in cats, ("kernels", "idle", "roofline")),
        "runtime calls": (gpu and Cat.RUNTIME not in cats, BY_LAUNCH),
        "Python stacks": (Cat.PYTHON not in cats and not meta.get("with_stack"), ("modules",)),
        "shapes": ("record_shapes" in meta and not meta["record_shapes"], ("roofline", "roles")),
        "memory events": ("profile_memory" in meta and not meta["profile_memory"], ("memory",)),
    }
    for name, (missing, touches) in absent.items():
        if missing:
            effect: Effect = "note"
            if name == "runtime calls":
                effect = "degraded"
            elif name == "framework ops" and frames.outside_ops(trace) > frames.MATERIAL:
                effect, touches = "degraded", ("idle",)
            # a file that is cut short may have lost what was captured
            read = "What could be read of the file has no" if trace.source.losses else None
            what = f"{read} {name}" if read else f"Captured without {name}"
            unseen = ": what the host was in while a device waited is not known"
            what += f"{unseen}." if name == "framework ops" and effect == "degraded" else "."
            yield Finding(trace.path, "options", effect, what, 1, None, None, touches)
