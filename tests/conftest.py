"""Shared fixtures."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.examples import examples

# tiny models: several threads only wait for each other; before torch is imported anywhere
os.environ.setdefault("OMP_NUM_THREADS", "1")

# a loaded machine is no fault of a test
settings.register_profile("tracekit", examples(100))
settings.load_profile("tracekit")

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(*parts: str) -> Path:
    """A file of the reference material beside the project; the test is skipped without it."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"reference material not present: shared/{'/'.join(parts)}")
    return path


def gpus_only(name: str) -> None:
    """Skips a trace of another device: the reference figures count the work of GPUs."""
    if name == "hta_mtia_inference":
        pytest.skip("the reference counts the work of GPUs only")
