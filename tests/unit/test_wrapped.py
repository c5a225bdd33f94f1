"""A model that lives elsewhere, profiled unmodified."""

import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.model_samples import imu_sample
from tracekit.capture.recorder import Recorder, request
from tracekit.errors import TracekitError
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions
from tracekit.taxonomy import Stage

DOCS = Path(__file__).resolve().parents[2] / "docs" / "models.md"
FORK = '''
import torch
from torch import nn

class Language(nn.Module):
    """A foreign class: its encoder is called from inside the first forward pass."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(32, 8)
        self.encoder = nn.Linear(6, 8)
        self.head = nn.Linear(8, 32)

    def encode_image(self, imu):
        return self.encoder(imu).mean(0)

    def forward_inference(self, ids, imu=None):
        x = self.embed(ids).mean(0)
        if imu is not None:
            x = x + self.encode_image(imu)
        return self.head(x)

class OneLLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.llma = Language()

    @torch.no_grad()
    def generate(self, imu, prompt, most):
        ids = [ord(letter) % 32 for letter in prompt]
        made = []
        for step in range(most):
            logits = self.llma.forward_inference(torch.tensor(ids), imu if step == 0 else None)
            made.append(int(logits.argmax()))
            ids.append(made[-1])
        return [made]
'''


def example() -> str:
    """The adapter that the documentation shows."""
    found = re.search(r"```python\n(# lab_adapter\.py\n.*?)```", DOCS.read_text(), re.S)
    assert found
    return found.group(1)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a foreign model and the documented adapter."""
    (tmp_path / "lab_fork.py").write_text(FORK)
    (tmp_path / "lab_adapter.py").write_text(example())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("lab_fork", "lab_adapter"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


class Marks:
    """A recorder whose annotations are kept in a list."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def recorder(self) -> Recorder:
        made = Recorder(mark=True)
        made.marker = self._marker  # type: ignore[method-assign]
        return made

    def _marker(self, name: str) -> Any:
        marks = self

        class Marker:
            def __enter__(self) -> None:
                marks.seen.append(f"+{name.removeprefix('tracekit::')}")

            def __exit__(self, *_: object) -> None:
                marks.seen.append(f"-{name.removeprefix('tracekit::')}")

        return Marker()


def test_the_documented_example_is_fifteen_lines_at_most() -> None:
    lines = [line for line in example().splitlines() if line.strip() and line[0] != "#"]
    assert len(lines) <= 15


def test_stages_are_found_by_the_methods_that_are_called(elsewhere: Path) -> None:
    model = model_entry.model("lab_adapter:ADAPTER")
    assert model.stages == tuple(Stage)
    adapter = model.build(BuildOptions(size="own", max_new_tokens=3))
    marks = Marks()
    done = request(adapter, imu_sample(), 0, marks.recorder(), most_steps=2)
    assert marks.seen == [
        "+sample#0", "+load", "-load", "+preprocess", "-preprocess",
        "+prefill", "-prefill", "+encode", "-encode", "+prefill", "-prefill",
        "+decode", "+decode_step#1", "-decode_step#1", "+decode_step#2", "-decode_step#2",
        "-decode", "-sample#0",
    ]  # fmt: skip
    assert done.tokens == 3
    assert len(done.steps) == 2
    assert set(done.stages) == set(Stage)
    assert adapter.facts.parameters["llma"] == 32 * 8 + 6 * 8 + 8 + 8 * 32 + 32


def test_a_nested_stage_counts_its_self_time(elsewhere: Path) -> None:
    adapter = model_entry.model("lab_adapter:ADAPTER").build(BuildOptions(max_new_tokens=2))
    encode = adapter.model.llma.encode_image

    def slow(imu: Any) -> Any:
        time.sleep(0.05)
        return encode(imu)

    adapter.model.llma.encode_image = slow
    start = time.perf_counter_ns()
    done = request(adapter, imu_sample(), 0, Recorder(mark=False), most_steps=1)
    assert done.stages[Stage.ENCODE] >= 50_000_000
    assert done.wall <= time.perf_counter_ns() - start
    assert adapter.model.llma.encode_image is slow  # put back as it was


