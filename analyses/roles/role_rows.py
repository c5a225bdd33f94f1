"""Rows of one role of a layer in one phase, and what became of a role from prefill to decode."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tracekit.answers.roles import Aligned, Bound, Pair, Role
from tracekit.attribution.kernels import kernel_rules
from tracekit.attribution.kernels.categories import CATEGORIES
from tracekit.attribution.roofline import devices, weight_bound
from tracekit.attribution.roofline.formulas.work import Weights
from tracekit.attribution.roofline.utilization import rates
from tracekit.attribution.stages import work_phases
from tracekit.attribution.stages.prefill_vs_decode import BOTH
from tracekit.records import replace
from tracekit.results.units import duration, plural, rate, share
from tracekit.trace.spans import segments
from tracekit.trace.trace import Trace

from . import placement
from .gemm_calls import PHASES, Calls, Items
from .layer_pattern import ATTENTION, NOWHERE
from .names import OUTSIDE_LAYERS
from .placement import Placed

# ---------------------------------------------------------------- of one trace


def rows_of(trace: Trace, found: Items, calls: Calls, made: Placed) -> list[Role]:
    """One row a phase and role; what other phases are needed for is left to `_finish`."""
    distinct, group = segments.distinct(made.key)
    size = len(distinct)
    total, count = segments.sums(group, found.ns, size), np.bincount(group, minlength=size)
    longest = segments.longest(group, found.name, found.ns, size)
    kinds = segments.longest(group, found.category, found.ns, size)
    own = np.flatnonzero(found.call >= 0)
    of_call = np.zeros(len(calls.phase), np.int64)
    of_call[found.call[own]] = group[own]
    members: list[list[int]] = [[] for _ in range(size)]
    for call, at in enumerate(of_call.tolist()):
        members[at].append(call)
    out = []
    for at, (code, kind) in enumerate(distinct.tolist()):
        one = made.kinds[kind]
        mine = members[at] if one.call else []
        kernel = trace.strings[longest[at]]
        known = [calls.weights[call] for call in mine]
        weights = [matrix for matrix in known if matrix is not None]
        whole = bool(mine) and len(weights) == len(mine)
        shaped = bool(mine) and bool((calls.flops[mine] >= 0).all())
        dtypes = {calls.dtype[call] for call in mine}
        dtype = next(iter(dtypes)) if len(dtypes) == 1 else None
        if dtype == "float32" and re.search(kernel_rules.TF32, kernel):
            dtype = "tf32"
        matrices = {placement.matrix(w) for w in weights}
        out.append(Role(
            role=one.role, phase=PHASES[code], place=one.order,
            category=one.call or CATEGORIES[kinds[at]].value,
            calls=len(mine) if one.call else None, count=int(count[at]), total_ns=int(total[at]),
            share=None, call_ns=None, token_ns=None,
            form=_form(weights if whole else None, kernel if found.on_gpu else None)
            if one.call == "gemm" else None,
            rows=sum(w.rows for w in weights) if whole else None, row_ns=None,
            weights=next(iter(matrices)) if whole and len(matrices) == 1 else None,
            weight_bytes=sum(w.bytes for w in weights) if whole else None, dtype=dtype,
            flops=int(calls.flops[mine].sum()) if shaped else None,
            bytes=int(calls.bytes[mine].sum()) if shaped else None,
            rates=rates(0, 0, None, None, ""), weight_share=None, kernel=kernel,
        ))  # fmt: skip
    return out


def _form(weights: Sequence[Weights] | None, kernel: str | None) -> str | None:
    """Whether it multiplies a matrix or a vector: by its rows, else by the kernel's name.

    An op's name does not say it.
    """
    if weights is not None:
        return "GEMV" if all(one.rows == 1 for one in weights) else "GEMM"
    if kernel is None:
        return None
    return "GEMV" if re.search(r"(?i)gemv", kernel) else "GEMM"


def phases_of(
    found: Items, calls: Calls, made: Placed, tokens: Mapping[str, int | None],
    step_rows: Mapping[str, int],
) -> list[Aligned]:  # fmt: skip
    lost = np.array([kind.role == OUTSIDE_LAYERS for kind in made.kinds], bool)[made.key[:, 1]]
    out = []
    for code in np.unique(found.phase).tolist():
        mine, layout = found.phase == code, made.layouts.get(code)
        of_phase = calls.phase == code
        attention = of_phase & (calls.order.kind == ATTENTION) & (made.place != NOWHERE)
        out.append(Aligned(
            phase=PHASES[code],
            by=made.by if layout or made.by == "weights" else "nothing",
            passes=len(np.unique(found.run[mine])),
            layers=int(attention.sum()) if layout else None,
            before=layout.before if layout else None,
            after=layout.after if layout else None,
            total_ns=int(found.ns[mine].sum()),
            aligned_ns=int(found.ns[mine & ~lost].sum()),
            tokens=tokens.get(PHASES[code]),
            step_rows=step_rows.get(PHASES[code]),
        ))  # fmt: skip
    return out


# ---------------------------------------------------------------- with all phases known


def measured(row: Role, phase: Aligned, recorded: Role | None, spec: devices.Device | None) -> Role:
    weight_bytes, weights = row.weight_bytes, row.weights
    if row.rows is None and row.calls and recorded is not None and recorded.calls:
        # a replay has no shapes: the layer's weights are those that the other phase recorded
        weight_bytes = recorded.weight_bytes * row.calls // recorded.calls  # type: ignore[operator]
        weights = recorded.weights
    per_s = 1e9 / row.total_ns if row.total_ns else None
    memory = spec.memory_bytes_per_s if spec else None
    return replace(
        row,
        share=work_phases.share(row.total_ns, phase.total_ns),
        call_ns=row.total_ns / row.calls if row.calls else None,
        token_ns=work_phases.per_token(row.total_ns, phase.tokens),
        row_ns=row.total_ns / row.rows if row.rows else None,
        weights=weights,
        weight_bytes=weight_bytes,
        rates=rates(row.flops, row.bytes, row.total_ns, spec, row.dtype or "")
        if row.flops is not None and row.bytes is not None
        else rates(0, 0, None, None, ""),
        weight_share=weight_bytes * per_s / memory if weight_bytes and per_s and memory else None,
    )


def with_gemms(phase: Aligned, rows: Sequence[Role], spec: devices.Device | None) -> Aligned:
    """The phase with what its GEMMs reach together, where that is known of all of them."""
    mine = [r for r in rows if r.phase == phase.phase and r.category == "gemm" and r.calls]
    total = sum(r.total_ns for r in mine)
    moved = [r.bytes if r.bytes is not None else r.weight_bytes for r in mine]
    known = spec is not None and total > 0 and None not in moved
    floors = [
        r.rates.floor_ns
        if r.rates.floor_ns is not None
        else devices.ns_for(r.weight_bytes or 0, spec.memory_bytes_per_s if spec else None)
        for r in mine
    ]
    shares = [r.rates.flops_share for r in mine]
    done = [s * r.total_ns for s, r in zip(shares, mine, strict=True) if s is not None]
    return replace(
        phase,
        gemm_ns=total,
        gemm_floor_ns=sum(f or 0 for f in floors) if known else None,
        gemm_flops_share=sum(done) / total if known and len(done) == len(mine) else None,
        gemm_bytes_share=sum(m or 0 for m in moved) / total * 1e9 / spec.memory_bytes_per_s
        if known and spec is not None
        else None,
        gemm_weight_bytes=_whole([r.weight_bytes for r in mine]),
        gemm_bound=_bound(phase, mine, spec),
    )


def _whole(parts: Sequence[int | None]) -> int | None:
    """The sum where there are parts and each is known."""
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None


def _bound(phase: Aligned, mine: Sequence[Role], spec: devices.Device | None) -> Bound | None:
    """What bounds most of the GEMMs' least time; without shapes, what their few rows tell."""
    if spec is None or not mine:
        return None
    floors = [(r.rates.bound, r.rates.floor_ns) for r in mine]
    if all(bound is not None for bound, _ in floors):
        memory = sum(ns or 0 for bound, ns in floors if bound == "memory")
        return "memory" if 2 * memory >= sum(ns or 0 for _, ns in floors) else "compute"
    few = phase.step_rows is not None and weight_bound.memory_bound(
        phase.step_rows, (r.kernel for r in mine), spec
    )
    return "memory" if few else None


