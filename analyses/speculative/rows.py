"""Requests with their rounds, as rows of the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tracekit.answers.speculative import Parts, Plain, Round, Row
from tracekit.records import replace
from tracekit.trace.capture_facts import (
    CaptureFacts,
    PairFacts,
    PlainRun,
    RequestFacts,
    RoundFacts,
    captured,
)
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
        facts = _of(said, request, place)
        each = facts.rounds if facts is not None else ()
        ledger = []
        for at in range(bounds[place], bounds[place + 1]):
            number = int(found.number[at])
            counts = each[number] if number < len(each) else None
            ledger.append(_round(number, spans[at], counts, None))
        rows.append(_row(trace, request, ledger, run, said, facts, place))
    return rows


def _of(said: PairFacts | None, request: own.Request, place: int) -> RequestFacts | None:
    """Of this sample; where the trace numbers none, of this place."""
    at = place if request.sample is None else request.sample
    return said.requests[at] if said is not None and at < len(said.requests) else None


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
    tokens = _tokens(run, ledger, place if request.sample is None else request.sample)
    plain, alone = (_shown(one) for one in ((facts.plain, facts.alone) if facts else (None, None)))
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
        target_stages=request.target, draft_stages=request.draft, plain=plain, alone=alone,
        speedup=_whole(plain, alone), decode_speedup=_decode(plain, alone),
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
    return Parts(*(sum(getattr(one, name) for one in parts) for name in Parts.__struct_fields__))


def _tokens(run: CaptureFacts | None, ledger: Sequence[Round], place: int) -> int | None:
    """As the run counted them; else of each round the accepted and one more, and prefill's."""
    if run is not None and place < len(run.generated):
        return run.generated[place]
    accepted = _sum(r.accepted for r in ledger)
    if accepted is None or any(r.sequences != 1 for r in ledger):
        return None
    return 1 + accepted + len(ledger)


def _shown(one: PlainRun | None) -> Plain | None:
    return None if one is None else Plain(one.ttft_ns, one.tpot_ns, one.wall_ns, one.tokens)


def _whole(plain: Plain | None, alone: Plain | None) -> float | None:
    """Of whole requests of as many tokens."""
    if plain is None or alone is None or plain.tokens is None or plain.tokens != alone.tokens:
        return None
    return alone.wall_ns / plain.wall_ns


def _decode(plain: Plain | None, alone: Plain | None) -> float | None:
    """Time of a later token alone over that of the pair."""
    if plain is None or alone is None or not plain.tpot_ns or not alone.tpot_ns:
        return None
    return alone.tpot_ns / plain.tpot_ns
