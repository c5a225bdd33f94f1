"""Our figures beside Holistic Trace Analysis's for one file, each difference explained in words.

HTA's busy time is reached from ours in steps: without the activities that it leaves out, with the
events that it takes for GPU work, with its rounding to whole microseconds. What these steps do not
explain is said to be not explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tracekit.answers.idle import IdleTime
from tracekit.attribution import hta_results, links
from tracekit.attribution.hta_results import HtaError, Temporal, Waits
from tracekit.attribution.idle.cause_names import HOST_SIDE, Cause
from tracekit.errors import MissingEventsError
from tracekit.records import Record
from tracekit.results import catalog
from tracekit.results.result import Column, Grid, Result
from tracekit.results.units import duration
from tracekit.trace.spans.intervals import Spans, spans, total, union
from tracekit.trace.trace import Trace

ROUNDED_NS = 2_000  # at most, of each activity: starts up and ends down to whole µs
FLOAT_NS = 250  # of HTA's float µs, where times are absolute


class Check(Record, frozen=True):
    """One quantity. None: that side has no answer."""

    quantity: str
    ours_ns: int | None
    hta_ns: int | None
    difference_ns: int | None  # HTA less ours
    why: tuple[str, ...]


class CrossCheck(Result, Record, frozen=True):
    path: str
    hta: str  # version
    rows: tuple[Check, ...]


def crosscheck(trace: Trace) -> CrossCheck:
    """HTA's temporal and idle breakdown of the trace's file beside ours.

    Raises: TracekitError where HTA is not installed.
    """
    version = hta_results.version()
    times, waits = hta_results.breakdowns(trace.path)
    return CrossCheck(trace.path, version, (*_temporal(trace, times), *_idle(trace, waits)))


def _measures(some: Spans) -> Temporal:
    if not len(some):
        return Temporal(0, 0, 0)
    window, busy = int(some[:, 1].max() - some[:, 0].min()), total(union(some))
    return Temporal(window, busy, window - busy)


_FIGURES: tuple[tuple[str, Callable[[Temporal], int]], ...] = (
    ("window: first start to last end of GPU work", lambda found: found.window_ns),
    ("busy: some stream had work", lambda found: found.busy_ns),
    ("idle: window less busy", lambda found: found.idle_ns),
)


def _temporal(trace: Trace, theirs: Temporal | HtaError) -> Iterator[Check]:
    gpu = links.work(trace)
    own = _measures(spans(gpu.ts, gpu.dur)) if len(gpu) else None
    try:
        if isinstance(theirs, HtaError):
            raise theirs
        seen = hta_results.gpu_rows(trace.path)
    except HtaError as fault:
        why = (f"HTA has no answer ({fault}).", *_no_work(trace))
        for label, of in _FIGURES:
            yield Check(label, of(own) if own else None, None, None, why)
        return
    real, every = _measures(seen.real), _measures(seen.every)
    for label, of in _FIGURES:
        if own is None:
            yield Check(label, None, of(theirs), None, tuple(_no_work(trace)))
            continue
        why = tuple(_steps(trace, seen, of(own), of(real), of(every), of(theirs)))
        yield Check(label, of(own), of(theirs), of(theirs) - of(own), why)


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


_HOST_WAIT = (
    "HTA calls a gap of a stream host wait where the launch of the next kernel began after the "
    "kernel before had ended, and then the whole gap; we count only the part before the launch "
    "call returned."
)
_KERNEL_WAIT = (
    "HTA calls a gap kernel wait where it is no host wait and shorter than 30 µs (its option says "
    "ns, but compares µs); we count every part of a gap after the launch."
)
_OTHER = (
    "HTA's other holds longer gaps that are no host wait; ours the gaps that end with work "
    "without a launch in the trace."
)


class _OwnIdle(Record, frozen=True):
    """Our idle time in HTA's classes, in ns."""

    host_wait: int
    kernel_wait: int
    other: int


def _idle(trace: Trace, waits: Waits | HtaError) -> Iterator[Check]:
    own = _own_idle(trace)
    theirs = None if isinstance(waits, HtaError) else waits
    fault = f"HTA has no answer ({waits})." if isinstance(waits, HtaError) else ""
    for label, words, ours, streams in (
        ("idle: the host had not launched yet", _HOST_WAIT, own.host_wait if own else None,
         theirs.host_wait if theirs else None),
        ("idle: launched, not begun", _KERNEL_WAIT, own.kernel_wait if own else None,
         theirs.kernel_wait if theirs else None),
        ("idle: neither", _OTHER, own.other if own else None, theirs.other if theirs else None),
    ):  # fmt: skip
        if streams is None:
            yield Check(label, ours, None, None, (fault, *_no_work(trace)))
        else:
            yield _waits(label, words, ours, streams)


def _waits(label: str, words: str, ours: int | None, streams: Mapping[int, int]) -> Check:
    """Our idle time beside HTA's of each stream."""
    hta = sum(streams.values())
    difference = hta - ours if ours is not None else None
    why = [words] if difference else []
    if difference and len(streams) > 1:
        why.append(
            f"HTA adds up the gaps of each of {len(streams)} streams, also while another "
            "stream works; we count a nanosecond once, and only if no stream works."
        )
    return Check(label, ours, hta, difference, tuple(why))


def _own_idle(trace: Trace) -> _OwnIdle | None:
    try:
        found = catalog.ask(trace, IdleTime)
    except MissingEventsError:
        return None
    return _OwnIdle(
        host_wait=sum(row.causes.of(HOST_SIDE) for row in found.rows),
        kernel_wait=sum(row.causes.of(_LAUNCHED) for row in found.rows),
        other=sum(row.causes.of({Cause.UNLINKED, Cause.AFTER_LAST}) for row in found.rows),
    )


_LAUNCHED = frozenset({Cause.GRAPH, Cause.OTHER_STREAM, Cause.COMMUNICATION, Cause.QUEUED})


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
