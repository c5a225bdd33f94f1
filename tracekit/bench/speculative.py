"""Pairs of a draft and a target against the target alone: requests in turns, costs of passes."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from statistics import fmean, median
from typing import Any

from tracekit import extras
from tracekit.bench import file, plots, statistics, timing
from tracekit.bench.runner import Done
from tracekit.bench.timing import Config, Outcome
from tracekit.capture import pairs
from tracekit.capture import plan as planning
from tracekit.capture.plan import Plan, Progress, quiet
from tracekit.capture.recorder import Recorder, Request
from tracekit.files import free
from tracekit.models.speculative.entry import Asked, Built, alone, pair
from tracekit.models.speculative.pair import Pair
from tracekit.models.speculative.track import Track
from tracekit.records import dataclass
from tracekit.results.result import Column, Grid
from tracekit.taxonomy import Stage

ALONE = "target alone"
WARM, TIMES = 5, 40  # passes of each kind that nobody times, and that are timed
RANDOM = (
    "random weights: acceptance, and all that rests on it, means nothing; what passes cost is real"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Pairs of one target. `plan` are arguments of `plan.plan`."""

    target: str
    drafts: Sequence[str]
    gammas: Sequence[int]
    plan: Mapping[str, Any]
    translate: bool = False
    draft_checkpoint: Path | None = None
    output: Path | None = None
    samples: Sequence[Any] | None = None  # stand in for the plan's data

    def asked(self) -> list[Asked]:
        """Each pair, γ fastest."""
        return [
            Asked(draft=draft, target=self.target, gamma=gamma, translate=self.translate,
                  draft_checkpoint=self.draft_checkpoint)
            for draft, gamma in itertools.product(self.drafts, self.gammas)
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Costs:
    """Median ns of single passes, in turns, the device synchronised after each."""

    target_step: float
    draft_step: float | None  # None where the text itself drafts
    verify: Mapping[int, float] = field(default_factory=dict)  # by positions

    @property
    def c(self) -> float | None:
        """Draft step over target step."""
        return None if self.draft_step is None else self.draft_step / self.target_step


def run(wanted: Wanted, progress: Progress = quiet) -> Done:
    """The benchmark: its file written, its tables made.

    The target alone and all pairs take turns over the same samples, and share their weights.

    Raises: TracekitError for what cannot be run, read or written.
    """
    extras.need("capture", "torch", "transformers", where="speculative")
    asked, built = wanted.asked(), Built()
    configs = _configs(wanted, asked, built)
    path = wanted.output or free(file.default_path(configs[:1]))
    outcomes = timing.bench(configs, samples=wanted.samples, progress=progress)
    content = file.document(outcomes)
    costs = _all_costs(configs, built, wanted, progress)
    content["speculative"] = told = _told(wanted, asked, outcomes, costs)
    path = file.save(content, path, asked=wanted.output is not None)
    failed = not outcomes[0].requests or not any(o.requests for o in outcomes[1:])
    grids = [] if failed else [requests_grid(told), costs_grid(told)]
    why = configs[0].plan.why
    return Done(content, why, grids, plots.charts(content), {"JSON": path}, [], failed)


def _configs(wanted: Wanted, asked: Sequence[Asked], built: Built) -> list[Config]:
    """The target alone, then each pair; all read the same samples."""
    models = [pair(one, built) for one in asked]
    also = tuple(sorted({kind for model in models for kind in model.also}))
    own = dataclasses.replace(alone(asked[0], built), also=also)
    shared: set[str] = set()
    name = "-".join(["speculative", *wanted.drafts, wanted.target])
    found = [_config(name, own, wanted, {"draft": ALONE})]
    for one, model in zip(asked, models, strict=True):
        if one.draft in shared:  # its weights are counted with the first of its pairs
            model = dataclasses.replace(model, weight_bytes=lambda _size, _dtype: 0)
        shared.add(one.draft)
        model = dataclasses.replace(model, also=also)
        found.append(_config(one.name, model, wanted, {"draft": one.draft, "gamma": one.gamma}))
    return found


def _config(name: str, model: Any, wanted: Wanted, axes: Mapping[str, Any]) -> Config:
    plan = planning.plan(name, model=model, **wanted.plan)
    return Config(timing.with_fixed_length(plan), axes)


# ---------------------------------------------------------------- what single passes cost


def _all_costs(
    configs: Sequence[Config], built: Built, wanted: Wanted, progress: Progress
) -> dict[str, Costs]:
    """Of each draft, measured with its longest drafts; the models are there already."""
    found: dict[str, Costs] = {}
    with tempfile.TemporaryDirectory(prefix="tracekit-") as folder:
        plan = configs[0].plan
        [sample, *_] = wanted.samples or planning.feed(plan, Path(folder))
        for config in configs[1:]:
            draft, gamma = str(config.axes["draft"]), int(config.axes["gamma"])
            if draft in found or gamma != max(wanted.gammas):
                continue
            progress(f"timing passes: {draft}", 0, None)
            adapter: Pair = config.plan.model.build(config.plan.options)
            found[draft] = costs(adapter, sample, config.plan, sorted({1, *wanted.gammas}))
    return found


def costs(adapter: Pair, sample: Any, plan: Plan, gammas: Sequence[int]) -> Costs:
    """One position of each model, and γ + 1 of the target, behind the sample's prompt.

    A pass and the choice of its tokens are timed; what it left in the cache is rolled back untimed.
    """
    import torch

    wait = planning.synchroniser(plan.options.device) or (lambda: None)
    with planning.current(plan.options.device), torch.inference_mode():
        target, draft = adapter.tracks(sample, Recorder(mark=False))
        widths = [gamma + 1 for gamma in gammas if gamma < plan.options.max_new_tokens]
        calls = {"target": _pass(target, 1, wait)}
        calls |= {f"verify {width}": _pass(target, width, wait) for width in widths}
        if draft is not None:
            calls["draft"] = _pass(draft, 1, wait)
        taken = _in_turns(calls)
    verify = {width: taken[f"verify {width}"] for width in widths}
    return Costs(taken["target"], taken.get("draft"), verify)


def _pass(track: Track, width: int, wait: Callable[[], None]) -> Callable[[], int]:
    """Times one pass over `width` positions, and forgets them."""
    import torch

    rows, device = len(track.lengths), track.decoder.options.device
    ids = torch.ones((rows, width), dtype=torch.long, device=device)

    def call() -> int:
        wait()
        begin = time.perf_counter_ns()
        track.feed(ids, keep=1 if width == 1 else 0).argmax(dim=-1)
        wait()
        taken = time.perf_counter_ns() - begin
        track.settle(track.lengths)
        return taken

    return call


def _in_turns(calls: Mapping[str, Callable[[], int]]) -> dict[str, float]:
    """Median ns of each, called again and again in turns."""
    taken: dict[str, list[int]] = {name: [] for name in calls}
    for turn in range(WARM + TIMES):
        for name, call in calls.items():
            ns = call()
            if turn >= WARM:
                taken[name].append(ns)
    return {name: median(values) for name, values in taken.items()}


# ---------------------------------------------------------------- what the file says


def _told(
    wanted: Wanted, asked: Sequence[Asked], outcomes: Sequence[Outcome], costs_: Mapping[str, Costs]
) -> dict[str, Any]:
    own, *others = outcomes
    random = any(o.facts is not None and o.facts.random_weights for o in outcomes)
    return {
        "target": wanted.target,
        "random_weights": random,
        "note": RANDOM if random else None,
        "alone": _figures(own.requests) if own.requests else None,
        "rows": [
            _row(one, outcome, own, costs_.get(one.draft))
            for one, outcome in zip(asked, others, strict=True)
        ],
    }


def _row(one: Asked, outcome: Outcome, own: Outcome, costs_: Costs | None) -> dict[str, Any]:
    """A pair and γ: its figures, each against the target alone, and what its passes cost."""
    row: dict[str, Any] = {"draft": one.draft, "gamma": one.gamma, "error": outcome.error}
    if not outcome.requests or not own.requests:
        return row
    ours, theirs = _figures(outcome.requests), _figures(own.requests)
    row |= {
        **ours,
        "ttft_over_alone": _ratio(ours["ttft_ns"], theirs["ttft_ns"]),
        "tpot_speedup": _ratio(theirs["tpot_ns"], ours["tpot_ns"]),
        "request_speedup": _ratio(theirs["request_ns"], ours["request_ns"]),
        "decode_speedup": _speedup(outcome.requests, own.requests),
        **_rounds(outcome.requests),
        "same_as_target": _same(outcome, own),
        "draft_ahead_ns": fmean(sum(pairs.draft_stages(r).values()) for r in outcome.requests),
        "memory": outcome.requests[-1].told.get("memory"),
    }
    if costs_ is not None:
        wide = costs_.verify.get(one.gamma + 1)
        row |= {
            "target_step_ns": costs_.target_step,
            "draft_step_ns": costs_.draft_step,
            "c": costs_.c,
            "verify_ns": wide,
            "verify_over_step": _ratio(wide, costs_.target_step),
        }
    return row


def _figures(requests: Sequence[Request]) -> dict[str, float | None]:
    """Means over requests, in ns; tokens a second of decode, the first token left out."""
    made = [(one.tokens - 1, one.stages[Stage.DECODE]) for one in requests if one.tokens > 1]
    rows = len(requests[0].ids) or 1
    steps = [ns / tokens for tokens, ns in made]
    spent = sum(ns for _, ns in made)
    return {
        "ttft_ns": fmean(map(pairs.ttft, requests)),
        "tpot_ns": fmean(steps) if steps else None,
        "request_ns": fmean(one.wall for one in requests),
        "tokens_per_s": rows * 1e9 * sum(n for n, _ in made) / spent if spent else None,
    }


def _speedup(ours: Sequence[Request], theirs: Sequence[Request]) -> dict[str, float | None] | None:
    """Decode of the target alone over the pair's on each sample: median, and its 95 % interval."""
    each = [
        (b.stages[Stage.DECODE] / (b.tokens - 1)) / (a.stages[Stage.DECODE] / (a.tokens - 1))
        for a, b in zip(ours, theirs, strict=False)
        if a.tokens > 1 and b.tokens > 1
    ]
    if not each:
        return None
    found = statistics.summarize(each)
    assert found is not None
    return {"median": found.median, "low": found.low, "high": found.high, "n": found.count}


def _rounds(requests: Sequence[Request]) -> dict[str, Any]:
    """Acceptance over all requests; None where nothing was drafted."""
    rounds = [one for request in requests for one in request.told["rounds"]]
    total = {key: sum(one[key] for one in rounds)
             for key in ("drafted", "judged", "accepted", "made", "rows")}  # fmt: skip
    return {
        "rounds": len(rounds) / len(requests),
        "drafted": total["drafted"],
        "judged": total["judged"],
        "accepted": total["accepted"],
        "acceptance": _ratio(total["accepted"], total["drafted"]),
        "alpha": _ratio(total["accepted"], total["judged"]),
        "tokens_per_round": _ratio(total["made"], total["rows"]),
    }


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _same(outcome: Outcome, own: Outcome) -> bool | None:
    """Whether greedy text is the target's; None where it is sampled."""
    if outcome.config.plan.options.temperature > 0:
        return None
    return all(a.ids == b.ids for a, b in zip(outcome.requests, own.requests, strict=False))


REQUESTS = (
    Column("draft", "text"),
    Column("γ", "count", "Tokens drafted a round at most."),
    Column("acceptance", "share", "Draft tokens that stay, over those drafted."),
    Column("α", "share", "Draft tokens that stay, over those judged: none is judged after the "
           "first that is refused."),
    Column("tokens/round", "number", "Accepted draft tokens and the target's own, a row."),
    Column("rounds", "number", "Of a request, mean."),
    Column("tokens/s", "number", "Of decode, all rows of the batch."),
    Column("TTFT", "ns", "All stages before decode, the draft's included; mean."),
    Column("× alone", "number", "TTFT over that of the target alone."),
    Column("TPOT", "ns", "Decode over the tokens after the first, mean."),
    Column("speed-up", "number", "Decode of the target alone over the pair's, sample by sample; "
           "median."),
    Column("95 %", "text", "Interval of the median."),
    Column("same text", "text", "Greedy tokens are the target's own."),
)  # fmt: skip

COSTS = (
    Column("draft", "text"),
    Column("γ", "count"),
    Column("draft step", "ns", "One position of the draft, median."),
    Column("target step", "ns", "One position of the target, median."),
    Column("c", "number", "Draft step over target step."),
    Column("verify", "ns", "γ + 1 positions of the target, median."),
    Column("/ step", "number", "verify(γ+1) over verify(1)."),
    Column("draft ahead", "ns", "The draft's stages before decode, mean."),
    Column("target weights", "bytes"),
    Column("draft weights", "bytes"),
    Column("target cache", "bytes", "Keys and values at the end of a request."),
    Column("draft cache", "bytes"),
)


def requests_grid(told: Mapping[str, Any]) -> Grid:
    """Acceptance and times of each pair, the target alone first."""
    own = told["alone"]
    rows: list[tuple[Any, ...]] = [
        (ALONE, None, None, None, None, None, own["tokens_per_s"], own["ttft_ns"], None,
         own["tpot_ns"], None, "", ""),
    ]  # fmt: skip
    for one in told["rows"]:
        if one["error"] or "ttft_ns" not in one:
            continue
        gain = one["decode_speedup"] or {}
        known = gain.get("low") is not None
        interval = f"{gain['low']:.2f} to {gain['high']:.2f}" if known else "too few samples"
        same = {True: "yes", False: "no", None: "sampled"}[one["same_as_target"]]
        rows.append((
            one["draft"], one["gamma"], one["acceptance"], one["alpha"], one["tokens_per_round"],
            one["rounds"], one["tokens_per_s"], one["ttft_ns"], one["ttft_over_alone"],
            one["tpot_ns"], gain.get("median"), interval, same,
        ))  # fmt: skip
    faults = [f"{o['draft']}, γ {o['gamma']}: {o['error']}" for o in told["rows"] if o["error"]]
    said = [told["note"]] if told["note"] else []
    note = "; ".join(["all in turns, over the same samples", *said, *faults])
    title = f"Drafts for {told['target']}, against the target alone"
    return Grid("speculative", title, REQUESTS, rows, note=note)


def costs_grid(told: Mapping[str, Any]) -> Grid:
    """What single passes cost, and the memory of both models."""
    rows = []
    for one in told["rows"]:
        if "c" not in one:
            continue
        memory = one["memory"] or {}
        of = {name: memory.get(name) or {} for name in ("target", "draft")}
        rows.append((
            one["draft"], one["gamma"], one["draft_step_ns"], one["target_step_ns"], one["c"],
            one["verify_ns"], one["verify_over_step"], one["draft_ahead_ns"],
            of["target"].get("weights"), of["draft"].get("weights"),
            of["target"].get("cache"), of["draft"].get("cache"),
        ))  # fmt: skip
    note = (
        f"single passes behind the first sample's prompt, {TIMES} of each in turns, the device "
        "synchronised after each; the draft's stages before decode by the host's clock"
    )
    return Grid("costs", "What passes cost", COSTS, rows, note=note)
