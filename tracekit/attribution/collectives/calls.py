"""The communication kernels of a trace, one row a call, with what the file says of each.

What a collective moved and between whom stands on its kernel, or on the framework op that recorded
its parameters (`record_param_comms`) around the launch. Source of the keys: PyTorch,
torch/csrc/profiler/util.h.
"""

from __future__ import annotations

import re

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.idle.busy import busy, communication
from tracekit.attribution.roofline import messages
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.spans.intervals import covered
from tracekit.trace.trace import I32, I64, Trace

# c10 ScalarTypes as the profiler writes them
_BYTES = {
    "Byte": 1, "Char": 1, "Bool": 1, "Short": 2, "Half": 2, "BFloat16": 2, "Int": 4, "Float": 4,
    "Long": 8, "Double": 8, "ComplexFloat": 8, "Float8_e4m3fn": 1, "Float8_e5m2": 1,
    "Float8_e4m3fnuz": 1, "Float8_e5m2fnuz": 1,
}  # fmt: skip
_ABOVE = 8  # framework ops around a launch that are looked at for the parameters


class Calls(Record, frozen=True, eq=False):
    """Columns of C calls, sorted by start. -1, or "" of `texts`, is what the file does not say."""

    names: tuple[str, ...]
    groups: tuple[str, ...]  # process groups, "" where none is named
    members: tuple[str, ...]  # ranks of a group as the profiler writes them: "[0, 1]"
    row: I64  # of links.work
    name: I64  # [C] into names
    group: I64  # [C] into groups
    member: I64  # [C] into members
    size: I64  # [C] bytes: what one rank puts in, or gets where that is more
    received: I64  # [C] bytes that this rank gets
    ranks: I64  # [C] size of the group
    sequence: I64  # [C] number of the call in its group, the same in each rank
    exposed_ns: I64  # [C] with no other kernel of the device at the time


def calls(trace: Trace) -> Calls:
    """All communication kernels of the trace."""
    return trace.once("collective_calls", lambda: _calls(trace))


def _calls(trace: Trace) -> Calls:
    gpu, table = links.work(trace), trace.table("collectives")
    row = np.flatnonzero(communication(trace))
    said, around = _told_by(trace, row), _around(trace, row)
    names, name = _names(trace, row, table.take(said, "collective", -1).astype(np.int64), around)
    sent, received = (_of_op(around, size) for size in _messages(trace))
    size = _sizes(trace, said, "in_elements", "out_elements")
    got = _sizes(trace, said, "out_elements")
    groups, group = _texts(table.strings, _column(trace, said, "group"))
    members, member = _texts(table.strings, _column(trace, said, "members"))
    return Calls(
        names=names, groups=groups, members=members, row=row, name=name, group=group,
        member=member, size=np.where(size > 0, size, np.maximum(sent, received)),
        received=np.where(size > 0, got, received),
        ranks=_ranks(trace, _column(trace, said, "group_size"), around, sent, received),
        sequence=_column(trace, said, "sequence"),
        exposed_ns=gpu.dur[row] - _hidden(trace, row),
    )  # fmt: skip


def _column(trace: Trace, said: I32, name: str) -> I64:
    return trace.table("collectives").take(said, name, -1).astype(np.int64)


def _hidden(trace: Trace, row: I64) -> I64:
    """[C] ns of each call in which its device ran another kernel."""
    gpu, out = links.work(trace), np.zeros(len(row), np.int64)
    windows = np.stack([gpu.ts, gpu.end], axis=1)[row]
    for device in segments.sorted_unique(gpu.device[row]).tolist():
        own = gpu.device[row] == device
        out[own] = covered(busy(trace, device).compute, windows[own])
    return out


def _told_by(trace: Trace, row: I64) -> I32:
    """[C] id of the slice that says what each call is: its kernel, or an op around its launch."""
    gpu, table = links.work(trace), trace.table("collectives")
    out = gpu.id[row].copy()
    todo = np.flatnonzero(~np.isin(out, table.id))
    if not len(table) or not len(todo):
        return out
    ops, above = links.ops(trace), links.op_parent_row(trace)
    at = links.op_row(trace)[row[todo]]
    for _ in range(_ABOVE):
        todo, at = todo[at >= 0], at[at >= 0]
        if not len(todo):
            break
        found = np.isin(ops.id[at], table.id)
        out[todo[found]] = ops.id[at[found]]
        todo, at = todo[~found], above[at[~found]]
    return out


