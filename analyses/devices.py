"""How busy each device was, and with what."""

from __future__ import annotations

from dataclasses import dataclass

from tracekit import views
from tracekit.catalog import Analysis
from tracekit.errors import MissingEventsError
from tracekit.intervals import spans, total, union
from tracekit.results import Column, Grid, Result
from tracekit.trace import Cat, Mask, Trace


@dataclass(frozen=True, slots=True)
class Device:
    """One device. window = kernel + memcpy + memset + idle, exactly; all in ns."""

    device: int
    start_ns: int  # of its first activity, from the first slice of the trace
    window_ns: int  # first start to last end of its activity
    busy_ns: int
    kernel_ns: int
    memcpy_ns: int  # exposed: no kernel covers it
    memset_ns: int  # exposed: neither kernel nor copy covers it
    idle_ns: int
    kernel_count: int
    memcpy_count: int
    memset_count: int
    unlaunched_count: int  # activities whose launch is not in the trace


@dataclass(frozen=True, slots=True)
class Devices(Result):
    rows: tuple[Device, ...]


def devices(trace: Trace) -> Devices:
    """The split of each device's window.

    Raises: MissingEventsError for a trace without GPU activity.
    """
    gpu = views.work(trace)
    if not len(gpu):
        raise MissingEventsError(
            "no kernel events", where=trace.path, hint="capture with a GPU visible"
        )
    lost = views.launch_row(trace) < 0
    return Devices(tuple(_one(gpu.where(gpu.device == d), d, lost[gpu.device == d])
                         for d in trace.devices))  # fmt: skip


def _one(gpu: Trace, device: int, lost: Mask) -> Device:
    def covered(*cats: Cat) -> int:
        some = gpu.where(gpu.is_(*cats))
        return total(union(spans(some.ts, some.dur)))

    start, end = int(gpu.ts.min()), int(gpu.end.max())
    kernel = covered(Cat.KERNEL)
    copied = covered(Cat.KERNEL, Cat.MEMCPY)
    busy = covered(Cat.KERNEL, Cat.MEMCPY, Cat.MEMSET)
    count = {cat: int((gpu.cat == cat).sum()) for cat in (Cat.KERNEL, Cat.MEMCPY, Cat.MEMSET)}
    return Device(
        device=device,
        start_ns=start,
        window_ns=end - start,
        busy_ns=busy,
        kernel_ns=kernel,
        memcpy_ns=copied - kernel,
        memset_ns=busy - copied,
        idle_ns=end - start - busy,
        kernel_count=count[Cat.KERNEL],
        memcpy_count=count[Cat.MEMCPY],
        memset_count=count[Cat.MEMSET],
        unlaunched_count=int(lost.sum()),
    )


DEFINITIONS = {
    "window": "From the start of the device's first activity to the end of its last.",
    "kernel": "Time in which at least one kernel ran.",
    "memcpy": "Copy time that no kernel covers.",
    "memset": "Fill time that neither a kernel nor a copy covers.",
    "idle": "Time of the window in which no stream of the device had work.",
    "without launch": "Activities whose launching call is not in the trace.",
}


def tables(result: Devices) -> list[Grid]:
    columns = (
        Column("device", "text"),
        *(
            Column(n, "ns", DEFINITIONS[n])
            for n in ("window", "kernel", "memcpy", "memset", "idle")
        ),
        Column("idle share", "share", "Idle over window."),
        Column("kernels", "count"),
        Column("copies", "count"),
        Column("fills", "count"),
        Column("without launch", "count", DEFINITIONS["without launch"]),
    )
    rows = [
        (
            str(r.device), r.window_ns, r.kernel_ns, r.memcpy_ns, r.memset_ns, r.idle_ns,
            r.idle_ns / r.window_ns if r.window_ns else None,
            r.kernel_count, r.memcpy_count, r.memset_count, r.unlaunched_count,
        )
        for r in result.rows
    ]  # fmt: skip
    return [Grid("devices", "Devices", columns, rows)]


ANALYSIS = Analysis(
    title="How busy each device was",
    question="How much of each device's time went to kernels, copies, fills and waiting?",
    run=devices,
    merge=lambda one, two: Devices(one.rows + two.rows),
    tables=tables,
    definitions=DEFINITIONS,
    order=20,
)
