"""Two benchmarks, measure by measure: what changed beyond noise, and whether that is too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekit.bench import file, statistics
from tracekit.bench.file import Row
from tracekit.errors import TracekitError, UsageError
from tracekit.report.ci import Case
from tracekit.results import units
from tracekit.results.result import Column, Grid

# what is compared; tokens are not, since neighbours in a request are no samples of their own
MEASURES = (*file.STAGES, "request", "ttft", "tpot")
LEAST = 0.01  # a stage below this share of the request cannot fail a gate
CONFIDENCE = 0.95
UNKNOWN = (
    "One process a side: what differs from process to process, often 1 to 6 % of the same thing, "
    "cannot be told from a change; `tracekit bench MODEL --runs 5` can."
)
MACHINE = 0.05  # a change of the machine's own speed beyond which it is said


@dataclass(frozen=True, slots=True)
class Line:
    """One measure of one configuration, before and after."""

    config: str  # place on the swept axes
    measure: str
    change: statistics.Change
    gated: bool  # whether a regression of it fails the gate


@dataclass(frozen=True, slots=True)
class Comparison:
    lines: tuple[Line, ...]
    runs: tuple[int, int]  # fresh processes of base and new; the fewest of any configuration
    differing: tuple[str, ...]  # settings in which the two differ, in words
    unmatched: tuple[str, ...]  # configurations that only one has, or that failed
    notes: tuple[str, ...] = ()  # on the machine

    def regressions(self, threshold: float) -> list[Line]:
        """Lines that are slower beyond noise, and by more than `threshold`, a share."""
        return [
            line
            for line in self.lines
            if line.gated and line.change.verdict == "slower" and line.change.change > threshold
        ]


def cases(found: Comparison, threshold: float) -> list[Case]:
    """Each measure for a CI server: it failed where it is slower beyond noise and `threshold`."""
    slower = found.regressions(threshold)
    return [
        Case(
            "bench compare",
            f"{line.config}: {line.measure}" if line.config else line.measure,
            f"{line.measure} is {line.change.change:+.1%} slower ({line.change.low:+.1%} to "
            f"{line.change.high:+.1%}): {units.duration(line.change.base)} before, "
            f"{units.duration(line.change.new)} after"
            if line in slower
            else "",
            "error",
        )
        for line in found.lines
    ]


def alone(found: Comparison) -> bool:
    """Whether one process stands for a side, so that nothing is known of others of its kind."""
    return min(found.runs) < 2


def compare(base: Mapping[str, Any], new: Mapping[str, Any]) -> Comparison:
    """Every measure that both files have, by configuration.

    Raises: TracekitError where they have nothing in common that can be compared.
    """
    before = {file.label(row): row for row in base["configurations"]}
    after = {file.label(row): row for row in new["configurations"]}
    if len(before) == len(after) == 1:  # their axes may differ: that is what is asked about
        after = dict(zip(before, after.values(), strict=True))
    lines: list[Line] = []
    unmatched = [f"only in one: {name}" for name in before.keys() ^ after.keys()]
    for name in before.keys() & after.keys():
        found = _lines(name, before[name], after[name])
        lines += found
        if not found:
            why = before[name].get("error") or after[name].get("error") or "fewer than 5 samples"
            unmatched.append(f"{name or 'not compared'}: {why}")
    if not lines:
        raise TracekitError(
            "nothing that can be compared",
            where="; ".join(unmatched) or "no configurations",
            hint="both need the same configurations, and at least 5 samples of each",
        )
    notes = [
        text
        for name in sorted(before.keys() & after.keys())
        for text in _machine(name, before[name], after[name])
    ]
    order = {name: place for place, name in enumerate(before)}
    lines.sort(key=lambda line: (order[line.config], MEASURES.index(line.measure)))
    runs = [
        min(len(file.by_run(side[name])) for name in before.keys() & after.keys())
        for side in (before, after)
    ]
    return Comparison(
        tuple(lines), (runs[0], runs[1]), tuple(differing(base, new)), tuple(sorted(unmatched)),
        tuple(notes),
    )  # fmt: skip


def _machine(config: str, before: Row, after: Row) -> list[str]:
    """What to know of the machine before trusting the lines."""
    where = f" ({config})" if config else ""
    said = []
    factor = speed(before, after)
    if abs(factor - 1) > MACHINE:
        worse, beside = (factor, "new run") if factor > 1 else (1 / factor, "base")
        said.append(f"the machine itself was {worse - 1:.1%} slower beside the {beside}{where}")
    for which, row in (("base", before), ("new run", after)):
        waiting = file.waiting(row)
        if waiting is not None and waiting > MACHINE:
            said.append(
                f"busy machine: in {waiting:.1%} of a request of the {which}{where} a thread "
                "waited for a core; repeat it on a quiet machine to see small changes"
            )
    return said


def _lines(config: str, before: Row, after: Row) -> list[Line]:
    old, new = file.measures(before), file.measures(after)
    shared = [name for name in MEASURES if name in old and name in new]
    whole = statistics.summarize(old.get("request", []))
    sides = [[file.measures(run) for run in file.by_run(row)] for row in (before, after)]
    machine = speed(before, after)
    waited = (file.waiting(before) or 0.0, file.waiting(after) or 0.0)
    found = []
    for name in shared:
        # the confidence is that of all lines together
        sure = 1 - (1 - CONFIDENCE) / len(shared)
        change: statistics.Change | None
        if min(map(len, sides)) > 1:
            one, two = ([run.get(name, []) for run in side] for side in sides)
            change = statistics.compare_runs(one, two, confidence=sure, machine=machine)
        else:
            change = statistics.compare(
                old[name], new[name], confidence=sure, machine=machine, waited=waited
            )
        if change is not None and whole is not None:
            share = max(change.base, change.new) / whole.median if whole.median else 0.0
            found.append(Line(config, name, change, share >= LEAST or name == "tpot"))
    return found


def speed(before: Row, after: Row) -> float:
    """How much longer the fixed work between requests took in `after`; 1 where it was not timed."""
    old, new = (statistics.summarize(row.get("yardstick_ns") or ()) for row in (before, after))
    return new.median / old.median if old is not None and new is not None and old.median else 1.0


def differing(base: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """Settings in which the two files differ: model, device, versions, options, clocks apart."""
    found = []
    for name, old, now in _settings(base, new):
        if old != now:
            found.append(f"{name}: {old} → {now}")
    return found


def _settings(base: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    def both(name: str, *path: str) -> tuple[str, object, object]:
        return name, _at(base, path), _at(new, path)

    found = [
        both("model", "model"),
        both("data", "data", "spec"),
        both("device", "environment", "device", "name"),
        both("driver", "environment", "driver"),
        both("commit", "environment", "commit"),
    ]
    packages = sorted(_at(base, ("environment", "versions")) or {})
    found += [both(package, "environment", "versions", package) for package in packages]
    one, two = base["configurations"], new["configurations"]
    if len(one) == len(two) == 1:
        old, now = one[0].get("options") or {}, two[0].get("options") or {}
        found += [(name.replace("_", " "), old.get(name), now.get(name)) for name in old]
        found.append(("model options", one[0].get("model_options"), two[0].get("model_options")))
    return found


def _at(content: object, path: Sequence[str]) -> Any:
    for key in path:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def grid(found: Comparison) -> Grid:
    """The comparison as a table, `new` over `base` - 1 with its interval."""
    columns = (
        *((Column("configuration", "text"),) if any(line.config for line in found.lines) else ()),
        Column("measure", "text"),
        Column("base", "ns", "Median of the base's requests."),
        Column("new", "ns", "Median of the new one's requests."),
        Column("change", "text", "New over base - 1, and the interval that holds it."),
        Column("verdict", "text", "Whether the change is beyond noise, and 1 % or more."),
    )
    rows = []
    for line in found.lines:
        change = line.change
        interval = f"{change.change:+.1%} ({change.low:+.1%} to {change.high:+.1%})"
        small = "" if line.gated or change.verdict == "no change" else " (too short to gate)"
        rows.append([
            *((line.config,) if len(columns) == 6 else ()),
            line.measure, change.base, change.new, interval, change.verdict + small,
        ])  # fmt: skip
    if alone(found):
        note = (
            "interval: of the median and of the fastest tenth, by a bootstrap over blocks of "
            "neighbouring requests, widened by the drift within a run, by what the machine itself "
            "changed (fixed work timed between the requests) and by waiting for a core. "
            f"{UNKNOWN}"
        )
    else:
        note = (
            f"interval: over {found.runs[0]} fresh processes of the base and {found.runs[1]} of "
            "the new one, each counted as its median (Welch's t), widened by what the machine "
            f"itself changed; {CONFIDENCE:.0%} for all lines together"
        )
    return Grid("compare", "New against base", columns, rows, note=note)


def markdown(found: Comparison, threshold: float | None = None) -> str:
    """The comparison as Markdown, for a comment on a pull request."""
    table = grid(found)
    lines = ["### Benchmark", "", verdict(found, threshold), ""]
    lines.append("| " + " | ".join(column.label for column in table.columns) + " |")
    lines.append("|" + " --- |" * len(table.columns))
    for row in table.rows:
        cells = (column.show(value) for column, value in zip(table.columns, row, strict=True))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += ["", f"_{table.note}_"]
    lines += [f"- differs: {text.replace('|', chr(92) + '|')}" for text in found.differing]
    lines += [f"- {text}" for text in (*found.unmatched, *found.notes)]
    return "\n".join(lines) + "\n"


def verdict(found: Comparison, threshold: float | None = None) -> str:
    """The outcome in one sentence."""
    if threshold is not None and (worse := found.regressions(threshold)):
        names = ", ".join(
            f"{line.measure}{f' ({line.config})' if line.config else ''} {line.change.change:+.1%}"
            for line in worse
        )
        said = f"Regression beyond {units.share(threshold)}: {names}."
        return f"{said} {UNKNOWN}" if alone(found) else said
    changed = [line for line in found.lines if line.change.verdict != "no change"]
    if not changed:
        return "No change beyond noise."
    slower = sum(line.change.verdict == "slower" for line in changed)
    said = f"{slower} slower, {len(changed) - slower} faster, the rest no change beyond noise."
    return f"{said} {UNKNOWN}" if alone(found) else said


def threshold(text: str) -> float:
    """'5%' or '0.05' as a share. Raises: UsageError for what is neither, or 1 and more.

    A bare 5 would be 500 %, which nobody means.
    """
    percent = text.endswith("%")
    try:
        value = float(text[:-1]) / 100 if percent else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < (float("inf") if percent else 1):
        meant = f"did you mean {text}%?" if value >= 1 and not percent else "for instance 5%"
        raise UsageError("must be a share", where=f"--fail-slower-than {text}", hint=meant)
    return value
