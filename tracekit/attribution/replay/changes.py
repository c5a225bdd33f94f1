"""What a change makes of the edges of a graph."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from tracekit.attribution import links
from tracekit.attribution.kernels.categories import classify
from tracekit.attribution.replay import host
from tracekit.attribution.replay.graph import Kind
from tracekit.attribution.replay.predict import WORK_CLOCK, Replay, Weights
from tracekit.errors import MissingEventsError, UsageError
from tracekit.records import Record
from tracekit.taxonomy import Category
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Ints, Mask

HOST_SYNC = "host_sync"
REMOVABLE = (HOST_SYNC,)
NAMED = "kernel:"
_MOST_NS = 1 << 60  # of all work: sums of times stay below what 64 bits hold
SHARE = 0.05  # of the GPU time: less is not tried
MANY, MOST_STAGES = 5, 3  # launches an instance from which a graph is tried, and of how many stages


class Change(Record, frozen=True):
    """All that is changed at once."""

    scale: tuple[str, ...] = ()  # `gemm=0.5`, `kernel:REGEX=0.8`
    remove: tuple[str, ...] = ()  # of REMOVABLE
    launch_cost: bool = True  # False: launch calls take no time on the host
    cuda_graphs: tuple[str, ...] = ()  # stages whose host work is one launch an instance

    @property
    def said(self) -> str:
        """In words, as on the command line."""
        return ", ".join(
            (
                *self.scale,
                *(f"without {name}" for name in self.remove),
                *(() if self.launch_cost else ("no launch cost",)),
                *(f"{stage} as CUDA graphs" for stage in self.cuda_graphs),
            )
        )


def weights(replay: Replay, change: Change) -> Weights:
    """The edges after the change.

    Raises: UsageError for what is no category, pattern or wait; MissingEventsError where the trace
    has no work of that kind, or no such stage.
    """
    factor = np.ones(len(replay.graph.edges))
    dropped = np.zeros(len(factor), bool)
    for text in change.scale:
        rows, times = _scaled(replay, text)
        _scale(replay, factor, np.where(rows, times, 1.0))
    if change.scale:
        _check(replay, factor)
    for name in change.remove:
        if name not in REMOVABLE:
            raise UsageError(
                f"{name!r} is nothing that can be removed",
                where="remove", hint=f"choose {', '.join(REMOVABLE)}",
            )  # fmt: skip
        edges = replay.graph.edges
        dropped |= edges.of(Kind.WAIT, Kind.COPY_WAIT)
        factor[edges.of(Kind.CALL, Kind.COPY_CALL)] = 0.0
    if not change.launch_cost:
        factor[replay.graph.edges.of(Kind.LAUNCH)] = 0.0
    for stage in change.cuda_graphs:
        inside, room = _inside(replay, stage)
        factor[inside] = 0.0
        dropped |= room
    return Weights(factor, dropped)


def of_work(replay: Replay, factor: npt.NDArray[np.float64]) -> Weights:
    """The edges where each row of `links.work` takes `factor` [G] times as long."""
    out = np.ones(len(replay.graph.edges))
    _scale(replay, out, factor)
    return Weights(out, np.zeros(len(out), bool))


def _scale(
    replay: Replay, factor: npt.NDArray[np.float64], of_row: npt.NDArray[np.float64]
) -> None:  # fmt: skip
    edges, rows = replay.graph.runs()
    with np.errstate(over="ignore", invalid="ignore"):
        factor[edges] *= of_row[rows]


def _check(replay: Replay, factor: npt.NDArray[np.float64]) -> None:
    """Raises: UsageError where work takes longer than numbers of ns can say."""
    edges, _ = replay.graph.runs()
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(np.dot(replay.graph.edges.ns[edges], factor[edges]))
    if not total < _MOST_NS:  # nor is it, where it is no number
        raise UsageError(
            "all GPU work would take more than 36 years",
            where="scale", hint="choose smaller factors",
        )  # fmt: skip


def _scaled(replay: Replay, text: str) -> tuple[Mask, float]:
    """The work that `NAME=FACTOR` is about, and its factor."""
    name, equals, number = text.rpartition("=")
    try:
        times = float(number)
    except ValueError:
        times = -1.0
    if not equals or not 0 <= times < float("inf"):
        raise UsageError(
            f"{text!r} is no NAME=FACTOR with a factor of 0 or more",
            where="scale", hint="write gemm=0.5, or 'kernel:REGEX=0.8'",
        )  # fmt: skip
    rows = _matching(replay, name)
    if not rows.any():
        raise MissingEventsError(
            f"no GPU work of this trace is {name!r}",
            where=replay.trace.path, hint="see `tracekit analyze --only kernels` for what there is",
        )  # fmt: skip
    return rows, times


def _matching(replay: Replay, name: str) -> Mask:
    if name.startswith(NAMED):
        try:
            return links.work(replay.trace).named(name.removeprefix(NAMED))
        except re.error as fault:
            raise UsageError(
                f"{name!r} has no regular expression ({fault})",
                where="scale", hint="quote special characters with a backslash",
            ) from None  # fmt: skip
    found = [one for one in Category if one.value == name]
    if not found:
        raise UsageError(
            f"{name!r} is no category",
            where="scale", hint=f"choose {', '.join(one.value for one in Category)}",
        )  # fmt: skip
    return classify(replay.trace).of(found[0])


def _inside(replay: Replay, stage: str) -> tuple[Mask, Mask]:
    """[E] host work inside the instances of a stage, but one launch call of each; and [E] waits
    for room in the queue of launches, of which one graph takes one place."""
    marks, edges, when = replay.marks, replay.graph.edges, replay.graph.when
    rows = [
        at for at in range(len(marks))
        if stage in (marks.family[at], marks.stage[at], marks.name[at])
    ]  # fmt: skip
    if not rows:
        raise MissingEventsError(
            f"no stage of this trace is {stage!r}",
            where=replay.trace.path,
            hint=f"choose {', '.join(marks.families) or 'none: it marks none'}",
        )
    graph = replay.graph
    thread = host.threads(replay.trace, marks, graph.places).astype(np.int64)
    rows = [at for at in rows if not marks.repeated[at]]
    order = np.lexsort((when[graph.opens[rows]], thread[graph.opens[rows]]))
    opens, closes = graph.opens[rows][order], graph.closes[rows][order]
    span = int(when.max()) + 1
    keys = thread[opens] * span + when[opens]

    def instance(point: Ints) -> I64:
        """Of each point of a host thread the instance around it; -1 where there is none."""
        at = np.searchsorted(keys, thread[point] * span + when[point], side="right") - 1
        around = (
            (at >= 0) & (thread[opens[at]] == thread[point]) & (when[point] <= when[closes[at]])
        )
        return np.where(around, at, -1)

    own = np.flatnonzero(edges.of(Kind.HOST, Kind.LAUNCH, Kind.LOADING))
    one, two = edges.src[own], edges.targets(own)
    of = instance(one)
    inside = (of >= 0) & (thread[two] == thread[one]) & (when[two] <= when[closes[of]])
    own, one, of = own[inside], one[inside], of[inside]
    launch = np.flatnonzero(edges.kind[own] == Kind.LAUNCH)
    launch = launch[np.lexsort((when[one[launch]], of[launch]))]
    some, first = segments.firsts(of[launch])
    out, room = np.zeros((2, len(edges)), bool)
    out[own[np.isin(of, some)]] = True
    out[own[launch[first]]] = False
    slots = np.flatnonzero(edges.of(Kind.SLOT))
    room[slots[np.isin(instance(edges.targets(slots)), some)]] = True
    return out, room


def graphable(replay: Replay) -> tuple[str, ...]:
    """Stages of which CUDA graphs may leave one launch: those with most launches, many each time,
    and no wait of the host inside, which no capture takes.
    """
    made, launch = replay.graph, links.launch_row(replay.trace)
    waits = np.flatnonzero(made.edges.of(Kind.WAIT, Kind.COPY_WAIT))
    returns = np.sort(made.when[segments.sorted_unique(made.edges.targets(waits))])
    found = []
    for window in replay.windows:
        if window.clock != WORK_CLOCK:
            continue
        calls = launch[np.concatenate(window.ends) - made.places.end]
        count, times = len(segments.sorted_unique(calls[calls >= 0])), len(window.begins)
        held = window.stage in replay.marks.families and _waits(replay, window.stage, returns)
        if count >= MANY * times and not held:
            found.append((count, window.stage))
    return tuple(stage for _, stage in sorted(found, reverse=True)[:MOST_STAGES])


def _waits(replay: Replay, family: str, returns: I64) -> bool:
    """Whether more than one call that waits returns inside an instance: one may be its end."""
    marks, graph, when = replay.marks, replay.graph, replay.graph.when
    rows = marks.members[marks.families.index(family)]
    low = np.searchsorted(returns, when[graph.opens[rows]], side="left")
    high = np.searchsorted(returns, when[graph.closes[rows]], side="left")
    return bool((high - low > 1).any())


def candidates(replay: Replay) -> tuple[Change, ...]:
    """What is tried where nothing is named: each kind of work twice as fast, the host's waits and
    launches, and CUDA graphs of stages that may be captured."""
    gpu, classes = links.work(replay.trace), classify(replay.trace)
    spent = {one: int(gpu.dur[classes.of(one)].sum()) for one in Category}
    total = max(sum(spent.values()), 1)
    scaled = tuple(
        Change(scale=(f"{one.value}=0.5",)) for one in Category
        if spent[one] >= SHARE * total
    )  # fmt: skip
    waits = replay.graph.edges.of(Kind.WAIT, Kind.COPY_WAIT).any()
    return (
        *scaled,
        *((Change(remove=(HOST_SYNC,)),) if waits else ()),
        Change(launch_cost=False),
        *(Change(cuda_graphs=(stage,)) for stage in graphable(replay)),
    )
