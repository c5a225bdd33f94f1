"""The stages on the wall clock, no profiler near: one configuration, or many in turns."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.bench import sensors, statistics
from tracekit.capture import plan as planning
from tracekit.capture.plan import Plan, Progress, quiet
from tracekit.capture.recorder import Recorder, Request
from tracekit.capture.run import Passes
from tracekit.errors import TracekitError, UsageError
from tracekit.files import scratch

if TYPE_CHECKING:
    from tracekit.datasets.entry import Sample
    from tracekit.models.entry import Facts

MOST_WARMUP = 20  # requests; a run that is not stable by then says so
ROUNDS = 10  # turns in which configurations that are compared alternate


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration of a sweep: its plan, and its place on the swept axes.

    Of several models that take turns, `model` is an axis.
    """

    plan: Plan
    axes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The place on the axes as text; empty where there are none."""
        return ", ".join(f"{name} {value}" for name, value in self.axes.items())


@dataclass(slots=True)
class Outcome:
    """What one configuration gave; `error` says why it gave nothing."""

    config: Config
    facts: Facts | None = None
    requests: list[Request] = field(default_factory=list)
    waited_ns: list[int | None] = field(default_factory=list)  # for a core, in each request
    yardstick_ns: list[int] = field(default_factory=list)  # fixed work, after each request
    warmup_ns: list[int] = field(default_factory=list)
    warm: bool = False  # stable before the clock ran
    device_peak: int | None = None  # bytes of this configuration's tensors on the device
    host_peak: int | None = None  # bytes of the process; None where configurations took turns
    joules: float | None = None  # of the whole GPU, over the timed requests
    gpu: list[Mapping[str, Any]] = field(default_factory=list)  # clocks before and after
    error: str | None = None
    interleaved: bool = False


def sweep(plan: Plan, axes: Mapping[str, Sequence[object]]) -> list[Config]:
    """Every combination of the axes' values, the last axis fastest. Axes are BuildOptions' fields.

    An axis of one value changes the plan and is no axis of the sweep.
    """
    single = {name: values[0] for name, values in axes.items() if len(values) == 1}
    many = {name: values for name, values in axes.items() if len(values) > 1}
    base = planning.with_options(plan, **single)
    return [
        Config(planning.with_options(base, **dict(zip(many, chosen, strict=True))),
               dict(zip(many, chosen, strict=True)))
        for chosen in itertools.product(*many.values())
    ]  # fmt: skip


def side_by_side(plans: Sequence[Plan], axes: Mapping[str, Sequence[object]]) -> list[Config]:
    """The sweep of each of several models, with the model as the first axis."""
    return [
        replace(config, axes={"model": plan.name, **config.axes})
        for plan in plans for config in sweep(plan, axes)
    ]  # fmt: skip


def bench(
    configs: Sequence[Config],
    *,
    samples: Sequence[Sample] | None = None,
    progress: Progress = quiet,
) -> list[Outcome]:
    """The outcome of each configuration, in order. `samples` stand in for the plans' data.

    Configurations that fit the device together take turns, so that a machine that drifts does not
    favour one; others run one after the other. One that cannot be had (a prompt longer than the
    model) or runs out of memory is an outcome with that error; for want of memory it is tried once
    more alone if others were there with it. Ctrl-C ends with the requests that
    are complete.

    Raises: TracekitError where the data or a checkpoint cannot be read, or nothing was complete.
    """
    outcomes = [Outcome(config) for config in configs]
    with scratch() as folder, _still():
        plan = configs[0].plan
        found = _feeds(configs, samples, folder)
        try:
            if len(configs) > 1 and _fit_together(configs):
                _in_turns(outcomes, found, progress, sweep=True)
                left = [o for o in outcomes if o.error and planning.MEMORY in o.error]
                for outcome in left:
                    outcome.error = None
            else:
                left = outcomes
            for outcome in left:
                sensors.release()  # what the one before held
                _in_turns([outcome], found, progress, sweep=len(configs) > 1)
        except KeyboardInterrupt:
            for outcome in outcomes:
                if len(outcome.requests) < outcome.config.plan.samples and not outcome.error:
                    outcome.error = f"interrupted after {len(outcome.requests)} requests"
    if not any(o.requests for o in outcomes) and all("interrupted" in (o.error or "")
                                                     for o in outcomes):  # fmt: skip
        raise TracekitError(
            "interrupted before a request was complete", where=plan.name, hint="run it again"
        )
    return outcomes


def _feeds(
    configs: Sequence[Config], samples: Sequence[Sample] | None, folder: Path
) -> dict[str, list[Sample]]:
    """The samples of each model, by its name: models read different sensors.

    Raises: TracekitError where the data cannot be read.
    """
    plans = {config.plan.name: config.plan for config in reversed(configs)}
    found = {}
    for number, (name, plan) in enumerate(plans.items()):
        own = folder / str(number)
        own.mkdir()
        found[name] = list(samples or planning.feed(plan, own))
    return found


def _fit_together(configs: Sequence[Config]) -> bool:
    """Whether the weights of all configurations fit the device at once, with room to work."""
    plan = configs[0].plan
    free = planning.free_bytes(plan.options.device)
    need = sum(
        planning.weight_bytes(c.plan.model, c.plan.options.size, c.plan.options.dtype)
        for c in configs
    )
    return free is not None and need * planning.HEADROOM <= free


@contextlib.contextmanager
def _still() -> Iterator[None]:
    """Garbage is collected before, and not while the clock runs."""
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Runner:
    """One configuration, built and warm."""

    def __init__(self, outcome: Outcome, samples: Sequence[Sample], progress: Progress) -> None:
        plan = outcome.config.plan
        self.outcome = outcome
        label = outcome.config.label
        self.label = f": {label}" if label else ""
        self.progress = progress
        self.before = sensors.allocated(plan.options.device)
        self.own = 0  # bytes that stay on the device between requests
        sensors.reset_peaks(plan.options.device)
        progress(f"loading weights{self.label}", 0, None)
        adapter = planning.build(plan)
        self.adapter = adapter
        outcome.facts = adapter.facts
        self.passes = Passes(plan, adapter, planning.repeat(list(samples), plan), progress)
        self.recorder = Recorder(
            mark=False, sync=self.passes.sync, events=sensors.timer(plan.options.device)
        )

        wait = planning.synchroniser(plan.options.device)
        self.yardstick = sensors.yardstick(plan.options.device, wait)

    def warm_up(self) -> None:
        """Requests until their times no longer fall, `plan.warmup` at least."""
        self._warm_up()
        now = sensors.allocated(self.outcome.config.plan.options.device)
        if now is not None and self.before is not None:
            self.own = now - self.before

    def _warm_up(self) -> None:
        plan, outcome = self.outcome.config.plan, self.outcome
        if not plan.warmup:
            return
        for number in range(max(MOST_WARMUP, plan.warmup)):
            self.progress(f"warm-up{self.label}", number, None)
            outcome.warmup_ns.append(self.passes.one(number, self.recorder).wall)
            outcome.warm = statistics.stable(outcome.warmup_ns)
            if outcome.warm and number + 1 >= plan.warmup:
                return

    def time(self, count: int) -> None:
        """So many requests more."""
        plan, outcome = self.outcome.config.plan, self.outcome
        gpu = plan.options.device
        held = sensors.allocated(gpu)
        if outcome.interleaved:
            sensors.reset_peaks(gpu)
        outcome.gpu.append(sensors.clocks(gpu))
        before = sensors.joules(gpu)
        for _ in range(count):
            number = len(outcome.requests)
            self.progress(f"timing{self.label}", number, plan.samples)
            ready = sensors.waited()
            outcome.requests.append(self.passes.one(number, self.recorder))
            run = sensors.waited()
            outcome.waited_ns.append(None if ready is None or run is None else max(run - ready, 0))
            outcome.yardstick_ns.append(self.yardstick())
        after = sensors.joules(gpu)
        if before is not None and after is not None and after > before:
            outcome.joules = (outcome.joules or 0.0) + after - before
        outcome.gpu.append(sensors.clocks(gpu))
        peak = sensors.peak(gpu)
        if peak is not None and held is not None:
            # what others that take turns hold is none of this one's
            outcome.device_peak = max(outcome.device_peak or 0, peak - held + self.own)
        if not outcome.interleaved:
            outcome.host_peak = sensors.host_peak()
        outcome.facts = self.adapter.facts  # what the input decides is known by now
        # between turns, where no clock runs
        gc.collect()


def _in_turns(
    outcomes: Sequence[Outcome],
    feeds: Mapping[str, Sequence[Sample]],
    progress: Progress,
    *,
    sweep: bool,
) -> None:
    """`feeds` has the samples by the model's name."""
    runners = []
    for outcome in outcomes:
        outcome.interleaved = len(outcomes) > 1
        with _fault_is_an_outcome(outcome, many=len(outcomes) > 1 or sweep):
            runner = _Runner(outcome, feeds[outcome.config.plan.name], progress)
            runner.warm_up()
            runners.append(runner)
    rounds = min(ROUNDS, max((o.config.plan.samples for o in outcomes), default=1))
    for turn in range(rounds if len(runners) > 1 else 1):
        # each turn begins with another configuration
        first = turn % max(len(runners), 1)
        for runner in runners[first:] + runners[:first]:
            outcome = runner.outcome
            wanted = outcome.config.plan.samples
            share = wanted * (turn + 1) // rounds if len(runners) > 1 else wanted
            if outcome.error is None:
                with _fault_is_an_outcome(outcome, many=len(outcomes) > 1 or sweep):
                    runner.time(share - len(outcome.requests))


