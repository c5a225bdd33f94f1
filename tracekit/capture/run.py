"""One profiled run: warm-up, the same samples without and with the profiler, and the trace."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import files
from tracekit.capture import pairs
from tracekit.capture import plan as planning
from tracekit.capture.description import describe, repaired, watched
from tracekit.capture.plan import Plan, Progress, quiet
from tracekit.capture.profiling import Profiling, export, patient, without_tracepoints
from tracekit.capture.recorder import Recorder, Request, request
from tracekit.errors import TracekitError
from tracekit.taxonomy import Stage

if TYPE_CHECKING:
    from tracekit.capture.part import Part
    from tracekit.datasets.entry import Sample


@dataclass(frozen=True, slots=True)
class Captured:
    """A run that was profiled: where its trace is, and what its metadata says."""

    path: Path
    metadata: dict[str, Any]
    unprofiled: tuple[Request, ...]
    profiled: tuple[Request, ...]
    stages: tuple[Stage, ...]
    interrupted: bool
    alone: tuple[Request, ...] = ()  # the target of a pair by itself, unprofiled


def capture(
    plan: Plan,
    output: Path | None = None,
    *,
    profiling: Profiling | None = None,
    samples: Sequence[Sample] | None = None,
    progress: Progress = quiet,
    part: Part | None = None,
) -> Captured:
    """The trace of `plan.samples` requests, written to `output` (or under `traces/`).

    `part` is this process's of a job of several, which write together.

    `samples` stand in for those that the plan's data would give. Ctrl-C while profiling keeps the
    samples that are complete and says so in `interrupted`.

    Raises: TracekitError where the model cannot be built, the data cannot be read, nothing was
    complete when it was interrupted, or the trace cannot be written.
    """
    profiling = profiling or Profiling()
    path = output or files.free(default_path(plan))
    if part is None:
        _check_writable(path)
    with files.scratch() as folder:
        found = list(samples or planning.feed(plan, folder / "data"))
        found, repairs = watched(planning.repeat(found, plan))
        progress("loading weights", 0, None)
        adapter = planning.build(plan)
        if part is not None:
            found = part.share(found)
            plan = replace(plan, samples=len(found))
        with planning.memory_errors(plan):
            passes = Passes(plan, adapter, found, progress, part)
            passes.warm_up(mark=True)
            unprofiled, alone = passes.plain()
            exported = folder / "exported.json"
            profiled, interrupted = passes.profiled(profiling, exported)
        if not profiled:
            raise TracekitError(
                "interrupted before the first sample was complete, so nothing was written",
                where=plan.name,
                hint="run it again, with fewer --samples or --max-new-tokens",
            )
        progress("writing", 0, None)
        facts = describe(plan, profiling, adapter, found, unprofiled, profiled, interrupted)
        facts["data"]["repairs"] = repaired(facts["data"]["samples"], repairs)
        if alone:
            facts |= pairs.described(adapter, facts["tokens"], unprofiled, profiled, alone)
        from tracekit.capture import save

        complete = len(profiled) if interrupted else None
        if part is not None:
            part.tell(facts)
            own = save.save(exported, folder / path.name, facts, complete=complete)
            path = part.job.publish(own, path)
        else:
            with patient():
                path = save.save(exported, path, facts, complete=complete, asked=output is not None)
    stages = tuple(plan.model.stages)
    return Captured(path, facts, unprofiled, profiled, stages, interrupted, alone)


def default_path(plan: Plan) -> Path:
    """`traces/MODEL-SIZE-DTYPE-DEVICE-TIME.pt.trace.json.gz`; a model's `:` and `/` become `-`."""
    return Path("traces") / f"{default_name(plan)}.pt.trace.json.gz"


