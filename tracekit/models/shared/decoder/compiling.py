"""What torch.compile is asked for, and whether it can be had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions

if TYPE_CHECKING:
    pass


def compile_mode(device: str) -> str:
    """How decode steps are compiled: with CUDA graphs where there are any."""
    return "reduce-overhead" if device.startswith("cuda") else "default"


def compiled(run: Any, options: BuildOptions, what: str) -> tuple[Any, str]:
    """`run` as the options want it, and what was compiled how, in words for the metadata.

    Raises: TracekitError where it is to be compiled and cannot be.
    """
    if not options.compile:
        return run, "no"
    import torch

    _needs_compiler(options.device)
    mode = compile_mode(options.device)
    return torch.compile(run, mode=mode), f"{what}, {mode}"


def _needs_compiler(device: str) -> None:
    """Nothing where decode steps can be compiled. Raises: TracekitError where they cannot."""
    import os
    import shutil

    wanted = os.environ.get("CXX", "g++")
    if device == "cpu" and not (shutil.which(wanted) or shutil.which("clang++")):
        raise TracekitError(
            "torch.compile needs a C++ compiler for the CPU",
            where="--compile",
            hint=f"install {wanted}, or leave --compile out",
        )