def _around(trace: Trace, row: I64) -> I64:
    """[C] the outermost of c10d's ops around each launch, by a row of `links.ops`; -1 for none.

    `record_param_comms` lies within the op that was called, which has all of the arguments.
    """
    ops, above = links.ops(trace), links.op_parent_row(trace)
    talks = ops.named(r"^(?:c10d::|record_param_comms$)")
    at, out = links.op_row(trace)[row], np.full(len(row), -1, np.int64)
    for _ in range(_ABOVE):
        inside = np.flatnonzero(at >= 0)
        found = inside[talks[at[inside]]]
        out[found] = at[found]
        at[inside] = above[at[inside]]
    return out


def _messages(trace: Trace) -> tuple[I64, I64]:
    sizes = messages.of_ops(trace)
    return sizes.sent, sizes.received


def _ranks(trace: Trace, ranks: I64, around: I64, sent: I64, received: I64) -> I64:
    """[C] as recorded; else how often a gather's result, or a scatter's input, holds the other."""
    splits = np.append(
        links.ops(trace).named(r"^c10d::_(?:allgather|reduce_scatter)_base_$"), False
    )
    less, more = np.minimum(sent, received), np.maximum(sent, received)
    whole = splits[around] & (ranks <= 0) & (less > 0) & (more % np.maximum(less, 1) == 0)
    return np.where(whole, more // np.maximum(less, 1), ranks)


def _of_op(around: I64, size: I64) -> I64:
    """[C] the size that each call's op says; -1 where it says none."""
    out = np.full(len(around), -1, np.int64)
    known = around >= 0
    out[known] = size[around[known]]
    return np.where(out > 0, out, -1)


def _names(trace: Trace, row: I64, told: I64, around: I64) -> tuple[tuple[str, ...], I64]:
    """The distinct names, and [C] which of them each call has."""
    gpu, ops, strings = links.work(trace), links.ops(trace), trace.table("collectives").strings
    op = np.full(len(row), -1, np.int64)
    op[around >= 0] = ops.name[around[around >= 0]]
    name = gpu.name[row].astype(np.int64)
    kinds, which = segments.distinct(np.stack([told, op, name], axis=1))
    texts = [
        (strings[n] if n >= 0 else "")
        or _of_op_name(trace.strings[called] if called >= 0 else "")
        or _of_kernel(trace.strings[kernel])
        for n, called, kernel in kinds.tolist()
    ]
    names = tuple(dict.fromkeys(texts))
    return names, np.array([names.index(text) for text in texts], np.int64)[which]


def _texts(strings: tuple[str, ...], code: I64) -> tuple[tuple[str, ...], I64]:
    """The distinct texts of a column, and [C] which of them each row has."""
    kinds, which = np.unique(code, return_inverse=True)
    texts = [strings[n] if n >= 0 else "" for n in kinds.tolist()]
    distinct = tuple(dict.fromkeys(texts))
    return distinct, np.array([distinct.index(text) for text in texts], np.int64)[which]


def _of_op_name(name: str) -> str:
    """`c10d::_allgather_base_` says _allgather_base; NCCL before 2.18 runs most collectives in a
    kernel that is named for another one.
    """
    return name.removeprefix("c10d::").removesuffix("_") if name.startswith("c10d::") else ""


def _of_kernel(name: str) -> str:
    """`ncclDevKernel_AllReduce_Sum_f32_RING_LL(…)` says AllReduce.

    vLLM's and SGLang's `cross_device_reduce_1stage` is one too, whatever it is called.
    """
    if "cross_device_reduce" in name:
        return "AllReduce"
    found = re.search(
        r"AllReduce|AllGather|ReduceScatter|AllToAll|SendRecv|Broadcast|Reduce(?!d)"
        r"|all_?reduce|all_?gather|reduce_?scatter|all_?to_?all|broadcast|dispatch|combine",
        name, re.IGNORECASE,
    )  # fmt: skip
    return found[0] if found else "communication"


def _sizes(trace: Trace, said: I32, *elements: str) -> I64:
    """[C] bytes of each call's message, the most of these numbers of elements; -1 not recorded."""
    table = trace.table("collectives")
    width = np.array([_BYTES.get(text, 0) for text in table.strings] or [0], np.int64)
    dtype = _column(trace, said, "dtype")
    count = np.max([_column(trace, said, name) for name in elements], axis=0)
    size = count * np.where(dtype >= 0, width[np.maximum(dtype, 0)], 0)
    return np.where(size > 0, size, -1)
