"""Text to token ids and back: SentencePiece, or a stand-in where no tokenizer.model is at hand.

LLaMA's own tokenizer.model is under LLaMA's licence, so it is not shipped; it lies beside the
weights of OneLLM-7B, Vicuna and LLaSA-7B, and is found there.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tracekit import extras
from tracekit.errors import TracekitError

UNK, BOS, EOS = 0, 1, 2  # LLaMA's ids
LLAMA_SHA256 = "9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347"
MARKER = -200  # stands for the sensor's tokens in a prompt


class Tokenizer(Protocol):
    """What a model needs of a tokenizer. `about` says in words which one it is."""

    about: str
    bos: int
    eos: int
    vocab: int

    def encode(self, text: str, *, bos: bool = True) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def pieces(self) -> list[str] | None: ...  # of each id; None of a stand-in
    def added(self) -> frozenset[int]: ...  # ids that are no text


def _splitter(special: Mapping[str, int]) -> Callable[[str], list[str]]:
    """What cuts a text at its special tokens, and keeps them."""
    if not special:
        return lambda text: [text]
    longest_first = sorted(special, key=len, reverse=True)
    return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")").split


class SentencePiece:
    """A SentencePiece model as LLaMA uses it: `[bos] + pieces`, never eos."""

    def __init__(
        self, path: Path, *, special: Mapping[str, int] | None = None, legacy: bool = False
    ) -> None:
        """`special` are tokens added to the model's own, by text.

        Text after a special token begins with a dummy space only if `legacy`, as in transformers'
        slow LlamaTokenizer.

        Raises: TracekitError where the file is missing or no SentencePiece model.
        """
        extras.need("capture", "sentencepiece", where=path)
        import sentencepiece

        if not path.is_file():
            raise TracekitError("no such file", where=path, hint="a tokenizer.model is expected")
        try:
            self._model: Any = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (RuntimeError, OSError) as error:
            raise TracekitError(
                "not a SentencePiece model", where=path, hint="a tokenizer.model is expected"
            ) from error
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.bos, self.eos = int(self._model.bos_id()), int(self._model.eos_id())
        self.special = dict(special or {})
        self._text = {number: text for text, number in self.special.items()}
        self._legacy = legacy
        self.vocab = max([int(self._model.vocab_size()) - 1, *self.special.values()]) + 1
        kind = "LLaMA's tokenizer.model" if self.sha256 == LLAMA_SHA256 else path.name
        self.about = f"SentencePiece, {kind}, {self.vocab} ids, sha256 {self.sha256[:12]}"
        self._split = _splitter(self.special)

    def encode(self, text: str, *, bos: bool = True) -> list[int]:
        """Ids of a text, special tokens found in it included."""
        ids = [self.bos] if bos else []
        after_special = False
        for chunk in self._split(text):
            if chunk in self.special:
                ids.append(self.special[chunk])
                after_special = True
            elif chunk:
                bare = after_special and not self._legacy
                ids += self._bare(chunk) if bare else self._model.encode(chunk)
                after_special = False
        return ids

    def _bare(self, text: str) -> list[int]:
        """Ids of a text without the dummy space that SentencePiece puts in front."""
        lead = self._model.encode("\n")  # [▁, <0x0A>]: merges with nothing that follows
        ids: list[int] = self._model.encode("\n" + text)
        return ids[len(lead) :]

    def pieces(self) -> list[str]:
        """The text of each id, as the vocabulary spells it; empty for those without."""
        found = [str(self._model.id_to_piece(i)) for i in range(int(self._model.vocab_size()))]
        found += [""] * (self.vocab - len(found))
        for number, text in self._text.items():
            found[number] = text
        return found

    def added(self) -> frozenset[int]:
        """Ids that are no text: control tokens, and what a model added."""
        known = range(int(self._model.vocab_size()))
        control = {i for i in known if self._model.is_control(i) or self._model.is_unknown(i)}
        return frozenset(control | set(self.special.values()))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; those that the model does not know are shown as <id>."""
        pieces: list[str] = []
        run: list[int] = []
        known = int(self._model.vocab_size())
        for number in [*ids, -1]:
            if 0 <= number < known:
                run.append(number)
                continue
            if run:
                pieces.append(self._model.decode(run))
                run = []
            if number >= 0:
                pieces.append(self._text.get(number, f"<{number}>"))
        return "".join(pieces)


FIRST_WORD = 259  # ids below are LLaMA's: unk, bos, eos and 256 bytes
_WORDS = re.compile(r" ?[A-Z]{2}|\n| ?[A-Za-z]+| ?\d| ?##?| ?[^\sA-Za-z\d#]|\s")
LONG = 9  # letters beyond which LLaMA's pieces seldom reach


