"""What the file lacks: work, launches, and what was waited for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracekit.answers.idle import IdleTime
from tracekit.attribution.reasons.names import Reason
from tracekit.attribution.reasons.rows import OWN_NS
from tracekit.records import replace
from tracekit.results.findings import Draft
from tracekit.results.units import duration, plural, share
from tracekit.taxonomy import FindingKind

from .by_device import are_long, by_device

_UNSEEN = {
    Reason.LATENCY: "with the next work launched less than 1 ms before and not begun",
    Reason.GRAPH: "between two kernels of one graph launch",
}


def lacking(result: IdleTime) -> Iterator[Draft]:
    """Where most of the window is work that the file lacks, or launches that it lacks."""
    for reason, said, do in (
        (Reason.MISSING, "beside its window of {} pass with the next work launched 1 ms before or "
         "more, and nothing in the file running: work is missing from the file, or waits for what "
         "it does not show",
         "Record whole steps, all processes of the device, and do not cut the file."),
        (Reason.UNLINKED, "of its window of {} pass before work whose launch is not in the file, "
         "so nobody can say what it waited for",
         "Record ProfilerActivity.CPU beside CUDA, for whole steps."),
        (Reason.LOST, "of its window of {} pass after launches whose work is not in the file, so "
         "nobody can say whether it waited, and for what",
         "Record fewer steps at a time, so that no buffer of the profiler overflows."),
    ):  # fmt: skip
        for row in result.rows:
            mine = [r for r in result.reasons if r.device == row.device and r.reason == reason]
            ns, seen = sum(r.ns for r in mine), row.seen_window_ns
            whole = row.window_ns if reason is Reason.MISSING else seen
            if whole and ns / whole >= 0.25:
                yield Draft(
                    FindingKind.RECORD_MORE, None,
                    f"On device {row.device} {duration(ns)} {said.format(duration(seen))}.",
                    ns, "ns", None, whole, do,
                    numbers={"lacking_ns": ns, "window_ns": seen},
                    device=row.device if len(result.rows) > 1 else None,
                    explains=frozenset({reason.value}),
                )  # fmt: skip


def unseen_waits(result: IdleTime, seen: Mapping[int, int]) -> Iterator[Draft]:
    """Waits of the device that are too long for its own time between kernels."""
    for reason, because in _UNSEEN.items():
        rows = [row for row in result.reasons if row.reason == reason]
        if not are_long(rows):
            continue
        parts = by_device([replace(row, ns=row.long_ns) for row in rows], seen)
        if not parts:
            continue
        device, (ns, own) = next(iter(parts.items()))
        count, longest = sum(row.long_count for row in own), max(row.longest_ns for row in own)
        yield Draft(
            FindingKind.RECORD_MORE, None,
            f"Device {device} is idle for {share(ns / seen[device])} of its window "
            f"({duration(ns)} of {duration(seen[device])}) {because}: "
            f"{plural(count, 'stretch', 'stretches')} of more than {duration(OWN_NS)}, "
            f"{duration(ns / count)} on average, the longest {duration(longest)}. That is longer "
            "than a device takes between kernels: work that ran then, or what was waited for, is "
            "not in the file, or not as work.",
            ns / seen[device], "share", None, seen[device],
            "Record all streams and processes of the device, and filter no kernels out.",
            numbers={"share": ns / seen[device], "idle_ns": ns, "window_ns": seen[device],
                     "stretches": count, "mean_ns": ns / count, "longest_ns": longest,
                     "over_ns": OWN_NS},
            device=device if len(result.rows) > 1 else None,
            explains=frozenset({reason.value}),
        )  # fmt: skip
