"""The reasons for idle time, and what each says."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """What would have to change for the device to be idle no longer, in the order of tables."""

    SYNC = "host_sync"
    DATA = "data_loading"
    ALLOCATION = "allocation"
    INITIALISATION = "initialisation"
    COMPILED = "compiled_region_overhead"
    STEPS = "between_steps"
    LAUNCHES = "launches"
    WORK = "host_work"
    SHORT = "short_host_gaps"
    PROFILER = "profiler"
    OTHER_DEVICE = "other_device"
    COMMUNICATION = "communication"
    OTHER_STREAM = "other_stream"
    GRAPH = "within_graph"
    LATENCY = "launch_latency"
    MISSING = "work_not_in_file"
    UNLINKED = "no_launch_in_file"
    LOST = "launches_without_work"
    END = "nothing_launched"


REASONS = tuple(Reason)
HOST_REASONS = frozenset(
    {Reason.SYNC, Reason.DATA, Reason.ALLOCATION, Reason.INITIALISATION, Reason.COMPILED,
     Reason.STEPS, Reason.LAUNCHES, Reason.WORK, Reason.SHORT}
)  # fmt: skip
# the host launches late: what it would not, had it not waited for the device before
LATE = frozenset({Reason.STEPS, Reason.LAUNCHES, Reason.WORK, Reason.SHORT})

SHOWN = {
    Reason.SYNC: "host: blocking sync or copy",
    Reason.DATA: "host: loading data",
    Reason.ALLOCATION: "host: allocating memory",
    Reason.INITIALISATION: "host: first use, loading modules",
    Reason.COMPILED: "host: around a compiled graph",
    Reason.STEPS: "host: between steps",
    Reason.LAUNCHES: "host: many short launches",
    Reason.WORK: "host: long work between launches",
    Reason.SHORT: "host: single short gaps",
    Reason.PROFILER: "host: the profiler itself",
    Reason.OTHER_DEVICE: "another device works",
    Reason.COMMUNICATION: "after communication",
    Reason.OTHER_STREAM: "waiting for another stream",
    Reason.GRAPH: "between kernels of a graph",
    Reason.LATENCY: "launched, not begun",
    Reason.MISSING: "launched long before: work not in this file",
    Reason.UNLINKED: "no launch in the trace",
    Reason.LOST: "work launched meanwhile is not in this file",
    Reason.END: "nothing more launched",
}
REASON_TEXTS = {
    Reason.SYNC: "The launching thread was in a blocking sync, a blocking copy or `.item()`.",
    Reason.DATA: "The launching thread was loading data.",
    Reason.ALLOCATION: "The launching thread was allocating or freeing memory.",
    Reason.INITIALISATION: "The launching thread was setting up: a context, a module, a "
    "compilation, a call that was slow at its first use; or the rest of a gap that was mostly so.",
    Reason.COMPILED: "The launching thread was in what torch.compile puts around a graph.",
    Reason.STEPS: "From the end of one step's work to the first work of the next step, where the "
    "host took 100 µs or more and was in none of the above.",
    Reason.LAUNCHES: "Short host time before or in a launch, among launches of which at least half "
    "are waited for like this: the device waits for each.",
    Reason.WORK: "The host took 100 µs or more between two launches and was in none of the above.",
    Reason.SHORT: "The host took less than 100 µs, and most launches around are not waited for.",
    Reason.PROFILER: "The launching thread was in no op or call, and the profiler recorded that it "
    "was at work itself: flushing or asking for buffers. Without it the program does not wait so.",
    Reason.OTHER_DEVICE: "Another device that the same process launches on was busy.",
    Reason.COMMUNICATION: "Launched, not begun: it followed communication on another stream.",
    Reason.OTHER_STREAM: "Launched, not begun: its stream had been told to wait for an event of "
    "another stream.",
    Reason.GRAPH: "Between two kernels of one graph launch.",
    Reason.LATENCY: "Launched, not begun, for less than 1 ms: up to some 20 µs are the device's "
    "own time between kernels, more is a wait that the file does not show.",
    Reason.MISSING: "Launched 1 ms before or more, and nothing in this file ran: work that the "
    "file lacks, or a wait for peers that it does not show. Left out of every share.",
    Reason.UNLINKED: "The work that ends the gap has no launch in the trace.",
    Reason.LOST: "After a launch whose work the file lacks: the device may have worked, so whether "
    "it waited, and for what, is not known.",
    Reason.END: "Nothing was launched any more but work without a length.",
}
