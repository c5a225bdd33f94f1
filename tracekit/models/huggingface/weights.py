"""The weights of a folder, or random ones; what is wrong with a folder's is said in one line."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tracekit import extras
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions
from tracekit.models.huggingface.library import LOCAL, quiet, said_plainly
from tracekit.models.shared import build_options, checkpoints
from tracekit.models.shared.decoder.network import read_frequencies, restore_buffers

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
UNEXPECTED = "unexpected"
MERGE = "merge"
ADAPTER = "adapter_config.json"
LFS = b"version https://git-lfs"
PACKAGES: Mapping[str, tuple[str, ...]] = {  # what each way of quantizing needs beside torch
    "bitsandbytes": ("bitsandbytes", "accelerate"),
    "bitsandbytes_4bit": ("bitsandbytes", "accelerate"),
    "bitsandbytes_8bit": ("bitsandbytes", "accelerate"),
    "gptq": ("gptqmodel", "optimum"),
    "awq": ("gptqmodel", "accelerate"),
    "aqlm": ("aqlm", "accelerate"),
    "compressed-tensors": ("compressed_tensors",),
    "eetq": ("kernels", "accelerate"),
    "fbgemm_fp8": ("fbgemm_gpu", "accelerate"),
    "fp8": ("kernels", "accelerate"),
    "hqq": ("hqq", "accelerate"),
    "mxfp4": ("kernels", "triton"),
    "quanto": ("optimum.quanto", "accelerate"),
    "torchao": ("torchao",),
}


def there(folder: Path) -> bool:
    """Whether a folder holds weights that transformers reads."""
    return any(any(folder.glob(pattern)) for pattern in WEIGHTS)


def checked(folder: Path) -> None:
    """Nothing where the folder's files are what their names say.

    Raises: TracekitError for pointers of Git LFS, and safetensors that are cut short or damaged.
    """
    for path in sorted(p for p in folder.iterdir() if p.is_file() or p.is_symlink()):
        if not path.is_file():
            raise TracekitError(
                "a link to a file that is not there", where=path, hint="complete the download"
            )
        with path.open("rb") as file:
            pointer = file.read(len(LFS)) == LFS
        if pointer:
            raise TracekitError(
                "a pointer of Git LFS, not the file itself",
                where=path,
                hint="run `git lfs pull` in its folder",
            )
    if (folder / checkpoints.INDEXES[0]).is_file():
        checkpoints.files(folder)  # says which files of the index are not there
    checkpoints.Weights(sorted(folder.glob("*.safetensors")))


def base_of(folder: Path) -> str | None:
    """The model that the folder is a LoRA adapter of; None where it is a model by itself."""
    if not (folder / ADAPTER).is_file():
        return None
    said = checkpoints.read_json(folder / ADAPTER).get("base_model_name_or_path")
    return str(said) if said else None


def merged(model: object, folder: Path) -> Any:
    """The base model with the folder's adapter added to its weights.

    Raises: TracekitError where peft is not installed, or cannot read it.
    """
    extras.need("peft", "peft", where=folder)
    import peft

    with said_plainly(folder), quiet():
        found: Any = peft.PeftModel.from_pretrained(model, str(folder))
        return found.merge_and_unload().eval()


def check_quantization(config: object, where: object) -> None:
    """Nothing where the weights can be read. Raises: TracekitError for want of a package."""
    method = quantization(config)
    absent = [name for name in PACKAGES.get(method or "", ()) if not _found(name)]
    if absent:
        raise TracekitError(
            f"its weights are quantized ({method}), which needs {' and '.join(absent)}",
            where=where,
            hint=f"pip install {' '.join(absent)}, or give weights that are not quantized",
        )


def quantization(config: object) -> str | None:
    """How config.json says that the weights are quantized."""
    said = getattr(config, "quantization_config", None)
    if said is None:
        return None
    found = said.get("quant_method") if isinstance(said, Mapping) else said.quant_method
    return str(getattr(found, "value", found) or "unknown")


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False


# ---------------------------------------------------------------- random


def skeleton(kind: Any, config: Any) -> Any:
    """A model of this class on `meta`: shapes, and no values."""
    with said_plainly(config.model_type), quiet(), checkpoints.on_meta():
        return kind(config).eval()


def random(kind: Any, config: Any, options: BuildOptions) -> Any:
    """The model with random weights, made on the device.

    Raises: TracekitError where a buffer follows from nothing that is known.
    """
    model = skeleton(kind, config)
    dtype = checkpoints.dtype_named(options.dtype)
    checkpoints.randomize(model, device=options.device, dtype=dtype, seed=options.seed)
    model.tie_weights()
    restore_buffers(model, options.device)
    _restore(model, kind, options.device)
    return model


def _restore(model: Any, kind: Any, device: str) -> None:
    """Buffers that are in no checkpoint (positions, decays), as the classes themselves fill them.

    Raises: TracekitError for one that its class does not fill.
    """
    import torch

    left: dict[str, list[str]] = {}
    for name, value in model.named_buffers():
        if value.is_meta:
            path, _, leaf = name.rpartition(".")
            left.setdefault(path, []).append(leaf)
    for path, leaves in left.items():
        module = model.get_submodule(path)
        for leaf in leaves:
            empty = torch.empty_like(module._buffers[leaf], device=device)
            unset = float("nan") if empty.is_floating_point() else 0
            module._buffers[leaf] = empty.fill_(unset)
        _around(model, path)._init_weights(module)
        for leaf in leaves:
            value = module._buffers[leaf]
            if "position_ids" in leaf:
                value.copy_(torch.arange(value.shape[-1], device=device).expand(value.shape))
            elif value.is_floating_point() and value.isnan().any():
                raise TracekitError(
                    f"random weights cannot be made: {path}.{leaf} follows from no shape",
                    where=kind.__name__,
                    hint="capture it with its own weights",
                )


def _around(model: Any, path: str) -> Any:
    """The innermost model of transformers around a module: it knows how its parts begin."""
    parts = path.split(".")
    for end in range(len(parts), -1, -1):
        found = model.get_submodule(".".join(parts[:end]))
        if hasattr(found, "_init_weights"):
            return found
    return model


# ---------------------------------------------------------------- from the folder


def loaded(kind: Any, folder: Path, config: Any, options: BuildOptions) -> object:
    """The model with the folder's weights. Raises: TracekitError where they do not fit."""
    check_quantization(config, folder)
    checked(folder)
    dtype = checkpoints.dtype_named(options.dtype)
    placed: dict[str, Any] = {}
    if importlib.util.find_spec("accelerate"):  # straight to the device, tensor by tensor
        placed = {"device_map": {"": options.device}}
    with said_plainly(folder), quiet():
        model, info = kind.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            **LOCAL,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that `report` can name them
            **placed,
        )
    report(info, folder, build_options.choice(options, UNEXPECTED, ("refuse", "ignore")))
    return model.eval() if placed else model.eval().to(options.device)


def report(info: Mapping[str, Any], where: object, unexpected: str = "refuse") -> None:
    """Nothing where all weights came and fitted, and no others were there.

    Raises: TracekitError where not.
    """
    more = [name for name in map(str, info.get("unexpected_keys") or ())
            if not read_frequencies(name)]  # fmt: skip
    kinds = {
        "missing": sorted(map(str, info.get("missing_keys") or ())),
        "unexpected": sorted(more) if unexpected == "refuse" else [],
        "of another shape": sorted(
            f"{one[0]} {tuple(one[1])} not {tuple(one[2])}"
            for one in info.get("mismatched_keys") or ()
        ),
    }
    said = [
        f"{len(names)} {kind} ({checkpoints.some(names)})" for kind, names in kinds.items() if names
    ]
    if not said:
        return
    only = set(kinds) - {kind for kind, names in kinds.items() if names} >= {
        "missing", "of another shape",
    }  # fmt: skip
    raise TracekitError(
        f"the weights do not fit: {'; '.join(said)}",
        where=where,
        hint=f"--set {UNEXPECTED}=ignore leaves them out"
        if only
        else "is the folder complete, and of this model?",
    )
