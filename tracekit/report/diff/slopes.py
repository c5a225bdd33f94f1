"""Before against after, a line a row: by op, since other devices run other kernels for the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tracekit.comparison.compare import Comparison, OpChange
from tracekit.results.figures import Chart, Measure, Pair, slope
from tracekit.results.units import plural

SIDES = ("before", "after")
NAMED = 0.5  # of the time: launched by ops that the traces name


class _Row(NamedTuple):
    label: str
    category: str
    before: float
    after: float
    note: str


def op_slope(result: Comparison) -> list[Chart]:
    """Device time by the op that launched it, or host time by op where no device was recorded."""
    if result.ops:
        if not named(result):
            return []
        label = op_labels(result)
        rows = [
            _Row(label(o), o.category, o.before_ns, o.after_ns,
                 _kernels(o.before_kernels, o.after_kernels))
            for o in result.ops
        ]  # fmt: skip
        return _slope(result, rows, "Device time of each op", "kernel time", "ops")
    several = len({o.phase for o in result.host_ops}) > 1
    rows = [
        _Row(_label(o.name, o.phase if several else None), o.category, o.before_ns, o.after_ns,
             f"{plural(o.before_count, 'call')} before, {plural(o.after_count, 'call')} after")
        for o in result.host_ops
    ]  # fmt: skip
    return _slope(result, rows, "Host time of each op", "op time", "host-ops")


def stage_slope(result: Comparison) -> list[Chart]:
    """Mean wall time of an instance of each stage; [] where fewer than two are on both sides."""
    both = [s for s in result.stages if s.before_mean_ns and s.after_mean_ns]
    if len(both) < 2:
        return []
    pairs = [
        Pair(s.stage, s.stage, {"ms": (s.before_mean_ns, s.after_mean_ns)},
             f"{plural(s.before_count or 0, 'instance')} before, {s.after_count or 0} after")
        for s in both
    ]  # fmt: skip
    return [
        slope("stages-slope", "Each stage, before against after", SIDES, pairs,
              [Measure("ms", "ns", "mean wall time")], table="stages",
              summary=f"Mean wall time of {plural(len(both), 'stage')} before and after.")
    ]  # fmt: skip


def named(result: Comparison) -> bool:
    """Whether most device time was launched by ops that the traces name."""
    known = sum(o.before_ns + o.after_ns for o in result.ops if o.op)
    return known >= NAMED * sum(o.before_ns + o.after_ns for o in result.ops)


def op_labels(result: Comparison) -> Callable[[OpChange], str]:
    """The name of an op in a chart, with its phase where there are several."""
    several = len({o.phase for o in result.ops}) > 1
    return lambda o: _label(o.op or "no op", o.phase if several else None)


def _label(name: str, phase: str | None) -> str:
    return f"{name} · {phase}" if phase and phase != "all" else name


def _kernels(before: Sequence[str], after: Sequence[str]) -> str:
    return f"{plural(len(before), 'kernel')} before, {len(after)} after, by name"


def _slope(result: Comparison, rows: Sequence[_Row], what: str, of: str, table: str) -> list[Chart]:
    if sum(row.before > 0 and row.after > 0 for row in rows) < 2:
        return []
    wholes = (sum(row.before for row in rows), sum(row.after for row in rows))
    tokens = (result.before_tokens, result.after_tokens)
    measures = [Measure("ms", "ns", of), Measure("% of all", "share", f"of all {of}")]
    if all(tokens):
        measures.append(Measure("µs per token", "ns", f"{of} per generated token"))
    pairs = [Pair(row.label, row.category, _values(row, wholes, tokens), row.note,
                  grey=not (row.before and row.after)) for row in rows]  # fmt: skip
    return [
        slope(f"{table}-slope", f"{what}, before against after", SIDES, pairs, measures,
              table=table, summary=f"{what} before and after, a line each; dotted is what one "
              "side lacks.")
    ]  # fmt: skip


def _values(
    row: _Row, wholes: tuple[float, float], tokens: tuple[int | None, int | None]
) -> dict[str, tuple[float | None, float | None]]:
    ends = (row.before, row.after)
    shares = tuple(ns / whole if whole else None for ns, whole in zip(ends, wholes, strict=True))
    each = tuple(ns / count if count else None for ns, count in zip(ends, tokens, strict=True))
    return {"ms": ends, "% of all": (shares[0], shares[1]), "µs per token": (each[0], each[1])}
