"""The page of a comparison: from one trace to another, change by change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tracekit import files
from tracekit.comparison import tables
from tracekit.comparison.compare import Comparison, KernelChange
from tracekit.comparison.rates import Rate
from tracekit.comparison.splits import Part, Split
from tracekit.records import replace
from tracekit.report import facts
from tracekit.report.diff import slopes, wording
from tracekit.report.html.page import Page, Source, fill, made_by, save
from tracekit.report.html.section import Part as Section
from tracekit.report.one.overview import Overview
from tracekit.results import units
from tracekit.results.figures import Chart, distinct, paired_bars, shorten, waterfall
from tracekit.results.first_screen import KeyNumber
from tracekit.results.result import Grid
from tracekit.trace import run_facts

STEPS = 14  # changes of a waterfall; the others are one step
SPLITS = 8  # waterfalls of a page
KERNELS = 12

_BY = {
    "stage": "wall time",
    "clock": "wall time",
    "launch": "GPU window",
    "host": "wall time",
    "device": "GPU window",
    "category": "kernel time",
}
_NAMES = {
    "stage": "stage by stage",
    "clock": "by what the GPU did meanwhile",
    "launch": "by the work they launched",
    "host": "by what the host did",
    "device": "by what the GPU did",
    "category": "by category",
}


def write(result: Comparison, path: str | Path, *, command: str = "", asked: bool = True) -> Path:
    """Writes the page of a comparison and says where it is.

    `asked` is off where nobody named `path`: the page of other traces keeps its name then.

    Raises: TracekitError where it cannot be written, or is one of the two.
    """
    inputs = [result.before, result.after]
    files.distinct(path, inputs)
    text = render(result, command=command)
    return save(text, path, of=None if asked else facts.identity(inputs))


def render(result: Comparison, *, command: str = "") -> str:
    """The page as text."""
    return fill(
        Page(
            title=title(result),
            subtitle=subtitle(result),
            of=facts.identity([result.before, result.after]),
            single=False,
            overview=overview(result),
            sections=list(_sections(result)),
            data={"comparison": result.to_json()},
            source=[*_sources(result), *made_by(command)],
        )
    )


def title(result: Comparison) -> str:
    """The two files, in their order."""
    return f"{run_facts.stem(result.before)} → {run_facts.stem(result.after)}"


def subtitle(result: Comparison) -> str:
    """Which is before, and which after."""
    names = [facts.file_name(p) for p in (result.before, result.after)]
    return f"What changed from {names[0]} (before) to {names[1]} (after)"


def _sources(result: Comparison) -> list[Source]:
    out: list[Source] = []
    for side, path in (("before", result.before), ("after", result.after)):
        out.append((side, facts.file_name(path), True))
        if digest := facts.digest(path):
            out.append((f"{digest[0]}, {side}", digest[1], True))
    return out


# ---------------------------------------------------------------- the first screen


def overview(result: Comparison) -> Overview:
    """The headline as numbers and as waterfalls; what makes the two hard to compare, above it."""
    time = [(key, s) for key, s in _splits(result) if s.by != "category"]
    heads = [(key, s) for key, s in time if s.of == time[0][1].of][:2] if time else []
    grids = {grid.key: grid for grid in tables.tables(result)}
    return Overview(
        headlines=tuple(wording.headline(result, heads[0][1] if heads else None)),
        verdicts=tuple(wording.verdicts(result)),
        notes=tuple(wording.notes(result)),
        tiles=tuple(_tiles(result, heads[0][1] if heads else None)),
        charts=tuple(
            split_chart(f"headline-{split.by}" if place else "headline", key, split, result)
            for place, (key, split) in enumerate(heads)
        ),
        grids=tuple(grids[key] for key in ("differences", "audit", "rates") if key in grids),
        definitions=tables.DEFINITIONS,
    )


def screen(result: Comparison) -> Overview:
    """The same for text: charts give way to the tables behind them."""
    view = overview(result)
    grids = {grid.key: grid for grid in tables.tables(result)}
    keys = [chart.table for chart in view.charts]
    keys += ["stages", *(key for key, s in _splits(result) if s.by == "category")]
    keys += ["kernels", "ops"] if result.kernels else ["host-ops"]
    keys += ["predicted", "findings", "times"]
    return replace(view, grids=(*view.grids, *(grids[key] for key in keys if key in grids)))


def _splits(result: Comparison) -> list[tuple[str, Split]]:
    return list(zip(tables.split_keys(result.splits), result.splits, strict=True))


def _tiles(result: Comparison, head: Split | None) -> Iterable[KeyNumber]:
    if head:
        whole = f"{head.of}, {_WHOLE[head.by]}"
        yield KeyNumber("Before", units.duration(head.before_ns), whole)
        yield KeyNumber("After", units.duration(head.after_ns), whole)
        same = wording.judged(result, head)
        value, sub = wording.change(head.difference_ns, head.relative, judged=same)
        tile = sub if same else f"{sub}; {wording.why_not(result)}"
        yield KeyNumber("Difference", value, tile)
    if result.kernel_before_ns is not None and result.kernel_after_ns is not None:
        old, new = result.kernel_before_ns, result.kernel_after_ns
        yield KeyNumber("Kernel time", f"{_bound(old)} → {_bound(new)}", "durations added up")
    for rate in _telling(result.rates, head):
        change = wording.change(
            rate.difference_ns, rate.relative, judged=rate.judged and result.audits.alike
        )[1]
        if rate.clear is False:
            change += ", within the spread of single ones"
        yield KeyNumber(rate.what, f"{_bound(rate.before_ns)} → {_bound(rate.after_ns)}", change)
    new = sum(k.state == "new" for k in result.kernels)
    gone = sum(k.state == "gone" for k in result.kernels)
    if new or gone:
        yield KeyNumber("Kernels", f"{new} new, {gone} gone", f"of {len(result.kernels)} by name")


_WHOLE = {
    "stage": "wall time", "clock": "wall time", "host": "wall time", "launch": "their GPU window",
    "device": "first activity to last", "category": "durations added up",
}  # fmt: skip


def _bound(ns: float) -> str:
    """A time whose unit stays beside it."""
    return units.duration(ns).replace(" ", "\u00a0")


def _telling(rates: Sequence[Rate], head: Split | None, most: int = 3) -> list[Rate]:
    """TTFT and TPOT, else the largest changes of an instance; none that repeats the headline."""
    tokens = [rate for rate in rates if rate.what in ("TTFT", "TPOT")]
    if tokens:
        return tokens
    new = [
        rate for rate in rates
        if rate.difference_ns
        and (head is None or (rate.before_ns, rate.after_ns) != (head.before_ns, head.after_ns))
    ]  # fmt: skip
    return sorted(new, key=lambda rate: -abs(rate.difference_ns))[:most]


# ---------------------------------------------------------------- sections


def _sections(result: Comparison) -> Iterable[Section]:
    grids = {grid.key: grid for grid in tables.tables(result)}

    def some(*keys: str) -> list[Grid]:
        return [grids[key] for key in keys if key in grids]

    splits = _splits(result)
    by_category = [(key, s) for key, s in splits if s.by == "category"]
    time = [(key, s) for key, s in splits if s.by != "category"]
    drawn = [s for _, s in time if s.of == time[0][1].of][:2] if time else []
    shown = [(k, s) for k, s in time if s not in drawn and s.before_ns != s.after_ns][:SPLITS]
    yield _section(
        "stages", "Where the change comes from",
        "Which stages, and which part of their time, made the difference?",
        [*slopes.stage_slope(result),
         *(split_chart(key, key, split, result) for key, split in shown)],
        some("stages", "predicted", *(key for key, _ in time)),
    )  # fmt: skip
    if result.kernels:
        yield _section(
            "kernels", "Kernels that changed",
            "Which kernels are new, gone, run more often or take longer?",
            [*slopes.op_slope(result),
             *(split_chart("by-category", key, s, result) for key, s in by_category),
             *(category_chart(s) for _, s in by_category),
             *(op_changes(result) or _changes(result, result.kernels))],
            some("kernels", "ops", *(k for k, _ in by_category)),
        )  # fmt: skip
    if result.host_ops:
        charts = (
            [] if result.kernels
            else [*slopes.op_slope(result), *_changes(result, result.host_ops)]
        )  # fmt: skip
        yield _section(
            "host-ops", "Ops that changed on the host",
            "Which framework ops are new, gone, run more often or take longer on the CPU?",
            charts, some("host-ops"),
        )  # fmt: skip
    if "findings" in grids:
        yield _section(
            "findings", "What to do, before and after",
            "Which findings are gone, which are new, and what would they save now?", [],
            some("findings"),
        )  # fmt: skip
    if numbers := some("times", "others", "alone"):
        yield _section(
            "fields", "Other numbers that changed",
            "Which other numbers of the analyses differ by enough to look at?", [], numbers,
        )  # fmt: skip


def _section(
    name: str, title: str, question: str, charts: list[Chart], grids: list[Grid]
) -> Section:
    return Section(
        name=name, title=title, question=question, definitions={},
        charts=[c for c in charts if c.data], grids=[g for g in grids if g.rows or g.note],
    )  # fmt: skip


def split_chart(key: str, table: str, split: Split, result: Comparison) -> Chart:
    """From the total before to the total after, part by part."""
    parts: Sequence[Part] = sorted(split.parts, key=lambda p: -abs(p.difference_ns))
    steps = [(p.name, float(p.difference_ns)) for p in parts[:STEPS] if p.difference_ns]
    rest = sum(p.difference_ns for p in parts[STEPS:])
    if rest:
        steps.append((units.plural(len(parts) - STEPS, "other"), float(rest)))
    same = wording.judged(result, split)
    change, word = wording.change(split.difference_ns, split.relative, judged=same)
    return waterfall(
        key, f"{tables.upper(split.of)}, {_NAMES[split.by]}: {change}, {word}",
        ("before", float(split.before_ns)), steps, ("after", float(split.after_ns)),
        of=_BY[split.by], less_is_better=True if same else None,
        summary=f"{split.of} from {units.duration(split.before_ns)} before to "
        f"{units.duration(split.after_ns)} after, by part",
        table=table,
    )  # fmt: skip


def category_chart(split: Split) -> Chart:
    """Kernel time of each category, before and after."""
    parts = [p for p in split.parts if p.before_ns or p.after_ns]
    return paired_bars(
        "categories", "Kernel time by category",
        [p.name for p in parts],
        {"before": [p.before_ns for p in parts], "after": [p.after_ns for p in parts]},
        of="kernel time, durations added up",
        summary="Kernel time of each category, before and after", table="kernels",
    )  # fmt: skip


def _changes(result: Comparison, every: Sequence[KernelChange]) -> list[Chart]:
    """The kernels (or ops) with the largest change; none where nothing changed."""
    changed = [k for k in every if k.difference_ns]
    if not changed:
        return []
    on_device = every is result.kernels
    noun, time = ("kernel", "kernel time, added up") if on_device else ("op", "host time of ops")
    before, after = (sum(getattr(k, f"{side}_ns") for k in every) for side in ("before", "after"))
    shown = changed[:KERNELS]
    rest = after - before - sum(k.difference_ns for k in shown)
    several = len({k.phase for k in every}) > 1
    names = _change_names(shown, several)
    steps = [(name, float(k.difference_ns)) for k, name in zip(shown, names, strict=True)]
    replaced = [n for k, n in zip(shown, names, strict=True) if k.state != "both"]
    if rest:  # of both kinds
        replaced.append(units.plural(len(every) - len(shown), "other"))
        steps.append((replaced[-1], float(rest)))
    return [
        waterfall(
            f"{noun}-changes", f"{noun.capitalize()}s, the largest change first",
            (f"all {noun}s before", float(before)), steps, (f"all {noun}s after", float(after)),
            of=time, less_is_better=True if result.same_work and result.audits.alike else None,
            neutral=replaced,
            summary=f"The {len(shown)} {noun}s that changed most, from their time before to that "
            "after",
            table="kernels" if on_device else "host-ops",
        )
    ]  # fmt: skip


def op_changes(result: Comparison) -> list[Chart]:
    """The ops whose kernels changed most; none where most of what changed is on both sides.

    Another device, or another library, runs other kernels for the same op: kernel by kernel all of
    it would be new or gone.
    """
    moved = sum(abs(k.difference_ns) for k in result.kernels)
    replaced = sum(abs(k.difference_ns) for k in result.kernels if k.state != "both")
    if 2 * replaced <= moved or not slopes.named(result):
        return []
    sums: dict[str, tuple[int, int]] = {}
    label = slopes.op_labels(result)
    for o in result.ops:  # one op launches kernels of several categories
        before, after = sums.get(label(o), (0, 0))
        sums[label(o)] = before + o.before_ns, after + o.after_ns
    ops = sorted(sums.items(), key=lambda own: -abs(own[1][1] - own[1][0]))
    steps, grey = list[tuple[str, float]](), list[str]()
    for name, (before, after) in ops[:KERNELS]:
        if before == after:
            continue
        state = "" if before and after else " (gone)" if before else " (new)"
        steps.append((f"{name}{state}", float(after - before)))
        grey += [f"{name}{state}"] if state else []
    if rest := sum(after - before for _, (before, after) in ops[KERNELS:]):
        grey.append(units.plural(len(ops) - KERNELS, "other"))
        steps.append((grey[-1], float(rest)))
    before, after = (sum(getattr(o, f"{s}_ns") for o in result.ops) for s in ("before", "after"))
    return [
        waterfall(
            "op-changes", "What ops launched, the largest change first",
            ("all ops before", float(before)), steps, ("all ops after", float(after)),
            of="kernel time, added up", neutral=grey,
            less_is_better=True if result.same_work and result.audits.alike else None,
            summary="The ops whose kernels changed most, whatever these are called",
            table="ops",
        )
    ]  # fmt: skip


def _change_names(changes: Sequence[KernelChange], several: bool) -> list[str]:
    """Short names, with phases where there are several, and whether each is new."""
    tails = [
        (f" · {shorten(k.phase, 12)}" if several and k.phase else "")
        + ("" if k.state == "both" else f" ({k.state})")
        for k in changes
    ]
    short = distinct((k.name for k in changes), 43 - max(map(len, tails), default=0))
    return [f"{short[k.name]}{tail}" for k, tail in zip(changes, tails, strict=True)]
