"""Bytes of collectives by the arguments of their ops, where no sizes are written beside them.

Lists of tensors are recorded without sizes. What DistributedDataParallel reduces is known all the
same: it copies each gradient into its bucket, an op with its sizes, and reduces a bucket as soon as
its last gradient is in it. Taken only where every size comes again in a later step, and never more
than was copied: gradients that lie in their bucket already are not copied.

Source: torch/csrc/distributed/c10d/Ops.cpp (order of arguments), torch/csrc/distributed/c10d/
reducer.cpp (mark_variable_ready_dense, mark_bucket_ready).
"""

from __future__ import annotations

import json
from collections import Counter
from math import prod

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.roofline.formulas.work import dtype_of, size_of
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.spans.segments import sorted_unique
from tracekit.trace.trace import I64, Cat, Mask, Trace

_COPIED = r"^torch::distributed::reducer::(?:mul_out|copy_)$"
_REDUCED = r"^c10d::allreduce_$"
_BASE = later(r"^c10d::(?:alltoall_base_|_allgather_base_|_reduce_scatter_base_)$")
_TALK = "record_param_comms"


class Messages(Record, frozen=True, eq=False):
    """What each of O rows of `links.ops` sends and receives, in bytes; -1 where it does not say."""

    sent: I64  # [O]
    received: I64  # [O]
    dtype: tuple[str, ...]  # of buckets
    bucket: I64  # [O] index into dtype where the op reduces a bucket of gradients, else -1


def of_ops(trace: Trace) -> Messages:
    """Of all ops; only collectives have sizes."""
    return trace.once("messages", lambda: _of_ops(trace))


def _of_ops(trace: Trace) -> Messages:
    ops, size = links.ops(trace), len(links.ops(trace))
    sent, received = np.full(size, -1, np.int64), np.full(size, -1, np.int64)
    bucket = np.full(size, -1, np.int64)
    arguments = _Arguments(trace)
    if not arguments.recorded:
        return Messages(sent, received, (), bucket)
    for at in np.flatnonzero(ops.named(_BASE.pattern)).tolist():  # the result comes first
        received[at], sent[at] = arguments.bytes(at, 0), arguments.bytes(at, 1)
    for at in np.flatnonzero(ops.named(f"^{_TALK}$")).tolist():
        sent[at] = arguments.bytes(at, 0)
    dtypes: dict[str, int] = {}
    for at, moved, dtype in _buckets(trace, arguments):
        sent[at] = received[at] = moved
        bucket[at] = dtypes.setdefault(dtype, len(dtypes))
    return Messages(sent, received, tuple(dtypes), bucket)


def inside(trace: Trace, known: Mask) -> Mask:
    """[O] whether each op is `record_param_comms` within one that is known and says both sizes: it
    says the first of its arguments alone.
    """
    above, found = links.op_parent_row(trace), of_ops(trace)
    out = links.ops(trace).named(f"^{_TALK}$") & (above >= 0)
    rows = np.flatnonzero(out)
    parent = above[rows]
    own = trace.table("collectives").take(links.ops(trace).id[rows], "dtype", -1) >= 0
    both = (found.sent[parent] > 0) & (found.received[parent] > 0) & (found.bucket[parent] < 0)
    out[rows] = both & known[parent] & ~own
    return out


class _Arguments:
    """Sizes of the arguments of ops, one op at a time: few are asked for."""

    def __init__(self, trace: Trace) -> None:
        self.table, self.ops = trace.table("shapes"), links.ops(trace)
        self.recorded = len(self.table) > 0 and {"dims", "types"} <= set(self.table.columns)

    def values(self, at: int, place: int) -> tuple[int, str]:
        """How many of which dtype a tensor holds; -1 where that is not recorded."""
        dims, types = (self._text(at, column) for column in ("dims", "types"))
        try:
            sizes, kind = json.loads(dims)[place], json.loads(types)[place]
            size_of(kind)
            return (prod(map(int, sizes)), kind) if sizes else (-1, kind)
        except (ValueError, IndexError, TypeError, KeyError):
            return -1, ""

    def bytes(self, at: int, place: int) -> int:
        """Of one tensor; -1 where that is not recorded."""
        count, kind = self.values(at, place)
        return count * size_of(kind) if count >= 0 else -1

    def _text(self, at: int, column: str) -> str:
        code = int(self.table.take(self.ops.id[at : at + 1], column, -1)[0])
        return self.table.strings[code] if code >= 0 else ""


def _buckets(trace: Trace, arguments: _Arguments) -> list[tuple[int, int, str]]:
    """Rows of ops that reduce a bucket, the bytes of its gradients, and their dtype."""
    ops = links.ops(trace)
    reduced = np.flatnonzero(ops.named(_REDUCED))
    reduced = reduced[[arguments.values(at, 0)[0] < 0 for at in reduced.tolist()]]
    if not len(reduced):
        return []
    thread = links.thread(trace)[trace.is_(Cat.CPU_OP)]
    copied = np.flatnonzero(ops.named(_COPIED))
    found: list[tuple[int, int, str]] = []
    for own in sorted_unique(thread[reduced]).tolist():
        mine, held = reduced[thread[reduced] == own], copied[thread[copied] == own]
        for low, at in zip([-1, *mine.tolist()], mine.tolist(), strict=False):
            parts = [arguments.values(c, 0) for c in held[(held > low) & (held < at)].tolist()]
            kinds = {kind for _, kind in parts}
            if len(kinds) == 1 and all(count >= 0 for count, _ in parts):
                (kind,) = kinds
                found.append((at, sum(count for count, _ in parts) * size_of(kind), kind))
    again = Counter(moved for _, moved, _ in found)
    if any(again[moved] < 2 for _, moved, _ in found):
        return []  # a part of the copies may be missing
    inside = links.op_parent_row(trace)
    talks = np.flatnonzero(ops.named(f"^{_TALK}$"))
    below = {int(inside[at]): int(at) for at in talks.tolist()}
    return [
        (row, moved, dtype_of(kind))
        for at, moved, kind in found
        for row in (at, below.get(at, at))
    ]  # fmt: skip
