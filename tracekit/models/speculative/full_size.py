"""A pair at full size without its weights: memory, least times of each pass, and the break-even.

Models are built on torch's `meta` device. A least time (floor) is the larger of FLOPs over the peak
and bytes over the memory bandwidth of a device's datasheet: no run is faster, and small passes are
slower by what launching their kernels takes. What follows of floors is a prediction, no
measurement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekit.attribution.roofline import model_bounds, speculative_law
from tracekit.attribution.roofline.devices import Device, datasheet
from tracekit.errors import UsageError
from tracekit.models import entry as model_entry
from tracekit.models.entry import QUESTION, BuildOptions
from tracekit.models.shared import checkpoints
from tracekit.models.shared.decoder import shape
from tracekit.models.shared.decoder.network import llama
from tracekit.results.result import Column, Grid

TINYLLAMA: Mapping[str, object] = {  # TinyLlama 1.1B, Zhang et al. 2024, arXiv 2401.02385, table 2
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
}
SHAPES: Mapping[str, Mapping[str, object]] = {"tinyllama": TINYLLAMA}
ON = ("H100 SXM", "A100 SXM 80 GB", "L40S")
NEW = 256  # tokens generated
GAMMAS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class One:
    """A model of the pair. Bytes are of one row."""

    name: str
    parameters: int
    weight_bytes: int
    prompt: int  # positions that prefill fills
    cache_bytes: int  # of prompt and text, at the end
    llm: model_bounds.Llm
    ahead: tuple[tuple[int, int], ...]  # FLOPs and bytes of encode and prefill


@dataclass(frozen=True, slots=True)
class OnDevice:
    """Floors of one device, in ns, in the middle of the text; costs are in steps of the target."""

    device: str
    target_step_ns: float
    draft_step_ns: float
    target_ahead_ns: float  # encode and prefill
    draft_ahead_ns: float
    c: float
    verify: Mapping[int, float]  # by positions, over the target's step
    break_even: Mapping[int, float | None]  # by γ; None: no acceptance pays


@dataclass(frozen=True, slots=True)
class FullSize:
    """A pair in one dtype, and what the devices' datasheets allow it at best."""

    draft: One
    target: One
    dtype: str
    new: int  # tokens generated
    devices: tuple[OnDevice, ...]

    @property
    def bytes(self) -> int:
        """Weights and caches of both, of one row; activations are not counted."""
        return sum(one.weight_bytes + one.cache_bytes for one in (self.draft, self.target))


def full_size(
    draft: str = "eventgpt",
    target: str = "onellm",
    *,
    dtype: str = "bfloat16",
    new: int = NEW,
    gammas: Sequence[int] = GAMMAS,
    devices: Sequence[str] = ON,
) -> FullSize:
    """The pair as published; a draft may be the shape `tinyllama`.

    Raises: TracekitError for an unknown model or device.
    """
    first, second = _one(target, dtype, new), _one(draft, dtype, new)
    return FullSize(
        draft=second,
        target=first,
        dtype=dtype,
        new=new,
        devices=tuple(_on(datasheet(name), second, first, dtype, new, gammas) for name in devices),
    )


def _one(name: str, dtype: str, new: int) -> One:
    if name in SHAPES:
        model: Any = llama(SHAPES[name])
        dims: dict[str, Any] = {"llm": shape.dims(model.config, dtype, shape.read_per_pass(model))}
        count, prompt, sensor = checkpoints.count(model), QUESTION, None
    else:
        options = BuildOptions(size="full", device="meta", dtype=dtype, max_new_tokens=new)
        entry = model_entry.model(model_entry.named(name))
        facts = entry.build(options).facts
        dims, count = dict(facts.dims), sum(facts.parameters.values())
        filled = dims.get("prefill", {})
        # of the published tokenizer, which is not here: a stand-in counts otherwise
        known = entry.description.prompt_tokens if entry.description is not None else None
        prompt = known or int(filled.get("tokens", QUESTION))
        sensor = filled.get("sensor_tokens")
    meta = {
        "dims": dims, "dtype": dtype, "batch_size": 1,
        "tokens": {"prefill": prompt, "sensor": sensor, "generated": [1]},
    }  # fmt: skip
    llm = model_bounds.llm_of(meta)
    if llm is None:
        raise UsageError("its shape is not known", where=name, hint="choose onellm, llasa …")
    ahead = [one for need in model_bounds.stated(meta) for one in need.passes
             if need.stage in ("encode", "prefill")]  # fmt: skip
    return One(
        name=name,
        parameters=count,
        weight_bytes=count * checkpoints.bytes_per_value(dtype),
        prompt=prompt,
        cache_bytes=llm.kept_bytes(prompt + new),
        llm=llm,
        ahead=tuple(ahead),
    )


