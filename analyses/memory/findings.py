"""Memory that the allocator holds and no tensor uses."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.memory import Memory
from tracekit.results.findings import Ask, Draft
from tracekit.results.units import bytes_, share
from tracekit.taxonomy import FindingKind


def findings(result: Memory, _ask: Ask) -> Iterator[Draft]:
    """Of each memory that holds more than 1 GiB, and of an allocation that failed."""
    yield from _failed(result)
    for row in result.rows:
        if row.reserved_peak is None or row.reserved_peak < 1 << 30:
            continue
        spare = (row.reserved_peak - row.allocated_peak) / row.reserved_peak
        if spare >= 0.25:
            yield Draft(
                FindingKind.MEMORY, None,
                f"{row.memory}: of {bytes_(row.reserved_peak)} reserved at most "
                f"{bytes_(row.allocated_peak)} were ever allocated: {share(spare)} is spare.",
                spare, "share", None, None,
                "Try PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True.",
                numbers={"share": spare, "reserved_bytes": row.reserved_peak,
                         "allocated_bytes": row.allocated_peak},
            )  # fmt: skip


def _failed(result: Memory) -> Iterator[Draft]:
    """The last allocation that failed, and where the reserved bytes are."""
    if not result.failures:
        return
    last = result.failures[-1]
    numbers: dict[str, float] = {"bytes": last.bytes, "count": len(result.failures)}
    said = f"{last.memory} ran out of memory: {bytes_(last.bytes)} were asked for at {last.line}"
    if last.free is not None:
        said += f", and the driver had {bytes_(last.free)} left"
        numbers["free_bytes"] = last.free
    own = next((r for r in result.reserves if r.memory == last.memory), None)
    if own is not None:
        numbers |= {"reserved_bytes": own.reserved, "split_bytes": own.split}
        said += (
            f"; when the snapshot was taken {bytes_(own.reserved)} were reserved, "
            f"{bytes_(own.split)} of it in free pieces of segments in use"
        )
    yield Draft(
        FindingKind.MEMORY, None, f"{said}.", last.bytes, "bytes", None, None,
        "See in `memory` which lines held the peak; free pieces between tensors are avoided by "
        "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True.",
        numbers=numbers,
    )  # fmt: skip
