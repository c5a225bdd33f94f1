"""Rounds of speculative decoding: draft, verify in one pass of the target, accept, roll back.

Greedy text is the target's own, token by token, but for rounding: a pass over several positions
adds up in another order than a step does, so that two logits that are equal to the last bits may
change places. Sampled text has the target's distribution (see `acceptance`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tracekit.models.speculative.acceptance import Draft, judge
from tracekit.taxonomy import ACCEPT, ROLL_BACK, ROUND, VERIFY

if TYPE_CHECKING:
    import torch

    from tracekit.models.speculative.track import Track


@dataclass(frozen=True, slots=True)
class Round:
    """What one round made, added up over the rows that were not done."""

    drafted: int  # tokens proposed
    judged: int  # of them up to and with the first that was refused
    accepted: int
    made: int  # tokens that entered the text: accepted and the target's own
    rows: int


@dataclass(slots=True)
class Text:
    """The text of a request so far, and whether each of its B rows is done."""

    ids: list[list[int]]  # [B][n] generated, end token included
    done: list[bool]
    rounds: list[Round] = field(default_factory=list)

    def append(self, row: int, tokens: Sequence[int], most: int, eos: frozenset[int]) -> int:
        """How many of the tokens entered: up to an end token, and `most` in all."""
        before = len(self.ids[row])
        for token in tokens:
            if self.done[row]:
                break
            self.ids[row].append(token)
            self.done[row] = token in eos or len(self.ids[row]) >= most
        return len(self.ids[row]) - before


class Parts(Protocol):
    """What marks and times the parts of a round."""

    def part(self, name: str) -> AbstractContextManager[None]: ...


class Drafter(Protocol):
    """What proposes tokens. It is told of every text that `propose` was called with."""

    def propose(self, text: Text, count: int, parts: Parts) -> Draft:
        """At most `count` tokens behind each row."""
        ...

    def settle(self, text: Text) -> None:
        """The text after the round: what was refused is forgotten."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How many tokens are drafted a round and made in all, what ends a row, how one is chosen."""

    gamma: int
    most: int
    eos: frozenset[int]
    temperature: float = 0.0
    top_p: float = 1.0


def run(
    target: Track, drafter: Drafter, text: Text, first: torch.Tensor, rule: Rule, parts: Parts
) -> None:
    """Rounds until every row is done. `text` holds the token [B] of prefill, `first`, and grows."""
    pending = first
    while not all(text.done):
        with parts.part(f"{ROUND}{len(text.rounds)}"):
            pending = _round(target, drafter, text, pending, rule, parts)


def _round(
    target: Track, drafter: Drafter, text: Text, pending: torch.Tensor, rule: Rule, parts: Parts
) -> torch.Tensor:
    import torch

    short = min(len(ids) for ids, done in zip(text.ids, text.done, strict=True) if not done)
    count = min(rule.gamma, rule.most - short - 1)  # the target's own token is one more
    draft = drafter.propose(text, count, parts) if count else nothing(pending)
    with parts.part(VERIFY):
        logits = target.feed(torch.cat([pending[:, None], draft.tokens], dim=1))
    with parts.part(ACCEPT):
        verdict = judge(logits, draft, rule.temperature, rule.top_p)
        columns = [verdict.accepted[:, None], verdict.token[:, None], draft.counts[:, None]]
        told = torch.cat([*columns, draft.tokens], dim=1).tolist()  # waits for the device, once
    with parts.part(ROLL_BACK):
        text.rounds.append(_entered(target, text, told, rule))
        drafter.settle(text)
    return verdict.token


def _entered(target: Track, text: Text, told: Sequence[Sequence[int]], rule: Rule) -> Round:
    """Accepted tokens into the text, refused ones out of the target's cache."""
    lengths = list(target.lengths)
    drafted = judged = accepted = made = rows = 0
    for row, (stay, own, proposed, *tokens) in enumerate(told):
        if text.done[row]:
            continue
        rows, drafted, accepted = rows + 1, drafted + proposed, accepted + stay
        judged += min(stay + 1, proposed)
        made += text.append(row, [*tokens[:stay], own], rule.most, rule.eos)
        lengths[row] += stay + 1
    target.settle(lengths)
    return Round(drafted, judged, accepted, made, rows)


def nothing(pending: torch.Tensor) -> Draft:
    """No proposal for any of the rows [B]."""
    return Draft(pending[:, None][:, :0], pending.new_zeros(len(pending)))
