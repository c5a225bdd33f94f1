"""The next token from logits: greedy, or temperature and top-p."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from tracekit.models.shared.golden import Golden

GOLDENS = ("OneLLM sample_top_p",)


def distribution(
    logits: torch.Tensor, temperature: float | torch.Tensor, top_p: float | torch.Tensor
) -> torch.Tensor:
    """The probabilities a token is drawn from, [B, V] in vocabulary order, rows sum to 1.

    softmax(logits / T); of the tokens in descending order those whose predecessors already sum to
    more than `top_p` are dropped, and the rest renormalised. `temperature` and `top_p` are numbers
    or [B, 1].

    Source: top-p sampling of LLaMA and OneLLM; Holtzman et al. 2020, arXiv 1904.09751.
    """
    import torch

    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    ordered, order = torch.sort(probabilities, dim=-1, descending=True)
    before = torch.cumsum(ordered, dim=-1) - ordered
    ordered = torch.where(before > top_p, 0.0, ordered)
    ordered = ordered / ordered.sum(dim=-1, keepdim=True)
    return torch.zeros_like(ordered).scatter(-1, order, ordered)


def choose(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """The next token of each row, [B] int64 on the device; temperature 0 takes the largest logit.

    Raises: ValueError for a negative temperature.
    """
    if temperature < 0:
        raise ValueError("temperature < 0")
    if temperature == 0:
        return logits.argmax(dim=-1)
    return draw(distribution(logits, temperature, top_p))


def draw(chances: torch.Tensor) -> torch.Tensor:
    """A token of each row, [B] int64, by its chances [B, V], which need not sum to 1.

    It is the least of exponential times at its probability, what torch.multinomial does, and the
    same token; that reads two checks back on the host, and this waits for nothing.
    """
    import torch

    return (chances / torch.empty_like(chances).exponential_(1.0)).argmax(dim=-1)


def golden(case: Golden) -> dict[str, object]:
    """The filtered distribution of every row of onellm_sampling."""
    import torch

    given = {name: torch.from_numpy(value) for name, value in case.under("in.").items()}
    columns = (given["temperature"][:, None], given["top_p"][:, None])
    return {"out.filtered_probs": distribution(given["logits"], *columns)}
