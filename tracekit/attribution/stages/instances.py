"""Stage instances of a trace: which annotations are stages, and the work each launched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.stages import annotation_names, inferred
from tracekit.attribution.stages.annotation_names import Phase, Step, Writer
from tracekit.errors import MissingEventsError, UsageError
from tracekit.records import Record
from tracekit.trace.spans import nesting, segments
from tracekit.trace.trace import I64, Mask, Trace

T = TypeVar("T")

CHOICES = {
    "tracekit": "the five stages of tracekit's own markers",
    "asked": "the annotations that were asked for",
    "engine": "the steps of the serving engine (vLLM, SGLang), recognised by name",
    "file": "the whole file: its name says that it is one stage (SGLang's profile by stage)",
    "inferred": "the forward passes of a model that marks nothing, inferred from the repetition of "
    "its layers and from what draws a token",
    "user": "the annotations of the program, ProfilerStep included, without those of libraries",
    "library": "the annotations of libraries: the program has none of its own",
}


class Markers(Record, frozen=True, eq=False):
    """M stage instances, sorted by start, the longer first. Times in ns of the trace."""

    start: I64
    end: I64
    pid: I64  # -1: of any process
    tid: I64
    name: tuple[str, ...]
    stage: tuple[str, ...]  # the recognised phase, else the name
    family: tuple[str, ...]  # what instances of this kind are called together
    step: tuple[Step | None, ...]
    sample: I64  # number of the tracekit sample around it, -1 where there is none
    nested: Mask  # inside another instance of its thread
    repeated: Mask  # inside another instance of its family and thread
    chosen: str  # key of CHOICES

    def __len__(self) -> int:
        return len(self.start)

    @property
    def families(self) -> tuple[str, ...]:
        """Each family once, by first start."""
        return tuple(dict.fromkeys(self.family))

    @property
    def members(self) -> tuple[I64, ...]:
        """For each of `families`, the indices of its instances."""
        number = {family: i for i, family in enumerate(self.families)}
        kind = np.array([number[family] for family in self.family], np.int64)
        order = np.argsort(kind, kind="stable")
        return tuple(np.split(order, np.cumsum(np.bincount(kind))[:-1])) if len(kind) else ()


def markers(trace: Trace, stages: str | None = None) -> Markers:
    """The stage instances of a trace.

    With `stages`, a regular expression, every annotation whose name it finds. Else the first that
    exists of: tracekit's five stages; steps of vLLM or SGLang; the whole file where its name says
    the stage; where there are none but ProfilerStep, the forward passes that are inferred; the
    program's own annotations; those of libraries.

    Raises: MissingEventsError for a trace without annotations, or none that matches; UsageError
    for a pattern that is no regular expression.
    """
    return trace.once(("markers", stages), lambda: _markers(trace, stages))


def markers_if_any(trace: Trace, stages: str | None) -> Markers | None:
    """The same; None where nothing marks a stage.

    Raises: MissingEventsError where `stages` matches nothing; UsageError as `markers`.
    """
    try:
        return markers(trace, stages)
    except MissingEventsError:
        if stages is not None:
            raise
        return None


def _markers(trace: Trace, stages: str | None) -> Markers:
    notes = links.marks(trace)
    if stages is not None:
        try:
            asked = notes.named(stages)
        except re.error as fault:
            raise UsageError(
                f"{stages!r} is not a regular expression ({fault})",
                where="stages",
                hint="quote special characters with a backslash",
            ) from None
        if not asked.any():
            raise MissingEventsError(
                f"no annotation matches the stages asked for, {stages!r}",
                where=trace.path,
                hint="name annotations of this trace",
            )
        return _made(trace, notes.where(asked), "asked")
    step = _by_name(notes, annotation_names.recognise)
    ours = _rows(notes, step, lambda s: s.writer is Writer.TRACEKIT and _is_stage(s))
    if ours.any():
        return _made(trace, notes.where(ours), "tracekit")
    engine = _rows(notes, step, lambda s: s.writer in (Writer.VLLM, Writer.SGLANG))
    if engine.any():
        return _made(trace, notes.where(engine), "engine")
    whole = annotation_names.of_file(trace.path)
    if whole is not None and len(trace):
        return _whole_file(trace, whole)
    library = _by_name(notes, annotation_names.is_library)
    own = np.array([not library[int(n)] for n in notes.name], bool)
    stepped = _rows(notes, step, lambda s: s.writer is Writer.TORCH)
    if not (own & ~stepped).any() and (found := inferred.passes(trace)) is not None:
        return _inferred(found)
    if own.any():
        return _made(trace, notes.where(own), "user")
    if len(notes):
        return _made(trace, notes, "library")
    raise MissingEventsError(
        "no annotations: nothing marks a stage",
        where=trace.path,
        hint="capture with `tracekit capture`, or mark regions with torch.profiler.record_function",
    )


def _is_stage(step: Step) -> bool:
    return step.phase is not None and step.index is None


def _by_name(notes: Trace, ask: Callable[[str], T]) -> dict[int, T]:
    """What `ask` says of each distinct name, by its number."""
    return {int(n): ask(notes.strings[int(n)]) for n in segments.sorted_unique(notes.name)}


def _rows(notes: Trace, step: dict[int, Step | None], keep: Callable[[Step], bool]) -> Mask:
    wanted = {n for n, s in step.items() if s is not None and keep(s)}
    return np.isin(notes.name, np.array(sorted(wanted), np.int32))


def _inferred(found: inferred.Passes) -> Markers:
    """One step a pass; where its first token is drawn, a request's prefill."""
    count = len(found.start)
    stage = tuple(np.where(found.decode, Phase.DECODE.value, Phase.PREFILL.value).tolist())
    steps = {name: Step(Writer.INFERRED, Phase(name), name) for name in set(stage)}
    none = np.zeros(count, bool)
    return Markers(
        start=found.start,
        end=found.end,
        pid=np.full(count, found.pid, np.int64),
        tid=np.full(count, found.tid, np.int64),
        name=tuple(f"{name} (inferred)" for name in stage),
        stage=stage,
        family=stage,
        step=tuple(steps[name] for name in stage),
        sample=np.full(count, -1, np.int64),
        nested=none,
        repeated=none,
        chosen="inferred",
    )


