"""What may make a trace's numbers mislead: one function a check, each counts what it finds."""

from collections.abc import Mapping

from . import hidden, host, peaks, recording, records, work
from .finding import Check

CHECKS: tuple[Check, ...] = (
    recording.damage,
    recording.no_gpu_work,
    recording.inferred_steps,
    recording.unknown_work,
    records.merged_ranks,
    records.impossible_records,
    work.lost_work,
    work.empty_steps,
    work.short_replays,
    work.unlinked_work,
    work.stray_events,
    hidden.hidden_work,
    work.giant_events,
    recording.impossible_times,
    recording.overlaps,
    host.crossings,
    host.overhead,
    recording.resolution,
    recording.options,
    peaks.above_peak,
)

# the only answers that a check can touch, where it costs what they cost
TOUCHES: Mapping[Check, frozenset[str]] = {peaks.above_peak: frozenset({"roofline", "roles"})}

__all__ = ["CHECKS", "TOUCHES", "Check"]
