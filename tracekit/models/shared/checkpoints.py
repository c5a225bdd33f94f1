"""Weights: read from files one tensor at a time, or made up on the device.

A module is built on torch's `meta` device, so that a 7B model costs nothing until its values
arrive; they go straight to the device, in the dtype wanted, one tensor at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import extras
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch
    from torch import nn

FIRST = 4  # names shown of each kind in an error
TILE = 16_777_213  # values drawn for large random weights; prime, so that rows do not line up
FRESH = 1 << 20  # up to so many values, a tensor has its own
STD = 0.02  # LLaMA's initializer_range
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
PATTERNS = (
    "model.safetensors",
    "*.safetensors",
    "pytorch_model*.bin",
    "consolidated.*.s*.pth",
    "consolidated.*.pth",
    "*.pt",
    "*.pth",
)
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


class Weights:
    """Named tensors of one or several files, read when asked for.

    `shapes` maps each name to its shape. `get(name)` gives the tensor; a `.pt` or `.pth` is mapped
    into memory, not read, so the host never holds a second copy of a model.
    """

    def __init__(self, files: Iterable[Path]) -> None:
        """Raises: TracekitError for a file that is missing, damaged, or holds code."""
        self.files = tuple(files)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._get: dict[str, Callable[[], torch.Tensor]] = {}
        for path in self.files:
            if path.suffix == ".safetensors":
                self._safetensors(path)
            else:
                self._pickle(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __contains__(self, name: object) -> bool:
        return name in self.shapes

    def get(self, name: str) -> torch.Tensor:
        """The tensor of that name, on the host."""
        return self._get[name]()

    def renamed(self, rename: Callable[[str], str | None]) -> Weights:
        """The same tensors under other names; a name that becomes None is left out."""
        view = Weights(())
        view.files = self.files
        for old, shape in self.shapes.items():
            new = rename(old)
            if new is not None:
                view.shapes[new] = shape
                view._get[new] = self._get[old]
        return view

    def changed(self, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Pass a tensor through `change` (which keeps its shape) whenever it is read."""
        get = self._get[name]
        self._get[name] = lambda: change(get())

    def put(self, name: str, shape: tuple[int, ...], get: Callable[[], torch.Tensor]) -> None:
        """Add a tensor that is made from others."""
        self.shapes[name] = shape
        self._get[name] = get

    def _safetensors(self, path: Path) -> None:
        extras.need("capture", "safetensors", where=path)
        from safetensors import SafetensorError, safe_open

        try:
            file: Any = safe_open(path, framework="pt")
        except FileNotFoundError:
            raise _missing(path) from None
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from error
        for name in file.keys():  # noqa: SIM118 - not a mapping
            self.shapes[name] = tuple(file.get_slice(name).get_shape())
            self._get[name] = lambda name=name: file.get_tensor(name)  # type: ignore[misc]

    def _pickle(self, path: Path) -> None:
        import pickle

        import torch

        try:
            found = _load_pickle(torch, path)
        except FileNotFoundError:
            raise _missing(path) from None
        except pickle.UnpicklingError as error:
            # torch says so of anything beyond plain tensors, and of garbage
            raise TracekitError(
                "the checkpoint holds more than tensors, or is damaged",
                where=path,
                hint=f"only plain state dicts are read (weights_only){_foreign(error)}",
            ) from error
        except (RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
            raise _damaged(path, error) from error
        state = found.get("state_dict", found) if isinstance(found, dict) else None
        if not isinstance(state, dict) or not all(isinstance(k, str) for k in state):
            raise TracekitError(
                "the checkpoint holds no state dict", where=path, hint="name -> tensor is expected"
            )
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                self.shapes[name] = tuple(value.shape)
                self._get[name] = lambda value=value: value  # type: ignore[misc]


def of_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> Weights:
    """Weights that are already in memory."""
    import torch

    weights = Weights(())
    for name, value in arrays.items():
        weights.put(name, value.shape, lambda value=value: torch.from_numpy(value))  # type: ignore[misc]
    return weights


def _load_pickle(torch: Any, path: Path) -> object:
    import warnings

    with warnings.catch_warnings():
        # torch warns of pickle protocols it does not know; what it cannot read it refuses anyway
        warnings.simplefilter("ignore", UserWarning)
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError as error:
            if "mmap" not in str(error):
                raise
            # files of torch < 1.6 cannot be mapped; they are small by now
            return torch.load(path, map_location="cpu", weights_only=True)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:160]


