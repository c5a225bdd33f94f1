"""hf:PATH_OR_ID: any causal language model of transformers, and any vision-language model.

A text prompt takes the place of sensor data: load reads it from disk, and there is no encode. A
vision-language model takes a picture; its image encoder is the encode stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import extras
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions, Facts, Model
from tracekit.models.huggingface.library import IMAGE_PROMPT, TEXT_PROMPT, quiet, said_plainly
from tracekit.models.shared import build_options, checkpoints
from tracekit.models.shared.experts import routed
from tracekit.models.shared.llama import Decoder, dims, read_per_pass, restore_buffers
from tracekit.taxonomy import Stage

if TYPE_CHECKING:
    from tracekit.models.huggingface.adapters import CausalLM

TEXT_STAGES = (Stage.LOAD, Stage.PREPROCESS, Stage.PREFILL, Stage.DECODE)
IMAGE_STAGES = (Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE, Stage.PREFILL, Stage.DECODE)
SIZE = "full"  # as its configuration says; there is no other
TAKES: Mapping[str, str] = {
    build_options.IGNORE_EOS: build_options.LLM_TAKES[build_options.IGNORE_EOS],
    "chat": "true (default where the tokenizer has a chat template): use it; false: the bare text",
}
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


def located(target: str) -> Path:
    """The folder of a model: the path itself, or what the Hub's cache on this machine holds.

    Raises: TracekitError where it is neither; nothing is downloaded.
    """
    path = Path(target).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
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

    with said_plainly(folder), quiet():
        return AutoConfig.from_pretrained(folder, local_files_only=True)


def sees(config: Any) -> bool:
    """Whether a configuration is of a vision-language model.

    Raises: TracekitError for one that generates no text.
    """
    from transformers.models.auto import modeling_auto as auto

    known: Any = auto
    kind = config.model_type
    if kind in known.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES and hasattr(
        config, "vision_config"
    ):
        return True
    if kind in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return False
    raise TracekitError(
        f"transformers has no text generation for models of type {kind!r}",
        where=kind,
        hint="causal language models and image-text-to-text models can be captured",
    )


def _class(config: Any) -> Any:
    import transformers

    library: Any = transformers
    if sees(config):
        return library.AutoModelForImageTextToText
    return library.AutoModelForCausalLM


def skeleton(config: Any) -> Any:
    """The model of a configuration on `meta`."""
    with said_plainly(config.model_type), quiet(), checkpoints.on_meta():
        return _class(config).from_config(config).eval()


def components(model: Any) -> dict[str, int]:
    """Parameters of the image encoder, if any, what joins it to the LLM, and the LLM."""
    inner = getattr(model, "model", model)
    vision = _vision(inner)
    if vision is None:
        return {"llm": checkpoints.count(model)}
    counts = {"vision": checkpoints.count(vision), "connector": 0}
    for name, child in inner.named_children():
        if child is not vision and ("project" in name or "connector" in name):
            counts["connector"] += checkpoints.count(child)
    return {**counts, "llm": checkpoints.count(model) - sum(counts.values())}


def _vision(inner: Any) -> Any:
    for name in ("vision_tower", "vision_model", "visual", "vision_encoder", "image_encoder"):
        found = getattr(inner, name, None)
        if found is not None:
            return found
    return None


def resolve(target: str) -> Model:
    """The model entry of a folder or Hub id.

    Raises: TracekitError where it is not on this machine, or generates no text, and without
    transformers.
    """
    extras.need("capture", "torch", "transformers", "huggingface_hub", where=f"hf:{target}")
    folder = located(target)
    config = _config(folder)
    image = sees(config)

    def parameters(_size: str) -> Mapping[str, int]:
        return components(skeleton(config))

    def build(options: BuildOptions) -> CausalLM:
        return built(target, options.checkpoint or folder, options)

    shown = Path(target).name if Path(target).is_dir() else target
    return Model(
        title=f"{shown} ({config.model_type})",
        input="image" if image else "text",
        stages=IMAGE_STAGES if image else TEXT_STAGES,
        sizes={SIZE: config},
        build=build,
        parameters=parameters,
        licence="see its model card",
        weights=f"hf:{target}",
        source="transformers",
        default_prompt=IMAGE_PROMPT if image else TEXT_PROMPT,
        takes=TAKES,
        target=target,
    )


def built(target: str, folder: Path, options: BuildOptions) -> CausalLM:
    """The adapter, with the folder's weights, or random ones where it holds none.

    Raises: TracekitError for weights that do not fit, and options that cannot be had.
    """
    from tracekit.models.huggingface import adapters

    build_options.check_extra(options, TAKES, f"hf:{target}")
    build_options.size(options, {SIZE: None}, f"hf:{target}")
    build_options.device_checked(options)
    config = _config(folder)
    random = not any(any(folder.glob(pattern)) for pattern in WEIGHTS)
    model = _random(config, options) if random else _loaded(folder, config, options)
    model.requires_grad_(False)
    decoder = Decoder(model, options, eos=_eos(model))
    image = sees(config)
    text = adapters.Text(folder, options, int(config.get_text_config().vocab_size))
    facts = Facts(
        model=f"hf:{Path(target).name if Path(target).is_dir() else target}",
        size=options.size,
        parameters=components(model),
        random_weights=random,
        dims={
            "batch_size": options.batch_size,
            "llm": dims(config, options.dtype, _llm_per_pass(model), routed(model, config)),
        },
        tokenizer=text.about,
        attention=decoder.attention,
        cache=decoder.cache_kind,
        options={"architecture": type(model).__name__, "compile": decoder.compiled},
    )
    kind = adapters.VisionLM if image else adapters.CausalLM
    return kind(decoder, text, options, facts, folder)


def _llm_per_pass(model: Any) -> int:
    """Parameters that a pass over text reads: of a vision-language model, without its encoder."""
    counts = components(model)
    return read_per_pass(model) - counts.get("vision", 0) - counts.get("connector", 0)


def _eos(model: Any) -> list[int]:
    found = getattr(model.generation_config, "eos_token_id", None)
    if found is None:
        found = getattr(model.config.get_text_config(decoder=True), "eos_token_id", None)
    if found is None:
        return []
    return [int(found)] if isinstance(found, int) else [int(i) for i in found]


def _random(config: Any, options: BuildOptions) -> Any:
    model = skeleton(config)
    dtype = checkpoints.dtype_named(options.dtype)
    checkpoints.randomize(model, device=options.device, dtype=dtype, seed=options.seed)
    model.tie_weights()
    restore_buffers(model, options.device)
    left = [name for name, value in model.named_buffers() if value.is_meta]
    for name in left:  # index tables, which follow from the shapes
        _restore_index(model, name, options.device)
    return model


def _restore_index(model: Any, name: str, device: str) -> None:
    import torch

    path, _, leaf = name.rpartition(".")
    owner = model.get_submodule(path)
    buffer = owner._buffers[leaf]
    if "position_ids" not in leaf:
        raise TracekitError(
            f"random weights cannot be made: {name} follows from no shape",
            where=type(model).__name__,
            hint="capture it with its own weights",
        )
    owner._buffers[leaf] = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)


def _loaded(folder: Path, config: Any, options: BuildOptions) -> Any:
    """The model with the folder's weights. Raises: TracekitError where they do not fit."""
    import importlib.util

    dtype = checkpoints.dtype_named(options.dtype)
    placed: dict[str, Any] = {}
    if importlib.util.find_spec("accelerate"):  # straight to the device, tensor by tensor
        placed = {"device_map": {"": options.device}}
    with said_plainly(folder), quiet():
        try:
            model, info = _class(config).from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                local_files_only=True,
                output_loading_info=True,
                **placed,
            )
        except RuntimeError as error:
            raise _unfit(error, folder) from error
    _report(info, folder)
    return model.eval() if placed else model.eval().to(options.device)


