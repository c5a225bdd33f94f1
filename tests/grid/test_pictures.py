"""Vision-language models: each is captured in batches, with the text of its own `generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.grid import made, pictures
from tracekit.datasets import opening
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions
from tracekit.taxonomy import Stage

QUESTION = "What?"


def generated(model: Any, inputs: Any) -> list[list[int]]:
    """What `generate` writes after the prompt, of all that the processor gave."""
    given = {name: value for name, value in inputs.items() if name != "labels"}
    out = model.generate(**given, max_new_tokens=made.TOKENS, do_sample=False, eos_token_id=None)
    length = inputs["input_ids"].shape[1] if out.shape[1] > made.TOKENS else 0
    found: list[list[int]] = out[:, length:].tolist()
    return found


def processed(folder: Path, data: Path) -> Any:
    """All that the processor makes of the first synthetic picture and the question, twice."""
    options = BuildOptions(size="full", prompt=QUESTION, batch_size=2)
    adapter = model_entry.model(f"hf:{folder}").build(options)
    (sample,) = opening.open_samples("synthetic", kind="image", workdir=data, limit=1)
    recording = sample.parse(adapter.load(sample))
    return adapter.processed(recording, sample, adapter.asked(QUESTION))


@pytest.mark.parametrize("kind", pictures.FAMILIES)
def test_a_family_is_captured_with_the_text_of_generate(kind: str, tmp_path: Path) -> None:
    if (wanted := pictures.WANTED.get(kind)) is not None:
        pytest.importorskip(wanted, reason=f"the processor of {kind} needs {wanted}")
    folder = tmp_path / "m"
    original = pictures.built(kind, folder)
    done = made.captured(folder, prompt=QUESTION, batch_size=2)
    made.is_whole(done)
    assert Stage.ENCODE in done.stages
    assert made.ids_of(done) == generated(original, processed(folder, tmp_path))
    assert done.metadata["tokens"]["sensor"] >= 1
    encode, parts = done.metadata["dims"]["encode"], done.metadata["parameters"]
    assert encode["flops"] > 2 * encode["weight_parameters"]
    assert 0.9 < encode["weight_parameters"] / (parts["vision"] + parts.get("connector", 0)) < 1.01
