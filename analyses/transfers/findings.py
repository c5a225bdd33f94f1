"""Copies that no kernel covers, and how far below the bus they run."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.devices import Device, Devices
from tracekit.answers.transfers import Direction, Transfers
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import bytes_, duration, rate, share
from tracekit.taxonomy import Category, FindingKind


def findings(result: Transfers, ask: Ask) -> Iterator[Draft]:
    """One, of the device that copies most with no kernel beside: what one hides costs nothing."""
    found = ask(Devices)
    worth = [r for r in found.rows if _part(r) >= LEAST] if found is not None else []
    if not worth:
        return
    row = max(worth, key=_part)
    numbers: dict[str, float] = {
        "share": _part(row), "exposed_ns": row.memcpy_ns, "copies": row.memcpy_count,
        "window_ns": row.seen_window_ns,
    }  # fmt: skip
    yield Draft(
        FindingKind.COPY, None,
        f"Device {row.device} spends {share(_part(row))} of its window on copies alone: "
        f"{duration(row.memcpy_ns)} of copying has no kernel beside it."
        f"{_slowest(result, numbers)}",
        _part(row), "share", row.memcpy_ns, row.seen_window_ns,
        "Copy less, from pinned memory with non_blocking=True on another stream while kernels run, "
        "and many small tensors as one.",
        also=(Devices,),
        numbers=numbers,
        device=row.device if found is not None and len(found.rows) > 1 else None,
        explains=frozenset({Category.MEMCPY.value}),
    )  # fmt: skip


def _part(row: Device) -> float:
    seen = row.seen_window_ns
    return row.memcpy_ns / seen if seen else 0.0


def _slowest(result: Transfers, numbers: dict[str, float]) -> str:
    """The direction with most time, and its rate against the bus where that is known."""
    sides = [d for d in result.directions if d.direction in ("HtoD", "DtoH", "DtoD", "PtoP")]
    if not sides:
        return ""
    top: Direction = max(sides, key=lambda d: d.total_ns)
    memory = f" from or to {top.host_memory} memory" if top.host_memory else ""
    said = f" Most are {top.direction}{memory}: {duration(top.total_ns)}"
    numbers |= {"direction_ns": top.total_ns}
    if top.bytes is None or top.bytes_per_s is None:
        return f"{said}."
    numbers |= {"bytes": top.bytes, "bytes_per_s": top.bytes_per_s}
    said += f" for {bytes_(top.bytes)} at {rate(top.bytes_per_s, 'B/s')}"
    if top.limit_share is not None:
        numbers |= {"limit_share": top.limit_share}
        limit = "what memory allows" if top.direction == "DtoD" else "the bus"
        said += f", {share(top.limit_share)} of {limit}"
    return f"{said}."
