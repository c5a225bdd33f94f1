"""The audit in one line: the worst thing first, the others by number."""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.audit import Audit
from tracekit.patterns import later
from tracekit.results.answers import Answers
from tracekit.results.first_screen import FirstScreen, Verdict, sentence
from tracekit.results.trust import VERDICTS, worst
from tracekit.results.units import plural

_BREAK = later(r"(?<=[a-z)`]{3})(?:: |; |\. )")  # after a clause
LEVELS = {"trusted": "", "degraded": "warn", "refused": "bad"}


def verdicts(result: Audit, one: Answers) -> Iterator[Verdict]:
    """One: never worse than every answer that it judges."""
    odd, more = [row for row in result.rows if row.effect != "note"], ""
    if odd:
        more = f" {plural(len(odd) - 1, 'more reason')} below." if len(odd) > 1 else ""
        text, rest = _first(sentence(odd[0].what))
        more = f"{rest}{more}".strip()
    elif result.rows:
        notes = plural(len(result.rows), "note")
        text = f"{result.checks} checks found nothing that changes a number, and left {notes}."
        # what the file lacks is to be known before any number, though it changes none
        more = next((sentence(row.what) for row in result.rows if row.check == "hidden_work"), "")
    else:
        text = f"All {result.checks} checks passed."
    given = worst(trust.verdict for trust in one.trust.values())
    # of a device that is not known nobody can say that all else is answered
    strange = bool(odd) and odd[0].check == "unknown_work"
    if one.trust and VERDICTS.index(given) < VERDICTS.index(result.verdict) and not strange:
        # what is not to be trusted is not answered; the answers that are there can be
        word = f"{given.capitalize()}, as far as it is answered"
        yield Verdict("warn", word, text, "audit", more)
        return
    yield Verdict(LEVELS[result.verdict], result.verdict.capitalize(), text, "audit", more)


def _first(said: str) -> tuple[str, str]:
    """The reason, and what follows from it."""
    found = _BREAK.search(said)
    if found is None:
        return said, ""
    head, rest = said[: found.start()].rstrip(".:;"), said[found.end() :]
    return f"{head}.", f"{rest[:1].upper()}{rest[1:]}"


FIRST_SCREEN = FirstScreen(order=0, verdicts=verdicts)
