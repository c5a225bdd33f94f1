"""The speculative steps of vLLM and SGLang, as far as their annotations tell them.

A round runs from one verify pass to the next, or to the next step that is none. Which requests are
in a step, and what was accepted, no annotation says.

Sources: vLLM, vllm/v1/worker/gpu_model_runner.py (`gpu_model_runner: forward`, `: sample`,
`: draft`, with VLLM_CUSTOM_SCOPES_FOR_PROFILING=1, around whatever proposes: EAGLE, MTP, n-grams;
`execute_…_generation_R(T)` names R requests and T tokens, one of each request its own and the
others drafted); SGLang's ForwardMode in `step[…]`, and the annotations `draft` and `draft_extend`
of its EAGLE workers, as programs that read its traces name them. Its NGRAM worker marks its verify
passes alone.
"""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.stages.annotation_names import Phase, Step, Writer, recognise
from tracekit.trace.spans import nesting
from tracekit.trace.spans.segments import sorted_unique
from tracekit.trace.trace import I64, Cat, Trace

from . import marked
from .marked import Marked

_VLLM = {
    "gpu_model_runner: forward": marked.VERIFY,
    "gpu_model_runner: sample": marked.ACCEPT,
    "gpu_model_runner: draft": marked.DRAFT,
}
_SGLANG = {"draft": marked.DRAFT, "draft_extend": marked.DRAFT}
_OTHER = 100  # a step that verifies nothing


def rounds(trace: Trace) -> tuple[Marked, str, list[int | None]] | None:
    """The steps of an engine, its name, and what each round drafted; None where there are none."""
    notes = links.marks(trace)
    names = {n: notes.strings[n] for n in sorted_unique(notes.name).tolist()}
    if any(name == "gpu_model_runner: draft" for name in names.values()):
        kinds, drafted = _vllm(trace, names)
        engine = "vLLM"
    elif any((s := recognise(name)) and s.phase is Phase.VERIFY for name in names.values()):
        kinds, drafted = _sglang(notes, names), {}
        engine = "SGLang"
    else:
        return None
    found = _between(trace, kinds)
    if found is None:
        return None
    row = {int(mark): at for at, mark in enumerate(found.mark)}
    each: list[int | None] = [None] * len(row)
    for mark, count in drafted.items():
        if mark in row:
            each[row[mark]] = count
    return found, engine, each


def _sglang(notes: Trace, names: dict[int, str]) -> I64:
    """[M] kinds; of what lies in a part of its own kind, nothing."""
    out = np.full(len(notes), -1, np.int64)
    for number, name in names.items():
        step = recognise(name)
        kind = _SGLANG.get(name, -1)
        if step is not None and step.writer is Writer.SGLANG:
            kinds = {Phase.VERIFY: marked.VERIFY, Phase.DRAFT: marked.DRAFT}
            kind = kinds.get(step.phase, _OTHER) if step.phase is not None else -1
        if kind >= 0:
            out[notes.name == number] = kind
    return out


def _vllm(trace: Trace, names: dict[int, str]) -> tuple[I64, dict[int, int]]:
    """[M] kinds, and by verify pass the tokens that it was given to check, where its step says.

    A forward pass verifies where its step generates more tokens than it has requests; without a
    step around it, where a draft was made since the forward pass before.
    """
    notes = links.marks(trace)
    thread = links.thread(trace)[trace.is_(Cat.ANNOTATION)]
    out = np.full(len(notes), -1, np.int64)
    steps: dict[int, Step] = {}
    for number, name in names.items():
        if name in _VLLM:
            out[notes.name == number] = _VLLM[name]
        elif (step := recognise(name)) is not None and step.writer is Writer.VLLM:
            steps |= {int(row): step for row in np.flatnonzero(notes.name == number)}
    rows = np.flatnonzero(out >= 0)
    rows = rows[np.lexsort((notes.ts[rows], thread[rows]))]
    outer = np.array(sorted(steps), np.int64)
    around = nesting.innermost(
        thread[outer], notes.ts[outer], notes.end[outer],
        thread[rows], notes.ts[rows], notes.end[rows],
    )  # fmt: skip
    drafted: dict[int, int] = {}
    fresh: dict[int, bool] = {}  # by thread: a draft was made since the forward pass before
    for row, at in zip(rows.tolist(), around.tolist(), strict=True):
        owner = int(thread[row])
        if out[row] == marked.VERIFY:
            count = _drafted(steps[int(outer[at])]) if at >= 0 else None
            if count is not None:
                drafted[row] = count
            elif at >= 0 or not fresh.get(owner, False):
                out[row] = _OTHER
            fresh[owner] = False
        elif out[row] == marked.DRAFT:
            fresh[owner] = True
    return out, drafted


def _drafted(step: Step) -> int | None:
    """Draft tokens in a step that only generates; None where it verifies none, or does not say."""
    made, requests = step.decode_tokens, step.decode_requests
    if step.phase is not Phase.DECODE or made is None or requests is None or made <= requests:
        return None
    return made - requests


def _between(trace: Trace, kinds: I64) -> Marked | None:
    """Rounds from one verify pass of a thread to the next, or to the next step that is none."""
    notes = links.marks(trace)
    thread = links.thread(trace)[trace.is_(Cat.ANNOTATION)]
    rows = np.flatnonzero(kinds >= 0)
    rows = rows[np.lexsort((notes.ts[rows], thread[rows]))]
    rows = rows[_outermost(notes, thread, kinds, rows)]
    start: list[int] = []
    end: list[int] = []
    mark: list[int] = []
    group: list[int] = []
    part: list[int] = []
    part_round: list[int] = []
    opened = False
    for row in rows.tolist():
        kind = int(kinds[row])
        if group and thread[row] != group[-1]:
            opened = False
        if kind == marked.VERIFY:
            start.append(int(notes.ts[row]))
            end.append(int(notes.end[row]))
            mark.append(row)
            group.append(int(thread[row]))
            opened = True
        elif kind == _OTHER:
            opened = False
        if opened:
            end[-1] = max(end[-1], int(notes.end[row]))
            part_round.append(len(start) - 1)
            part.append(row)
    if not start:
        return None
    chosen = np.array(part, np.int64)
    numbers = np.unique(np.array(group), return_inverse=True)[1]
    return Marked(
        start=np.array(start, np.int64), end=np.array(end, np.int64),
        mark=np.array(mark, np.int64), number=np.arange(len(start), dtype=np.int64),
        group=numbers.astype(np.int64), part_round=np.array(part_round, np.int64),
        part_kind=kinds[chosen], part_start=notes.ts[chosen], part_end=notes.end[chosen],
    )  # fmt: skip


def _outermost(notes: Trace, thread: I64, kinds: I64, rows: I64) -> I64:
    """Places of the rows that lie in no other of them."""
    above = nesting.parents(thread[rows], notes.ts[rows], notes.end[rows])
    return np.flatnonzero(above < 0)