@contextlib.contextmanager
def _fault_is_an_outcome(outcome: Outcome, *, many: bool) -> Iterator[None]:
    """Too little memory is a row of the table; in a sweep what one configuration cannot have, too.

    Raises: TracekitError for the only configuration.
    """
    failed = None
    try:
        yield
    except TracekitError as fault:
        if planning.MEMORY not in fault.what and not many:
            raise
        failed = fault.what
    except (MemoryError, RuntimeError) as fault:
        if not planning.out_of_memory(fault):
            raise
        failed = planning.MEMORY
    if failed is not None:
        outcome.error = failed
        outcome.requests.clear()
        outcome.yardstick_ns.clear()
        outcome.waited_ns.clear()
        sensors.release()


# ---------------------------------------------------------------- one stage alone


@dataclass(frozen=True, slots=True)
class Alone:
    """One stage by itself, its input ready on the device."""

    stage: str
    single_ns: tuple[int, ...]  # each call, device synchronised after it
    streak_ns: tuple[float, ...]  # mean of a call in streaks that are synchronised at their end
    streak: int  # calls in a streak
    empty_ns: int  # what the clock itself takes: median of timing nothing


def alone(
    adapter: Any, sample: Sample, stage: str, device: str, *, calls: int = 1000, seconds: float = 10
) -> Alone:
    """The times of encode or prefill alone, at most `calls` calls and about `seconds` long.

    Raises: TracekitError for a stage that the model lacks, or that cannot be run again and again.
    """
    import torch

    if stage not in ("encode", "prefill") or not hasattr(adapter, stage):
        have = [name for name in ("encode", "prefill") if hasattr(adapter, name)]
        raise UsageError(
            "cannot be timed alone", where=f"--model-only {stage}", hint=f"one of {', '.join(have)}"
        )
    sync = planning.synchroniser(device) or (lambda: None)
    with planning.current(device), torch.inference_mode(), _still():
        inputs = adapter.preprocess(sample, adapter.load(sample))
        if stage == "encode":
            call = lambda: adapter.encode(inputs)  # noqa: E731
        else:
            tokens = adapter.encode(inputs) if hasattr(adapter, "encode") else None
            call = lambda: adapter.prefill(inputs, tokens)  # noqa: E731
        return _repeat(call, sync, stage, calls, seconds)


