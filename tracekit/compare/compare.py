"""The difference of two sets of answers: where the change of wall time comes from, part by part.

Works on plain JSON (`Answers.to_json`), so two traces, two merged results or two saved files
compare alike. Differences are after − before, and relative ones are over before. Every split adds
up to its total on both sides, so its differences add up to the whole change.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tracekit.attribution.stages.work_phases import NO_PHASE
from tracekit.compare import comparability
from tracekit.compare.comparability import Audits, Difference
from tracekit.compare.fields import WORDS, FieldChange, fields, relative
from tracekit.compare.splits import Split, splits
from tracekit.errors import TracekitError
from tracekit.results.result import Result
from tracekit.trace import run_facts

Plain = Mapping[str, Any]
State = Literal["both", "new", "gone"]

NOT_ASKED = "not asked"
ALL = comparability.ALL_STAGES


@dataclass(frozen=True, slots=True)
class StageChange:
    """All instances of one stage. Numbers of a side without it are None."""

    stage: str
    state: State
    before_count: int | None
    after_count: int | None
    before_ns: int | None
    after_ns: int | None
    difference_ns: int
    relative: float | None
    before_mean_ns: float | None
    after_mean_ns: float | None


@dataclass(frozen=True, slots=True)
class KernelChange:
    """Kernels of one name and category, of one phase where both sides have the same phases."""

    name: str
    category: str
    phase: str | None
    state: State
    before_op: str | None
    after_op: str | None
    before_count: int
    after_count: int
    before_ns: int
    after_ns: int
    difference_ns: int
    relative: float | None
    by_count_ns: float | None  # of the difference: more or fewer runs, at the mean before
    by_speed_ns: float | None  # the rest: each run shorter or longer


@dataclass(frozen=True, slots=True)
class OpChange:
    """All kernels that one op launched, whatever they are called: what replaced what."""

    op: str | None  # None: no op around the launch (a graph replay, a direct launch)
    category: str
    phase: str | None
    before_kernels: tuple[str, ...]  # distinct names
    after_kernels: tuple[str, ...]
    before_ns: int
    after_ns: int
    difference_ns: int


@dataclass(frozen=True, slots=True)
class Rate:
    """A time that does not grow with how much was done: of one request, token or instance."""

    what: str
    before_ns: float
    after_ns: float
    difference_ns: float
    relative: float | None
    judged: bool  # the same work on both sides, so that less is faster
    # whether every one of after is beyond every one of before; None where a side has one alone
    clear: bool | None


@dataclass(frozen=True, slots=True)
class FindingChange:
    """What to do of both sides, matched by stage and advice. None: not found on that side."""

    stage: str | None
    do: str
    before: str | None
    after: str | None
    before_saves_ns: int | None
    after_saves_ns: int | None


@dataclass(frozen=True, slots=True)
class Comparison(Result):
    before: str
    after: str
    same_work: bool  # all differences are settings: the totals can be compared
    differences: tuple[Difference, ...]
    audits: Audits
    rates: tuple[Rate, ...]
    splits: tuple[Split, ...]  # the first is the headline
    stages: tuple[StageChange, ...]
    kernels: tuple[KernelChange, ...]  # the largest change first
    ops: tuple[OpChange, ...]
    kernel_before_ns: int | None  # durations of all kernels
    kernel_after_ns: int | None
    host_ops: tuple[KernelChange, ...]  # the same of ops by self time
    findings: tuple[FindingChange, ...]
    fields: tuple[FieldChange, ...]  # of every result that both sides have
    only_before: Mapping[str, str]  # analyses that one side alone answered: why not the other
    only_after: Mapping[str, str]


def compare(before: Plain, after: Plain) -> Comparison:
    """The difference of two traces' answers, each as `Answers.to_json` gives them."""
    one, two = before["answers"], after["answers"]
    kernels = _kernels(one.get("kernels"), two.get("kernels"))
    known = "kernels" in one and "kernels" in two
    differing = comparability.differences(before, after)
    return Comparison(
        before=str(before.get("path", "before")),
        after=str(after.get("path", "after")),
        same_work=all(d.kind == "setting" for d in differing),
        differences=differing,
        audits=comparability.audits(before, after),
        rates=tuple(_rates(one, two, differing)),
        splits=tuple(splits(one, two)),
        stages=_stages(one.get("stages"), two.get("stages")),
        kernels=kernels,
        ops=_ops(one.get("kernels"), two.get("kernels")) if known else (),
        kernel_before_ns=_kernel_sum(one["kernels"]) if known else None,
        kernel_after_ns=_kernel_sum(two["kernels"]) if known else None,
        host_ops=_kernels(_as_kernels(one.get("ops")), _as_kernels(two.get("ops"))),
        findings=tuple(_findings(one.get("findings"), two.get("findings"))),
        fields=tuple(
            change
            for name in one
            if name in two and name not in WORDS
            for change in fields(name, one[name], two[name])
        ),
        only_before={n: _why(after, n) for n in one if n not in two},
        only_after={n: _why(before, n) for n in two if n not in one},
    )