def pairs_of(rows: Sequence[Role]) -> tuple[Pair, ...]:
    """Roles of both phases, in the order of a layer; none where the trace has one of them."""
    sides: dict[str, dict[str, Role]] = defaultdict(dict)
    for row in rows:
        if row.phase in BOTH:
            sides[row.role][row.phase] = row
    if not all(any(phase in own for own in sides.values()) for phase in BOTH):
        return ()
    return tuple(
        Pair(
            role=role,
            words=_words(own),
            weights=next((r.weights for r in own.values() if r.weights), None),
            prefill_ns=own["prefill"].total_ns if "prefill" in own else 0,
            decode_ns=own["decode"].total_ns if "decode" in own else 0,
            call_ratio=_ratio(own, "call_ns"),
            row_ratio=_ratio(own, "row_ns"),
        )
        for role, own in sides.items()
    )


def _ratio(own: Mapping[str, Role], field: str) -> float | None:
    first, second = (getattr(own[p], field) if p in own else None for p in BOTH)
    return second / first if first and second else None


def _words(own: Mapping[str, Role]) -> str:
    """What became of a role, in one sentence without a full stop."""
    if len(own) == 1:
        return f"in {next(iter(own))} only"
    prefill, decode = (own[phase] for phase in BOTH)
    if prefill.calls is None or decode.calls is None:
        return ""
    if prefill.form is None or decode.form is None:
        return f"{_how(prefill)} in prefill, {_how(decode)} in decode"
    joins = "became" if prefill.form != decode.form else "stayed"
    first, second = (f"a {row.form}{_over(row)} {_how(row)}" for row in (prefill, decode))
    return f"{first} {joins} {second}"


def _over(row: Role) -> str:
    if row.form != "GEMM" or not row.rows or not row.calls:
        return ""
    return f" over {plural(round(row.rows / row.calls), 'row')}"


def _how(row: Role) -> str:
    """How near the roof it came, or how fast it was, or how long it took: the first known."""
    own = row.rates
    memory = row.form == "GEMV" or own.bound == "memory"
    if memory and own.bytes_share is not None:
        return f"at {share(own.bytes_share)} of peak bandwidth"
    if own.flops_share is not None:
        return f"at {share(own.flops_share)} of peak FLOP/s"
    if row.weight_share is not None:
        return f"reading weights at {share(row.weight_share)} of peak bandwidth"
    if memory and own.bytes_per_s is not None:
        return f"at {rate(own.bytes_per_s, 'B/s')}"
    if own.flops_per_s is not None:
        return f"at {rate(own.flops_per_s, 'FLOP/s')}"
    return f"{'of ' if row.form else ''}{duration(row.call_ns)} a call"
