"""Requests with their rounds, as rows of the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace

import numpy as np

from tracekit.answers.speculative import Alone, Parts, Round, Row
from tracekit.trace.capture_facts import CaptureFacts, PairFacts, RequestFacts, RoundFacts, captured
from tracekit.trace.trace import Trace

from . import own
from .marked import Marked, Took, took


def own_rows(trace: Trace, found: Marked, requests: Sequence[own.Request]) -> list[Row]:
    """One row a request of our own marks."""
    spans, run = took(trace, found), captured(trace.source)
    said = run.pair if run is not None else None
    bounds = np.searchsorted(found.group, np.arange(len(requests) + 1)).tolist()
    rows = []
    for place, request in enumerate(requests):
        facts = said.of(request.sample, place) if said is not None else None
        each = facts.rounds if facts is not None else ()
        ledger = []
        for at in range(bounds[place], bounds[place + 1]):
            number = int(found.number[at])
            counts = each[number] if number < len(each) else None
            ledger.append(_round(number, spans[at], counts, None))
        rows.append(_row(trace, request, ledger, run, said, facts, place))
    return rows


def engine_row(trace: Trace, found: Marked, drafted: Sequence[int | None]) -> list[Row]:
    """One row a thread of a serving engine, whose requests no annotation names."""
    spans = took(trace, found)
    rows = []
    for group in np.unique(found.group).tolist():
        at = np.flatnonzero(found.group == group).tolist()
        ledger = [_round(int(found.number[i]), spans[i], None, drafted[i]) for i in at]
        start, end = ledger[0].start_ns, ledger[-1].start_ns + ledger[-1].wall_ns
        request = own.Request(-1, None, start, start, end, {}, {})
        rows.append(replace(_row(trace, request, ledger, None, None, None, 0), request=None))
    return rows


def _round(number: int, span: Took, facts: RoundFacts | None, drafted: int | None) -> Round:
    """`drafted` where only that is known."""
    return Round(
        number=number, start_ns=span.start_ns, wall_ns=span.end_ns - span.start_ns,
        draft_steps=span.draft_steps, drafted=facts.drafted if facts else drafted,
        accepted=facts.accepted if facts else None, judged=facts.judged if facts else None,
        sequences=facts.rows if facts else None, spent=span.spent, device=span.device,
    )  # fmt: skip


def _row(
    trace: Trace, request: own.Request, ledger: Sequence[Round], run: CaptureFacts | None,
    said: PairFacts | None, facts: RequestFacts | None, place: int,
) -> Row:  # fmt: skip
    last = ledger[-1]
    end = max(request.end_ns, last.start_ns + last.wall_ns)
    decode, wall = end - request.decode_ns, end - request.start_ns
    tokens = _tokens(run, facts, ledger, place)
    alone = _alone(facts)
    return Row(
        trace=trace.path, request=request.number,
        draft=said.draft if said else None, target=said.target if said else None,
        gamma=said.gamma if said else None,
        random_weights=run.random_weights if run is not None else None,
        rounds=len(ledger), drafted=_sum(r.drafted for r in ledger),
        accepted=_sum(r.accepted for r in ledger), judged=_sum(r.judged for r in ledger),
        same_as_target=facts.same_as_target if facts else None, tokens=tokens,
        tpot_ns=decode / (tokens - 1) if tokens is not None and tokens > 1 else None,
        tokens_per_round=_made(ledger), wall_ns=wall,
        decode_ns=decode, outside_ns=decode - sum(r.wall_ns for r in ledger),
        spent=added([r.spent for r in ledger]),
        device=added([r.device for r in ledger if r.device is not None]) if last.device else None,
        target_stages=request.target, draft_stages=request.draft, alone=alone,
        speedup=_whole(alone, wall, tokens), decode_speedup=_decode(alone, decode, tokens),
        ledger=tuple(ledger),
    )  # fmt: skip


def _made(ledger: Sequence[Round]) -> float | None:
    """Accepted tokens and the target's own, of a row of the batch and round."""
    accepted, each = _sum(r.accepted for r in ledger), _sum(r.sequences for r in ledger)
    return None if accepted is None or not each else (accepted + each) / each


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(v for v in known if v is not None)


def added(parts: Sequence[Parts]) -> Parts:
    """Field by field."""
    return Parts(*(sum(getattr(one, f.name) for one in parts) for f in fields(Parts)))


def _tokens(
    run: CaptureFacts | None, facts: RequestFacts | None, ledger: Sequence[Round], place: int
) -> int | None:
    """As the run counted them; else of each round the accepted and one more, and prefill's."""
    if facts is not None and facts.tokens is not None:
        return facts.tokens
    if run is not None and place < len(run.generated):
        return run.generated[place]
    accepted = _sum(r.accepted for r in ledger)
    if accepted is None or any(r.sequences != 1 for r in ledger):
        return None
    return 1 + accepted + len(ledger)


def _alone(facts: RequestFacts | None) -> Alone | None:
    one = facts.alone if facts is not None else None
    return None if one is None else Alone(one.ttft_ns, one.tpot_ns, one.wall_ns, one.tokens)


def _whole(alone: Alone | None, wall_ns: int, tokens: int | None) -> float | None:
    """Of whole requests of as many tokens."""
    if alone is None or not alone.wall_ns or tokens is None or alone.tokens != tokens:
        return None
    return alone.wall_ns / wall_ns


def _decode(alone: Alone | None, decode_ns: int, tokens: int | None) -> float | None:
    """Time of a later token alone over that here."""
    if alone is None or not alone.tpot_ns or tokens is None or tokens < 2 or not decode_ns:
        return None
    return alone.tpot_ns / (decode_ns / (tokens - 1))
