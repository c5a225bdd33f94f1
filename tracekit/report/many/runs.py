"""One of several traces, and what tables and charts over all of them are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekit.attribution.stages.work_phases import NO_PHASE
from tracekit.report.one import prefill_decode
from tracekit.report.one.key_numbers import token_numbers
from tracekit.report.one.overview import stage_totals
from tracekit.results.engine import Answers
from tracekit.trace import run_facts
from tracekit.trace.run_facts import RunFacts

Json = Mapping[str, Any]
FEW = 4  # more traces than this are points of a line, and only these are drawn in the sections
COLUMNS = 8  # more traces than this have no column each


@dataclass(frozen=True, slots=True)
class Side:
    """One of the traces: its short name, its answers also as JSON, what is known of its run."""

    name: str
    one: Answers
    plain: Json
    run: RunFacts


def read(many: Sequence[Answers]) -> list[Side]:
    """The traces with names that tell them apart."""
    names = run_facts.labels(
        [one.source for one in many], [run_facts.stem(one.path) for one in many]
    )
    return [
        Side(
            name, one, {k: r.to_json() for k, r in one.answers.items()}, run_facts.about(one.source)
        )
        for name, one in zip(names, many, strict=True)
    ]


def one_job(many: Sequence[Side]) -> bool:
    """Whether the traces are ranks of one job."""
    return run_facts.one_job([side.one.source for side in many])


def adds_up(many: Sequence[Side]) -> bool:
    """Whether a sum over the traces means something: one job's ranks, or repeats of one run."""
    return one_job(many) or run_facts.repeats([side.run for side in many])


def measures(side: Side) -> dict[str, float | None]:
    """The large numbers of one trace; None where it does not say."""
    tokens = token_numbers(side.plain.get("tokens"))
    own = side.plain.get("devices", {}).get("rows") or []
    window, busy, idle = (
        sum(r[key] for r in own) if own else None for key in ("window_ns", "busy_ns", "idle_ns")
    )
    suspect = sum(r.get("suspect_ns") or 0 for r in own) if own else None
    every = (side.plain.get("stages") or {}).get("totals") or ()
    wall = next((t["wall_ns"] for t in every if t["family"] == "all stages"), None)
    return {
        "wall": wall, "window": window, "idle": idle, "suspect": suspect, "TTFT": tokens["ttft_ns"],
        "busy": busy / window if window and busy is not None else None,
        "TPOT": tokens["tpot_ns"], "decode": tokens["tokens_per_s"],
    }  # fmt: skip


def means(side: Side) -> dict[str, float]:
    """Mean wall time of an instance of each stage."""
    return {t["family"]: t["mean_ns"] for t in stage_totals(side.plain.get("stages"))}


def instances(side: Side, phase: str) -> int | None:
    """How often the trace has a stage of this name."""
    totals = stage_totals(side.plain.get("stages"))
    return next((t["instances"] for t in totals if t["family"] == phase), None)


def source(many: Sequence[Side]) -> tuple[str, str, str]:
    """What costs are made of: kernels where every trace has some, else ops by self time."""
    by_kernel, by_op = ("kernels", "total_ns", "kernel"), ("ops", "self_ns", "op")
    for chosen in (by_kernel, by_op):
        if all(side.plain.get(chosen[0]) for side in many):
            return chosen
    return by_kernel if any(side.plain.get("kernels") for side in many) else by_op


def phases(many: Sequence[Side], analysis: str) -> list[str]:
    """The phases to set side by side: prefill and decode where most traces have them.

    Else those that most traces have, the longest first.
    """
    found = [set(prefill_decode.phases_of(side.plain.get(analysis) or {})) for side in many]
    order = [
        phase for phase in ("prefill", "mixed", "decode") if any(phase in own for own in found)
    ]
    if sum(not own.isdisjoint(order) for own in found) * 2 > len(found):
        return order
    key = "total_ns" if analysis == "kernels" else "self_ns"
    time: dict[str, float] = {}
    having: Counter[str] = Counter()
    for side in many:
        having.update({row["phase"] for row in (side.plain.get(analysis) or {}).get("rows") or ()})
        for row in (side.plain.get(analysis) or {}).get("rows") or ():
            if row["phase"] not in NO_PHASE:
                time[row["phase"]] = time.get(row["phase"], 0) + row[key]
    return sorted(time, key=lambda phase: (-having[phase], -time[phase]))[:3]


def per(side: Side, phase: str, every: Sequence[Side]) -> float:
    """By how much to divide: instances of the phase, where each trace that has it counts them."""
    counts = [instances(s, phase) for s in every]
    own = instances(side, phase)
    return float(own) if own and all(counts) else 1.0


def costs_of(side: Side, analysis: str, key: str, phase: str) -> tuple[dict[str, float], set[str]]:
    """Time by name of one phase of one trace, and the phases that the trace has."""
    out: dict[str, float] = {}
    rows = (side.plain.get(analysis) or {}).get("rows") or ()
    for row in rows:
        if row["phase"] == phase:
            out[row["name"]] = out.get(row["name"], 0) + row[key]
    return out, {row["phase"] for row in rows}
