"""What runs say of themselves, where they differ, and short names that tell them apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekit.records import replace
from tracekit.report.many import runs
from tracekit.results.answers import Answers
from tracekit.trace import run_facts
from tracekit.trace.run_facts import RunFacts
from tracekit.trace.trace import Source

LONG = "EventGPT 7B: an event camera's stream through CLIP ViT-L/14-336 into Vicuna"


def captured(model: str = "onellm", title: str = "OneLLM 7B", **more: Any) -> Source:
    run = {"model": model, "title": title, "size": "tiny", "dtype": "float32", **more}
    return Source(path=f"{model}.json", meta={"tracekit": run})


def ranked(rank: int, world: int = 8) -> Source:
    return Source("t.json", meta={"distributedInfo": {"rank": rank, "world_size": world}})


def test_a_long_title_gives_a_short_name() -> None:
    names = run_facts.labels([captured(), captured("eventgpt", LONG)], ["a", "b"])
    assert names == ["OneLLM 7B tiny", "EventGPT 7B tiny"]


def test_runs_of_one_model_are_named_by_what_differs() -> None:
    sources = [captured(dtype="float32"), captured(dtype="bfloat16")]
    assert run_facts.labels(sources, ["a", "b"]) == ["OneLLM 7B tiny, float32",
                                                "OneLLM 7B tiny, bfloat16"]  # fmt: skip
    sources = [captured(batch_size=1), captured(batch_size=8)]
    assert run_facts.labels(sources, ["a", "b"])[1] == "OneLLM 7B tiny, batch size 8"


def test_runs_that_say_the_same_are_named_by_their_files() -> None:
    assert run_facts.labels([captured(), captured()], ["monday", "tuesday"]) == [
        "monday",
        "tuesday",
    ]
    assert run_facts.labels([captured(), captured()], ["same", "same"]) == ["1: same", "2: same"]


@pytest.mark.parametrize("ending", ["", "_and_more_after_it_all"])
def test_long_file_names_stay_short_and_apart(ending: str) -> None:
    stems = [f"a_very_long_common_beginning_{n}_of_a_name{ending}" for n in ("one", "two")]
    names = run_facts.labels([Source("x"), Source("y")], stems)
    assert len(set(names)) == 2
    assert max(map(len, names)) <= run_facts.LONG + 3


def test_only_captures_that_say_the_same_are_repeats() -> None:
    same, other = run_facts.about(captured()), run_facts.about(captured(batch_size=4))
    assert run_facts.repeats([same, same])
    assert not run_facts.repeats([same, replace(other, batch_size=8), other])
    foreign = [RunFacts(), RunFacts()]
    assert not run_facts.repeats(foreign)  # nothing is known of them


def test_what_differs_is_what_two_runs_say_unlike() -> None:
    one = RunFacts(model="a", dtype="float32", torch="2.1")
    assert run_facts.differing([one, replace(one, torch="2.2")]) == ["torch"]
    assert run_facts.differing([one, RunFacts(model="a", dtype="float32")]) == []
    assert run_facts.differing([one, RunFacts(dtype="float32")]) == ["model"]


def test_every_fact_has_a_name_and_every_name_a_fact() -> None:
    assert set(RunFacts.__struct_fields__) == set(run_facts.NAMES)


def test_nothing_but_what_is_listed_leaves_the_metadata() -> None:
    source = captured(
        secret="hunter2", tokens={"prefill": 81, "generated": [16, 16], "ids": [1]},
        schedule={"samples": 3}, options={"sync": True, "with_stack": True},
        versions={"torch": "2.13.0", "host": "machine"},
    )  # fmt: skip
    said = run_facts.about(source)
    assert said.prefill_tokens == 81
    assert said.generated_tokens == "16"
    assert said.with_stack is True
    assert "hunter2" not in str(said)


def test_prompts_of_different_lengths_are_all_said() -> None:
    tokens = {"prefill": None, "prefill_each": [120, 81, 81], "generated": [16, 8, 16]}
    said = run_facts.about(captured(tokens=tokens))
    assert (said.prefill_tokens, said.generated_tokens) == ("81 or 120", "8 or 16")


def test_a_trace_that_says_nothing_of_its_dtype_has_none() -> None:
    assert run_facts.about(Source("t.json")).dtype is None
    assert run_facts.shown(None) == "not said"


def test_what_was_recorded_is_known_from_flags_or_from_the_events_themselves() -> None:
    assert run_facts.about(Source("t.json")).with_stack is None  # nothing said, nothing known
    said = run_facts.about(Source("t.json", meta={"record_shapes": 1}))
    assert (said.record_shapes, said.with_stack) == (True, False)
    assert run_facts.about(Source("t.json", cats={"python_function": 9})).with_stack is True


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = (
    "model", "title", "size", "dtype", "batch_size", "tokens", "versions", "schedule", "options",
    "device", "data",
)  # fmt: skip


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "tracekit": st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6),
                "distributedInfo": st.dictionaries(
                    st.sampled_from(["rank", "world_size"]), JSON, max_size=2
                ),
                "deviceProperties": JSON,
                "with_stack": JSON,
            },
        ),
        min_size=2,
        max_size=4,
    )
)
def test_no_metadata_however_odd_stops_the_names(metas: list[dict[str, Any]]) -> None:
    sources = [Source("t.json", meta=meta) for meta in metas]
    names = [side.name for side in runs.read([Answers("t.json", one) for one in sources])]
    assert len(set(names)) == len(sources)
    said = [run_facts.about(source) for source in sources]
    run_facts.differing(said)
    run_facts.repeats(said)
    json.dumps([one.said for one in said], allow_nan=False)


def test_the_devices_that_a_profiler_lists_are_those_of_the_machine() -> None:
    listed = [{"name": "NVIDIA H100 80GB HBM3"}] * 8
    assert run_facts.devices(Source("t.json", meta={"deviceProperties": listed})) == [
        "NVIDIA H100 80GB HBM3 (8 in the machine)"
    ]
