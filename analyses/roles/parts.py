"""Every kernel of a decoder layer that no op describes, by the dimensions of the model.

Where the GEMMs of a phase are the model's (see metadata.py and given.py), the work between them has
its sizes too: a norm runs over the model's width, an activation over the MLP's, attention over the
heads and the context. Only kernels whose name says what they are, as often as layers and passes ask
for; what their names leave open (an addition fused into a norm) can only add: at least.

Where the tokens of a step are not known, each pass has one at least: weights are read whatever the
batch, so that is a bound too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from tracekit.answers.roles import Part, Role
from tracekit.attribution.kernels.categories import CATEGORIES
from tracekit.attribution.roofline.formulas.work import Family, Known
from tracekit.attribution.roofline.left_over import left_over
from tracekit.attribution.roofline.op_formulas import described
from tracekit.patterns import later
from tracekit.records import Record, replace
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import Trace

from .dimensions import AT_HEAD, CONFIG, METADATA, Stated, Steps, product_dtype
from .gemm_calls import PHASES, Items
from .placement import Placed

_ACTIVATION = later(r"(?i)silu|gelu|swiglu|geglu|act_and_mul|gated_act")
_COMPILED = later(r"^triton_(?:poi|red|per)_fused")  # may do less than its ops' whole
_CACHE = later(r"(?i)store_?kv_?cache|reshape_and_cache|concat_and_cache|set_kv_buffer")
_LOOK_UP = later(r"(?i)vectorized_gather|indexselect|index_select|(?<!rotary_)embedding")
_ROUTES = later(r"(?i)topk|top_k|grouped_?gate|moe_?gating|moe_fused_gate")
_JOINS = later(r"(?i)finalize_(?:matmul|moe)|finalizeMoe|moe_sum|moe_reduce|moe_combine|unpermute")
_SAMPLES = later(r"(?i)argmax|cunn_softmax|sampling(?!.*index)")
_OPERATIONS = {Family.NORM: 4, Family.ROTARY: 3, Family.POINTWISE: 1}  # a value
_HALF = 0.5  # work before a call stands half a place before it


class _Group(Record, frozen=True):
    """Kernels without a formula of one role, and of one name where they are no call."""

    role: str
    phase: str
    category: Category
    call: str  # gemm, attention, or empty
    kernel: str  # with most of the time
    names: tuple[tuple[str, str, int, int], ...]  # see Part.names

    @property
    def count(self) -> int:
        return sum(count for *_, count, _ in self.names)


class _Place(Record, frozen=True):
    """What work at one place of a phase's layer is beside."""

    known: Stated
    group: _Group
    row: Role  # of the same role and phase
    following: Role | None  # the GEMM or attention that follows it
    before: int  # GEMMs of a layer before attention

    @property
    def steps(self) -> Steps:
        return self.known.steps[self.group.phase]


def parts_of(
    trace: Trace, found: Items, made: Placed, rows: Sequence[Role], known: Stated | None
) -> tuple[Part, ...]:
    """The parts of phases whose GEMMs have the sizes of the model; none where it is not known."""
    if known is None or not found.on_gpu:
        return ()
    phases = {row.phase for row in rows if known.fills(row) or row.by_metadata or row.by_config}
    by = {(row.role, row.phase): row for row in rows}
    at = {(row.place, row.phase): row for row in rows if row.calls}
    out: list[Part] = []
    for group in _groups(trace, found, made):
        row = by.get((group.role, group.phase))
        layout = made.layouts.get(PHASES.index(group.phase))
        if group.phase not in phases or row is None or layout is None:
            continue
        follows = at.get((row.place + _HALF, group.phase))
        place = _Place(known, group, row, follows, layout.before)
        part = _called(place) if group.call else _other(place)
        out += [part] if part is not None else []
    return tuple(out)


