"""Host time of a thread: in framework ops, in ops that copy, and outside any op."""

from __future__ import annotations

import re

import numpy as np

from tracekit import views
from tracekit.intervals import Spans, covered, spans, subtract, union
from tracekit.trace import I64, Trace

# Ops that move data and compute nothing; what runs inside them is copying too
COPIES = re.compile(
    r"^aten::(?:copy_|_to_copy|to|clone|contiguous|_copy_from|_pin_memory|pin_memory|cpu|cuda"
    r"|lift_fresh|detach_copy|_copy_from_and_resize|_foreach_copy_)$"
)


def host_split(trace: Trace, pid: I64, tid: I64, start: I64, end: I64) -> tuple[I64, ...]:
    """[M] ns of each span in ops, in copies, outside any op of its thread, and of the last, the
    part in which another thread of the process ran an op.

    The first three add up to end - start. A pid of -1 means any thread of any process.
    """
    ops = views.ops(trace)
    copying = ops.named(COPIES)
    op_ns, copy_ns, elsewhere = (np.zeros(len(start), np.int64) for _ in range(3))
    owners = np.stack([pid, tid], axis=1)
    for process, thread in np.unique(owners, axis=0):
        rows = (owners == (process, thread)).all(axis=1)
        windows = np.stack([start[rows], end[rows]], axis=1)
        near = np.ones(len(ops), bool) if process == -1 else ops.pid == process
        mine = near if process == -1 else near & (ops.tid == thread)
        all_ops = union(spans(ops.ts[mine], ops.dur[mine]))
        copies = union(spans(ops.ts[mine & copying], ops.dur[mine & copying]))
        others = union(spans(ops.ts[near & ~mine], ops.dur[near & ~mine]))
        copy_ns[rows] = covered(copies, windows)
        op_ns[rows] = covered(all_ops, windows) - copy_ns[rows]
        elsewhere[rows] = covered(subtract(others, all_ops), windows)
    return op_ns, copy_ns, end - start - op_ns - copy_ns, elsewhere


def op_spans(trace: Trace, pid: int, tid: int) -> Spans:
    """Flat spans in which the thread is inside an op."""
    ops = views.ops(trace)
    mine = (ops.pid == pid) & (ops.tid == tid)
    return union(spans(ops.ts[mine], ops.dur[mine]))
