"""Which line of the program launched each kernel, and which held the host meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from tracekit.answers.lines import CodeLine, CodeLines, HeldLine
from tracekit.attribution import code_lines, links
from tracekit.attribution.reasons import rows as reason_rows
from tracekit.attribution.reasons.names import HOST_REASONS, REASONS, SHOWN, Reason
from tracekit.attribution.reasons.stretches import stretches
from tracekit.attribution.stages import work_phases
from tracekit.errors import MissingEventsError
from tracekit.records import replace
from tracekit.results import figures
from tracekit.results.catalog import Analysis
from tracekit.results.figures import Chart
from tracekit.results.result import Column, Grid
from tracekit.results.units import duration, plural, share
from tracekit.trace.spans import segments
from tracekit.trace.trace import I64, Trace

MOST = 200
DRAWN = 15
NONE = "no Python frame around the launch"


def lines(trace: Trace, *, stages: str | None = None) -> CodeLines:
    """Device work by the line that launched it, and idle time by the line that held the host.

    Raises: MissingEventsError without Python stacks or device work, or where `stages` matches
    nothing.
    """
    if not len(links.work(trace)):
        raise MissingEventsError(
            "no kernel events", where=trace.path, hint="capture with a GPU visible"
        )
    if not code_lines.recorded(trace):
        raise MissingEventsError(
            "captured without Python stacks", where=trace.path, hint="capture with with_stack=True"
        )
    held, named, others = _held(trace)
    return _finish(_rows(trace, stages), held, named, others)


def _rows(trace: Trace, stages: str | None) -> list[CodeLine]:
    gpu, found = links.work(trace), code_lines.of_work(trace)
    phases = work_phases.of_work(trace, stages)
    key, group = segments.distinct([found.code, phases.code])
    count = np.bincount(group, minlength=len(key))
    total = segments.sums(group, gpu.dur, len(key))
    top = np.array(segments.longest(group, gpu.name, gpu.dur, len(key)), np.int64)
    of_top = segments.sums(group, np.where(gpu.name == top[group], gpu.dur, 0), len(key))
    return [
        CodeLine(
            found.names[code] if code >= 0 else None, code >= 0 and found.own[code],
            phases.names[phase], int(count[g]), int(total[g]), None, trace.strings[int(top[g])],
            int(of_top[g]),
        )
        for g, (code, phase) in enumerate(key.tolist())
    ]  # fmt: skip


def _held(trace: Trace) -> tuple[list[HeldLine], int, int]:
    """Of all devices; how many stretches were looked up, and the time of those that were not."""
    sums: dict[tuple[str | None, bool, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    named = others = 0
    for device in trace.devices:
        every = stretches(trace, device)
        length: I64 = every.spans[:, 1] - every.spans[:, 0]
        host = every.of(*HOST_REASONS) & (every.thread >= 0)
        longest, found = reason_rows.longest(trace, device)
        others += int(length[host].sum() - length[longest].sum())
        named += len(longest)
        code = code_lines.of_frames(trace, found.frame, found.library)
        for at, reason, ns in zip(
            code.code.tolist(), every.reason[longest].tolist(), length[longest].tolist(),
            strict=True,
        ):  # fmt: skip
            line, own = (code.names[at], code.own[at]) if at >= 0 else (None, False)
            row = sums[line, own, REASONS[reason].value]
            row[0], row[1], row[2] = row[0] + ns, row[1] + 1, max(row[2], ns)
    made = [HeldLine(*key, *values) for key, values in sums.items()]
    return made, named, others


def _finish(
    rows: Iterable[CodeLine], held: Iterable[HeldLine], named: int, others: int
) -> CodeLines:
    """With shares taken anew, the longest first."""
    some = list(rows)
    whole: dict[str, int] = defaultdict(int)
    for row in some:
        whole[row.phase] += row.total_ns
    made = [replace(r, share=work_phases.share(r.total_ns, whole[r.phase])) for r in some]
    return CodeLines(
        tuple(sorted(made, key=lambda r: (-r.total_ns, r.line or "", r.phase))),
        tuple(sorted(held, key=lambda h: (-h.ns, h.line or "", h.reason))),
        named, others,
    )  # fmt: skip


def merge(one: CodeLines, two: CodeLines) -> CodeLines:
    """Rows of the same line and phase, and of the same line and reason, added up."""
    rows: dict[tuple[str | None, bool, str], CodeLine] = {}
    for row in (*one.rows, *two.rows):
        key = (row.line, row.own, row.phase)
        rows[key] = _add(rows[key], row) if key in rows else row
    held: dict[tuple[str | None, bool, str], HeldLine] = {}
    for idle in (*one.held, *two.held):
        place = (idle.line, idle.own, idle.reason)
        before = held.get(place)
        held[place] = idle if before is None else replace(
            idle, ns=idle.ns + before.ns, count=idle.count + before.count,
            longest_ns=max(idle.longest_ns, before.longest_ns),
        )  # fmt: skip
    return _finish(
        rows.values(), held.values(), one.idle_named + two.idle_named,
        one.idle_others_ns + two.idle_others_ns,
    )  # fmt: skip


def _add(one: CodeLine, two: CodeLine) -> CodeLine:
    """The kernel is the one of the two with more time; of one name, both."""
    if one.kernel == two.kernel:
        kernel, ns = one.kernel, one.kernel_ns + two.kernel_ns
    else:
        kernel, ns = max((one.kernel, one.kernel_ns), (two.kernel, two.kernel_ns), key=_second)
    return replace(
        one, count=one.count + two.count, total_ns=one.total_ns + two.total_ns, kernel=kernel,
        kernel_ns=ns,
    )  # fmt: skip


def _second(pair: tuple[str | None, int]) -> int:
    return pair[1]


DEFINITIONS = {
    "line": "The innermost frame of the program's own code around the launch; of a library, or of "
    "Python itself, only where there is no other (code: library). Of replayed work, around the "
    "launch that it was captured from.",
    "launched": "Kernels, copies and memsets.",
    "device time": "Their durations added up.",
    "share": "Of the device time of the phase.",
    "longest kernel": "The kernel, copy or memset with most of the line's device time.",
    "idle held": "Idle time of devices, added up over them, in which the launching thread was in "
    "this line for at least half of the stretch.",
}


def tables(result: CodeLines) -> list[Grid]:
    rows = (
        Column("line", "text", DEFINITIONS["line"]), Column("code"), Column("phase"),
        Column("launched", "count", DEFINITIONS["launched"]),
        Column("device time", "ns", DEFINITIONS["device time"]),
        Column("share", "share", DEFINITIONS["share"]),
        Column("longest kernel", "text", DEFINITIONS["longest kernel"]),
    )  # fmt: skip
    held = (
        Column("line", "text", DEFINITIONS["line"]), Column("code"),
        Column("reason", "text", "As in the table of idle time."),
        Column("idle held", "ns", DEFINITIONS["idle held"]),
        Column("stretches", "count"), Column("longest", "ns"),
    )  # fmt: skip
    short = result.idle_others_ns
    grids = [
        Grid("lines", "Device work by line of code", rows, [
            (r.line or NONE, _code(r.own, r.line), r.phase, r.count, r.total_ns, r.share, r.kernel)
            for r in result.rows[:MOST]
        ], beyond=max(len(result.rows) - MOST, 0)),
        Grid("held", "Idle time by line of code", held, [
            (h.line or "no Python frame", _code(h.own, h.line), SHOWN[Reason(h.reason)], h.ns,
             h.count, h.longest_ns)
            for h in result.held[:MOST]
        ], f"The longest {plural(result.idle_named, 'stretch', 'stretches')}; {duration(short)} "
           "more in shorter ones." if short else ""),
    ]  # fmt: skip
    return [grid for grid in grids if grid.rows]


def _code(own: bool, line: str | None) -> str:
    return "program" if own else "library" if line is not None else ""


def charts(result: CodeLines) -> list[Chart]:
    """Device time and idle time by line, the longest together first."""
    work: dict[str, int] = defaultdict(int)
    idle: dict[str, int] = defaultdict(int)
    for row in result.rows:
        work[row.line or NONE] += row.total_ns
    for held in result.held:
        if held.line is not None:
            idle[held.line] += held.ns
    order = sorted(work | idle, key=lambda line: -(work[line] + idle[line]))[:DRAWN]
    top = max(work, key=lambda line: work[line])
    whole = sum(work.values())
    return [
        figures.split_bars(
            "lines",
            f"{share(work[top] / whole)} of the device time was launched by {top}"
            if whole else "Device time by line of code",
            order,
            {"device time": [work[line] for line in order],
             "idle held": [idle[line] for line in order]},
            of="time",
            summary="Durations of the work that each line launched, and idle time that it held.",
            table="lines",
        )
    ]  # fmt: skip


ANALYSIS = Analysis(
    title="Lines of code",
    question="Which line of the program launched the work, and which kept the device waiting?",
    run=lines,
    merge=merge,
    tables=tables,
    charts=charts,
    definitions=DEFINITIONS,
    order=56,
)
