"""A draft with another tokenizer: its tokens become text, and the text the target's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracekit.models.shared.tokenizers import UNK
from tracekit.models.speculative.acceptance import Draft
from tracekit.models.speculative.loop import Parts, Text
from tracekit.models.speculative.track import Track
from tracekit.models.speculative.vocabulary import Words
from tracekit.taxonomy import DRAFT_STEP, TRANSLATE


@dataclass(slots=True)
class Cost:
    """What translation made of the draft's tokens, over all rounds of a request."""

    drafted: int = 0  # tokens of the draft
    proposed: int = 0  # tokens of the target that they became; more than a round asks for are cut
    read_again: int = 0  # tokens of the draft that changed as their text went on


class TranslatedDraft:
    """A causal model whose ids are not the target's; one row, and its most likely tokens.

    Source: the idea of universal assisted generation, Timor et al. 2025, arXiv 2502.05202, first
    algorithm: what is proposed is exact text, and the target judges its own tokens of it.
    """

    def __init__(self, track: Track, draft: Words, target: Words, targets: int) -> None:
        """`track` as the draft's prefill left it; the target has `targets` ids."""
        import torch

        self.track, self.draft, self.target, self.targets = track, draft, target, targets
        self._prompt = track.lengths[0]
        self._read: list[int] = []  # ids of the draft in its cache behind the prompt
        vocabulary = int(track.decoder.model.config.get_text_config(decoder=True).vocab_size)
        added = [number in draft.added() for number in range(vocabulary)]
        self._hidden = torch.tensor(added, device=track.decoder.options.device)
        self.cost = Cost()

    def propose(self, text: Text, count: int, parts: Parts) -> Draft:
        """At most `count` tokens of the target: what `count` of the draft's become."""
        import torch

        device = self.track.decoder.options.device
        [ids] = text.ids
        with parts.part(TRANSLATE):
            unread = self._catch_up(self.target.decode(ids))
        fed, made = torch.tensor([unread], device=device), []
        for number in range(count):
            with parts.part(f"{DRAFT_STEP}{number}"):
                logits = self.track.feed(fed, keep=1)[:, : len(self._hidden)]
                fed = logits.masked_fill(self._hidden, float("-inf")).argmax(dim=-1)[:, None]
                made.append(fed)
        with parts.part(TRANSLATE):
            new = [int(token) for token in torch.cat(made, dim=1)[0].tolist()]
            known = [*self._read, *unread]
            self._read = [*known, *new[:-1]]  # the last one no pass has read
            found = self._translated(ids, known, new)[:count]
        self.cost.drafted += len(new)
        self.cost.proposed += len(found)
        tokens = torch.tensor([found], device=device).long().view(1, len(found))
        return Draft(tokens, torch.tensor([len(found)], device=device))

    def _catch_up(self, said: str) -> list[int]:
        """Rolls back to where cache and text agree; the draft's ids behind, one at least."""
        wanted = self.draft.encode(said, bos=False) or [UNK]
        same = 0
        while same < min(len(self._read), len(wanted) - 1) and self._read[same] == wanted[same]:
            same += 1
        self.cost.read_again += len(self._read) - same
        self.track.settle([self._prompt + same])
        self._read = self._read[:same]
        return wanted[same:]

    def _translated(
        self, ids: Sequence[int], known: Sequence[int], new: Sequence[int]
    ) -> list[int]:
        """The target's tokens of what the draft said new, as they would go on from `ids`."""
        before, whole = self.draft.decode(known), self.draft.decode([*known, *new])
        more = whole[len(before) :] if whole.startswith(before) else self.draft.decode(new)
        again = self.target.encode(self.target.decode(ids) + more, bos=False)
        found = again[len(ids) :] if again[: len(ids)] == list(ids) else None
        if found is None:  # the text is cut into other tokens where it goes on
            found = self.target.encode(more, bos=False)
        bad = next((n for n, number in enumerate(found) if not 0 <= number < self.targets), None)
        return found[:bad]

    def settle(self, text: Text) -> None:
        """What was drafted leaves the cache where the next text differs: see `_catch_up`."""
        self.track.settle([self._prompt + len(self._read)])
