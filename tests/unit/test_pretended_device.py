"""Every model on a device that is not there: which ops mix what, and where the host would wait.

`tests/pretended.py` runs each stage in full width, op by op, without a value computed. What a GPU
would refuse in the middle of a request (a tensor left on the host, a dtype forgotten) and what
would make it wait unseen are found here, on a machine without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from tests import fresh
from tracekit.models.shared import sampling

LLMS = ("onellm", "llasa", "eventgpt")
ENCODERS = ("limu_bert", "imu2clip")
# every pair of dtype, cache, batch size and attention that two of them can make
RUNS: tuple[dict[str, Any], ...] = (
    {"dtype": "bfloat16", "cache": "dynamic", "batch_size": 1, "attention": "sdpa"},
    {"dtype": "bfloat16", "cache": "static", "batch_size": 4, "attention": "eager"},
    {"dtype": "float16", "cache": "static", "batch_size": 1, "attention": "sdpa"},
    {"dtype": "float16", "cache": "dynamic", "batch_size": 4, "attention": "eager",
     "temperature": 0.7, "top_p": 0.9},
)  # fmt: skip
OPTIONS = {"onellm": {"extra": {"cache_offset": "published"}}}  # which rolls the cache back

# Where the host waits for the device inside a stage, and why it has to. A copy from the host's
# pageable memory waits for what was launched before it; a read always does.
INPUTS = "copy to the device"  # preprocess ends with the inputs there: that is what it is for
ADAPTER = "tracekit/models/{}/model.py:preprocess"
ROWS = "tracekit/models/shared/encoder.py:rows"
HUGGING_FACE = "tracekit/models/huggingface/adapters.py:preprocess"
# the ids of a token, once a step: the end token is known on the host, as is the text
TOKEN = ("read", "tracekit/models/shared/decoder/decoder.py:_append")
# a static cache counts its positions on the device, a counter a layer, copied once in its life: in
# the warm-up, or in the first request where there is none
COUNTERS = (INPUTS, "transformers/cache_utils.py:lazy_initialization")
# transformers counts the places for a picture's tokens in the prompt, and compares
PLACES = ("read", "transformers/utils/import_utils.py:torch_compilable_check")
# a mixture's weights of experts are float32, and multiply what the experts gave
MOE = "transformers/integrations/moe.py:grouped_mm_experts_forward"
SHARES = ("mul", "bfloat16 and float32", MOE)


def waits(stage: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    return {(what, place): count for what, place, count in stage["waits"]}


def expected(inputs: str, copies: int, layers: int, first: bool, static: bool) -> dict[str, Any]:
    """The waits of a request of a language model with two decode steps, by stage."""
    counters = {COUNTERS: layers} if first and static else {}
    return {
        "preprocess": {(INPUTS, inputs): copies},
        "prefill": {**counters, TOKEN: 1},
        "decode": {TOKEN: 2},
    }


def seen(request: Mapping[str, Any]) -> dict[str, Any]:
    return {stage: waits(found) for stage, found in request.items() if found["waits"]}


def mixed(run: Mapping[str, Any]) -> list[Any]:
    return [one for part in (run["build"], *stages(run)) for one in part["mixed"]]


def stages(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [found for request in run["requests"] for found in request.values()]


def computed_in(run: Mapping[str, Any]) -> set[str]:
    """The dtypes of products of matrices, convolutions and attention."""
    return {dtype for found in stages(run) for dtype in found["matrix"]}


def outputs_are_on_it(run: Mapping[str, Any], dtype: str) -> None:
    """Logits are float32, to choose from; all else has the dtype asked for."""
    for stage, tensors in run["outputs"].items():
        for shape, kind, device in tensors:
            assert device == "pretend", (stage, shape)
            wide = "float32" if stage in ("prefill", "decode") else dtype
            assert kind in (wide, "int64"), (stage, shape)


@pytest.mark.parametrize("name", LLMS)
def test_a_language_model_of_sensors_mixes_nothing_and_waits_where_it_must(name: str) -> None:
    given = [{"size": "full", **run, **OPTIONS.get(name, {})} for run in RUNS]
    for asked, run in zip(given, fresh.called("tests.pretended:shallow_runs", name, given),
                          strict=True):  # fmt: skip
        assert mixed(run) == []
        assert computed_in(run) == {asked["dtype"]}
        outputs_are_on_it(run, asked["dtype"])
        static = asked["cache"] == "static"
        assert (run["tokens"], run["synchronised"]) == (3, 10 if static else 5)
        assert run["prefill_tokens"] == run["dims"]["prefill"]["tokens"]
        for number, request in enumerate(run["requests"]):
            assert seen(request) == expected(ADAPTER.format(name), 2, 2, number == 0, static)


def test_the_published_size_runs_through_every_layer_with_nothing_allocated() -> None:
    asked = {"size": "full", "dtype": "bfloat16", "cache": "dynamic"}
    run = fresh.called("tests.pretended:ran", "onellm", asked, 2)
    assert run["values"] > 6.7e9  # 14 GB and more, of which none is there:
    assert run["resident_bytes"] < 1.5e9
    assert mixed(run) == []
    assert computed_in(run) == {"bfloat16"}
    assert run["dims"]["llm"]["layers"] == 32
    wanted = expected(ADAPTER.format("onellm"), 2, 32, True, False)
    assert seen(run["requests"][0]) == {**wanted, "decode": {TOKEN: 1}}


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_mixes_nothing_and_waits_for_nothing(name: str) -> None:
    given = [
        {"size": "full", "dtype": dtype, "batch_size": rows}
        for dtype, rows in (("bfloat16", 4), ("float16", 1))
    ]
    for asked, run in zip(given, fresh.called("tests.pretended:shallow_runs", name, given),
                          strict=True):  # fmt: skip
        assert mixed(run) == []
        assert computed_in(run) == {asked["dtype"]}
        outputs_are_on_it(run, str(asked["dtype"]))
        assert [seen(request) for request in run["requests"]] == [
            {"preprocess": {(INPUTS, ROWS): 1}}
        ]


# fake tensors know grouped products of experts in bfloat16 only
LIBRARY = {"llama": RUNS[2], "mixtral": RUNS[1], "llava": RUNS[1]}


@pytest.mark.parametrize("kind", LIBRARY)
def test_a_model_of_transformers_waits_where_transformers_does(kind: str) -> None:
    asked = {"size": "full", **LIBRARY[kind]}
    run = fresh.called("tests.pretended:of_transformers", kind, asked)
    assert {tuple(one[:3]) for one in mixed(run)} == ({SHARES} if kind == "mixtral" else set())
    assert computed_in(run) == {asked["dtype"]}
    outputs_are_on_it(run, asked["dtype"])
    for number, request in enumerate(run["requests"]):
        wanted = expected(HUGGING_FACE, 2 if kind == "llava" else 1, 2, number == 0, True)
        if kind == "llava":
            wanted["prefill"][PLACES] = 1
        assert seen(request) == wanted


def test_weights_of_a_folder_are_on_the_device_whole() -> None:
    """Gemma 2 keeps a scale in a buffer, caps its logits, and has a window in every other layer."""
    asked = {"size": "full", "dtype": "bfloat16", "batch_size": 2}
    run = fresh.called("tests.pretended:of_weights", "gemma2", asked)
    assert mixed(run) == []
    assert computed_in(run) == {"bfloat16"}
    outputs_are_on_it(run, "bfloat16")
    wanted = expected(HUGGING_FACE, 1, 1, True, True)  # the window's cache counts, as a static one
    assert seen(run["requests"][0]) == wanted


def test_random_weights_are_made_without_reading_the_device() -> None:
    run = fresh.called("tests.pretended:ran", "limu_bert", {"size": "full", "dtype": "bfloat16"})
    assert run["build"]["ops"] > 10
    assert run["build"]["waits"] == []


def test_a_token_is_drawn_as_torch_draws_it() -> None:
    logits = torch.randn(64, 300, generator=torch.Generator().manual_seed(1)) * 3
    torch.manual_seed(7)
    ours = sampling.choose(logits, 0.8, 0.9)
    torch.manual_seed(7)
    theirs = torch.multinomial(sampling.distribution(logits, 0.8, 0.9), 1).squeeze(-1)
    assert torch.equal(ours, theirs)
    assert len(ours.unique()) > 10


def test_what_is_wrong_is_seen() -> None:
    found = fresh.called("tests.pretended:faults")
    assert found["mixes_dtypes"]["mixed"][0][:2] == ["mul", "bfloat16 and float32"]
    number = found["mixes_with_a_number_of_the_host"]["mixed"]
    assert [one[:2] for one in number] == [["mul", "cpu and pretend"]]
    reads = found["reads_a_value"]["waits"]
    assert [(what, count) for what, _place, count in reads] == [("read", 3)]
    selected = {what for what, _place, _count in found["selects_by_mask"]["waits"]}
    assert selected == {"read", "index reads the device"}
    assert [one[0] for one in found["makes_an_input"]["waits"]] == [INPUTS]
    assert "pretend" in found["mixes_devices"]
    assert "cpu" in found["mixes_devices"]
