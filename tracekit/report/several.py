"""The page over several traces: side by side first, then each analysis added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracekit import engine
from tracekit.engine import Answers
from tracekit.figures import Chart, lines, split_bars
from tracekit.report import facts
from tracekit.report.overview import (
    Overview,
    Split,
    definitions,
    has_gpu,
    notes,
    split_of,
    stage_totals,
    token_numbers,
    verdicts,
)
from tracekit.results import Column, Grid

BARS = 4  # more traces than this are points of a line, not groups of bars


def page(many: Sequence[Answers]) -> dict[str, Any]:
    """The parts of the page (see report.page.fill)."""
    from tracekit.report.page import HERO, section, unanswered

    names = labels(many)
    plain = [{k: r.to_json() for k, r in one.answers.items()} for one in many]
    gpu = any(has_gpu(answers) for answers in plain)
    together = engine.merged(many)
    sections = [
        section(name, result, gpu=gpu) for name, result in together.items() if name not in HERO
    ]
    sections.sort(key=lambda own: own[0] == "audit")  # what it judges comes first, as on one trace
    view = overview(many, names, plain)
    apart = [name for name in engine.wanted(None) if name not in together]
    data: dict[str, Any] = {name: result.to_json() for name, result in together.items()}
    data["traces"] = [
        {"trace": name, "path": facts.file_name(one.path), "answers": sorted(one.answers),
         "unanswered": dict(one.unanswered)}
        for name, one in zip(names, many, strict=True)
    ]  # fmt: skip
    missing = [
        Answers(one.path, one.source, {}, {n: r for n, r in one.unanswered.items() if n in apart},
                {}, one.hints)
        for one in many
    ]  # fmt: skip
    return {
        "title": f"{len(many)} traces side by side",
        "subtitle": " · ".join(names),
        "single": False,
        "overview": view,
        "sections": sections,
        "unanswered": unanswered(missing),
        "data": data,
    }


def labels(many: Sequence[Answers]) -> list[str]:
    """A short name for each trace: the run's, and the file's where that is not enough."""
    titles = [facts.title(one.source) for one in many]
    files = [facts.stem(one.path) for one in many]
    ranks = [(one.source.meta.get("distributedInfo") or {}) for one in many]
    numbers = [r.get("rank") if isinstance(r, Mapping) else None for r in ranks]
    if len(set(titles)) == len(titles):
        return [t.removesuffix(".gz").removesuffix(".json") for t in titles]
    if None not in numbers and len(set(numbers)) == len(numbers):
        return [f"rank {n}" for n in numbers]
    if len(set(files)) == len(files):
        return files
    return [f"{place}: {name}" for place, name in enumerate(files, 1)]


def overview(
    many: Sequence[Answers], names: Sequence[str], plain: Sequence[Mapping[str, Any]]
) -> Overview:
    """What the traces have in common and where they differ."""
    said = [
        (name, verdict)
        for name, answers in zip(names, plain, strict=True)
        for verdict in verdicts(answers)
    ]
    differ = _differences(many, names)
    said_of: dict[str, list[str]] = {}
    for name, one, answers in zip(names, many, plain, strict=True):
        for note in notes(one, has_gpu(answers)):
            said_of.setdefault(note, []).append(name)
    own = [
        f"{'Each trace' if len(of) == len(many) else ', '.join(of)}: {note}"
        for note, of in said_of.items()
    ]
    chart = stage_chart(many, names, plain)
    return Overview(
        verdicts=tuple(
            type(v)(v.level, v.word, f"{name}: {v.text}") for name, v in said if v.level
        ),
        notes=(*differ, *own),
        charts=(chart,) if chart else (),
        grids=tuple(g for g in (_totals(many, names, plain), _stages(names, many, plain)) if g),
        definitions=definitions(any(has_gpu(a) for a in plain)),
    )


def _differences(many: Sequence[Answers], names: Sequence[str]) -> list[str]:
    """What makes the traces incomparable, above the numbers."""
    out = []
    for what, values in (
        ("device", [", ".join(facts.devices(one.source)) or "unknown" for one in many]),
        ("dtype", [str(facts.captured(one.source).get("dtype") or "") for one in many]),
        ("batch size", [str(facts.captured(one.source).get("batch_size") or "") for one in many]),
        ("stacks recorded", ["yes" if one.source.meta.get("with_stack") else "no" for one in many]),
    ):
        if len(set(values)) > 1 and len(many) <= 8:
            pairs = ", ".join(f"{n} {v or 'not said'}" for n, v in zip(names, values, strict=True))
            out.append(f"The traces differ in {what}: {pairs}.")
        elif len(set(values)) > 1:
            out.append(f"The traces differ in {what}.")
    return out


def _totals(
    many: Sequence[Answers], names: Sequence[str], plain: Sequence[Mapping[str, Any]]
) -> Grid:
    columns = (
        Column("trace"),
        Column("device"),
        Column("slices", "count", "Slices that the file holds."),
        Column("window", "ns", "From the device's first activity to its last, devices added up."),
        Column("busy", "share", "Share of the window in which the device had work."),
        Column("idle", "ns", "Part of the window in which it had none."),
        Column("TTFT", "ns", "Time to first token: load to the end of prefill, mean."),
        Column("TPOT", "ns", "Time per output token: (end to end − TTFT) / (tokens − 1), mean."),
        Column("decode", "tokens/s", "Tokens a second after the first: 1 / TPOT."),
    )
    rows = []
    for one, name, answers in zip(many, names, plain, strict=True):
        own = answers.get("devices", {}).get("rows") or []
        window, busy, idle = (
            sum(r[k] for r in own) if own else None for k in ("window_ns", "busy_ns", "idle_ns")
        )
        tokens = token_numbers(answers.get("tokens"))
        rows.append((
            name, ", ".join(facts.devices(one.source)) or None, one.source.events.get("X"),
            window, busy / window if window and busy is not None else None, idle,
            tokens.get("ttft_ns"), tokens.get("tpot_ns"), tokens.get("tokens_per_s"),
        ))  # fmt: skip
    return Grid("traces", "Trace by trace", columns, rows)


def _stages(
    names: Sequence[str], many: Sequence[Answers], plain: Sequence[Mapping[str, Any]]
) -> Grid | None:
    """Mean wall time of each stage, a column a trace."""
    means = [{t["family"]: t["mean_ns"] for t in stage_totals(a.get("stages"))} for a in plain]
    families = list(dict.fromkeys(family for own in means for family in own))
    if not families or len(names) > 8:
        return None
    columns = (
        Column("stage"),
        *(Column(name, "ns", "Mean wall time of one instance.") for name in names),
    )
    rows = [(family, *(own.get(family) for own in means)) for family in families[:60]]
    return Grid("stage-means", "Mean wall time of each stage", columns, rows)


def stage_chart(
    many: Sequence[Answers], names: Sequence[str], plain: Sequence[Mapping[str, Any]]
) -> Chart | None:
    """Stages of each trace on one scale: bars for a few traces, lines for many."""
    kinds: list[Split] = [
        split_of(one, a, stage_totals(a.get("stages"))) for one, a in zip(many, plain, strict=True)
    ]
    totals = [stage_totals(a.get("stages")) for a in plain]
    families = list(dict.fromkeys(t["family"] for own in totals for t in own if t["instances"]))
    if not families:
        return None
    if len(many) > BARS:
        means = [{t["family"]: t["mean_ns"] for t in own} for own in totals]
        return lines(
            "stage-lines", "Mean wall time of each stage, trace by trace",
            list(range(1, len(many) + 1)),
            {family: [own.get(family) for own in means] for family in families[:7]},
            x_title="trace, in the order given", of="wall time",
            summary=f"Mean wall time of {min(len(families), 7)} stages over {len(many)} traces.",
            table="stage-means",
        )  # fmt: skip
    rows, parts = [], dict[str, list[float | None]]()
    shown = families[: 24 // len(many)]
    cells = [
        (family, place) for family in shown for place, own in enumerate(totals)
        if any(t["family"] == family for t in own)
    ]  # fmt: skip
    every = list(dict.fromkeys(name for kind in kinds for name, _ in kind.parts))
    for family, place in cells:
        total = next(t for t in totals[place] if t["family"] == family)
        rows.append(f"{family} · {names[place]}")
        split = total.get(kinds[place].key) or {}
        own = dict(kinds[place].parts)
        for name in every:
            value = split.get(own[name]) if name in own else None
            mean = None if value is None else value / total["instances"]
            parts.setdefault(name, []).append(mean)
    return split_bars(
        "stage-bar", "Stages side by side", rows, parts,
        of="wall time, mean of the instances",
        summary=f"Mean wall time of {len(shown)} stages in {len(many)} traces, on one scale",
        table="stage-means",
    )  # fmt: skip
