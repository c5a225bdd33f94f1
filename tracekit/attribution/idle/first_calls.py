"""Framework ops whose first call sets something up: what loads modules, or takes ten times longer.

cuBLAS and cuDNN make handles and choose kernels, NCCL makes a communicator, attention libraries
load their kernels: all of it in the first op that needs them, and mostly in no runtime call.
"""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.patterns import later
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Cat, Mask, Trace

# A first call as long as this, and ten times as long as later calls of the op usually are
FIRST_OP_NS = 5_000_000
TIMES = 10
# What is called once has no later calls to be held against. No op of the framework that launches a
# kernel takes as long for itself: NCCL makes its communicator, cuDNN tries its algorithms
ONCE = later(r"^(?:c10d::|nccl:|record_param_comms$|aten::(?!item|to$|copy_|_to_copy))")
ONCE_NS = 50_000_000
# An op around the loading of a module does nothing else that lasts this long
LOADING_NS = 1_000_000
LOADS = later(r"^(?:cuda|cu|hip)(?:ModuleLoad|LibraryLoad)")


def of(trace: Trace) -> Mask:
    """[N] framework ops that launch a kernel of a device and are such a first call.

    An op that launches no kernel computes on the host: its length is that of its input.
    """
    return trace.once("first calls", lambda: _of(trace))


def _of(trace: Trace) -> Mask:
    out = np.zeros(len(trace), bool)
    ops = np.flatnonzero(trace.is_(Cat.CPU_OP))  # sorted by start
    rows = ops[trace.dur[ops] >= FIRST_OP_NS]
    if len(rows):
        rows = rows[_launch_inside(trace, rows)]
    of_op = trace.name[ops]
    for name in segments.sorted_unique(trace.name[rows]).tolist():
        alike = ops[of_op == name]
        first, later = alike[0], trace.dur[alike[1:]]
        if first not in rows:
            continue
        usual = float(np.median(later)) if len(later) else None
        if usual is not None and trace.dur[first] >= TIMES * usual:
            out[first] = True
        elif ONCE.search(trace.strings[name]) and trace.dur[first] >= ONCE_NS:
            out[first] = usual is None
    out[_loading(trace)] = True
    return out


def _launch_inside(trace: Trace, rows: I64) -> Mask:
    """[rows] whether a call that launches a kernel begins inside the op, on its thread."""
    kernels = links.launch_row(trace)[links.work(trace).is_(Cat.KERNEL)]
    calls = links.call_rows(trace)[segments.sorted_unique(kernels[kernels >= 0])]
    thread = links.thread(trace)
    order = np.lexsort((trace.ts[calls], thread[calls]))
    calls = calls[order]
    found = np.zeros(len(rows), bool)
    for one in segments.sorted_unique(thread[rows]).tolist():
        mine, at = np.flatnonzero(thread[rows] == one), trace.ts[calls[thread[calls] == one]]
        low = np.searchsorted(at, trace.ts[rows[mine]], side="left")
        found[mine] = np.searchsorted(at, trace.end[rows[mine]], side="left") > low
    return found


def _loading(trace: Trace) -> I64:
    """Rows of ops of a millisecond or more around the loading of a module or library."""
    calls = np.flatnonzero(trace.is_(Cat.RUNTIME) & trace.named(LOADS))
    call_op = links.call_op_row(trace)[np.searchsorted(links.call_rows(trace), calls)]
    ops = np.flatnonzero(trace.is_(Cat.CPU_OP))[segments.sorted_unique(call_op[call_op >= 0])]
    return ops[trace.dur[ops] >= LOADING_NS]
