"""The tree of a trace without a device: stage, module, op inside op; width is host time.

Time inside a stage, or a module, and in no op is a node of its own, so that children add up to
what they are in.
"""

from __future__ import annotations

import numpy as np

from tracekit.answers.tree import MODULE, OP, OUTSIDE_OPS, STAGE
from tracekit.attribution import links
from tracekit.attribution.kernels import module_stacks
from tracekit.attribution.kernels.categories import CATEGORIES, op_categories
from tracekit.attribution.stages.instances import Markers, markers_if_any
from tracekit.attribution.stages.work_phases import OUTSIDE
from tracekit.records import Record
from tracekit.trace.spans import nesting, segments
from tracekit.trace.trace import I64, Trace

from .chains import chains
from .growing import Growing, Step, Sums

OTHER_THREADS = "other threads"
_MARK, _MODULE, _OP = range(3)
_KINDS = (STAGE, MODULE, OP)


class Host(Record, frozen=True, eq=False):
    """Stages, modules and ops of all threads as one forest, H rows."""

    kind: I64  # [H] _MARK, _MODULE, _OP
    name: I64  # [H] index into strings
    strings: tuple[str, ...]
    start: I64
    dur: I64
    parent: I64  # [H] the row around it on its thread; -1 for none
    op: I64  # [O] the row of each of `links.ops`
    marked: I64  # [H] 1 on threads that have a stage


def forest(trace: Trace, stages: str | None) -> Host:
    """Raises: MissingEventsError where `stages` matches nothing."""
    marks = markers_if_any(trace, stages)
    ops, frames = links.ops(trace), module_stacks.frames(trace)
    kinds, classes = module_stacks.kinds_of_frames(trace)
    names = dict.fromkeys(marks.family) if marks else {}
    number = {name: at for at, name in enumerate(names)}
    strings = (*map(str, names), *classes, *trace.strings)
    parts = [
        (np.array([number[f] for f in marks.family], np.int64), marks.start, marks.end, marks.pid,
         marks.tid)
        if marks else tuple(np.empty(0, np.int64) for _ in range(5)),
        (kinds + len(names), frames.ts, frames.end, frames.pid, frames.tid),
        (ops.name.astype(np.int64) + len(names) + len(classes), ops.ts, ops.end, ops.pid, ops.tid),
    ]  # fmt: skip
    name, start, end, pid, tid = (np.concatenate(column) for column in zip(*parts, strict=True))
    kind = np.repeat(np.arange(3), [len(part[0]) for part in parts])
    owner = segments.distinct(np.stack([pid, tid], axis=1))[1]
    has = np.zeros(int(owner.max()) + 1 if len(owner) else 0, np.int64)
    has[owner[kind == _MARK]] = 1
    return Host(
        kind, name, strings, start, end - start, nesting.parents(owner, start, end),
        np.flatnonzero(kind == _OP), has[owner] if _real(marks) else np.ones(len(owner), np.int64),
    )  # fmt: skip


def _real(marks: Markers | None) -> bool:
    """Whether stages are on threads: a whole file that is one stage is on none."""
    return marks is not None and marks.chosen != "file"


def grown(trace: Trace, stages: str | None, growing: Growing) -> tuple[I64, Sums, list[str | None]]:
    """[O] the node of each op, what each node has by itself, and its category."""
    host = forest(trace, stages)
    found = chains(host.parent, host.kind * len(host.strings) + host.name)
    key, which = segments.distinct(np.stack([found.code, host.marked], axis=1))
    has_stages = bool((host.kind == _MARK).any())
    steps = [_path(host, found.names(chain), bool(own), has_stages) for chain, own in key.tolist()]
    ends = np.array([growing.at(0, path) for path in steps], np.int64)
    node = ends[which] if len(key) else np.empty(0, np.int64)
    self_ns = _self(host)
    bare = np.flatnonzero((host.kind != _OP) & (self_ns > 0))
    inner = np.array(
        [growing.at(int(at), ((OUTSIDE_OPS, OUTSIDE_OPS),)) for at in node[bare]], np.int64
    )
    size = len(growing)
    own = np.where(host.kind == _OP, self_ns, 0)
    sums = Sums.of(
        np.concatenate([node, inner]), np.concatenate([own, self_ns[bare]]),
        np.concatenate([host.start, host.start[bare]]), size,
        counted=np.concatenate([
            (host.kind == _OP).astype(np.int64), np.zeros(len(bare), np.int64)
        ]),
    )  # fmt: skip
    return node[host.op], sums, _categories(trace, node[host.op], size)


def _path(host: Host, names: list[int], marked: bool, has_stages: bool) -> tuple[Step, ...]:
    size = len(host.strings)
    path = tuple((_KINDS[code // size], host.strings[code % size]) for code in names)
    if path[0][0] == STAGE or not has_stages:
        return path
    return ((STAGE, OUTSIDE if marked else OTHER_THREADS), *path)


def _self(host: Host) -> I64:
    """[H] ns of each row that nothing inside it covers."""
    inside = np.flatnonzero(host.parent >= 0)
    end = host.start + host.dur
    covered = segments.union_ns(
        host.parent[inside], host.start[inside], end[inside], len(host.start)
    )
    return np.asarray(host.dur - covered, np.int64)


def _categories(trace: Trace, node: I64, size: int) -> list[str | None]:
    out: list[str | None] = [None] * size
    category = op_categories(trace)
    best = segments.longest(node, category.astype(np.int64), links.op_self_ns(trace), size)
    for at in segments.sorted_unique(node).tolist():
        out[at] = str(CATEGORIES[best[at]])
    return out
