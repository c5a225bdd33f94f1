"""Speculative decoding: where each round's time went, and at which acceptance it pays."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from tracekit.answers.speculative import Row, Speculative
from tracekit.errors import MissingEventsError
from tracekit.results.catalog import Analysis
from tracekit.trace.trace import Trace

from . import engines, own
from .charts import charts
from .findings import findings
from .first_screen import FIRST_SCREEN
from .laws import alpha_of, laws_of
from .rows import engine_row, own_rows
from .tables import DEFINITIONS, tables

OWN = "rounds that tracekit marks; each part until its own work is complete"
ENGINE = "steps of {} by its annotations; each part until its own work is complete"


def speculative(trace: Trace) -> Speculative:
    """The rounds of a trace, request by request.

    Raises: MissingEventsError where no rounds are marked.
    """
    if (found := own.rounds(trace)) is not None:
        return _result(OWN, own_rows(trace, *found))
    if (steps := engines.rounds(trace)) is not None:
        marked, engine, drafted = steps
        return _result(ENGINE.format(engine), engine_row(trace, marked, drafted))
    raise MissingEventsError(
        "no rounds of speculative decoding are marked",
        where=trace.path,
        hint="capture with `tracekit capture speculative`, or with vLLM's or SGLang's annotations",
    )


def _result(basis: str, found: Iterable[Row]) -> Speculative:
    """Everything else follows from the rows, so that many traces merge exactly."""
    rows = tuple(found)
    counted = [r for r in rows if r.accepted is not None and r.drafted is not None]
    drafted = sum(r.drafted or 0 for r in counted)
    accepted = sum(r.accepted or 0 for r in counted)
    made = [r for r in counted if r.tokens_per_round is not None]
    rounds = sum(r.rounds for r in made)
    whole = [r.speedup for r in rows if r.speedup is not None]
    decode = [r.decode_speedup for r in rows if r.decode_speedup is not None]
    said = [r.drafted for r in rows if r.drafted is not None]
    return Speculative(
        basis=basis, rows=rows, laws=laws_of(rows), drafted=sum(said) if said else None,
        accepted=accepted if counted else None,
        acceptance=accepted / drafted if drafted else None, alpha=alpha_of(rows),
        tokens_per_round=sum((r.tokens_per_round or 0) * r.rounds for r in made) / rounds
        if rounds else None,
        speedup=median(whole) if whole else None, decode_speedup=median(decode) if decode else None,
    )  # fmt: skip


def merge(one: Speculative, two: Speculative) -> Speculative:
    """Rows joined; acceptance, speed-ups and the law are taken over all of them."""
    basis = "; ".join(dict.fromkeys([*one.basis.split("; "), *two.basis.split("; ")]))
    return _result(basis, one.rows + two.rows)


ANALYSIS = Analysis(
    title="Speculative decoding",
    question="Where did the time of each round go, and at which acceptance does drafting pay?",
    run=speculative,
    merge=merge,
    tables=tables,
    charts=charts,
    findings=findings,
    first_screen=FIRST_SCREEN,
    definitions=DEFINITIONS,
    order=16,
)
