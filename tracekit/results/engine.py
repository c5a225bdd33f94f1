"""Analyses over many traces: run, keep the failures, judge, merge."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from tracekit.errors import MissingEventsError, TracekitError
from tracekit.records import replace
from tracekit.results import at_once, catalog, merging
from tracekit.results import result as results
from tracekit.results.answers import Answers
from tracekit.results.result import Result
from tracekit.results.trust import Judge, Trust
from tracekit.trace import graph_captures, kineto, ranks, redact
from tracekit.trace.columns import release
from tracekit.trace.trace import GivenModel, Trace

_LARGE, _VERY_LARGE = 100_000, 1_000_000  # slices
# bytes of the program, and a slice of the trace, of what is kept of it, and of what is at work
_RESIDENT, _RESIDENT_A_SLICE = 150 << 20, 225


def wanted(only: Sequence[str] | None) -> list[str]:
    """Names of the analyses to run, in the order of the report; `-` and `_` are alike in `only`.

    Raises: UsageError for an unknown name.
    """
    asked = [catalog.ANALYSES.named(name) for name in only or ()]
    every = {name: catalog.analysis(name) for name in asked} if only else catalog.entries()
    kept = [name for name, entry in every.items() if only or entry.by_default]
    return sorted(kept, key=lambda name: (every[name].order, name))


def tables(only: Sequence[str] | None = None) -> frozenset[str]:
    """The side tables of a trace that the analyses to run read.

    Raises: TracekitError for an unknown name.
    """
    entries = [catalog.analysis(name) for name in wanted(only)]
    if any(entry.asks_others for entry in entries):
        entries += [catalog.analysis(name) for name in wanted(None)]
    return frozenset().union(*(entry.needs for entry in entries))


def answers(
    path: str | Path,
    only: Sequence[str] | None = None,
    *,
    strict: bool = False,
    graph_capture: Sequence[str | Path] = (),
    model: GivenModel | None = None,
    device: str | None = None,
    processes: int | None = None,
    name: str | None = None,
    rank: int | None = None,
    progress: Callable[[str], None] = lambda _text: None,
    **parameters: object,
) -> Answers:
    """All that one trace can answer. Keyword parameters go to the analyses that take them.

    `graph_capture` names the traces in which graphs replayed here were captured; without, they are
    looked for beside it. `model` is the one that ran and `device` what it ran on, where the
    user says it. `processes` read a large file; `name` is what the file is called, where that is
    not its path; `rank` which of a job it is, where the user says it.

    Raises: TracekitError where the file is no trace, or an unknown analysis was named.
    """
    needed = tables(only)
    progress("reading")
    needed |= graph_captures.OWN
    trace = kineto.load(path, tables=needed, strict=strict, processes=processes, snapshots=True)
    trace = graph_captures.attached(trace, graph_capture)
    if (name is not None and name != str(path)) or rank is not None or model or device:
        source = replace(
            trace.source, path=name or trace.source.path, stated_rank=rank, model=model,
            device=device,
        )  # fmt: skip
        trace = replace(trace, source=source, memo={})
    found = of_trace(
        trace, only, path=name or str(path), processes=processes, progress=progress, **parameters
    )
    trace.memo.clear()  # nobody asks again, and a trace is part of what it remembers
    large = len(trace) >= _LARGE
    del trace
    if large:
        _release()
    return found


def _release() -> None:
    """Gives back the memory of a large trace.

    Faults of answers hold it too: its columns would stay until a collection of garbage that does
    not know how large they are, and of many traces in one call several would be in memory.
    """
    gc.collect()
    release.freed()


def _lean(trace: Trace) -> AbstractContextManager[None]:
    """Of a very large trace not all that is freed is room for what comes: much of it goes back."""
    if len(trace) < _VERY_LARGE:
        return nullcontext()
    return release.beyond(_RESIDENT + _RESIDENT_A_SLICE * len(trace))


def of_trace(
    trace: Trace,
    only: Sequence[str] | None = None,
    *,
    path: str = "",
    processes: int | None = None,
    progress: Callable[[str], None] = lambda _text: None,
    **parameters: Any,
) -> Answers:
    """The same of a trace that is in memory; of a file of several ranks of each rank too."""
    given: dict[str, Any] = {"path": path, "processes": processes, **parameters}
    whole = _of_trace(trace, only, progress=progress, **given)
    parts = ranks.split(trace)
    if len(parts) == 1:
        return whole
    # their answers were computed for the whole: these are looked up
    own = tuple(_of_trace(part, only, **given) for part in parts)
    return replace(whole, ranks=own)


def _of_trace(
    trace: Trace,
    only: Sequence[str] | None,
    *,
    path: str,
    processes: int | None,
    progress: Callable[[str], None] = lambda _text: None,
    **parameters: Any,
) -> Answers:
    chosen = wanted(only)
    entries = {name: catalog.analysis(name) for name in chosen}
    given = {name: _taken(entry, parameters) for name, entry in entries.items()}
    done: dict[str, Result] = {}
    missing: dict[str, str] = {}
    hints: dict[str, str] = {}
    with _lean(trace), at_once.from_the_end(trace, given, processes):
        for name, entry in entries.items():
            progress(entry.title)
            try:
                done[name] = catalog.answer(trace, name, **given[name])
            except MissingEventsError as reason:
                missing[name] = reason.what
                hints[name] = reason.hint
    for name in sorted(set(catalog.entries()) - set(chosen)) if not only else ():
        missing[name] = "takes long, so it runs only when it is asked for"
        hints[name] = f"ask for it by its name, {name}: --only here, a method in Python"
    trust = _trust(trace, done)
    leaks = redact.leaks(trace.source.meta, trace.strings)
    base = trace.source.meta.get("baseTimeNanoseconds")
    return Answers(
        path or trace.path, trace.source, done, missing, trust, hints, leaks, bool(trace.devices),
        began_ns=trace.origin_ns + (base if isinstance(base, int) else 0),
    )  # fmt: skip


def _taken(entry: catalog.Analysis[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the parameters that an analysis takes."""
    accepted = inspect.signature(entry.run).parameters
    return {k: v for k, v in parameters.items() if k in accepted and v is not None}


def _trust(trace: Trace, done: Mapping[str, Result]) -> dict[str, Trust]:
    """The audit's verdict on each answer; nothing where there is no audit to ask."""
    if "audit" not in catalog.analyses():
        return {}
    # asked as an answer it is whole; else only what touches these is looked at
    whole = "audit" in done or any(catalog.analysis(name).asks_others for name in done)
    accepted = inspect.signature(catalog.analysis("audit").run).parameters
    of = {} if whole or "of" not in accepted else {"of": frozenset(done)}
    try:
        audit = catalog.answer(trace, "audit", **of)
    except MissingEventsError:
        return {}
    assert isinstance(audit, Judge)
    return {name: audit.trust(name) for name in done if name != "audit"}


def merged(many: Sequence[Answers]) -> dict[str, Result]:
    """Each analysis that every trace answered, added up over the traces."""
    shared = set.intersection(*(set(one.answers) for one in many)) if many else set()
    return {
        name: merging.merged(catalog.analysis(name).merge, [one.answers[name] for one in many])
        for name in sorted(shared, key=lambda n: (catalog.analysis(n).order, n))
    }


def to_json(many: Sequence[Answers]) -> dict[str, Any]:
    """The contract of docs/json.md."""
    return {"schema": results.SCHEMA, "traces": [one.to_json() for one in many]}


__all__ = [
    "Answers",
    "TracekitError",
    "answers",
    "merged",
    "of_trace",
    "tables",
    "to_json",
    "wanted",
]
