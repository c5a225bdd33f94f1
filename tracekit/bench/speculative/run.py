"""The benchmark as one call: plan, time, write, and the tables and charts to show."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tracekit import extras
from tracekit.bench import file, timing
from tracekit.bench.runner import Done
from tracekit.bench.speculative import page
from tracekit.bench.speculative.costs import Costs, costs
from tracekit.bench.speculative.tables import ALONE, costs_grid, requests_grid
from tracekit.bench.speculative.told import told_of
from tracekit.bench.timing import Config
from tracekit.capture import plan as planning
from tracekit.capture.plan import Progress, quiet
from tracekit.files import free, scratch, writable
from tracekit.models.entry import Model
from tracekit.models.speculative.entry import Asked, Built, alone, pair
from tracekit.models.speculative.pair import Pair


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


def run(wanted: Wanted, progress: Progress = quiet) -> Done:
    """The benchmark: its file written, its tables made.

    The target alone and all pairs take turns over the same samples, and share their weights.

    Raises: TracekitError for what cannot be run, read or written.
    """
    extras.need("capture", "torch", "transformers", where="speculative")
    asked, built = wanted.asked(), Built()
    configs = configured(wanted, asked, built)
    path = wanted.output or free(file.default_path(configs[:1]))
    writable(path)
    outcomes = timing.bench(configs, samples=wanted.samples, progress=progress)
    content = file.document(outcomes)
    each = _all_costs(configs, built, wanted, progress)
    content["speculative"] = told = told_of(wanted.target, asked, outcomes, each)
    path = file.save(content, path, asked=wanted.output is not None)
    failed = not outcomes[0].requests or not any(o.requests for o in outcomes[1:])
    grids = [] if failed else [requests_grid(told), costs_grid(told)]
    why = configs[0].plan.why
    return Done(
        content, why, grids, [] if failed else page.charts(content), {"JSON": path}, [], failed
    )


def configured(wanted: Wanted, asked: Sequence[Asked], built: Built) -> list[Config]:
    """The target alone, then each pair; all read the same samples, and are of one size."""
    models = [pair(one, built) for one in asked]
    also = tuple(sorted({kind for model in models for kind in model.also}))
    whole = _together(alone(asked[0], built), asked, models)
    name = "-".join(["speculative", *wanted.drafts, wanted.target])
    first = _config(name, replace(whole, also=also), wanted.plan, {"draft": ALONE})
    of_size = {**wanted.plan, "size": first.plan.options.size}
    found = [first]
    for one, model in zip(asked, models, strict=True):
        # its weights are counted with the first
        model = replace(model, also=also, weight_bytes=lambda _size, _dtype: 0)
        found.append(_config(one.name, model, of_size, {"draft": one.draft, "gamma": one.gamma}))
    return found


def _together(own: Model, asked: Sequence[Asked], models: Sequence[Model]) -> Model:
    """The target, of the sizes that all pairs have, and as large as it is with all drafts."""
    of_draft = {one.draft: model for one, model in zip(asked, models, strict=True)}

    def weights(size: str, dtype: str) -> int:
        target = planning.weight_bytes(own, size, dtype)
        pairs = (planning.weight_bytes(model, size, dtype) for model in of_draft.values())
        return target + sum(both - target for both in pairs)

    shared = {size: of for size, of in own.sizes.items() if all(size in m.sizes for m in models)}
    return replace(own, sizes=shared or own.sizes, weight_bytes=weights)


def _config(name: str, model: Model, of: Mapping[str, Any], axes: Mapping[str, object]) -> Config:
    plan = planning.plan(name, model=model, **of)
    return Config(timing.with_fixed_length(plan), axes)


# ---------------------------------------------------------------- what single passes cost


def _all_costs(
    configs: Sequence[Config], built: Built, wanted: Wanted, progress: Progress
) -> dict[str, Costs]:
    """Of each draft, measured with its longest drafts; the models are there already."""
    found: dict[str, Costs] = {}
    with scratch() as folder:
        plan = configs[0].plan
        [sample, *_] = wanted.samples or planning.feed(plan, folder)
        for config in configs[1:]:
            draft, gamma = str(config.axes["draft"]), int(config.axes["gamma"])
            if draft in found or gamma != max(wanted.gammas):
                continue
            progress(f"timing passes: {draft}", 0, None)
            adapter: Pair = config.plan.model.build(config.plan.options)
            found[draft] = costs(adapter, sample, config.plan, sorted({1, *wanted.gammas}))
    return found
