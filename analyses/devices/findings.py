"""Communication that nothing covers, and a device that has no time to wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracekit.answers.collectives import Collectives
from tracekit.answers.devices import Device, Devices
from tracekit.answers.idle import IdleTime
from tracekit.answers.kernels import Kernels
from tracekit.attribution.collectives.by_group import Collective
from tracekit.attribution.reasons.names import Reason
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import bytes_, duration, plural, rate, share
from tracekit.taxonomy import Category, FindingKind

BUSY = 0.95  # of the window without unaccounted time: the host keeps up
MOSTLY = 0.75  # of the busy time: in kernels
FEWEST = 8  # kernels: fewer are no launches that follow one another


def findings(result: Devices, ask: Ask) -> Iterator[Draft]:
    """Of the device with most exposed communication; of all devices where all are busy."""
    rows = [r for r in result.rows if r.seen_window_ns]
    worth = [r for r in rows if r.exposed_communication_ns / r.seen_window_ns >= LEAST]
    if worth:
        top = max(worth, key=lambda r: r.exposed_communication_ns / r.seen_window_ns)
        yield _exposed(result, top, len(worth), ask(Collectives))
        return
    graphs = _in_graphs(ask(IdleTime))
    if _all_busy(result, graphs) and _many(result, ask(Kernels)):
        yield _saturated(result, graphs)


def _in_graphs(idle: IdleTime | None) -> Mapping[int, int]:
    """Of each device the time between two kernels of one graph, which no host can shorten."""
    found: dict[int, int] = {}
    for row in idle.reasons if idle is not None else ():
        if row.reason == Reason.GRAPH:
            found[row.device] = found.get(row.device, 0) + row.ns
    return found


def _all_busy(result: Devices, graphs: Mapping[int, int]) -> bool:
    """In kernels nearly all the time: what mostly copies has no kernels to make faster."""
    return bool(result.rows) and all(
        row.busy_ns + graphs.get(row.device, 0) >= BUSY * row.seen_window_ns
        and row.seen_window_ns
        and row.busy_ns >= MOSTLY * row.seen_window_ns
        and row.kernel_ns >= MOSTLY * row.busy_ns
        for row in result.rows
    )


def _many(result: Devices, kernels: Kernels | None) -> bool:
    """Whether each device has launches to keep up with, and its records are work.

    One kernel is busy for all of its own window. Device records without a known category, as
    MTIA's with their waits for events, may be no work.
    """
    if kernels is None or not kernels.categories:
        return False
    whole = sum(c.total_ns for c in kernels.categories)
    known = sum(c.total_ns for c in kernels.categories if c.category is not Category.OTHER)
    strange = any(row.kind != "GPU" for row in result.rows)
    if strange and 2 * known < whole:
        return False
    return all(row.kernel_count >= FEWEST for row in result.rows)


def _exposed(result: Devices, row: Device, devices: int, calls: Collectives | None) -> Draft:
    """Time in which a device did nothing but communicate: transfer, and waiting for peers."""
    ns, seen = row.exposed_communication_ns, row.seen_window_ns
    mine = [c for c in result.collectives if c.device == row.device]
    numbers: dict[str, float] = {
        "share": ns / seen, "exposed_ns": ns, "communication_ns": row.communication_ns,
        "window_ns": seen,
    }  # fmt: skip
    most = _by_size(mine, row.communication_ns, numbers)
    straggler = calls.straggler if calls is not None else None
    late = ""
    if straggler is not None:
        late = f" {straggler.said}."
        numbers |= {"last_count": straggler.last_count, "collective_calls": straggler.count,
                    "held_ns": straggler.held_ns}  # fmt: skip
    others = f" So are {devices} devices of {len(result.rows)}." if devices > 1 else ""
    return Draft(
        FindingKind.COLLECTIVE, None,
        f"Device {row.device} spends {share(ns / seen)} of its window in communication alone: "
        f"{duration(ns)} of {duration(row.communication_ns)} in collectives have no other kernel "
        f"beside them. It is transfer and waiting for peers.{most}{late}{others}",
        ns / seen, "share", ns, seen,
        "Overlap communication with compute (smaller buckets, another stream), and see "
        + (f"what holds {straggler.rank} up." if straggler is not None
           else "which rank comes last: traces of all ranks show it."),
        numbers=numbers,
        also=(Collectives,) if straggler is not None else (),
        device=row.device if len(result.rows) > 1 else None,
        explains=frozenset({Category.COMMUNICATION.value}),
    )  # fmt: skip


def _by_size(mine: list[Collective], communication_ns: int, numbers: dict[str, float]) -> str:
    """The collective with most time: its calls, sizes, rates, and what is waiting at least."""
    if not mine:
        return ""
    top = max(mine, key=lambda c: c.exposed_ns)
    numbers |= {"calls": top.count, "total_ns": top.total_ns}
    summed = " added up" if top.total_ns > communication_ns else ""  # calls of several streams
    said = f" Most is {top.name}: {plural(top.count, 'call')}, {duration(top.total_ns)}{summed}"
    if top.bytes is None or not top.sized_count:
        return f"{said}; the file has no message sizes."
    numbers |= {"bytes": top.bytes}
    said += f", {bytes_(top.bytes)} in {plural(top.sized_count, 'message')}"
    if top.bus_bytes_per_s is not None:
        numbers |= {"bus_bytes_per_s": top.bus_bytes_per_s}
        said += f" over {top.group_size} ranks at {rate(top.bus_bytes_per_s, 'B/s')} on the bus"
    if top.waited_ns and top.sized_ns:
        numbers |= {"waited_ns": top.waited_ns}
        said += (
            f"; at least {duration(top.waited_ns)} is beyond the fastest call of the same size, "
            "which is waiting for peers or contention"
        )
    return f"{said}."


def _saturated(result: Devices, graphs: Mapping[int, int]) -> Draft:
    """All devices have hardly any time without work: the host is no limit."""
    row = min(result.rows, key=lambda r: r.busy_ns / r.seen_window_ns)
    part = row.busy_ns / row.seen_window_ns
    which = "The GPU" if len(result.rows) == 1 else f"Each of {len(result.rows)} devices"
    most = "" if len(result.rows) == 1 else " or more"
    numbers: dict[str, float] = {
        "share": part, "busy_ns": row.busy_ns, "window_ns": row.seen_window_ns,
    }  # fmt: skip
    own, between = graphs.get(row.device, 0), ""
    if part < BUSY:
        numbers["within_graph_ns"] = own
        between = (
            f", and {share(own / row.seen_window_ns)} of it lies between two kernels of one graph"
        )
    return Draft(
        FindingKind.SATURATED, None,
        f"{which} works for {share(part)}{most} of its window ({duration(row.busy_ns)} of "
        f"{duration(row.seen_window_ns)}){between}: the host keeps up with it.",
        part, "share", None, row.seen_window_ns,
        "Only faster, fewer or smaller kernels make this faster; launch overhead is hidden.",
        also=(IdleTime,) if between else (),
        numbers=numbers,
    )  # fmt: skip
