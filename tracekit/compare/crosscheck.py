"""Our figures beside Holistic Trace Analysis's for one file, each difference explained in words.

HTA's busy time is reached from ours in steps: without the activities that it leaves out, with the
events that it takes for GPU work, with its rounding to whole microseconds. What these steps do not
explain is said to be not explained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tracekit.answers.idle import IdleTime
from tracekit.attribution import hta_results, links
from tracekit.attribution.idle.cause_names import HOST_SIDE
from tracekit.errors import MissingEventsError
from tracekit.results import catalog
from tracekit.results.result import Column, Grid, Result
from tracekit.results.units import duration
from tracekit.trace.spans.intervals import Spans, spans, total, union
from tracekit.trace.trace import Trace

ROUNDED_NS = 2_000  # at most, of each activity: starts up and ends down to whole µs
FLOAT_NS = 250  # of HTA's float µs, where times are absolute


@dataclass(frozen=True, slots=True)
class Check:
    """One quantity. None: that side has no answer."""

    quantity: str
    ours_ns: int | None
    hta_ns: int | None
    difference_ns: int | None  # HTA less ours
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CrossCheck(Result):
    path: str
    hta: str  # version
    rows: tuple[Check, ...]


def crosscheck(trace: Trace) -> CrossCheck:
    """HTA's temporal and idle breakdown of the trace's file beside ours.

    Raises: TracekitError where HTA is not installed.
    """
    version = hta_results.version()
    return CrossCheck(trace.path, version, (*_temporal(trace), *_idle(trace)))


def _measures(some: Spans) -> dict[str, int]:
    if not len(some):
        return {"window": 0, "busy": 0, "idle": 0}
    window, busy = int(some[:, 1].max() - some[:, 0].min()), total(union(some))
    return {"window": window, "busy": busy, "idle": window - busy}


LABELS = {
    "window": "window: first start to last end of GPU work",
    "busy": "busy: some stream had work",
    "idle": "idle: window less busy",
}


def _temporal(trace: Trace) -> Iterator[Check]:
    gpu = links.work(trace)
    own = _measures(spans(gpu.ts, gpu.dur)) if len(gpu) else None
    try:
        theirs = hta_results.temporal(trace.path)
        seen = hta_results.gpu_rows(trace.path)
    except hta_results.HtaError as fault:
        why = (f"HTA has no answer ({fault}).", *_no_work(trace))
        for key, label in LABELS.items():
            yield Check(label, own[key] if own else None, None, None, why)
        return
    real, every = _measures(seen.real), _measures(seen.every)
    for key, label in LABELS.items():
        if own is None:
            yield Check(label, None, theirs[key], None, tuple(_no_work(trace)))
            continue
        why = tuple(_steps(trace, seen, own[key], real[key], every[key], theirs[key]))
        yield Check(label, own[key], theirs[key], theirs[key] - own[key], why)


def _no_work(trace: Trace) -> list[str]:
    return [] if len(links.work(trace)) else ["The trace has no GPU work."]


def _steps(
    trace: Trace, seen: hta_results.Rows, own: int, real: int, every: int, theirs: int
) -> Iterator[str]:
    """Sentences that lead from our figure to HTA's."""
    ours, kept = len(links.work(trace)), len(seen.real)
    slack = FLOAT_NS * 2
    if kept != ours:
        yield (
            f"HTA leaves out {ours - kept:,} of {ours:,} GPU activities (with two or more "
            "ProfilerSteps those without a launch, and those without a stream): "
            f"{_signed(real - own)}."
        )
    elif abs(real - own) > slack:
        yield f"HTA reads times as floating-point µs: {_signed(real - own)}."
    if seen.others and every != real:
        kinds = ", ".join(f"{n:,} {cat}" for cat, n in sorted(seen.others.items()))
        yield (
            f"HTA takes every event with a stream for GPU work, here {kinds}: "
            f"{_signed(every - real)}."
        )
    rest = theirs - every
    if abs(rest) <= slack:
        if own != theirs and kept == ours and every == real:
            yield f"Floating-point µs in HTA: {_signed(theirs - own)}."
        return
    if abs(rest) <= ROUNDED_NS * len(seen.every):
        yield (
            f"HTA rounds starts up and ends down to whole µs, up to 2 µs for each of "
            f"{len(seen.every):,} events: {_signed(rest)}."
        )
    else:
        yield f"Not explained: {_signed(rest)}."


def _signed(ns: int) -> str:
    return f"{'+' if ns >= 0 else '-'}{duration(abs(ns))}"


# HTA's category: ours, and why they differ
_IDLE = (
    ("host_wait", "idle: the host had not launched yet",
     "HTA calls a gap of a stream host wait where the launch of the next kernel began after the "
     "kernel before had ended, and then the whole gap; we count only the part before the launch "
     "call returned."),
    ("kernel_wait", "idle: launched, not begun",
     "HTA calls a gap kernel wait where it is no host wait and shorter than 30 µs (its option says "
     "ns, but compares µs); we count every part of a gap after the launch."),
    ("other", "idle: neither",
     "HTA's other holds longer gaps that are no host wait; ours the gaps that end with work "
     "without a launch in the trace."),
)  # fmt: skip


def _idle(trace: Trace) -> Iterator[Check]:
    own = _own_idle(trace)
    try:
        theirs = hta_results.idle(trace.path)
    except hta_results.HtaError as fault:
        for key, label, _ in _IDLE:
            yield Check(label, own[key] if own else None, None, None,
                        (f"HTA has no answer ({fault}).", *_no_work(trace)))  # fmt: skip
        return
    for key, label, words in _IDLE:
        streams = theirs.get(key, {})
        hta = sum(streams.values())
        ours = own[key] if own else None
        difference = hta - ours if ours is not None else None
        why = [words] if difference else []
        if difference and len(streams) > 1:
            why.append(
                f"HTA adds up the gaps of each of {len(streams)} streams, also while another "
                "stream works; we count a nanosecond once, and only if no stream works."
            )
        yield Check(label, ours, hta, difference, tuple(why))


def _own_idle(trace: Trace) -> Mapping[str, int] | None:
    try:
        found = catalog.ask(trace, IdleTime)
    except MissingEventsError:
        return None
    sums = {"host_wait": 0, "kernel_wait": 0, "other": 0}
    host = tuple(cause.value for cause in HOST_SIDE)
    waited = ("graph", "other_stream", "communication", "queued")
    for row in found.rows:
        sums["host_wait"] += sum(int(getattr(row.causes, name)) for name in host)
        sums["kernel_wait"] += sum(int(getattr(row.causes, name)) for name in waited)
        sums["other"] += int(row.causes.unlinked + row.causes.after_last)
    return sums


def tables(result: CrossCheck) -> list[Grid]:
    """One table: the figures, and why they differ."""
    columns = (
        Column("figure"), Column("tracekit", "ns"), Column("HTA", "ns"),
        Column("difference", "ns", "HTA less tracekit."), Column("why"),
    )  # fmt: skip
    rows = [
        (r.quantity, r.ours_ns, r.hta_ns, r.difference_ns, " ".join(r.why) or "equal")
        for r in result.rows
    ]
    title = f"tracekit beside Holistic Trace Analysis {result.hta}"
    return [Grid("crosscheck", title, columns, rows)]