def _repeat(
    call: Callable[[], Any], sync: Callable[[], None], stage: str, calls: int, seconds: float
) -> Alone:
    clock = time.perf_counter_ns
    end = clock() + int(seconds / 4 * 1e9)
    walls: list[int] = []
    while len(walls) < 10 or (not statistics.stable(walls, 20) and clock() < end):
        begin = clock()
        call()
        sync()
        walls.append(clock() - begin)
    typical = max(sorted(walls)[len(walls) // 2], 1)
    count = max(10, min(calls, int(seconds / 2 * 1e9 / typical)))
    single = []
    for _ in range(count):
        begin = clock()
        call()
        sync()
        single.append(clock() - begin)
    streak = max(1, count // 20)
    streaks = []
    for _ in range(20):
        begin = clock()
        for _ in range(streak):
            call()
        sync()
        streaks.append((clock() - begin) / streak)
    empty = []
    for _ in range(1000):
        begin = clock()
        empty.append(clock() - begin)
    return Alone(stage, tuple(single), tuple(streaks), streak, sorted(empty)[500])


def with_fixed_length(plan: Plan) -> Plan:
    """The plan with every request as long as it may be, where the model can pass over its end.

    Requests of one length are comparable; `--set ignore_eos=false` keeps the end token.
    """
    extra = plan.options.extra
    if "ignore_eos" not in plan.model.takes or "ignore_eos" in extra:
        return plan
    return planning.with_options(plan, extra={**extra, "ignore_eos": True})


def load_average() -> list[float] | None:
    """The machine's load over 1, 5 and 15 minutes; None where it has none."""
    try:
        return list(os.getloadavg())
    except OSError:
        return None
