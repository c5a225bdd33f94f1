"""package.module:ADAPTER: a model that lives elsewhere, profiled unmodified.

ADAPTER is one of: a `Wrapped`, which says which of a foreign model's methods are which stage; a
class with the stages as its methods (`catalog.Adapter`), built with BuildOptions; a catalog.Model.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import InputKind, Recording, Sample
from tracekit.errors import TracekitError
from tracekit.models.entry import BuildOptions, Facts, Model
from tracekit.taxonomy import Stage

if TYPE_CHECKING:
    from tracekit.models.entry import Recorder

SIZE = "own"
NEEDED = (Stage.LOAD, Stage.PREPROCESS)


def _parsed(_model: object, recording: Recording, _options: BuildOptions) -> object:
    return recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """A foreign model by which of its methods are which stage.

    `build(options)` gives the model. `ask(model, inputs, options)` takes one request through it and
    returns the text, or the token ids of each row, or None. `inputs` is what
    `preprocess(model, recording, options)` gives; the catalog.Recording itself without it.

    `spans` maps dotted paths below the model (`llma.encode_image`; a module stands for its
    forward) to stages. `step` is the path of one forward pass of the LLM: its first call is
    prefill, each later one a decode step. Where a stage is called inside another, each counts its
    self time. What happens before the first of them is preprocess; between encode and the first
    step it is prefill; after the first step, decode.
    """

    build: Callable[[BuildOptions], Any]
    ask: Callable[[Any, Any, BuildOptions], Any]
    spans: Mapping[str, Stage] = field(default_factory=dict)
    step: str | None = None
    load: Callable[[Sample], Any] = lambda sample: sample.read()
    preprocess: Callable[[Any, Recording, BuildOptions], Any] = _parsed
    input: InputKind = "imu"
    title: str = ""
    licence: str = "its own"
    random_weights: bool = False
    dims: Callable[[Any, BuildOptions], Mapping[str, Any]] = lambda _model, _options: {}

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that a request can have, in their order."""
        named: set[object] = {*NEEDED, *self.spans.values()}
        if self.step:
            named |= {Stage.PREFILL, Stage.DECODE}
        return tuple(stage for stage in Stage if stage in named)


@dataclass(slots=True)
class Answer:
    """What is known of a foreign request when it is over."""

    ids: list[list[int]]
    texts: list[str]
    generated: int  # tokens of each row: forward passes of the LLM
    finished: bool = True


