"""Which model of transformers a folder names, what it takes, and why some cannot be captured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tracekit.datasets.entry import InputKind
from tracekit.errors import TracekitError
from tracekit.taxonomy import Stage

TEXT_STAGES = (Stage.LOAD, Stage.PREPROCESS, Stage.PREFILL, Stage.DECODE)
WHOLE = (Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE, Stage.PREFILL, Stage.DECODE)


class Form(StrEnum):
    """How a model is taken through its stages."""

    TEXT = "text"  # a causal language model: no encode
    IMAGE = "image"  # a picture's embeddings among those of the prompt
    QUERIES = "queries"  # those of a former in front of the prompt, as BLIP-2 has them
    SOUND = "sound"  # a sound's embeddings among those of the prompt
    TEXT_TO_TEXT = "text to text"  # an encoder reads the prompt
    SPEECH = "speech"  # an encoder reads sound, and the decoder begins by itself


INPUT: Mapping[Form, InputKind] = {
    Form.TEXT: "text",
    Form.IMAGE: "image",
    Form.QUERIES: "image",
    Form.SOUND: "audio",
    Form.TEXT_TO_TEXT: "text",
    Form.SPEECH: "audio",
}

# transformers' own tables of architectures by model type, in the order in which they are asked
_TABLES = (
    ("MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES", Form.IMAGE),
    ("MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES", Form.SPEECH),
    ("MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES", Form.TEXT_TO_TEXT),
    ("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", Form.TEXT),
)
_SOUND = "its sound encoder and its prompt are put together by code of its own"
_NO_STEPS = "its text is not made token by token with a cache"
REFUSED: Mapping[str, str] = {  # by model type: why no stage by stage run gives its text
    "blt": "it groups bytes into patches between its passes",
    "cpmant": _NO_STEPS,
    "diffusion_gemma": "it fills blocks of text, not one token after another",
    "encoder-decoder": "it is put together from two models of any kind",
    "flaubert": "each step of it reads a mask token in front of the next",
    "fuyu": "its pictures enter without an encoder",
    "git": "its pictures enter without an encoder that could be run by itself",
    "instructblip": "its picture encoder reads the prompt, too",
    "instructblipvideo": "its picture encoder reads the prompt, too",
    "mllama": "its pictures enter through cross-attention in the language model",
    "openai-gpt": "it has no cache, and each step of it reads the whole text anew",
    "pi0": "it gives actions of a robot, no text",
    "prophetnet": "it predicts several tokens at once",
    "rag": "it reads documents that it looks up",
    "reformer": "its cache is of buckets, and no step reads one token",
    "roc_bert": "it reads shapes and sounds of characters beside their ids",
    "speech-encoder-decoder": "it is put together from two models of any kind",
    "vision-encoder-decoder": "it is put together from two models of any kind",
    "xlm": "each step of it reads a mask token in front of the next",
    "xlnet": "each step of it reads its whole text anew, with a permutation mask",
    "xmod": "it wants a language for each text",
    **dict.fromkeys(
        ("bark", "csm", "dia", "moshi", "musicgen", "musicgen_melody", "speecht5", "vits"),
        "it generates sound, no text",
    ),
    **dict.fromkeys(
        ("audioflamingo3", "canary", "cohere_asr", "fun_asr_nano", "granite_speech",
         "granite_speech_plus", "kyutai_speech_to_text", "moonshine_streaming", "phi4_multimodal",
         "qwen2_5_omni", "qwen2_5_omni_thinker", "qwen3_omni_moe", "qwen3_omni_moe_thinker",
         "seamless_m4t", "seamless_m4t_v2", "vibevoice", "vibevoice_asr", "voxtral_realtime"),
        _SOUND,
    ),
}  # fmt: skip
SOUND = frozenset({"qwen2_audio", "voxtral"})  # of the text-to-text table, though no such model
SPEECH = frozenset({"whisper", "moonshine", "speech_to_text"})


@dataclass(frozen=True, slots=True)
class Found:
    """The architecture of a folder, and how it is taken through its stages."""

    architecture: str  # a class of transformers
    form: Form

    @property
    def input(self) -> InputKind:
        return INPUT[self.form]

    @property
    def stages(self) -> tuple[Stage, ...]:
        return TEXT_STAGES if self.form is Form.TEXT else WHOLE


def found(config: Any) -> Found:
    """The folder's own architecture; where it names none, transformers' for the model type.

    Raises: TracekitError for one that generates no text, or none that could be taken stage by
    stage.
    """
    kind = str(config.model_type)
    named = _named(config)
    check(kind)
    form, architecture = _tabled(config, kind, named)
    if form is None or architecture is None:
        what = f"architecture {named}" if named else f"type {kind!r}"
        raise TracekitError(
            f"transformers has no text generation for models of {what}",
            where=kind,
            hint="causal, image-text-to-text, text-to-text and speech models can be captured",
        )
    if kind == "blip-2":
        if not getattr(config, "use_decoder_only_language_model", True):
            raise _refused(architecture, "its language model has an encoder of its own")
        form = Form.QUERIES
    elif form is Form.TEXT_TO_TEXT and kind in SOUND:
        form = Form.SOUND
    elif form in (Form.TEXT_TO_TEXT, Form.IMAGE) and kind in SPEECH:
        form = Form.SPEECH
    elif form is Form.SPEECH and kind not in SPEECH:
        raise _refused(architecture, _SOUND)
    return Found(architecture, form)


def check(kind: str) -> None:
    """Nothing where models of this type might be taken. Raises: TracekitError with the reason."""
    if kind in REFUSED:
        raise _refused(kind, REFUSED[kind])


def _refused(where: str, why: str) -> TracekitError:
    return TracekitError(
        f"cannot be taken stage by stage: {why}",
        where=where,
        hint="write an adapter of your own: docs/models.md",
    )


def _named(config: Any) -> str | None:
    """The class of transformers that config.json names; None where it names none.

    Raises: TracekitError for a class that transformers has not.
    """
    import transformers

    names = getattr(config, "architectures", None) or []
    if not names:
        return None
    name = str(names[0])
    if hasattr(transformers, name):
        return name
    for table in _tables().values():
        for known in table.values():
            if str(known).lower() == name.lower():  # LLaMAForCausalLM was a spelling
                return str(known)
    raise TracekitError(
        f"this transformers has no architecture {name}",
        where=str(config.model_type),
        hint="a newer one may have it; else write an adapter of your own: docs/models.md",
    )


def _tables() -> dict[Form, Mapping[str, str]]:
    """Architectures by model type, of each form, in the order in which they are asked."""
    from transformers.models.auto import modeling_auto

    return {form: getattr(modeling_auto, name, {}) for name, form in _TABLES}


def _tabled(config: object, kind: str, named: str | None) -> tuple[Form | None, str | None]:
    """The form of the architecture, or where none is named, of the model type; and its class."""
    sees = hasattr(config, "vision_config")
    for form, table in _tables().items():
        if form is Form.IMAGE and not sees:
            continue
        if named is not None and named in table.values():
            return form, named
        if named is None and kind in table:
            return form, str(table[kind])
    return None, named
