"""LLaSA: stages, published folder layout, where the tower comes from, sizes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import shared
from tests.unit.model_samples import imu_sample, imu_values, run
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions
from tracekit.models.llasa import model
from tracekit.models.shared import golden

OPTIONS = BuildOptions(max_new_tokens=4)
TOWER = "model.vision_tower."


def case(name: str = "llasa_tiny") -> golden.Golden:
    return golden.read(shared("reference", "models", "golden", f"{name}.json"))


def published_folder(folder: Path, name: str = "llasa_tiny", *, tower: bool = True) -> Path:
    """The tiny golden's weights as a Hugging Face folder, in two shards."""
    state = {k: torch.from_numpy(v) for k, v in case(name).under("weights.").items()}
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(8)
    names = [k for k in state if tower or not k.startswith(TOWER)]
    halves = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    places = {}
    for file, part in halves.items():
        save_file({k: state[k] for k in part}, folder / file)
        places |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "config.json").write_text(json.dumps(case(name).sidecar["hf_config_json"]))
    tokenizer = shared("reference", "models", "golden", "tiny_llama_like_sp.model")
    (folder / "tokenizer.model").write_bytes(tokenizer.read_bytes())
    return folder


def golden_ids(adapter: model.Llasa, name: str) -> list[int]:
    given = {k: torch.from_numpy(v) for k, v in case(name).under("in.").items()}
    at = given["input_ids"][0].tolist().index(-200)
    inputs = model.Inputs(imu=given["imu"], ids=given["input_ids"], at=at, prompt="")
    state = adapter.prefill(inputs, adapter.encode(inputs))
    while not state.finished:
        adapter.decode(state)
    return state.ids[0]


@pytest.mark.parametrize("name", ["llasa_tiny", "llasa_tiny_rope4"])
def test_a_published_folder_loads_and_gives_the_golden_ids(tmp_path: Path, name: str) -> None:
    folder = published_folder(tmp_path, name)
    adapter = model.build(replace(OPTIONS, size="full", checkpoint=folder, max_new_tokens=9))
    assert golden_ids(adapter, name) == case(name).tensors["out.generate_ids"][0].tolist()
    assert adapter.facts.size == "checkpoint"
    assert adapter.facts.tokenizer.startswith("SentencePiece")
    assert adapter.prompt("What is the person doing?")[1] == [
        int(i) for i in case(name).tensors["in.input_ids"][0]
    ]


def test_a_checkpoint_without_its_tower_says_how_to_name_one(tmp_path: Path) -> None:
    folder = published_folder(tmp_path, tower=False)
    with pytest.raises(TracekitError, match="does not hold the LIMU-BERT tower") as caught:
        model.build(replace(OPTIONS, checkpoint=folder))
    assert "tower=PATH" in str(caught.value)


def test_the_tower_may_be_a_limu_bert_checkpoint_of_its_own(tmp_path: Path) -> None:
    folder = published_folder(tmp_path, tower=False)
    tower = shared("reference", "models", "limu_bert_uci.safetensors")
    options = replace(OPTIONS, checkpoint=folder, max_new_tokens=9, extra={"tower": str(tower)})
    assert golden_ids(model.build(options), "llasa_tiny") == (
        case().tensors["out.generate_ids"][0].tolist()
    )


def test_every_stage_gives_what_the_next_one_takes() -> None:
    adapter, sample = model.build(replace(OPTIONS, batch_size=2)), imu_sample(rate_hz=50.0)
    inputs = adapter.preprocess(sample, adapter.load(sample))
    assert inputs.imu is not None
    assert inputs.imu.shape == (2, 120, 6)
    tokens = adapter.encode(inputs)
    assert tokens.shape == (2, 120, 64)
    state = adapter.prefill(inputs, tokens)
    assert state.prompt_tokens == inputs.ids.shape[1] - 1 + 120
    assert state.prompt_tokens == adapter.facts.dims["prefill"]["tokens"]
    state = adapter.decode(state)
    assert len(adapter.text(state)) == 2


def test_the_parameters_of_each_component_are_the_documented_ones() -> None:
    counts = model.parameters("full")
    assert counts == {"tower": 51_552, "projector": 17_080_320, "llm": 6_738_415_616}


def test_the_cost_of_encoding_is_the_documented_one() -> None:
    # 56.5 MF of LIMU-BERT and 4.10 GF of the projector
    assert model.encode_flops(model.sized("full"), model.SAMPLES) == pytest.approx(
        4.16e9, rel=0.003
    )


def test_a_prompt_longer_than_the_tokenizer_allows_loses_its_end(tmp_path: Path) -> None:
    folder = published_folder(tmp_path)
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | {"tokenizer_model_max_length": 150}))
    adapter = model.build(replace(OPTIONS, checkpoint=folder))
    assert run(adapter, imu_sample(rate_hz=50.0)).prompt_tokens == 150


def test_templates_change_the_prompt_and_the_marker_is_not_for_users() -> None:
    for name, words in (("v1", "a curious user"), ("llava_v0", "###Human: <image>")):
        adapter = model.build(replace(OPTIONS, extra={"template": name}))
        assert words in adapter.prompt("What?")[0]
    with pytest.raises(TracekitError, match="holds <image>"):
        model.build(replace(OPTIONS, prompt="<image> What?"))
    with pytest.raises(TracekitError, match="no value of template"):
        model.build(replace(OPTIONS, extra={"template": "v9"}))


@pytest.mark.parametrize("changes", [{"cache": "static"}, {"attention": "eager"}])
def test_attention_and_cache_do_not_change_the_tokens(changes: dict[str, str]) -> None:
    sample = imu_sample(rate_hz=50.0)
    plain = run(model.build(OPTIONS), sample)
    state = run(model.build(replace(OPTIONS, **changes)), sample)  # type: ignore[arg-type]
    assert state.ids == plain.ids


def test_weights_without_a_config_and_a_tower_without_weights_are_clear_errors(
    tmp_path: Path,
) -> None:
    published_folder(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(TracekitError, match=r"config\.json: no such file"):
        model.build(replace(OPTIONS, checkpoint=tmp_path))
    with pytest.raises(TracekitError, match="go with a checkpoint"):
        model.build(replace(OPTIONS, extra={"tower": "x.pt"}))


def test_what_the_input_decides_is_stated_as_it_was() -> None:
    adapter = model.build(OPTIONS)
    assert adapter.facts.dims["encode"]["tokens"] == 120
    run(adapter, imu_sample(imu_values(256), rate_hz=100.0))  # 2.56 s: 51 samples at 20 Hz
    dims = adapter.facts.dims
    text = len(adapter.prompt(model.PROMPT)[1]) - 1
    assert dims["encode"]["tokens"] == dims["prefill"]["sensor_tokens"] == 51
    assert dims["prefill"]["tokens"] == 51 + text
    assert dims["encode"]["flops"] == model.encode_flops(model.sized("tiny"), 51)
    assert dims["encode"]["flops"] < model.encode_flops(model.sized("tiny"), 120) / 2.3
    assert adapter.facts.notes == (
        "shorter than the model's window, and not padded: 51 of 120 samples",
    )
    run(adapter, imu_sample())  # a whole one: two lengths are not stated as one
    assert "prefill" not in adapter.facts.dims
    assert "flops" not in adapter.facts.dims["encode"]
