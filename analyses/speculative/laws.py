"""What the measured costs of a pair make of every acceptance: see `speculative_law`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from tracekit.answers.speculative import Curve, Law, Round, Row, Verify
from tracekit.attribution.roofline import speculative_law
from tracekit.attribution.roofline.speculative_law import Costs
from tracekit.records import replace

GAMMAS = range(1, 9)
ALPHAS = tuple(round(0.025 * i, 3) for i in range(41))
ALONE = "TPOT of the target alone, times what the profiler adds to the pair's decode"
SINGLE = "verify passes over one position"


def laws_of(rows: Sequence[Row]) -> tuple[Law, ...]:
    """One of each pair of models whose costs the rows tell."""
    pairs: defaultdict[tuple[str | None, str | None], list[Row]] = defaultdict(list)
    for row in rows:
        if row.request is not None:
            pairs[row.draft, row.target].append(row)
    return tuple(law for own in pairs.values() if (law := _law(own)) is not None)


def alpha_of(rows: Sequence[Row]) -> float | None:
    """Accepted over judged, of the rows that say both."""
    known = [row for row in rows if row.accepted is not None and row.judged]
    judged = sum(row.judged or 0 for row in known)
    return sum(row.accepted or 0 for row in known) / judged if judged else None


def _law(rows: Sequence[Row]) -> Law | None:
    every = [one for row in rows for one in row.ledger]
    drafting = [r for r in every if _drafted(r)]
    verify = _verify(every)
    step = _target_step(rows, verify)
    if step is None or not drafting:
        return None
    target, basis = step
    draft = median(r.spent.draft_ns / _drafted(r) for r in drafting)
    other = _other(rows, every)
    own = max(_drafted(r) for r in drafting)
    gamma = max((row.gamma for row in rows if row.gamma), default=own)
    found = {n: ns / target for n, (ns, _) in verify.items()}
    costs = Costs(draft / target, found, other / target)
    alpha = alpha_of(rows)
    gains = [row.decode_speedup for row in rows if row.decode_speedup is not None]
    gammas = sorted({*GAMMAS, gamma})
    return Law(
        draft=rows[0].draft, target=rows[0].target, gamma=gamma,
        random_weights=_any(row.random_weights for row in rows),
        draft_step_ns=draft, target_step_ns=target, target_step_of=basis, other_ns=other,
        c=costs.draft, other=costs.other,
        verify=tuple(Verify(n, ns, many, ns / target) for n, (ns, many) in sorted(verify.items())),
        alpha=alpha,
        predicted=None if alpha is None else speculative_law.speedup(alpha, gamma, costs),
        measured=median(gains) if gains else None,
        best_gamma=None if alpha is None else speculative_law.best_gamma(alpha, costs, gammas),
        alphas=ALPHAS, curves=tuple(_curve(g, costs, alpha, found) for g in gammas),
    )  # fmt: skip


def _curve(gamma: int, costs: Costs, alpha: float | None, verify: Mapping[int, float]) -> Curve:
    free = replace(costs, other=0.0)
    return Curve(
        gamma=gamma, cost=costs.round(gamma), verify=costs.verifying(gamma + 1),
        measured=gamma + 1 in verify, break_even=speculative_law.break_even(gamma, costs),
        break_even_alone=speculative_law.break_even(gamma, free),
        all_accepted=speculative_law.speedup(1.0, gamma, costs),
        at_alpha=None if alpha is None else speculative_law.speedup(alpha, gamma, costs),
        speedups=tuple(round(speculative_law.speedup(a, gamma, costs), 4) for a in ALPHAS),
    )  # fmt: skip


def _drafted(one: Round) -> int:
    """Tokens that the round drafted of a row: as the run says, else its draft steps."""
    if one.drafted is None:
        return one.draft_steps
    return -(-one.drafted // (one.sequences or 1))


def _verify(every: Sequence[Round]) -> dict[int, tuple[float, int]]:
    """Median length of a verify pass, and how many, by the positions that it is over."""
    lengths: defaultdict[int, list[int]] = defaultdict(list)
    for one in every:
        if one.spent.verify_ns:
            lengths[_drafted(one) + 1].append(one.spent.verify_ns)
    return {n: (median(ns), len(ns)) for n, ns in lengths.items()}


def _target_step(
    rows: Sequence[Row], verify: Mapping[int, tuple[float, int]]
) -> tuple[float, str] | None:
    """Rounds are profiled and the target alone is not: it is put into the same conditions."""
    alone = [
        row.alone.tpot_ns * row.tpot_ns / row.plain.tpot_ns for row in rows
        if row.alone is not None and row.plain is not None
        and row.alone.tpot_ns and row.plain.tpot_ns and row.tpot_ns
    ]  # fmt: skip
    if alone:
        return median(alone), ALONE
    return (verify[1][0], SINGLE) if 1 in verify else None


def _other(rows: Sequence[Row], every: Sequence[Round]) -> float:
    """What a round costs beside drafting and verifying, what lies between rounds included."""
    inside = median(r.spent.total_ns - r.spent.draft_ns - r.spent.verify_ns for r in every)
    return inside + sum(row.outside_ns for row in rows) / len(every)


def _any(said: Iterator[bool | None]) -> bool | None:
    known = [one for one in said if one is not None]
    return any(known) if known else None
