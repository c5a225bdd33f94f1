"""hf:PATH_OR_ID: a language model of transformers, with an encoder of pictures, sound or text.

A text prompt takes the place of sensor data: load reads it from disk, and there is no encode. What
takes a picture or sound, or has an encoder for its prompt, has that as its encode stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import extras
from tracekit.errors import TracekitError
from tracekit.models.entry import QUESTION, BuildOptions, Description, Facts, Model
from tracekit.models.huggingface import dimensions, kinds, weights, words
from tracekit.models.huggingface.decoding import LibraryDecoder
from tracekit.models.huggingface.kinds import Form
from tracekit.models.huggingface.library import (
    IMAGE_PROMPT,
    LOCAL,
    SOUND_PROMPT,
    TEXT_PROMPT,
    quiet,
    said_plainly,
)
from tracekit.models.shared import build_options, checkpoints

if TYPE_CHECKING:
    from tracekit.models.huggingface.adapters import CausalLM

SIZE = "full"  # as its configuration says; there is no other
TAKES: Mapping[str, str] = {
    build_options.IGNORE_EOS: build_options.LLM_TAKES[build_options.IGNORE_EOS],
    weights.UNEXPECTED: "refuse (default): weights that the model has no place for are an error; "
    "ignore: they are left out",
    weights.MERGE: "true: add a LoRA adapter's folder to the weights of its base model",
    "chat": "true (default where the tokenizer has a chat template): use it; false: the bare text",
}
PROMPTS: Mapping[Form, str] = {
    Form.TEXT: TEXT_PROMPT,
    Form.IMAGE: IMAGE_PROMPT,
    Form.QUERIES: IMAGE_PROMPT,
    Form.SOUND: SOUND_PROMPT,
    Form.TEXT_TO_TEXT: TEXT_PROMPT,
    Form.SPEECH: "",
}


def located(target: str) -> Path:
    """The folder of a model: the path itself, or what the Hub's cache on this machine holds.

    Raises: TracekitError where it is neither; nothing is downloaded.
    """
    path = Path(target).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file() and weights.base_of(path) is None:
            _no_other_form(path)
            raise TracekitError(
                "the folder holds no config.json", where=path, hint="is it a Hugging Face model?"
            )
        return path
    looks_like_a_path = target.startswith((".", "/", "~")) or target.count("/") != 1
    if not looks_like_a_path:
        from huggingface_hub import snapshot_download

        try:
            return Path(snapshot_download(target, local_files_only=True))
        except (OSError, ValueError):
            pass
        raise TracekitError(
            "this model is not on this machine",
            where=f"hf:{target}",
            hint=f"`tracekit models download hf:{target}` fetches it",
        )
    raise TracekitError("no such folder", where=path, hint="hf: takes a folder or OWNER/NAME")


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    kinds.check(str(checkpoints.read_json(folder / "config.json").get("model_type")))
    with said_plainly(folder), quiet():
        return AutoConfig.from_pretrained(folder, **LOCAL)


def architecture(config: object) -> tuple[Any, kinds.Found]:
    """The class of transformers that a configuration is of, and how it is taken.

    Raises: TracekitError for one that generates no text, or cannot be taken stage by stage.
    """
    import transformers

    found = kinds.found(config)
    return getattr(transformers, found.architecture), found


def skeleton(config: object) -> Any:
    """The model of a configuration on `meta`."""
    return weights.skeleton(architecture(config)[0], config)


ENCODERS = {
    "vision": ("vision_tower", "vision_model", "visual", "vision_encoder", "image_encoder"),
    "audio": ("audio_tower", "audio_encoder"),
    "encoder": ("encoder",),
}
CONNECTORS = ("project", "connector", "qformer", "perceiver")


def components(model: Any) -> dict[str, int]:
    """Parameters of the encoder, if any, of what joins it to the LLM, and of the LLM."""
    counts: dict[str, int] = {}
    for name, part in _parts(model):
        counts[name] = counts.get(name, 0) + checkpoints.count(part)
    return {**counts, "llm": checkpoints.count(model) - sum(counts.values())}


def _parts(model: Any) -> list[tuple[str, Any]]:
    """The encoder and what joins it to the LLM: the component's name, and the module."""
    inner = getattr(model, "model", model)
    found: list[tuple[str, Any]] = []
    for name, spellings in ENCODERS.items():
        part = next((p for one in spellings if (p := getattr(inner, one, None)) is not None), None)
        if part is None or (name == "encoder" and not model.config.is_encoder_decoder):
            continue
        found.append((name, part))
        if name != "encoder":
            found += [
                ("connector", child) for other, child in inner.named_children()
                if child is not part and any(word in other for word in CONNECTORS)
            ]  # fmt: skip
        break
    return found


def resolve(target: str) -> Model:
    """The model entry of a folder or Hub id.

    Raises: TracekitError where it is not on this machine, or generates no text, and without
    transformers.
    """
    extras.need("capture", "torch", "transformers", "huggingface_hub", where=f"hf:{target}")
    folder = located(target)
    config = _config(_base(folder) or folder)
    _, found = architecture(config)

    def parameters(_size: str) -> Mapping[str, int]:
        return components(skeleton(config))

    def build(options: BuildOptions) -> CausalLM:
        return built(target, options.checkpoint or folder, options)

    return Model(
        title=f"{_shown(target)} ({config.model_type})",
        input=found.input,
        stages=found.stages,
        sizes={SIZE: config},
        build=build,
        parameters=parameters,
        licence="see its model card",
        weights=f"hf:{target}",
        source="transformers",
        default_prompt=PROMPTS[found.form],
        takes=TAKES,
        description=_description(config, folder),
        target=target,
    )


