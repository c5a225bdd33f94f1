"""What a capture of a draft and a target says of its requests: docs/metadata.md, `speculative`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from tracekit.capture import metadata
from tracekit.capture.recorder import Request
from tracekit.results.result import Column, Grid
from tracekit.taxonomy import Stage

FIRST = (Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE, Stage.PREFILL)

COLUMNS = (
    Column("", "text"),
    Column("pair", "ns", "Unprofiled, mean over the samples."),
    Column("target alone", "ns", "The same samples in turns with the pair, unprofiled."),
    Column("alone / pair", "number", "Above 1 the pair is faster."),
)


def described(
    pair: Any,
    tokens: Mapping[str, Any],
    unprofiled: Sequence[Request],
    profiled: Sequence[Request],
    alone: Sequence[Request],
) -> dict[str, Any]:
    """`speculative`, with an entry in `requests` for each profiled request, and `tokens`.

    The stages are those of two models: what `tokens` says of the target's prompt is said beside it.
    """
    about = metadata.scrub(pair.about())
    greedy = about["sampling"]["temperature"] == 0
    requests = [
        {
            "sample": run.sample,
            **same_text(run, plain, target, greedy),
            "alone": {**target.to_json(), "tokens": target.tokens},
            "draft_stages": draft_stages(plain),
            **{key: said for key, said in run.told.items() if key != "memory"},
        }
        for plain, run, target in zip(unprofiled, profiled, alone, strict=False)
    ]
    about["models"]["target"]["tokens"] = dict(tokens)
    no_prompt = {key: None for key in tokens if key != "generated"}
    return {
        "speculative": {**about, "requests": requests},
        "tokens": {**tokens, **no_prompt, "prefill_each": [None] * len(profiled)},
    }


def same_text(run: Request, plain: Request, target: Request, greedy: bool) -> dict[str, object]:
    """Whether both runs of the pair gave the target's tokens, and the first place where not.

    Sampled text need not be the same: the two draw at different moments.
    """
    if not greedy:
        return {"same_as_target": None, "differs_at": None}
    places = [
        n
        for one in (run, plain)
        for ours, theirs in zip(one.ids, target.ids, strict=True)
        if (n := _differs(ours, theirs)) is not None
    ]
    return {"same_as_target": not places, "differs_at": min(places, default=None)}


def _differs(ours: Sequence[int], theirs: Sequence[int]) -> int | None:
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return number
    return None if len(ours) == len(theirs) else min(len(ours), len(theirs))


def draft_stages(one: Request) -> dict[str, int]:
    """ns of the draft's own stages, by stage; they lie within the target's."""
    return {s.value: one.parts[s.draft_marker] for s in Stage if s.draft_marker in one.parts}


def ttft(one: Request) -> int:
    """ns to the first token, the draft's stages of a pair included."""
    return sum(one.stages.get(stage, 0) for stage in FIRST)


def tpot(one: Request) -> float | None:
    """ns for each token after the first; None where there is no other."""
    return one.stages[Stage.DECODE] / (one.tokens - 1) if one.tokens > 1 else None


def against_alone(unprofiled: Sequence[Request], alone: Sequence[Request]) -> Grid:
    """TTFT, TPOT and the whole request of the pair beside those of its target alone."""
    rows: list[tuple[str, float | None, float | None, float | None]] = []
    for name, measure in (("TTFT", ttft), ("TPOT", tpot), ("request", lambda one: one.wall)):
        ours, theirs = (_mean([measure(one) for one in some]) for some in (unprofiled, alone))
        ratio = theirs / ours if ours and theirs is not None else None
        rows.append((name, ours, theirs, ratio))
    drafted = [round_ for one in unprofiled for round_ in one.told.get("rounds", ())]
    made, kept = (sum(r[k] for r in drafted) for k in ("drafted", "accepted"))
    share = f"{kept / made:.0%}" if made else "none"
    note = (
        f"TTFT counts the draft's stages, which run after the target's own; {kept} of {made} draft "
        f"tokens accepted ({share}) in {len(drafted)} rounds"
    )
    return Grid("pair", "The pair and its target alone", COLUMNS, rows, note=note)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
