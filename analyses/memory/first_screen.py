"""A memory snapshot on the first screen: its peak, what held it, what failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracekit.answers.memory import Memory
from tracekit.results.answers import Answers
from tracekit.results.first_screen import FirstScreen, KeyNumber, Remark
from tracekit.results.units import bytes_, plural, share

PEAK = "Bytes that live tensors asked for, when that was most."
RESERVED = "Bytes that the caching allocator held when the snapshot was taken, in use or not."


def key_numbers(result: Memory, _one: Answers) -> Iterator[KeyNumber]:
    """Of the memory with the highest peak; nothing where the trace is no snapshot."""
    if not result.reserves:
        return
    row = max(result.rows, key=lambda r: r.allocated_peak)
    own = [r for r in result.reserves if r.memory == row.memory]
    yield KeyNumber("Peak allocated", bytes_(row.allocated_peak), row.memory, PEAK)
    for reserve in own:
        yield KeyNumber(
            "Reserved", bytes_(reserve.reserved),
            f"{share(1 - reserve.requested / reserve.reserved)} not asked for by a tensor"
            if reserve.reserved else row.memory, RESERVED,
        )  # fmt: skip
    if result.failures:
        yield KeyNumber("Out of memory", plural(len(result.failures), "time"), "", "", "warn")


def remarks(result: Memory, _one: Answers) -> Iterator[Remark]:
    """The line that held most of each memory's peak."""
    for row in result.rows:
        held = [h for h in result.held if h.memory == row.memory]
        if held and row.allocated_peak:
            top = max(held, key=lambda h: h.bytes)
            yield Remark(
                row.memory,
                f"{bytes_(row.allocated_peak)} held at the peak, "
                f"{share(top.bytes / row.allocated_peak)} of it from {top.line}",
            )


def words(result: Memory) -> Mapping[str, str]:
    return {"peak": PEAK} if result.reserves else {}


FIRST_SCREEN = FirstScreen(order=80, key_numbers=key_numbers, remarks=remarks, words=words)
