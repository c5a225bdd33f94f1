"""Kinds of models that cannot be taken stage by stage: refused, each with its reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.grid import made, table
from tracekit.errors import TracekitError
from tracekit.models import entry as model_entry
from tracekit.models.huggingface.kinds import REFUSED


@pytest.mark.parametrize("kind", REFUSED)
def test_a_kind_is_refused_with_its_reason_before_anything_is_loaded(
    kind: str, tmp_path: Path
) -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if kind not in CONFIG_MAPPING_NAMES:
        pytest.skip(f"this transformers has no {kind}")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    made.library()
    with pytest.raises(TracekitError) as caught:
        model_entry.model(f"hf:{tmp_path}")
    said = str(caught.value)
    assert "\n" not in said
    assert REFUSED[kind] in said


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [("bert", "BertForMaskedLM"), ("llama", "LlamaForSequenceClassification"), ("vit", "ViTModel"),
     ("whisper", "WhisperForAudioClassification"), ("t5", "T5EncoderModel")],
)  # fmt: skip
def test_an_architecture_without_text_is_refused_by_its_own_name(
    kind: str, architecture: str, tmp_path: Path
) -> None:
    said = {"model_type": kind, "architectures": [architecture]}
    (tmp_path / "config.json").write_text(json.dumps(said))
    with pytest.raises(TracekitError, match=f"no text generation .* architecture {architecture}"):
        model_entry.model(f"hf:{tmp_path}")


def test_an_architecture_that_transformers_has_not_is_named(tmp_path: Path) -> None:
    said = {"model_type": "llama", "architectures": ["LlavaLlamaForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(said))
    with pytest.raises(TracekitError, match="no architecture LlavaLlamaForCausalLM"):
        model_entry.model(f"hf:{tmp_path}")


def test_the_documentation_lists_what_is_tried_and_what_is_refused() -> None:
    text = table.DOCS.read_text(encoding="utf-8")
    assert text == table.written(text), "run: python -m tests.grid.table --write"
    assert sum(map(len, table.tried().values())) >= 50