def _foreign(error: BaseException) -> str:
    """What beyond tensors it holds; torch's own message goes on to advise running it."""
    named = re.search(r"GLOBAL (\S+)", str(error))
    return f"; it names {named[1]}" if named else ""


def _missing(path: Path) -> TracekitError:
    return TracekitError("no such file", where=path, hint="check --checkpoint")


def _damaged(path: Path, error: BaseException) -> TracekitError:
    return TracekitError(
        "the checkpoint cannot be read",
        where=path,
        hint=f"is it whole, and a checkpoint at all? {type(error).__name__}: {_first_line(error)}",
    )


def files(checkpoint: Path, patterns: Iterable[str] = PATTERNS) -> list[Path]:
    """The weight files of a checkpoint: the file itself, or those of a folder, in name order.

    In a folder an index file decides; otherwise the first of `patterns` that matches.

    Raises: TracekitError where there is none, or the index names a file that is not there.
    """
    if checkpoint.is_file():
        if checkpoint.suffix not in SUFFIXES:
            raise TracekitError(
                "not a checkpoint",
                where=checkpoint,
                hint=f"a folder or one of {', '.join(SUFFIXES)} is expected",
            )
        return [checkpoint]
    if not checkpoint.exists():
        raise TracekitError("no such file or folder", where=checkpoint, hint="check --checkpoint")
    for name in INDEXES:
        index = checkpoint / name
        if index.is_file():
            return _indexed(index)
    for pattern in patterns:
        found = sorted(checkpoint.glob(pattern))
        if found:
            return found
    raise TracekitError(
        "the folder holds no weights",
        where=checkpoint,
        hint=f"expected {', '.join(dict.fromkeys(patterns))}",
    )


def _indexed(index: Path) -> list[Path]:
    try:
        named = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise _damaged(index, error) from error
    paths = [index.parent / Path(name).name for name in named]
    absent = [path.name for path in paths if not path.is_file()]
    if absent:
        raise TracekitError(
            f"{len(absent)} of {len(paths)} weight files are not there ({some(absent)})",
            where=index,
            hint="complete the download",
        )
    return paths


def open_checkpoint(checkpoint: Path, patterns: Iterable[str] = PATTERNS) -> Weights:
    """The weights of a file or folder. Raises: TracekitError, see `files` and `Weights`."""
    return Weights(files(checkpoint, patterns))


def open_one(checkpoint: Path, patterns: Iterable[str] = PATTERNS) -> Weights:
    """The weights of a model that is one file, or of a folder with one such file.

    Raises: TracekitError where a folder holds several, and as `open_checkpoint`.
    """
    found = files(checkpoint, patterns)
    if len(found) > 1:
        raise TracekitError(
            f"the folder holds {len(found)} checkpoints ({some([path.name for path in found])})",
            where=checkpoint,
            hint="name one of them",
        )
    return Weights(found)


def folder(checkpoint: Path) -> Path:
    """The folder in which a checkpoint's config and tokenizer lie."""
    return checkpoint if checkpoint.is_dir() else checkpoint.parent


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises: TracekitError where it is missing or no object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TracekitError(
            "no such file",
            where=path,
            hint=f"--checkpoint wants a folder with a {path.name}, or a file in it",
        ) from None
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(found, dict):
        raise TracekitError("not a JSON object", where=path, hint="is it the right file?")
    return found


def some(names: list[str]) -> str:
    shown = ", ".join(names[:FIRST])
    return f"{shown}, …" if len(names) > FIRST else shown


