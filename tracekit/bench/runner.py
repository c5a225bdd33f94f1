"""`tracekit bench` as one call: plan, time, write, and the tables to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.bench import comparison, file, paper, plots, repeats, statistics, tables, timing
from tracekit.capture import plan as planning
from tracekit.capture.plan import Plan, Progress, quiet
from tracekit.errors import UsageError
from tracekit.files import free, scratch, writable
from tracekit.results.result import Column, Grid

if TYPE_CHECKING:
    from tracekit.datasets.entry import Sample
    from tracekit.models.entry import Model
    from tracekit.results.figures import Chart


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be timed. `plan` are arguments of `plan.plan`, `axes` fields of BuildOptions."""

    name: str
    others: Sequence[str] = ()  # models that take turns with it
    plan: Mapping[str, Any]
    axes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    stage: str | None = None  # this stage alone
    trace: bool = False
    output: Path | None = None
    model: Model | None = None
    samples: Sequence[Sample] | None = None
    runs: int = 1  # fresh processes
    against: str | None = None  # a python whose tracekit and torch are timed in turns with ours
    words: Sequence[str] = ()  # of the command line, which each fresh process is given


@dataclass(frozen=True, slots=True)
class Done:
    content: Mapping[str, Any]  # of the JSON file
    why: str  # the size, and why
    grids: Sequence[Grid]
    charts: Sequence[Chart]
    files: Mapping[str, Path]
    next: Sequence[str]
    failed: bool  # no configuration gave a number

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it, with the requests that were complete."""
        rows = self.content["configurations"]
        return any("interrupted" in (row["error"] or "") for row in rows)


def subject(model: str | None, model_only: str | None) -> tuple[str, str | None]:
    """(model, stage alone or None) from MODEL and `--model-only NAME`.

    Raises: UsageError where neither names a model.
    """
    if model is None and model_only is None:
        raise UsageError("no MODEL was given", where="bench", hint="try tracekit bench onellm")
    if model is None:
        return str(model_only), "encode"
    if model_only in (None, "encode", "prefill"):
        return model, model_only
    return model, "encode" if model_only in (model, "encoder") else model_only


def run(wanted: Wanted, progress: Progress = quiet) -> Done:
    """The benchmark: its file written, its tables made.

    Raises: TracekitError for what cannot be run, read or written.
    """
    plan, axes = _plan(wanted)
    others = _others(wanted)
    if wanted.stage is not None:
        return _alone(wanted, plan, wanted.stage, progress)
    configs = timing.sweep(plan, axes)
    if others:
        configs = timing.side_by_side([plan, *others], axes)
    if wanted.runs > 1 or wanted.against is not None:
        return _repeated(wanted, configs, progress)
    path = _place(wanted, configs)
    outcomes = timing.bench(configs, samples=wanted.samples, progress=progress)
    content = file.document(outcomes)
    rows = content["configurations"]
    files: dict[str, Path] = {"JSON": path}
    grids: list[Grid] = []
    if len(rows) == 1:
        grids += tables.full(content, rows[0])
    else:
        grids.append(tables.swept(content))
    if wanted.trace:
        from tracekit.bench import against_profile

        traced, trace_path = against_profile.run(configs[0].plan, content, wanted.samples, progress)
        content["profiled"] = traced
        grids.append(against_profile.grid(traced))
        files["trace"] = trace_path
    files["JSON"] = path = file.save(content, path, asked=wanted.output is not None)
    files |= paper.save(content, path)
    next_ = [f"Next:   tracekit bench compare {path} NEW.json --fail-slower-than 5%"]
    failed = not any(row["samples"] for row in rows)
    return Done(content, plan.why, grids, plots.charts(content), files, next_, failed)


def _place(wanted: Wanted, configs: Sequence[timing.Config]) -> Path:
    """Where the file goes, asked before minutes of work.

    Raises: TracekitError where it cannot be written.
    """
    path = wanted.output or free(file.default_path(configs))
    writable(path)
    return path


def _others(wanted: Wanted) -> list[Plan]:
    """The plans of the models beside the first.

    Raises: UsageError for what is of one model alone.
    """
    alone = {
        "--trace": wanted.trace, "--model-only": wanted.stage is not None,
        "--checkpoint": wanted.plan.get("checkpoint") is not None,
    }  # fmt: skip
    if wanted.others and any(alone.values()):
        flag = next(name for name, given in alone.items() if given)
        raise UsageError("is of one model", where=flag, hint="time the models one at a time")
    return [_plan(replace(wanted, name=name, model=None))[0] for name in wanted.others]


def _repeated(wanted: Wanted, configs: Sequence[timing.Config], progress: Progress) -> Done:
    """The same in fresh processes, in turns with those of another interpreter where one is named.

    Raises: TracekitError where a process fails, or what is asked for cannot be repeated.
    """
    if wanted.trace or wanted.stage is not None:
        raise UsageError(
            "cannot be combined", where="--runs", hint="give --trace and --model-only runs alone"
        )
    sides = [repeats.Side("ours")]
    if wanted.against is not None:
        sides.append(repeats.Side("the other", wanted.against))
    path = _place(wanted, configs)
    contents = repeats.run(repeats.arguments(wanted.words), wanted.runs, sides, progress)
    content = contents[0]
    path = file.save(content, path, asked=wanted.output is not None)
    files = {"JSON": path}
    files |= paper.save(content, path)
    rows = content["configurations"]
    grids = tables.full(content, rows[0]) if len(rows) == 1 else [tables.swept(content)]
    next_ = f"Next:   tracekit bench compare {path} NEW.json --fail-slower-than 5%"
    if len(contents) > 1:
        files["other"] = file.save(contents[1], file.against(path))
        grids.append(comparison.grid(comparison.compare(contents[1], content)))
        next_ = f"Next:   tracekit bench compare {files['other']} {path} --fail-slower-than 5%"
    failed = not any(row["samples"] for row in rows)
    why = configs[0].plan.why
    return Done(content, why, grids, plots.charts(content), files, [next_], failed)


def _plan(wanted: Wanted) -> tuple[Plan, dict[str, Sequence[object]]]:
    """The plan, and the axes with the defaults of those that were not given."""
    axes = {name: values for name, values in wanted.axes.items() if list(values) != [None]}
    for dtype in axes.get("dtype", ()):
        if dtype not in planning.DTYPES:
            raise UsageError(
                "there is no such dtype",
                where=f"--dtype {dtype}",
                hint=f"choose of {', '.join(planning.DTYPES)}",
            )
    # the size has to suit the widest dtype of a sweep
    widest = max(axes.get("dtype", ()), key=planning.BYTES.__getitem__, default=None)
    plan = planning.plan(wanted.name, model=wanted.model, dtype=widest, **wanted.plan)
    return timing.with_fixed_length(plan), axes


# ---------------------------------------------------------------- one stage alone

ALONE = (
    Column("", "text"),
    *(column for column in tables.TIMES if column.label not in ("", "n")),
    Column("n", "count", "How many values."),
)


def _alone(wanted: Wanted, plan: Plan, stage: str, progress: Progress) -> Done:
    plan = timing.sweep(plan, {k: v[:1] for k, v in wanted.axes.items() if v[0] is not None})[
        0
    ].plan
    path = _place(wanted, [timing.Config(plan)])
    with scratch() as folder:
        samples = list(wanted.samples or planning.feed(plan, folder))
        progress("loading weights", 0, None)
        with planning.memory_errors(plan):
            adapter = planning.build(plan)
            progress(f"timing {stage} alone", 0, None)
            first = planning.repeat(samples, plan)[0]
            found = timing.alone(adapter, first, stage, plan.options.device)
    outcome = timing.Outcome(timing.Config(plan), facts=adapter.facts)
    content = file.document([outcome])
    content["alone"] = {
        "stage": found.stage, "single_ns": found.single_ns, "streak_ns": found.streak_ns,
        "calls_in_a_streak": found.streak, "empty_ns": found.empty_ns,
    }  # fmt: skip
    path = file.save(content, path, asked=wanted.output is not None)
    return Done(content, plan.why, [alone_grid(content)], [], {"JSON": path}, (), False)


def alone_grid(content: Mapping[str, Any]) -> Grid:
    """A stage by itself: one call at a time, and back to back."""
    alone = content["alone"]
    rows = []
    for name, values in (("one call", alone["single_ns"]), ("back to back", alone["streak_ns"])):
        found = statistics.summarize(values)
        assert found is not None
        rows.append((name, found.mean, found.std, found.median, found.p95, found.p99,
                     found.minimum, found.low, found.high, found.count))  # fmt: skip
    count = sum(content["configurations"][0]["facts"]["parameters"].values())
    note = (
        f"{count:,} parameters; input ready on the device; one call: device synchronised after "
        f"each; back to back: mean of {alone['calls_in_a_streak']} calls, synchronised at their "
        f"end; timing nothing takes {alone['empty_ns']} ns, not subtracted"
    )
    return Grid("alone", f"{alone['stage']} alone", ALONE, rows, note=note)
