"""Our own tracks for Perfetto: stages and tokens as ribbons, idle by cause, queue depth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.answers.stages import Stages
from tracekit.attribution import links
from tracekit.attribution.gaps import inner_gaps
from tracekit.attribution.idle import cause_names, causes
from tracekit.attribution.idle.by_cause import NAMES
from tracekit.errors import MissingEventsError, TracekitError, UsageError
from tracekit.records import replace
from tracekit.results import catalog
from tracekit.taxonomy import DECODE_STEP
from tracekit.trace import impossible, kineto, ranks
from tracekit.trace.perfetto import microseconds
from tracekit.trace.perfetto.export import Wanted
from tracekit.trace.spans.intervals import Spans, union
from tracekit.trace.trace import Trace

Event = dict[str, Any]

# a process of our own: no trace uses this id, and it sorts after the trace's rows
_PID = 0x7ACE0
_ORDER = ("stages", "tokens", "idle", "queue")


def asked(
    source: str | Path, wanted: Wanted, stage: str | None = None, tracks: Collection[str] = ()
) -> Wanted:
    """`wanted` with the spans of a stage to cut to, and the tracks named; reads the file for them.

    Raises: TracekitError for an unknown name, or where the trace can answer none of them.
    """
    if stage is None and not tracks:
        return wanted
    trace = kineto.load(source)
    added, missing = events(trace, tracks)
    spans = stage_spans(trace, stage) if stage is not None else None
    return replace(wanted, stage=stage, spans=spans, tracks=added, missing=missing)


def events(trace: Trace, wanted: Collection[str]) -> tuple[list[Event], list[str]]:
    """The tracks named in `wanted`, as events in the trace's own time, and why some are missing.

    Raises: TracekitError for an unknown name, or where the trace can answer none of them.
    """
    out: list[Event] = []
    missing: list[str] = []
    for name in wanted:
        if name not in TRACKS:
            raise UsageError(
                "there is no such track", where=name, hint=f"known: {', '.join(sorted(TRACKS))}"
            )
        try:
            out += TRACKS[name](trace)
        except MissingEventsError as reason:
            if len(missing) + 1 == len(wanted):
                raise TracekitError(
                    f"cannot draw it: {reason.what}",
                    where=f"track {name!r} of {trace.path}",
                    hint=reason.hint,
                ) from None
            missing.append(f"no track {name!r}: {reason.what}")
    if out:
        out.append(_meta("process_name", 0, {"name": "tracekit"}))
    return out, missing


def stage_spans(trace: Trace, stage: str) -> Spans:
    """[n, 2] where a stage ran, flat, in ns from the first slice; by its name or its annotation's.

    Raises: TracekitError where there is none of that name.
    """
    rows = catalog.ask(trace, Stages).rows
    chosen = [r for r in rows if stage in (r.stage, r.name)]
    if not chosen:
        known = sorted({r.stage for r in rows})
        raise TracekitError(
            f"no stage named {stage!r}", where=trace.path, hint=f"in it: {', '.join(known)}"
        )
    return union(np.array([[r.start_ns, r.start_ns + r.wall_ns] for r in chosen], np.int64))


def _stages(trace: Trace) -> list[Event]:
    rows = catalog.ask(trace, Stages).rows
    out = [
        _slice(
            trace,
            ranks.named(r.rank, r.stage),
            r.file_start_ns - trace.origin_ns,
            r.wall_ns,
            "stages",
            {"marker": r.name},
        )
        for r in rows
    ]
    notes = links.marks(trace)
    for row in np.flatnonzero(notes.named(f"^{DECODE_STEP}")):
        token = notes.text(int(row)).removeprefix(DECODE_STEP)
        out.append(
            _slice(trace, f"token {token}", int(notes.ts[row]), int(notes.dur[row]), "tokens")
        )
    return out + [_named(track) for track in ("stages", "tokens")]


def _idle(trace: Trace) -> list[Event]:
    """Every idle stretch between two activities of a device, named by what it waited for."""
    if not len(links.work(trace)):
        raise MissingEventsError(
            "no kernel events", where=trace.path, hint="capture with a GPU visible"
        )
    out: list[Event] = []
    for number, (part, device) in enumerate(_devices(trace)):
        found = causes.idle(part, device)
        inner = np.isin(found.gap, inner_gaps(found))
        tid = len(_ORDER) + 1 + number
        pieces = zip(found.spans[inner].tolist(), found.cause[inner].tolist(), strict=True)
        for (start, end), cause in pieces:
            name = NAMES[cause_names.ORDER[cause]]
            out.append(_slice(part, name, start, end - start, "idle") | {"tid": tid})
        out.append(_meta("thread_name", tid, {"name": f"idle of {_name(part, device)}"}))
    return out


def _queue(trace: Trace) -> list[Event]:
    """+1 at each launch, -1 when its work begins; a graph launch counts its nodes."""
    out: list[Event] = []
    for part, device in _devices(trace):
        gpu, begin = links.work(part), links.launch_start(part)
        mine = (links.launch_row(part) >= 0) & (gpu.device == device)
        times = np.concatenate([begin[mine], gpu.ts[mine]])
        steps = np.concatenate([np.ones(mine.sum(), np.int64), -np.ones(mine.sum(), np.int64)])
        at, where = np.unique(times, return_inverse=True)
        change = np.zeros(len(at), np.int64)
        np.add.at(change, where, steps)
        for instant, depth in zip(at.tolist(), np.cumsum(change).tolist(), strict=True):
            out.append({
                "ph": "C", "name": f"queue depth, {_name(part, device)}", "pid": _PID,
                "ts": microseconds.us(part.origin_ns + instant), "args": {"launched": depth},
            })  # fmt: skip
    if not out:
        raise MissingEventsError(
            "no launch is linked to GPU work", where=trace.path, hint="capture with CUDA activities"
        )
    return out


def _devices(trace: Trace) -> Iterator[tuple[Trace, int]]:
    """Each device with the trace of its rank, without what cannot be true; times of the whole."""
    for part in ranks.split(trace):
        own = impossible.without(part)
        for device in own.devices:
            yield own, device


def _name(part: Trace, device: int) -> str:
    return ranks.named(part.source.rank, f"device {device}")


TRACKS: Mapping[str, Callable[[Trace], list[Event]]] = {
    "stages": _stages,
    "idle": _idle,
    "queue": _queue,
}


def _slice(
    trace: Trace, name: str, start: int, length: int, track: str, args: Event | None = None
) -> Event:
    return {
        "ph": "X", "cat": "tracekit", "name": name, "pid": _PID, "tid": _ORDER.index(track) + 1,
        "ts": microseconds.us(trace.origin_ns + start), "dur": microseconds.us(length),
        "args": args or {},
    }  # fmt: skip


def _named(track: str) -> Event:
    return _meta("thread_name", _ORDER.index(track) + 1, {"name": track})


def _meta(name: str, tid: int, args: Event) -> Event:
    return {"ph": "M", "name": name, "pid": _PID, "tid": tid, "args": args}
