"""A profiler's export into the trace that is kept: complete samples only, nothing that leaks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracekit.capture import metadata
from tracekit.files import starts
from tracekit.taxonomy import SAMPLE, Stage
from tracekit.trace.perfetto import layout, microseconds

Event = dict[str, Any]


def save(
    exported: Path,
    path: Path,
    facts: Mapping[str, Any],
    *,
    complete: int | None = None,
    asked: bool = True,
) -> Path:
    """Writes torch's export to `path` with `facts` under the key `tracekit`; says where it is.

    `asked` is off where nobody named `path`: what is there keeps its name.

    `complete` is the number of whole samples, where the run was cut short: what came later is left
    out. Times are relative to the first event and exact to the ns; rows nest (see perfetto.py).

    Raises: TracekitError where the file cannot be written.
    """
    document = layout.read(exported)
    kept = {key: value for key, value in document.items() if key in metadata.KEPT}
    if complete is not None:
        kept["traceEvents"] = first_samples(kept["traceEvents"], complete)
    layout.rebase(kept)
    adjoin(kept["traceEvents"])
    layout.settle(kept["traceEvents"])
    home = metadata.scrubber()
    for event in kept["traceEvents"]:
        if event.get("cat") == "python_function" or "Call stack" in (event.get("args") or {}):
            event["name"] = home(event["name"])
            if event.get("args"):
                event["args"] = {
                    key: home(value) if isinstance(value, str) else value
                    for key, value in event["args"].items()
                }
    kept["traceName"] = path.name
    return layout.write({"tracekit": facts, **kept}, path, asked=asked)


def is_capture(path: Path) -> bool:
    """Whether a file is a trace that `save` wrote."""
    return starts(path, 64).startswith(b'{"tracekit":{"schema":"tracekit-capture/')


def adjoin(events: list[Event]) -> None:
    """Each stage's marker from the end of the stage before it, the first from its sample's start.

    So a stage is defined: opening a marker costs some µs, the first one in a process a ms. The
    sample ends with its last stage, and what lies in it lies in a stage, to the ns.
    """
    marks = [e for e in events if e.get("ph") == "X" and e.get("cat") == "user_annotation"]
    marks.sort(key=lambda event: microseconds.ns(event["ts"]))
    names = {stage.marker for stage in Stage}
    sample: Event | None = None
    end = at = 0  # of the sample; up to where its stages reach
    for mark in marks:
        start, name = microseconds.ns(mark["ts"]), str(mark.get("name"))
        if name.startswith(SAMPLE):
            sample, at = mark, start
            end = start + microseconds.ns(mark["dur"])
        elif name in names and sample is not None and at <= start < end:
            stop = start + microseconds.ns(mark["dur"])
            mark["ts"], mark["dur"] = microseconds.us(at), microseconds.us(stop - at)
            at = stop
            sample["dur"] = microseconds.us(stop - microseconds.ns(sample["ts"]))


def first_samples(events: list[Event], complete: int) -> list[Event]:
    """The events up to the end of the first `complete` samples, and the device work they launched.

    Work on the device is kept or left out with the call that launched it, whenever it ran.
    """
    marks = {
        str(event["name"]): event
        for event in events
        if event.get("ph") == "X" and str(event.get("name", "")).startswith(SAMPLE)
        and event.get("cat") == "user_annotation"
    }  # fmt: skip
    last = marks[f"{SAMPLE}{complete - 1}"]
    end = microseconds.ns(last["ts"]) + microseconds.ns(last["dur"])
    late = {
        str(_correlation(event))
        for event in events
        if event.get("cat") in ("cuda_runtime", "cuda_driver")
        and microseconds.ns(event["ts"]) >= end
    }
    return [event for event in events if _kept(event, end, late)]


def _kept(event: Event, end: int, late: set[str]) -> bool:
    if event.get("ph") == "M" or event.get("ts") is None:
        return True
    if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset"):
        return str(_correlation(event)) not in late
    if event.get("cat") == "ac2g":
        return str(event.get("id")) not in late
    # the profiler's own span of the whole recording starts before, and stays
    return microseconds.ns(event["ts"]) < end


def _correlation(event: Event) -> object:
    args = event.get("args")
    return args.get("correlation") if isinstance(args, dict) else None
