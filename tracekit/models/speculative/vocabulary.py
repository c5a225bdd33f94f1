"""Which ids a draft and its target share.

OneLLM, Vicuna (EventGPT, LLaSA) and TinyLlama have LLaMA's SentencePiece ids. What one of them adds
(event, image and sensor tokens) the other has not, and it is never proposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tracekit.errors import TracekitError


class Words(Protocol):
    """A tokenizer as far as two are compared and translated into one another."""

    about: str

    def encode(self, text: str, *, bos: bool = True) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...

    def pieces(self) -> list[str] | None:
        """The text of each id; None of a stand-in, which stands for LLaMA's."""
        ...

    def added(self) -> frozenset[int]:
        """Ids that are no text: control tokens, and those that a model added."""
        ...


@dataclass(frozen=True, slots=True)
class Shared:
    """What a draft may propose. `allowed` is of the draft's ids, `target` the target's number."""

    allowed: Sequence[bool]
    target: int

    def knows(self, number: int) -> bool:
        """Whether an id of the target is the same to the draft."""
        return 0 <= number < len(self.allowed) and self.allowed[number]

    @property
    def masked(self) -> int:
        """Ids of the draft that are never proposed."""
        return len(self.allowed) - sum(self.allowed)


def shared(draft: Words, drafts: int, target: Words, targets: int) -> Shared:
    """The ids that both have; `drafts` and `targets` are the numbers of their models.

    Two stand-ins share the ids that both have, as LLaMA's tokenizer would in their place.

    Raises: TracekitError for tokenizers that give one id to different texts.
    """
    ours, theirs = draft.pieces(), target.pieces()
    both = min(drafts, targets)
    if ours is None and theirs is None:
        return Shared([number < both for number in range(drafts)], targets)
    if ours is None or theirs is None:
        missing = "draft" if ours is None else "target"
        raise _different(f"the {missing} has only a stand-in for a tokenizer", draft, target)
    apart = draft.added() | target.added()
    both = min(both, len(ours), len(theirs))
    for number in range(both):
        if ours[number] != theirs[number] and number not in apart:
            what = f"id {number} is {ours[number]!r} to the draft, {theirs[number]!r} to the target"
            raise _different(what, draft, target)
    same = [number < both and ours[number] == theirs[number] for number in range(drafts)]
    return Shared(same, targets)


def _different(what: str, draft: Words, target: Words) -> TracekitError:
    return TracekitError(
        f"draft and target have different tokenizers: {what}",
        where=f"{draft.about} / {target.about}",
        hint="--translate drafts through text, at a cost; or choose a draft with the target's ids",
    )
