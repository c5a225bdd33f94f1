"""Which formula describes each piece of GPU work."""

from __future__ import annotations

import re

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.kernels.graphs import origin
from tracekit.attribution.roofline import flops
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Trace


def described(trace: Trace) -> tuple[I64, list[flops.Work], I64]:
    """[G] the op with a formula at or above each launch, or -1; the distinct works; [O] of each
    op the index of its work, or -1. Ops are those of `graphs.origin`: captured ones too.
    """
    nearest, works, work_of = of_ops(trace)
    op = origin.op_row(trace)
    call = np.full(len(op), -1, np.int64)
    call[op >= 0] = nearest[op[op >= 0]]
    return call, works, work_of


def of_ops(trace: Trace) -> tuple[I64, list[flops.Work], I64]:
    """[O] the op with a formula at or above each op, or -1; the distinct works; [O] the index of
    its own work, or -1. The rows of `links.ops` come first, then the ops of captures.
    """

    def make() -> tuple[I64, list[flops.Work], I64]:
        nearest, works, work_of = _of_ops(trace)
        captured = origin.origin(trace)
        if captured is None:
            return nearest, works, work_of
        more, others, of_others = of_ops(captured.trace)
        number = {work: at for at, work in enumerate(dict.fromkeys((*works, *others)))}
        index = np.array([*(number[work] for work in others), -1], np.int64)
        shifted = np.where(more >= 0, more + len(nearest), -1)
        return (
            np.concatenate([nearest, shifted]),
            list(number),
            np.concatenate([work_of, index[of_others]]),
        )

    return trace.once("formulas", make)


def _of_ops(trace: Trace) -> tuple[I64, list[flops.Work], I64]:
    ops = links.ops(trace)
    table = trace.table("shapes")
    columns = ("dims", "types", "concrete", "strides")
    known = set(columns) <= set(table.columns) and len(table) > 0
    work_of = np.full(len(ops), -1, np.int64)
    works: list[flops.Work] = []
    opaque = np.zeros(len(ops), bool)
    if known and len(ops):
        pattern = "^(" + "|".join(re.escape(n) for n in flops.FORMULAS) + ")$"
        rows = np.flatnonzero(ops.named(pattern))
        texts = [table.take(ops.id[rows], c, -1) for c in columns]
        key = np.stack([ops.name[rows], *texts], axis=1).astype(np.int64)
        distinct, inverse = segments.distinct(key)
        found = [
            flops.of_op(trace.strings[n], *(table.strings[t] if t >= 0 else "" for t in args))
            for n, *args in distinct.tolist()
        ]
        works = list(dict.fromkeys(work for work in found if work is not None))
        number = {work: at for at, work in enumerate(works)}
        index = np.array([number[work] if work else -1 for work in found], np.int64)
        work_of[rows] = index[inverse] if len(rows) else work_of[rows]
        opaque = ops.named("^(" + "|".join(re.escape(n) for n in sorted(flops.OPAQUE)) + ")$")
    here = np.arange(len(ops))
    parent = links.op_parent_row(trace)
    up = np.where((work_of >= 0) | opaque | (parent < 0), here, parent)
    while not np.array_equal(up, up[up]):  # doubles the distance each time
        up = up[up]
    nearest = np.where(work_of[up] >= 0, up, -1) if len(ops) else up
    return nearest, works, work_of
