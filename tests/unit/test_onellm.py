"""OneLLM: stages, published checkpoint layout, options, sizes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import shared
from tests.unit.model_samples import imu_sample, run
from tracekit.errors import TracekitError
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions
from tracekit.models.onellm import model
from tracekit.models.shared import golden

OPTIONS = BuildOptions(max_new_tokens=4)
DOCUMENTED = {  # of the published 7B checkpoint
    "clip": 302_314_496,
    "projection_experts": 308_330_496,
    "imu": 9_970_691,
    "llm": 6_738_415_616,
}


@pytest.fixture
def golden_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Size tiny is that of the golden."""
    given = golden.read(shared("reference", "models", "golden", "onellm_tiny.json"))
    changes = {k: given.sidecar["config"][k] for k in ("resample_heads", "n_resample_layers")}
    sizes = {"tiny": replace(model.TINY, **changes)}
    monkeypatch.setattr(model, "SIZES", sizes)


def published_folder(folder: Path, split: int = 0) -> Path:
    """The tiny golden's weights as the original repository publishes its own."""
    case = golden.read(shared("reference", "models", "golden", "onellm_tiny.json"))
    state = {k: torch.from_numpy(v) for k, v in case.under("weights.").items()}
    state["llma.conv1.audio.weight"] = torch.zeros(2, 2)  # another modality's
    if split:
        for part in range(split):
            names = list(state)[part::split]
            torch.save(
                {name: state[name] for name in names}, folder / f"consolidated.00-of-01.s{part}.pth"
            )
    else:
        torch.save(state, folder / "consolidated.00-of-01.pth")
    params = {"dim": 64, "n_layers": 3, "n_heads": 4, "multiple_of": 32, "norm_eps": 1e-5}
    (folder / "params.json").write_text(json.dumps(params | {"vocab_size": -1}))
    return folder


def test_every_stage_gives_what_the_next_one_takes() -> None:
    adapter, sample = model.build(replace(OPTIONS, batch_size=2)), imu_sample()
    inputs = adapter.preprocess(sample, adapter.load(sample))
    assert inputs.imu is not None
    assert inputs.imu.shape == (2, 6, 400)
    tokens = adapter.encode(inputs)
    assert tokens.shape == (2, 30, 64)
    state = adapter.prefill(inputs, tokens)
    assert state.prompt_tokens == inputs.ids.shape[1] + 32
    assert [len(row) for row in state.ids] == [1, 1]
    while not state.finished:
        state = adapter.decode(state)
    assert state.ids[0] == state.ids[1]
    assert len(adapter.text(state)) == 2


def test_the_parameters_of_each_component_are_the_documented_ones() -> None:
    assert model.parameters("full") == DOCUMENTED


def test_the_cost_of_encoding_is_the_documented_one() -> None:
    assert model.encode_flops(model.FULL) == pytest.approx(534e9, rel=0.001)


@pytest.mark.usefixtures("golden_size")
@pytest.mark.parametrize("split", [0, 3])
def test_the_published_layouts_load_and_give_the_golden_ids(tmp_path: Path, split: int) -> None:
    folder = published_folder(tmp_path, split)
    adapter = model.build(replace(OPTIONS, checkpoint=folder, max_new_tokens=9))
    case = golden.read(shared("reference", "models", "golden", "onellm_tiny.json"))
    given = {k: torch.from_numpy(v) for k, v in case.under("in.").items()}
    inputs = model.Inputs(imu=given["imu"], ids=given["prompt_ids"], prompt="")
    state = adapter.prefill(inputs, adapter.encode(inputs))
    while not state.finished:
        adapter.decode(state)
    assert state.ids[0][:8] == case.tensors["out_offset32.decode_ids"][0].tolist()
    assert not adapter.facts.random_weights


@pytest.mark.usefixtures("golden_size")
def test_a_checkpoint_with_missing_keys_names_them_as_published(tmp_path: Path) -> None:
    path = published_folder(tmp_path) / "consolidated.00-of-01.pth"
    state = torch.load(path, weights_only=True)
    del state["llma.layers.1.attention.wq.weight"], state["llma.routers.imu.fc2.bias"]
    state["llma.norm.weight"] = torch.zeros(3)
    state["llma.extra"] = torch.zeros(1)
    torch.save(state, path)
    with pytest.raises(TracekitError) as caught:
        model.build(replace(OPTIONS, checkpoint=tmp_path))
    assert "2 missing (llma.layers.1.attention.wq.weight, llma.routers" in str(caught.value)
    assert "1 unexpected (llma.extra)" in str(caught.value)
    assert "llma.norm.weight (3,) not (64,)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_size_says_so_before_reading_weights(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text('{"dim": 4096}')
    with pytest.raises(TracekitError, match="has dim 4096, size 'tiny' has 64"):
        model.build(replace(OPTIONS, checkpoint=tmp_path))


