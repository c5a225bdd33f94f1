"""Models whose encoder reads text or sound: captured with an encode stage and the right text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.grid import made
from tests.grid.families import VOCAB, Settings
from tests.grid.pictures import tokenizer
from tests.grid.test_pictures import QUESTION
from tracekit.datasets import opening
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions
from tracekit.taxonomy import Stage

_T5: Settings = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 2,
                 "num_heads": 4, "decoder_start_token_id": 0}  # fmt: skip
_BART: Settings = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
    "decoder_start_token_id": 2, "forced_eos_token_id": 2,
}  # fmt: skip
TEXT_TO_TEXT: Mapping[str, Settings] = {
    "bart": _BART, "blenderbot": _BART, "longt5": _T5, "m2m_100": _BART, "marian": _BART,
    "mbart": _BART, "mt5": _T5, "pegasus": _BART, "plbart": _BART,
    "switch_transformers": {**_T5, "num_experts": 2, "num_sparse_encoder_layers": 1,
                            "num_sparse_decoder_layers": 1},
    "t5": _T5, "umt5": _T5,
}  # fmt: skip
SPEECH: Mapping[str, Settings] = {
    "moonshine": {"encoder_num_hidden_layers": 2, "decoder_num_hidden_layers": 2,
                  "encoder_num_attention_heads": 4, "decoder_num_attention_heads": 4,
                  "encoder_num_key_value_heads": 4, "decoder_num_key_value_heads": 4,
                  "decoder_start_token_id": 1},
    "speech_to_text": {**_BART, "forced_eos_token_id": None, "max_source_positions": 600,
                       "max_target_positions": 64, "conv_channels": 16, "num_mel_bins": 16,
                       "input_feat_per_channel": 16},
    "whisper": {**_BART, "forced_eos_token_id": None, "num_mel_bins": 16,
                "max_source_positions": 200, "max_target_positions": 64,
                "begin_suppress_tokens": None, "suppress_tokens": None},
}  # fmt: skip
# keys of BASE that are not theirs
BARE = ("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_size")


def configured(kind: str, settings: Settings) -> Any:
    """A configuration with its own names for sizes."""
    library = made.library()
    base = {key: value for key, value in made.BASE.items() if key not in BARE}
    if kind == "moonshine":
        base["hidden_size"] = 32
    return library.AutoConfig.for_model(kind, **{**base, **settings})


@pytest.mark.parametrize("kind", TEXT_TO_TEXT)
def test_text_to_text_is_captured_with_its_encoder(kind: str, tmp_path: Path) -> None:
    folder, library = tmp_path / "m", made.library()
    torch.manual_seed(0)
    config = configured(kind, TEXT_TO_TEXT[kind])
    original = made.saved(library.AutoModelForSeq2SeqLM.from_config(config), folder)
    done = made.captured(folder, prompt=QUESTION, batch_size=2)
    made.is_whole(done)
    assert Stage.ENCODE in done.stages
    adapter = model_entry.model(f"hf:{folder}").build(BuildOptions(size="full", prompt=QUESTION))
    ids = torch.tensor([adapter.tokens.prompt(QUESTION)[1]])
    out = original.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=made.TOKENS,
                            do_sample=False, num_beams=1, eos_token_id=None)  # fmt: skip
    assert made.ids_of(done) == [out[0, 1:].tolist()] * 2
    assert done.metadata["tokens"]["sensor"] == ids.shape[1]
    assert done.metadata["tokens"]["prefill"] == 1


def extractor(kind: str) -> Any:
    """The feature extractor of a family, made small."""
    library = made.library()
    if kind == "whisper":
        return library.WhisperFeatureExtractor(feature_size=16, chunk_length=4)
    if kind == "speech_to_text":
        return library.Speech2TextFeatureExtractor(feature_size=16, num_mel_bins=16)
    return library.Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)


def heard(folder: Path, data: Path, **options: Any) -> Any:
    """The adapter's inputs of the first synthetic sound."""
    built = BuildOptions(size="full", **options)
    adapter = model_entry.model(f"hf:{folder}").build(built)
    (sample,) = opening.open_samples("synthetic", kind="audio", workdir=data, limit=1)
    return adapter.preprocess(sample, adapter.load(sample))


@pytest.mark.parametrize("kind", SPEECH)
def test_speech_is_captured_with_its_encoder(kind: str, tmp_path: Path) -> None:
    folder, library = tmp_path / "m", made.library()
    torch.manual_seed(0)
    config = configured(kind, SPEECH[kind])
    model = library.AutoModelForSpeechSeq2Seq.from_config(config)
    original = made.saved(model, folder)
    extractor(kind).save_pretrained(folder)
    done = made.captured(folder)
    made.is_whole(done)
    assert Stage.ENCODE in done.stages
    inputs = heard(folder, tmp_path)
    out = original.generate(**inputs.more, max_new_tokens=made.TOKENS, do_sample=False,
                            eos_token_id=None)  # fmt: skip
    begin = 0 if out.shape[1] == made.TOKENS else inputs.ids.shape[1]  # Whisper gives no start
    assert made.ids_of(done) == out[:, begin:].tolist()


def test_sound_before_a_prompt_is_encoded_in_a_stage_of_its_own(tmp_path: Path) -> None:
    folder, library = tmp_path / "m", made.library()
    torch.manual_seed(0)
    config = made.configured("qwen2_audio", {
        "audio_config": {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4,
                         "encoder_ffn_dim": 48, "num_mel_bins": 16, "max_source_positions": 200},
        "text_config": {**made.BASE, "model_type": "qwen2"}, "audio_token_index": 5,
    })  # fmt: skip
    original = made.saved(library.Qwen2AudioForConditionalGeneration(config), folder)
    names = {"audio_token": "<|AUDIO|>", "audio_bos_token": "<|bos|>", "audio_eos_token": "<|eos|>"}
    library.Qwen2AudioProcessor(
        library.WhisperFeatureExtractor(feature_size=16, chunk_length=4), tokenizer(**names)
    ).save_pretrained(folder)
    done = made.captured(folder, prompt=QUESTION, batch_size=2)
    made.is_whole(done)
    inputs = heard(folder, tmp_path, prompt=QUESTION)
    out = original.generate(input_ids=inputs.ids, **inputs.more, max_new_tokens=made.TOKENS,
                            do_sample=False, eos_token_id=None)  # fmt: skip
    assert made.ids_of(done) == [out[0, inputs.ids.shape[1] :].tolist()] * 2
    assert done.metadata["tokens"]["sensor"] == int((inputs.ids == 5).sum()) > 1
    assert json.dumps(done.metadata["dims"])
    assert len(tokenizer(**names)) < VOCAB