def _whole_file(trace: Trace, phase: Phase) -> Markers:
    one = np.zeros(1, np.int64)
    return Markers(
        start=np.array([trace.ts.min()], np.int64),
        end=np.array([trace.end.max()], np.int64),
        pid=one - 1,
        tid=one - 1,
        name=("(the whole file)",),
        stage=(phase.value,),
        family=(phase.value,),
        step=(None,),
        sample=one - 1,
        nested=np.zeros(1, bool),
        repeated=np.zeros(1, bool),
        chosen="file",
    )


def _made(trace: Trace, notes: Trace, chosen: str) -> Markers:
    names = tuple(notes.strings[int(n)] for n in notes.name)
    step = tuple(annotation_names.recognise(name) for name in names)
    own = tuple(annotation_names.spoken(name) or name for name in names)
    family = tuple(s.family if s else n for s, n in zip(step, own, strict=True))
    stage = tuple(
        s.phase.value if s and s.phase else n if s is None else name
        for s, n, name in zip(step, own, names, strict=True)
    )
    thread = _number(zip(notes.pid.tolist(), notes.tid.tolist(), strict=True))
    kin = _number(zip(thread.tolist(), family, strict=True))
    return Markers(
        start=notes.ts,
        end=notes.end,
        pid=notes.pid,
        tid=notes.tid,
        name=names,
        stage=stage,
        family=family,
        step=step,
        sample=samples(trace, notes.pid, notes.ts),
        nested=_inside(thread, notes.end),
        repeated=_inside(kin, notes.end),
        chosen=chosen,
    )


def _number(keys: Iterable[object]) -> I64:
    """A number that equal keys share, by first appearance."""
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(key, len(seen)) for key in keys], np.int64)


def _inside(group: I64, end: I64) -> Mask:
    """[M] whether an earlier row of the group (sorted by start, longer first) reaches past it."""
    order = np.argsort(group, kind="stable")
    ends, rank = segments.codes(end[order])
    base = group[order] * (len(ends) + 1)
    reach = np.maximum.accumulate(base + rank)
    out = np.zeros(len(group), bool)
    if len(group) > 1:
        same = group[order][1:] == group[order][:-1]
        out[order[1:]] = same & (reach[:-1] >= (base + rank)[1:])
    return out


def samples(trace: Trace, pid: I64, when: I64) -> I64:
    """[M] the number of the tracekit sample that is open in the process at each instant, or -1."""
    notes = links.marks(trace)
    step = _by_name(notes, annotation_names.recognise)
    rows = np.flatnonzero(_rows(notes, step, lambda s: s.family == "sample"))
    out = np.full(len(when), -1, np.int64)
    for row in rows:
        found = step[int(notes.name[row])]
        inside = (pid == notes.pid[row]) & (when >= notes.ts[row]) & (when < notes.end[row])
        out[inside] = found.index if found and found.index is not None else -1
    return out


