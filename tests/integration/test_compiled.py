"""Compiled on the CPU, each model gives what it gives without: the same ids, to the last one.

The compiler is loaded, and each model compiled, in one process apart from those of the other tests.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from tests import fresh
from tracekit.capture import plan as planning
from tracekit.capture.recorder import Recorder, Request, request
from tracekit.models.eventgpt import model as eventgpt
from tracekit.models.llasa import model as llasa
from tracekit.models.onellm import model as onellm

STEPS = 6
DECODERS = {"onellm": 168, "llasa": 80, "eventgpt": 185}  # lengths of the text: 200 tokens each
ENCODERS = ("limu_bert", "imu2clip")
COMPILER = os.environ.get("CXX", "g++")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which(COMPILER) is None, reason=f"torch.compile needs {COMPILER} for the CPU"
    ),
]


def one_layer() -> None:
    """Layers are alike, and each takes seconds to compile; so do models, of one shape here."""
    fewer = {"num_hidden_layers": 1}
    tiny = replace(
        onellm.SIZES["tiny"], n_layers=1, clip_layers=1, n_resample_layers=1,
        multiple_of=16, vocab_size=512,
    )  # fmt: skip
    onellm.SIZES = {"tiny": tiny}
    llasa.SIZES = {"tiny": {**llasa.SIZES["tiny"], **fewer}}
    parts = {name: {**one, **fewer} for name, one in eventgpt.SIZES["tiny"].items()}
    eventgpt.SIZES = {"tiny": parts}


@contextmanager
def compiler() -> Iterator[None]:
    import torch._inductor.config

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with torch._inductor.config.patch(compile_threads=1):  # a pool of processes costs more here
        yield


def asked(folder: Path, name: str, **given: Any) -> tuple[Any, Request]:
    """The adapter, and its request: two rows, past any end token."""
    plan = planning.plan(name, size="tiny", device="cpu", batch_size=2, **given)
    (sample,) = planning.feed(plan, folder)[:1]
    adapter = planning.build(plan)
    with torch.inference_mode():
        done = request(adapter, sample, 0, Recorder(mark=False), most_steps=STEPS - 1)
    return adapter, done


def decoded(name: str, folder: Path) -> dict[str, Any]:
    """The ids with and without the compiler, and what it counted."""
    given = {"max_new_tokens": STEPS, "extra": {"ignore_eos": "true"},
             "prompt_tokens": DECODERS[name]}  # fmt: skip
    _, plain = asked(folder / "a", name, **given)
    with compiler():
        adapter, compiled = asked(folder / "b", name, compile=True, **given)
        counters = torch._dynamo.utils.counters
        return {
            "option": adapter.facts.options["compile"], "plain": plain.ids, "ids": compiled.ids,
            "prefill": plain.prefill_tokens, "graphs": counters["stats"]["unique_graphs"],
            "breaks": dict(counters["graph_break"]),
        }  # fmt: skip


def encoded(name: str, folder: Path) -> dict[str, Any]:
    """How the vectors with the compiler differ from those without, if they do."""
    made = {}
    with compiler():
        for compiled in (False, True):
            plan = planning.plan(name, size="tiny", device="cpu", batch_size=2, compile=compiled)
            (sample,) = planning.feed(plan, folder)[:1]
            adapter = planning.build(plan)
            with torch.inference_mode():
                inputs = adapter.preprocess(sample, adapter.load(sample))
                made[compiled] = adapter.encode(inputs).clone()
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    try:
        torch.testing.assert_close(made[True], made[False], atol=2e-6, rtol=1e-5)
    except AssertionError as fault:
        return {"graphs": graphs, "fault": str(fault)}
    return {"graphs": graphs, "fault": ""}


def every() -> dict[str, dict[str, Any]]:
    """What the tests below look at, of each model."""
    one_layer()
    with TemporaryDirectory() as folder:
        made = {name: decoded(name, Path(folder) / name) for name in DECODERS}
        return made | {name: encoded(name, Path(folder) / name) for name in ENCODERS}


@cache
def found() -> dict[str, dict[str, Any]]:
    of_all: dict[str, dict[str, Any]] = fresh.called(f"{__name__}:every")
    return of_all


@pytest.mark.parametrize("name", DECODERS)
def test_compiled_decoding_gives_the_same_ids_from_one_graph(name: str) -> None:
    one = found()[name]
    assert one["option"] == "decode step, default"
    assert [len(row) for row in one["plain"]] == [STEPS, STEPS]
    assert one["prefill"] == 200
    assert one["ids"] == one["plain"]
    # in pieces, a GPU could not replay the step as one graph
    assert one["graphs"] == 1
    assert not one["breaks"]


@pytest.mark.parametrize("name", ENCODERS)
def test_a_compiled_encoder_gives_the_same_vectors(name: str) -> None:
    one = found()[name]
    assert one["graphs"] > 0
    assert one["fault"] == ""
