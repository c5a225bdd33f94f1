"""The nn.Module that each piece of GPU work belongs to: by frames, markers, or its own name.

torch.profiler with `with_stack` writes a Python frame `nn.Module: LlamaMLP_3`
around each call of a module; 3 counts modules of the class. Programs without stacks can mark
modules by annotations of the same name. The work of a replayed CUDA graph may carry its module's
name (module_paths.py), which says more than the frame around the launch of the whole graph; else
the frames around the captured launch (graphs/) say it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.kernels import module_paths
from tracekit.attribution.kernels.graphs.origin import origin
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.spans import segments
from tracekit.trace.spans.nesting import innermost, parents
from tracekit.trace.trace import I64, Cat, Trace

FRAME = later(r"^nn\.Module: (?P<kind>.*?)(?:_(?P<number>\d+))?$")


class Module(Record, frozen=True):
    """A module by its frame's name."""

    name: str  # LlamaMLP_3
    kind: str  # LlamaMLP
    number: int | None  # 3


@lru_cache(maxsize=65536)
def of_frame(name: str) -> Module | None:
    """The module that a frame's name names, or None for any other frame."""
    found = FRAME.match(name)
    if not found:
        return None
    number = found["number"]
    return Module(name.removeprefix("nn.Module: "), found["kind"], int(number) if number else None)


def frames(trace: Trace) -> Trace:
    """The calls of modules, sorted by start, the longer first."""

    def make() -> Trace:
        rows = trace.is_(Cat.PYTHON, Cat.ANNOTATION) & trace.named(r"^nn\.Module: ")
        return trace.where(np.flatnonzero(rows))

    return trace.once("module_frames", make)


def _thread(trace: Trace) -> I64:
    """[F] the thread of each row of `frames`: see `links.thread`."""
    rows = trace.is_(Cat.PYTHON, Cat.ANNOTATION) & trace.named(r"^nn\.Module: ")
    return np.asarray(links.thread(trace)[rows])


def parent_row(trace: Trace) -> I64:
    """[F] for each row of `frames`, the row of `frames` of the innermost module around it, or -1.

    A frame and a marker of the same call nest: the marker's time is the frame's.
    """

    def make() -> I64:
        calls = frames(trace)
        return parents(_thread(trace), calls.ts, calls.end)

    return trace.once("module_parent_row", make)


def work_row(trace: Trace) -> I64:
    """[G] for each row of `links.work`, the row of `frames` of the innermost module around its
    launch, or -1.
    """

    def make() -> I64:
        called = frames(trace)
        host = links.calls(trace)
        found = innermost(
            _thread(trace), called.ts, called.end,
            links.call_thread(trace), host.ts, host.end,
        )  # fmt: skip
        launch = links.launch_row(trace)
        out = np.full(len(launch), -1, np.int64)
        known = launch >= 0
        out[known] = found[launch[known]]
        return out

    return trace.once("module_work_row", make)


def kinds_of_frames(trace: Trace) -> tuple[I64, tuple[str, ...]]:
    """[F] the class of the module of each row of `frames`, as an index into the second."""

    def make() -> tuple[I64, tuple[str, ...]]:
        distinct, inverse = segments.codes(frames(trace).name)
        texts = [trace.strings[name] for name in distinct.tolist()]
        names = [found.kind if (found := of_frame(text)) else text for text in texts]
        classes = tuple(dict.fromkeys(names))
        number = {name: i for i, name in enumerate(classes)}
        return np.array([number[name] for name in names], np.int64)[inverse], classes

    return trace.once("kinds of module frames", make)


def _together(one: tuple[str, ...], two: tuple[str, ...]) -> tuple[tuple[str, ...], list[I64]]:
    """The names of both, and of each side's names the place among them."""
    every = tuple(dict.fromkeys((*one, *two)))
    number = {name: at for at, name in enumerate(every)}
    return every, [np.array([number[name] for name in side], np.int64) for side in (one, two)]


def paths(trace: Trace) -> tuple[I64, tuple[str, ...]]:
    """[G] the module named on each row of `links.work`, as an index into the second, or -1.

    A frame around the launch of a single kernel says it already: there the name is not used.
    """

    def make() -> tuple[I64, tuple[str, ...]]:
        code, names = module_paths.written(trace)
        if not names:
            return code, names
        return np.where((work_row(trace) < 0) | links.replayed(trace), code, -1), names

    return trace.once("module_work_path", make)


def kinds(trace: Trace) -> tuple[I64, tuple[str, ...]]:
    """[G] what each row of `links.work` belongs to, as an index into the second, or -1: the class
    of the module that launched it, or the path of the module named on it, of any layer.
    """
    return trace.once("kinds of modules", lambda: _kinds(trace))


def _kinds(trace: Trace) -> tuple[I64, tuple[str, ...]]:
    of_row, classes = kinds_of_frames(trace)
    row = work_row(trace)
    out = np.full(len(row), -1, np.int64)
    out[row >= 0] = of_row[row[row >= 0]]
    captured = origin(trace)
    if captured is not None:
        of_captured, more = kinds(captured.trace)
        classes, (first, second) = _together(classes, more)
        out = np.where(out >= 0, first[out], -1) if len(first) else out
        known = of_captured >= 0
        out[captured.row[known]] = second[of_captured[known]]
    code, names = paths(trace)
    if not names:
        return out, classes
    of_path = [module_paths.of_name(name).kind for name in names]
    every = tuple(dict.fromkeys((*classes, *of_path)))
    number = {kind: i for i, kind in enumerate(every)}
    return np.where(code >= 0, np.array([number[kind] for kind in of_path])[code], out), every
