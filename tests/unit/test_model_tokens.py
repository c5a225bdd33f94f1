"""Tokenizers, markers and prompt lengths."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from tests.conftest import shared
from tracekit.errors import TracekitError
from tracekit.models.shared import prompts, tokenizers
from tracekit.models.shared.tokenizers import MARKER, SentencePiece, WordPieces, fit, with_marker


def tiny() -> Path:
    return shared("reference", "models", "golden", "tiny_llama_like_sp.model")


@pytest.mark.parametrize(
    ("name", "mark", "ids"),
    [
        ("onellm_tiny", "", "in.prompt_ids"),
        ("llasa_tiny", "<image>", "in.input_ids"),
        ("eventgpt_tiny", "<event>", "in.input_ids"),
    ],
)
def test_prompt_ids_are_those_of_the_original(name: str, mark: str, ids: str) -> None:
    sidecar = json.loads(shared("reference", "models", "golden", f"{name}.json").read_text())
    wanted = load_file(shared("reference", "models", "golden", f"{name}.safetensors"))[ids]
    added = {"<ev_patch>": 480, "<ev_start>": 481, "<ev_end>": 482}
    tokenizer = SentencePiece(tiny(), special=added if name == "eventgpt_tiny" else None)
    text = sidecar["prompt"]
    found = with_marker(tokenizer, text, mark) if mark else tokenizer.encode(text)
    assert found == wanted[0].tolist()


def test_legacy_puts_a_space_after_special_tokens() -> None:
    special = {"</s>": 2}
    new = SentencePiece(tiny(), special=special).encode("a</s>b")
    old = SentencePiece(tiny(), special=special, legacy=True).encode("a</s>b")
    assert new[: new.index(2) + 1] == old[: old.index(2) + 1]
    assert SentencePiece(tiny()).decode(old[old.index(2) + 1 :]) == "b"
    assert new != old


def test_a_file_that_is_no_tokenizer_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"no")
    with pytest.raises(TracekitError, match="not a SentencePiece model"):
        tokenizers.find(tmp_path, vocab=500)


def test_a_tokenizer_of_another_model_is_one_clear_error() -> None:
    with pytest.raises(TracekitError, match="the tokenizer has 480 ids, the model 300"):
        tokenizers.find(named=tiny(), vocab=300)


@given(st.text(max_size=60))
def test_the_stand_in_gives_back_every_text(text: str) -> None:
    tokenizer = WordPieces(512)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text(max_size=60), st.integers(300, 40_000))
def test_the_stand_in_keeps_within_its_vocabulary(text: str, vocab: int) -> None:
    assert all(0 <= number < vocab for number in WordPieces(vocab).encode(text))


@pytest.mark.parametrize(
    ("model", "question", "llama"),
    [
        ("onellm", "Describe the scene.", 49),
        ("llasa", "What is the person doing?", 81),
    ],
)
def test_the_stand_in_counts_as_llama_does(model: str, question: str, llama: int) -> None:
    form = prompts.template(model, {"onellm": "v1", "llasa": "llava_v1"}[model])
    assert len(prompts.ids(form, WordPieces(32000), [question])) == llama


def test_the_stand_in_knows_special_tokens() -> None:
    tokenizer = WordPieces(600, {"<ev>": 599})
    assert 599 in tokenizer.encode("a<ev>b")
    assert tokenizer.decode(tokenizer.encode("a<ev>b")) == "a<ev>b"


@given(st.lists(st.one_of(st.integers(3, 99), st.just(MARKER)), max_size=30), st.integers(2, 60))
def test_a_prompt_is_cut_or_padded_to_the_tokens_asked_for(rest: list[int], wanted: int) -> None:
    found = fit([1, *rest], wanted, filler=7)
    assert found[0] == 1
    assert sum(number != MARKER for number in found) == wanted
    assert found.count(MARKER) == rest.count(MARKER)


def test_cutting_keeps_the_end_where_the_answer_begins() -> None:
    assert fit([1, 5, MARKER, 6, 7, 8], 3, filler=0) == [1, MARKER, 7, 8]
    assert fit([1, 5], None, filler=0) == [1, 5]
