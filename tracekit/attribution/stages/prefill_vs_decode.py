"""Prefill beside decode: for kernels by duration, and for ops by self time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from tracekit.attribution.stages.work_phases import ALL
from tracekit.records import Record
from tracekit.results import figures
from tracekit.results.figures import Chart
from tracekit.results.findings import LEAST
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration, plural

BOTH = ("prefill", "decode")
TOKEN_COUNT = Column(
    "tokens", "count", "Tokens that prefill read, or that decode generated, all batch rows counted."
)
MOST = 200
DEAREST = 5
INSIDE = 4  # stages inside others that a note names
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


def dearest(
    rows: Sequence[Cost], phases: Sequence[str], noun: str, measured: str, note: str = ""
) -> Grid:
    """The rows that cost most in each phase, side by side; `rows` are sorted, the dearest first.

    `measured` says in a sentence what the time of a row is, `note` what is in no column.
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
    return Grid("beside", title, tuple(columns), [line for line in lines if any(line)], note)


def inside(
    phases: Sequence[str], wholes: Mapping[str, int], depths: Mapping[str, int], noun: str
) -> str:
    """Of stages inside these: their time, which is in none of the columns of `dearest`.

    `wholes` is the time of each phase, `depths` how deep each family lies, in a tree's order.
    """
    found: list[str] = []
    around: int | None = None  # the depth of the phase that the families are inside of
    for family, depth in depths.items():
        if around is not None and depth <= around:
            around = None
        if family in phases:
            around = depth if around is None else around
        elif around is not None:
            found.append(family)
    spent = sorted(((wholes.get(one, 0), one) for one in found), key=lambda own: (-own[0], own[1]))
    missing, own = sum(ns for ns, _ in spent), sum(wholes.get(phase, 0) for phase in phases)
    if not missing or missing < LEAST * (missing + own):
        return ""
    named = ", ".join(f"{family} {duration(ns)}" for ns, family in spent[:INSIDE] if ns)
    more = len([ns for ns, _ in spent[INSIDE:] if ns])
    named += f" and {plural(more, 'more stage')}" if more else ""
    return (
        f"{duration(missing)} of {noun} time is not in this table: it belongs to stages inside "
        f"{' and '.join(phases)} ({named}), each for itself."
    )


class Side(Record, frozen=True):
    """What one row took in one phase."""

    ns: float
    share: float | None  # of the time of the phase
    per_token_ns: float | None


def both_phases(
    rows: Iterable[Any], wholes: Mapping[str, int], tokens: Mapping[str, int | None], *,
    name: Callable[[Any], str],
) -> dict[tuple[str, str], dict[str, Side]]:  # fmt: skip
    """[name, category][phase] of rows with name, category, phase and cost_ns, added up by `name`.

    `wholes` and `tokens` are the time and the tokens of each phase.
    """
    sums: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        if row.phase in BOTH:
            own = sums.setdefault((name(row), row.category.value), {})
            own[row.phase] = own.get(row.phase, 0) + row.cost_ns
    return {
        key: {
            phase: Side(
                ns,
                ns / wholes[phase] if wholes.get(phase) else None,
                ns / count if (count := tokens.get(phase)) else None,
            )
            for phase, ns in own.items()
        }
        for key, own in sums.items()
    }


def slope(
    rows: Mapping[tuple[str, str], Mapping[str, Side]], *, of: str, title: str, summary: str,
    table: str = "sides",
) -> list[Chart]:  # fmt: skip
    """Prefill against decode, a line a row; [] where fewer than two rows are in either.

    `rows` [label, category][phase]; `of` says what their time is. What a phase lacks is nothing of
    its time, and has no time per token.
    """
    found = [(*key, own) for key, own in rows.items() if any(phase in own for phase in BOTH)]
    if len(found) < 2 or not all(any(phase in own for *_, own in found) for phase in BOTH):
        return []
    each: dict[str, Callable[[Side | None], float | None]] = {
        "ms": lambda side: side.ns if side else 0.0,
        "% of phase": lambda side: (side.share or 0.0) if side else 0.0,
        "µs per token": lambda side: side.per_token_ns if side else None,
    }
    counted = all(
        own[phase].per_token_ns is not None for *_, own in found for phase in BOTH if phase in own
    )
    measures = [figures.Measure("% of phase", "share", f"the phase's {of}"),
                figures.Measure("ms", "ns", of)]  # fmt: skip
    if counted:
        measures.append(figures.Measure("µs per token", "ns", f"{of} per token"))
    pairs = [
        figures.Pair(
            label, category,
            {
                name: (value(own.get(BOTH[0])), value(own.get(BOTH[1])))
                for name, value in each.items()
            },
            category,
        )
        for label, category, own in found
    ]  # fmt: skip
    return [figures.slope("sides", title, BOTH, pairs, measures, summary=summary, table=table)]
