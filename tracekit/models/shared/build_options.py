"""What every adapter does with its options: the prompt, a model's own options, copied rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tracekit.datasets.entry import Sample
from tracekit.errors import TracekitError, UsageError
from tracekit.models.entry import BuildOptions

IGNORE_EOS = "ignore_eos"
TOKENIZER = "tokenizer"
LLM_TAKES: Mapping[str, str] = {  # what `extra` holds for every model that generates text
    IGNORE_EOS: "true: generate all --max-new-tokens past an end token; default: stop there",
    TOKENIZER: "path of a SentencePiece tokenizer.model; default: the one beside the checkpoint",
}
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def check_extra(options: BuildOptions, takes: Mapping[str, str], model: str) -> None:
    """Nothing where the model takes all of `extra`. Raises: UsageError for an unknown name."""
    for name in options.extra:
        if name not in takes:
            raise UsageError(
                f"{model} takes no option {name!r}",
                where="--set",
                hint=f"it takes: {', '.join(takes) or 'none'}",
            )


def choice(options: BuildOptions, name: str, known: Sequence[str]) -> str:
    """The value of an option, the first of `known` where it is not given.

    Raises: UsageError for a value that is not one of `known`.
    """
    value = str(options.extra.get(name, known[0]))
    if value not in known:
        raise UsageError(
            f"{value!r} is no value of {name}", where="--set", hint=f"known: {', '.join(known)}"
        )
    return value


def flag(options: BuildOptions, name: str) -> bool:
    """Whether an option is on; off where it is not given. Raises: UsageError for neither."""
    value = str(options.extra.get(name, "false")).lower()
    if value not in (*_YES, *_NO):
        raise UsageError(f"{name} is true or false", where=value, hint=f"write {name}=true")
    return value in _YES


def whole(options: BuildOptions, name: str, default: int) -> int:
    """A whole number. Raises: UsageError for what is none."""
    value = options.extra.get(name, default)
    try:
        return int(str(value))
    except ValueError:
        raise UsageError(
            f"{name} is a whole number", where=value, hint=f"write {name}={default}"
        ) from None


def path(options: BuildOptions, name: str) -> Path | None:
    """The path given for an option, if any."""
    value = options.extra.get(name)
    return Path(str(value)).expanduser() if value else None


def size(options: BuildOptions, sizes: Mapping[str, object], model: str) -> str:
    """The size asked for. Raises: UsageError where the model has no such size."""
    if options.size not in sizes:
        raise UsageError(
            f"{model} has no such size", where=options.size, hint=f"known: {', '.join(sizes)}"
        )
    return options.size


def question(options: BuildOptions, sample: Sample, default: str) -> str:
    """What is asked: the prompt of the options, else of the sample, else the model's own."""
    return options.prompt or sample.prompt or default


def device_checked(options: BuildOptions) -> str:
    """The device, once it is known to be there. Raises: TracekitError where it is not."""
    import torch

    try:
        kind = torch.device(options.device).type
    except RuntimeError:
        raise UsageError(
            "no such device", where=options.device, hint="known: cpu, cuda, cuda:1, mps, xpu …"
        ) from None
    if kind in ("cpu", "meta"):
        return options.device
    module: Any = torch.backends.mps if kind == "mps" else getattr(torch, kind, None)
    if not getattr(module, "is_available", lambda: False)():
        raise TracekitError(
            f"torch sees no {kind} device",
            where="--device",
            hint="use --device cpu, or install a torch build for it",
        )
    return options.device
