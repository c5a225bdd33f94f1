"""A decoder's dimensions from a configuration that the user names, and its steps from annotations.

The user may name another model's, so everything that the trace says is held against it: how many
layers a pass runs, which GEMMs a layer has, the shapes that are recorded, whether kernels are named
as of experts or of quantised weights, and whether the device could have read the weights in the
time. What contradicts it is said, and nothing of it is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from tracekit.answers.roles import Aligned, ModelFit, Role
from tracekit.attribution import links
from tracekit.attribution.collectives import calls as collectives
from tracekit.attribution.kernels.categories import classify
from tracekit.attribution.roofline import devices, step_lengths, weight_bound
from tracekit.attribution.roofline.decoder import config, matrices
from tracekit.attribution.roofline.decoder.dimensions import Decoder, NoFitError
from tracekit.attribution.roofline.decoder.matrices import Matrix
from tracekit.attribution.roofline.formulas.work import Lengths
from tracekit.attribution.stages.annotation_names import Step
from tracekit.attribution.stages.instances import innermost, markers
from tracekit.errors import UsageError
from tracekit.patterns import later
from tracekit.records import Record, replace
from tracekit.results.units import share
from tracekit.taxonomy import Category
from tracekit.trace.trace import GivenModel, Trace

from .dimensions import AT_HEAD, CONFIG, Stated, Steps, filled
from .gemm_calls import EXPERTS, PHASES, Calls, Items
from .layer_pattern import ATTENTION, HEAD
from .placement import Placed

_PADDED = 1024  # columns by which engines pad a vocabulary, at most
_CACHED = 512 << 20  # bytes that a device may keep in its caches from one pass to the next
_REDUCES = later(r"(?i)all_?reduce|reduce_?scatter")
_NARROW = later(r"(?i)e[45]m[23]|fp8(?!kvcachedatatype\)0)|\bf8")
_HALF = later(r"(?i)bfloat16|bf16|\bhalf|half_t|\bf16|fp16")
_SINGLE = later(r"(?i)sgemm|f32f32")
_ABSORBED = later(r"(?i)mla")


class Seen(Record, frozen=True, eq=False):
    """How the trace was read."""

    found: Items
    calls: Calls
    made: Placed
    rows: Sequence[Role]
    phases: Sequence[Aligned]
    spec: devices.Device | None
    stages: str | None


def fit(trace: Trace, seen: Seen, told: bool) -> tuple[Stated | None, ModelFit | None]:
    """What the configuration says of this trace, and what became of it; nothing without one.

    `told`: the trace's own metadata has dimensions that fit.
    """
    given = trace.source.model
    if given is None:
        return None, None
    try:
        if told:
            raise NoFitError("the trace's own metadata has the model's dimensions")
        if not seen.found.on_gpu:
            raise NoFitError("the trace has no kernels")
        tp = _degree(trace, given, sum(phase.layers or 0 for phase in seen.phases))
        read = config.decoder(given.config, tp, where=given.name)
        steps = _steps(trace, read, seen)
        one = _as_run(read, seen.rows)
        places = {p.phase: _matrices(one, p, seen.rows) for p in seen.phases}
        _recorded(places, seen.rows)
        steps = steps if one == read else _steps(trace, one, seen)
        known = Stated(CONFIG, one, places, steps)
        _possible(known, seen)
    except NoFitError as fault:
        return None, ModelFit(given.name, False, str(fault), given.tp, {})
    except UsageError as fault:
        return None, ModelFit(given.name, False, f"{fault.what}; {fault.hint}", given.tp, {})
    tokens = {phase: steps.rows for phase, steps in known.steps.items()}
    return known, ModelFit(given.name, True, None, tp, tokens)


# ---------------------------------------------------------------- what the trace says


def _degree(trace: Trace, given: GivenModel, layers: int) -> int:
    """Ranks that share the weights. Raises: NoFitError where the trace does not say."""
    if given.tp is not None:
        return given.tp
    spread = trace.source.meta.get("distributedInfo")
    world = spread.get("world_size") if isinstance(spread, Mapping) else None
    if world == 1:
        return 1
    if world is None and not classify(trace).of(Category.COMMUNICATION).any():
        return 1
    found = collectives.calls(trace)
    names = np.array([_REDUCES.search(name) is not None for name in found.names], bool)
    sums = found.ranks[names[found.name]] if len(found.name) else found.ranks
    sizes = set(sums.tolist())
    if len(sums) >= layers and len(sizes) == 1 and (only := int(sizes.pop())) > 1:
        return only  # of layers that ranks share each is summed, behind attention or the MLP
    of = f"one of {world} ranks" if world else "of several ranks"
    raise NoFitError(f"the trace is {of}, and does not say how many share the weights (--tp)")


def _as_run(one: Decoder, rows: Sequence[Role]) -> Decoder:
    """With the dtype that its GEMMs name where it is not the configuration's: engines cast.

    Raises: NoFitError where kernels name fewer bits than its weights have.
    """
    gemms = [row for row in rows if row.category == "gemm" and row.calls]
    for row in gemms if one.stored is None else ():
        if weight_bound.narrow(row.kernel):
            raise NoFitError(
                f"its weights are not quantised (no quantization_config), and the trace multiplies "
                f"quantised ones ({row.kernel[:60]})"
            )
    said = {weight_bound.dtype_of(row.kernel) for row in gemms} - {None, "float8"}
    if one.dtype == "float32" and len(said) == 1:
        return replace(one, dtype=str(said.pop()))
    if gemms and all(_SINGLE.search(row.kernel) for row in gemms):
        return replace(one, dtype="float32")
    return one


def _matrices(one: Decoder, phase: Aligned, rows: Sequence[Role]) -> Mapping[int, Matrix]:
    """By place; empty for a phase in which no layer repeats."""
    if phase.before is None or phase.after is None or not phase.layers:
        return {}
    kernels = {int(r.place): r.kernel for r in rows if r.phase == phase.phase and r.calls}
    places = range(phase.before + 1, phase.before + 1 + phase.after)
    experts = [re.search(EXPERTS, kernels.get(place, "")) is not None for place in places]
    return {**matrices.of_layer(one, phase.before, experts), AT_HEAD: matrices.head(one)}


def _recorded(places: Mapping[str, Mapping[int, Matrix]], rows: Sequence[Role]) -> None:
    """Raises: NoFitError where a recorded matrix is not the configuration's."""
    for row in rows:
        one = places.get(row.phase, {}).get(int(row.place)) if row.calls else None
        if one is None or row.weights is None or row.category != "gemm" or row.rows is None:
            continue
        k, n = (int(part) for part in row.weights.split(" → "))
        padded = _PADDED if int(row.place) == AT_HEAD else 0
        if k != one.k or not one.n <= n <= one.n + padded:
            raise NoFitError(
                f"its {one.name} is {one.told}, and that of the trace is {row.weights}"
            )


