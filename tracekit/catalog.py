"""Analysis, Model, Dataset: the shape of an entry, and how one is found.

An entry is one module with a constant: `analyses/NAME.py` has ANALYSIS, `tracekit/models/NAME.py`
has MODEL, `tracekit/datasets/NAME.py` has DATASET. Nothing else lists them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from tracekit.errors import TracekitError
from tracekit.stages import Stage

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tracekit.figures import Chart
    from tracekit.results import Grid, Result
    from tracekit.trace import Trace

R = TypeVar("R", bound="Result")


def _nothing(_result: Any) -> list[Any]:
    return []


def _no_join(_results: Any) -> Any:
    return None


# ---------------------------------------------------------------- analyses


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis(Generic[R]):
    """One question that a trace can answer.

    `run(trace, *, ...)` is pure: parameters are keyword-only with defaults. It raises
    MissingEventsError where the trace cannot answer; the `what` of the error is the reason shown.
    `merge` is associative.
    """

    title: str
    question: str  # one sentence
    run: Callable[..., R]
    merge: Callable[[R, R], R]
    tables: Callable[[R], list[Grid]]  # at most 200 rows each, and a note of what was left out
    charts: Callable[[R], list[Chart]] = _nothing
    definitions: Mapping[str, str] = field(default_factory=dict)  # measure: one sentence
    needs: frozenset[str] = frozenset()  # side tables (trace.TABLES) that `run` reads
    order: int = 100  # place in the report
    by_default: bool = True  # False: only when named with --only
    # ranks of one job, or repeats of a run: the page shows the sum; False: each trace's own
    adds_up: bool = True
    # what different runs say together where they are parts of one thing (a file of prefill and one
    # of decode), else None; wanted where they do not add up
    join: Callable[[Sequence[R]], R | None] = _no_join
    host_question: str = ""  # the question where a trace has no device events, in their words


# ---------------------------------------------------------------- data sets

InputKind = Literal["imu", "events", "text", "image"]


@dataclass(frozen=True, slots=True)
class Recording:
    """What one sample holds, in units that do not depend on where it came from.

    imu: `values` [N, 6] float64, acceleration xyz in m/s² with gravity, then angular velocity xyz
    in rad/s; `rate_hz` nominal; `timestamps_ms` [N] float64 or None where the file has none.
    events: `arrays` has x, y, p, t ([N] integers, t in µs). text: `text`. image: `arrays` has
    pixels, [height, width, 3] uint8.
    """

    kind: InputKind
    values: npt.NDArray[np.float64] | None = None
    rate_hz: float | None = None
    timestamps_ms: npt.NDArray[np.float64] | None = None
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    start_s: float | None = None  # the window wanted of it; None: the whole
    duration_s: float | None = None
    text: str | None = None
    repairs: tuple[str, ...] = ()  # what was mended or derived, in words


@dataclass(frozen=True, slots=True)
class Sample:
    """One input of a data set, not yet read.

    `read()` is the load stage: bytes of `path` on disk to host memory, nothing else. `parse(raw)`
    begins the preprocess stage: what was read to a Recording.
    """

    id: str
    dataset: str
    path: Path
    read: Callable[[], Any]
    parse: Callable[[Any], Recording]
    prompt: str | None = None  # the question, without any model's template
    answer: str | None = None
    label: str | None = None
    synthetic: bool = False
    licence: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One data set: facts, and how its samples are read.

    `samples(path, *, subset, seed, on_error, **options)` yields lazily, in an order that never
    changes; `path` is a folder, or one of its files, for which `recognise(path)` holds. It is
    given those options only that `takes` names.
    """

    title: str
    kind: InputKind
    samples: Callable[..., Iterator[Sample]]
    holds: str  # what it is, rate, channels, units
    source: str  # address
    licence: str
    access: Literal["public", "licence", "not released", "generated", "local"]
    size: str
    layout: str  # on disk
    fits: tuple[str, ...]  # models
    verified: Literal["verified on real files", "built from the documented format", "generated"]
    how_to_get: str = ""  # a command that works today, or how to get access
    subsets: tuple[str, ...] = ()
    takes: Mapping[str, str] = field(default_factory=dict)  # options of `samples`: what each does
    recognise: Callable[[Path], bool] | None = None  # by layout; never reads more than a header
    download: Callable[..., None] | None = None  # the only code that downloads
    # (path): what was counted, as {what: (on disk, published or None)}
    check: Callable[[Path], Mapping[str, tuple[int, int | None]]] | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)  # file: 'sha256:…' or 'md5:…'


