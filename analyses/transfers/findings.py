"""Copies between host and device far below the bus."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.devices import Devices
from tracekit.answers.transfers import Transfers
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import bytes_, duration, rate, share


def findings(result: Transfers, ask: Ask) -> Iterator[Draft]:
    """What they take beyond the limit of the bus."""
    found = ask(Devices)
    window = found.window_ns if found is not None else 0
    for side in result.directions:
        limit = side.limit_bytes_per_s
        if side.direction not in ("HtoD", "DtoH") or not limit or not window:
            continue
        at_limit = int((side.bytes or 0) / limit * 1e9)
        lost = side.sized_ns - at_limit
        if lost / window < LEAST:
            continue
        memory = f" from {side.host_memory} memory" if side.host_memory else ""
        yield Draft(
            None,
            f"{side.direction} copies{memory} run at {rate(side.bytes_per_s, 'B/s')}, "
            f"{share(side.limit_share)} of the bus: {bytes_(side.bytes)} take "
            f"{duration(side.sized_ns)}.",
            side.limit_share or 0.0, "share", lost, window,
            "Copy from pinned memory, and many small tensors as one.",
            also=(Devices,),
        )  # fmt: skip
