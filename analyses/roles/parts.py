"""Every kernel of a decoder layer that no op describes, by the dimensions of our own capture.

Where the GEMMs of a phase are proven to be the model's (see dimensions.py), the work between them
has its sizes too: a norm runs over the model's width, an activation over the MLP's, attention over
the heads and the context. Only kernels whose name says what they are, as often as layers and passes
ask for; what their names leave open (an addition fused into a norm) can only add: at least.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from tracekit.answers.roles import Part, Role
from tracekit.attribution.kernels.categories import CATEGORIES
from tracekit.attribution.roofline.formulas.work import Family, Known
from tracekit.attribution.roofline.op_formulas import described
from tracekit.records import Record, replace
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import Trace

from .dimensions import Stated, stated
from .gemm_calls import PHASES, Items
from .placement import Placed

_ACTIVATION = re.compile(r"(?i)silu|gelu|swiglu|geglu|act_and_mul|gated_act")
_COMPILED = re.compile(r"^triton_(?:poi|red|per)_fused")  # may do less than its ops' whole
_WIDE = (  # places of work on rows as wide as the model
    "work before query projection", "work before query, key, value projection",
    "work before MLP gate projection", "work before MLP up projection", "work before the head",
)  # fmt: skip
_ATTENTION, _ACTED, _HEAD = "work before attention", "work before MLP down projection", _WIDE[-1]
_OPERATIONS = {Family.NORM: 4, Family.ROTARY: 3, Family.POINTWISE: 1}  # a value


class _Group(Record, frozen=True):
    """Kernels without an op of one role, and of one name where they are no call."""

    role: str
    phase: str
    category: Category
    call: str  # gemm, attention, or empty
    names: tuple[tuple[str, int, int], ...]  # kernels, the longest first: count, ns

    @property
    def count(self) -> int:
        return sum(count for _, count, _ in self.names)

    @property
    def kernel(self) -> str:
        return self.names[0][0]


def parts_of(trace: Trace, found: Items, made: Placed, rows: Sequence[Role]) -> tuple[Part, ...]:
    """The parts of phases whose GEMMs have the sizes of the metadata; none of any other trace."""
    known = stated(trace)
    phases = {row.phase for row in rows if row.by_metadata}
    if known is None or not found.on_gpu or not phases:
        return ()
    by = {(row.role, row.phase): row for row in rows}
    out: list[Part] = []
    for group in _groups(trace, found, made):
        row = by.get((group.role, group.phase))
        if group.phase in phases and row is not None:
            part = _called(known, group, row) if group.call else _other(known, group)
            out += [part] if part is not None else []
    return tuple(out)


def _groups(trace: Trace, found: Items, made: Placed) -> Iterator[_Group]:
    """By place, phase and, of other work, kernel."""
    mine = np.flatnonzero(described(trace).call[found.row] < 0)
    key = np.column_stack([made.key[mine], found.category[mine], found.name[mine]])
    distinct, group = segments.distinct(key)
    total = segments.sums(group, found.ns[mine], len(distinct)).tolist()
    count = np.bincount(group, minlength=len(distinct)).tolist()
    held: defaultdict[tuple[int, int, str], list[int]] = defaultdict(list)
    for at, (code, kind, _, name) in enumerate(distinct.tolist()):
        held[code, kind, "" if made.kinds[kind].call else trace.strings[name]].append(at)
    for (code, kind, _), members in held.items():
        one = made.kinds[kind]
        order = sorted(members, key=lambda at: -total[at])
        names = tuple((trace.strings[distinct[at, 3]], count[at], total[at]) for at in order)
        category = CATEGORIES[distinct[order[0], 2]]
        yield _Group(one.role, PHASES[code], category, one.call, names)


def _called(known: Stated, group: _Group, row: Role) -> Part | None:
    """A GEMM or attention of which no kernel has an op: its row says the rest."""
    if row.count != group.count or not row.calls:
        return None
    if group.call == "gemm" and row.by_metadata and row.rows is not None:
        m = str(row.rows // row.calls) if row.rows % row.calls == 0 else "m"
        k, n = (row.weights or " → ").split(" → ")
        part = _part(known, group, Family.GEMM, f"{m}×{n}×{k}", row.calls,
                     row.flops or 0, row.bytes or 0, Known.EXACT)  # fmt: skip
        return replace(part, dtype=row.dtype or known.dtype)
    llm = known.llm
    if group.call != "attention" or row.calls != llm.layers * known.passes[group.phase]:
        return None
    if not llm.heads or llm.cross_positions:
        return None
    done, moved = known.attention(group.phase)
    shape = f"{known.head_rows}×{llm.heads}×Sq×Sk×{llm.head_dim}"
    return _part(known, group, Family.ATTENTION, shape, row.calls, done, moved, Known.LEAST)


def _other(known: Stated, group: _Group) -> Part | None:
    """A norm, rotary embedding or activation, where its kernels are as many as the layers ask."""
    once = known.passes[group.phase] * (1 if group.role == _HEAD else known.llm.layers)
    times, rest = divmod(group.count, once)
    found = _width(known, group, times)
    if rest or found is None:
        return None
    family, width = found
    # only the last position may reach the head
    rows = known.head_rows * once if group.role == _HEAD else known.rows[group.phase]
    values = times * rows * width * (1 if group.role == _HEAD else known.llm.layers)
    compiled = _COMPILED.match(group.kernel) is not None
    moved = values * known.llm.bytes_per_value * (1 if compiled else 2)
    done = 0 if compiled else _OPERATIONS[family] * values
    own = Family.FUSED if compiled else family
    return _part(known, group, own, f"{rows}×{width}", group.count, done, moved, Known.LEAST)


def _width(known: Stated, group: _Group, times: int) -> tuple[Family, int] | None:
    """The family, and how many values of each row such a kernel reads at least."""
    llm, kind = known.llm, group.category
    keys, queries = llm.kv_heads * llm.head_dim, llm.heads * llm.head_dim
    if kind is Category.NORM and group.role in _WIDE:
        return Family.NORM, llm.hidden
    if kind is Category.NORM and group.role == _ATTENTION and keys:
        return Family.NORM, keys  # of heads: of queries or of keys, which are fewer
    if kind is Category.ROTARY and group.role == _ATTENTION and keys:
        return Family.ROTARY, queries + keys if times == 1 else keys
    if group.role == _ACTED and _ACTIVATION.search(group.kernel):
        return Family.POINTWISE, known.intermediate
    return None


def _part(
    known: Stated, group: _Group, family: Family, shape: str, calls: int, done: int, moved: int,
    sure: Known,
) -> Part:  # fmt: skip
    return Part(
        role=group.role, phase=group.phase, category=group.category, family=family,
        kernel=group.kernel, shape=shape, dtype=known.dtype, calls=calls, count=group.count,
        total_ns=sum(ns for *_, ns in group.names), flops=done, bytes=moved, known=sure,
        names=group.names,
    )  # fmt: skip
