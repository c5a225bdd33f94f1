"""What several analyses derive from a trace, computed once per trace.

Links say who caused what. Each is an index array; -1 is 'no such row in the trace'.

    work      launch_row      the runtime call that issued it, by correlation
    work      op_row          the framework op around that call
    work      annotation_row  the annotation around that call
    op        op_parent_row   the framework op around it, on its thread
    call      call_op_row     the framework op around it, on its thread
    slice     parent_row      the host slice around it, on its thread
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tracekit.attribution import uncorrelated
from tracekit.attribution.host_calls import LAUNCHING
from tracekit.patterns import later
from tracekit.trace.ranks import last_before
from tracekit.trace.spans import compiled, segments
from tracekit.trace.spans.nesting import Nest, innermost, nearest, parents
from tracekit.trace.trace import GPU_WORK, HOST, Cat, Trace

Rows = npt.NDArray[np.int64]
_ISSUING = later(f"{LAUNCHING.pattern}|Memcpy|Memset")
# calls of one launch (runtime and driver) are nested, or follow at once
_APART_NS = 1_000_000


def work(trace: Trace) -> Trace:
    """Everything a device did: kernels, copies, memsets, sorted by start."""
    return trace.of(*GPU_WORK)


def calls(trace: Trace) -> Trace:
    """Runtime and driver calls, sorted by start."""
    return trace.of(Cat.RUNTIME)


def call_rows(trace: Trace) -> Rows:
    """[R] the row of the trace of each row of `calls`."""
    return trace.once("call_rows", lambda: np.flatnonzero(trace.is_(Cat.RUNTIME)))


def ops(trace: Trace) -> Trace:
    """Framework ops, sorted by start."""
    return trace.of(Cat.CPU_OP)


def marks(trace: Trace) -> Trace:
    """Host annotations, sorted by start, the longer first."""
    return trace.of(Cat.ANNOTATION)


def launch_row(trace: Trace) -> Rows:
    """[G] for each row of `work`, the row of `calls` that launched it, or -1.

    The link is the correlation id; where runtime calls share one, the earliest. Where ids start
    anew (two recordings in one file) it is the earliest of those that came last before the work.
    Without ids see `uncorrelated`.
    A graph launch has many rows of work.
    """

    def make() -> Rows:
        host = calls(trace)
        gpu = work(trace)
        found = uncorrelated.launch_row(trace, host, host.named(_ISSUING), gpu)
        if found is not None:
            return found
        # 0 is what writers put where there is no id: a link only where a launch call carries it
        known = np.flatnonzero((host.correlation > 0)
                               | ((host.correlation == 0) & host.named(_ISSUING)))  # fmt: skip
        order = known[np.argsort(host.correlation[known], kind="stable")]
        first = order[_opens(host.correlation[order], host.ts[order], host.end[order])]
        first.sort()
        at = last_before(host.correlation[first], host.ts[first], gpu.correlation, gpu.ts)
        return np.where((at >= 0) & (gpu.correlation >= 0), first[at], -1) if len(first) else at

    return trace.once("launch_row", make)


def _opens(key: Rows, start: Rows, end: Rows) -> npt.NDArray[np.bool_]:
    """[K] of calls sorted by id, then by start: which is no part of the launch before it."""
    opens = np.ones(len(key), bool)
    opens[1:] = (key[1:] != key[:-1]) | (start[1:] > end[:-1] + _APART_NS)
    return opens


def launch_start(trace: Trace) -> Rows:
    """[G] when the launch of each row of `work` started, ns; -1 where it has none."""
    return trace.once("launch_start", lambda: _follow(launch_row(trace), calls(trace).ts))


def launch_end(trace: Trace) -> Rows:
    """[G] when the launch of each row of `work` returned, ns; -1 where it has none."""
    return trace.once("launch_end", lambda: _follow(launch_row(trace), calls(trace).end))


def by_launch(trace: Trace) -> tuple[Rows, Rows]:
    """Rows of `work` that have a launch, by its start, and the rows of `calls` of these."""

    def make() -> tuple[Rows, Rows]:
        linked = np.flatnonzero(launch_row(trace) >= 0)
        call = launch_row(trace)[linked]
        order = np.argsort(calls(trace).ts[call], kind="stable")
        return linked[order], call[order]

    return trace.once("by launch", make)


def launch_count(trace: Trace) -> Rows:
    """[R] how many rows of `work` each row of `calls` launched: a graph launch many, most none."""

    def make() -> Rows:
        rows = launch_row(trace)
        return np.bincount(rows[rows >= 0], minlength=len(calls(trace)))

    return trace.once("launch_count", make)


def thread(trace: Trace) -> Rows:
    """[N] a number that two slices share where they share process and thread."""

    return _threads(trace)[1]


def threads(trace: Trace) -> Mapping[tuple[int, int], int]:
    """`thread` of each process and thread."""
    owners = _threads(trace)[0].tolist()
    return {(pid, tid): number for number, (pid, tid) in enumerate(owners)}


def _threads(trace: Trace) -> tuple[Rows, Rows]:
    def make() -> tuple[Rows, Rows]:
        if trace.tracks is None:
            return segments.distinct([trace.pid, trace.tid])
        owners, number = segments.distinct(trace.tracks.places[:, :2])  # each is there
        return owners, np.take(number, trace.tracks.track)

    return trace.once("threads", make)


def slices(trace: Trace) -> compiled.Slices:
    """All slices, on tracks by their thread."""
    return compiled.Slices(thread(trace), trace.ts, trace.end, trace.cat)


def call_thread(trace: Trace) -> Rows:
    """[R] `thread` of each row of `calls`."""
    return trace.once("call thread", lambda: np.asarray(thread(trace)[call_rows(trace)]))


def host_window(trace: Trace) -> tuple[int, int] | None:
    """The first start and the last end of what is on the host; None where nothing is."""
    host = trace.is_(*HOST)
    if not host.any():
        return None
    return int(trace.ts[host.argmax()]), int(trace.end[host].max())  # sorted by start


def parent_row(trace: Trace) -> Rows:
    """[N] for each row of the trace that is on the host, the row of the innermost enclosing one.

    Ops, runtime calls, annotations and Python frames of one thread; -1 at the top of a thread and
    for every other row. Touching ends enclose. Slices that cross enclose neither the other.
    """

    def make() -> Rows:
        if loops := compiled.of(len(trace)):
            enclosed = loops.enclosed(slices(trace), [HOST])
            if enclosed is not None:
                return enclosed.above.astype(np.int64)
        rows = np.flatnonzero(trace.is_(*HOST))
        found = parents(thread(trace)[rows], trace.ts[rows], trace.end[rows])
        out = np.full(len(trace), -1, np.int64)
        out[rows] = np.where(found >= 0, rows[found], -1) if len(rows) else found
        return out

    return trace.once("parent_row", make)


def call_op_row(trace: Trace) -> Rows:
    """[R] for each row of `calls`, the row of `ops` that is the innermost around it, or -1."""
    return _around_ops(trace)[1]


def _around_ops(trace: Trace) -> tuple[Rows, Rows]:
    """The op around each row of `ops`, and around each row of `calls`."""

    def make() -> tuple[Rows, Rows]:
        op, call = ops(trace), calls(trace)
        nest = Nest(thread(trace)[trace.is_(Cat.CPU_OP)], op.ts, op.end)
        return nest.parents, nest.around(call_thread(trace), call.ts, call.end)

    return trace.once("op rows", make)


def op_row(trace: Trace) -> Rows:
    """[G] for each row of `work`, the row of `ops` that is the innermost around its launch."""
    return trace.once("op_row", lambda: _follow(launch_row(trace), call_op_row(trace)))


def stream(trace: Trace) -> Rows:
    """[G] a number that rows of `work` share where they share device and stream."""

    def make() -> Rows:
        gpu = work(trace)
        streams, own = segments.codes(gpu.stream)
        return np.asarray(gpu.device.astype(np.int64) * max(len(streams), 1) + own, np.int64)

    return trace.once("stream", make)


def op_parent_row(trace: Trace) -> Rows:
    """[O] for each row of `ops`, the row of `ops` that is the innermost around it, or -1."""
    return _around_ops(trace)[0]


def shapes_row(trace: Trace) -> npt.NDArray[np.int32]:
    """[O] for each row of `ops`, the row of the side table `shapes` with its arguments, or -1."""
    return trace.once("shapes_row", lambda: trace.table("shapes").rows(ops(trace).id))


def op_self_ns(trace: Trace) -> Rows:
    """[O] ns of each row of `ops` that no op inside it covers."""

    def make() -> Rows:
        op, parent = ops(trace), op_parent_row(trace)
        inside = np.flatnonzero(parent >= 0)
        covered = segments.union_ns(parent[inside], op.ts[inside], op.end[inside], len(op))
        return np.asarray(op.dur - covered, np.int64)

    return trace.once("op_self_ns", make)


def top_op_row(trace: Trace) -> Rows:
    """[G] for each row of `work`, the row of `ops` that is the outermost around its launch."""

    def make() -> Rows:
        above = op_parent_row(trace)
        return _follow(op_row(trace), nearest(above, above < 0))

    return trace.once("top_op_row", make)


def annotation_row(trace: Trace, any_thread: bool = False) -> Rows:
    """[G] for each row of `work`, the innermost row of `marks` its launch starts in, or -1.

    On the thread of the launch; with `any_thread`, for launches from a thread that has no
    annotation then, on any thread of the process (backward passes launch from their own).
    """

    def make() -> Rows:
        rows = launch_row(trace)
        start = calls(trace).ts
        call, mark = trace.is_(Cat.RUNTIME), trace.is_(Cat.ANNOTATION)

        def around(threads: Rows) -> Rows:
            # [start, end): a launch at the very end of an annotation is no part of it
            return innermost(
                threads[mark], trace.ts[mark], trace.end[mark], threads[call], start, start + 1
            )

        found = around(thread(trace))
        if any_thread:
            found = np.where(found >= 0, found, around(trace.pid))
        return _follow(rows, found)

    return trace.once(("annotation_row", any_thread), make)


def replayed(trace: Trace) -> npt.NDArray[np.bool_]:
    """[G] whether a graph launch issued this row of `work`."""

    def make() -> npt.NDArray[np.bool_]:
        row = launch_row(trace)
        graph = trace.named(r"(?i)graph_?launch")[trace.is_(Cat.RUNTIME)]
        out = np.zeros(len(row), bool)
        out[row >= 0] = graph[row[row >= 0]]
        return out

    return trace.once("replayed", make)


def without_launch(trace: Trace) -> npt.NDArray[np.bool_]:
    """[G] whether the trace has no launch for a row of `work`: a row of its own everywhere."""
    return launch_row(trace) < 0


def _follow(rows: Rows, values: Rows) -> Rows:
    """`values` at `rows`, -1 where a row is -1."""
    out = np.full(len(rows), -1, np.int64)
    known = rows >= 0
    out[known] = values[rows[known]]
    return out