def compare(
    wanted: Mapping[str, tuple[int, ...]],
    found: Mapping[str, tuple[int, ...]],
    *,
    where: object,
    ignore: Callable[[str], bool] = lambda _name: False,
) -> None:
    """Nothing where `found` has what is wanted, and no more than what may be ignored.

    Raises: TracekitError with the first few names of each kind and how many there are.
    """
    missing = sorted(wanted.keys() - found.keys())
    unexpected = sorted(name for name in found.keys() - wanted.keys() if not ignore(name))
    misshapen = [
        f"{name} {tuple(found[name])} not {tuple(shape)}"
        for name, shape in sorted(wanted.items())
        if name in found and tuple(found[name]) != tuple(shape)
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    said = [f"{len(names)} {kind} ({some(names)})" for kind, names in kinds.items() if names]
    if said:
        raise TracekitError(
            f"the weights do not fit: {'; '.join(said)}",
            where=where,
            hint="is this checkpoint of this model, and of this size?",
        )


@contextmanager
def on_meta() -> Iterator[None]:
    """Modules built inside hold shapes and no values."""
    import torch

    with torch.device("meta"), torch.no_grad():
        yield


def count(module: nn.Module) -> int:
    """How many parameter values a module has; shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _place(module: nn.Module, name: str, value: torch.Tensor) -> None:
    """Put `value` where the parameter `name` is, frozen; for buffers likewise."""
    from torch import nn

    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if leaf in owner._buffers:
        owner._buffers[leaf] = value
    else:
        setattr(owner, leaf, nn.Parameter(value, requires_grad=False))


def load_into(
    module: nn.Module,
    weights: Weights,
    *,
    device: str,
    dtype: torch.dtype,
    where: object,
    ignore: Callable[[str], bool] = lambda _name: False,
    names: Callable[[str], str] = lambda name: name,
) -> None:
    """Fill a module built on `meta` from `weights`, tensor by tensor, straight on the device.

    `names` gives the checkpoint's name of a module's name; `ignore` says which of the checkpoint's
    names are not needed. Buffers that it does not hold (RoPE's frequencies) are for the caller.

    Raises: TracekitError where names or shapes do not fit; the module is then untouched.
    """
    state = module.state_dict()
    compare(
        {names(name): tuple(value.shape) for name, value in state.items()},
        weights.shapes,
        where=where,
        ignore=ignore,
    )
    for name, meta in state.items():
        kind = dtype if meta.is_floating_point() else meta.dtype
        # copy: a tensor that stays mapped would be read from disk inside a timed stage
        _place(module, name, weights.get(names(name)).to(device=device, dtype=kind, copy=True))


def randomize(
    module: nn.Module, *, device: str, dtype: torch.dtype, seed: int, std: float = STD
) -> None:
    """Fill a module built on `meta` with random values, made on the device in `dtype`.

    Matrices are normal with deviation `std`, one-dimensional weights (scales of norms) are 1,
    biases 0. Tensors of more than FRESH values share TILE numbers, each from a place of its own:
    the time a kernel takes does not depend on them, and drawing 7 billion takes minutes on a CPU.
    On `meta` there are no values, and the module is what it was: its shapes can be asked.
    """
    if device == "meta":
        module.to(dtype)
        return
    import random

    import torch

    generator = torch.Generator(device=device).manual_seed(seed)
    places = random.Random(seed)  # of the host: a number read from the device would wait for it
    state = module.state_dict()
    largest = max((value.numel() for value in state.values()), default=0)
    tile = torch.empty(TILE if largest > FRESH else 0, device=device, dtype=dtype)
    tile.normal_(0.0, std, generator=generator)
    for name, meta in state.items():
        leaf = name.rpartition(".")[2]
        kind = dtype if meta.is_floating_point() else meta.dtype
        value = torch.empty(meta.shape, device=device, dtype=kind)
        if not meta.is_floating_point() or "bias" in leaf or leaf == "beta":
            value.zero_()
        elif meta.dim() == 1 and leaf != "class_embedding":
            value.fill_(1)
        elif meta.numel() <= FRESH:
            value.normal_(0.0, std, generator=generator)
        else:
            _fill(value.view(-1), tile, places.randrange(TILE))
        _place(module, name, value)


def _fill(flat: torch.Tensor, tile: torch.Tensor, start: int) -> None:
    """Copy the tile into `flat` again and again, beginning at `start`."""
    done, whole = 0, flat.numel()
    while done < whole:
        part = min(whole - done, tile.numel() - start)
        flat[done : done + part] = tile[start : start + part]
        done += part
        start = (start + part) % tile.numel()


def dtype_named(name: str) -> torch.dtype:
    """The torch dtype of that name. Raises: TracekitError for a name that is none."""
    import torch

    known = ("float32", "bfloat16", "float16")
    if name not in known:
        raise TracekitError("no such dtype", where=name, hint=f"known: {', '.join(known)}")
    found: torch.dtype = getattr(torch, name)
    return found


BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}  # of one value


def bytes_per_value(dtype: str) -> int:
    """Bytes of one value. Raises: TracekitError for a name that is no dtype."""
    if dtype not in BYTES:
        raise TracekitError("no such dtype", where=dtype, hint=f"known: {', '.join(BYTES)}")
    return BYTES[dtype]