class Request:
    """Where a foreign request is: which stage's span is open, and how many steps were taken."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.stage: Stage | None = None
        self.steps = 0  # forward passes of the LLM so far
        self._open: ExitStack | None = None

    def to(self, stage: Stage | None) -> Stage | None:
        """End the stage that is open and begin another; returns the one that was open."""
        before = self.stage
        if stage is before:
            return before
        if self._open is not None:
            self._open.close()
        self._open = None
        self.stage = stage
        if stage is not None:
            self._open = ExitStack()
            self._open.enter_context(self.recorder.stage(stage))
        return before

    def span(self, stage: Stage, call: Callable[[], Any]) -> object:
        """A method that is a stage. What it interrupts goes on behind it."""
        before = self.to(stage)
        out = call()
        first = stage is Stage.ENCODE and not self.steps and before is Stage.PREPROCESS
        self.to(Stage.PREFILL if first else before)
        return out

    def step(self, call: Callable[[], Any]) -> Any:
        """A forward pass of the LLM: prefill, or one decode step."""
        self.steps += 1
        if self.steps == 1:
            self.to(Stage.PREFILL)
            out = call()
            self.to(Stage.DECODE)
            return out
        self.to(Stage.DECODE)
        with self.recorder.step(self.steps - 1):
            return call()

    def give_up(self) -> None:
        """Close what is open after an exception."""
        if self._open is not None:
            self._open.close()
            self._open = None


def _check_spans(wrapped: Wrapped, name: str) -> None:
    """Nothing where spans name stages. Raises: TracekitError where not, or one marks its own."""
    spans: Mapping[str, Any] = wrapped.spans  # of a foreign file, that no type checker read
    for path, stage in spans.items():
        if not isinstance(stage, Stage):
            known = ", ".join(f"Stage.{one.name}" for one in Stage)
            raise TracekitError(
                f"spans[{path!r}] is {stage!r}, no Stage",
                where=name,
                hint=f"one of {known} (from tracekit.taxonomy import Stage)",
            )


class WrappedAdapter:
    """Runs a foreign model's request; `capture` lets it mark its stages itself."""

    def __init__(self, wrapped: Wrapped, name: str, options: BuildOptions) -> None:
        self.wrapped, self.options = wrapped, options
        _check_spans(wrapped, name)
        self.model = wrapped.build(options)
        paths = [*wrapped.spans, *([wrapped.step] if wrapped.step else [])]
        self._places = {path: _place(self.model, path, name) for path in paths}
        self.facts = Facts(
            model=name,
            size=SIZE,
            parameters=_parameters(self.model),
            random_weights=wrapped.random_weights,
            dims=dict(wrapped.dims(self.model, options)),
            tokenizer="its own",
            attention="its own",
            cache="its own",
            options={
                "spans": {path: stage.value for path, stage in wrapped.spans.items()},
                "step": wrapped.step,
            },
        )

    def load(self, sample: Sample) -> Any:
        """Bytes on disk to host memory."""
        return self.wrapped.load(sample)

    def preprocess(self, sample: Sample, raw: object) -> object:
        """What `ask` is given."""
        return self.wrapped.preprocess(self.model, sample.parse(raw), self.options)

    def request(self, sample: Sample, recorder: Recorder) -> Answer:
        """One request, its stages marked as its own methods are called."""
        at = Request(recorder)
        try:
            with self._watched(at):
                at.to(Stage.LOAD)
                raw = self.load(sample)
                at.to(Stage.PREPROCESS)
                said = self.wrapped.ask(self.model, self.preprocess(sample, raw), self.options)
                at.to(None)
        finally:
            at.give_up()
        return _answer(said, at.steps)

    def text(self, state: Answer) -> list[str]:
        """What was generated, where `ask` returns it."""
        return state.texts

    @contextmanager
    def _watched(self, at: Request) -> Iterator[None]:
        """Inside, the methods that are stages say when they begin and end."""
        with ExitStack() as undo:
            for path, (owner, name) in self._places.items():
                original = getattr(owner, name)
                undo.callback(_restore, owner, name, vars(owner).get(name))
                stage = self.wrapped.spans.get(path)
                setattr(owner, name, _watching(at, stage, original))
            yield


def _watching(at: Request, stage: Stage | None, original: Any) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> object:
        if stage is None:
            return at.step(lambda: original(*given, **named))
        return at.span(stage, lambda: original(*given, **named))

    return call


def _restore(owner: object, name: str, own: object) -> None:
    """Put back the instance's own attribute, or the class's."""
    if own is None:
        delattr(owner, name)
    else:
        setattr(owner, name, own)


def _place(model: object, path: str, where: str) -> tuple[object, str]:
    """The object and attribute of a dotted path; of a module its forward.

    Raises: TracekitError where there is no such method.
    """
    owner, found = None, model
    name = ""
    for name in path.split("."):
        owner = found
        found = getattr(owner, name, None)
        if found is None:
            raise TracekitError(
                f"the model has no {path!r} ({type(owner).__name__} has no {name!r})",
                where=where,
                hint="spans and step are dotted paths below what build returns",
            )
    if hasattr(found, "forward"):
        return found, "forward"
    if not callable(found):
        raise TracekitError(
            f"{path!r} is no method", where=where, hint="name a method or a torch module"
        )
    return owner, name


