"""Ranks of one job: clocks of their hosts, pipeline bubbles, tokens and what experts were given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from tracekit.answers.collectives import Collectives
from tracekit.answers.devices import Devices
from tracekit.answers.stages import Stages
from tracekit.attribution.collectives.clocks import HostClock
from tracekit.attribution.stages.annotation_names import recognise
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.report.many import groups, runs
from tracekit.report.many.groups import Row
from tracekit.report.many.ranks import has
from tracekit.report.many.runs import Side
from tracekit.results.result import Column, Grid, Unit
from tracekit.results.units import bytes_, count, duration, plural, share

UNEVEN = 0.05  # above the mean: worth a sentence
_POINT_TO_POINT = later(r"i?(send|recv)", re.IGNORECASE)  # as c10d names them
_ALL_TO_ALL = later(r"all_?to_?all", re.IGNORECASE)


# ---------------------------------------------------------------- clocks


def clocks(found: Sequence[HostClock]) -> Grid | None:
    """Each rank's clock against the first one's."""
    known = [one for one in found if one.ahead_ns is not None]
    if len(known) < 2:
        return None
    columns = (
        Column("rank"),
        Column("clock ahead", "ns", f"Of that of {found[0].rank}: the median difference between "
               "the ends of the calls that both take part in."),
        Column("certain within", "ns", "No kernel of a call in which all ranks wait for all ends "
               "before the last has begun: the true difference is no further away than this."),
        Column("spread", "ns", "Half of the range that holds nine tenths of the calls' "
               "differences: how well the calls agree."),
        Column("calls", "count", "That it rests on."),
    )  # fmt: skip
    rows = [(one.rank, one.ahead_ns, one.error_ns, one.spread_ns, one.calls) for one in found]
    return Grid("clocks", "Clocks of the ranks' hosts", columns, rows,
                absent="– no call joins it, or no one difference fits all calls.")  # fmt: skip


def clock_sentence(found: Sequence[HostClock]) -> str:
    """The clock that is farthest from the first one's, where that is certain."""
    apart = [one for one in found if abs(one.ahead_ns or 0) > (one.error_ns or 0)]
    if not apart:
        return ""
    most = max(apart, key=lambda one: abs(one.ahead_ns or 0))
    ahead, error = most.ahead_ns or 0, most.error_ns or 0
    more = f", {plural(len(apart) - 1, 'other')} less" if len(apart) > 1 else ""
    return (
        f"Clocks differ: that of {most.rank} is {duration(abs(ahead))} "
        f"{'ahead of' if ahead > 0 else 'behind'} that of {found[0].rank}, certain within "
        f"{duration(error)} by the ends of {plural(most.calls, 'collective call')}{more}."
    )


# ---------------------------------------------------------------- bubbles


class Bubble(Record, frozen=True):
    """One rank of a pipeline, ns of its device; the mean of several devices."""

    window_ns: float
    message_ns: float  # only messages between two ranks ran: transfer, and waiting for the other
    idle_ns: float

    @property
    def share(self) -> float:
        """Of the window: neither compute nor any other communication."""
        return (self.message_ns + self.idle_ns) / self.window_ns if self.window_ns else 0.0


def bubble(side: Side) -> Bubble | None:
    """None for a rank without messages between two ranks."""
    calls, devices = side.one.get(Collectives), side.one.get(Devices)
    if calls is None or devices is None or not devices.rows:
        return None
    own = [row.exposed_ns for row in calls.rows if _POINT_TO_POINT.fullmatch(row.name)]
    if not own:
        return None
    many = len(devices.rows)
    return Bubble(
        sum(row.seen_window_ns for row in devices.rows) / many, sum(own) / many,
        sum(row.seen_idle_ns for row in devices.rows) / many,
    )  # fmt: skip


def bubbles(sides: Sequence[Side], rows: Sequence[Row]) -> Grid | None:
    """Of the ranks of a pipeline, what they do not work."""
    found = [bubble(side) for side in sides]
    cells = []
    for row in rows:
        own = [one for i in row.members if (one := found[i]) is not None]
        if own:
            cells.append((
                row.label, fmean(b.window_ns for b in own), fmean(b.message_ns for b in own),
                fmean(b.idle_ns for b in own), fmean(b.share for b in own),
            ))  # fmt: skip
    columns = (
        Column("rank"), Column("window", "ns", "Of its device, unaccounted time left out."),
        Column("messages alone", "ns", "Time in which only kernels of send and recv ran: transfer, "
               "and waiting for the neighbouring stage."),
        Column("idle", "ns", "Time in which the device had no work."),
        Column("bubble at most", "share", "Both over the window. Of the messages the transfer "
               "itself is no bubble, and no trace of one rank tells it apart."),
    )  # fmt: skip
    if not cells:
        return None
    return Grid("bubbles", "Pipeline bubbles", columns, cells, groups.said(rows, len(sides)))


