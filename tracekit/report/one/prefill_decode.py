"""What prefill and decode spend their time on: the dearest kernels (or ops) side by side, in words.

Reads answers as JSON, as the overview does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from tracekit.attribution.stages.work_phases import ALL
from tracekit.results import units
from tracekit.results.result import Column, Grid

Json = Mapping[str, Any]
MOST = 5

TOKENS = "Over the tokens that prefill read, or that decode generated, all batch rows counted."


def phases_of(answer: Json) -> list[str]:
    """The phases to set side by side: prefill (else mixed) and decode, else the longest one."""
    known = {phase["phase"] for phase in answer.get("phases") or ()}
    chosen = ["prefill" if "prefill" in known else "mixed", "decode"]
    if found := [phase for phase in chosen if phase in known]:
        return found
    rows = answer.get("rows") or ()
    return [rows[0]["phase"]] if rows else []


def grid(answers: Mapping[str, Json], most: int = MOST) -> Grid | None:
    """The kernels, or without a GPU the ops by self time, that cost most in each phase."""
    kernels = answers.get("kernels")
    answer, key, noun = (
        (kernels, "total_ns", "kernel") if kernels else (answers.get("ops"), "self_ns", "op")
    )
    if not answer or not (sides := phases_of(answer)):
        return None
    found = {side: [r for r in answer["rows"] if r["phase"] == side][:most] for side in sides}
    whole = sides == [ALL]  # a trace without phases
    columns: list[Column] = []
    cells: list[list[list[Any]]] = []
    for side, rows in found.items():
        per_token = any(row["per_token_ns"] is not None for row in rows)
        said = "Durations added up." if kernels else "Host time without the ops inside."
        columns += [
            Column(noun if whole else f"{side}: {noun}", "text",
                   f"Those that cost most in {side}."),
            Column("time", "ns", said),
            Column("share", "share", f"Part of the {noun} time of the phase."),
            *([Column("per token", "ns", TOKENS)] if per_token else []),
        ]  # fmt: skip
        empty = [""] + [None] * (3 if per_token else 2)
        own = [
            [r["name"], r[key], r["share"], *([r["per_token_ns"]] if per_token else [])]
            for r in rows
        ]
        cells.append(own + [empty] * (most - len(own)))
    rows = [list(chain(*parts)) for parts in zip(*cells, strict=True)]
    rows = [row for row in rows if any(row)]
    title = f"{noun.capitalize()}s that cost most"
    title += "" if whole else " in " + " and in ".join(sides)
    return Grid("beside", title, columns=tuple(columns), rows=rows)


def limits(answers: Mapping[str, Json]) -> Iterable[str]:
    """A sentence each on what prefill and decode spend their time on, with shares.

    A trace that has neither: on its longest stage.
    """
    totals = {
        t["family"]: t for t in (answers.get("stages") or {}).get("totals") or ()
        if t["family"] != "all stages"
    }  # fmt: skip
    known = [phase for phase in ("prefill", "mixed", "decode") if phase in totals]
    longest = max(totals, key=lambda name: totals[name]["wall_ns"], default=None)
    for phase in known or filter(None, [longest]):
        total = totals[phase]
        said = _host(total) if total.get("host") else _device(phase, total, answers)
        if said:
            name = phase.capitalize() if phase in known else phase
            yield f"{name}: {said}{_floor(phase, answers)}."


def _list(parts: Sequence[tuple[str, float]], most: int = 3) -> str:
    ranked = sorted(parts, key=lambda part: -part[1])[:most]
    return ", ".join(f"{name} {share:.0%}" for name, share in ranked if share >= 0.005)


def _host(total: Json) -> str:
    wall, host = total["wall_ns"], total["host"]
    if not wall:
        return ""
    kinds = [(f"{name} ops", ns / wall) for name, ns in (total.get("ops") or {}).items()]
    rest = [("outside any op", host["other_ns"] / wall), ("copies", host["copy_ns"] / wall)]
    said = _list([*kinds, *rest])
    return f"of its wall time, {said}" if said else ""


def _device(phase: str, total: Json, answers: Mapping[str, Json]) -> str:
    own = total.get("launched") or {}
    parts = []
    if own.get("window_ns"):
        idle, window = own["idle_ns"], own["window_ns"]
        suspect = (total.get("launched_detail") or {}).get("suspect_ns")
        least = "at most " if suspect else ""
        said = f"GPU idle for {least}{units.share(idle / window)} of its window"
        if suspect:
            said += (
                f" (for {units.duration(suspect)} of {units.duration(idle)} it may have run work "
                "that is not in this file)"
            )
        parts.append(said)
    kinds = [
        (c["category"], c["share"])
        for c in (answers.get("kernels") or {}).get("categories") or ()
        if c["phase"] == phase and c["share"]
    ]
    if kinds:
        parts.append(f"of its kernel time, {_list(kinds)}")
    parts += _gemms(phase, answers)
    return "; ".join(parts)


def _gemms(phase: str, answers: Mapping[str, Json]) -> Iterable[str]:
    """How near the roof that usually bounds the phase its GEMMs came together."""
    for row in (answers.get("roles") or {}).get("phases") or ():
        if row["phase"] != phase:
            continue
        peak, memory = row["gemm_flops_share"], row["gemm_bytes_share"]
        if phase == "decode" and memory is not None:
            yield f"its GEMMs at {memory:.0%} of the memory bandwidth"
        elif phase != "decode" and peak is not None:
            yield f"its GEMMs at {peak:.0%} of peak FLOP/s"


def _floor(phase: str, answers: Mapping[str, Json]) -> str:
    for row in (answers.get("roofline") or {}).get("floors") or ():
        if row.get("stage") == phase and row.get("took_ns") and row.get("floor_ns"):
            bound = f", {row['bound']}-bound" if row.get("bound") else ""
            return f"; its floor is {row['floor_ns'] / row['took_ns']:.0%} of what it took{bound}"
    return ""