def _description(config: Any, folder: Path) -> Description:
    """What the configuration says; nobody wrote down what it was trained on."""

    def dims(dtype: str) -> Mapping[str, Any]:
        model = skeleton(config)
        apart = [part for name, part in _parts(model) if name != "llm"]
        return {"llm": dimensions.llm(model, dtype, without=apart)}

    form = kinds.found(config).form
    decodes = form not in (Form.TEXT_TO_TEXT, Form.SPEECH)
    ids = config.get_text_config(decoder=True).vocab_size
    return Description(
        encoder="" if form is Form.TEXT else f"of {config.model_type}",
        decoder=str(config.model_type), dims=dims if decodes else None,
        vocabulary=words.vocabulary(folder, int(ids)) if decodes else None,
        prompt_tokens=QUESTION if form is Form.TEXT else None,
    )  # fmt: skip


def _shown(target: str) -> str:
    return Path(target).name if Path(target).is_dir() else target


def _base(folder: Path) -> Path | None:
    """The folder of the base model of a LoRA adapter; None where the folder is a model itself.

    Raises: TracekitError where the base model is not on this machine.
    """
    base = weights.base_of(folder)
    if base is None or (folder / "config.json").is_file():
        return None
    return located(base)


def built(target: str, folder: Path, options: BuildOptions) -> CausalLM:
    """The adapter, with the folder's weights, or random ones where it holds none.

    Raises: TracekitError for weights that do not fit, and options that cannot be had.
    """
    from tracekit.models.huggingface import adapters, encoder_decoder, sound
    from tracekit.models.huggingface.text import Text

    build_options.check_extra(options, TAKES, f"hf:{target}")
    build_options.size(options, {SIZE: None}, f"hf:{target}")
    build_options.device_checked(options)
    model, random = _filled(folder, options)
    form = kinds.found(model.config).form
    text = Text(folder, options, int(model.get_input_embeddings().weight.shape[0]))
    if form in (Form.TEXT_TO_TEXT, Form.SPEECH):
        read = encoder_decoder.SequenceDecoder(model, options, eos=_eos(model))
        facts = _facts(target, model, random, read, text.about, form)
        speech = sound.Speech if form is Form.SPEECH else encoder_decoder.EncoderDecoder
        return speech(read, text, options, facts, folder)
    llm = model.language_model if form is Form.QUERIES else model
    positions = form in (Form.TEXT, Form.QUERIES)
    decoder = LibraryDecoder(llm, options, eos=_eos(llm), positions=positions)
    facts = _facts(target, model, random, decoder, text.about, form)
    if form is Form.TEXT:
        return adapters.CausalLM(decoder, text, options, facts, folder)
    prompted = {
        Form.IMAGE: adapters.PromptedLM,
        Form.QUERIES: adapters.QueriedLM,
        Form.SOUND: sound.PromptedSound,
    }[form]
    return prompted(decoder, text, options, facts, folder, model)


def _filled(folder: Path, options: BuildOptions) -> tuple[Any, bool]:
    """The model with the folder's weights, or random ones; and whether they are random.

    Raises: TracekitError for weights that do not fit, and an adapter that is not to be merged.
    """
    base = _base(folder)
    merge = build_options.flag(options, weights.MERGE)
    if base is not None and not merge:
        raise TracekitError(
            f"the folder is a LoRA adapter of {base.name}, no model by itself",
            where=folder,
            hint=f"--set {weights.MERGE}=true adds it to its base "
            f"({extras.install('peft')}); or capture the base",
        )
    whole = base or folder
    config = _config(whole)
    made, _ = architecture(config)
    if not weights.there(whole):
        _no_other_form(whole)
        return weights.random(made, config, options), True
    model = weights.loaded(made, whole, config, options)
    return (weights.merged(model, folder) if base is not None else model), False


def _no_other_form(folder: Path) -> None:
    """Nothing where a folder holds no weights at all. Raises: TracekitError for GGUF."""
    others = [path.name for path in sorted(folder.glob("*.gguf"))]
    if others:
        raise TracekitError(
            f"its weights are GGUF ({checkpoints.some(others)}), for llama.cpp",
            where=folder,
            hint="give the folder with the safetensors that they were made from",
        )


def _facts(
    target: str, model: Any, random: bool, decoder: LibraryDecoder, tokenizer: str, form: Form
) -> Facts:
    options = decoder.options
    model.requires_grad_(False)
    about: dict[str, Any] = {"batch_size": options.batch_size}
    if form not in (Form.TEXT_TO_TEXT, Form.SPEECH):
        apart = [part for name, part in _parts(model) if name != "llm"]
        about["llm"] = dimensions.llm(model, options.dtype, without=apart)
    elif (decoder_of := dimensions.attending(model, options.dtype)) is not None:
        about["llm"] = decoder_of
    return Facts(
        model=f"hf:{_shown(target)}",
        size=options.size,
        parameters=components(model),
        random_weights=random,
        dims=about,
        tokenizer=tokenizer,
        attention=decoder.attention,
        cache=decoder.cache_kind,
        options={"architecture": type(model).__name__, "compile": decoder.compiled},
        notes=tuple(decoder.notes()),
    )


def _eos(model: Any) -> list[int]:
    found = getattr(model.generation_config, "eos_token_id", None)
    if found is None:
        found = getattr(model.config.get_text_config(decoder=True), "eos_token_id", None)
    if found is None:
        return []
    return [int(found)] if isinstance(found, int) else [int(i) for i in found]


def download(identifier: str, folder: Path | None = None) -> None:
    """Fetch a Hub model into the cache that `hf:` looks in, or into a folder."""
    from tracekit.models.shared.download import fetch

    fetch(identifier, folder)