def bubble_sentence(sides: Sequence[Side]) -> str:
    """From the least to the most."""
    found = [(one.share, side.name) for side in sides if (one := bubble(side)) is not None]
    if len(found) < 2:
        return ""
    low, high = min(found)[0], max(found)[0]
    least, most = (runs.whose(found, value, share) for value in (low, high))
    return (
        f"Pipeline: ranks are without compute, idle or in send and recv alone, for {share(low)} "
        f"({least}) to {share(high)} ({most}) of their windows."
    )


# ---------------------------------------------------------------- tokens and experts


class Load(Record, frozen=True):
    """What work one rank was given; None where its file does not say."""

    prefill_tokens: int | None
    decode_tokens: int | None
    received_bytes: int | None  # by all-to-all: what its experts were given, and what came back


def load(side: Side) -> Load:
    """Tokens as the engine's annotations count them; bytes as the profiler does."""
    stages, calls = side.one.get(Stages), side.one.get(Collectives)
    steps = [step for row in (stages.rows if stages is not None else ())
             if not row.repeated and (step := recognise(row.name)) is not None]  # fmt: skip
    own = [row.received_bytes for row in (calls.rows if calls is not None else ())
           if _ALL_TO_ALL.search(row.name) and row.received_bytes is not None]  # fmt: skip
    return Load(
        _known([s.prefill_tokens for s in steps]), _known([s.decode_tokens for s in steps]),
        sum(own) if own else None,
    )  # fmt: skip


def _known(values: Sequence[int | None]) -> int | None:
    """The sum; None where no step says, or none has any."""
    return sum(v for v in values if v is not None) or None


_LOADS: tuple[tuple[str, str, Unit, Callable[[Load], int | None], str], ...] = (
    ("tokens of prefill", "Tokens of prefill are", "count", lambda own: own.prefill_tokens,
     "As the engine's annotations of its steps count them, added up."),
    ("tokens of decode", "Tokens of decode are", "count", lambda own: own.decode_tokens,
     "As the engine's annotations of its steps count them, added up."),
    ("received by all-to-all", "What all-to-all brings is", "bytes", lambda own: own.received_bytes,
     "Bytes that this rank got in all-to-all calls: of a mixture of experts what its experts were "
     "given, and what others' sent back."),
)  # fmt: skip


def loads(sides: Sequence[Side], rows: Sequence[Row]) -> Grid | None:
    """What each rank was given, as far as all files say."""
    own = [load(side) for side in sides]
    known = [entry for entry in _LOADS if all(entry[3](one) is not None for one in own)]
    if not known:
        return None
    columns = (Column("rank"), *(Column(name, unit, said) for name, _, unit, _, said in known))
    cells = [
        (row.label, *(fmean(of(own[i]) or 0 for i in row.members) for _, _, _, of, _ in known))
        for row in rows
    ]
    title = "Tokens, and what all-to-all brought"
    return Grid("loads", title, columns, cells, groups.said(rows, len(sides)))


def load_sentences(sides: Sequence[Side]) -> Iterable[str]:
    """What is given unevenly."""
    own = [(load(side), side.name) for side in sides]
    for _, said, unit, of, _ in _LOADS:
        values = [(value, name) for one, name in own if (value := of(one)) is not None]
        if len(values) < max(len(own), 2):
            continue
        mean, low, high = fmean(v for v, _ in values), min(values)[0], max(values)[0]
        if high >= (1 + UNEVEN) * mean:
            show: Callable[[float], str] = bytes_ if unit == "bytes" else count
            least, most = (runs.whose(values, value, show) for value in (low, high))
            yield (
                f"{said} uneven: {most} {has(most)} {show(high)}, {high / mean - 1:.0%} above the "
                f"mean of {show(mean)}; {least} {has(least)} {show(low)}."
            )
