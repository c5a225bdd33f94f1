"""One profiled run: warm-up, the same samples without and with the profiler, and the trace."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from tracekit import files
from tracekit.capture import metadata, pairs
from tracekit.capture import plan as planning
from tracekit.capture.plan import Plan, Progress, quiet
from tracekit.capture.recorder import Recorder, Request, request
from tracekit.errors import TracekitError
from tracekit.taxonomy import Stage

if TYPE_CHECKING:
    from tracekit.capture.part import Part
    from tracekit.datasets.entry import Recording, Sample
    from tracekit.models.entry import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiling:
    """What torch.profiler is to record beside names and times."""

    record_shapes: bool = False
    with_stack: bool = False
    profile_memory: bool = False


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
        with _without_tracepoints():
            profiler.prepare_trace()
        if self.plan.warmup:
            self.one(0, self.marking)
        self.marking.prepare()
        with _without_tracepoints():
            profiler.start_trace()
        try:
            for number in self.numbers():
                self.progress("profiled", number, len(self.samples))
                done.append(self.one(number, self.marking))
            interrupted = self.part is not None and self.part.job.stopping
        except KeyboardInterrupt:
            interrupted = True
        finally:
            with self.patient(), _without_tracepoints():
                profiler.stop_trace()
        self.progress("writing", 0, None)
        if done:
            with self.patient(), _without_tracepoints():
                _export(profiler, path)
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


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """What is being finished is not lost to a Ctrl-C or SIGTERM: the first one only says so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # a handler that is not Python's (None) could not be put back
    before = {
        number: handler for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))
    }  # fmt: skip

    def once(number: int, _frame: FrameType | None) -> None:
        _handle(before)
        again = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        # not print: the signal may have come in the middle of one
        os.write(2, f"\nwriting what is complete; {again} again to abandon it\n".encode())

    _handle(dict.fromkeys(before, once))
    try:
        yield
    finally:
        _handle(before)


def _handle(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _export(profiler: Any, path: Path) -> None:
    """torch's own file, on the way to ours. Raises: TracekitError where it has no room."""
    hint = "free some space there, or set TMPDIR to another place"
    try:
        profiler.export_chrome_trace(str(path))
        whole = path.stat().st_size > 0
    except (OSError, RuntimeError) as fault:
        raise TracekitError(
            f"the profiler could not write its trace ({fault})", where=path.parent, hint=hint
        ) from fault
    if not whole:
        raise TracekitError("the profiler's trace is empty", where=path.parent, hint=hint)


@contextlib.contextmanager
def _without_tracepoints() -> Iterator[None]:
    """Kineto prints `USDT:` lines on stderr, whatever its log level; all else still gets there."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            os.write(2, b"".join(line for line in caught if not line.startswith(b"USDT:")))


# ---------------------------------------------------------------- what the trace says of itself


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