class WordPieces:
    """A stand-in: about as many tokens as LLaMA would make of English, with made-up ids.

    How long prefill takes depends on the number of tokens and not on which they are. The same
    text always gives the same ids, and `decode(encode(text))` is the text.
    """

    bos, eos = BOS, EOS

    def __init__(self, vocab: int, special: Mapping[str, int] | None = None) -> None:
        """Raises: TracekitError for fewer ids than there are bytes and controls."""
        if vocab < FIRST_WORD:
            raise TracekitError(
                "the vocabulary is too small for the stand-in tokenizer",
                where=f"{vocab} ids",
                hint=f"{FIRST_WORD} are needed, or a tokenizer.model",
            )
        self.vocab = vocab
        self.about = (
            "stand-in (no tokenizer.model at hand): token counts close to LLaMA's, made-up ids"
        )
        self._special = dict(special or {})
        self._split = _splitter(self._special)
        self._id: dict[str, int] = {}
        self._text = {number: text for text, number in self._special.items()}

    def encode(self, text: str, *, bos: bool = True) -> list[int]:
        """Ids of a text: one for a word with the space before it, a sign, or part of a word."""
        ids = [BOS] if bos else []
        if not bos:  # SentencePiece's dummy space, which stands alone before a newline
            text = " " + text
        for chunk in self._split(text):
            if chunk in self._special:
                ids.append(self._special[chunk])
                continue
            for word in _WORDS.findall(chunk):
                for piece in _pieces(word):
                    ids += self._number(piece)
        return ids

    def _number(self, piece: str) -> list[int]:
        if piece in self._id:
            return [self._id[piece]]
        words = self.vocab - FIRST_WORD
        if len(piece.encode()) > 1 and len(self._id) < words // 2:
            slot = zlib.crc32(piece.encode()) % words
            while FIRST_WORD + slot in self._text:
                slot = (slot + 1) % words
            self._id[piece] = FIRST_WORD + slot
            self._text[FIRST_WORD + slot] = piece
            return [FIRST_WORD + slot]
        return [3 + byte for byte in piece.encode()]

    def pieces(self) -> None:
        """Not known: the ids are made up as they are needed."""

    def added(self) -> frozenset[int]:
        """Ids that are no text."""
        return frozenset((UNK, BOS, EOS, *self._special.values()))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; those that no text was given are shown as <id>."""
        out = bytearray()
        for number in ids:
            if 3 <= number < FIRST_WORD:
                out.append(number - 3)
            elif number not in (UNK, BOS, EOS):
                out += self._text.get(number, f"<{number}>").encode()
        return out.decode(errors="replace")


def _pieces(word: str) -> list[str]:
    """A word cut as LLaMA's vocabulary would about cut it."""
    if len(word) > LONG + 1:
        return [word[: LONG - 2], word[LONG - 2 :]]
    if len(word) > 3 and word[0].isupper():  # no space before it: LLaMA knows few such words whole
        return [word[:-4], word[-4:]] if len(word) > 4 else [word[:1], word[1:]]
    return [word]


def find(
    *folders: Path | None,
    vocab: int,
    named: Path | None = None,
    special: Mapping[str, int] | None = None,
    legacy: bool = False,
) -> Tokenizer:
    """The tokenizer `named`, else the first folder's tokenizer.model, else the stand-in.

    Raises: TracekitError where the file is no SentencePiece model or has more ids than `vocab`.
    """
    paths = [named] if named else [f / "tokenizer.model" for f in folders if f is not None]
    for path in paths:
        if path.is_file() or named:
            found = SentencePiece(path, special=special, legacy=legacy)
            if found.vocab > vocab:
                raise TracekitError(
                    f"the tokenizer has {found.vocab} ids, the model {vocab}",
                    where=path,
                    hint="they do not belong together",
                )
            return found
    return WordPieces(vocab, special)


def with_marker(tokenizer: Tokenizer, prompt: str, mark: str, marker: int = MARKER) -> list[int]:
    """Ids of a prompt in which `mark` became `marker`: pieces are encoded each by itself.

    The piece after the marker keeps SentencePiece's dummy space, as LLaVA does it.
    """
    first, *rest = prompt.split(mark)
    ids = tokenizer.encode(first)
    for piece in rest:
        ids.append(marker)
        ids += tokenizer.encode(piece, bos=False)
    return ids


def fit(ids: Sequence[int], wanted: int | None, *, filler: int, marker: int = MARKER) -> list[int]:
    """The prompt cut or padded to `wanted` ids, not counting markers; as it is for None.

    Cut from the left behind the first id (BOS), and padded there with `filler`: the end of the
    template, where the answer begins, stays. Raises: TracekitError for fewer than 2.
    """
    if wanted is None:
        return list(ids)
    if wanted < 2:
        raise TracekitError("a prompt has at least 2 tokens", where=wanted, hint="ask for more")
    text = sum(number != marker for number in ids)
    rest = list(ids[1:])
    if text < wanted:
        return [ids[0], *[filler] * (wanted - text), *rest]
    kept: list[int] = []
    drop = text - wanted
    for number in rest:
        if number != marker and drop:
            drop -= 1
        else:
            kept.append(number)
    return [ids[0], *kept]
