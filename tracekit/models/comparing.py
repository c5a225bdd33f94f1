"""Models side by side: what they are, the least time that devices need for them, and their pairs.

Floors are what a device needs at least (`model_bounds`): no model runs faster, most run slower.
What a pair could gain is computed from these floors, so that it is the most that its sizes allow,
on a device that does nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekit import extras
from tracekit.attribution.roofline import devices, model_bounds, speculative_law
from tracekit.attribution.roofline.devices import Device
from tracekit.attribution.roofline.model_bounds import Llm, Need
from tracekit.attribution.roofline.speculative_law import Costs
from tracekit.attribution.roofline.utilization import least
from tracekit.errors import UsageError
from tracekit.models import entry as model_entry
from tracekit.models.entry import Description, Model, Vocabulary

DEVICES = ("H100 SXM", "A100 SXM 80 GB", "L40S")
GAMMAS = (1, 2, 4, 8)
TOKENS = 128  # that a request generates


@dataclass(frozen=True, slots=True)
class Floor:
    """The least that one device needs for one request, in ns; None: not known."""

    device: str
    encode_ns: float | None
    prefill_ns: float | None
    step_ns: float | None  # one token of decode, in the middle of the answer


@dataclass(frozen=True, slots=True)
class Measured:
    """What a benchmark or a capture measured, in ns; None: not measured."""

    source: str  # the file
    device: str
    dtype: str
    size: str
    encode_ns: float | None
    prefill_ns: float | None
    step_ns: float | None  # TPOT
    random_weights: bool | None


@dataclass(frozen=True, slots=True)
class Row:
    """One model, of its published size."""

    name: str
    title: str
    input: str
    encoder: str | None
    decoder: str | None  # None: it has none
    vocabulary: Vocabulary | None
    trained_on: str | None
    parameters: Mapping[str, int]
    weight_bytes: int
    cache_bytes_per_token: int | None
    prompt_tokens: int | None
    floors: tuple[Floor, ...]
    measured: tuple[Measured, ...]

    @property
    def total(self) -> int:
        return sum(self.parameters.values())


@dataclass(frozen=True, slots=True)
class Gain:
    """What one draft length allows at most."""

    gamma: int
    verify: float  # over the target's step
    break_even: float | None
    all_accepted: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """A pair on one device, by its floors."""

    device: str
    c: float  # draft step over target step
    gains: tuple[Gain, ...]
    ahead_ns: float | None  # encode and prefill of the draft
    target_ahead_ns: float | None
    tokens_to_pay: int | None  # of an answer, every draft accepted, until what is ahead has paid


@dataclass(frozen=True, slots=True)
class Pair:
    """A draft for a target whose ids it shares."""

    draft: str
    target: str
    shared_ids: int
    weight_bytes: int  # of both
    cache_bytes: int | None  # of both, at the end of a request
    outlooks: tuple[Outlook, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Models, and the pairs among them that can draft for one another."""

    dtype: str
    tokens: int  # that a request generates
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]


def compare(
    names: Sequence[str], *, dtype: str = "bfloat16", on: Sequence[str] = DEVICES,
    tokens: int = TOKENS, measured: Mapping[str, Sequence[Measured]] | None = None,
) -> Comparison:  # fmt: skip
    """The models of these names. `measured` is by the name of the model.

    Raises: TracekitError for an unknown model or device, and without torch.
    """
    extras.need("capture", "torch", where="comparing models")
    specs = [devices.datasheet(name) for name in on]
    size = devices.BYTES.get(dtype)
    if size is None:
        raise UsageError("there is no such dtype", where=dtype, hint=", ".join(devices.BYTES))
    known = list(dict.fromkeys(map(model_entry.named, names)))
    found = [_Sized(name, model_entry.model(name), dtype, size, tokens) for name in known]
    given = measured or {}
    return Comparison(
        dtype, tokens, tuple(one.row(specs, given.get(one.name, ())) for one in found),
        tuple(_pairs(found, specs)),
    )  # fmt: skip


