"""A pair as a model entry: what `tracekit capture speculative` and `bench speculative` run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tracekit.datasets.entry import Recording, Sample
from tracekit.errors import TracekitError, UsageError
from tracekit.models import entry as model_entry
from tracekit.models.entry import BuildOptions, Model
from tracekit.models.shared import build_options
from tracekit.models.speculative.loop import Rule
from tracekit.models.speculative.pair import NGRAM, Pair, Side
from tracekit.taxonomy import Stage

DRAFT = "draft."  # before the name of an option that goes to the draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which models make a pair, and how they work together."""

    draft: str  # as for `tracekit capture`, or NGRAM
    target: str
    gamma: int = 4
    translate: bool = False
    draft_checkpoint: Path | None = None

    @property
    def name(self) -> str:
        """What files of this pair are called."""
        return f"speculative-{self.draft}-{self.target}"


@dataclass(slots=True)
class Built:
    """Models that are built, so that pairs which differ in γ alone share their weights."""

    adapters: dict[object, object] = field(default_factory=dict)

    def get(self, name: str, entry: Model, options: BuildOptions) -> Any:
        """The adapter, built once for equal options."""
        key = (name, repr(options))
        if key not in self.adapters:
            self.adapters[key] = entry.build(options)
        return self.adapters[key]


def pair(asked: Asked, built: Built | None = None) -> Model:
    """The entry of a pair. Sizes are those of the target that the draft has too.

    Raises: TracekitError for an unknown model, one that generates no text, or a γ below 1.
    """
    if asked.gamma < 1:
        raise UsageError("must be at least 1", where=f"--gamma {asked.gamma}", hint="try 4")
    target = _generating(asked.target, "--target")
    draft = None if asked.draft == NGRAM else _generating(asked.draft, "--draft")
    if asked.translate and draft is None:
        raise UsageError(
            "look-up drafts the target's own ids", where="--translate", hint="leave it out"
        )
    both = [target] if draft is None else [target, draft]
    stages = tuple(s for s in Stage if any(s in one.stages for one in both))
    kinds = {one.input for one in both} - {target.input, "text"}
    made = built or Built()

    def parameters(size: str) -> Mapping[str, int]:
        return {
            f"{side}.{name}": count
            for side, one in zip(("target", "draft"), both, strict=False)
            for name, count in _counted(one, size).items()
        }

    return Model(
        title=f"{_short(asked.draft, draft)} drafts for {_short(asked.target, target)}, "
        f"γ = {asked.gamma}",
        input=target.input,
        also=tuple(sorted(kinds)),
        stages=stages,
        sizes={size: asked for size in target.sizes if draft is None or _has(draft, size)},
        build=lambda options: _built(asked, target, draft, options, made),
        parameters=parameters,
        licence="; ".join(dict.fromkeys(one.licence for one in both)),
        weights="",
        source="Leviathan et al. 2023, arXiv 2211.17192; Chen et al. 2023, arXiv 2302.01318",
        default_prompt=target.default_prompt,
        takes=_takes(target, draft),
    )


def alone(asked: Asked, built: Built) -> Model:
    """The entry of the target by itself, of the same weights as the pairs of `built`."""
    target = _generating(asked.target, "--target")

    def build(options: BuildOptions) -> Any:
        return built.get(asked.target, target, _for_target(options, asked))

    return replace(target, build=build, takes=pair(asked).takes)


def _generating(name: str, flag: str) -> Model:
    entry = model_entry.model(model_entry.named(name))
    if Stage.DECODE not in entry.stages:
        raise UsageError(
            "generates no text, and can neither draft nor be drafted for",
            where=f"{flag} {name}",
            hint="choose onellm, llasa, eventgpt or hf:PATH",
        )
    return entry


def _short(name: str, entry: Model | None) -> str:
    return "prompt look-up" if entry is None else entry.title.split(":")[0] or name


def _has(entry: Model, size: str) -> bool:
    """Whether a model has a size; one with a single size has it for each of its target."""
    return size in entry.sizes or len(entry.sizes) == 1


