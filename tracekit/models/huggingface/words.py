"""Which ids a model's tokens are, read off the tokenizer's file in its folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tracekit.models.entry import LLAMA_IDS, Vocabulary
from tracekit.models.shared.tokenizers import LLAMA_SHA256

# ids of LLaMA's and LLaMA 2's tokenizer, as prompts of OneLLM and Vicuna have them
LLAMA = {
    0: "<unk>", 1: "<s>", 2: "</s>", 3: "<0x00>", 13: "<0x0A>", 258: "<0xFF>", 263: "▁a",
    278: "▁the", 297: "▁in", 304: "▁to", 319: "▁A", 322: "▁and", 338: "▁is", 385: "▁an",
    450: "▁The", 1546: "▁between", 5199: "▁human", 13563: "▁chat", 29889: ".", 29892: ",",
    29901: ":", 29973: "?",
}  # fmt: skip


def vocabulary(folder: Path, ids: int) -> Vocabulary | None:
    """Of a model with so many ids; None where its folder holds no tokenizer that says it.

    Models of one family have the same pieces in the same places. LLaMA's is known by the digest of
    its `tokenizer.model`, or by its number of pieces and pieces all over it.
    """
    spoken = folder / "tokenizer.model"
    if _digest(spoken) == LLAMA_SHA256:
        return _llama(ids, _added(_read(folder / "tokenizer.json")))
    whole = _read(folder / "tokenizer.json")
    pieces = _pieces(whole) or _placed(_read(folder / "vocab.json"))
    if pieces is None:
        return None
    base = min(len(pieces), ids)
    if len(pieces) == LLAMA_IDS.ids and all(pieces[n] == text for n, text in LLAMA.items()):
        return _llama(ids, _added(whole))
    mark = hashlib.sha256("\n".join(pieces).encode("utf-8", "replace")).hexdigest()[:8]
    return Vocabulary(family=f"{len(pieces):,} pieces, {mark}", ids=base, added=_added(whole))


def _llama(ids: int, added: str) -> Vocabulary:
    return Vocabulary(family=LLAMA_IDS.family, ids=min(LLAMA_IDS.ids, ids), added=added)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _read(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _pieces(whole: Mapping[str, Any]) -> Sequence[str] | None:
    """The text of each id of `tokenizer.json`, tokens that were added later left out."""
    model = whole.get("model")
    vocab = model.get("vocab") if isinstance(model, Mapping) else None
    if isinstance(vocab, Mapping):
        return _placed(vocab)
    if isinstance(vocab, list) and all(isinstance(one, list) and one for one in vocab):
        return [str(one[0]) for one in vocab]  # Unigram: text and score
    return None


def _placed(vocab: Mapping[str, Any]) -> Sequence[str] | None:
    """Texts by their ids; None where these are not 0, 1, 2 …"""
    placed = {number: text for text, number in vocab.items() if isinstance(number, int)}
    if not placed or len(placed) != len(vocab) or set(placed) != set(range(len(placed))):
        return None
    return [placed[number] for number in range(len(placed))]


def _added(whole: Mapping[str, Any]) -> str:
    """Tokens behind the pieces, as words."""
    pieces = _pieces(whole) or ()
    added = whole.get("added_tokens")
    names = [
        str(one.get("content")) for one in (added if isinstance(added, list) else ())
        if isinstance(one, Mapping) and isinstance(one.get("id"), int) and one["id"] >= len(pieces)
    ]  # fmt: skip
    if len(names) > 3:
        return f"{len(names):,} tokens"
    return ", ".join(names)
