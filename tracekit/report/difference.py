"""The page of a comparison: from one trace to another, change by change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tracekit import compared, runs, units
from tracekit.compare import Comparison, Part, Split
from tracekit.figures import Chart, paired_bars, waterfall
from tracekit.files import writing
from tracekit.report import facts
from tracekit.report.overview import Overview, Tile
from tracekit.results import Grid

STEPS = 14  # changes of a waterfall; the others are one step
SPLITS = 8  # waterfalls of a page
KERNELS = 12

_BY = {
    "clock": "wall time, by what the device did meanwhile",
    "launch": "the window of the work it launched",
    "host": "wall time, by what the host did",
    "device": "the window of the devices",
    "category": "by category",
}


def write(result: Comparison, path: str | Path, *, command: str = "") -> Path:
    """Writes the page of a comparison and says where it is.

    Raises: TracekitError where it cannot be written.
    """
    text = render(result, command=command)
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def render(result: Comparison, *, command: str = "") -> str:
    """The page as text."""
    from tracekit.report import page

    names = [facts.file_name(p) for p in (result.before, result.after)]
    model = {
        "title": f"{runs.stem(result.before)} → {runs.stem(result.after)}",
        "subtitle": f"What changed from {names[0]} (before) to {names[1]} (after)",
        "single": False,
        "overview": overview(result),
        "sections": list(_sections(result)),
        "data": {"comparison": result.to_json()},
        "source": [*_sources(result), *page.made_by(command)],
    }
    return page.fill(model)


def _sources(result: Comparison) -> list[tuple[str, str, bool]]:
    out: list[tuple[str, str, bool]] = []
    for side, path in (("before", result.before), ("after", result.after)):
        out.append((side, facts.file_name(path), True))
        digest = facts.sha256(path)
        if digest:
            out.append((f"sha256, {side}", digest, True))
    return out


# ---------------------------------------------------------------- the first screen


def overview(result: Comparison) -> Overview:
    """The headline as numbers and as a waterfall; what makes the two hard to compare."""
    head = result.splits[0] if result.splits else None
    return Overview(
        notes=tuple(_notes(result)),
        tiles=tuple(_tiles(result, head)),
        charts=(split_chart("headline", head),) if head else (),
        definitions=compared.DEFINITIONS,
    )


def _notes(result: Comparison) -> Iterable[str]:
    gone = [s.stage for s in result.stages if s.state == "gone"]
    new = [s.stage for s in result.stages if s.state == "new"]
    counts = [
        f"{s.stage} {s.before_count} → {s.after_count}" for s in result.stages
        if s.state == "both" and s.before_count != s.after_count
    ]  # fmt: skip
    if counts:
        yield (
            "The traces do not hold the same work: instances of "
            f"{', '.join(counts[:6])}{' and others' if len(counts) > 6 else ''}."
        )
    for words, names in (("Only before", gone), ("Only after", new)):
        if names:
            rest = f" and {len(names) - 6} more" if len(names) > 6 else ""
            yield f"{words}: {', '.join(names[:6])}{rest}."
    if not result.splits:
        yield "The two traces have no total in common."


def _tiles(result: Comparison, head: Split | None) -> Iterable[Tile]:
    if head:
        yield Tile("Before", units.duration(head.before_ns), head.of)
        yield Tile("After", units.duration(head.after_ns), head.of)
        yield Tile("Difference", *_change(head.difference_ns, head.relative))
        largest = max(head.parts, key=lambda p: abs(p.difference_ns), default=None)
        if largest and largest.difference_ns:
            yield Tile("Largest part of it", largest.name,
                       _change(largest.difference_ns, None)[0])  # fmt: skip
    new = sum(k.state == "new" for k in result.kernels)
    gone = sum(k.state == "gone" for k in result.kernels)
    if new or gone:
        yield Tile("Kernels", f"{new} new, {gone} gone", f"of {len(result.kernels)} by name")


def _change(ns: float, share: float | None) -> tuple[str, str]:
    """The change with its sign, and in a word."""
    sign = "+" if ns > 0 else "−" if ns < 0 else ""
    word = "slower" if ns > 0 else "faster" if ns < 0 else "the same"
    part = "" if share is None else f"{abs(share):.1%} "
    return f"{sign}{units.duration(abs(ns))}", f"{part}{word}"


# ---------------------------------------------------------------- sections


def _sections(
    result: Comparison,
) -> Iterable[tuple[str, list[Chart], list[Grid], dict[str, Any]]]:
    grids = {grid.key: grid for grid in compared.tables(result)}
    splits = [(f"split-{i}", s) for i, s in enumerate(result.splits)]
    by_category = [(key, s) for key, s in splits if s.by == "category"]
    time = [(key, s) for key, s in splits if s.by != "category"]
    shown = [(k, s) for k, s in time[1:] if s.before_ns != s.after_ns][:SPLITS]
    yield _section(
        "stages", "Where the change comes from",
        "Which stages, and which part of their time, made the difference?",
        [split_chart(key, split) for key, split in shown],
        [grids[k] for k in ("stages", *(key for key, _ in time)) if k in grids],
    )  # fmt: skip
    if "kernels" in grids:
        yield _section(
            "kernels", "Kernels that changed",
            "Which kernels are new, gone, run more often or take longer?",
            [*(category_chart(s) for _, s in by_category), *_kernel_charts(result)],
            [grids[k] for k in ("kernels", "ops", *(k for k, _ in by_category)) if k in grids],
        )  # fmt: skip
    yield _section(
        "fields", "Every other number", "Which other numbers of the analyses differ?", [],
        [grids["fields"]],
    )  # fmt: skip


def _section(
    name: str, title: str, question: str, charts: list[Chart], grids: list[Grid]
) -> tuple[str, list[Chart], list[Grid], dict[str, Any]]:
    about: dict[str, Any] = {
        "title": title, "question": question, "definitions": {}, "trust": None, "gpu": True,
    }  # fmt: skip
    return name, [c for c in charts if c.data], [g for g in grids if g.rows or g.note], about


def split_chart(key: str, split: Split) -> Chart:
    """From the total before to the total after, part by part."""
    parts: Sequence[Part] = sorted(split.parts, key=lambda p: -abs(p.difference_ns))
    steps = [(p.name, float(p.difference_ns)) for p in parts[:STEPS] if p.difference_ns]
    rest = sum(p.difference_ns for p in parts[STEPS:])
    if rest:
        steps.append((f"{len(parts) - STEPS} others", float(rest)))
    change, word = _change(split.difference_ns, split.relative)
    return waterfall(
        key, f"{split.of} by {split.by}: {change}, {word}",
        ("before", float(split.before_ns)), steps, ("after", float(split.after_ns)),
        of=_BY[split.by],
        summary=f"{split.of} from {units.duration(split.before_ns)} before to "
        f"{units.duration(split.after_ns)} after, by part",
        table=key,
    )  # fmt: skip


def category_chart(split: Split) -> Chart:
    """Kernel time of each category, before and after."""
    parts = [p for p in split.parts if p.before_ns or p.after_ns]
    return paired_bars(
        "categories", "Kernel time by category",
        [p.name for p in parts],
        {"before": [p.before_ns for p in parts], "after": [p.after_ns for p in parts]},
        of="kernel time, durations added up",
        summary=f"Kernel time of {len(parts)} categories before and after", table="kernels",
    )  # fmt: skip


def _kernel_charts(result: Comparison) -> list[Chart]:
    """The kernels with the largest change; none where nothing changed."""
    changed = [k for k in result.kernels if k.difference_ns]
    if not changed or result.kernel_before_ns is None or result.kernel_after_ns is None:
        return []
    shown = changed[:KERNELS]
    rest = result.kernel_after_ns - result.kernel_before_ns - sum(k.difference_ns for k in shown)
    steps = [
        (f"{k.name}{'' if k.state == 'both' else f' ({k.state})'}", float(k.difference_ns))
        for k in shown
    ]
    if rest:
        steps.append((f"{len(result.kernels) - len(shown)} others", float(rest)))
    return [
        waterfall(
            "kernel-changes", "Kernels, the largest change first",
            ("all kernels before", float(result.kernel_before_ns)), steps,
            ("all kernels after", float(result.kernel_after_ns)),
            of="kernel time, durations added up",
            summary=f"The {len(shown)} kernels that changed most, from the kernel time before to "
            "that after",
            table="kernels",
        )
    ]  # fmt: skip
