"""EventGPT against numbers of the original code, and its adapter."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import shared
from tracekit.datasets.entry import Recording, Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions
from tracekit.models.eventgpt import model
from tracekit.models.eventgpt.checkpoint import TOWER, added
from tracekit.models.shared import event_frames
from tracekit.models.shared import golden as goldens

STEPS = 8


def _tensors() -> dict[str, torch.Tensor]:
    return load_file(shared("reference", "models", "golden", "eventgpt_tiny.safetensors"))


def _sidecar() -> Any:
    path = shared("reference", "models", "golden", "eventgpt_tiny.json")
    return json.loads(path.read_text())


def _events_of(tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {name: tensors[f"in.events.{name}"].numpy() for name in "xypt"}


def sample(arrays: dict[str, Any], kind: Any = "events") -> Sample:
    return Sample(
        id="drawn",
        dataset="test",
        path=Path("drawn"),
        read=lambda: arrays,
        parse=lambda raw: Recording(kind=kind, arrays=raw),
    )


def checkpoint(folder: Path, *, tower_inside: bool = True) -> dict[str, torch.Tensor]:
    """A checkpoint folder as published, of the golden's weights; returns the golden's tensors."""
    tensors, config = _tensors(), _sidecar()["config"]
    weights = {k.removeprefix("weights."): v for k, v in tensors.items() if k[:8] == "weights."}
    said = {"model_type": "EventChat_llama", **config["llm"], "mm_use_im_start_end": True}
    if tower_inside:
        said["vision_config"] = config["vision"]
    else:
        clip = folder / "clip"
        clip.mkdir()
        ours = [name for name in weights if name.startswith(TOWER)]
        tower = {"vision_model." + n[len(TOWER) :]: weights.pop(n) for n in ours}
        tower["text_model.final_layer_norm.bias"] = torch.zeros(3)
        tower["vision_model.embeddings.position_ids"] = torch.arange(10)[None]
        save_file(tower, clip / "model.safetensors")
        (clip / "config.json").write_text(json.dumps({"vision_config": config["vision"]}))
        said["mm_visual_tower"] = "clip"
    (folder / "config.json").write_text(json.dumps(said))
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(8)
    save_file(weights, folder / "model.safetensors")
    sp = shared("reference", "models", "golden", "tiny_llama_like_sp.model")
    shutil.copy(sp, folder / "tokenizer.model")
    return tensors


def test_every_output_is_within_the_stated_tolerance_and_ids_are_exact() -> None:
    checks = goldens.check(shared("reference", "models", "golden", "eventgpt_tiny.json"))
    assert [check for check in checks if not check.passed] == []
    assert len(checks) == 16


def test_pixels_equal_the_originals_to_the_bit() -> None:
    tensors = _tensors()
    images = event_frames.frames(event_frames.checked(_events_of(tensors), "x"))
    assert np.array_equal(event_frames.pixels(images, 42), tensors["out.pixel_values"].numpy())


@pytest.mark.parametrize("size", [(40, 90), (90, 40), (50, 50), (336, 400)])
def test_pixels_equal_those_of_clips_image_processor(size: tuple[int, int]) -> None:
    module = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    processor = module.CLIPImageProcessorPil(
        size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}
    )
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    wanted = processor(image, return_tensors="np")["pixel_values"]
    np.testing.assert_allclose(event_frames.pixels([image], 336), wanted, atol=1e-6)


def test_components_have_the_documented_parameters() -> None:
    assert model.parameters("full") == {
        "vision_tower": 303_507_456,
        "projector": 20_979_712,
        "adaptor": 16_781_312,
        "llm": 6_738_415_616,
    }


def test_flops_of_the_images_are_the_documented_ones() -> None:
    from types import SimpleNamespace

    vision = SimpleNamespace(**model.VIT_L_14_336)
    documented = (1.906 + 0.121 + 0.097) * 1e12
    assert model.flops(vision, 4096) == pytest.approx(documented, rel=2e-3)


@pytest.mark.parametrize("tower_inside", [True, False])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_a_checkpoint_folder_runs_through_the_stages_to_the_golden_ids(
    tower_inside: bool, cache: Any, tmp_path: Path
) -> None:
    tensors = checkpoint(tmp_path, tower_inside=tower_inside)
    options = BuildOptions(
        checkpoint=tmp_path,
        cache=cache,
        batch_size=2,
        max_new_tokens=STEPS,
        extra={"ignore_eos": "true"},
    )
    adapter = model.build(options)
    given = sample(_events_of(tensors))
    inputs = adapter.preprocess(given, adapter.load(given))
    assert list(inputs.ids) == tensors["in.input_ids"][0].tolist()
    tokens = adapter.encode(inputs)
    np.testing.assert_allclose(
        tokens[1].numpy(), tensors["out.event_tokens"].numpy(), atol=3e-5, rtol=1e-5
    )
    state = adapter.prefill(inputs, tokens)
    while not state.finished:
        state = adapter.decode(state)
    wanted = tensors["out.decode_ids"][0].tolist()
    assert state.ids == [wanted, wanted]
    assert len(adapter.text(state)) == 2
    assert adapter.facts.dims["prefill"]["tokens"] == tensors["out.inputs_embeds"].shape[1]


def test_a_checkpoint_without_any_tower_says_so(tmp_path: Path) -> None:
    checkpoint(tmp_path, tower_inside=False)
    shutil.rmtree(tmp_path / "clip")
    with pytest.raises(TracekitError, match="no vision tower inside"):
        model.build(BuildOptions(checkpoint=tmp_path))


def test_a_wrong_checkpoint_names_what_is_wrong(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.feature_adaptor.bias"]
    weights["model.stranger.weight"] = torch.zeros(2)
    weights["model.visual_projector.0.bias"] = torch.zeros(9)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(TracekitError) as error:
        model.build(BuildOptions(checkpoint=tmp_path))
    assert "1 missing (model.feature_adaptor.bias)" in error.value.what
    assert "1 unexpected (model.stranger.weight)" in error.value.what
    assert "1 of another shape (model.visual_projector.0.bias (9,) not (64,))" in error.value.what


def test_tokens_without_a_row_get_the_mean_of_all_rows(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights[name][:480].clone()
    save_file(weights, tmp_path / "model.safetensors")
    adapter = model.build(BuildOptions(checkpoint=tmp_path))
    table = adapter.model.get_input_embeddings().weight
    assert table.shape == (483, 64)
    torch.testing.assert_close(table[482], table[:480].mean(0))
    assert adapter.facts.options["rows_added"] == 3


def test_the_tags_are_added_as_the_configuration_says() -> None:
    assert added({}, 32000, {}) == {"<ev_patch>": 32000}
    both = added({}, 32000, {"mm_use_im_start_end": True})
    assert both == {"<ev_patch>": 32000, "<ev_start>": 32001, "<ev_end>": 32002}
    assert added({}, 32000, {"mm_use_im_patch_token": False}) == {}
    known = added({"<pad>": 32000}, 32000, {})
    assert known == {"<pad>": 32000, "<ev_patch>": 32001}


def test_a_recording_of_another_kind_is_refused() -> None:
    adapter = model.build(BuildOptions())
    given = sample({}, "imu")
    with pytest.raises(TracekitError, match="takes events"):
        adapter.preprocess(given, adapter.load(given))


def test_the_marker_is_the_templates_to_put_in() -> None:
    with pytest.raises(TracekitError, match="the prompt holds <event>"):
        model.build(BuildOptions(prompt="What is <event>?"))
    adapter = model.build(BuildOptions())
    asked = replace(sample(_drawn(400)), prompt="<event>\nWhat moves?")
    assert adapter.preprocess(asked, adapter.load(asked)).prompt.count("<event>") == 1


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_random_weights_run_with_the_attention_asked_for(attention: Any) -> None:
    adapter = model.build(BuildOptions(attention=attention, max_new_tokens=3))
    assert adapter.vision._attn_implementation == attention
    given = sample(_drawn(400))
    inputs = adapter.preprocess(given, adapter.load(given))
    tokens = adapter.encode(inputs)
    assert tokens.shape == (1, 15, 64)
    state = adapter.decode(adapter.prefill(inputs, tokens))
    assert [len(row) for row in state.ids] == [2]


def _drawn(count: int, *, span_us: int = 50_000) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "x": rng.integers(0, 64, count).astype(np.uint16),
        "y": rng.integers(0, 48, count).astype(np.uint16),
        "p": rng.integers(0, 2, count).astype(np.uint8),
        "t": np.linspace(0, span_us, count).astype(np.uint32),
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"t": np.array([0, 1, 2, 3, 100_000])}, "span 100,000 µs"),
        ({"t": np.arange(4)}, "differ in length"),
        ({name: np.arange(4) for name in "xypt"}, "4 events make no 5 images"),
        ({"x": np.array([-1, 0, 0, 0, 0])}, "run from -1"),
        ({"y": np.array([0, 0, 0, 0, 99_999])}, "to 99999"),
    ],
)
def test_events_that_make_no_images_are_one_clear_error(change: Any, said: str) -> None:
    good = {name: np.arange(5) for name in "xypt"}
    event_frames.checked(good, "x")
    with pytest.raises(TracekitError, match=said):
        event_frames.checked(good | change, "x")


def test_a_span_is_measured_without_wrapping() -> None:
    stamps = np.array([60_000, 10, 20, 30, 40], np.uint16)
    held = event_frames.checked({**{n: np.arange(5) for n in "xyp"}, "t": stamps}, "x")
    assert int(held["t"].max() - held["t"].min()) == 59_990


def test_later_events_paint_over_earlier_ones_and_the_last_image_takes_the_rest() -> None:
    count = 5 * 2 + 3
    events = {
        "x": np.zeros(count, np.int64),
        "y": np.zeros(count, np.int64),
        "p": np.array([0, 1] * 5 + [1, 1, 0]),
        "t": np.arange(count),
    }
    images = event_frames.frames(events)
    assert [image[0, 0].tolist() for image in images] == [[255, 0, 0]] * 4 + [[0, 0, 255]]
