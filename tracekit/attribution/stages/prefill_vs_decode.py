"""Prefill beside decode: for kernels by duration, and for ops by self time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from tracekit.attribution.stages.work_phases import ALL
from tracekit.results.result import Column, Grid
from tracekit.results.units import plural

BOTH = ("prefill", "decode")
MOST = 200
DEAREST = 5
TOKENS = "Over the tokens that prefill read, or that decode generated, all batch rows counted."


def grid(
    rows: Iterable[Any], *, noun: str, measure: str, ns: Callable[[Any], int], title: str,
    definitions: Mapping[str, str], note: str = "",
) -> list[Grid]:  # fmt: skip
    """One grid `sides` where the trace has both phases, else none.

    `rows` have name, category, phase, count, share and per_token_ns; `ns` is what they are ranked
    by and `measure` its name in `definitions`.
    """
    pairs: dict[tuple[str, Any], dict[str, Any]] = {}
    for row in rows:
        if row.phase in BOTH:
            pairs.setdefault((row.name, row.category), {})[row.phase] = row
    if not all(any(phase in own for own in pairs.values()) for phase in BOTH):
        return []
    sides = [
        column
        for phase in BOTH
        for column in (
            Column(f"{phase} count", "count", definitions["count"]),
            Column(f"{phase} {measure}", "ns", definitions[measure]),
            Column(f"{phase} share", "share", definitions["share"]),
            Column(f"{phase} per token", "ns", definitions["per token"]),
        )
    ]
    columns = (
        Column(noun), Column("category", "text", definitions["category"]), *sides,
        Column("only in", "text", "The one of the two phases that ran it."),
    )  # fmt: skip
    ranked = sorted(pairs.items(), key=lambda pair: -sum(ns(row) for row in pair[1].values()))
    made = []
    for (name, category), own in ranked[:MOST]:
        cells = [
            value
            for phase in BOTH
            for value in (
                (own[phase].count, ns(own[phase]), own[phase].share, own[phase].per_token_ns)
                if phase in own
                else (0, 0, 0.0, None)
            )
        ]
        only = "" if len(own) == 2 else next(iter(own))
        made.append((name, category.value, *cells, only))
    left = len(ranked) - MOST
    more = f"{plural(left, f'more {noun}')} in the table of all, and in --json." if left > 0 else ""
    said = " ".join(part for part in (note, more) if part)
    return [Grid("sides", title, columns, made, said)]


class Cost(Protocol):
    """A row of kernels or of ops."""

    @property
    def name(self) -> str: ...
    @property
    def phase(self) -> str: ...
    @property
    def cost_ns(self) -> int: ...
    @property
    def share(self) -> float | None: ...
    @property
    def per_token_ns(self) -> float | None: ...


def dearest(rows: Sequence[Cost], phases: Sequence[str], noun: str, measured: str) -> Grid:
    """The rows that cost most in each phase, side by side; `rows` are sorted, the dearest first.

    `measured` says in a sentence what the time of a row is.
    """
    whole = list(phases) == [ALL]  # a trace without phases
    columns: list[Column] = []
    cells: list[list[list[Any]]] = []
    for phase in phases:
        own = [row for row in rows if row.phase == phase][:DEAREST]
        per_token = any(row.per_token_ns is not None for row in own)
        columns += [
            Column(noun if whole else f"{phase}: {noun}", "text",
                   f"Those that cost most in {phase}."),
            Column("time", "ns", measured),
            Column("share", "share", f"Part of the {noun} time of the phase."),
            *([Column("per token", "ns", TOKENS)] if per_token else []),
        ]  # fmt: skip
        shown = [
            [row.name, row.cost_ns, row.share, *([row.per_token_ns] if per_token else [])]
            for row in own
        ]
        cells.append(shown + [["", *[None] * (3 if per_token else 2)]] * (DEAREST - len(own)))
    lines = [list(chain(*parts)) for parts in zip(*cells, strict=True)]
    title = f"{noun.capitalize()}s that cost most"
    title += "" if whole else " in " + " and in ".join(phases)
    return Grid("beside", title, tuple(columns), [line for line in lines if any(line)])
