"""Every golden file matches within the tolerance that it states."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.conftest import shared
from tracekit.errors import TracekitError
from tracekit.models.shared import golden

NAMES = (
    "imu_window_preprocess",
    "llasa_tiny",
    "llasa_tiny_rope4",
    "onellm_sampling",
    "onellm_tiny",
    "prompts",
)
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "check_golden.py"


def _shared(name: str) -> Path:
    return shared("reference", "models", "golden", f"{name}.json")


@pytest.mark.parametrize("name", NAMES)
def test_every_output_is_within_the_stated_tolerance(name: str) -> None:
    wrong = [check for check in golden.check(_shared(name)) if not check.passed]
    assert not wrong


def test_an_output_beyond_the_tolerance_fails_and_names_the_error(tmp_path: Path) -> None:
    source = _shared("onellm_sampling")
    tensors = load_file(source.with_suffix(".safetensors"))
    tensors["out.filtered_probs"][0, 0] += 0.25
    save_file(tensors, tmp_path / "bent.safetensors")
    (tmp_path / "bent.json").write_text(source.read_text())
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path / "bent.safetensors"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "FAIL  2.50e-01" in done.stdout


def test_integers_must_be_equal() -> None:
    ids = np.array([1, 2, 3])
    assert golden.compare("ids", ids, ids, 1.0, 1.0).passed
    assert not golden.compare("ids", ids, ids + np.array([0, 0, 1]), 5.0, 5.0).passed


def test_not_a_number_is_never_within_tolerance() -> None:
    assert not golden.compare("x", np.array([np.nan]), np.array([1.0]), 1e9, 0.0).passed


def test_a_golden_of_an_unknown_model_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"model": "GPT-9"}))
    with pytest.raises(TracekitError, match="no model here runs goldens of 'GPT-9'"):
        golden.check(tmp_path / "x.json")


def test_a_golden_without_its_tensors_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"model": "LLaSA", "file": "x.safetensors"}))
    with pytest.raises(TracekitError, match="no such file"):
        golden.check(tmp_path / "x.json")
