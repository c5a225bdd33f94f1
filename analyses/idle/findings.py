"""Causes of idle time that are no launch overhead."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.idle import IdleTime, StageIdle
from tracekit.answers.transfers import Transfers
from tracekit.attribution.idle.by_cause import By
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import duration, share


def findings(result: IdleTime, ask: Ask) -> Iterator[Draft]:
    """Waits of each stage that has a window of its own."""
    moved = ask(Transfers)
    for row in result.stages:
        if not row.is_all and row.launched_window_ns and row.launched_causes:
            yield from _waits(row, row.launched_causes, row.launched_window_ns)
            yield from _blocking_syncs(row, row.launched_causes, row.launched_window_ns, moved)


def _waits(row: StageIdle, causes: By, window: int) -> Iterator[Draft]:
    """Data loading, communication, other streams."""
    # waiting for a stream that ran work which the file lacks is no waiting of the stage
    streams = causes.other_stream - (row.launched_suspect_ns or 0)
    for ns, waits, do in (
        (causes.host_data, "for data to be loaded",
         "Load ahead: more DataLoader workers, prefetching."),
        (causes.communication, "for communication", "Overlap communication with compute."),
        (streams, "for an event of another stream", "Check what the streams wait for."),
    ):  # fmt: skip
        if ns / window >= LEAST:
            yield Draft(
                row.family,
                f"In {row.family} the GPU waits {share(ns / window)} of the window {waits}.",
                ns / window, "share", ns, window, do,
            )  # fmt: skip


def _blocking_syncs(
    row: StageIdle, causes: By, window: int, moved: Transfers | None
) -> Iterator[Draft]:
    """Idle time while the host was in a blocking sync or copy, and the copy that held it longest.

    A copy that holds the host while the GPU works costs nothing, so the idle time is the bound.
    """
    ns = causes.host_sync
    if ns / window < LEAST:
        return
    held = [
        r for r in (moved.rows if moved is not None else ())
        if r.phase == row.family and r.blocking_count
    ]  # fmt: skip
    said = ""
    if held:
        top = max(held, key=lambda r: r.blocked_ns or 0)
        by = f"`{top.op}`" if top.op else "copies"
        said = (
            f" Longest held by {by}: {top.blocking_count:,} {top.direction} copies, "
            f"{duration(top.blocked_ns)}."
        )
    yield Draft(
        row.family,
        f"In {row.family} the GPU waits {share(ns / window)} of the window while the host is "
        f"in a blocking sync, a blocking copy or `.item()`.{said}",
        ns / window, "share", ns, window,
        "Keep the value on the device, or copy to pinned memory with non_blocking=True and "
        "wait later.",
        also=(Transfers,),
    )  # fmt: skip
