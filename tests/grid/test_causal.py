"""Causal language models: each is captured, with the text of transformers' own `generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.grid import made
from tests.grid.families import CAUSAL
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions

PROMPT = "A trace goes in, a page comes out, twelve words and a bit."


def prompt_ids(folder: Path) -> torch.Tensor:
    """[1, P] as the adapter makes them of PROMPT."""
    from tests.unit.model_samples import text_sample

    adapter = model_entry.model(f"hf:{folder}").build(BuildOptions(size="full", prompt=PROMPT))
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
    assert made.ids_of(done) == generated(original, prompt_ids(tmp_path / "m"))