def _on(
    device: Device, draft: One, target: One, dtype: str, new: int, gammas: Sequence[int]
) -> OnDevice:
    def floor(work: tuple[int, int]) -> float:
        flops, moved = work
        return 1e9 * max(flops / device.flops[dtype], moved / device.memory_bytes_per_s)

    def passed(one: One, width: int) -> float:
        """A pass over so many positions behind the middle of the text."""
        context = one.prompt + new // 2
        return floor(model_bounds.pass_over(one.llm, context + 1, context + width))

    step, drafted = passed(target, 1), passed(draft, 1)
    verify = {gamma + 1: passed(target, gamma + 1) / step for gamma in gammas}
    costs = speculative_law.Costs(draft=drafted / step, verify=verify)
    return OnDevice(
        device=device.name,
        target_step_ns=step,
        draft_step_ns=drafted,
        target_ahead_ns=sum(map(floor, target.ahead)),
        draft_ahead_ns=sum(map(floor, draft.ahead)),
        c=costs.draft,
        verify=verify,
        break_even={gamma: speculative_law.break_even(gamma, costs) for gamma in gammas},
    )


MEMORY = (
    Column("model", "text"),
    Column("parameters", "count"),
    Column("weights", "bytes"),
    Column("prompt", "count", "Positions that prefill fills."),
    Column("cache", "bytes", "Keys and values of prompt and text, one row."),
)


def memory_grid(found: FullSize) -> Grid:
    """Parameters, weights and caches of both models."""
    rows = [
        (f"{role}: {one.name}", one.parameters, one.weight_bytes, one.prompt, one.cache_bytes)
        for role, one in (("target", found.target), ("draft", found.draft))
    ]
    total = ("both", sum(row[1] for row in rows), sum(row[2] for row in rows), None,
             sum(row[4] for row in rows))  # fmt: skip
    title = f"Memory of {found.draft.name} and {found.target.name}, {found.dtype}"
    note = "activations, the encoders' intermediate results and the allocator are not counted"
    return Grid("memory", title, MEMORY, rows, note=note, total=total)


AHEAD = (
    Column("device", "text"),
    Column("target", "ns", "Floor of its encode and prefill."),
    Column("draft", "ns", "Floor of its encode and prefill, which run beside them, in turn."),
    Column("draft / target", "number"),
)


def ahead_grid(found: FullSize) -> Grid:
    """What both models do before the first round, at least, on each device."""
    rows = [
        (one.device, one.target_ahead_ns, one.draft_ahead_ns,
         one.draft_ahead_ns / one.target_ahead_ns)
        for one in found.devices
    ]  # fmt: skip
    note = "floors of encode and prefill; preprocessing is the host's, and not counted"
    return Grid("ahead", "Before the first round", AHEAD, rows, note=note)


COLUMNS = (
    Column("device", "text"),
    Column("γ", "count"),
    Column("target step", "ns", "Floor of one decode step of the target, in mid-text."),
    Column("draft step", "ns", "Floor of one decode step of the draft."),
    Column("c", "number", "Draft step over target step."),
    Column("verify / step", "number", "Floor of γ + 1 positions of the target over one."),
    Column("break-even α", "text", "Least chance of a draft token to be kept at which rounds cost "
           "no more than the steps they save."),
    Column("at most", "number", "Speed-up of decode if every draft token stays."),
)  # fmt: skip


def grid(found: FullSize) -> Grid:
    """A row a device and γ: floors, c, verify over a step, the break-even acceptance."""
    rows = [
        (
            one.device, gamma, one.target_step_ns, one.draft_step_ns, one.c,
            one.verify[gamma + 1], "none" if least is None else f"{least:.2f}",
            (gamma + 1) / (gamma * one.c + one.verify[gamma + 1]),
        )
        for one in found.devices
        for gamma, least in one.break_even.items()
    ]  # fmt: skip
    note = (
        f"predicted from datasheets in {found.dtype}, one row, {found.target.prompt} positions of "
        f"the target's prompt and {found.draft.prompt} of the draft's, {found.new} new tokens; "
        "nothing was run; none: even if every draft token stays, rounds cost more than they save"
    )
    title = f"{found.draft.name} drafts for {found.target.name} at full size"
    return Grid("full_size", title, COLUMNS, rows, note=note)
