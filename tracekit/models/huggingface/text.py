"""The folder's tokenizer and chat template, or a stand-in; what is wrong with them in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions
from tracekit.models.huggingface.library import LOCAL, quiet, said_plainly
from tracekit.models.shared import build_options, tokenizers

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json", "spiece.model",
    "source.spm", "sentencepiece.bpe.model",
)  # fmt: skip


class Text:
    """The folder's tokenizer, or the stand-in where it has none."""

    def __init__(self, folder: Path, options: BuildOptions, vocab: int) -> None:
        """`vocab` ids have an embedding in the model."""
        self.tokenizer: Any = None
        self._stand_in: tokenizers.WordPieces | None = None
        self.options, self.vocab, self.folder = options, vocab, folder
        if any((folder / name).is_file() for name in TOKENIZER_FILES):
            from transformers import AutoTokenizer

            library: Any = AutoTokenizer
            with said_plainly(folder), quiet():
                self.tokenizer = library.from_pretrained(folder, **LOCAL)
            count = len(self.tokenizer)
            more = f", {count - vocab} more than the model has" if count > vocab else ""
            self.about = f"{type(self.tokenizer).__name__}, {count} ids{more}"
        else:
            self._stand_in = tokenizers.WordPieces(vocab)
            self.about = self._stand_in.about

    def prompt(self, question: str) -> tuple[str, list[int]]:
        """The text that the model sees, and its ids.

        Raises: TracekitError for a prompt without tokens, or with ids that the model has not.
        """
        text, special = self._templated(question), True
        if self._stand_in is not None:
            ids = self._stand_in.encode(text)
        else:
            special = not self.chat  # a chat template writes its special tokens itself
            ids = list(self.tokenizer(text, add_special_tokens=special)["input_ids"])
        if not ids:
            raise TracekitError(
                "the prompt has no tokens", where="--prompt", hint="write some text"
            )
        self.check(ids)
        return text, tokenizers.fit(ids, self.options.prompt_tokens, filler=ids[-1])

    def check(self, ids: Sequence[int]) -> None:
        """Nothing where the model has all ids. Raises: TracekitError where not."""
        if max(ids) >= self.vocab:
            raise TracekitError(
                f"the tokenizer gives id {max(ids)}, and the model has {self.vocab} "
                f"(the tokenizer {len(self.tokenizer) if self.tokenizer else self.vocab})",
                where=self.folder,
                hint="they do not belong together",
            )

    @property
    def chat(self) -> bool:
        """Whether the tokenizer's chat template is used."""
        there = bool(getattr(self.tokenizer, "chat_template", None))
        return there and (
            "chat" not in self.options.extra or build_options.flag(self.options, "chat")
        )

    def _templated(self, question: str) -> str:
        if not self.chat:
            return question
        turns = [{"role": "user", "content": question}]
        return templated(self.tokenizer, turns, self.folder)

    def encode(self, text: str, *, bos: bool = True) -> list[int]:
        """Ids of a text as it is, without a template."""
        if self._stand_in is not None:
            return self._stand_in.encode(text, bos=bos)
        return list(self.tokenizer(text, add_special_tokens=bos)["input_ids"])

    def pieces(self) -> list[str] | None:
        """The text of each id, as the vocabulary spells it; None of the stand-in."""
        if self._stand_in is not None:
            return None
        return list(map(str, self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer)))))

    def added(self) -> frozenset[int]:
        """Ids that are no text: control tokens, and what was added to the vocabulary."""
        if self._stand_in is not None:
            return self._stand_in.added()
        return frozenset({*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder})

    def decode(self, ids: Sequence[int]) -> str:
        """The text of generated ids."""
        if self._stand_in is not None:
            return self._stand_in.decode(ids)
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()


def templated(owner: Any, turns: list[dict[str, Any]], folder: Path) -> str:
    """Turns as a tokenizer's or processor's chat template writes them.

    Raises: TracekitError for a template that raises.
    """
    from jinja2 import TemplateError

    try:
        made = owner.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except (TemplateError, TypeError, KeyError, ValueError, AttributeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise TracekitError(
            f"its chat template refuses the prompt ({said[:200]})",
            where=folder,
            hint="--set chat=false gives the model the bare text",
        ) from error
    return str(made)