def _groups(trace: Trace, found: Items, made: Placed) -> Iterator[_Group]:
    """By place, phase and, of other work, kernel."""
    left = left_over(trace)
    mine = np.flatnonzero(described(trace).call[found.row] < 0)
    why = left.reason[np.searchsorted(left.row, found.row[mine])]
    key = np.column_stack([made.key[mine], found.category[mine], found.name[mine], why])
    distinct, group = segments.distinct(key)
    total = segments.sums(group, found.ns[mine], len(distinct)).tolist()
    count = np.bincount(group, minlength=len(distinct)).tolist()
    held: defaultdict[tuple[int, int, str], list[int]] = defaultdict(list)
    for at, (code, kind, _, name, _) in enumerate(distinct.tolist()):
        held[code, kind, "" if made.kinds[kind].call else trace.strings[name]].append(at)
    for (code, kind, _), members in held.items():
        one = made.kinds[kind]
        order = sorted(members, key=lambda at: -total[at])
        names = tuple((*left.reasons[distinct[at, 4]], count[at], total[at]) for at in order)
        category, kernel = CATEGORIES[distinct[order[0], 2]], trace.strings[distinct[order[0], 3]]
        yield _Group(one.role, PHASES[code], category, one.call, kernel, names)


def _called(at: _Place) -> Part | None:
    """A GEMM or attention of which no kernel has an op: its row says the rest."""
    known, group, row, steps = at.known, at.group, at.row, at.steps
    if row.count != group.count or not row.calls:
        return None
    if group.call == "gemm":
        return _gemm(at) if known.fills(row) or row.by_metadata or row.by_config else None
    one = known.decoder
    if group.call != "attention" or row.calls != one.layers * steps.passes:
        return None
    if steps.attention is None:
        return None
    done, moved = steps.attention
    return _part(at, Family.ATTENTION, steps.attended, row.calls, done, moved, Known.LEAST)


