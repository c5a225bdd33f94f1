"""Who drafts: a model with a cache of its own, or the text itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tracekit.models.shared.sampling import distribution, draw
from tracekit.models.shared.tokenizers import UNK
from tracekit.models.speculative.acceptance import Draft
from tracekit.models.speculative.loop import Parts, Rule, Text
from tracekit.models.speculative.track import Track
from tracekit.models.speculative.vocabulary import Shared
from tracekit.taxonomy import DRAFT_STEP

if TYPE_CHECKING:
    import torch


class ModelDraft:
    """A causal model that reads its own prompt and the target's text, and goes on from there."""

    def __init__(self, track: Track, shared: Shared, rule: Rule) -> None:
        """`track` as the draft's prefill left it."""
        self.track, self.shared, self.rule = track, shared, rule
        self._prompt = track.lengths[0]
        self._unread = 1  # tokens of the text that are not in the cache yet; of every row alike
        self._fed = 0
        self._hidden: torch.Tensor | None = None  # [V] ids that are never proposed

    def propose(self, text: Text, count: int, parts: Parts) -> Draft:
        """`count` tokens behind each row, one pass each."""
        import torch

        device = self.track.decoder.options.device
        unread = [self._known(ids[-self._unread :]) for ids in text.ids]
        # a row that is done may be shorter than what the others have not read: it does not matter
        fed = torch.tensor([[*[UNK] * (self._unread - len(r)), *r] for r in unread], device=device)
        self._fed = self._unread + count - 1
        tokens, chances = [], []
        for number in range(count):
            with parts.part(f"{DRAFT_STEP}{number}"):
                token, drawn_from = self._choose(self.track.feed(fed, keep=1))
                fed = token[:, None]
            tokens.append(token)
            if drawn_from is not None:
                chances.append(drawn_from)
        drawn = torch.stack(tokens, dim=1)
        counts = torch.full((len(text.ids),), count, device=device)
        return Draft(drawn, counts, torch.stack(chances, dim=1) if chances else None)

    def _known(self, ids: Sequence[int]) -> list[int]:
        """The ids as the draft reads them: those that only the target has as an unknown one."""
        return [i if self.shared.knows(i) else UNK for i in ids]

    def _choose(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """A token [B] of logits [B, V], and its chances in the target's vocabulary."""
        import torch

        if self._hidden is None:
            self._hidden = ~torch.tensor(self.shared.allowed, device=logits.device)
        logits = logits[:, : len(self._hidden)].masked_fill(self._hidden, float("-inf"))
        if self.rule.temperature == 0:
            return logits.argmax(dim=-1), None
        chances = distribution(logits, self.rule.temperature, self.rule.top_p)
        missing = self.shared.target - chances.shape[1]
        padded = torch.nn.functional.pad(chances, (0, missing))  # or cut, where it is negative
        return draw(chances), padded

    def settle(self, text: Text) -> None:
        """Roll back what was refused; every row then lacks as many tokens of the text."""
        held, lengths = self.track, list(self.track.lengths)
        whole = [self._prompt + len(ids) for ids in text.ids]
        going = [row for row, done in enumerate(text.done) if not done]
        # the newest token is the target's own, which no draft pass has read
        have = {row: min(whole[row] - 1, held.lengths[row] + self._fed) for row in going}
        self._unread = max((whole[row] - have[row] for row in going), default=1)
        for row in going:
            lengths[row] = whole[row] - self._unread
        held.settle(lengths)
        self._fed = 0


class LookUp:
    """Prompt look-up: what followed the newest tokens where they stood before.

    Source: Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding; of several places the last.
    """

    LONGEST = 3  # tokens that are looked for; then 2, then 1

    def __init__(self, prompt: Sequence[int], target: int, device: str) -> None:
        """`prompt` of the target, one row's; what is no id of its `target` ids is not proposed."""
        self.prompt, self.target, self.device = list(prompt), target, device

    def propose(self, text: Text, count: int, parts: Parts) -> Draft:
        """At most `count` tokens behind each row, as many as there are."""
        import torch

        with parts.part(f"{DRAFT_STEP}0"):
            rows = [self._after(ids, count) if not done else []
                    for ids, done in zip(text.ids, text.done, strict=True)]  # fmt: skip
            width = max(map(len, rows))
            tokens = torch.tensor([[*row, *[UNK] * (width - len(row))] for row in rows])
            counts = torch.tensor([len(row) for row in rows], device=self.device)
        return Draft(tokens.long().view(len(rows), width).to(self.device), counts)

    def _after(self, ids: Sequence[int], count: int) -> list[int]:
        known = [*self.prompt, *ids]
        for length in range(min(self.LONGEST, len(known) - 1), 0, -1):
            newest = known[-length:]
            for at in range(len(known) - length - 1, -1, -1):
                if known[at : at + length] == newest:
                    found = known[at + length : at + length + count]
                    bad = next((n for n, i in enumerate(found) if not 0 <= i < self.target), None)
                    return found[:bad]
        return []

    def settle(self, text: Text) -> None:
        """Nothing is kept that could be forgotten."""
