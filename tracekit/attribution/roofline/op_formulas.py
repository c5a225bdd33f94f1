"""Which formula describes each piece of GPU work."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.kernels.graphs import lost, origin
from tracekit.attribution.roofline import flops, messages, step_lengths
from tracekit.attribution.roofline.formulas import communication, named_kernels, registry
from tracekit.attribution.roofline.formulas.work import Lengths, Work
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.spans.nesting import nearest
from tracekit.trace.trace import I64, Cat, Mask, Trace

_ALIKE = -2  # no replay: a call like another
_ARGUMENTS = ("dims", "types", "concrete", "strides")


class Described(Record, frozen=True, eq=False):
    """C calls of ops with a formula. A captured op is called anew by each replay of its graph."""

    call: I64  # [G] the call that each row of `links.work` belongs to, or -1
    alike: Mask  # [G] known by kernels alike, its own launch is not in the trace: see lost.py
    op: I64  # [C] the op, as a row of `graphs.origin.over_ops`; -1: the kernel's name says it
    work: I64  # [C] index into works
    works: tuple[Work, ...]
    like: Mask  # [C] a call of work that is known by kernels alike

    @property
    def each(self) -> tuple[Work, ...]:
        """[C] the work itself."""
        return tuple(map(self.works.__getitem__, self.work.tolist()))


class OfOps(Record, frozen=True, eq=False):
    """O ops, those of captures too, and the formulas that describe them."""

    nearest: I64  # [O] the op with a formula at or above each, or -1
    works: tuple[Work, ...]
    work: I64  # [O] index of the op's own work, or -1
    later: Mask  # [O] whether its formula asks for the lengths of the step that launches it


def described(trace: Trace) -> Described:
    """The calls that formulas describe, and the work of each."""
    return trace.once("described", lambda: _described(trace))


def _described(trace: Trace) -> Described:
    ops, row, launch = of_ops(trace), origin.op_row(trace), links.launch_row(trace)
    same = lost.alike(trace)
    near_alike = np.flatnonzero(same >= 0)
    launch = np.where(same >= 0, same, launch)
    row = row.copy()
    row[near_alike] = links.call_op_row(trace)[same[near_alike]]
    near = np.full(len(row), -1, np.int64)
    near[row >= 0] = ops.nearest[row[row >= 0]]
    mine = np.flatnonzero(near >= 0)
    replay = np.where(links.replayed(trace), launch, np.where(same >= 0, _ALIKE, -1))[mine]
    pair, which = segments.distinct([near[mine], replay])
    first = np.full(len(pair), len(row), np.int64)
    np.minimum.at(first, which, mine)
    works = dict.fromkeys(ops.works)
    number = {work: at for at, work in enumerate(works)}
    work = ops.work[pair[:, 0]] if len(pair) else np.empty(0, np.int64)
    steps: dict[int, Lengths | None] = {}
    for at in np.flatnonzero(ops.later[pair[:, 0]]).tolist() if len(pair) else ():
        call = int(launch[first[at]])
        if call not in steps:
            steps[call] = step_lengths.around(trace, call)
        found = _with_lengths(trace, int(pair[at, 0]), steps[call])
        work[at] = number.setdefault(found, len(number)) if found is not None else -1
    known = np.flatnonzero(work >= 0)
    place = np.full(len(pair) + 1, -1, np.int64)
    place[known] = np.arange(len(known))
    call_of = np.full(len(row), -1, np.int64)
    call_of[mine] = place[which]
    row, own = _by_name(trace, call_of < 0, number)
    call_of[row] = len(known) + np.arange(len(row))
    return Described(
        call_of, (same >= 0) & (call_of >= 0),
        np.concatenate([pair[known, 0], np.full(len(row), -1)]),
        np.concatenate([work[known], own]), tuple(number),
        np.concatenate([pair[known, 1] == _ALIKE, np.zeros(len(row), bool)]),
    )  # fmt: skip


def _by_name(trace: Trace, lacking: Mask, number: dict[Work, int]) -> tuple[I64, I64]:
    """Of kernels that lack work: those whose own name and grid say it, as rows of `links.work`, and
    the index of each one's work, which enters `number`.

    Not of those around which an op is recorded: its arguments say more, or it has other kernels.
    """
    gpu, size = links.work(trace), origin.sizes(trace)
    row = np.flatnonzero(lacking & (gpu.cat == Cat.KERNEL) & (origin.op_row(trace) < 0))
    row = row[size.at_least(1)[row]]
    blocks, threads = (part.prod(axis=1)[size.of[row]] for part in np.hsplit(size.each, 2))
    distinct, inverse = segments.distinct([gpu.name[row], blocks, threads])
    found = [named_kernels.of_kernel(trace.strings[n], g, b) for n, g, b in distinct.tolist()]
    code = [number.setdefault(one, len(number)) if one else -1 for one in found]
    own = np.array(code, np.int64)[inverse] if len(row) else np.empty(0, np.int64)
    return row[own >= 0], own[own >= 0]


def _with_lengths(trace: Trace, op: int, lengths: Lengths | None) -> Work | None:
    own = len(links.ops(trace))
    found = origin.origin(trace)
    host, at = (trace, op) if op < own or found is None else (found.trace, op - own)
    ops, table = links.ops(host), host.table("shapes")
    codes = [int(table.take(ops.id[at : at + 1], c, -1)[0]) for c in _ARGUMENTS]
    texts = [table.strings[code] if code >= 0 else "" for code in codes]
    return flops.of_op(ops.text(at), *texts, "", lengths)


def of_ops(trace: Trace) -> OfOps:
    """The formulas of all ops. The rows of `links.ops` come first, then the ops of captures."""

    def make() -> OfOps:
        own = _of_ops(trace)
        captured = origin.origin(trace)
        if captured is None:
            return own
        other = of_ops(captured.trace)
        number = {work: at for at, work in enumerate(dict.fromkeys((*own.works, *other.works)))}
        index = np.array([*(number[work] for work in other.works), -1], np.int64)
        shifted = np.where(other.nearest >= 0, other.nearest + len(own.nearest), -1)
        return OfOps(
            np.concatenate([own.nearest, shifted]),
            tuple(number),
            np.concatenate([own.work, index[other.work]]),
            np.concatenate([own.later, other.later]),
        )

    return trace.once("formulas", make)


def _of_ops(trace: Trace) -> OfOps:
    ops = links.ops(trace)
    table = trace.table("shapes")
    own = np.full(len(ops), -1, np.int64)
    works: tuple[Work, ...] = ()
    opaque, later = np.zeros(len(ops), bool), np.zeros(len(ops), bool)
    if set(_ARGUMENTS) <= set(table.columns) and len(table) and len(ops):
        met = set(ops.names.tolist())
        formulas = [
            registry.formula(text) if name in met else None
            for name, text in enumerate(trace.strings)
        ]
        own_formula = np.array([one is not None for one in formulas], bool)
        rows = np.flatnonzero(np.take(own_formula, ops.name))
        asks = np.array([one is not None and one.asks_hint for one in formulas], bool)
        later = np.array([one is not None and one.asks_lengths for one in formulas], bool)
        later = np.take(later, ops.name)
        said = links.shapes_row(trace)[rows]
        texts = [table.at(said, c, -1) for c in _ARGUMENTS]
        hint, hints = _hints(trace)
        asked = np.where(asks[ops.name[rows]], hint[rows], -1)
        distinct, inverse = segments.distinct([ops.name[rows], *texts, asked])
        found = [
            flops.of_op(
                trace.strings[name], *(table.strings[t] if t >= 0 else "" for t in args),
                hints[last] if last >= 0 else "",
            )
            for name, *args, last in distinct.tolist()
        ]  # fmt: skip
        works = tuple(dict.fromkeys(work for work in found if work is not None))
        number = {work: at for at, work in enumerate(works)}
        index = np.array([number[work] if work else -1 for work in found], np.int64)
        own[rows] = index[inverse] if len(rows) else own[rows]
        own[messages.inside(trace, own >= 0)] = -1
        hides = np.array([text in registry.OPAQUE for text in trace.strings], bool)
        opaque = np.take(hides, ops.name)
    known = (own >= 0) | later
    up = nearest(links.op_parent_row(trace), known | opaque)
    told = (up >= 0) & known[up] & ((up == np.arange(len(ops))) | ~opaque[up])
    return OfOps(np.where(told, up, -1), works, own, later)


def _hints(trace: Trace) -> tuple[I64, tuple[str, ...]]:
    """[O] what is known of a collective beside its arguments, else the first kernel that each op
    launched itself, as an index into the second; -1 for none.
    """
    op, gpu, ops = links.op_row(trace), links.work(trace), links.ops(trace)
    out = np.full(len(ops), -1, np.int64)
    mine = np.flatnonzero(op >= 0)[::-1]  # the first is written last
    out[op[mine]] = gpu.name[mine]
    texts = list(trace.strings)
    sizes, (rows, told) = messages.of_ops(trace), _recorded(trace)
    bare = sizes.bucket >= 0
    bare[rows] = False
    for at in np.flatnonzero(bare).tolist():
        out[at] = len(texts)
        texts.append(communication.bucket(int(sizes.sent[at]), sizes.dtype[sizes.bucket[at]]))
    distinct, inverse = segments.distinct(told)
    out[rows] = len(texts) + inverse
    names = trace.table("collectives").strings
    texts += [communication.recorded(names[d], sent, got) for d, sent, got in distinct.tolist()]
    return out, tuple(texts)


def _recorded(trace: Trace) -> tuple[I64, list[I64]]:
    """Ops beside whose arguments the profiler wrote what they send: their dtypes (each an index
    into the table's strings), and numbers of elements in and out.
    """
    table, columns = trace.table("collectives"), ("dtype", "in_elements", "out_elements")
    place = table.rows(links.ops(trace).id)
    rows = np.flatnonzero(place >= 0)
    told = [table.at(place[rows], c, -1).astype(np.int64) for c in columns]
    known = np.flatnonzero(told[0] >= 0)
    return rows[known], [column[known] for column in told]