def default_name(plan: Plan, *more: str) -> str:
    """`MODEL-SIZE-DTYPE-DEVICE-TIME`; `more` stands before the time."""
    options = plan.options
    parts = (plan.name, options.size, options.dtype, options.device)
    words = [re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-.") for part in parts]
    return "-".join([*words, *more, time.strftime("%Y%m%d-%H%M%S")])


class _NotYetError(Exception):
    """Leaves a file unwritten."""


def _check_writable(path: Path) -> None:
    """Said before minutes of work, not after. Raises: TracekitError."""
    from tracekit.files import writing

    with contextlib.suppress(_NotYetError), writing(path):
        raise _NotYetError


class Passes:
    """The same samples through the model again and again: warm-up, plain, profiled."""

    def __init__(
        self,
        plan: Plan,
        adapter: object,
        samples: Sequence[Sample],
        progress: Progress,
        part: Part | None = None,
    ) -> None:
        self.plan = plan
        self.part = part
        self.adapter = adapter
        self.samples = samples
        self.progress = progress
        self.sync = planning.synchroniser(plan.options.device) if plan.sync else None
        self.marking = Recorder(mark=True, sync=self.sync)
        # a model that another one drafts for, by itself: what the two are measured against
        self.alone = getattr(adapter, "alone", None)

    def one(self, number: int, recorder: Recorder, *, alone: bool = False) -> Request:
        """One request; sampling starts from the same seed whenever the same number is run."""
        import torch

        torch.manual_seed(self.plan.options.seed + number)
        sample = self.samples[number % len(self.samples)]
        most = self.plan.options.max_new_tokens - 1  # the first token is prefill's
        adapter = self.alone if alone else self.adapter
        with planning.current(self.plan.options.device), torch.inference_mode():
            return request(adapter, sample, number, recorder, most_steps=most)

    def warm_up(self, *, mark: bool) -> None:
        """Requests that nobody times. Marked ones make the profiler's own first calls too."""
        recorder = self.marking if mark else Recorder(mark=False, sync=self.sync)
        for number in range(self.plan.warmup):
            self.progress("warm-up", number, self.plan.warmup)
            self.one(number, recorder)
            if self.alone is not None:
                self.one(number, Recorder(mark=False, sync=self.sync), alone=True)

    def plain(self) -> tuple[tuple[Request, ...], tuple[Request, ...]]:
        """Every sample, without a profiler and without markers; and of a pair its target alone.

        The two take turns, and in which comes first, too.
        """
        recorder = Recorder(mark=False, sync=self.sync)
        done: dict[bool, list[Request]] = {False: [], True: []}
        for number in range(len(self.samples)):
            self.progress("unprofiled", number, len(self.samples))
            turns = [False] if self.alone is None else [False, True]
            for alone in turns[:: -1 if number % 2 else 1]:
                done[alone].append(self.one(number, recorder, alone=alone))
        return tuple(done[False]), tuple(done[True])

    def profiled(self, profiling: Profiling, path: Path) -> tuple[tuple[Request, ...], bool]:
        """(requests, interrupted) every sample under the profiler, its export at `path`."""
        import torch
        from torch.profiler import ProfilerActivity, profile

        kind = torch.device(self.plan.options.device).type
        activities = [ProfilerActivity.CPU]
        gpu = getattr(ProfilerActivity, kind.upper(), None)
        if gpu is not None and gpu not in activities:
            activities.append(gpu)
        profiler = profile(
            activities=activities,
            record_shapes=profiling.record_shapes,
            with_stack=profiling.with_stack,
            profile_memory=profiling.profile_memory,
        )
        done: list[Request] = []
        interrupted = False
        # the profiler's buffers and the device's tracing come up before the first sample
        with without_tracepoints():
            profiler.prepare_trace()
        if self.plan.warmup:
            self.one(0, self.marking)
        self.marking.prepare()
        with without_tracepoints():
            profiler.start_trace()
        try:
            for number in self.numbers():
                self.progress("profiled", number, len(self.samples))
                done.append(self.one(number, self.marking))
            interrupted = self.part is not None and self.part.job.stopping
        except KeyboardInterrupt:
            interrupted = True
        finally:
            with self.patient(), without_tracepoints():
                profiler.stop_trace()
        self.progress("writing", 0, None)
        if done:
            with self.patient(), without_tracepoints():
                export(profiler, path)
        return tuple(done), interrupted

    def patient(self) -> contextlib.AbstractContextManager[None]:
        """As `patient`; the ranks of a job heed signals in their own way."""
        return patient() if self.part is None else contextlib.nullcontext()

    def numbers(self) -> Iterator[int]:
        """Each sample's number; of a job until the ranks agree to end, all after as many."""
        if self.part is None:
            yield from range(len(self.samples))
            return
        self.part.job.gently = True
        for number in range(self.part.job.most(len(self.samples))):
            if self.part.job.ends():
                self.part.job.stopping = True
                return
            if number < len(self.samples):
                yield number