def _steps(trace: Trace, one: Decoder, seen: Seen) -> dict[str, Steps]:
    """By phase that repeats a layer. Raises: NoFitError for passes of other layers."""
    out = {}
    for phase in seen.phases:
        if phase.layers:
            code = PHASES.index(phase.phase)
            runs = [_Run(trace, one, seen, run) for run in _runs(seen, code)]
            out[phase.phase] = _together(one, runs)
    if not out:
        raise NoFitError("no layer repeats in the order of the trace's GEMMs")
    return out


def _runs(seen: Seen, code: int) -> list[int]:
    """The passes of a phase that attend."""
    order = seen.calls.order
    mine = (seen.calls.phase == code) & (order.kind == ATTENTION)
    return np.unique(order.run[mine]).tolist()  # type: ignore[no-any-return]


class _Run:
    """One annotated step, which is one forward pass or several."""

    def __init__(self, trace: Trace, one: Decoder, seen: Seen, run: int) -> None:
        order, found = seen.calls.order, seen.found
        layers = int(((order.run == run) & (order.kind == ATTENTION)).sum())
        heads = int(((order.run == run) & (seen.made.place == HEAD)).sum())
        self.passes = layers // one.layers
        if layers % one.layers or (self.passes > 1 and heads != self.passes):
            raise NoFitError(f"it has {one.layers} layers, and a step of the trace runs {layers}")
        first = int(np.flatnonzero((found.run == run) & (found.kind == ATTENTION))[0])
        row = found.row[first]
        self.kernel = trace.strings[found.name[first]]
        launch = int(links.launch_row(trace)[row])
        mark = int(innermost(trace, seen.stages)[row])
        step = markers(trace, seen.stages).step[mark] if mark >= 0 else None
        single = self.passes == 1 and launch >= 0
        self.lengths = step_lengths.around(trace, launch) if single else None
        self.rows, self.head_rows = _tokens(step, self.lengths) if single else (None, None)