def _counted(entry: Model, size: str) -> Mapping[str, int]:
    own = size if size in entry.sizes else next(iter(entry.sizes))
    return entry.counts.get(own) or entry.parameters(own)


def _takes(target: Model, draft: Model | None) -> dict[str, str]:
    found = dict(target.takes)
    for name, what in ({} if draft is None else draft.takes).items():
        if name != build_options.IGNORE_EOS:  # the target's end is the pair's
            found[DRAFT + name] = f"of the draft: {what}"
    return found


def _for_target(options: BuildOptions, asked: Asked) -> BuildOptions:
    """Rows of a batch that accept much wait for those that accept little, with room behind them."""
    room = asked.gamma + 1 if options.batch_size > 1 else 0
    extra = {k: v for k, v in options.extra.items() if not k.startswith(DRAFT)}
    return replace(options, extra=extra, max_new_tokens=options.max_new_tokens + room)


def _for_draft(options: BuildOptions, asked: Asked, draft: Model) -> BuildOptions:
    extra = {k.removeprefix(DRAFT): v for k, v in options.extra.items() if k.startswith(DRAFT)}
    return replace(
        _for_target(options, asked),
        extra=extra,
        checkpoint=asked.draft_checkpoint,
        size=options.size if options.size in draft.sizes else next(iter(draft.sizes)),
        seed=options.seed + (asked.draft != asked.target),  # random, but not the target's weights
        # two tokenizers may need two lengths for one text, in a cache that has no more room
        max_new_tokens=_for_target(options, asked).max_new_tokens
        + (options.max_new_tokens + 4 * asked.gamma if asked.translate else 1),
    )


def _built(
    asked: Asked, target: Model, draft: Model | None, options: BuildOptions, built: Built
) -> Pair:
    _check(asked, options)
    first = Side(asked.target, built.get(asked.target, target, _for_target(options, asked)))
    _without_effects(first)
    second = None
    if draft is not None:
        theirs = _for_draft(options, asked, draft)
        second = Side(asked.draft, built.get(asked.draft, draft, theirs))
    rule = Rule(
        gamma=asked.gamma,
        most=options.max_new_tokens,
        eos=first.decoder.eos,
        temperature=options.temperature,
        top_p=options.top_p,
    )
    question = options.prompt or target.default_prompt
    return Pair(
        target=first,
        draft=second,
        rule=rule,
        view=_view(target, draft, question),
        translate=asked.translate,
    )


def _check(asked: Asked, options: BuildOptions) -> None:
    if options.compile:
        raise UsageError("a pair's passes are not compiled", where="--compile", hint="leave it out")
    if not asked.translate:
        return
    if options.batch_size > 1:
        raise UsageError(
            "text is translated for one row", where="--translate", hint="use --batch-size 1"
        )


def _without_effects(target: Side) -> None:
    """Raises: TracekitError for a target whose logits its folder changes token by token."""
    effects = getattr(target.decoder, "effects", None)
    if effects is not None and effects.applied:
        raise TracekitError(
            "its generation configuration changes the logits of each token "
            f"({', '.join(effects.applied)}), which a pass over several tokens cannot follow",
            where=target.name,
            hint="capture it alone, or take these fields out of generation_config.json",
        )


def _view(target: Model, draft: Model | None, question: str) -> Callable[[Sample], Sample]:
    """A sample of the target's as the draft reads it."""
    if draft is None or draft.input == target.input:
        return lambda sample: sample
    if draft.input == "text":  # of a sensor a language model reads the question alone
        return lambda sample: asked_in_words(sample, question)

    def other(sample: Sample) -> Sample:
        if draft.input not in sample.also:
            raise TracekitError(
                f"holds no {draft.input}, which the draft reads",
                where=sample.id,
                hint="`tracekit datasets` lists which data sets hold both",
            )
        return sample.also[draft.input]

    return other


def asked_in_words(sample: Sample, question: str) -> Sample:
    """The question of a sample, as a sample of text."""
    words = sample.prompt or question
    return replace(
        sample, read=lambda: words, parse=lambda raw: Recording(kind="text", text=str(raw)),
        prompt=words,
    )  # fmt: skip
