"""Causal language models: each is captured, with the text of transformers' own `generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.grid import made
from tests.grid.families import CAUSAL
from tests.unit.model_samples import run, text_sample
from tracekit.errors import TracekitError
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions
from tracekit.models.huggingface.decoding import ALIBI, STATIC_DIFFERS

PROMPT = "A trace goes in, a page comes out, twelve words and a bit."


def adapter_of(folder: Path, **options: Any) -> Any:
    given = BuildOptions(size="full", prompt=PROMPT, **options)
    return model_entry.model(f"hf:{folder}").build(given)


def prompt_ids(adapter: Any) -> torch.Tensor:
    """[1, P] as the adapter makes them of PROMPT."""
    sample = text_sample(PROMPT)
    ids: torch.Tensor = adapter.preprocess(sample, adapter.load(sample)).ids
    return ids


def generated(model: Any, ids: torch.Tensor, **more: Any) -> list[list[int]]:
    """What `generate` writes after the prompt, end tokens passed over."""
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=made.TOKENS, do_sample=False,
        eos_token_id=None, **more,
    )  # fmt: skip
    found: list[list[int]] = out[:, ids.shape[1] :].tolist()
    return found


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_family_is_captured_with_the_text_of_generate(kind: str, tmp_path: Path) -> None:
    config = made.configured(kind, CAUSAL[kind])
    if config is None:
        pytest.skip(f"this transformers has no {kind}")
    torch.manual_seed(0)
    original = made.saved(made.library().AutoModelForCausalLM.from_config(config), tmp_path / "m")
    done = made.captured(tmp_path / "m", prompt=PROMPT)
    made.is_whole(done)
    static = with_static_cache(kind, tmp_path / "m")
    wanted = generated(original, prompt_ids(static or adapter_of(tmp_path / "m")))
    assert made.ids_of(done) == wanted
    if static is not None:
        check_static(kind, static, wanted)


def with_static_cache(kind: str, folder: Path) -> Any:
    """The adapter; None where a static cache is refused, with a reason."""
    options = {"cache": "static", "max_new_tokens": made.TOKENS, "extra": {"ignore_eos": True}}
    if kind not in (*ALIBI, "minimax", "rwkv"):
        return adapter_of(folder, **options)
    with pytest.raises(TracekitError, match="static"):
        adapter_of(folder, **options)
    return None


def check_static(kind: str, adapter: Any, wanted: list[list[int]]) -> None:
    """A static cache gives the same text, or is said to change it."""
    notes = " ".join(adapter.facts.notes)
    assert ("a static cache changes this model's text" in notes) == (kind in STATIC_DIFFERS)
    if kind not in STATIC_DIFFERS:
        assert run(adapter, text_sample(PROMPT)).ids == wanted