def _tokens(step: Step | None, lengths: Lengths | None) -> tuple[int | None, int | None]:
    """Tokens of a step, and how many of them reach the head: all that are decoded, and the last of
    each prompt. None where its name does not say.
    """
    rows = lengths.queries if lengths is not None and lengths.queries else None
    if step is None:
        return rows, None
    prompts, made = step.prefill_requests, step.decode_tokens
    made = step.decode_requests if made is None else made
    if prompts is None and made is None:
        return rows or step.prefill_tokens, None
    read = step.prefill_tokens if prompts else 0
    if rows is None and read is not None:
        rows = (made or 0) + read
    return rows or None, (made or 0) + (prompts or 0) or None


def _together(one: Decoder, runs: Sequence[_Run]) -> Steps:
    parts = [_attended(one, run) for run in runs]
    known = [part for part in parts if part is not None]
    both = (sum(done for done, _ in known), sum(moved for _, moved in known))
    rows, heads = _sum([run.rows for run in runs]), _sum([run.head_rows for run in runs])
    return Steps(
        sum(run.passes for run in runs), rows, heads, both if len(known) == len(parts) else None,
        f"{rows} queries×{one.heads // one.tp}×Sk×{one.head_dim}",
    )  # fmt: skip


def _sum(parts: Sequence[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None


def _attended(one: Decoder, run: _Run) -> tuple[int, int] | None:
    """A cache of 8 bits is possible where no name says 16: the least counts."""
    if run.lengths is None or not run.lengths.keys:
        return None
    half = _HALF.search(run.kernel) is not None and _NARROW.search(run.kernel) is None
    size = one.size if half else 1
    return one.attention(run.lengths, size, _ABSORBED.search(run.kernel) is not None)


def _possible(known: Stated, seen: Seen) -> None:
    """Raises: NoFitError where the device could not have done it in the time."""
    spec = seen.spec
    for phase, steps in known.steps.items() if spec is not None else ():
        assert spec is not None
        own = [row for row in filled(known, seen.rows) if row.phase == phase and row.by_config]
        ns, read = sum(r.total_ns for r in own), sum(r.weight_bytes or 0 for r in own)
        if not ns:
            continue
        part = read / ns * 1e9 / spec.memory_bytes_per_s
        if read / steps.passes > _CACHED and part > 1:
            raise NoFitError(
                f"to read its weights in the time that the GEMMs of {phase} took, "
                f"{share(part)} of the memory bandwidth of {spec.name} would be needed"
            )
        done = sum((r.flops or 0) / spec.flops.get(r.dtype or "", np.inf) for r in own)
        if done * 1e9 > ns:
            raise NoFitError(
                f"its GEMMs of {phase} would need {share(done * 1e9 / ns)} of the peak of "
                f"{spec.name} in the time that they took"
            )
