"""What several analyses derive from a trace, computed once per trace."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tracekit.trace import GPU_WORK, Cat, Trace

Rows = npt.NDArray[np.int64]


def work(trace: Trace) -> Trace:
    """Everything a device did: kernels, copies, fills, sorted by start."""
    return trace.of(*GPU_WORK)


def launch_row(trace: Trace) -> Rows:
    """[G] for each row of `work`, the row of `trace.of(Cat.RUNTIME)` that launched it, or -1.

    The link is the correlation id; where runtime calls share one, the earliest. A graph launch has
    many rows of work.
    """

    def make() -> Rows:
        calls = trace.of(Cat.RUNTIME)
        gpu = work(trace)
        out = np.full(len(gpu), -1, np.int64)
        known = np.flatnonzero(calls.correlation >= 0)
        order = known[np.argsort(calls.correlation[known], kind="stable")]
        keys = calls.correlation[order]
        if len(keys):
            at = np.minimum(np.searchsorted(keys, gpu.correlation), len(keys) - 1)
            hit = (keys[at] == gpu.correlation) & (gpu.correlation >= 0)
            out[hit] = order[at[hit]]
        return out

    return trace.once("launch_row", make)
