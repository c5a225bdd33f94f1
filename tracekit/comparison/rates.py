"""Times that do not grow with how much was done: of a request, a token, an instance of a stage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tracekit.answers.stages import Stages
from tracekit.answers.tokens import Tokens
from tracekit.comparison.comparability import TRACES, Difference
from tracekit.comparison.fields import relative
from tracekit.comparison.runs import Run
from tracekit.records import Record
from tracekit.trace import run_facts

TTFT, TPOT = "TTFT", "TPOT"


class Rate(Record, frozen=True):
    """A time that does not grow with how much was done: of one request, token or instance."""

    what: str
    before_ns: float
    after_ns: float
    difference_ns: float
    relative: float | None
    judged: bool  # the same work on both sides, so that less is faster
    # whether every one of after is beyond every one of before; None where a side has one alone
    clear: bool | None


class Times(Record, frozen=True):
    """A mean, where it is known, and the values behind it; in ns."""

    mean: float | None
    each: Sequence[float] = ()


def times(run: Run) -> dict[str, Times]:
    """TTFT, TPOT and one instance of each stage, by the name of their rate; what is known."""
    tokens = run.get(Tokens)
    found = {TTFT: _ttft(tokens), TPOT: _tpot(tokens)}
    of_stages = {f"one {family}": own for family, own in _instances(run.get(Stages)).items()}
    return {name: own for name, own in (found | of_stages).items() if own.mean is not None}


def rates(before: Run, after: Run, differing: Sequence[Difference]) -> Iterator[Rate]:
    """Times of one request, of one token, and of one instance of each stage that both have.

    A token is a token where batch and recording are alike. A request or an instance is the same
    work where moreover no side has stages that the other lacks, and nothing of the run differs but
    the device, the dtype and the number of samples.
    """
    alike = not any(
        (d.kind in ("run", "recording") and d.what not in _SAME_STEP)
        or (d.kind == "stage" and None in (d.before, d.after))
        for d in differing
    )
    token = not any(
        d.kind == "recording" or d.what == run_facts.NAMES["batch_size"] for d in differing
    )
    one, two = times(before), times(after)
    for what in one:
        if what in two:
            yield _rate(what, one[what], two[what], token if what == TPOT else alike)


# another device does the same step; more samples, traces or tokens to generate are more steps
_SAME_STEP = frozenset({*(run_facts.NAMES[key] for key in ("device", "dtype", "samples")), TRACES})


def _ttft(tokens: Tokens | None) -> Times:
    if tokens is None or tokens.latency is None:
        return Times(None)
    each = [r.ttft_ns for r in tokens.requests if r.ttft_ns is not None]
    return Times(tokens.latency.ttft_ns, each)


def _tpot(tokens: Tokens | None) -> Times:
    if tokens is None or tokens.latency is None:
        return Times(None)
    each = [r.tpot_ns for r in tokens.requests if r.tpot_ns is not None]
    return Times(tokens.latency.tpot_ns, each)


def _instances(stages: Stages | None) -> dict[str, Times]:
    """The wall times of the instances of each family."""
    if stages is None:
        return {}
    each: dict[str, list[float]] = defaultdict(list)
    for row in stages.rows:
        if not row.repeated:
            each[row.family].append(row.wall_ns)
    return {
        total.family: Times(total.mean_ns, each[total.family])
        for total in stages.totals
        if not total.is_all
    }


def _rate(what: str, before: Times, after: Times, judged: bool) -> Rate:
    assert before.mean is not None, what
    assert after.mean is not None, what
    old, new, clear = before.each, after.each, None
    if min(len(old), len(new)) > 1:
        clear = max(old) < min(new) or max(new) < min(old)
    difference = after.mean - before.mean
    change = relative(before.mean, after.mean)
    return Rate(what, before.mean, after.mean, difference, change, judged, clear)
