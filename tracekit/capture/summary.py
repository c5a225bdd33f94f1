"""What a capture says at its end: the stages without and with the profiler, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from tracekit.capture import plan as planning
from tracekit.capture.plan import Plan
from tracekit.capture.recorder import Request
from tracekit.capture.run import Captured
from tracekit.results import units
from tracekit.results.result import Column, Grid
from tracekit.taxonomy import Stage

FIRST = (Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE, Stage.PREFILL)

LARGE = 1 << 30  # bytes of a network that a CPU takes long for
BUSY = 0.9  # profiling does not make a request this much faster

COLUMNS = (
    Column("stage", "text"),
    Column("unprofiled", "ns", "Wall time, mean over the samples, before the profiler was on."),
    Column("profiled", "ns", "Wall time, mean over the same samples, with the profiler on."),
    Column("factor", "number", "Profiled over unprofiled."),
)


def summary(captured: Captured) -> Grid:
    """Mean wall time of each stage without and with the profiler, and the factor between them.

    The stages add up to the request. A stage that the model lacks is a row that says so.
    """
    plain, profiled = captured.unprofiled, captured.profiled
    rows = []
    for stage in Stage:
        if stage in captured.stages:
            rows.append(_row(stage.value, _mean(plain, stage), _mean(profiled, stage)))
        else:
            rows.append((f"{stage.value} (the model has none)", None, None, None))
    total = _row("request", fmean(r.wall for r in plain), fmean(r.wall for r in profiled))
    said = []
    if Stage.PREFILL in captured.stages:
        rows.append(_row("TTFT", ttft(plain), ttft(profiled)))
        said.append("TTFT = load + preprocess + encode + prefill")
    if Stage.DECODE in captured.stages:
        rows.append(_row("TPOT", tpot(plain), tpot(profiled)))
        said.append("TPOT = decode / (tokens - 1)")
    if captured.interrupted:
        said.append(f"interrupted after {len(profiled)} of {len(plain)} samples")
    before, after = (fmean(r.wall for r in some) for some in (plain, profiled))
    if after < BUSY * before:
        said.append("faster under the profiler than before it: something else kept the machine busy"
                    ", do not quote these times")  # fmt: skip
    note = "; ".join(said)
    return Grid("capture", "Wall time of a request", COLUMNS, rows, note=note, total=total)


def full_size(plan: Plan) -> str:
    """What the published network takes, and how to run it; empty where that is what ran."""
    model = plan.model
    if plan.options.size != "tiny" or "full" not in model.sizes or not model.weights:
        return ""
    need = planning.weight_bytes(model, "full", "bfloat16") * planning.HEADROOM
    room = f"{units.bytes_(need)} of free memory in bfloat16"
    if need >= LARGE:
        room += ", on a GPU to be of use"
    if model.download is None:
        return f"tracekit capture {plan.name} --checkpoint FILE; {room}; weights: {model.weights}"
    folder = f"weights/{plan.name}"
    return (
        f"tracekit models download {plan.name} --output-dir {folder} ({model.weights}), then "
        f"tracekit capture {plan.name} --checkpoint {folder}; {room}"
    )


def _row(
    name: str, plain: float | None, profiled: float | None
) -> tuple[str, float | None, float | None, float | None]:
    factor = profiled / plain if plain and profiled is not None else None
    return name, plain, profiled, factor


def _mean(requests: Sequence[Request], stage: Stage) -> float | None:
    times = [one.stages[stage] for one in requests if stage in one.stages]
    return fmean(times) if times else None


def ttft(requests: Sequence[Request]) -> float | None:
    """ns to the first token, mean: all stages before decode."""
    return fmean(sum(r.stages.get(s, 0) for s in FIRST) for r in requests) if requests else None


def tpot(requests: Sequence[Request]) -> float | None:
    """ns for each token after the first, mean over the requests that have such."""
    each = [r.stages[Stage.DECODE] / (r.tokens - 1) for r in requests if r.tokens > 1]
    return fmean(each) if each else None