def _parameters(model: Any) -> dict[str, int]:
    """Parameters of the model's direct parts, of whatever of it torch knows."""
    if not hasattr(model, "named_children"):
        parts = {name: value for name, value in vars(model).items() if hasattr(value, "parameters")}
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    counts = {name: sum(p.numel() for p in c.parameters()) for name, c in model.named_children()}
    own = sum(p.numel() for p in model.parameters(recurse=False))
    return {name: n for name, n in {**counts, "own": own}.items() if n}


def _answer(said: object, steps: int) -> Answer:
    """Texts or ids, as `ask` returned them."""
    if hasattr(said, "tolist"):
        said = said.tolist()
    if isinstance(said, str):
        return Answer([], [said], steps)
    rows = list(said) if isinstance(said, list | tuple) else []
    if rows and all(isinstance(row, int) for row in rows):
        rows = [rows]
    texts = [row for row in rows if isinstance(row, str)]
    ids = [[int(i) for i in row] for row in rows if isinstance(row, list | tuple)]
    return Answer(ids, texts, steps)


def resolve(name: str) -> Model:
    """The model entry of `package.module:ADAPTER`; the working folder is importable.

    Raises: TracekitError where there is no such module or attribute, or it is no adapter.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise TracekitError(
            "no model of that form",
            where=name,
            hint="write hf:PATH_OR_ID or package.module:ADAPTER",
        )
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # found, and itself in want of something
        raise TracekitError(
            f"there is no module {error.name!r}",
            where=name,
            hint="run from the folder it lies in, or install it",
        ) from None
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise TracekitError(
                f"the module has no {part!r}", where=name, hint="check the name behind the colon"
            )
    return _entry(found, name)


def _entry(found: object, name: str) -> Model:
    if isinstance(found, Model):
        return found
    if isinstance(found, Wrapped):
        return _model(
            name,
            title=found.title or name,
            kind=found.input,
            stages=found.stages,
            licence=found.licence,
            build=lambda options: WrappedAdapter(found, name, options),
        )
    stages = tuple(stage for stage in Stage if callable(getattr(found, stage.value, None)))
    if not inspect.isclass(found) or not set(NEEDED) <= set(stages):
        raise TracekitError(
            "it is no adapter",
            where=name,
            hint="a Wrapped, a class with load and preprocess, or a catalog.Model is expected",
        )
    if Stage.DECODE in stages and Stage.PREFILL not in stages:
        raise TracekitError(
            "it has a decode and no prefill, which gives the first token and the state",
            where=name,
            hint="add prefill(self, inputs, tokens), or leave decode out",
        )
    return _model(
        name,
        title=getattr(found, "title", found.__name__),
        kind=getattr(found, "input", "imu"),
        stages=stages,
        licence=getattr(found, "licence", "its own"),
        build=lambda options: _built(found, name, options),
    )


def _built(kind: Any, name: str, options: BuildOptions) -> object:
    try:
        adapter = kind(options)
    except TypeError as error:
        if inspect.signature(kind).parameters:
            raise
        raise TracekitError(
            f"it cannot be built with options ({error})",
            where=name,
            hint="write `def __init__(self, options): …`",
        ) from error
    if not hasattr(adapter, "facts"):
        adapter.facts = Facts(
            model=name,
            size=SIZE,
            parameters=_parameters(adapter),
            random_weights=False,
            dims={},
            tokenizer="its own",
            attention="its own",
            cache="its own",
        )
    return adapter


def _model(
    name: str,
    *,
    title: str,
    kind: InputKind,
    stages: tuple[Stage, ...],
    licence: str,
    build: Callable[[BuildOptions], Any],
) -> Model:
    return Model(
        title=title,
        input=kind,
        stages=stages,
        sizes={SIZE: None},
        build=build,
        parameters=lambda _size: {},
        licence=licence,
        weights="its own",
        source=name,
        target=name,
    )
