"""A gate for traces: which times are slower beyond noise, and by more than is allowed.

The noise is that of the repeats in the files: of traces where both sides have several of their own,
else of requests. One process a side says nothing of what differs from process to process.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from statistics import fmean
from typing import Literal

import numpy as np

from tracekit.answers.stages import Stages
from tracekit.comparison import rates
from tracekit.comparison.compare import Comparison
from tracekit.comparison.rates import Rate
from tracekit.comparison.runs import Run
from tracekit.errors import TracekitError
from tracekit.records import Record
from tracekit.results import units
from tracekit.results.result import Column, Grid
from tracekit.results.student import half_width
from tracekit.trace import run_facts

CONFIDENCE = 0.95  # of all lines together
LEAST = 0.01  # a smaller change is none; a stage of a smaller share of all stages fails no gate
Verdict = Literal["slower", "faster", "no change"]


class Line(Record, frozen=True):
    """One time before and after; the interval is of the change, over before."""

    what: str
    before_ns: float
    after_ns: float
    change: float
    low: float
    high: float
    before_count: int
    after_count: int
    verdict: Verdict
    gated: bool  # whether a regression of it fails the gate


class Gate(Record, frozen=True):
    """Every time that can be judged, against what is allowed."""

    allowed: float  # a share
    repeats: Literal["traces", "requests"]  # what the noise is that of
    lines: tuple[Line, ...]
    unjudged: tuple[str, ...]  # times without a judgement, and why

    @property
    def slower(self) -> tuple[Line, ...]:
        """What fails it."""
        return tuple(
            line for line in self.lines
            if line.gated and line.verdict == "slower" and line.change > self.allowed
        )  # fmt: skip

    @property
    def blind(self) -> tuple[Line, ...]:
        """What passes though its noise would hide a change of twice what is allowed."""
        return tuple(
            line for line in self.lines
            if line.gated and line.verdict == "no change"
            and line.high - line.change > 2 * max(self.allowed, LEAST)
        )  # fmt: skip


def gate(before: Run, after: Run, found: Comparison, allowed: float) -> Gate:
    """The judgement. Raises: TracekitError where nothing can be judged."""
    refused = [side for side, verdict in (("before", found.audits.before),
               ("after", found.audits.after)) if verdict == "refused"]  # fmt: skip
    apart = min(len(before.parts), len(after.parts)) > 1 and not (before.job or after.job)
    other = any(d.kind == "run" and d.what in _MODEL for d in found.differences)
    wanted = [rate for rate in found.rates if rate.judged and not (refused or other)]
    sides = {rate.what: (_values(before, rate.what, apart), _values(after, rate.what, apart))
             for rate in wanted}  # fmt: skip
    enough = [rate for rate in wanted if min(map(len, sides[rate.what])) > 1]
    sure = 1 - (1 - CONFIDENCE) / max(len(enough), 1)
    shares = _shares(before, after)
    lines = tuple(_line(rate, *sides[rate.what], sure, shares.get(rate.what, 1.0))
                  for rate in enough)  # fmt: skip
    unjudged = tuple(
        f"{rate.what}: {_why(rate in wanted, found, refused)}"
        for rate in found.rates if rate not in enough
    )  # fmt: skip
    if not lines:
        why = unjudged[0] if unjudged else _why(False, found, refused)
        raise TracekitError(
            f"nothing that a gate could judge ({why})",
            where=f"{found.before}, {found.after}",
            hint="hold together the same work, with several requests or several traces a side",
        )
    return Gate(allowed, "traces" if apart else "requests", lines, unjudged)


_MODEL = frozenset(run_facts.NAMES[key] for key in ("model", "size"))


def _why(wanted: bool, found: Comparison, refused: Sequence[str]) -> str:
    if refused:
        return f"the audit refuses the trace {' and the one '.join(refused)}"
    if not wanted:
        kinds = {d.kind for d in found.differences}
        return "not the same work" if kinds & {"run", "stage"} else "not recorded alike"
    return "one a side, so its noise is not known"


def _values(run: Run, what: str, apart: bool) -> list[float]:
    """What repeats: a mean a trace, or a value a request; of ranks of a job the mean over them.

    Ranks wait for one another, so that they are no repeats.
    """
    own = [rates.times(part)[what] for part in run.parts or (run,) if what in rates.times(part)]
    if apart:
        return [one.mean for one in own if one.mean is not None]
    each = [one.each for one in own]
    if run.job:
        return [fmean(v for v in row if v is not None) for row in zip_longest(*each)]
    return [value for values in each for value in values]


def _shares(before: Run, after: Run) -> dict[str, float]:
    """Of each stage the larger part that it has of all stages, before or after."""
    found: dict[str, float] = {}
    for run in (before, after):
        stages = run.get(Stages)
        if stages is None or stages.whole is None or not stages.whole.wall_ns:
            continue
        for total in stages.stages:
            name, share = f"one {total.family}", total.wall_ns / stages.whole.wall_ns
            found[name] = max(found.get(name, 0.0), share)
    return found


def _line(rate: Rate, old: list[float], new: list[float], sure: float, share: float) -> Line:
    one, two = np.asarray(old, np.float64), np.asarray(new, np.float64)
    base = float(one.mean())
    change = float(two.mean()) / base - 1 if base else 0.0
    half = half_width(one, two, sure) / base if base else 0.0
    verdict: Verdict = "no change"
    if abs(change) >= LEAST and abs(change) > half:
        verdict = "slower" if change > 0 else "faster"
    return Line(
        rate.what, base, float(two.mean()), change, change - half, change + half,
        len(old), len(new), verdict, share >= LEAST,
    )  # fmt: skip


# ---------------------------------------------------------------- words


def said(found: Gate) -> str:
    """The outcome in one sentence."""
    limit = units.share(found.allowed)
    if found.slower:
        names = ", ".join(f"{line.what} {line.change:+.1%}" for line in found.slower)
        return f"Slower beyond noise and by more than {limit}: {names}."
    text = f"Nothing is slower beyond noise and by more than {limit}."
    if found.blind:
        widest = max(found.blind, key=lambda line: line.high - line.change)
        text += (
            f" Of {widest.what} the noise alone would hide {widest.high - widest.change:.1%}: "
            "capture more --samples, or several traces a side."
        )
    return text


def _short(line: Line) -> str:
    return "" if line.gated or line.verdict == "no change" else " (too short to gate)"


def grid(found: Gate) -> Grid:
    """Every judged time as a row."""
    columns = (
        Column("time", "text"), Column("before", "ns", "Mean of its repeats."),
        Column("after", "ns", "Mean of its repeats."),
        Column("change", "text", "After over before - 1, and the interval that holds it."),
        Column("repeats", "text", "Values before and after."),
        Column("verdict", "text", "Whether the change is beyond noise, and 1 % or more."),
    )  # fmt: skip
    rows = [
        (line.what, line.before_ns, line.after_ns,
         f"{line.change:+.1%} ({line.low:+.1%} to {line.high:+.1%})",
         f"{line.before_count}, {line.after_count}",
         f"{line.verdict}{_short(line)}")
        for line in found.lines
    ]  # fmt: skip
    note = f"interval: Welch's t over {found.repeats}, {CONFIDENCE:.0%} for all lines together"
    if found.repeats == "requests":
        note += (
            "; requests of one process say nothing of what differs from process to process, often "
            "1 to 6 %: name several traces a side"
        )
    if found.unjudged:
        note += f". Not judged: {'; '.join(found.unjudged)}"
    return Grid("gate", f"Allowed: {units.share(found.allowed)} slower", columns, rows, note)