def test_the_foreign_model_is_itself_again_afterwards(elsewhere: Path) -> None:
    adapter = model_entry.model("lab_adapter:ADAPTER").build(BuildOptions(max_new_tokens=2))
    for _ in range(2):
        request(adapter, imu_sample(), 0, Recorder(mark=False), most_steps=1)
    assert "forward_inference" not in vars(adapter.model.llma)

    def fail(*_given: Any) -> None:
        raise RuntimeError("their bug")

    adapter.model.llma.encoder.forward = fail
    with pytest.raises(RuntimeError, match="their bug"):
        request(adapter, imu_sample(), 0, Recorder(mark=True), most_steps=1)
    assert "forward_inference" not in vars(adapter.model.llma)


OWN = """
class Mine:
    input = "text"
    def __init__(self, options): pass
    def load(self, sample): return sample.read()
    def preprocess(self, sample, raw): return raw
    def encode(self, inputs): return inputs
"""


def test_a_class_with_stages_as_methods_is_an_adapter(elsewhere: Path) -> None:
    (elsewhere / "own_adapter.py").write_text(OWN)
    model = model_entry.model("own_adapter:Mine")
    assert model.stages == (Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE)
    assert model.input == "text"
    assert model.build(BuildOptions()).facts.model == "own_adapter:Mine"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("nowhere.at_all:X", "there is no module 'nowhere'"),
        ("lab_adapter:MISSING", "has no 'MISSING'"),
        ("lab_adapter:ask", "it is no adapter"),
        (":X", "no model of that form"),
    ],
)
def test_what_is_no_adapter_is_one_clear_error(elsewhere: Path, name: str, what: str) -> None:
    with pytest.raises(TracekitError, match=re.escape(what)):
        model_entry.model(name)


def test_a_path_that_the_model_does_not_have_is_one_clear_error(elsewhere: Path) -> None:
    wrong = example().replace("llma.encode_image", "llma.encode_imu")
    (elsewhere / "wrong_adapter.py").write_text(wrong)
    model = model_entry.model("wrong_adapter:ADAPTER")
    with pytest.raises(TracekitError, match=r"no 'llma\.encode_imu' \(Language has no"):
        model.build(BuildOptions())


MISTAKES = {
    "decode without prefill": (
        "def decode(self, state): return state",
        "it has a decode and no prefill",
    ),
    "text that gives nothing": (
        """def prefill(self, inputs, tokens): return State()
    def text(self, state): return None""",
        "text(state) gives NoneType, not a text for each row",
    ),
    "a state that never says whether it is done": (
        """def prefill(self, inputs, tokens): return object()
    def decode(self, state): return state""",
        "the state that prefill gave says nothing of `finished`",
    ),
    "ids that are no rows": (
        "def prefill(self, inputs, tokens): return State([1, 2])",
        "ids of the state is no list of rows of tokens",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_an_adapter_is_one_clear_line(elsewhere: Path, mistake: str) -> None:
    methods, what = MISTAKES[mistake]
    state = (
        "class State:\n    def __init__(self, ids=((1,),)): self.ids, self.finished = ids, True\n"
    )
    name = f"mistaken_{list(MISTAKES).index(mistake)}"
    (elsewhere / f"{name}.py").write_text(f"{state}{OWN}    {methods}\n")
    with pytest.raises(TracekitError, match=re.escape(what)) as caught:
        adapter = model_entry.model(f"{name}:Mine").build(BuildOptions())
        request(adapter, imu_sample(), 0, Recorder(mark=False), most_steps=2)
    assert "\n" not in str(caught.value)


def test_a_span_that_is_no_stage_is_one_clear_line(elsewhere: Path) -> None:
    wrong = example().replace("Stage.ENCODE", '"encode"')
    (elsewhere / "stringly_adapter.py").write_text(wrong)
    with pytest.raises(TracekitError, match=r"is 'encode', no Stage; one of Stage\.LOAD"):
        model_entry.model("stringly_adapter:ADAPTER").build(BuildOptions())
