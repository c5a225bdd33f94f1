"""The audit in one line: the worst thing first, the others by number."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.audit import Audit
from tracekit.results.answers import Answers
from tracekit.results.first_screen import FirstScreen, Verdict, sentence

LEVELS = {"trusted": "", "degraded": "warn", "refused": "bad"}


def verdicts(result: Audit, _one: Answers) -> Iterator[Verdict]:
    """One."""
    odd = [row for row in result.rows if row.effect != "note"]
    if odd:
        more = f" And {len(odd) - 1} more." if len(odd) > 1 else ""
        text = f"{sentence(odd[0].what)}{more}"
    elif result.rows:
        text = (
            f"{result.checks} checks, {len(result.rows)} of them with a note: "
            f"{sentence(result.rows[0].what)}"
        )
    else:
        text = f"All {result.checks} checks passed."
    yield Verdict(LEVELS[result.verdict], result.verdict.capitalize(), text, "audit")


FIRST_SCREEN = FirstScreen(order=0, verdicts=verdicts)
