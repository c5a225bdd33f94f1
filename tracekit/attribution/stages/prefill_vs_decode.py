"""Prefill beside decode, row by row: for kernels by duration, and for ops by self time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tracekit.results.result import Column, Grid

BOTH = ("prefill", "decode")
MOST = 200


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
    more = f"{left:,} more {noun}s are left out here." if left > 0 else ""
    said = " ".join(part for part in (note, more) if part)
    return [Grid("sides", title, columns, made, said)]
