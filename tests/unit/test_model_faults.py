"""What is wrong with a folder of transformers: one clear line, before or instead of a traceback."""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.unit.model_samples import run, text_sample
from tests.unit.test_causal_lm import OPTIONS, SIZES, saved, tokenizer
from tracekit.bench import timing
from tracekit.capture import plan as planning
from tracekit.errors import TracekitError
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions

PLAIN = "Some words to begin with."


def built(folder: Path, **options: Any) -> Any:
    return model_entry.model(f"hf:{folder}").build(replace(OPTIONS, **options))


def refused(folder: Path, **options: Any) -> str:
    """The one line with which building or running a folder's model ends."""
    with pytest.raises(TracekitError) as caught:
        run(built(folder, **options), text_sample(PLAIN))
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_a_pointer_of_git_lfs_is_no_file(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (folder / "model.safetensors").write_text(pointer)
    assert "a pointer of Git LFS, not the file itself; run `git lfs pull`" in refused(folder)


@pytest.mark.parametrize("cut", [4, 600, -8])
def test_safetensors_that_are_cut_short_are_said(cut: int, tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    assert "model.safetensors: the checkpoint cannot be read" in refused(folder)


def test_safetensors_of_an_absurd_length_are_said(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 62) + path.read_bytes()[8:])
    assert "the checkpoint cannot be read" in refused(folder)


def test_unexpected_weights_are_as_wrong_as_missing_ones(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved("llama", tmp_path)
    path = folder / "model.safetensors"
    more = {**load_file(path), "model.layers.2.mlp.up_proj.weight": torch.zeros(64, 32)}
    save_file(more, path, metadata={"format": "pt"})
    said = refused(folder)
    assert "1 unexpected (model.layers.2.mlp.up_proj.weight)" in said
    assert "--set unexpected=ignore" in said
    assert built(folder, extra={"unexpected": "ignore"}).facts.parameters


def test_ids_that_the_model_has_not_are_said(tmp_path: Path) -> None:
    import transformers

    library: Any = transformers
    small = library.LlamaForCausalLM(library.LlamaConfig(**{**SIZES, "vocab_size": 40}))
    small.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    said = refused(tmp_path)
    assert "and the model has 40 (the tokenizer 261); they do not belong together" in said


def test_a_chat_template_that_raises_is_said(tmp_path: Path) -> None:
    folder = saved("llama", tmp_path)
    made = tokenizer()
    made.chat_template = "{{ raise_exception('only about cats') }}"
    made.save_pretrained(folder)
    assert "its chat template refuses the prompt (only about cats); --set chat=false" in refused(
        folder
    )
    assert run(built(folder, extra={"chat": False}), text_sample(PLAIN)).finished


def test_weights_for_llama_cpp_are_said(tmp_path: Path) -> None:
    (tmp_path / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    with pytest.raises(TracekitError, match=r"its weights are GGUF \(model-Q4_K_M\.gguf\)"):
        model_entry.model(f"hf:{tmp_path}")
    folder = saved("llama", tmp_path / "whole")
    (folder / "model.safetensors").unlink()
    (folder / "model.gguf").write_bytes(b"GGUF")
    assert "its weights are GGUF" in refused(folder)


@pytest.mark.parametrize(
    ("method", "packages"),
    [("bitsandbytes", "bitsandbytes"), ("gptq", "gptqmodel"), ("awq", "gptqmodel"),
     ("fp8", "kernels"), ("hqq", "hqq")],
)  # fmt: skip
def test_quantized_weights_name_the_package_that_they_need(
    method: str, packages: str, tmp_path: Path
) -> None:
    folder = saved("llama", tmp_path)
    path = folder / "config.json"
    said = {**json.loads(path.read_text()), "quantization_config": {"quant_method": method}}
    path.write_text(json.dumps(said))
    line = refused(folder)
    assert f"its weights are quantized ({method}), which needs {packages}" in line
    assert "pip install" in line


def lora(folder: Path, base: Path) -> Path:
    folder.mkdir()
    said = {"base_model_name_or_path": str(base), "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return folder


def test_a_lora_adapter_is_named_and_merged_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lora(tmp_path / "lora", saved("llama", tmp_path / "base"))
    said = refused(folder)
    assert "is a LoRA adapter of base, no model by itself; --set merge=true" in said
    monkeypatch.setitem(sys.modules, "peft", None)
    merge = {"merge": True, "ignore_eos": True}
    assert "needs peft, which is not installed" in refused(folder, extra=merge)

    class Merging:  # what peft does is peft's: here, all weights twice
        @staticmethod
        def from_pretrained(model: Any, where: str) -> Any:
            assert Path(where) == folder
            for value in model.parameters():
                value.data *= 2
            model.merge_and_unload = lambda: model
            return model

    peft: Any = ModuleType("peft")
    peft.PeftModel = Merging
    monkeypatch.setitem(sys.modules, "peft", peft)
    adapter = built(folder, extra=merge)
    plain = built(tmp_path / "base")
    name = "model.embed_tokens.weight"
    assert torch.equal(adapter.model.state_dict()[name], 2 * plain.model.state_dict()[name])


@pytest.mark.parametrize("options", [{"cache": "static"}, {"compile": True}])
def test_biases_of_alibi_refuse_a_static_cache(options: dict[str, Any], tmp_path: Path) -> None:
    from tests.grid import made
    from tests.grid.families import CAUSAL

    config = made.configured("bloom", CAUSAL["bloom"])
    made.saved(made.library().AutoModelForCausalLM.from_config(config), tmp_path)
    said = refused(tmp_path, **options)
    assert "ALiBi biases are as long as the positions so far" in said
    assert "use --cache dynamic" in said


def test_a_prompt_longer_than_the_model_is_one_line_and_in_a_sweep_a_row(tmp_path: Path) -> None:
    import transformers

    library: Any = transformers
    config = library.LlamaConfig(**SIZES, max_position_embeddings=32)
    library.LlamaForCausalLM(config).save_pretrained(tmp_path)
    options = BuildOptions(size="full", max_new_tokens=4, prompt_tokens=30)
    with pytest.raises(TracekitError, match="30 prompt positions and 4 new tokens are more than"):
        run(model_entry.model(f"hf:{tmp_path}").build(options), text_sample(PLAIN))
    plan = planning.plan(f"hf:{tmp_path}", device="cpu", samples=2, warmup=0, max_new_tokens=4)
    short, long = timing.bench(
        timing.sweep(plan, {"prompt_tokens": [8, 30]}), samples=[text_sample(PLAIN)]
    )
    assert short.error is None
    assert len(short.requests) == 2
    assert long.error is not None
    assert "more than the model's 32" in long.error
    assert not long.requests


def test_what_a_generation_configuration_changes_is_applied_and_said(tmp_path: Path) -> None:
    import transformers

    folder = saved("qwen2", tmp_path)
    path = folder / "generation_config.json"
    effects = {"repetition_penalty": 3.0, "no_repeat_ngram_size": 2, "suppress_tokens": [7, 9],
               "bad_words_ids": [[11], [12, 13]], "min_new_tokens": 3, "num_beams": 4,
               "do_sample": True, "eos_token_id": 2}  # fmt: skip
    path.write_text(json.dumps(effects))
    adapter = built(folder, max_new_tokens=8, extra={})
    state = run(adapter, text_sample(PLAIN))
    library: Any = transformers
    original = library.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.tensor([adapter.tokens.prompt(PLAIN)[1]])
    out = original.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8,
                            do_sample=False, num_beams=1, pad_token_id=0)  # fmt: skip
    assert state.ids == [out[0, ids.shape[1] :].tolist()]
    assert state.ids != run(built(saved("qwen2", tmp_path / "plain"), max_new_tokens=8),
                            text_sample(PLAIN)).ids  # fmt: skip
    applied, ignored = adapter.facts.notes
    assert "repetition_penalty 3.0, no_repeat_ngram_size 2" in applied
    assert "suppress_tokens 2 entries" in applied
    assert "num_beams (4: one beam), do_sample (greedy unless --temperature is given)" in ignored
