"""May this trace be trusted? Asked before any number of it is shown."""

from __future__ import annotations

from tracekit.answers.audit import VERDICT, Audit, Finding
from tracekit.records import replace
from tracekit.results.catalog import Analysis
from tracekit.results.result import Column, Grid
from tracekit.results.trust import VERDICTS, worst
from tracekit.results.unknown_work import device_kind, neutral
from tracekit.trace.trace import Trace

from .checks import CHECKS, TOUCHES
from .first_screen import FIRST_SCREEN


def audit(trace: Trace, *, of: frozenset[str] | None = None) -> Audit:
    """Every check of analyses/audit/checks.py on one trace; never raises for what a trace lacks.

    `of` names the answers that are asked about: checks that can touch no other are left out.
    """
    asked = [c for c in CHECKS if of is None or c not in TOUCHES or TOUCHES[c] & of]
    found = [finding for check in asked for finding in check(trace)]
    if device_kind(trace.source) != "GPU":
        found = [replace(finding, what=neutral(finding.what)) for finding in found]
    return _sorted(found)


def _sorted(rows: list[Finding]) -> Audit:
    def place(row: Finding) -> tuple[int, float]:
        """Of what weighs alike what concerns more comes first; whole microseconds blur all."""
        weighed = row.effect != "note" and row.check != "resolution"
        return -VERDICTS.index(VERDICT[row.effect]), -(row.share or 0.0) if weighed else 0.0

    rows.sort(key=place)
    return Audit(worst(VERDICT[r.effect] for r in rows), len(CHECKS), tuple(rows))


def merge(one: Audit, two: Audit) -> Audit:
    """The findings of both: one bad trace of many stays visible.

    What several ranks of a file say alike is said once, of none of them.
    """
    said: dict[Finding, set[str | None]] = {}
    for row in (*one.rows, *two.rows):
        said.setdefault(replace(row, rank=None), set()).add(row.rank)
    return _sorted(
        [replace(row, rank=ranks.pop() if len(ranks) == 1 else None) for row, ranks in said.items()]
    )


DEFINITIONS = {
    "effect": "note: no number is wrong for it; degraded: the answers it affects are off by what "
    "it says; refused: do not use the answers it affects.",
    "affects": "The analyses whose answers carry this finding.",
    "share": "The part of what the sentence names that is concerned.",
}


def tables(result: Audit) -> list[Grid]:
    columns = (
        Column("effect", "text", DEFINITIONS["effect"]),
        Column("finding", "text", "What is odd, with its numbers."),
        Column("count", "count", "How many slices, calls or steps are concerned."),
        Column("share", "share", DEFINITIONS["share"]),
        Column("affects", "text", DEFINITIONS["affects"]),
    )
    rows = [(r.effect, r.what, r.count, r.share, ", ".join(r.touches)) for r in result.rows[:200]]
    several = len({r.trace for r in result.rows}) > 1
    note = "" if rows else f"All {result.checks} checks passed."
    if several:
        note = "Of several traces; --json says which finding is of which."
    return [
        Grid("audit", f"May this trace be trusted? It is {result.verdict}", columns, rows, note)
    ]


ANALYSIS = Analysis(
    title="May this trace be trusted?",
    question="What about this trace would make its numbers mislead?",
    run=audit,
    merge=merge,
    tables=tables,
    first_screen=FIRST_SCREEN,
    definitions=DEFINITIONS,
    order=0,
    adds_up=False,
)
