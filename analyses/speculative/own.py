"""The rounds that `tracekit capture` marks, and the requests that they belong to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.stages import instances
from tracekit.records import Record
from tracekit.taxonomy import ACCEPT, DRAFT_STEP, ROLL_BACK, ROUND, TRANSLATE, VERIFY, Stage
from tracekit.trace.spans import nesting
from tracekit.trace.spans.segments import sorted_unique
from tracekit.trace.trace import I64, Cat, Trace

from . import marked
from .marked import Marked

AHEAD = (Stage.LOAD, Stage.PREPROCESS, Stage.ENCODE, Stage.PREFILL)  # of decode


class Request(Record, frozen=True):
    """One request with rounds; times in ns of the trace."""

    number: int  # of its sample marker, else its place
    sample: int | None  # of its sample marker
    start_ns: int  # of its first stage
    decode_ns: int  # start of decode
    end_ns: int  # of decode
    target: Mapping[str, int]  # time of each stage before decode, without the draft's within
    draft: Mapping[str, int]


def rounds(trace: Trace) -> tuple[Marked, list[Request]] | None:
    """The rounds of our own marks, sorted by request and start; None where there are none."""
    notes = links.marks(trace)
    kinds = _kinds(notes)
    chosen = np.flatnonzero(kinds == _ROUND)
    if not len(chosen):
        return None
    thread = links.thread(trace)[trace.is_(Cat.ANNOTATION)]
    decode = np.flatnonzero(notes.named(f"^{Stage.DECODE.marker}$"))
    around = nesting.innermost(
        thread[decode], notes.ts[decode], notes.end[decode],
        thread[chosen], notes.ts[chosen], notes.end[chosen],
    )  # fmt: skip
    # rounds without a decode stage around them are one request a thread
    key = np.where(around >= 0, around, len(decode) + thread[chosen])
    order = np.lexsort((notes.ts[chosen], key))
    chosen, key = chosen[order], key[order]
    group = np.unique(key, return_inverse=True)[1].astype(np.int64)
    found = _marked(notes, thread, kinds, chosen, group)
    return found, _requests(trace, found, np.unique(key), decode)


_ROUND = 100


def _kinds(notes: Trace) -> I64:
    """[M] what each annotation marks: a kind of part, a round, or -1."""
    exact = {
        VERIFY: marked.VERIFY, ACCEPT: marked.ACCEPT, ROLL_BACK: marked.ROLL_BACK,
        TRANSLATE: marked.TRANSLATE,
    }  # fmt: skip
    out = np.full(len(notes), -1, np.int64)
    for number in sorted_unique(notes.name).tolist():
        name = notes.strings[number]
        kind = exact.get(name, -1)
        if _numbered(name, ROUND):
            kind = _ROUND
        elif _numbered(name, DRAFT_STEP):
            kind = marked.DRAFT
        if kind >= 0:
            out[notes.name == number] = kind
    return out


def _numbered(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


def _marked(notes: Trace, thread: I64, kinds: I64, chosen: I64, group: I64) -> Marked:
    parts = np.flatnonzero((kinds >= 0) & (kinds != _ROUND))
    inside = nesting.innermost(
        thread[chosen], notes.ts[chosen], notes.end[chosen],
        thread[parts], notes.ts[parts], notes.end[parts],
    )  # fmt: skip
    parts, inside = parts[inside >= 0], inside[inside >= 0]
    return Marked(
        start=notes.ts[chosen], end=notes.end[chosen], mark=chosen,
        number=np.array([int(notes.text(row).removeprefix(ROUND)) for row in chosen], np.int64),
        group=group, part_round=inside, part_kind=kinds[parts], part_start=notes.ts[parts],
        part_end=notes.end[parts],
    )  # fmt: skip


class _Stages(Record, frozen=True, eq=False):
    """Rows of `links.marks` that mark stages before decode, and the sample each row lies in."""

    notes: Trace
    sample: I64  # [M] or -1
    target: Mapping[Stage, I64]
    draft: Mapping[Stage, I64]


def _requests(trace: Trace, found: Marked, keys: I64, decode: I64) -> list[Request]:
    """One a group of rounds: its stages are those of its sample, or since the decode before."""
    notes = links.marks(trace)
    stages = _Stages(
        notes, instances.samples(trace, notes.pid, notes.ts),
        {stage: np.flatnonzero(notes.named(f"^{stage.marker}$")) for stage in AHEAD},
        {stage: np.flatnonzero(notes.named(f"^{stage.draft_marker}$")) for stage in AHEAD},
    )  # fmt: skip
    first = np.searchsorted(found.group, np.arange(len(keys)))
    numbers = stages.sample[found.mark[first]].tolist()
    named = -1 not in numbers and len(set(numbers)) == len(numbers)
    out: list[Request] = []
    before: dict[int, int] = {}  # by process, the end of the request before
    for place, key in enumerate(keys.tolist()):
        own = np.flatnonzero(found.group == place)
        pid = int(notes.pid[found.mark[own[0]]])
        start, end = int(found.start[own[0]]), int(found.end[own].max())
        if key < len(decode):
            start, end = int(notes.ts[decode[key]]), int(notes.end[decode[key]])
        sample = numbers[place] if named else None
        window = (before.get(pid, 0), start)
        out.append(_request(stages, pid, sample, window, end, place))
        before[pid] = end
    return out


def _request(
    stages: _Stages, pid: int, sample: int | None, window: tuple[int, int], end: int, place: int
) -> Request:
    """`window`: from the end of the request before to the start of decode."""
    notes, (low, start) = stages.notes, window

    def mine(rows: I64) -> I64:
        keep = (notes.pid[rows] == pid) & (notes.ts[rows] >= low) & (notes.ts[rows] <= start)
        keep &= True if sample is None else stages.sample[rows] == sample
        return np.asarray(rows[keep], np.int64)

    target: dict[str, int] = {}
    draft: dict[str, int] = {}
    first = start
    for stage in AHEAD:
        own, other = mine(stages.target[stage]), mine(stages.draft[stage])
        if len(own):
            within = sum(_overlap(notes, row, own) for row in other.tolist())
            target[stage.value] = int(notes.dur[own].sum()) - within
        if len(other):
            draft[stage.value] = int(notes.dur[other].sum())
        first = min([first, *notes.ts[own].tolist(), *notes.ts[other].tolist()])
    number = place if sample is None else sample
    return Request(number, sample, first, start, end, target, draft)


def _overlap(notes: Trace, row: int, around: I64) -> int:
    """ns of one annotation that lie in others, which do not overlap."""
    low = np.maximum(notes.ts[around], notes.ts[row])
    high = np.minimum(notes.end[around], notes.end[row])
    return int(np.maximum(high - low, 0).sum())
