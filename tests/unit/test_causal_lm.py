"""hf: models, made tiny and random and saved as their users have them on disk."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.model_samples import run, text_sample
from tracekit.datasets.entry import Recording, Sample
from tracekit.errors import TracekitError
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions
from tracekit.taxonomy import Stage

OPTIONS = BuildOptions(size="full", max_new_tokens=4, extra={"ignore_eos": True})
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
}


def tokenizer() -> Any:
    """A byte-level tokenizer of 261 ids, made on the spot."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
    names += sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {name: number for number, name in enumerate(names)}
    made = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    made.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=["<image>"],
    )


def saved(kind: str, folder: Path) -> Path:
    """A random tiny model with its tokenizer."""
    import transformers

    torch.manual_seed(0)
    library: Any = transformers
    if kind == "llava":
        vision = library.CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=28,
            patch_size=14,
        )
        text = library.LlamaConfig(**SIZES)
        config = library.LlavaConfig(vision_config=vision, text_config=text, image_token_index=4)
        model = library.LlavaForConditionalGeneration(config)
        images = library.CLIPImageProcessor(
            size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
        )
        library.LlavaProcessor(
            image_processor=images,
            tokenizer=tokenizer(),
            patch_size=14,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
        ).save_pretrained(folder)
    elif kind == "qwen2":
        model = library.Qwen2ForCausalLM(library.Qwen2Config(**SIZES, tie_word_embeddings=True))
    else:
        model = library.LlamaForCausalLM(library.LlamaConfig(**SIZES))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def picture_sample() -> Sample:
    pixels = np.random.default_rng(1).integers(0, 255, (40, 60, 3)).astype(np.uint8)
    return Sample(
        id="made",
        dataset="made",
        path=Path("made.png"),
        read=lambda: pixels,
        parse=lambda raw: Recording(kind="image", arrays={"pixels": raw}),
    )


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_causal_model_generates_what_transformers_generates(kind: str, tmp_path: Path) -> None:
    import transformers

    folder = saved(kind, tmp_path)
    model = model_entry.model(f"hf:{folder}")
    assert (model.input, Stage.ENCODE in model.stages) == ("text", False)
    adapter = model.build(replace(OPTIONS, max_new_tokens=6))
    assert not hasattr(adapter, "encode")
    state = run(adapter, text_sample("A trace goes in."))
    library: Any = transformers
    original = library.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = tokenizer()("A trace goes in.", return_tensors="pt")["input_ids"]
    wanted = original.generate(ids, max_new_tokens=6, min_new_tokens=6, do_sample=False)
    assert state.ids[0] == wanted[0, ids.shape[1] :].tolist()
    assert state.prompt_tokens == ids.shape[1]
    assert not adapter.facts.random_weights
    assert sum(adapter.facts.parameters.values()) == sum(p.numel() for p in original.parameters())


def test_a_vision_language_model_encodes_in_a_stage_of_its_own(tmp_path: Path) -> None:
    import transformers

    folder = saved("llava", tmp_path)
    model = model_entry.model(f"hf:{folder}")
    assert (model.input, Stage.ENCODE in model.stages) == ("image", True)
    adapter, sample = model.build(replace(OPTIONS, prompt="What?")), picture_sample()
    inputs = adapter.preprocess(sample, adapter.load(sample))
    calls = []
    adapter.model.model.vision_tower.register_forward_hook(lambda *_: calls.append(1))
    tokens = adapter.encode(inputs)
    assert len(calls) == 1
    state = adapter.prefill(inputs, tokens)
    assert len(calls) == 1  # prefill finds the picture encoded
    while not state.finished:
        adapter.decode(state)
    library: Any = transformers
    original = library.LlavaForConditionalGeneration.from_pretrained(folder).eval()
    wanted = original.generate(
        input_ids=inputs.ids,
        pixel_values=inputs.more["pixel_values"],
        max_new_tokens=4,
        min_new_tokens=4,
        do_sample=False,
    )
    assert state.ids[0] == wanted[0, inputs.ids.shape[1] :].tolist()
    assert set(adapter.facts.parameters) == {"vision", "connector", "llm"}
    assert sum(model.parameters("full").values()) == sum(adapter.facts.parameters.values())


@pytest.mark.parametrize("kind", ["llama", "qwen2", "llava"])
def test_a_folder_with_a_configuration_only_gets_random_weights(kind: str, tmp_path: Path) -> None:
    folder = saved(kind, tmp_path)
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    adapter = model_entry.model(f"hf:{folder}").build(replace(OPTIONS, batch_size=2))
    sample = picture_sample() if kind == "llava" else text_sample("Some words.")
    state = run(adapter, sample)
    assert adapter.facts.random_weights
    assert torch.isfinite(state.logits).all()
    assert state.ids[0] == state.ids[1]
    assert not any(value.is_meta for value in adapter.model.state_dict().values())


def test_a_model_without_a_tokenizer_takes_the_stand_in(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    adapter = model_entry.model(f"hf:{folder}").build(OPTIONS)
    assert adapter.facts.tokenizer.startswith("stand-in")
    assert run(adapter, text_sample("Some words.")).finished


def test_static_cache_and_prompt_length_work_for_any_model(tmp_path: Path) -> None:
    folder = saved("qwen2", tmp_path)
    model = model_entry.model(f"hf:{folder}")
    plain = run(model.build(replace(OPTIONS, prompt_tokens=20)), text_sample("Some words."))
    static = replace(OPTIONS, prompt_tokens=20, cache="static", attention="eager")
    state = run(model.build(static), text_sample("Some words."))
    assert plain.prompt_tokens == 20
    assert state.ids == plain.ids


def test_missing_weights_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved("llama", tmp_path)
    path = folder / "model.safetensors"
    state = load_file(path)
    del state["model.norm.weight"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(TracekitError, match=r"1 missing \(model\.norm\.weight\)"):
        model_entry.model(f"hf:{folder}").build(OPTIONS)


def test_weights_of_another_shape_are_an_error(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | {"intermediate_size": 48}))
    with pytest.raises(TracekitError, match="do not fit"):
        model_entry.model(f"hf:{folder}").build(OPTIONS)


def test_what_is_no_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TracekitError, match=r"holds no config\.json"):
        model_entry.model(f"hf:{tmp_path}")
    with pytest.raises(TracekitError, match="no such folder"):
        model_entry.model(f"hf:{tmp_path / 'nowhere'}")
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(TracekitError, match="no text generation for models of type 'vit'"):
        model_entry.model(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(TracekitError):
        model_entry.model(f"hf:{tmp_path}")
    remote = {"model_type": "odd", "auto_map": {"AutoConfig": "x.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(remote))
    with pytest.raises(TracekitError) as caught:
        model_entry.model(f"hf:{tmp_path}")
    assert "\n" not in str(caught.value)


def test_nothing_is_downloaded_unasked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import socket

    def refuse(*_given: Any, **_named: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(TracekitError, match="not on this machine") as caught:
        model_entry.model("hf:somebody/something-that-is-not-cached")
    assert "tracekit models download" in str(caught.value)
