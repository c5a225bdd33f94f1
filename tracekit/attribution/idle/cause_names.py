"""The classes of idle time, and what each says."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """In the order in which tables and charts show them."""

    HOST_SYNC = "host_sync"
    HOST_DATA = "host_data"
    HOST_ALLOCATION = "host_allocation"
    HOST_INITIALISATION = "host_initialisation"
    HOST_COMPILED = "host_compiled"
    HOST_CALL = "host_call"
    HOST_OP = "host_op"
    HOST_OUTSIDE = "host_outside"
    LAUNCH_CALL = "launch_call"
    GRAPH = "graph"
    OTHER_STREAM = "other_stream"
    COMMUNICATION = "communication"
    QUEUED = "queued"
    UNLINKED = "unlinked"
    AFTER_LAST = "after_last"


ORDER = tuple(Cause)
HOST_SIDE = frozenset(
    {Cause.HOST_SYNC, Cause.HOST_DATA, Cause.HOST_ALLOCATION, Cause.HOST_INITIALISATION,
     Cause.HOST_COMPILED, Cause.HOST_CALL, Cause.HOST_OP, Cause.HOST_OUTSIDE, Cause.LAUNCH_CALL}
)  # fmt: skip

CAUSES = {
    Cause.HOST_SYNC: "The next work was not launched yet: its thread was in a blocking sync, a "
    "blocking copy or `.item()`.",
    Cause.HOST_DATA: "The next work was not launched yet: its thread was loading data.",
    Cause.HOST_ALLOCATION: "The next work was not launched yet: its thread was allocating "
    "or freeing memory (cudaMalloc, cudaFree, pinned memory).",
    Cause.HOST_INITIALISATION: "The next work was not launched yet, or was being launched: its "
    "thread was setting up: a context, a module, a compilation, a call that was slow at its first "
    "use.",
    Cause.HOST_COMPILED: "The next work was not launched yet: its thread was in what "
    "torch.compile puts around a graph: guards, prologue, wrapper.",
    Cause.HOST_CALL: "The next work was not launched yet: its thread was in another runtime call.",
    Cause.HOST_OP: "The next work was not launched yet: its thread was in a framework op.",
    Cause.HOST_OUTSIDE: "The next work was not launched yet: its thread was outside any op, in "
    "Python or other code.",
    Cause.LAUNCH_CALL: "The host was inside the call that launched the next work.",
    Cause.GRAPH: "Between two kernels of one graph launch.",
    Cause.OTHER_STREAM: "Launched, not begun: its stream had been told to wait for an event of "
    "another stream.",
    Cause.COMMUNICATION: "Launched, not begun: it followed communication on another stream.",
    Cause.QUEUED: "Launched, not begun, and no work in this trace was in the way: the device's own "
    "time between kernels, or work that the trace lacks.",
    Cause.UNLINKED: "The work that ends the gap has no launch in the trace.",
    Cause.AFTER_LAST: "Nothing was launched any more.",
}
