"""What a model is: its facts, its stages, and how it is built."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from tracekit.datasets.entry import InputKind, Sample
from tracekit.registry import Kind
from tracekit.taxonomy import Stage


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
    # divides a language model over the ranks of a job, where several processes run it together
    shard: Callable[[Any], None] | None = None


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
    notes: tuple[str, ...] = ()  # what one should know of this run beside, in words


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

    facts: Facts  # read after the last request: what the input decides is known then

    def load(self, sample: Sample) -> Any: ...  # disk to host
    def preprocess(self, sample: Sample, raw: object) -> object: ...  # inputs on the device

    # def encode(self, inputs) -> torch.Tensor: ...  [B, n, D] tokens in LLM space
    # def prefill(self, inputs, tokens: torch.Tensor | None) -> State: ...  first token, cache
    # def decode(self, state: State) -> State: ...  one more token
    # def text(self, state: State) -> list[str]: ...  what was generated, per batch row


class Recorder(Protocol):
    """What marks and times the parts of a request that a model takes by itself."""

    def stage(self, stage: Stage) -> AbstractContextManager[None]: ...
    def step(self, number: int) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Which ids the tokens of a model are."""

    family: str  # of tokenizers that share their ids
    ids: int  # that mean the same in the family
    added: str = ""  # what the model adds behind them

    def shared(self, other: Vocabulary) -> int:
        """Ids that mean the same to both; 0 for another family."""
        return min(self.ids, other.ids) if self.family == other.family else 0


QUESTION = 64  # tokens that a model without a sensor reads, where none is named
LLAMA_IDS = Vocabulary(family="LLaMA SentencePiece", ids=32_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A model of its published size, as a table of models says it."""

    encoder: str  # and what it makes of a sample
    decoder: str = ""  # empty where there is none
    vocabulary: Vocabulary | None = None  # None: it has none, or nobody wrote it down
    trained_on: str = ""
    prompt_tokens: int | None = None  # that its default prompt and one sample fill in prefill
    # what FLOP and byte formulas need, by dtype, counted on `meta`: as `Facts.dims`
    dims: Callable[[str], Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model: facts, and how it is built."""

    title: str
    input: InputKind
    stages: tuple[Stage, ...]
    sizes: Mapping[str, object]  # "full" is the published configuration
    build: Callable[[BuildOptions], Any]  # -> Adapter
    parameters: Callable[[str], Mapping[str, int]]  # size -> count per component, on `meta`
    # what `parameters` counts, by size, so that listing models needs no torch; a test counts anew
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    licence: str
    weights: str  # where they come from
    source: str  # paper, repository
    default_prompt: str = ""
    weight_bytes: Callable[[str, str], int] | None = None  # (size, dtype) -> bytes it will need
    download: Callable[..., None] | None = None
    takes: Mapping[str, str] = field(default_factory=dict)  # names in `extra`: what each does
    also: tuple[InputKind, ...] = ()  # what its samples hold beside `input`: see Sample.also
    description: Description | None = None
    target: str = ""  # the part after the colon of hf:PATH and module:ADAPTER


MODELS = Kind("tracekit.models", "MODEL", "model", "model", Model)


def models() -> list[str]:
    """Names of all models, alphabetically."""
    return MODELS.names()


def entries() -> dict[str, Model]:
    """All models by name, but those that a package brings in vain."""
    return MODELS.every()


def named(name: str) -> str:
    """The name of a model as it is listed; `hf:…` and `package.module:ADAPTER` as they are.

    Raises: UsageError for an unknown one.
    """
    return name if ":" in name else MODELS.named(name)


def model(name: str) -> Model:
    """The entry of one model: a name, `hf:PATH_OR_ID`, or `package.module:ADAPTER`.

    Raises: TracekitError for an unknown name.
    """
    if ":" in name:
        scheme, target = name.split(":", 1)
        helper = "huggingface.model" if scheme == "hf" else "wrapped"
        found: Model = importlib.import_module(f"tracekit.models.{helper}").resolve(
            target if scheme == "hf" else name
        )
        return found
    return MODELS.load(name)
