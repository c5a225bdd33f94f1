"""How each reason for idle time is said, and what to do about it."""

from __future__ import annotations

from tracekit.attribution.reasons.names import Reason
from tracekit.records import Record
from tracekit.taxonomy import FindingKind


class Rule(Record, frozen=True):
    """How a reason is said: `... the GPU waits {because}.`"""

    kind: FindingKind
    because: str
    do: str
    saves: bool = True  # what would be saved is its time; False: not known


RULES = {
    Reason.SYNC: Rule(
        FindingKind.HOST_SYNC,
        "while the host is in a blocking sync, a blocking copy or `.item()`",
        "Keep the value on the device, or copy to pinned memory with non_blocking=True and wait "
        "later.",
    ),
    Reason.DATA: Rule(
        FindingKind.DATA_LOADING,
        "for the host to load data",
        "Load ahead: more DataLoader workers, prefetching, pinned memory.",
    ),
    Reason.ALLOCATION: Rule(
        FindingKind.ALLOCATION,
        "while the host allocates or frees memory",
        "Keep the memory: reuse buffers, let PyTorch's caching allocator hold it, and call no "
        "empty_cache() in between.",
    ),
    Reason.INITIALISATION: Rule(
        FindingKind.INITIALISATION,
        "while the host sets up what runs for the first time (contexts, modules, libraries, "
        "compilations)",
        "It is paid once in a process: warm up before what is measured or served.",
    ),
    Reason.COMPILED: Rule(
        FindingKind.COMPILED,
        "while the host is in what torch.compile puts around its graphs: guards, prologues, "
        "wrappers",
        'Compile larger regions with fewer graph breaks and guards, or use mode="reduce-overhead".',
    ),
    Reason.STEPS: Rule(
        FindingKind.BETWEEN_STEPS,
        "for the host between one step and the next",
        "Shorten what the host does between steps, or let it overlap with the GPU: asynchronous "
        "scheduling, several steps at a time.",
    ),
    Reason.LAUNCHES: Rule(
        FindingKind.LAUNCH_BOUND,
        "for the host to launch one short kernel after another",
        'Use CUDA graphs or torch.compile(mode="reduce-overhead"), or a larger batch.',
    ),
    Reason.WORK: Rule(
        FindingKind.HOST_WORK,
        "for the host to finish other work between launches",
        "Shorten this work on the host, move it to the GPU, or do it ahead of time.",
    ),
    Reason.OTHER_DEVICE: Rule(
        FindingKind.DEVICE_IDLE,
        "for another device of the same process",
        "The devices take turns: split the batch into micro-batches, or place the layers so that "
        "they work at once.",
        saves=False,
    ),
    Reason.COMMUNICATION: Rule(
        FindingKind.STREAM_WAIT,
        "with work launched that follows communication on another stream",
        "Overlap communication with compute.",
        saves=False,
    ),
    Reason.OTHER_STREAM: Rule(
        FindingKind.STREAM_WAIT,
        "with work launched that waits for an event of another stream",
        "Check what the streams wait for.",
        saves=False,
    ),
    Reason.LATENCY: Rule(
        FindingKind.LAUNCH_LATENCY,
        "with the next work launched and not begun, which is the device's own time between kernels",
        "Launch fewer, larger kernels, or replay them as a graph.",
        saves=False,
    ),
}
