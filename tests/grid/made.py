"""Folders of tiny random models, and the proof that each is captured right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tests.grid.families import BASE
from tracekit.capture import plan as planning
from tracekit.capture.run import Captured, capture
from tracekit.results import engine
from tracekit.taxonomy import SAMPLE
from tracekit.trace import kineto
from tracekit.trace.trace import Cat

TOKENS = 4
WARMUP = 0  # the first request of a process is whole, too


def library() -> Any:
    """transformers, quiet."""
    import transformers

    found: Any = transformers
    found.logging.set_verbosity_error()
    found.logging.disable_progress_bar()
    return found


def configured(kind: str, settings: Mapping[str, Any]) -> Any:
    """A configuration; None where this transformers has no such model type."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if kind not in CONFIG_MAPPING_NAMES:
        return None
    known = library().AutoConfig.for_model(kind)
    # a size that the family has not is no attribute of its configurations either
    base = {key: value for key, value in BASE.items() if hasattr(known, key)}
    return known.__class__(**{**base, **settings})


def saved(made: Any, folder: Path, **generation: Any) -> Any:
    """A model with random weights that tell tokens apart, in a folder; and what is read of it."""
    made = made.eval()
    for name, value in made.named_parameters():
        if value.dim() >= 2 and "norm" not in name:  # the usual 0.02 makes all logits alike
            torch.nn.init.normal_(value, std=0.2)
    for name, value in generation.items():
        setattr(made.generation_config, name, value)
    made.save_pretrained(folder)
    return type(made).from_pretrained(folder).eval()  # sinusoids are in no file


def captured(folder: Path, **options: Any) -> Captured:
    """One request of a folder's model, profiled."""
    given = {"max_new_tokens": TOKENS, "extra": {"ignore_eos": "true"}, **options}
    made = planning.plan(f"hf:{folder}", device="cpu", samples=1, warmup=WARMUP, **given)
    return capture(made, folder.parent / f"{folder.name}.pt.trace.json")


def is_whole(done: Captured) -> None:
    """The stages of the trace, and those of the metadata, add up to the request to the ns."""
    for request in (*done.unprofiled, *done.profiled):
        assert set(request.stages) == set(done.stages)
        assert request.wall == sum(request.stages.values())
    marks = kineto.load(done.path).of(Cat.ANNOTATION)
    (sample,) = (int(marks.dur[row]) for row in range(len(marks))
                 if marks.text(row).startswith(SAMPLE))  # fmt: skip
    answers = engine.answers(done.path, only=["stages"]).answers
    (stages,) = answers.values()
    rows = stages.to_json()["rows"]
    assert {row["stage"] for row in rows} == {stage.value for stage in done.stages}
    assert sum(row["wall_ns"] for row in rows) == sample
    facts = done.metadata
    assert json.loads(json.dumps(facts)) == facts


def ids_of(done: Captured) -> list[list[int]]:
    """The tokens of each row, the same with the profiler as without it."""
    plain, profiled = done.unprofiled[0].ids, done.profiled[0].ids
    assert plain == profiled
    return [list(row) for row in plain]
