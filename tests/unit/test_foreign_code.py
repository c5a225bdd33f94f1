"""Nothing that a model's folder brings is run, and nobody is asked whether it should be."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from tracekit.errors import TracekitError

pytest.importorskip("transformers")

from tracekit.models import entry as model_entry
from tracekit.models.shared import checkpoints

CODE = """
import pathlib
pathlib.Path({mark!r}).write_text("ran")
class Config: pass
class Model: pass
"""


def folder_with_code(folder: Path, kind: str) -> Path:
    """A model folder that names code of its own for everything that transformers looks up."""
    mark = str(folder / "RAN")
    folder.mkdir()
    (folder / "own.py").write_text(CODE.format(mark=mark))
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model",
           "AutoTokenizer": ["own.Model", None], "AutoProcessor": "own.Model",
           "AutoImageProcessor": "own.Model"}  # fmt: skip
    config = {"model_type": kind, "auto_map": own, "hidden_size": 16, "num_hidden_layers": 1,
              "num_attention_heads": 2, "vocab_size": 32, "intermediate_size": 16,
              "num_key_value_heads": 2}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer_config.json", "preprocessor_config.json", "processor_config.json"):
        (folder / name).write_text(json.dumps({"auto_map": own, "tokenizer_class": "Own"}))
    return folder


@pytest.mark.parametrize("kind", ["own-kind", "llama"])
@pytest.mark.parametrize("answer", ["y\n", ""])
def test_code_of_a_model_folder_is_not_run_and_nobody_is_asked(
    kind: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = folder_with_code(tmp_path / "model", kind)
    stdin = io.StringIO(answer)
    monkeypatch.setattr(sys, "stdin", stdin)
    options = model_entry.BuildOptions(size="full", device="cpu", dtype="float32")
    # a class of transformers itself may be built, without its own code
    with contextlib.suppress(TracekitError):
        model_entry.model(f"hf:{folder}").build(options)
    assert stdin.tell() == 0
    assert not (folder / "RAN").exists()
    assert "[y/N]" not in "".join(capfd.readouterr())
    if kind == "own-kind":
        with pytest.raises(TracekitError, match="foreign code is not run") as raised:
            model_entry.model(f"hf:{folder}")
        assert "\n" not in str(raised.value)


class Evil:
    def __reduce__(self) -> Any:
        return exec, ("import pathlib; pathlib.Path('RAN').write_text('ran')",)


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("form", ["pickle", "archive", "legacy", "cut", "noise"])
def test_a_hostile_checkpoint_is_one_clear_line(
    ending: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"weights{ending}"
    state: dict[str, Any] = {"a": torch.zeros(2), "evil": Evil()}
    if form == "pickle":
        path.write_bytes(pickle.dumps(state))
    elif form == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif form == "noise":
        path.write_bytes(b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(range(256)) * 9)
    else:
        torch.save(state if form == "archive" else {"a": torch.zeros(2000)}, path)
        if form == "cut":
            path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(TracekitError) as raised:
        checkpoints.open_checkpoint(path)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "RAN").exists()