# ---------------------------------------------------------------- models


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How a model is built. `extra` are the model's own options, by name."""

    size: str = "tiny"
    checkpoint: Path | None = None
    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0
    attention: Literal["sdpa", "eager", "flash"] = "sdpa"
    cache: Literal["dynamic", "static"] = "dynamic"
    compile: bool = False
    batch_size: int = 1
    max_new_tokens: int = 16
    prompt: str | None = None  # the question; None is the model's own default
    prompt_tokens: int | None = None  # pad or cut the text prompt to this many tokens
    temperature: float = 0.0  # 0 is greedy
    top_p: float = 1.0
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a trace's metadata says of the model that ran; all plain JSON values."""

    model: str
    size: str
    parameters: Mapping[str, int]  # per component
    random_weights: bool
    dims: Mapping[str, Any]  # what FLOP and byte formulas need: see docs/models.md
    tokenizer: str
    attention: str
    cache: str
    options: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class State(Protocol):
    """The request between tokens. `ids` are the tokens generated so far, of every batch row."""

    ids: list[list[int]]  # [B][n], on the host
    finished: bool  # every row has met its end token, or the limit


@runtime_checkable
class Adapter(Protocol):
    """A model as its stages. A stage that a model lacks is a method that it does not have.

    load and preprocess exist always; encode, prefill and decode where the model has them.
    A model without an encoder prefills from `inputs` with tokens None.
    """

    facts: Facts

    def load(self, sample: Sample) -> Any: ...  # disk to host
    def preprocess(self, sample: Sample, raw: Any) -> Any: ...  # inputs on the device

    # def encode(self, inputs) -> torch.Tensor: ...  [B, n, D] tokens in LLM space
    # def prefill(self, inputs, tokens: torch.Tensor | None) -> State: ...  first token, cache
    # def decode(self, state: State) -> State: ...  one more token
    # def text(self, state: State) -> list[str]: ...  what was generated, per batch row


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model: facts, and how it is built."""

    title: str
    input: InputKind
    stages: tuple[Stage, ...]
    sizes: Mapping[str, Any]  # "full" is the published configuration
    build: Callable[[BuildOptions], Any]  # -> Adapter
    parameters: Callable[[str], Mapping[str, int]]  # size -> count per component, on `meta`
    licence: str
    weights: str  # where they come from
    source: str  # paper, repository
    default_prompt: str = ""
    weight_bytes: Callable[[str, str], int] | None = None  # (size, dtype) -> bytes it will need
    download: Callable[..., None] | None = None
    takes: Mapping[str, str] = field(default_factory=dict)  # names in `extra`: what each does
    target: str = ""  # the part after the colon of hf:PATH and module:ADAPTER


# ---------------------------------------------------------------- finding entries


def names(package: str) -> list[str]:
    """Names of the entries in a package, without importing any."""
    found = importlib.import_module(package)
    return sorted(m.name for m in pkgutil.iter_modules(found.__path__) if m.name[0] != "_")


def _entry(package: str, constant: str, kind: str, name: str, known: Sequence[str]) -> Any:
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise TracekitError(
            f"there is no {kind} of that name",
            where=name,
            hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}",
        )
    return getattr(importlib.import_module(f"{package}.{name}"), constant)


def analyses() -> list[str]:
    """Names of all analyses, alphabetically."""
    return names("analyses")


def analysis(name: str) -> Analysis[Any]:
    """The entry of one analysis. Raises: TracekitError for an unknown name."""
    entry: Analysis[Any] = _entry("analyses", "ANALYSIS", "analysis", name, analyses())
    return entry


def models() -> list[str]:
    """Names of all models, alphabetically."""
    return [n for n in names("tracekit.models") if hasattr_constant("tracekit.models", n, "MODEL")]


def datasets() -> list[str]:
    """Names of all data sets, alphabetically."""
    return [
        n for n in names("tracekit.datasets") if hasattr_constant("tracekit.datasets", n, "DATASET")
    ]


def hasattr_constant(package: str, name: str, constant: str) -> bool:
    """Whether a module has an entry; helper modules beside entries have none."""
    return hasattr(importlib.import_module(f"{package}.{name}"), constant)


def dataset(name: str) -> Dataset:
    """The entry of one data set. Raises: TracekitError for an unknown name."""
    entry: Dataset = _entry("tracekit.datasets", "DATASET", "data set", name, datasets())
    return entry


def model(name: str) -> Model:
    """The entry of one model: a name, `hf:PATH_OR_ID`, or `package.module:ADAPTER`.

    Raises: TracekitError for an unknown name.
    """
    if ":" in name:
        scheme, target = name.split(":", 1)
        helper = "causal_lm" if scheme == "hf" else "wrapped"
        found: Model = importlib.import_module(f"tracekit.models.{helper}").resolve(
            target if scheme == "hf" else name
        )
        return found
    entry: Model = _entry("tracekit.models", "MODEL", "model", name, models())
    return entry


def answer(trace: Trace, name: str, **parameters: Any) -> Any:
    """The result of another analysis on this trace, computed once per trace and parameters.

    Raises: MissingEventsError where the trace cannot answer.
    """
    entry = analysis(name)
    key = ("answer", name, tuple(sorted(parameters.items())))
    return trace.once(key, lambda: entry.run(trace, **parameters))