def _gemm(at: _Place) -> Part | None:
    known, row, steps = at.known, at.row, at.steps
    matrix, calls = known.matrix(row), row.calls or 0
    if matrix is None or calls % steps.passes:
        return None
    rows = steps.through(int(row.place), calls)
    least = calls if rows is None else rows  # a row each
    done, moved = matrix.work(calls, least, known.decoder.size)
    each = str(least // calls) if least % calls == 0 else "m"
    shape = matrix.shape(each if rows is not None else "≥1")
    # a graph may pad its rows, and a user's word is no proof: what is not known can only add
    sure = Known.EXACT if known.origin == METADATA else Known.LEAST
    part = _part(at, Family.GEMM, shape, calls, done, moved, sure)
    named = part if known.origin == METADATA else replace(part, role=matrix.name)
    return replace(named, dtype=product_dtype(row, matrix))


def _other(at: _Place) -> Part | None:
    """A norm, rotary embedding, activation and the like, where its kernels are as many as the
    layers ask.
    """
    found, times = _width(at), _times(at)
    if found is None or times is None:
        return None
    family, width, chosen = found
    steps, size = at.steps, at.known.decoder.size
    own = steps.head_rows if at.row.place > _LAYERS_END else steps.rows
    rows = (steps.passes if own is None else own) * chosen
    values = times * rows * width
    compiled = _COMPILED.match(at.group.kernel) is not None
    narrow = at.known.decoder.stored is not None and _NARROWS.search(at.group.kernel) is not None
    moved = values * size * (1 if compiled or narrow or family in _READ_ONLY else 2)
    done = 0 if compiled else _OPERATIONS.get(family, 0) * values
    named = Family.FUSED if compiled else family
    shape = f"{rows}×{width}" if own is not None else f"≥{rows}×{width}"
    return _part(at, named, shape, at.group.count, done, moved, Known.LEAST)


_LAYERS_END = 1e5  # places beyond are those of the head and behind it
# whose result is small, or in a cache of fewer bits; of rows that tokens may share, written only
_READ_ONLY = frozenset((Family.SOFTMAX, Family.REDUCTION, Family.COPY, Family.TABLE))
_NARROWS = later(r"(?i)quant|fp8|float8|e4m3")  # the result has fewer bits


def _times(at: _Place) -> int | None:
    """How often such a kernel runs over all rows of a pass; None where that is no number of layers.

    As often as the call that follows it, or more; before a layer's first GEMM also once for each
    layer but the first, and once in all.
    """
    steps, count = at.steps, at.group.count
    times, rest = divmod(count, steps.passes)
    if rest:
        return None
    if at.following is None or not at.following.calls:
        return times if times == 1 else None  # behind the head
    layers, odd = divmod(at.following.calls, steps.passes)
    if odd or not layers:
        return None
    first = at.row.place + _HALF == 0 and at.known.origin == CONFIG
    return times if times % layers == 0 or (first and times in (1, layers - 1)) else None


def _width(at: _Place) -> tuple[Family, int, int] | None:
    """The family, how many values of each row such a kernel reads at least, and of how many rows a
    token: one, or one for each expert that it chose.
    """
    one, group, place = at.known.decoder, at.group, at.row.place + _HALF
    kind, name = group.category, group.kernel
    wide = place in (0, at.before + 2) or (at.following is not None and int(place) == AT_HEAD)
    if place == at.before:
        return _before_attention(at)
    if kind is Category.NORM and wide:
        return Family.NORM, one.hidden, 1
    if at.known.origin == METADATA:
        down = group.role == "work before MLP down projection"
        return (Family.POINTWISE, one.intermediate, 1) if down and _ACTIVATION.search(name) else (
            None)  # fmt: skip
    if at.following is None:
        behind = at.row.place > _LAYERS_END and _SAMPLES.search(name)
        return (Family.REDUCTION, one.head_columns, 1) if behind else None
    if wide and _LOOK_UP.search(name):
        return Family.TABLE, one.hidden, 1
    if wide and one.mixture is not None and _JOINS.search(name):
        return Family.REDUCTION, one.hidden, 1
    return _inside_mlp(at)


def _inside_mlp(at: _Place) -> tuple[Family, int, int] | None:
    """Routing before experts, and activations before what goes down from them."""
    one, name = at.known.decoder, at.group.kernel
    assert at.following is not None
    matrix, mixture = at.known.matrix(at.following), one.mixture
    if matrix is None:
        return None
    if matrix.experts and mixture is not None and _ROUTES.search(name):
        return Family.SOFTMAX, mixture.experts, 1
    if "down projection" not in matrix.name or not _ACTIVATION.search(name):
        return None
    # a gate is read beside what it lets through, and one row of results is written
    return Family.POINTWISE, matrix.k, matrix.chosen if matrix.experts else 1


def _before_attention(at: _Place) -> tuple[Family, int, int] | None:
    one, kind = at.known.decoder, at.group.category
    if not one.keys or one.latent is not None:
        return None
    if kind is Category.NORM:
        return Family.NORM, one.keys, 1  # of heads: of queries or of keys, which are fewer
    if kind is Category.ROTARY:
        both = at.following is not None and at.group.count == at.following.calls
        return Family.ROTARY, one.queries + one.keys if both else one.keys, 1
    if at.known.origin == CONFIG and _CACHE.search(at.group.kernel):
        return Family.COPY, 2 * one.keys, 1
    return None


def _part(
    at: _Place, family: Family, shape: str, calls: int, done: int, moved: int, sure: Known
) -> Part:
    group = at.group
    return Part(
        role=group.role, phase=group.phase, category=group.category, family=family,
        kernel=group.kernel, shape=shape, dtype=at.known.decoder.dtype, calls=calls,
        count=group.count, total_ns=sum(ns for *_, ns in group.names), flops=done, bytes=moved,
        known=sure, names=group.names,
    )  # fmt: skip
