"""A draft and a target as one model, whose requests pass through the stages of both.

The loop is ours for two language models too. transformers' assisted generation (5.24,
`assistant_model` and `prompt_lookup_num_tokens`) gives the same greedy text in as many passes of
the target (a test holds it), but takes one row ("only supported for batch_size = 1"), runs out of a
static cache in look-up (IndexError in `index_copy_`), marks no round, and keeps to itself how many
tokens of each stayed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tracekit.datasets.entry import Sample
from tracekit.models.entry import Facts
from tracekit.models.shared.decoder.decoder import Decoder
from tracekit.models.shared.decoder.request import Request
from tracekit.models.speculative import loop, vocabulary
from tracekit.models.speculative.drafts import LookUp, ModelDraft
from tracekit.models.speculative.track import Track, check
from tracekit.models.speculative.translated import Cost, TranslatedDraft
from tracekit.taxonomy import Stage

if TYPE_CHECKING:
    import torch

NGRAM = "ngram"


class Recorder(loop.Parts, Protocol):
    """What marks and times the stages of a request, and the parts within them."""

    def stage(self, stage: Stage) -> AbstractContextManager[None]: ...


@dataclass(slots=True)
class State:
    """A request after its last round: what `entry.State` asks for, and its rounds."""

    ids: list[list[int]]
    finished: bool
    prompt_tokens: int
    prompt: str
    sensor_tokens: int | None
    rounds: Sequence[loop.Round]
    cache_bytes: Mapping[str, int]  # of draft and target, at the end
    translation: Cost | None = None


class Side:
    """One of the two models: its stages, decoder, tokenizer and number of ids."""

    def __init__(self, name: str, adapter: Any) -> None:
        """Raises: TracekitError for a model whose cache cannot be rolled back."""
        self.name, self.adapter = name, adapter
        self.decoder: Decoder = adapter.decoder
        self.words: vocabulary.Words = getattr(adapter, "tokens", None) or adapter.tokenizer
        check(self.decoder, name)

    @property
    def ids(self) -> int:
        """Tokens that the model has."""
        return int(self.decoder.model.config.get_text_config(decoder=True).vocab_size)

    @property
    def bytes_of_weights(self) -> int:
        """Bytes of its parameters, encoder included."""
        counts: Mapping[str, int] = self.adapter.facts.parameters
        return sum(counts.values()) * int(self.decoder.model.dtype.itemsize)


@dataclass(slots=True)
class _Begun:
    """A side in the middle of its stages."""

    side: Side
    sample: Sample
    raw: Any = None
    inputs: Any = None
    tokens: Any = None
    request: Request | None = None

    def take(self, stage: Stage) -> None:
        """One stage more, where the model has it."""
        adapter = self.side.adapter
        match stage:
            case Stage.LOAD:
                self.raw = adapter.load(self.sample)
            case Stage.PREPROCESS:
                self.inputs = adapter.preprocess(self.sample, self.raw)
            case Stage.ENCODE if hasattr(adapter, "encode"):
                self.tokens = adapter.encode(self.inputs)
            case Stage.PREFILL:
                self.request = adapter.prefill(self.inputs, self.tokens)

    @property
    def filled(self) -> Request:
        assert self.request is not None, "prefill comes before rounds"
        return self.request


@dataclass(slots=True, kw_only=True)
class Pair:
    """The adapter of a pair. `draft` is None where the text itself drafts.

    It takes a request by itself, as foreign models do: its stages are those of two models.

    `alone` is the target by itself, of the same weights: what the pair is measured against.
    """

    target: Side
    draft: Side | None
    rule: loop.Rule
    view: Callable[[Sample], Sample]  # a sample as the draft reads it
    translate: bool = False
    shared: vocabulary.Shared | None = field(init=False, default=None)
    _cache_bytes: dict[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Raises: TracekitError where the ids of the two are not the same."""
        if self.draft is not None and not self.translate:
            self.shared = vocabulary.shared(
                self.draft.words, self.draft.ids, self.target.words, self.target.ids
            )

    @property
    def draft_name(self) -> str:
        """As on the command line."""
        return NGRAM if self.draft is None else self.draft.name

    @property
    def alone(self) -> Any:
        """The target's own adapter."""
        return self.target.adapter

    def request(self, sample: Sample, recorder: Recorder) -> State:
        """One sample through the stages of both, the draft's within the target's, and rounds.

        The draft's part of a stage comes second: it is what the pair adds to it.
        """
        target, draft = self._ahead(sample, recorder)
        with recorder.stage(Stage.DECODE):
            return self._decode(target, draft, recorder)

    def tracks(self, sample: Sample, recorder: Recorder) -> tuple[Track, Track | None]:
        """The caches of target and draft as the stages before decode leave them."""
        target, draft = self._ahead(sample, recorder)
        theirs = None if draft is None else Track(draft.side.decoder, draft.filled)
        return Track(self.target.decoder, target.filled), theirs

    def _ahead(self, sample: Sample, recorder: Recorder) -> tuple[_Begun, _Begun | None]:
        target = _Begun(self.target, sample)
        draft = None if self.draft is None else _Begun(self.draft, self.view(sample))
        for stage in (Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE, Stage.PREFILL):
            own = stage is not Stage.ENCODE or hasattr(self.target.adapter, "encode")
            other = draft is not None and (
                stage is not Stage.ENCODE or hasattr(draft.side.adapter, "encode")
            )
            if not own and not other:
                continue
            with recorder.stage(stage):
                if own:
                    target.take(stage)
                if draft is not None and other:
                    with recorder.part(stage.draft_marker):
                        draft.take(stage)
        return target, draft

    def _decode(self, target: _Begun, draft: _Begun | None, recorder: Recorder) -> State:
        request = target.filled
        track = Track(self.target.decoder, request)
        theirs = None if draft is None else Track(draft.side.decoder, draft.filled)
        drafter = self._drafter(target, theirs)
        text = loop.Text([[] for _ in request.ids], [False] * len(request.ids))
        for row, ids in enumerate(request.ids):
            text.append(row, ids, self.rule.most, self.rule.eos)
        loop.run(track, drafter, text, request.next, self.rule, recorder)
        held = {"target": track.bytes} | ({} if theirs is None else {"draft": theirs.bytes})
        self._cache_bytes = {k: max(n, self._cache_bytes.get(k, 0)) for k, n in held.items()}
        tokens = target.tokens
        placed = tuple(getattr(tokens, "shape", ()))
        return State(
            ids=text.ids,
            finished=True,
            prompt_tokens=request.prompt_tokens,
            prompt=request.prompt,
            sensor_tokens=int(placed[1]) if len(placed) == 3 else request.sensor_tokens,
            rounds=text.rounds,
            cache_bytes=held,
            translation=drafter.cost if isinstance(drafter, TranslatedDraft) else None,
        )

    def _drafter(self, target: _Begun, track: Track | None) -> loop.Drafter:
        if self.draft is None or track is None:
            device = self.target.decoder.options.device
            return LookUp(prompt_ids(target.inputs), self.target.ids, device)
        if self.shared is None:
            words = self.draft.words, self.target.words
            return TranslatedDraft(track, *words, self.target.ids)
        return ModelDraft(track, self.shared, self.rule)

    def text(self, state: State) -> list[str]:
        """What was generated, as the target says it."""
        said: list[str] = self.target.adapter.text(state)
        return said

    @property
    def facts(self) -> Facts:
        """The facts of both. `dims` are those of neither: see `about`."""
        own: Facts = self.target.adapter.facts
        other: Facts | None = None if self.draft is None else self.draft.adapter.facts
        both = {"target": own} | ({} if other is None else {"draft": other})
        return Facts(
            model=f"speculative-{self.draft_name}-{self.target.name}",
            size=own.size,
            parameters={f"{side}.{name}": count for side, facts in both.items()
                        for name, count in facts.parameters.items()},
            random_weights=any(facts.random_weights for facts in both.values()),
            dims={"batch_size": own.dims.get("batch_size", 1)},
            tokenizer=own.tokenizer,
            attention=own.attention,
            cache=own.cache,
            options={side: dict(facts.options) for side, facts in both.items()},
            notes=(*self._notes(), *(f"{side}: {note}" for side, facts in both.items()
                                     for note in facts.notes)),
        )  # fmt: skip

    def _notes(self) -> list[str]:
        said = []
        random = self.target.adapter.facts.random_weights or (
            self.draft is not None and self.draft.adapter.facts.random_weights
        )
        if random:
            said.append(
                "with random weights acceptance means nothing: what a round costs is real, how "
                "many of its tokens stay is not"
            )
        if self.shared is not None and self.shared.masked:
            said.append(f"{self.shared.masked} ids of the draft are not the target's, and are "
                        "never proposed")  # fmt: skip
        return said

    def told(self, state: State) -> dict[str, Any]:
        """What the metadata says of a request's rounds, and the cost of translation if any."""
        sides = {"target": self.target} | ({} if self.draft is None else {"draft": self.draft})
        found: dict[str, Any] = {
            "rounds": [asdict(one) for one in state.rounds],
            "memory": {
                name: {"weights": side.bytes_of_weights, "cache": state.cache_bytes[name]}
                for name, side in sides.items()
            },
        }
        if state.translation is not None:
            found["translation"] = asdict(state.translation)
        return found

    def about(self) -> dict[str, Any]:
        """What a trace's metadata says of the pair under `speculative`, requests left out."""
        sides = {"target": self.target} | ({} if self.draft is None else {"draft": self.draft})
        return {
            "draft": self.draft_name,
            "target": self.target.name,
            "gamma": self.rule.gamma,
            "sampling": {"temperature": self.rule.temperature, "top_p": self.rule.top_p},
            "translate": self.translate,
            "shared_ids": None if self.shared is None else sum(self.shared.allowed),
            "masked_ids": None if self.shared is None else self.shared.masked,
            "models": {
                name: {
                    "parameters": dict(side.adapter.facts.parameters),
                    "random_weights": side.adapter.facts.random_weights,
                    "dims": side.adapter.facts.dims,
                    "weight_bytes": side.bytes_of_weights,
                    "cache_bytes": self._cache_bytes.get(name),
                }
                for name, side in sides.items()
            },
        }


def prompt_ids(inputs: Any) -> list[int]:
    """The ids of one row's prompt, of the inputs of any of our models."""
    ids: torch.Tensor = inputs.ids
    return [int(number) for number in ids.reshape(-1, ids.shape[-1])[0].tolist()]