def saved(path: str) -> dict[str, Any] | None:
    """The answers in a file that `tracekit analyze --json` wrote for one trace, or None for others.

    Raises: TracekitError for such a file of several traces.
    """
    try:
        with Path(path).open("rb") as file:
            if not file.read(64).lstrip().startswith(b'{"schema": "tracekit/'):
                return None
            file.seek(0)
            document = json.load(file)
    except (OSError, ValueError):
        return None  # the reader of traces says what is wrong with it
    traces = document.get("traces", [])
    if len(traces) != 1:
        raise TracekitError(
            f"holds the answers of {len(traces)} traces",
            where=path,
            hint="compare answers of one trace each",
        )
    found: dict[str, Any] = traces[0]
    return found


def _rates(one: Plain, two: Plain, differing: Sequence[Difference]) -> Iterator[Rate]:
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
    tokens = [(side.get("tokens") or {}) for side in (one, two)]
    token = not any(
        d.kind == "recording" or d.what == run_facts.NAMES["batch_size"] for d in differing
    )
    for what, key, judged in (("TTFT", "ttft_ns", alike), ("TPOT", "tpot_ns", token)):
        means = [(own.get("latency") or {}).get(key) for own in tokens]
        each = [[r[key] for r in own.get("requests") or () if r[key] is not None]
                for own in tokens]  # fmt: skip
        yield from _rate(what, means, each, judged)
    stages = [side.get("stages") or {} for side in (one, two)]
    families = [
        {t["family"]: t["mean_ns"] for t in own.get("totals") or () if t["family"] != ALL}
        for own in stages
    ]
    for name in families[0]:
        each = [
            [r["wall_ns"] for r in own.get("rows") or ()
             if r["family"] == name and not r["repeated"]]
            for own in stages
        ]  # fmt: skip
        yield from _rate(f"one {name}", [own.get(name) for own in families], each, alike)


# another device does the same step; more samples, or tokens to generate, are more steps
_SAME_STEP = frozenset(
    {run_facts.NAMES["device"], run_facts.NAMES["dtype"], run_facts.NAMES["samples"]}
)


def _rate(
    what: str, means: Sequence[float | None], each: Sequence[Sequence[float]], judged: bool
) -> Iterator[Rate]:
    """A rate where both sides know their mean; `each` are the values behind it, of either side."""
    before, after = means
    if before is None or after is None:
        return
    old, new = each
    clear = None
    if min(len(old), len(new)) > 1:
        clear = max(old) < min(new) or max(new) < min(old)
    yield Rate(what, before, after, after - before, relative(before, after), judged, clear)


def _findings(one: Plain | None, two: Plain | None) -> Iterator[FindingChange]:
    """Findings of both sides, those that would save most first."""
    if one is None or two is None:
        return
    sides: list[dict[tuple[str | None, str], Plain]] = [{}, {}]
    for found, own in zip((one, two), sides, strict=True):
        for row in found["rows"]:
            own.setdefault((row["stage"], row["do"]), row)
    keys = list(dict.fromkeys((*sides[0], *sides[1])))
    saves = {key: max(own[key]["saves_ns"] or 0 for own in sides if key in own) for key in keys}
    for key in sorted(keys, key=lambda k: -saves[k]):
        old, new = sides[0].get(key, {}), sides[1].get(key, {})
        yield FindingChange(
            *key, old.get("what"), new.get("what"), old.get("saves_ns"), new.get("saves_ns")
        )


def _as_kernels(ops: Plain | None) -> Plain | None:
    """Ops by self time in the shape of kernels."""
    if ops is None:
        return None
    rows = [{**row, "total_ns": row["self_ns"], "op": None} for row in ops["rows"]]
    return {**ops, "rows": rows}


