"""Where speculative decoding loses, by the measured costs; nothing of it rests on chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracekit.answers.speculative import Curve, Law, Row, Speculative
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import duration, plural
from tracekit.taxonomy import FindingKind, Stage


def findings(result: Speculative, _ask: Ask) -> Iterator[Draft]:
    """What is wrong first, then what no acceptance mends, then what a better choice gives."""
    yield from _differs(result.rows)
    for law in result.laws:
        rows = [r for r in result.rows if (r.draft, r.target) == (law.draft, law.target)]
        own = law.own
        if own is None:
            continue
        if own.break_even is None:
            yield _never(law, own, rows)
        else:
            yield from _ahead(law, own, rows)
            yield from _below(law, own, rows)
        yield from _other_length(law, own, rows)


def _differs(rows: Sequence[Row]) -> Iterator[Draft]:
    """Greedy or sampled, an output that was compared and is another's is a fault."""
    checked = [row for row in rows if row.same_as_target is not None]
    wrong = [row for row in checked if not row.same_as_target]
    if wrong:
        yield Draft(
            FindingKind.NOT_THE_TARGETS, Stage.DECODE.value,
            f"The output of {len(wrong):,} of {plural(len(checked), 'request')} is not what the "
            "target alone generates.",
            len(wrong) / len(checked), "share", None, None,
            "Look for a cache that was not rolled back, or for ties between tokens in low "
            "precision.",
            numbers={"differ": len(wrong), "checked": len(checked)},
        )  # fmt: skip


def _never(law: Law, own: Curve, rows: Sequence[Row]) -> Draft:
    """A round costs more than all the tokens it can make."""
    saves, decode = _lost(law, rows)
    return Draft(
        FindingKind.DRAFT_COST, Stage.DECODE.value,
        f"No acceptance pays at γ {own.gamma}: a round costs {own.cost:.2f} decode steps of the "
        f"target ({own.gamma} draft steps of {law.c:.2f}, a verify pass of {own.verify:.2f}, "
        f"{law.other:.2f} beside) and makes {own.gamma + 1} tokens at most, "
        f"{own.all_accepted:.2f} times the target alone.",
        own.all_accepted, "number", saves, decode,
        "Take a draft of a fraction of the target's step, or decode with the target alone.",
        numbers={"gamma": own.gamma, "cost": own.cost, "c": law.c, "verify": own.verify,
                 "other": law.other, "all_accepted": own.all_accepted},
    )  # fmt: skip


def _below(law: Law, own: Curve, rows: Sequence[Row]) -> Iterator[Draft]:
    """Real weights whose acceptance lies below the break-even."""
    if law.random_weights or law.alpha is None or law.measured is None:
        return
    if own.break_even is None or law.alpha >= own.break_even or law.measured >= 1 - LEAST:
        return
    saves, decode = _lost(law, rows)
    yield Draft(
        FindingKind.DRAFT_COST, Stage.DECODE.value,
        f"Drafting slows decode to {law.measured:.2f} times the target alone: α is "
        f"{law.alpha:.2f}, and γ {own.gamma} pays from {own.break_even:.2f} on.",
        law.measured, "number", saves, decode,
        "Draft less, or take a draft that agrees more, or costs less.",
        numbers={"measured": law.measured, "alpha": law.alpha, "gamma": own.gamma,
                 "break_even": own.break_even},
    )  # fmt: skip


def _lost(law: Law, rows: Sequence[Row]) -> tuple[int | None, int | None]:
    """Decode beyond what the target alone takes for as many tokens, and decode; where known."""
    known = [row for row in rows if row.tokens is not None and row.tokens > 1]
    if not known:
        return None, None
    decode = sum(row.decode_ns for row in known)
    alone = sum((row.tokens or 1) - 1 for row in known) * law.target_step_ns
    return (round(decode - alone), decode) if decode > alone else (None, decode)


def _ahead(law: Law, own: Curve, rows: Sequence[Row]) -> Iterator[Draft]:
    """What the draft does before the first token eats what decode saves."""
    known = [row for row in rows if row.draft_stages and row.tokens is not None and row.tokens > 1]
    if not known:
        return
    ahead = sum(row.draft_ahead_ns for row in known)
    target = sum(sum(row.target_stages.values()) for row in known)
    alone = sum((row.tokens or 1) - 1 for row in known) * law.target_step_ns
    most = alone * (1 - 1 / own.all_accepted)
    saved = alone - sum(row.decode_ns for row in known)
    of = sum(row.wall_ns for row in known)
    times = f", {ahead / target:.1f} times what the target takes" if target else ""
    if ahead >= most:
        made = f"were every draft accepted, decode would be {duration(most)} shorter"
    elif 0 < saved <= ahead and not law.random_weights:
        made = f"decode saves {duration(saved)}, so that requests end later than without it"
    else:
        return
    yield Draft(
        FindingKind.DRAFT_PREFILL, Stage.PREFILL.value,
        f"The draft takes {duration(ahead)} before the first token{times}; {made}.",
        ahead / of, "share", ahead, of,
        "Generate more tokens a request, begin decode with the target alone while the draft "
        "prefills, or take a draft with a cheaper encoder.",
        numbers={"ahead_ns": ahead, "target_ns": target, "most_ns": most, "saved_ns": saved},
    )  # fmt: skip


def _other_length(law: Law, own: Curve, rows: Sequence[Row]) -> Iterator[Draft]:
    """Another draft length is expected to be faster at the α of this run."""
    if law.random_weights or law.predicted is None or not law.best_gamma:
        return
    best = next(curve for curve in law.curves if curve.gamma == law.best_gamma)
    if best.at_alpha is None or best.at_alpha < (1 + LEAST) * law.predicted:
        return
    decode = sum(row.decode_ns for row in rows)
    by = "" if best.measured else ", its verify pass taken from a line through measured ones"
    yield Draft(
        FindingKind.DRAFT_LENGTH, Stage.DECODE.value,
        f"At α {law.alpha:.2f} the law expects {best.at_alpha:.2f} times the target alone of γ "
        f"{best.gamma}, and {law.predicted:.2f} of γ {own.gamma}{by}.",
        best.at_alpha / law.predicted, "number",
        round(decode * (1 - law.predicted / best.at_alpha)), decode,
        f"Run with --gamma {best.gamma}.",
        numbers={"alpha": law.alpha or 0.0, "best_gamma": best.gamma, "best": best.at_alpha,
                 "gamma": own.gamma, "predicted": law.predicted},
    )  # fmt: skip
