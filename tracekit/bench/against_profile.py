"""Profile against truth: the same run under the profiler, beside the wall clock without it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tracekit.attribution.roofline import devices, stage_bounds
from tracekit.bench import file, statistics, tables
from tracekit.capture.plan import Plan, Progress, quiet
from tracekit.capture.run import Captured, capture
from tracekit.results.result import Column, Grid

if TYPE_CHECKING:
    from tracekit.datasets.entry import Sample

PROFILED = 3  # samples in the trace: enough to see, small enough to open

COLUMNS = (
    Column("stage", "text"),
    Column("unprofiled", "ns", "Median wall time of the benchmark, no profiler near."),
    Column("profiled", "ns", "Mean wall time of the profiled requests."),
    Column("factor", "number", "Profiled over unprofiled."),
    Column("GPU busy", "ns", "Time in which work that the stage launched ran, a request's mean."),
    Column("floor", "ns", stage_bounds.DEFINITION),
    Column("over floor", "number", "Unprofiled over floor."),
)


def run(
    plan: Plan,
    content: Mapping[str, Any],
    samples: Sequence[Sample] | None = None,
    progress: Progress = quiet,
    output: Path | None = None,
) -> tuple[dict[str, Any], Path]:
    """(rows, trace) the first configuration again under the profiler, stage by stage.

    Raises: TracekitError as `capture` does.
    """
    short = dataclasses.replace(plan, samples=min(plan.samples, PROFILED))
    captured = capture(short, output, samples=samples, progress=progress)
    busy = gpu_busy(captured)
    row = content["configurations"][0]
    needs, spec = file.needs(row), devices.named(tables.device_name(content))
    least = {name: stage_bounds.of_need(need, None, spec).floor_ns for name, need in needs.items()}
    times = file.measures(row)
    stages = []
    for stage in captured.stages:
        plain = statistics.summarize(times.get(stage.value, []))
        profiled = [r.stages[stage] for r in captured.profiled if stage in r.stages]
        stages.append({
            "stage": stage.value,
            "unprofiled_ns": None if plain is None else plain.median,
            "profiled_ns": fmean(profiled) if profiled else None,
            "gpu_busy_ns": busy.get(stage.value),
            "floor_ns": least.get(stage.value),
        })  # fmt: skip
    return {"trace": captured.path.name, "stages": stages}, captured.path


def gpu_busy(captured: Captured) -> dict[str, float]:
    """ns by stage in which work that it launched ran on the device, a request's mean.

    Empty where the trace has no such work, as on a CPU.
    """
    from tracekit.answers.stages import Stages
    from tracekit.errors import MissingEventsError
    from tracekit.results import catalog
    from tracekit.trace import kineto

    try:
        found = catalog.ask(kineto.load(captured.path), Stages)
    except MissingEventsError:
        return {}
    each: dict[str, list[int]] = {}
    markers = {stage.marker: stage.value for stage in captured.stages}
    for instance in found.rows:
        work = instance.launched
        if work is not None and instance.name in markers:
            busy = work.kernel_ns + work.memcpy_ns + work.memset_ns
            each.setdefault(markers[instance.name], []).append(busy)
    return {stage: fmean(values) for stage, values in each.items()}


def grid(traced: Mapping[str, Any]) -> Grid:
    """One row a stage: unprofiled, profiled, GPU busy, floor."""
    rows = []
    for one in traced["stages"]:
        plain, profiled = one["unprofiled_ns"], one["profiled_ns"]
        floor = one["floor_ns"]
        rows.append((
            one["stage"], plain, profiled,
            profiled / plain if plain and profiled is not None else None,
            one["gpu_busy_ns"], floor, plain / floor if plain and floor else None,
        ))  # fmt: skip
    return Grid("profiled", "Profile against truth", COLUMNS, rows)