class _Sized:
    """One model with its dimensions, counted on `meta`."""

    def __init__(self, name: str, entry: Model, dtype: str, size: int, tokens: int) -> None:
        self.name, self.entry, self.dtype, self.size = name, entry, dtype, size
        self.tokens = tokens
        self.about = entry.description or Description(encoder="")
        largest = "full" if "full" in entry.sizes else next(iter(entry.sizes))
        counts = entry.counts[largest] if largest in entry.counts else entry.parameters(largest)
        self.parameters = dict(counts)
        self.dims: Mapping[str, Any] = self.about.dims(dtype) if self.about.dims else {}
        self.llm: Llm | None = model_bounds.llm_of({"dims": self.dims})

    @property
    def weight_bytes(self) -> int:
        return sum(self.parameters.values()) * self.size

    def row(self, specs: Sequence[Device], measured: Sequence[Measured]) -> Row:
        return Row(
            name=self.name, title=self.entry.title, input=self.entry.input,
            encoder=self.about.encoder or None, decoder=self.about.decoder or None,
            vocabulary=self.about.vocabulary, trained_on=self.about.trained_on or None,
            parameters=self.parameters, weight_bytes=self.weight_bytes,
            cache_bytes_per_token=None if self.llm is None
            else self.llm.kept_bytes(2) - self.llm.kept_bytes(1),
            prompt_tokens=self.about.prompt_tokens,
            floors=tuple(self.floor(spec) for spec in specs), measured=tuple(measured),
        )  # fmt: skip

    def floor(self, spec: Device) -> Floor:
        needs = {need.stage: need for need in self._needs()}
        return Floor(
            spec.name, _ns(needs.get("encode"), spec), _ns(needs.get("prefill"), spec),
            self.step(spec, 1),
        )  # fmt: skip

    def _needs(self) -> tuple[Need, ...]:
        tokens = {"prefill": self.about.prompt_tokens, "generated": [1]}
        return model_bounds.stated(
            {"dims": self.dims, "dtype": self.dtype, "batch_size": 1, "tokens": tokens}
        )

    def step(self, spec: Device, length: int) -> float | None:
        """ns of a pass over so many positions behind the middle of an answer; None: not known."""
        if self.llm is None:
            return None
        context = (self.about.prompt_tokens or 0) + self.tokens // 2
        done, moved = model_bounds.pass_over(self.llm, context + 1, context + length)
        return _least(done, moved, spec, self.dtype)

    def cache_bytes(self) -> int | None:
        if self.llm is None or self.about.prompt_tokens is None:
            return None
        return self.llm.kept_bytes(self.about.prompt_tokens + self.tokens)


def _ns(need: Need | None, spec: Device) -> float | None:
    if need is None:
        return None
    parts = [_least(done, moved, spec, need.dtype) for done, moved in need.passes]
    known = [ns for ns in parts if ns is not None]
    return sum(known) if len(known) == len(parts) else None


def _least(done: int, moved: int, spec: Device, dtype: str) -> float | None:
    peak = spec.flops.get(dtype)
    return None if peak is None else least(done, moved, peak, spec.memory_bytes_per_s)[0]


def _pairs(found: Sequence[_Sized], specs: Sequence[Device]) -> Iterator[Pair]:
    """Every model as draft of every other whose ids it shares."""
    for target in found:
        for draft in found:
            theirs, ours = draft.about.vocabulary, target.about.vocabulary
            if draft is target or draft.llm is None or target.llm is None:
                continue
            shared = ours.shared(theirs) if ours is not None and theirs is not None else 0
            if shared:
                kept = [draft.cache_bytes(), target.cache_bytes()]
                known = [one for one in kept if one is not None]
                outlooks = [_outlook(draft, target, spec) for spec in specs]
                yield Pair(
                    draft.name, target.name, shared, draft.weight_bytes + target.weight_bytes,
                    sum(known) if len(known) == 2 else None,
                    tuple(one for one in outlooks if one is not None),
                )  # fmt: skip


def _outlook(draft: _Sized, target: _Sized, spec: Device) -> Outlook | None:
    step, ours = draft.step(spec, 1), target.step(spec, 1)
    if step is None or ours is None:
        return None
    passes = {g + 1: target.step(spec, g + 1) for g in GAMMAS}
    costs = Costs(step / ours, {n: ns / ours for n, ns in passes.items() if ns is not None})
    gains = tuple(
        Gain(
            g, costs.verifying(g + 1), speculative_law.break_even(g, costs),
            speculative_law.speedup(1.0, g, costs),
        )
        for g in GAMMAS
    )  # fmt: skip
    ahead, own = (_ahead(one.floor(spec)) for one in (draft, target))
    best = max(gain.all_accepted for gain in gains)
    pays = None
    if ahead is not None and best > 1:
        pays = 1 + -int(-ahead // (ours * (1 - 1 / best)))
    return Outlook(spec.name, costs.draft, gains, ahead, own, pays)


def _ahead(floor: Floor) -> float | None:
    if floor.encode_ns is None and floor.prefill_ns is None:
        return None
    return (floor.encode_ns or 0.0) + (floor.prefill_ns or 0.0)
