"""Memory that the allocator holds and no tensor uses."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.memory import Memory
from tracekit.results.findings import Ask, Draft
from tracekit.results.units import bytes_, share
from tracekit.taxonomy import FindingKind


def findings(result: Memory, _ask: Ask) -> Iterator[Draft]:
    """Of each memory that holds more than 1 GiB."""
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
