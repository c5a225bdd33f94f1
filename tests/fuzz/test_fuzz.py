"""What the fuzzer has found stays found, and a few new files a run; `scripts/fuzz` tries many."""

from __future__ import annotations

import random
import re
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.examples import FACTOR, examples
from tests.fuzz.guided import Chosen
from tests.fuzz.targets import TARGETS, enter

CORPUS = Path(__file__).parent / "corpus"
FOUND = sorted(path for path in CORPUS.glob("*/*") if path.is_file())
# of each target so many, times TRACEKIT_EXAMPLES
FEW = {"read": 60, "imu": 60, "benchmark": 40, "export": 25, "cache": 20, "analyze": 8}
NEEDS = {"convert": "pyarrow", "parquet": "pyarrow", "crosscheck": "hta"}


def ready(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])


@pytest.mark.parametrize("path", FOUND, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_what_was_found_is_an_answer_or_a_clear_line(path: Path, tmp_path: Path) -> None:
    ready(path.parent.name)
    copy = tmp_path / f"input{path.suffix}"
    shutil.copy(path, copy)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        enter(path.parent.name, copy)


@pytest.mark.parametrize("name", TARGETS)
def test_a_mutated_file_is_an_answer_that_adds_up_or_a_clear_line(
    name: str, tmp_path: Path
) -> None:
    ready(name)
    rng = random.Random(f"{name} 1")
    for _ in range(max(1, round(FEW.get(name, 2) * FACTOR))):
        ending, content = TARGETS[name].make(rng)
        path = tmp_path / f"input.{ending}"
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            enter(name, path)


@examples(15, derandomize=True, suppress_health_check=list(HealthCheck))
@given(rng=st.randoms(use_true_random=False), name=st.sampled_from(["read", "export", "imu"]))
def test_hypothesis_finds_no_mutation_that_is_a_fault(
    rng: random.Random, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ending, content = TARGETS[name].make(rng)
    path = tmp_path_factory.mktemp("fuzz") / f"input.{ending}"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        enter(name, path)


def test_bytes_choose_as_chance_does() -> None:
    """What libFuzzer is given instead of a seed makes files, also where it is short."""
    for size in (0, 3, 4000):
        rng = Chosen(random.Random(size).randbytes(size))
        for name in ("read", "imu", "benchmark"):
            ending, content = TARGETS[name].make(rng)
            assert ending
            assert isinstance(content, bytes)
    picks = Chosen(b"\x01\x02\x03")
    assert [picks.getrandbits(8) for _ in range(3)] == [1, 2, 3]


def test_processes_share_the_inputs_and_tell_of_their_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import tests.fuzz.__main__ as fuzz

    def broken(_path: Path) -> None:
        raise ValueError("a bug")

    monkeypatch.setitem(TARGETS, "read", replace(TARGETS["read"], enter=broken))
    given = ["--inputs", "5", "--jobs", "2", "--target", "read", "--keep", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["fuzz", *given])
    assert fuzz.main() == 1
    said = capfd.readouterr().out
    assert re.search(r"^5 inputs in \d+ s \(seed 0\): 1 faults$", said, re.MULTILINE)
    assert len(list(tmp_path.glob("read/*.json"))) >= 2  # of each process
