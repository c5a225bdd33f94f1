"""Host time of a thread: in framework ops, in ops that copy, and outside any op."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle.host_stack import innermost_call
from tracekit.attribution.kernels.categories import CATEGORIES, op_categories
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.spans.intervals import Spans, covered, subtract, total, union, union_of
from tracekit.trace.trace import I64, Cat, Trace

# Ops that move data and compute nothing; what runs inside them is copying too
COPIES = later(
    r"^aten::(?:copy_|_to_copy|to|clone|contiguous|_copy_from|_pin_memory|pin_memory|cpu|cuda"
    r"|lift_fresh|detach_copy|_copy_from_and_resize|_foreach_copy_)$"
)

# Collectives of backends without kernels, as torch.distributed marks them
# (ProcessGroupGloo.cpp, ProcessGroupMPI.cpp, ProcessGroupUCC.cpp: `profilingTitle`)
COLLECTIVES = later(r"^(?:gloo|mpi|ucc):\w")


class Host(Record, frozen=True):
    """The marker's own thread, where no GPU work was recorded. wall = op + copy + other, in ns."""

    op_ns: int
    copy_ns: int
    other_ns: int


class HostDetail(Record, frozen=True):
    """Of the parts of a Host, in ns."""

    elsewhere_ns: int  # of other_ns: another thread of the process ran an op
    collective_ns: int  # of other_ns: no thread did, and the process had a collective open


def host_split(trace: Trace, pid: I64, tid: I64, start: I64, end: I64) -> tuple[I64, ...]:
    """[M] ns of each span in ops, in copies, outside any op of its thread, and of the last, the
    parts in which another thread of the process ran an op, or only a collective was open.

    The first three add up to end - start. A pid of -1 means any thread of any process.
    """
    op_ns, copy_ns, elsewhere, open_ns = (np.zeros(len(start), np.int64) for _ in range(4))
    owners = np.stack([pid, tid], axis=1)
    for process, thread in np.unique(owners, axis=0).tolist():
        rows = (owners == (process, thread)).all(axis=1)
        windows = np.stack([start[rows], end[rows]], axis=1)
        own = _host_spans(trace, process, thread)
        copy_ns[rows] = covered(own.copies, windows)
        op_ns[rows] = covered(own.ops, windows) - copy_ns[rows]
        elsewhere[rows] = covered(own.elsewhere, windows)
        open_ns[rows] = covered(own.collectives, windows)
    return op_ns, copy_ns, end - start - op_ns - copy_ns, elsewhere, open_ns


class _HostSpans(Record, frozen=True, eq=False):
    """Flat spans of one thread, or with pid -1 of all."""

    ops: Spans
    copies: Spans  # of ops
    elsewhere: Spans  # another thread of the process is in an op, this one is not
    collectives: Spans  # a collective of the process is open, and no thread is in an op


def _host_spans(trace: Trace, pid: int, tid: int) -> _HostSpans:
    def make() -> _HostSpans:
        ops = links.ops(trace)
        copying = trace.once("copying", lambda: ops.named(COPIES))
        near = np.ones(len(ops), bool) if pid == -1 else ops.pid == pid
        mine = near if pid == -1 else near & (ops.tid == tid)
        own, others, copies = (
            union_of(ops.ts, ops.end, rows) for rows in (mine, near & ~mine, mine & copying)
        )
        marks = trace.is_(Cat.ANNOTATION) & trace.named(COLLECTIVES)
        if pid != -1:
            marks &= trace.pid == pid
        waits = union_of(trace.ts, trace.end, marks)
        return _HostSpans(
            own, copies, subtract(others, own), subtract(subtract(waits, own), others)
        )

    return trace.once(("host spans", pid, tid), make)


def kind_spans(trace: Trace, pid: int, tid: int) -> Mapping[str, Spans]:
    """Flat spans of one thread by the category of its innermost op; disjoint, copies left out.

    Together they are the time that `host_split` calls op time.
    """

    def make() -> dict[str, Spans]:
        mine = (trace.pid == pid) & (trace.tid == tid) & trace.is_(Cat.CPU_OP)
        if not mine.any():
            return {}
        copying = mine & trace.named(COPIES)
        copies = union_of(trace.ts, trace.end, copying)
        rest = subtract(union_of(trace.ts, trace.end, mine), copies)
        thread = int(links.thread(trace)[mine][0])
        pieces, row = innermost_call(trace, thread, rest, (Cat.CPU_OP,))
        category = op_categories(trace)[np.searchsorted(np.flatnonzero(trace.is_(Cat.CPU_OP)), row)]
        found = {CATEGORIES[c].value: union(pieces[category == c]) for c in np.unique(category)}
        assert sum(map(total, found.values())) == total(rest), "the kinds add up to the op time"
        return found

    return trace.once(("kind spans", pid, tid), make)


def kinds(trace: Trace, pid: int, tid: int, windows: Spans) -> Mapping[str, I64]:
    """[W] ns of op time in each window by category, those that the thread has."""
    return {kind: covered(flat, windows) for kind, flat in kind_spans(trace, pid, tid).items()}


def host_of(
    trace: Trace, pid: I64, tid: I64, windows: Spans
) -> tuple[Host, HostDetail, Mapping[str, int]]:
    """Disjoint windows, each on its thread, as one; and the op time by kind, the largest first."""
    columns = host_split(trace, pid, tid, windows[:, 0], windows[:, 1])
    ops: dict[str, int] = {}
    for process, thread in np.unique(np.stack([pid, tid], axis=1), axis=0).tolist():
        own = windows[(pid == process) & (tid == thread)]
        ns = {kind: int(n.sum()) for kind, n in kinds(trace, process, thread, own).items()}
        ops = dict(add_kinds(ops, ns) or {})
    *parts, elsewhere, open_ns = (int(column.sum()) for column in columns)
    return Host(*parts), HostDetail(elsewhere, open_ns), ops


def add_kinds(
    one: Mapping[str, int] | None, two: Mapping[str, int] | None
) -> Mapping[str, int] | None:
    """The sum by name, the largest first; not known where either is not."""
    if one is None or two is None:
        return None
    names = sorted({*one, *two}, key=lambda n: (-one.get(n, 0) - two.get(n, 0), n))
    return {name: one.get(name, 0) + two.get(name, 0) for name in names}