def launched(trace: Trace, marks: Markers, same_thread: bool = False) -> tuple[I64, I64]:
    """Every (instance, row of `links.work`) whose launching call starts inside the instance.

    On its own thread; and, but for `same_thread`, on threads of its process that have no instance
    at all, or are autograd's. Work launched inside nested instances is in each of them.
    """
    found: tuple[I64, I64] = trace.once(
        ("launched", marks, same_thread), lambda: _launched(trace, marks, same_thread)
    )
    return found


def _launched(trace: Trace, marks: Markers, same_thread: bool) -> tuple[I64, I64]:
    linked, call = links.by_launch(trace)
    calls = links.calls(trace)
    owners = np.stack([marks.pid, marks.tid], axis=1)
    bare, begun = ~_alone(trace, calls.pid, calls.tid, marks)[call], calls.ts[call]
    instance, work = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for pid, tid in segments.distinct(owners)[0]:
        whose = np.flatnonzero((owners == (pid, tid)).all(axis=1))
        mine = np.ones(len(call), bool) if pid == -1 else calls.pid[call] == pid
        if pid != -1:
            own = calls.tid[call] == tid
            mine &= own if same_thread else own | bare
        rows, when = (linked, begun) if mine.all() else (linked[mine], begun[mine])
        low = np.searchsorted(when, marks.start[whose], side="left")
        high = np.searchsorted(when, marks.end[whose], side="left")
        which, at = segments.runs(low, high)
        instance.append(whose[which])
        work.append(rows[at])
    return np.concatenate(instance), np.concatenate(work)


def _alone(trace: Trace, pid: I64, tid: I64, marks: Markers) -> Mask:
    """[K] whether a thread works only for itself: it has an instance, and runs no backward pass.

    Threads of autograd's engine work for whoever called `backward`, whatever they mark themselves.
    """
    ops = links.ops(trace)
    engine = ops.named(r"^autograd::engine::evaluate_function")
    serving = {*zip(ops.pid[engine].tolist(), ops.tid[engine].tolist(), strict=True)}
    found = np.zeros(len(pid), bool)
    for owner in {*zip(marks.pid.tolist(), marks.tid.tolist(), strict=True)} - serving:
        found |= (pid == owner[0]) & (tid == owner[1])
    return found


def innermost(trace: Trace, stages: str | None = None) -> I64:
    """[G] for each row of `links.work`, the innermost of `markers` that its launch lies in, or -1.

    The instance that began last, and of those the shortest; see `launched` for whose launches.
    """

    def make() -> I64:
        instance, work = launched(trace, markers(trace, stages))
        out = np.full(len(links.work(trace)), -1, np.int64)
        # instances are sorted by start, the longer first: the last one written is the innermost
        order = np.argsort(instance, kind="stable")
        out[work[order]] = instance[order]
        return out

    return trace.once(("innermost", stages), make)


def around_ops(trace: Trace, stages: str | None = None) -> I64:
    """[O] for each row of `links.ops`, the innermost of `markers` in which it starts, or -1.

    On its own thread; for ops of a thread that has none at all (backward passes have their own), on
    any thread of the process.
    """
    return trace.once(("around_ops", stages), lambda: _around_ops(trace, markers(trace, stages)))


def _around_ops(trace: Trace, marks: Markers) -> I64:
    every = links.ops(trace)
    threads = segments.codes(np.concatenate([every.tid, marks.tid]))[1]
    thread, mark_thread = threads[: len(every)], threads[len(every) :]
    pids = segments.codes(np.concatenate([every.pid, marks.pid]))[1]
    pid, mark_pid = pids[: len(every)], pids[len(every) :]
    width = int(threads.max()) + 1

    def inside(marked: I64, mine: I64) -> I64:
        # [start, end): an op that starts as a marker ends is no part of it
        return nesting.innermost(marked, marks.start, marks.end, mine, every.ts, every.ts + 1)

    found = inside(mark_pid * width + mark_thread, pid * width + thread)
    bare = (found < 0) & ~_alone(trace, every.pid, every.tid, marks)
    if bare.any():
        found = np.where(bare, inside(mark_pid, pid), found)
    anywhere = np.where(marks.pid == -1, 0, 1)  # a marker of any process is around all of them
    if anywhere.all():
        return found
    return np.where(found >= 0, found, inside(anywhere, np.zeros(len(every), np.int64)))
