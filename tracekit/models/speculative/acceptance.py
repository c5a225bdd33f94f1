"""Which draft tokens stay: the target's own choice decides, exactly.

Source: Leviathan et al. 2023, arXiv 2211.17192, algorithm 1; Chen et al. 2023, arXiv 2302.01318.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracekit.models.shared.sampling import distribution, draw

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Draft:
    """Proposed tokens of B rows, k each.

    `chances` are what each token was drawn from, in the target's vocabulary; None where the draft
    proposes one token for sure, as look-up and greedy drafts do: its chances are 1 there.
    `counts` says how many of a row's k tokens are proposals; what follows is padding.
    """

    tokens: torch.Tensor  # [B, k]
    counts: torch.Tensor  # [B]
    chances: torch.Tensor | None = None  # [B, k, V]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many leading draft tokens stay, and the target's token behind them; [B] each."""

    accepted: torch.Tensor
    token: torch.Tensor


def judge(logits: torch.Tensor, draft: Draft, temperature: float, top_p: float) -> Verdict:
    """The verdict on a draft by the target's logits [B, k + 1, V] at its k places and the next.

    Greedy (temperature 0): a token stays where it is the target's own choice. Sampled: token x
    stays with chance min(1, p(x) / q(x)), and the first that does not is replaced by one drawn
    from max(0, p - q), renormalised; what comes out has the distribution p, whatever the draft.
    """
    if temperature == 0:
        return _greedy(logits, draft)
    return _sampled(logits, draft, temperature, top_p)


def _leading(stays: torch.Tensor, draft: Draft) -> torch.Tensor:
    """[B] how many proposals stay before the first that does not, of [B, k]."""
    import torch

    places = torch.arange(stays.shape[1], device=stays.device)
    return (stays & (places < draft.counts[:, None])).long().cumprod(dim=1).sum(dim=1)


def _greedy(logits: torch.Tensor, draft: Draft) -> Verdict:
    own = logits.argmax(dim=-1)
    accepted = _leading(draft.tokens == own[:, :-1], draft)
    return Verdict(accepted, own.gather(1, accepted[:, None])[:, 0])


def _sampled(logits: torch.Tensor, draft: Draft, temperature: float, top_p: float) -> Verdict:
    import torch

    rows, places, vocab = logits.shape
    p = distribution(logits.flatten(0, 1), temperature, top_p).view(rows, places, vocab)
    drawn = draft.tokens[..., None]
    p_drawn = p[:, :-1].gather(2, drawn)[..., 0]
    if draft.chances is None:
        q = torch.zeros_like(p[:, :-1]).scatter(2, drawn, 1.0)
        q_drawn = torch.ones_like(p_drawn)
    else:
        q, q_drawn = draft.chances, draft.chances.gather(2, drawn)[..., 0]
    # u < p / q without a division; u is below 1, so that what p has no chance for never stays
    accepted = _leading(torch.rand_like(p_drawn) * q_drawn < p_drawn, draft)
    at = accepted[:, None, None].expand(-1, 1, vocab)
    behind = p.gather(1, at)[:, 0]
    if places > 1:
        refused = q.gather(1, at.clamp(max=places - 2))[:, 0]
        left = (behind - refused).clamp(min=0)
        # behind the last proposal nothing was refused; and rounding may leave nothing of p - q
        whole = (accepted >= draft.counts) | (left.sum(dim=-1) <= 0)
        behind = torch.where(whole[:, None], behind, left)
    return Verdict(accepted, draw(behind))
