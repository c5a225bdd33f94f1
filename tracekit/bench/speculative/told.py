"""What the file of a benchmark of pairs says: each pair's figures beside the target alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from tracekit.attribution.roofline import speculative_law
from tracekit.bench import statistics
from tracekit.bench.speculative.costs import Costs
from tracekit.bench.timing import Outcome
from tracekit.capture import pairs
from tracekit.capture.recorder import Request
from tracekit.models.speculative.entry import Asked
from tracekit.taxonomy import Stage

RANDOM = (
    "random weights: acceptance, and all that rests on it, means nothing; what passes cost is real"
)


def told_of(
    target: str, asked: Sequence[Asked], outcomes: Sequence[Outcome], costs: Mapping[str, Costs]
) -> dict[str, Any]:
    """`speculative` of the file. `outcomes`: the target alone, then one of each of `asked`."""
    own, *others = outcomes
    random = any(o.facts is not None and o.facts.random_weights for o in outcomes)
    return {
        "target": target,
        "random_weights": random,
        "note": RANDOM if random else None,
        "alone": _figures(own.requests) if own.requests else None,
        "rows": [
            _row(one, outcome, own, costs.get(one.draft))
            for one, outcome in zip(asked, others, strict=True)
        ],
    }


def _row(one: Asked, outcome: Outcome, own: Outcome, costs: Costs | None) -> dict[str, Any]:
    """A pair and γ: its figures, each against the target alone, and what its passes cost."""
    row: dict[str, Any] = {"draft": one.draft, "gamma": one.gamma, "error": outcome.error}
    if not outcome.requests or not own.requests:
        return row
    ours, theirs = _figures(outcome.requests), _figures(own.requests)
    row |= {
        **ours,
        "ttft_over_alone": _ratio(ours["ttft_ns"], theirs["ttft_ns"]),
        "tpot_speedup": _ratio(theirs["tpot_ns"], ours["tpot_ns"]),
        "request_speedup": _ratio(theirs["request_ns"], ours["request_ns"]),
        "ttft_ratio": _per_sample(outcome.requests, own.requests, _ttft_ratio),
        "decode_speedup": _per_sample(outcome.requests, own.requests, _speedup),
        **_rounds(outcome.requests),
        **_law(one.gamma, outcome.requests, own.requests),
        "same_as_target": _same(outcome, own),
        "draft_ahead_ns": fmean(sum(pairs.draft_stages(r).values()) for r in outcome.requests),
        "memory": outcome.requests[-1].told.get("memory"),
    }
    if costs is not None:
        wide = costs.verify.get(one.gamma + 1)
        row |= {
            "target_step_ns": costs.target_step,
            "draft_step_ns": costs.draft_step,
            "c": costs.c,
            "verify_ns": wide,
            "verify_over_step": _ratio(wide, costs.target_step),
        }
    return row


def _figures(requests: Sequence[Request]) -> dict[str, float | None]:
    """Means over requests, in ns; tokens a second of decode, the first token left out."""
    made = [(one.tokens - 1, one.stages[Stage.DECODE]) for one in requests if one.tokens > 1]
    rows = len(requests[0].ids) or 1
    steps = [ns / tokens for tokens, ns in made]
    spent = sum(ns for _, ns in made)
    return {
        "ttft_ns": fmean(map(pairs.ttft, requests)),
        "tpot_ns": fmean(steps) if steps else None,
        "request_ns": fmean(one.wall for one in requests),
        "tokens_per_s": rows * 1e9 * sum(n for n, _ in made) / spent if spent else None,
    }


Summary = dict[str, float | None]


def _per_sample(
    ours: Sequence[Request],
    theirs: Sequence[Request],
    measure: Callable[[Request, Request], float | None],
) -> Summary | None:
    """A number of each sample that both ran: median, and its 95 % interval; None without any."""
    each = [
        value for a, b in zip(ours, theirs, strict=False) if (value := measure(a, b)) is not None
    ]
    found = statistics.summarize(each)
    if found is None:
        return None
    return {"median": found.median, "low": found.low, "high": found.high, "n": found.count}


def _ttft_ratio(ours: Request, theirs: Request) -> float | None:
    return _ratio(pairs.ttft(ours), pairs.ttft(theirs))


def _speedup(ours: Request, theirs: Request) -> float | None:
    """Decode of the target alone over the pair's."""
    return _ratio(pairs.tpot(theirs), pairs.tpot(ours))


def _round_cost(ours: Request, theirs: Request) -> float | None:
    """Decode of the pair over its rounds, in decode steps of the target alone."""
    rounds = len(ours.told["rounds"])
    return _ratio(ours.stages[Stage.DECODE] / rounds, pairs.tpot(theirs)) if rounds else None


def _law(gamma: int, ours: Sequence[Request], theirs: Sequence[Request]) -> dict[str, Any]:
    """What a round costs, and the least acceptance at which it pays; None where none does."""
    cost = _per_sample(ours, theirs, _round_cost)
    if cost is None or cost["median"] is None:
        return {"round_cost": None, "break_even": None}
    whole = law_of(gamma, cost["median"])
    return {"round_cost": cost, "break_even": speculative_law.break_even(gamma, whole)}


def law_of(gamma: int, round_cost: float) -> speculative_law.Costs:
    """Costs of which a round of `gamma` draft tokens is so many decode steps, all in all."""
    return speculative_law.Costs(draft=0.0, verify={gamma + 1: round_cost})


def _rounds(requests: Sequence[Request]) -> dict[str, Any]:
    """Acceptance over all requests; None where nothing was drafted."""
    rounds = [one for request in requests for one in request.told["rounds"]]
    total = {key: sum(one[key] for one in rounds)
             for key in ("drafted", "judged", "accepted", "made", "rows")}  # fmt: skip
    return {
        "rounds": len(rounds) / len(requests),
        "drafted": total["drafted"],
        "judged": total["judged"],
        "accepted": total["accepted"],
        "acceptance": _ratio(total["accepted"], total["drafted"]),
        "alpha": _ratio(total["accepted"], total["judged"]),
        "alpha_interval": _alpha_interval(requests),
        "tokens_per_round": _ratio(total["made"], total["rows"]),
    }


def _alpha_interval(requests: Sequence[Request]) -> list[float] | None:
    """[low, high] of α at 95 %, requests being what varies; None where too few, or alike."""
    told = [request.told["rounds"] for request in requests]
    accepted = [sum(one["accepted"] for one in rounds) for rounds in told]
    judged = [sum(one["judged"] for one in rounds) for rounds in told]
    found = statistics.ratio_interval(accepted, judged)
    return None if found is None else [max(found[0], 0.0), min(found[1], 1.0)]


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _same(outcome: Outcome, own: Outcome) -> bool | None:
    """Whether greedy text is the target's; None where it is sampled."""
    if outcome.config.plan.options.temperature > 0:
        return None
    return all(a.ids == b.ids for a, b in zip(outcome.requests, own.requests, strict=False))
