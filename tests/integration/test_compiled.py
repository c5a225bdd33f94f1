"""Compiled on the CPU, each model gives what it gives without: the same ids, to the last one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._inductor.config

from tracekit.capture import plan as planning
from tracekit.capture.recorder import Recorder, Request, request
from tracekit.models.eventgpt import model as eventgpt
from tracekit.models.llasa import model as llasa
from tracekit.models.onellm import model as onellm

STEPS = 6
COMPILER = os.environ.get("CXX", "g++")
pytestmark = pytest.mark.skipif(
    shutil.which(COMPILER) is None, reason=f"torch.compile needs {COMPILER} for the CPU"
)


@pytest.fixture(autouse=True)
def one_layer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Layers are alike, and each takes seconds to compile; so do models, of one shape here."""
    fewer = {"num_hidden_layers": 1}
    tiny = replace(
        onellm.SIZES["tiny"], n_layers=1, clip_layers=1, n_resample_layers=1,
        multiple_of=16, vocab_size=512,
    )  # fmt: skip
    monkeypatch.setitem(onellm.SIZES, "tiny", tiny)  # type: ignore[arg-type]
    monkeypatch.setitem(llasa.SIZES, "tiny", {**llasa.SIZES["tiny"], **fewer})  # type: ignore[arg-type]
    parts = {name: {**one, **fewer} for name, one in eventgpt.SIZES["tiny"].items()}
    monkeypatch.setitem(eventgpt.SIZES, "tiny", parts)  # type: ignore[arg-type]
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with torch._inductor.config.patch(compile_threads=1):  # a pool of processes costs more here
        yield
    torch._dynamo.reset()


def asked(folder: Path, name: str, **given: Any) -> tuple[Any, Request]:
    """The adapter, and its request: two rows, past any end token."""
    plan = planning.plan(name, size="tiny", device="cpu", batch_size=2, **given)
    (sample,) = planning.feed(plan, folder)[:1]
    adapter = planning.build(plan)
    with torch.inference_mode():
        done = request(adapter, sample, 0, Recorder(mark=False), most_steps=STEPS - 1)
    return adapter, done


@pytest.mark.parametrize(("name", "text"), [("onellm", 168), ("llasa", 80), ("eventgpt", 185)])
def test_compiled_decoding_gives_the_same_ids_from_one_graph(
    name: str, text: int, tmp_path: Path
) -> None:
    given = {"max_new_tokens": STEPS, "extra": {"ignore_eos": "true"}, "prompt_tokens": text}
    _, plain = asked(tmp_path / "a", name, **given)
    adapter, compiled = asked(tmp_path / "b", name, compile=True, **given)
    assert adapter.facts.options["compile"] == "decode step, default"
    assert [len(row) for row in plain.ids] == [STEPS, STEPS]
    assert plain.prefill_tokens == 200
    assert compiled.ids == plain.ids
    # in pieces, a GPU could not replay the step as one graph
    counters = torch._dynamo.utils.counters
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]


@pytest.mark.parametrize("name", ["limu_bert", "imu2clip"])
def test_a_compiled_encoder_gives_the_same_vectors(name: str, tmp_path: Path) -> None:
    made = {}
    for compiled in (False, True):
        plan = planning.plan(name, size="tiny", device="cpu", batch_size=2, compile=compiled)
        (sample,) = planning.feed(plan, tmp_path)[:1]
        adapter = planning.build(plan)
        with torch.inference_mode():
            inputs = adapter.preprocess(sample, adapter.load(sample))
            made[compiled] = adapter.encode(inputs).clone()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    torch.testing.assert_close(made[True], made[False], atol=2e-6, rtol=1e-5)
