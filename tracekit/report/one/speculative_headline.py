"""The headline of a speculative run: does drafting pay, and what decides it."""

from __future__ import annotations

from tracekit.answers.speculative import Curve, Law, Speculative
from tracekit.results.answers import Answers
from tracekit.results.units import plural, share

WORTH = 0.25  # of the requests' wall time: decode that the first sentence is about


def headline(one: Answers) -> str:
    """Speed-up, acceptance and the cost that decides; empty where the trace has none of these.

    Costs are in decode steps of the target alone, as in the law (`answers.speculative.LAW`).
    """
    result = one.get(Speculative)
    if result is None or not result.rows:
        return ""
    decode, wall = (sum(getattr(row, ns) for row in result.rows) for ns in ("decode_ns", "wall_ns"))
    if decode < WORTH * wall:
        return ""
    law = max(result.laws, key=lambda own: _rounds(result, own), default=None)
    if law is None or law.own is None:
        return _accepted_alone(result)
    return f"{_lead(result, law, law.own)}; {_outcome(result, law)}."


def _rounds(result: Speculative, law: Law) -> int:
    pair = (law.draft, law.target)
    return sum(row.rounds for row in result.rows if (row.draft, row.target) == pair)


def _accepted_alone(result: Speculative) -> str:
    """Of an engine, which marks rounds and not what they would cost without drafts."""
    if result.acceptance is None or result.tokens_per_round is None:
        return ""
    return (
        f"Speculative decoding: {share(result.acceptance, 0)} of the draft tokens are accepted, "
        f"{result.tokens_per_round:.2f} tokens a round."
    )


def _lead(result: Speculative, law: Law, own: Curve) -> str:
    """Whether this draft pays, of whole requests where their time is known, and what it costs."""
    costs = f"at γ {own.gamma} a round costs {own.cost:.2f} target steps ({_dearest(law, own)})"
    if own.break_even is None:
        return f"Drafting cannot pay here: {costs} and makes {own.gamma + 1} tokens at most"
    pays = f"and pays from an acceptance α of {own.break_even:.2f} on"
    known = [own for own in (result.speedup, law.measured, law.predicted) if own is not None]
    if not known or law.random_weights:
        return f"Speculative decoding: {costs} {pays}"
    return f"Drafting {'pays' if known[0] > 1 else 'does not pay'} here: {costs} {pays}"


def _dearest(law: Law, own: Curve) -> str:
    """The part of a round that costs most."""
    steps = f"{plural(own.gamma, 'draft step')} of {law.c:.2f}"
    parts = {
        steps: own.gamma * law.c,
        f"a verify pass of {own.verify:.2f}": own.verify,
        f"{law.other:.2f} to accept, roll back and on the host": law.other,
    }
    return max(parts, key=lambda part: parts[part])


def _outcome(result: Speculative, law: Law) -> str:
    """What came of it: the speed-up, and the acceptance, which of random weights says nothing."""
    said = []
    if law.measured is not None:
        whole = "" if result.speedup is None else f" (whole requests {result.speedup:.2f})"
        said.append(f"decode ran at {law.measured:.2f} times the speed of the target alone{whole}")
    elif law.predicted is not None:
        said.append(f"{law.predicted:.2f} times the target alone is expected")
    if result.acceptance is not None:
        chance = " (random weights: means nothing)" if law.random_weights else ""
        said.append(f"{share(result.acceptance, 0)} of the draft tokens accepted{chance}")
    return ", ".join(said) or "its speed-up was not measured"
