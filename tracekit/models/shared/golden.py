"""Golden data: inputs, weights and expected outputs of a model's original code, and the check.

A golden is `NAME.safetensors` with `NAME.json` beside it. The sidecar's "model" (the file's name
where it has none) is in the `GOLDENS` of one module of tracekit/models, whose `golden(case)`
returns what that module computes, by the names of the expected outputs. So a model brings its check
along in its own file. Under other names `golden` may give True, or a text that says what is wrong.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import registry
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy.typing as npt

OUT = "out"  # names of expected outputs begin so: out.x, out_variant.x, case.out.x


@dataclass(frozen=True, slots=True)
class Golden:
    """One golden: its sidecar, and its tensors as numpy arrays by name."""

    path: Path
    sidecar: Mapping[str, Any]
    tensors: Mapping[str, npt.NDArray[Any]]

    def under(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """The tensors whose names begin with `prefix`, without it."""
        return {k[len(prefix) :]: v for k, v in self.tensors.items() if k.startswith(prefix)}

    @property
    def expected(self) -> dict[str, npt.NDArray[Any]]:
        """The outputs to be met, by their whole name."""
        return {name: value for name, value in self.tensors.items() if is_output(name)}

    def neighbour(self, name: str) -> Path:
        """A file that lies with the golden data, in its folder or the one above.

        Raises: TracekitError where it is in neither.
        """
        for folder in (self.path.parent, self.path.parent.parent):
            if (folder / name).is_file():
                return folder / name
        raise TracekitError(
            f"{name} is not beside the golden", where=self.path, hint="keep the files together"
        )


@dataclass(frozen=True, slots=True)
class Check:
    """How one output compares."""

    name: str
    error: float  # the largest |ours - expected|; infinite where the shapes differ or NaN meets
    allowed: float  # atol + rtol·|expected| where the error is largest; 0 for integers
    passed: bool
    note: str = ""  # why an output could not be compared


def is_output(name: str) -> bool:
    """Whether a tensor's name is of an expected output."""
    if name.startswith("weights."):
        return False
    return any(part == OUT or part.startswith(f"{OUT}_") for part in name.split(".")[:-1])


def read(path: Path) -> Golden:
    """A golden by either of its files. Raises: TracekitError for a missing or damaged one."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    sidecar_path = path.with_suffix(".json")
    try:
        sidecar = json.loads(sidecar_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TracekitError(
            "no such file", where=sidecar_path, hint="a golden is a .safetensors and a .json"
        ) from None
    except ValueError as error:
        raise TracekitError("not JSON", where=sidecar_path, hint="is the file whole?") from error
    tensors: dict[str, npt.NDArray[Any]] = {}
    data = path.with_suffix(".safetensors")
    if data.is_file():
        try:
            tensors = load_file(data)
        except (SafetensorError, OSError) as error:
            raise TracekitError("not safetensors", where=data, hint="is it whole?") from error
    elif "file" in sidecar or path.suffix == ".safetensors":
        raise TracekitError("no such file", where=data, hint="it belongs to the sidecar")
    return Golden(path=path, sidecar=sidecar, tensors=tensors)


def owner(golden: Golden) -> Any:
    """The module that can run a golden. Raises: TracekitError where no module can."""
    model = str(golden.sidecar.get("model", "")) or golden.path.stem
    known: list[str] = []
    for name in registry.modules("tracekit.models", "GOLDENS"):
        module = importlib.import_module(name)
        known += module.GOLDENS
        if model in module.GOLDENS:
            return module
    raise TracekitError(
        f"no model here runs goldens of {model!r}",
        where=golden.path,
        hint=f"known: {', '.join(sorted(known))}",
    )


def check(path: Path) -> list[Check]:
    """Every expected output of a golden against ours, in name order.

    Raises: TracekitError where the files cannot be read or no model runs them.
    """
    golden = read(path)
    ours = owner(golden).golden(golden)
    tolerance = golden.sidecar.get("tolerance", {})
    atol, rtol = float(tolerance.get("atol", 0.0)), float(tolerance.get("rtol", 0.0))
    checks = []
    for name, expected in sorted(golden.expected.items()):
        if name not in ours:
            checks.append(Check(name, float("inf"), 0.0, False, "not computed"))
        else:
            checks.append(compare(name, ours[name], expected, atol, rtol))
    extra = [name for name in sorted(ours) if name not in golden.expected]
    checks += [_extra(name, ours[name]) for name in extra]
    if not checks:
        raise TracekitError("the golden has no outputs", where=path, hint="is it the right file?")
    return checks


def _extra(name: str, value: object) -> Check:
    """What a model checked by itself (prompts, ids): True is right, a text says what is wrong."""
    if value is True:
        return Check(name, 0.0, 0.0, True)
    return Check(name, float("inf"), 0.0, False, str(value))


def compare(name: str, ours: object, expected: object, atol: float, rtol: float) -> Check:
    """One output against what is expected. Integers must be equal."""
    import numpy as np

    got, want = np.asarray(ours), np.asarray(expected)
    if got.shape != want.shape:
        return Check(name, float("inf"), 0.0, False, f"shape {got.shape}, expected {want.shape}")
    if want.size == 0:
        return Check(name, 0.0, 0.0, True)
    exact = want.dtype.kind in "biu"
    error = np.abs(got.astype(np.float64) - want.astype(np.float64))
    allowed = np.zeros_like(error) if exact else atol + rtol * np.abs(want.astype(np.float64))
    error = np.where(np.isnan(error), np.inf, error)
    worst = np.unravel_index(int(np.argmax(error - allowed)), error.shape)
    return Check(name, float(error.max()), float(allowed[worst]), bool((error <= allowed).all()))
