"""How busy each device was, and with what."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracekit.answers.devices import IDLE, WINDOW, Device, Devices, Stream
from tracekit.answers.stages import COMPUTE, EXPOSED
from tracekit.attribution import links
from tracekit.attribution.collectives.by_group import collectives
from tracekit.attribution.idle.busy import busy, communication
from tracekit.attribution.idle.by_cause import SUSPECT, suspect_words
from tracekit.attribution.idle.causes import idle
from tracekit.errors import MissingEventsError
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration, least_to_most, share
from tracekit.results.unknown_work import device_kind
from tracekit.trace.ranks import named
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import Spans, clip, intersect, total, union, union_of
from tracekit.trace.trace import Cat, Mask, Trace

from .findings import findings
from .first_screen import FIRST_SCREEN


def devices(trace: Trace) -> Devices:
    """The split of each device's window, and the share of each of its streams.

    Raises: MissingEventsError for a trace without GPU activity.
    """
    gpu = links.work(trace)
    if not len(gpu):
        raise MissingEventsError(
            "no kernel events", where=trace.path, hint="capture with a GPU visible"
        )
    rows = tuple(_one(trace, device) for device in trace.devices)
    streams = tuple(s for row in rows for s in _streams(trace, row))
    return Devices(rows, streams, collectives(trace))


def _flat(gpu: Trace, rows: Mask) -> Spans:
    return union_of(gpu.ts, gpu.end, rows)


def _one(trace: Trace, device: int) -> Device:
    gpu, done = links.work(trace), busy(trace, device)
    mine = gpu.device == device
    lost = mine & links.without_launch(trace)
    of = {cat: mine & (gpu.cat == cat) for cat in (Cat.KERNEL, Cat.MEMCPY, Cat.MEMSET)}
    count = {cat: int(rows.sum()) for cat, rows in of.items()}
    sums = {cat: int(gpu.dur[rows].sum()) for cat, rows in of.items()}
    start, end = int(gpu.ts[mine].min()), int(gpu.end[mine].max())
    kernel, copied, busy_ns = total(done.kernel), total(done.copied), total(done.busy)
    return Device(
        device=device,
        start_ns=start,
        window_ns=end - start,
        busy_ns=busy_ns,
        kernel_ns=kernel,
        memcpy_ns=copied - kernel,
        memset_ns=busy_ns - copied,
        idle_ns=end - start - busy_ns,
        kernel_count=count[Cat.KERNEL],
        memcpy_count=count[Cat.MEMCPY],
        memset_count=count[Cat.MEMSET],
        unlaunched_count=int(lost.sum()),
        unlaunched_ns=busy_ns - total(_flat(gpu, mine & ~lost)),
        kernel_sum_ns=sums[Cat.KERNEL],
        memcpy_sum_ns=sums[Cat.MEMCPY],
        memset_sum_ns=sums[Cat.MEMSET],
        communication_ns=total(done.communication),
        exposed_communication_ns=kernel - total(done.compute),
        communication_count=int((communication(trace) & mine).sum()),
        overlapped_copy_ns=total(intersect(_flat(gpu, of[Cat.MEMCPY]), done.kernel)),
        suspect_ns=total(clip(idle(trace, device).suspect, start, end)),
        kind=device_kind(trace.source),
    )


def _streams(trace: Trace, row: Device) -> list[Stream]:
    gpu = links.work(trace)
    mine = gpu.device == row.device
    parts = {int(s): mine & (gpu.stream == s) for s in segments.sorted_unique(gpu.stream[mine])}
    flat = {stream: _flat(gpu, rows) for stream, rows in parts.items()}
    found = []
    for stream, rows in parts.items():
        others = [flat[other] for other in flat if other != stream]
        rest = total(union(np.concatenate(others))) if others else 0
        found.append(
            Stream(
                trace=trace.path,
                device=row.device,
                stream=stream,
                count=int(rows.sum()),
                busy_ns=total(flat[stream]),
                device_window_ns=row.window_ns,
                own_window_ns=int(gpu.end[rows].max() - gpu.ts[rows].min()),
                alone_ns=row.busy_ns - rest,
            )
        )
    return found


DEFINITIONS = {
    "window": WINDOW,
    "kernel": "Time in which at least one kernel ran.",
    "memcpy": "Copy time that no kernel covers.",
    "memset": "Memset time that neither a kernel nor a copy covers.",
    "idle": IDLE,
    "unaccounted": SUSPECT,
    "without launch": "Activities whose launching call is not in the trace.",
    "communication": "Part of the kernel time in which a communication kernel ran, by its name: a "
    "lower bound, since engines name their own as they like.",
    EXPOSED: "Part of the communication time in which no other kernel ran.",
    "overlapped copies": "Copy time that a kernel covers: hidden behind computing.",
    "sum": "Durations of all kernels added up; it exceeds the kernel time where streams overlap.",
    "stream busy": "Time in which the stream had work.",
    "utilisation": "Stream busy over the window of the device, unaccounted time left out.",
    "alone": "Time in which no other stream of the device had work.",
}


def tables(result: Devices) -> list[Grid]:
    many = len({r.device for r in result.rows}) < len(result.rows)
    note = "Devices of several traces." if many else ""
    grids = [_split_grid(result, note), _streams_grid(result)]
    if any(r.communication_ns or r.overlapped_copy_ns or r.kernel_sum_ns > 1.01 * r.kernel_ns
           for r in result.rows):  # fmt: skip
        grids.insert(1, _more_grid(result))
    return [grid for grid in grids if grid.rows]


def _label(row: Device) -> str:
    number = str(row.device) if row.kind == "GPU" else f"{row.device}, {row.kind}"
    return named(row.rank, number)


def _split_grid(result: Devices, note: str) -> Grid:
    suspect = any(r.suspect_ns for r in result.rows)
    columns = (
        Column("device", "text"),
        *(
            Column(n, "ns", DEFINITIONS[n])
            for n in ("window", "kernel", "memcpy", "memset", "idle")
        ),
        Column("idle share", "share", "Idle over window."),
        *((Column("unaccounted", "ns", SUSPECT),) if suspect else ()),
        Column("kernels", "count", "How many kernels ran."),
        Column("copies", "count", "How many copies ran."),
        Column("memsets", "count", "How many memsets ran."),
        Column("without launch", "count", DEFINITIONS["without launch"]),
    )
    rows = [
        (
            _label(r), r.seen_window_ns, r.kernel_ns, r.memcpy_ns, r.memset_ns, r.seen_idle_ns,
            r.idle_share, *([r.suspect_ns] if suspect else []),
            r.kernel_count, r.memcpy_count, r.memset_count, r.unlaunched_count,
        )
        for r in result.rows[:200]
    ]  # fmt: skip
    return Grid("devices", "Devices", columns, rows, note.strip())


def _more_grid(result: Devices) -> Grid:
    columns = (
        Column("device", "text"),
        Column("communication", "ns", DEFINITIONS["communication"]),
        Column(EXPOSED, "ns", DEFINITIONS[EXPOSED]),
        Column("overlapped", "share", "The part of the communication that other kernels cover."),
        Column("kernel sum", "ns", DEFINITIONS["sum"]),
        Column("overlapped copies", "ns", DEFINITIONS["overlapped copies"]),
    )
    rows = [
        (
            _label(r), r.communication_ns, r.exposed_communication_ns,
            1 - r.exposed_communication_ns / r.communication_ns if r.communication_ns else None,
            r.kernel_sum_ns, r.overlapped_copy_ns,
        )
        for r in result.rows[:200]
    ]  # fmt: skip
    return Grid("overlap", "Communication and overlap", columns, rows)


def _streams_grid(result: Devices) -> Grid:
    columns = (
        Column("device", "text"), Column("stream", "text"),
        Column("activities", "count", "Kernels, copies and memsets."),
        Column("busy", "ns", DEFINITIONS["stream busy"]),
        Column("utilisation", "share", DEFINITIONS["utilisation"]),
        Column("alone", "ns", DEFINITIONS["alone"]),
    )  # fmt: skip
    suspect = {(r.rank, r.device, r.window_ns): r.suspect_ns for r in result.rows}

    def used(s: Stream) -> float | None:
        seen = s.device_window_ns - suspect.get((s.rank, s.device, s.device_window_ns), 0)
        return s.busy_ns / seen if seen else None

    rows = [
        (
            named(s.rank, str(s.device)),
            str(s.stream) if s.stream >= 0 else "not named", s.count, s.busy_ns,
            used(s), s.alone_ns,
        )
        for s in sorted(result.streams, key=lambda s: -s.busy_ns)[:200]
    ]  # fmt: skip
    return Grid("streams", "Streams", columns, rows, beyond=len(result.streams) - len(rows))


def charts(result: Devices) -> list[figures.Chart]:
    rows = [r for r in result.rows if r.seen_window_ns][:40]
    if not rows:
        return []
    talk = any(r.exposed_communication_ns for r in rows)
    compute = [r.kernel_ns - r.exposed_communication_ns for r in rows]
    parts = {
        COMPUTE if talk else "kernel": compute,
        EXPOSED: [r.exposed_communication_ns for r in rows],
        "memcpy": [r.memcpy_ns for r in rows],
        "memset": [r.memset_ns for r in rows],
        "idle": [r.seen_idle_ns for r in rows],
    }
    summary = "The window of each device, cut into exposed communication, other work and idle time."
    labels = [_label(r) if r.rank is not None else f"device {_label(r)}" for r in rows]
    return [
        figures.split_bars("devices", _title(rows), labels, parts, of="window", summary=summary,
                           table="devices")
    ]  # fmt: skip


def _title(rows: Sequence[Device]) -> str:
    """Each device has a window of its own: their times are not added up."""
    idle = least_to_most([r.idle_share or 0.0 for r in rows], share)
    if len(rows) == 1:
        (row,) = rows
        more = f"; {suspect_words(row.suspect_ns)}" if row.suspect_ns else ""
        ns, window = duration(row.seen_idle_ns), duration(row.seen_window_ns)
        return f"The device was idle for {ns} of {window}, {idle}{more}"
    suspect = max(r.suspect_ns for r in rows)
    more = f"; up to {suspect_words(suspect)}" if suspect else ""
    return f"Devices were idle for {idle} of their windows{more}"


ANALYSIS = Analysis(
    title="How busy each device was",
    question="How much of each device's time went to kernels, copies, memsets and waiting?",
    run=devices,
    merge=lambda one, two: Devices(
        one.rows + two.rows, one.streams + two.streams, one.collectives + two.collectives
    ),
    tables=tables,
    charts=charts,
    findings=findings,
    first_screen=FIRST_SCREEN,
    needs=frozenset({"collectives", "shapes"}),
    definitions=DEFINITIONS,
    order=20,
    adds_up=False,
)
