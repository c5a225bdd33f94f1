"""What a captured trace says of itself: the object under `tracekit` in it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tracekit.capture import metadata
from tracekit.capture.plan import Plan
from tracekit.capture.profiling import Profiling
from tracekit.capture.recorder import Request

if TYPE_CHECKING:
    from tracekit.datasets.entry import Recording, Sample
    from tracekit.models.entry import Facts


def describe(
    plan: Plan,
    profiling: Profiling,
    adapter: Any,
    samples: Sequence[Sample],
    unprofiled: Sequence[Request],
    profiled: Sequence[Request],
    interrupted: bool,
) -> dict[str, Any]:
    """The object under `tracekit` in the trace; docs/metadata.md defines every key."""
    facts, options = adapter.facts, plan.options
    first = profiled[0]
    return {
        "schema": metadata.SCHEMA,
        "model": metadata.tidy(facts.model),
        "size": facts.size,
        "title": plan.model.title,
        "stages": [stage.value for stage in plan.model.stages],
        "absent_stages": metadata.absent(plan.model.stages),
        "dtype": options.dtype,
        "device": metadata.device(options.device),
        "versions": metadata.versions(),
        "parameters": dict(facts.parameters),
        "dims": metadata.scrub(facts.dims),
        "random_weights": facts.random_weights,
        "tokenizer": metadata.tidy(facts.tokenizer),
        "tokens": token_counts(facts, profiled),
        "prompt": first.prompt or options.prompt,
        "sampling": {"temperature": options.temperature, "top_p": options.top_p},
        "seed": options.seed,
        "attention": facts.attention,
        "cache": facts.cache,
        "compile": options.compile,
        "batch_size": options.batch_size,
        "schedule": {
            "samples": plan.samples,
            "warmup": plan.warmup,
            "max_new_tokens": options.max_new_tokens,
        },
        "options": {
            "record_shapes": profiling.record_shapes,
            "with_stack": profiling.with_stack,
            "profile_memory": profiling.profile_memory,
            "sync": plan.sync,
        },
        "model_options": metadata.scrub({**facts.options, **options.extra}),
        "checkpoint": options.checkpoint.name if options.checkpoint else None,
        "data": about_data(plan, samples[: len(profiled)]),
        "command": metadata.command(),
        "unprofiled": {"samples": [one.to_json() for one in unprofiled]},
        "profiled": {"samples": [one.to_json() for one in profiled]},
        "notes": [metadata.tidy(note) for note in facts.notes],
        "text": [list(one.text) for one in profiled],
        "interrupted": interrupted,
    }


def token_counts(facts: Facts, requests: Sequence[Request]) -> dict[str, Any]:
    """Tokens of each row of a request, prompt + sensor + tags = prefill; None for what it lacks or
    what differs between requests.

    `sensor` are those that encode made; `tags` are positions that the model itself puts around
    them and that are no text, as OneLLM does (`dims.prefill.tag_tokens`).
    """
    first = requests[0]
    alike = all(one.sensor_tokens == first.sensor_tokens for one in requests)
    same = all(one.prefill_tokens == first.prefill_tokens for one in requests)
    prefill = first.prefill_tokens if same else None
    sensor = first.sensor_tokens if alike else None
    planned = facts.dims.get("prefill")
    tags = planned.get("tag_tokens", 0) if isinstance(planned, Mapping) else 0
    if prefill is None or sensor is None:
        tags = None
    return {
        "prompt": None if prefill is None or not alike else prefill - (sensor or 0) - (tags or 0),
        "sensor": sensor,
        "tags": tags,
        "prefill": prefill,
        "prefill_each": [one.prefill_tokens for one in requests],
        "generated": [one.tokens for one in requests],
    }


def watched(
    samples: Sequence[Sample],
) -> tuple[list[Sample], dict[str, dict[str, None]]]:
    """The same samples, and the repairs of each by its id, which fill as samples are parsed.

    Those of what another sensor saw begin with its kind.
    """
    found: dict[str, dict[str, None]] = {}

    def one(sample: Sample, of: str, kind: str = "") -> Sample:
        def parse(raw: Any) -> Recording:
            recording = sample.parse(raw)
            folder = f"{sample.path.parent}{os.sep}"  # it is nobody else's business
            said = (kind + what.replace(folder, "") for what in recording.repairs)
            found.setdefault(of, {}).update(dict.fromkeys(said))
            return recording

        also = {name: one(view, of, f"{name}: ") for name, view in sample.also.items()}
        return replace(sample, parse=parse, also=also)

    return [one(sample, sample.id) for sample in samples], found


def repaired(ids: Sequence[str], found: Mapping[str, Iterable[str]]) -> list[dict[str, Any]] | None:
    """What was mended or derived, and in which of the samples; None where none was parsed."""
    if not any(one in found for one in ids):
        return None
    where: dict[str, list[str]] = {}
    for one in dict.fromkeys(ids):
        for what in found.get(one, ()):
            where.setdefault(metadata.tidy(what), []).append(one)
    return [{"what": what, "samples": which} for what, which in where.items()]


def about_data(plan: Plan, samples: Sequence[Sample]) -> dict[str, object]:
    """What was fed in: ids and facts of the samples, no paths beyond what the user typed."""
    return {
        "spec": metadata.tidy(plan.data),
        "dataset": samples[0].dataset,
        "synthetic": all(sample.synthetic for sample in samples),
        "samples": [sample.id for sample in samples],
        "licence": samples[0].licence,
    }