def _why(side: Plain, name: str) -> str:
    return str(side.get("unanswered", {}).get(name, NOT_ASKED))


# ---------------------------------------------------------------- stages and kernels


def _stages(one: Plain | None, two: Plain | None) -> tuple[StageChange, ...]:
    if one is None or two is None:
        return ()
    sides = [{t["family"]: t for t in side["totals"] if t["family"] != ALL} for side in (one, two)]
    out = []
    for family in dict.fromkeys((*sides[0], *sides[1])):
        old, new = sides[0].get(family), sides[1].get(family)
        walls = [t["wall_ns"] if t else None for t in (old, new)]
        counts = [t["instances"] if t else None for t in (old, new)]
        means = [t["mean_ns"] if t else None for t in (old, new)]
        out.append(StageChange(
            family, _state(old is not None, new is not None), counts[0], counts[1],
            walls[0], walls[1], (walls[1] or 0) - (walls[0] or 0), relative(walls[0], walls[1]),
            means[0], means[1],
        ))  # fmt: skip
    return tuple(out)


def _state(before: bool, after: bool) -> State:
    return "both" if before and after else "new" if after else "gone"


def _kernel_sum(kernels: Plain) -> int:
    return sum(row["total_ns"] for row in kernels["rows"])


def _phases_match(one: Plain, two: Plain) -> bool:
    """Whether both sides have the same real phases, so that kernels are matched within them."""
    sides = [{p["phase"] for p in side["phases"]} - NO_PHASE for side in (one, two)]
    return sides[0] == sides[1]


Key = tuple[str, str, str | None]


def _kernels(one: Plain | None, two: Plain | None) -> tuple[KernelChange, ...]:
    if one is None or two is None:
        return ()
    matched = _phases_match(one, two)
    sides: list[dict[Key, list[Plain]]] = [defaultdict(list), defaultdict(list)]
    for side, rows in zip((one, two), sides, strict=True):
        for row in side["rows"]:
            phase = row["phase"] if matched else None
            rows[row["name"], row["category"], phase].append(row)
    out = [
        _kernel(key, sides[0].get(key, []), sides[1].get(key, []))
        for key in dict.fromkeys((*sides[0], *sides[1]))
    ]
    return tuple(sorted(out, key=lambda c: (-abs(c.difference_ns), c.name, c.phase or "")))


def _kernel(key: Key, old: Sequence[Plain], new: Sequence[Plain]) -> KernelChange:
    counts = [sum(row["count"] for row in rows) for rows in (old, new)]
    times = [sum(row["total_ns"] for row in rows) for rows in (old, new)]
    difference = times[1] - times[0]
    by_count = (counts[1] - counts[0]) * times[0] / counts[0] if old and new else None
    return KernelChange(
        name=key[0],
        category=key[1],
        phase=key[2],
        state=_state(bool(old), bool(new)),
        before_op=_main_op(old),
        after_op=_main_op(new),
        before_count=counts[0],
        after_count=counts[1],
        before_ns=times[0],
        after_ns=times[1],
        difference_ns=difference,
        relative=relative(times[0], times[1]) if old and new else None,
        by_count_ns=by_count,
        by_speed_ns=difference - by_count if by_count is not None else None,
    )


def _main_op(rows: Sequence[Plain]) -> str | None:
    """The op of most of the time."""
    longest = max(rows, key=lambda row: row["total_ns"], default=None)
    return longest["op"] if longest else None


def _ops(one: Plain, two: Plain) -> tuple[OpChange, ...]:
    matched = _phases_match(one, two)
    times: dict[tuple[str | None, str, str | None], list[int]] = defaultdict(lambda: [0, 0])
    names: dict[tuple[str | None, str, str | None], list[dict[str, None]]] = defaultdict(
        lambda: [{}, {}]
    )
    for at, side in enumerate((one, two)):
        for row in side["rows"]:
            for origin in row["origins"]:
                key = (origin["op"], row["category"], row["phase"] if matched else None)
                times[key][at] += origin["total_ns"]
                names[key][at][row["name"]] = None
    out = [
        OpChange(*key, tuple(names[key][0]), tuple(names[key][1]), old, new, new - old)
        for key, (old, new) in times.items()
    ]
    return tuple(sorted(out, key=lambda c: (-abs(c.difference_ns), c.op or "", c.category)))