@pytest.mark.parametrize("name", ["cache_offset", "ignore_eos"])
def test_a_wrong_value_of_an_option_is_one_clear_error(name: str) -> None:
    with pytest.raises(TracekitError, match="perhaps"):
        model.build(replace(OPTIONS, extra={name: "perhaps"}))


def test_unknown_options_sizes_and_devices_are_one_clear_error() -> None:
    with pytest.raises(TracekitError, match="takes no option 'offset'"):
        model.build(replace(OPTIONS, extra={"offset": 1}))
    with pytest.raises(TracekitError, match="no such size"):
        model.build(replace(OPTIONS, size="13B"))
    with pytest.raises(TracekitError, match="no such device"):
        model.build(replace(OPTIONS, device="gpu"))


@pytest.mark.parametrize(
    "changes",
    [
        {"cache": "static"},
        {"attention": "eager"},
        {"attention": "flash"},
        {"attention": "eager", "cache": "static"},
    ],
)
@pytest.mark.parametrize("offset", model.OFFSETS)
def test_attention_and_cache_do_not_change_the_tokens(changes: dict[str, Any], offset: str) -> None:
    extra = {"cache_offset": offset, "ignore_eos": True}
    plain = run(model.build(replace(OPTIONS, extra=extra)), imu_sample())
    adapter = model.build(replace(OPTIONS, extra=extra, **changes))
    for _ in range(2):  # the second request finds the cache of the first
        state = run(adapter, imu_sample())
        assert state.ids == plain.ids
        assert torch.allclose(state.logits, plain.logits, atol=1e-5)
    assert adapter.facts.attention.startswith(changes.get("attention", "sdpa"))
    assert adapter.facts.cache == changes.get("cache", "dynamic")


def test_the_published_offset_changes_what_decoding_sees() -> None:
    corrected = run(model.build(OPTIONS), imu_sample())
    published = run(
        model.build(replace(OPTIONS, extra={"cache_offset": "published"})), imu_sample()
    )
    assert corrected.ids[0][0] == published.ids[0][0]
    assert corrected.length == published.length + 2
    assert not torch.allclose(corrected.logits, published.logits, atol=1e-4)


def test_the_prompt_comes_from_the_options_then_the_sample_then_the_model() -> None:
    sample = replace(imu_sample(), prompt="Of the sample?")
    assert "Of the sample?" in run(model.build(OPTIONS), sample).prompt
    assert "Asked?" in run(model.build(replace(OPTIONS, prompt="Asked?")), sample).prompt
    assert model.PROMPT in run(model.build(OPTIONS), imu_sample()).prompt


def test_a_prompt_of_a_stated_length_fills_that_many_positions() -> None:
    adapter = model.build(replace(OPTIONS, prompt_tokens=100))
    assert run(adapter, imu_sample()).prompt_tokens == 132
    assert adapter.facts.dims["prefill"]["tokens"] == 132


def test_more_tokens_than_the_model_has_positions_is_one_clear_error() -> None:
    adapter = model.build(replace(OPTIONS, max_new_tokens=2000))
    with pytest.raises(TracekitError, match="more than the model's 2048"):
        run(adapter, imu_sample())


def test_sampling_follows_torchs_seed() -> None:
    def ids(seed: int) -> list[list[int]]:
        options = replace(OPTIONS, temperature=1.0, top_p=0.9, max_new_tokens=12)
        adapter = model.build(replace(options, extra={"ignore_eos": True}))
        torch.manual_seed(seed)  # as capture does for every request
        return run(adapter, imu_sample()).ids

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_a_recording_too_short_or_of_another_kind_is_one_clear_error() -> None:
    adapter = model.build(OPTIONS)
    for values in (np.zeros((5, 6)), np.zeros((500, 3))):
        with pytest.raises(TracekitError, match=r"only 5 samples|has 6 channels"):
            run(adapter, imu_sample(values))


def test_facts_let_analyses_compute_flops_and_bytes() -> None:
    facts = model.build(OPTIONS).facts
    json.dumps([dict(facts.parameters), facts.dims, facts.options])
    llm = facts.dims["llm"]
    per_layer = 4 * llm["hidden"] ** 2 + 3 * llm["hidden"] * llm["intermediate"]
    norms = (2 * llm["layers"] + 1) * llm["hidden"]
    whole = llm["layers"] * per_layer + norms + llm["vocab"] * llm["hidden"]
    assert llm["weight_parameters"] == whole
    assert facts.random_weights


def test_the_catalogue_finds_the_model() -> None:
    assert model_entry.model("onellm").build is model.build
    assert isinstance(model.build(OPTIONS), model_entry.Adapter)
