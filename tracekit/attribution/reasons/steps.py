"""Steps of an engine or a decoding loop: where one ends and the next begins, for idle time."""

from __future__ import annotations

import re

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.stages import annotation_names
from tracekit.attribution.stages.annotation_names import Phase, Writer
from tracekit.patterns import later
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Mask, Trace

# a step does the work of a model; the other stages of a request are no steps
_STEPS = frozenset({Phase.PREFILL, Phase.DECODE, Phase.MIXED, Phase.VERIFY, Phase.DRAFT})
# what engines and scripts call one pass of the model
_MODEL_STEP = later(
    r"(?:^|[\s:._/])(?:execute_model|run_batch|forward_batch\w*|engine_step|model_step|decode_step"
    r"|generation_step|(?:model_)?forward_step|generate_(?:one_)?token)\b"
)
# vLLM marks the parts of a step, where it is asked to; the first that is there begins one
_RUNNER = tuple(f"gpu_model_runner: {part}" for part in ("preprocess", "forward"))
_STEP_NODES = 50  # kernels of a graph that is a step: a layer has ten or so
_FEWEST = 5  # graph launches, or annotations of one name
_NODES = 8  # kernels of a graph that follows its like with nothing between
_MOST = 0.8  # of the graph launches, or of the launches
# parts of a pass that a program may mark by one name each
_PART = later(
    r"layer|block|attn|attention|mlp|ffn|expert|head|conv|norm|module|micro|bucket|chunk|stage",
    re.IGNORECASE,
)
_NOT_STEPS = frozenset({Phase.CAPTURE, Phase.IDLE})


def between_steps(trace: Trace, opener: I64, closer: I64) -> Mask:
    """[G] whether the work on either side of a gap was launched in different steps.

    A step reaches from the start of its annotation to the start of the next one, since engines
    launch a little after the annotation's end. Opener and closer are rows of `links.work`, -1 for
    none.
    """
    era, is_step = _eras(trace)
    out = np.zeros(len(opener), bool)
    both = np.flatnonzero((opener >= 0) & (closer >= 0))
    one, two = era[opener[both]], era[closer[both]]
    known = (one >= 0) & (two >= 0) & (one != two)
    out[both[known]] = is_step[one[known]] & is_step[two[known]]
    return out


def _eras(trace: Trace) -> tuple[I64, Mask]:
    """[G] the annotation that began last before each launch, -1 for none; [A] whether a step."""

    def make() -> tuple[I64, Mask]:
        edge, step = _edges(trace)
        starts, is_step = links.marks(trace).where(edge), step[edge]
        gpu, launch = links.work(trace), links.launch_row(trace)
        if not len(starts):
            starts = links.calls(trace).where(_graphs(trace))
            starts = starts if len(starts) else _repeated(trace)
            is_step = np.ones(len(starts), bool)
        era = np.full(len(gpu), -1, np.int64)
        linked = np.flatnonzero(launch >= 0)
        pid = links.calls(trace).pid[launch[linked]]
        when = links.launch_start(trace)[linked]
        for process in segments.sorted_unique(starts.pid).tolist():
            own = np.flatnonzero(starts.pid == process)
            mine = pid == process
            at = np.searchsorted(starts.ts[own], when[mine], side="right") - 1
            era[linked[mine]] = np.where(at >= 0, own[np.maximum(at, 0)], -1)
        return era, is_step

    return trace.once("eras of steps", make)


def _edges(trace: Trace) -> tuple[Mask, Mask]:
    """[A] which annotations begin something new, and which of them are steps.

    Steps of vLLM or SGLang; else tracekit's own stages and decode steps; else what a program calls
    prefill, decode or a model's step in so many words.
    """
    notes = links.marks(trace)
    found = {
        int(n): annotation_names.recognise(notes.strings[int(n)])
        for n in segments.sorted_unique(notes.name)
    }
    for writers in ((Writer.VLLM, Writer.SGLANG), (Writer.TRACEKIT,)):
        edges = [
            n for n, s in found.items()
            if s is not None and s.writer in writers and s.phase not in _NOT_STEPS
        ]  # fmt: skip
        if edges:
            steps = [n for n in edges if (s := found[n]) is not None and s.phase in _STEPS]
            return _rows(notes, edges), _rows(notes, steps)
    text = {notes.strings[n]: n for n in found}
    runner = next((part for part in _RUNNER if part in text), None)
    spoken = [text[runner]] if runner is not None else [
        n for n in found
        if annotation_names.spoken(notes.strings[n]) or _MODEL_STEP.search(notes.strings[n])
    ]  # fmt: skip
    return _rows(notes, spoken), _rows(notes, spoken)


def _graphs(trace: Trace) -> Mask:
    """[R] graph launches of a whole step, where these launched most of the work.

    A graph of a piece of a step (vLLM's piecewise graphs) has fewer nodes, and there are several
    of it in a ProfilerStep.
    """
    count = links.launch_count(trace)
    whole = (count >= _STEP_NODES) | _one_a_step(trace, count) | _alone(trace, count)
    if whole.sum() < _FEWEST or count[whole].sum() * 2 < count.sum():
        return np.zeros(len(count), bool)
    return whole


def _one_a_step(trace: Trace, count: I64) -> Mask:
    """[R] graph launches, where no ProfilerStep has two of them."""
    graph = np.flatnonzero(count > 1)
    notes = links.marks(trace)
    steps = notes.ts[notes.named(r"^ProfilerStep#\d+$")]
    step = np.searchsorted(steps, links.calls(trace).ts[graph], side="right") - 1
    out = np.zeros(len(count), bool)
    out[graph] = len(graph) > 0 and step[0] >= 0 and len(segments.sorted_unique(step)) == len(graph)
    return out


def _alone(trace: Trace, count: I64) -> Mask:
    """[R] graph launches, where nearly each follows one of as many kernels with nothing between.

    Between pieces of a step the attention is launched.
    """
    calls, out = links.calls(trace), np.zeros(len(count), bool)
    order = np.flatnonzero(count > 0)
    order = order[np.argsort(calls.pid[order], kind="stable")]
    many, pid = count[order], calls.pid[order]
    graph = many >= _NODES
    again = graph[1:] & (many[1:] == many[:-1]) & (pid[1:] == pid[:-1])
    if graph.sum() > _FEWEST and again.sum() >= _MOST * graph.sum():
        out[order[graph]] = True
    return out


def _repeated(trace: Trace) -> Trace:
    """The annotations of one name, one after another, in which nearly all work is launched.

    Of several that hold one another the outermost; none of a name that says a part of a pass.
    """
    notes, calls = links.marks(trace), links.calls(trace)
    issued = calls.ts[links.launch_count(trace) > 0]
    best, length = notes.where(np.zeros(len(notes), bool)), 0
    for name in segments.sorted_unique(notes.name).tolist():
        text = notes.strings[name]
        mine = notes.where(notes.name == name)
        if len(mine) < _FEWEST or _PART.search(text) or annotation_names.is_library(text):
            continue
        step = annotation_names.recognise(text)
        if (
            step is not None
            or (mine.end[:-1] > mine.ts[1:]).any()
            or len(segments.sorted_unique(mine.tid)) > 1
        ):
            continue
        at = np.searchsorted(mine.ts, issued, side="right") - 1
        inside = (at >= 0) & (issued < mine.end[np.maximum(at, 0)])
        total = int(mine.dur.sum())
        if len(issued) and inside.sum() >= _MOST * len(issued) and total > length:
            best, length = mine, total
    return best


def _rows(notes: Trace, names: list[int]) -> Mask:
    return np.isin(notes.name, np.array(names, np.int32))
