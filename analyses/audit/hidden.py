"""Time in which the device was probably at work that the file does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from tracekit.answers.audit import Effect, Finding
from tracekit.attribution import links
from tracekit.attribution.idle import causes
from tracekit.attribution.idle.host_causes import blocking
from tracekit.attribution.reasons import holders
from tracekit.results.units import duration
from tracekit.trace.spans.intervals import (
    Spans,
    covered,
    intersect,
    spans,
    subtract,
    total,
    union_of,
)
from tracekit.trace.trace import HOST, Cat, Trace

from . import frames

MOSTLY = 0.5  # of the time: blocked


def hidden_work(trace: Trace) -> Iterator[Finding]:
    """Idle time in which the device was probably at work that the file does not hold.

    Degraded: the device's numbers where it is over 1 % of the device window, those of stages where
    it is over 1 % of the time from their first to their last work.
    """
    if not len(links.work(trace)):
        return
    suspect = causes.idle(trace).suspect
    device = frames.device_window(trace)
    inside = total(intersect(suspect, device))
    if not inside:
        yield from _before_the_window(trace, suspect, device)
        return
    parts: dict[tuple[str, ...], float] = {}
    parts["devices", "idle", "launches"] = inside / total(device)
    own = frames.stage_work(trace)
    if len(own):
        parts["stages", "tokens"] = total(intersect(suspect, own)) / total(own)
    degraded = [name for names, p in parts.items() if p > frames.MATERIAL for name in names]
    idle_ns = total(frames.device_idle(trace))
    what = (
        f"{duration(inside)} of the device's time is unaccounted for: work had been launched more "
        f"than {duration(causes.SUSPECT_NS)} before, and none of this file ran. The device "
        "probably ran work that the file does not hold (a step that was cut out, another process), "
        "waited for another device, or loaded a kernel."
        f"{_blocked(trace, intersect(suspect, device))} It is left out of every window, idle time "
        "and share."
    )
    waits = int((covered(device, suspect) > 0).sum())
    effect: Effect = "degraded" if degraded else "note"
    every = [name for names in parts for name in names]
    yield Finding(trace.path, "hidden_work", effect, what, waits, inside,
                  inside / max(idle_ns, 1), tuple(degraded or every))  # fmt: skip


def _blocked(trace: Trace, where: Spans) -> str:
    """That the host waits for the device for most of it, and in what: it was not free."""
    waits = blocking(trace) & trace.is_(Cat.RUNTIME)
    rows = np.flatnonzero(waits)
    inside = covered(where, spans(trace.ts[rows], trace.dur[rows]))
    rows, inside = rows[inside > 0], inside[inside > 0]
    blocked = total(intersect(where, union_of(trace.ts, trace.end, waits)))
    if blocked < MOSTLY * total(where):
        return ""
    ops = holders.above(trace, rows, trace.is_(Cat.CPU_OP))
    named = np.where(ops >= 0, ops, rows)
    sums: Counter[str] = Counter()
    for row, ns in zip(named.tolist(), inside.tolist(), strict=True):
        sums[trace.strings[int(trace.name[row])]] += ns
    name = sums.most_common(1)[0][0]
    return f" For {duration(blocked)} of it the host waits for the device, most in `{name}`."


def _before_the_window(trace: Trace, suspect: Spans, device: Spans) -> Iterator[Finding]:
    """Unaccounted time of stages before the file's first activity: of no device's window."""
    outside = subtract(intersect(suspect, frames.stage_clock(trace)), device)
    if not (time := total(outside)):
        return
    gpu = links.work(trace)
    first = int(gpu.ts.argmin())
    late = int(gpu.ts[first] - links.launch_start(trace)[first])
    after = int(gpu.ts[first] - trace.end[trace.is_(*HOST)].max())
    last = f", and {duration(after)} after all that the file holds of the host" if after > 0 else ""
    apart = "; that the clocks of host and device are apart it cannot rule out" if after > 0 else ""
    what = (
        f"The first activity begins {duration(late)} after its launch{last}: the device was "
        f"probably at work that the file lacks, as a step before{apart}. {duration(time)} of the "
        "stages' wall time pass there: no window, idle time or share holds it, delays of launches "
        "do."
    )
    yield Finding(trace.path, "hidden_work", "note", what, len(outside), time, None,
                  ("stages", "launches"))  # fmt: skip
