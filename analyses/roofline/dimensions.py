"""Work of which no shape is recorded, by its place in a layer and the model's dimensions.

Our own captures say the dimensions of their model, and a user may name the configuration of any.
Where a layer repeats as the model has it, each GEMM of a replayed graph has a role, so a shape; and
so have the norms, rotary embeddings, activations and attentions between them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracekit.answers.roles import ModelFit, Part, Roles
from tracekit.answers.roofline import Coverage, Op, Uncovered
from tracekit.attribution.roofline import devices
from tracekit.attribution.roofline.formulas.work import Work
from tracekit.attribution.roofline.left_over import NO_SHAPES, SIZED
from tracekit.attribution.roofline.utilization import rates_of
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results.catalog import ask
from tracekit.trace.trace import Trace

from .op_rows import limit


def parts_of(
    trace: Trace, stages: str | None
) -> tuple[tuple[Part, ...], ModelFit | None]:  # fmt: skip
    """The kernels that no op and the dimensions describe, and what became of the configuration that
    the user named; no kernels where roles cannot be told.
    """
    try:
        found = ask(trace, Roles, **({} if stages is None else {"stages": stages}))
    except MissingEventsError as fault:
        given = trace.source.model
        return (), None if given is None else ModelFit(given.name, False, fault.what, given.tp, {})
    return found.parts, found.model


def by_dimensions(parts: Sequence[Part], spec: devices.Device | None) -> list[Op]:
    """One row a role, phase and kernel."""
    return [_op(part, spec) for part in parts]


def _op(part: Part, spec: devices.Device | None) -> Op:
    work = Work(part.flops, part.bytes, part.dtype, part.shape, None, part.family, part.known)
    one = Op(
        op=part.role, shape=part.shape, dtype=part.dtype, category=part.category,
        phase=part.phase, kernel=part.kernel, calls=part.calls, kernels=part.count,
        total_ns=part.total_ns, flops=part.flops, bytes=part.bytes,
        rates=rates_of(work, 1, part.total_ns, spec, part.dtype), family=part.family,
        known=part.known,
    )  # fmt: skip
    return replace(one, limit=limit(one, 1.0))


def with_stated(coverage: Sequence[Coverage], parts: Sequence[Part]) -> list[Coverage]:
    """What dimensions describe is covered, and has sizes."""
    sums: dict[str, list[int]] = {}
    for part in parts:
        old = sums.setdefault(part.phase, [0, 0])
        old[0] += part.total_ns
        old[1] += sum(ns for _, why, _, ns in part.names if why not in SIZED)
    none = [0, 0]
    return [
        replace(
            one,
            covered_ns=one.covered_ns + sums.get(one.phase, none)[0],
            unsized_ns=one.unsized_ns - sums.get(one.phase, none)[1],
        )
        for one in coverage
    ]


def unsized(coverage: Sequence[Coverage]) -> list[Coverage]:
    """Of a trace without shapes: ops say no sizes, so only what is covered has some."""
    return [replace(one, unsized_ns=one.kernel_ns - one.covered_ns) for one in coverage]


def without_shapes(uncovered: Sequence[Uncovered]) -> list[Uncovered]:
    """The same, with the reason why ops around launches say nothing."""
    return [replace(row, why=NO_SHAPES) if row.why in SIZED else row for row in uncovered]


def lacking(uncovered: Sequence[Uncovered], parts: Sequence[Part]) -> tuple[Uncovered, ...]:
    """What no formula describes, without the kernels that dimensions do."""
    told: dict[tuple[str, str], list[int]] = {}
    for what, why, count, ns in (one for part in parts for one in part.names):
        old = told.setdefault((what, why), [0, 0])
        old[0], old[1] = old[0] + count, old[1] + ns
    out = []
    for row in uncovered:
        count, ns = told.get((row.what, row.why), (0, 0))
        row = replace(row, count=row.count - count, total_ns=row.total_ns - ns)
        out += [row] if row.count > 0 else []
    return tuple(sorted(out, key=lambda r: (-r.total_ns, r.what, r.why)))