def _unfit(error: RuntimeError, folder: Path) -> Exception:
    text = " ".join(str(error).split())
    if "size" not in text and "shape" not in text and "mismatch" not in text:
        return error
    return TracekitError(
        f"the weights do not fit: {text[:300]}",
        where=folder,
        hint="does config.json belong to these weights?",
    )


def _report(info: Mapping[str, Any], where: object) -> None:
    """Nothing where all weights came and fitted. Raises: TracekitError where not."""
    missing = sorted(map(str, info.get("missing_keys") or ()))
    unexpected = sorted(map(str, info.get("unexpected_keys") or ()))
    misshapen = sorted(str(one[0]) for one in info.get("mismatched_keys") or ())
    if not missing and not misshapen:
        return  # unexpected ones alone do no harm: heads of other tasks
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    said = [
        f"{len(names)} {kind} ({checkpoints.some(names)})" for kind, names in kinds.items() if names
    ]
    raise TracekitError(
        f"the weights do not fit: {'; '.join(said)}",
        where=where,
        hint="is the folder complete, and of this model?",
    )


def download(identifier: str, folder: Path | None = None) -> None:
    """Fetch a Hub model into the cache that `hf:` looks in, or into a folder."""
    from tracekit.models.shared.download import fetch

    fetch(identifier, folder)
