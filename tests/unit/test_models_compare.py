"""`tracekit models compare`: facts, floors and pairs, each held against what a hand gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.conftest import shared
from tracekit.bench import measured
from tracekit.cli.app import app
from tracekit.errors import TracekitError, UsageError
from tracekit.models import comparing
from tracekit.models import entry as model_entry
from tracekit.models.comparing import Comparison
from tracekit.models.entry import Vocabulary
from tracekit.models.huggingface import words
from tracekit.models.speculative import full_size
from tracekit.report import model_tables
from tracekit.results.units import duration

NAMES = ("onellm", "llasa", "eventgpt", "limu_bert")


@pytest.fixture(scope="module")
def found() -> Comparison:
    return comparing.compare(NAMES)


def test_every_model_of_ours_describes_itself_in_its_own_file() -> None:
    for name in model_entry.models():
        about = model_entry.model(name).description
        assert about is not None
        assert about.encoder or about.decoder
        assert about.trained_on


def test_the_tokens_of_a_prompt_are_those_of_the_published_tokenizer() -> None:
    cases = json.loads(
        shared("reference", "models", "golden", "prompts.json").read_text(encoding="utf-8")
    )["cases"]
    for name, more in (("onellm", 32), ("llasa", 119)):  # sensor tokens, and tags or the marker
        entry = model_entry.model(name)
        own = [c for c in cases if c["model"] == name and c["turns"] == [entry.default_prompt]]
        assert entry.description is not None
        assert entry.description.prompt_tokens == len(own[0]["ids"]) + more


def test_floors_are_bytes_over_bandwidth_or_flops_over_peak(found: Comparison) -> None:
    onellm, _, eventgpt, limu = found.rows
    h100 = onellm.floors[0]
    assert h100.device == "H100 SXM"
    # decode reads all weights but the embedding table, and keys and values of 81 + 64 positions
    # and its own
    weights = 2 * (6_738_415_616 - 32_000 * 4096)
    assert h100.step_ns == pytest.approx((weights + 146 * 524_288) / 3350, rel=1e-9)
    # encode: 534 GFLOP; EventGPT's prefill of 635 tokens is bound by arithmetic
    assert h100.encode_ns == pytest.approx(534.4e9 / 989.4e3, rel=2e-3)
    assert eventgpt.floors[0].prefill_ns == pytest.approx(8.33e12 / 989.4e3, rel=2e-3)
    assert onellm.cache_bytes_per_token == 524_288
    assert onellm.weight_bytes == 2 * 7_359_031_299
    assert limu.decoder is None
    assert limu.floors[0].step_ns is None


def test_pairs_are_those_that_share_ids_and_have_a_decoder(found: Comparison) -> None:
    assert {(p.draft, p.target) for p in found.pairs} == {
        (a, b) for a in NAMES[:3] for b in NAMES[:3] if a != b
    }
    pair = next(p for p in found.pairs if (p.draft, p.target) == ("eventgpt", "onellm"))
    assert pair.shared_ids == 32_000
    assert pair.weight_bytes == 2 * (7_359_031_299 + 7_079_684_096)
    for one in pair.outlooks:
        # as large as its target, and with more context: no acceptance pays
        assert one.c > 1
        assert all(gain.break_even is None and gain.all_accepted < 1 for gain in one.gains)
        assert one.tokens_to_pay is None
        assert one.ahead_ns is not None
        assert one.target_ahead_ns is not None
        assert one.ahead_ns > 1.7 * one.target_ahead_ns


def language_model(folder: Path, pieces: dict[str, int] | None, ids: int = 32_000) -> str:
    """hf:FOLDER of a small LLaMA, with these pieces."""
    folder.mkdir()
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
             "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": ids}  # fmt: skip
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **shape}
    (folder / "config.json").write_text(json.dumps(config))
    if pieces is not None:
        added = [{"id": len(pieces), "content": "<image>"}]
        whole = {"model": {"type": "BPE", "vocab": pieces}, "added_tokens": added}
        (folder / "tokenizer.json").write_text(json.dumps(whole))
    return f"hf:{folder}"


def test_folders_are_pairs_where_their_pieces_are_alike(tmp_path: Path) -> None:
    llama = {words.LLAMA.get(n, f"piece {n}"): n for n in range(32_000)}
    mistral = {**{text: n for text, n in llama.items() if n != 278}, "▁other": 278}
    small = language_model(tmp_path / "small", llama, 32_001)
    other = language_model(tmp_path / "other", mistral)
    twin = language_model(tmp_path / "twin", mistral)
    bare = language_model(tmp_path / "bare", None)
    made = comparing.compare(["onellm", small, other, twin, bare], on=["H100 SXM"])
    assert {(p.draft, p.target) for p in made.pairs} == {
        ("onellm", small), (small, "onellm"), (other, twin), (twin, other)
    }  # fmt: skip
    found = {row.name: row.vocabulary for row in made.rows}
    assert found[small] == Vocabulary(family="LLaMA SentencePiece", ids=32_000, added="<image>")
    assert found[bare] is None
    pair = next(p for p in made.pairs if p.draft == small)
    (one,) = pair.outlooks
    assert one.c < 0.01
    assert one.ahead_ns is not None  # of a question
    assert one.tokens_to_pay == 2
    damaged = tmp_path / "twin" / "tokenizer.json"
    for text in ("{", "[]", '{"model": {"vocab": {"a": 5}}}', '{"model": {"vocab": [[]]}}'):
        damaged.write_text(text)
        assert words.vocabulary(damaged.parent, 32_000) is None


def test_both_predictions_of_a_pair_are_of_the_same_prompts(found: Comparison) -> None:
    pair = next(p for p in found.pairs if (p.draft, p.target) == ("eventgpt", "onellm"))
    sized = full_size.full_size("eventgpt", "onellm", new=found.tokens)
    for one, other in zip(pair.outlooks, sized.devices, strict=True):
        assert one.ahead_ns == pytest.approx(other.draft_ahead_ns)
        assert one.target_ahead_ns == pytest.approx(other.target_ahead_ns)
        assert one.c == pytest.approx(other.c)


def test_forms_say_the_same_and_latex_needs_booktabs_alone(found: Comparison) -> None:
    tex, plain = model_tables.latex(found), model_tables.markdown(found)
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == 3
    assert "LLaMA SentencePiece, 32,000" in tex
    assert "_" not in tex.replace(r"\_", "")
    assert "| eventgpt | onellm | 32,000 | H100 SXM |" in plain
    assert "| OneLLM 7B |  | measured | – | – | – |" in plain


def bench_file(folder: Path, model: str = "onellm") -> Path:
    sample = {"load": 1e6, "preprocess": 1e6, "encode": 2e6, "prefill": 3e6, "decode": 30e6,
              "steps": [], "tokens": [4]}  # fmt: skip
    row: dict[str, Any] = {
        "options": {"dtype": "bfloat16"}, "samples": [sample],
        "facts": {"size": "full", "random_weights": True},
    }  # fmt: skip
    content = {
        "schema": "tracekit-bench/1", "model": model, "title": "OneLLM 7B", "stages": [],
        "environment": {"device": {"name": "NVIDIA H100 80GB HBM3"}, "versions": {}},
        "configurations": [row],
    }  # fmt: skip
    path = folder / "bench.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_first_sentence_names_the_least_time_of_a_token_and_the_best_pair(
    found: Comparison,
) -> None:
    said = model_tables.headline(found)
    step = next(
        f.step_ns for f in found.rows[0].floors if f.device == found.rows[0].floors[0].device
    )
    assert said.startswith(f"A token takes at least {duration(step)} (OneLLM 7B), ")
    most = max(g.all_accepted for p in found.pairs for g in p.outlooks[0].gains)
    assert f"decodes at most {most:.2f} times as fast, were every draft accepted." in said


def test_what_was_measured_stands_beside_the_floors(tmp_path: Path) -> None:
    given = measured.read([bench_file(tmp_path)])
    one = comparing.compare(["onellm"], on=["H100 SXM"], measured=given)
    (own,) = one.rows[0].measured
    assert (own.encode_ns, own.prefill_ns, own.step_ns) == (2e6, 3e6, 10e6)
    grid = model_tables.grids(one)[1]
    assert grid.rows[-1][1:3] == (
        "NVIDIA H100 80GB HBM3", "measured, full, random weights, bfloat16",
    )  # fmt: skip


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="datasheet"):
        comparing.compare(["limu_bert"], on=["Abacus"])
    with pytest.raises(TracekitError, match="not known here"):
        measured.read([bench_file(tmp_path, "nobody")])


def test_the_command_prints_json_and_writes_a_page(tmp_path: Path) -> None:
    page = tmp_path / "models.html"
    done = CliRunner().invoke(app, ["models", "compare", "limu-bert", "-o", str(page), "--json"])
    assert done.exit_code == 0, done.output
    assert '"encoder"' in done.output
    text = page.read_text(encoding="utf-8")
    assert "side by side" in text
    assert "no two of them share a vocabulary" in text
