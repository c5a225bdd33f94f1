"""The first screen, from what the analyses answered: numbers, then sentences, then the stages.

Reads answers as JSON, by the names of docs/json.md: an analysis that is not there, or that has no
such number, leaves its place empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracekit.attribution.idle.by_cause import MAYBE_WORK, SUSPECT
from tracekit.report.one import prefill_decode
from tracekit.report.one.key_numbers import DEFINITIONS, Tile, tiles, token_numbers
from tracekit.results import catalog, units
from tracekit.results.engine import Answers
from tracekit.results.figures import Chart, split_bars
from tracekit.results.result import Column, Grid
from tracekit.results.unknown_work import other_device, unknown
from tracekit.taxonomy import Stage
from tracekit.trace.capture_facts import captured

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    level: str  # '', 'warn', 'bad'
    word: str
    text: str
    link: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    claim: str
    saves: str = ""
    todo: str = ""
    link: str = ""
    link_text: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the top of a page, and the terminal, say of one trace."""

    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    tiles: tuple[Tile, ...] = ()
    limits: tuple[str, ...] = ()  # what prefill and decode spend their time on, a sentence each
    findings: tuple[Finding, ...] = ()
    charts: tuple[Chart, ...] = ()
    beside: Grid | None = None  # what costs most in prefill and in decode
    grids: tuple[Grid, ...] = ()
    leaks: str = ""  # what to see to before the trace is shared
    definitions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Split:
    """How a stage's time is split: the key in a row of the answer, (name, field) of its parts."""

    key: str
    whole: str  # what the parts add up to
    parts: tuple[tuple[str, str], ...]


CLOCK = Split(
    "clock", "wall time",
    (("kernel", "kernel_ns"), ("memcpy", "memcpy_ns"), ("memset", "memset_ns"),
     ("idle", "idle_ns")),
)  # fmt: skip
LAUNCHED = Split(
    "launched", "window of its own work",
    (*CLOCK.parts[:3], ("busy with other stages", "other_ns"), ("idle", "idle_ns")),
)  # fmt: skip
HOST = Split(
    "host", "wall time",
    (("ops", "op_ns"), ("copies", "copy_ns"), ("outside ops", "other_ns")),
)  # fmt: skip

STAGE_BAR = "stage-bar"
BARS = 12  # more stages than this are in the table only


def overview(one: Answers) -> Overview:
    """The first screen of one trace."""
    answers = {name: result.to_json() for name, result in one.answers.items()}
    gpu = has_gpu(answers)
    totals = [t for t in stage_totals(answers.get("stages")) if t["instances"]]
    split = split_of(one, answers, totals)
    chart = stage_chart(totals, split)
    grid = stage_grid(totals, split, _all_stages(answers))
    said = tuple(verdicts(answers))
    return Overview(
        verdicts=said,
        # once is enough, where the verdict says it
        notes=tuple(n for n in cautions(one, gpu) if not any(n in v.text for v in said)),
        tiles=tuple(tiles(answers, gpu)),
        limits=tuple(prefill_decode.limits(answers)),
        findings=tuple(findings(answers)),
        charts=(chart,) if chart else (),
        beside=prefill_decode.grid(answers),
        grids=(grid,) if grid else (),
        leaks=leaks(one),
        definitions=definitions(gpu),
    )


def has_gpu(answers: Mapping[str, Json]) -> bool:
    """Whether any device did anything."""
    return bool(answers.get("devices", {}).get("rows"))


def definitions(gpu: bool) -> dict[str, str]:
    """What the words of the overview mean, for a trace with or without device events."""
    gone = {"ops, copies, outside ops"} if gpu else {"by clock", "by launch", "busy"}
    return {name: text for name, text in DEFINITIONS.items() if name not in gone}


def notes(one: Answers, gpu: bool) -> Iterable[str]:
    """What a reader must know of a trace, what it gives away included."""
    yield from cautions(one, gpu)
    yield from filter(None, [leaks(one)])


def cautions(one: Answers, gpu: bool) -> Iterable[str]:
    """What a reader must know before any number."""
    if not gpu and one.source.losses:
        known = "" if one.source.unknown else " Every time here is CPU time."
        yield (
            "No GPU event is in what could be read of this file, which is damaged: GPU work may be "
            f"in the part that is lost.{known}"
        )
    elif not gpu and one.source.unknown:
        yield "No work of a device that tracekit knows is in this file."
    elif not gpu:
        yield "This trace has CPU events only: every time here is CPU time."
    yield from filter(None, [unknown(one.source), other_device(one.source) if gpu else None])
    for loss in one.source.losses:
        where = "" if loss.at_byte is None else f" at byte {loss.at_byte:,}"
        events = (
            f", at least {units.plural(loss.events_lost, 'event')} lost" if loss.events_lost else ""
        )
        yield f"Part of the file could not be used: {loss.what}{where}{events}."


def leaks(one: Answers) -> str:
    """What the trace file gives away of a machine and its owner; empty where nothing was found."""
    if not one.leaks:
        return ""
    found = ", ".join(f"{count:,} × {kind}" for kind, count in one.leaks.items())
    return f"The trace file (not this page) carries {found}: see to it before you share it."


# ---------------------------------------------------------------- stages


def stage_totals(stages: Json | None) -> list[Json]:
    """A row a stage, without the row of all stages, the five stages in their order."""
    if not stages:
        return []
    totals = [t for t in stages.get("totals", []) if t["family"] != "all stages"]
    order = {stage.value: place for place, stage in enumerate(Stage)}
    known = all(t["family"] in order for t in totals)
    return sorted(totals, key=lambda t: order[t["family"]]) if known else totals


def _all_stages(answers: Mapping[str, Json]) -> Json | None:
    totals = (answers.get("stages") or {}).get("totals", [])
    return next((t for t in totals if t["family"] == "all stages"), None)


def split_of(one: Answers, answers: Mapping[str, Json], totals: Sequence[Json]) -> Split:
    """By clock where the device was synchronised at the ends of stages, else by launch.

    Without that, a stage's kernels run after its marker has closed: by clock a prefill of half a
    second looks idle.
    """
    if not has_gpu(answers):
        return HOST
    run = captured(one.source)
    synchronised = run is not None and run.synchronised
    if not synchronised and any((t.get("launched") or {}).get("window_ns") for t in totals):
        return LAUNCHED
    return CLOCK


def stage_chart(totals: Sequence[Json], split: Split, most: int = BARS) -> Chart | None:
    """The stage bar: mean time of each stage, split; None where there are no stages."""
    rows = _worth_a_bar(totals, most)
    if not rows:
        return None

    parts = [spent(total, split) for total in rows]
    names = [name for name in (*dict(split.parts), *_INSIDE) if any(p.get(name) for p in parts)]
    names.sort(key=PARTS.index)

    def mean(total: Json, part: Mapping[str, int], name: str) -> float | None:
        return part[name] / total["instances"] if name in part else None

    several = any(t["instances"] > 1 for t in rows)
    return split_bars(
        STAGE_BAR,
        "Where the time of each stage went"
        + (", by launch" if split is LAUNCHED else "")
        + (f": the longest {len(rows)} of {len(totals)}" if len(rows) < len(totals) else ""),
        [t["family"] for t in rows],
        {name: [mean(t, p, name) for t, p in zip(rows, parts, strict=True)] for name in names},
        of=f"{split.whole}{', mean' if several else ''}",
        summary=f"{split.whole.capitalize()} of {len(rows)} stages, each split into "
        f"{', '.join(names)}.",
        table="stage-split",
    )


def _worth_a_bar(totals: Sequence[Json], most: int) -> list[Json]:
    """The stages that are drawn: all five of a request; of others the longest, none invisible."""
    if {t["family"] for t in totals} <= {stage.value for stage in Stage}:
        return list(totals)
    longest = sorted(totals, key=lambda t: -t["wall_ns"] / t["instances"])[:most]
    least = 0.005 * (longest[0]["wall_ns"] / longest[0]["instances"]) if longest else 0
    return [t for t in totals if t in longest and t["wall_ns"] / t["instances"] >= least]


_INSIDE = ("communication", MAYBE_WORK)  # parts of the kernels and of the idle time
PARTS = (
    "kernel", "communication", "memcpy", "memset", "ops", "copies", "outside ops",
    "busy with other stages", "idle", MAYBE_WORK,
)  # fmt: skip


def spent(total: Json, split: Split) -> dict[str, int]:
    """The parts of a stage's time, in ns, which add up to its whole; empty where not known.

    Communication that no other kernel covers is taken out of the kernels, and suspect idle time
    out of the idle time.
    """
    own, detail = total.get(split.key), total.get(f"{split.key}_detail") or {}
    if own is None:
        return {}
    out = {name: own[part] for name, part in split.parts}
    taken = (("communication", "kernel", "exposed_communication_ns"),
             (MAYBE_WORK, "idle", "suspect_ns"))  # fmt: skip
    for name, whole, part in taken:
        if detail.get(part) and whole in out:
            out[name] = detail[part]
            out[whole] -= detail[part]
    return out


def stage_grid(totals: Sequence[Json], split: Split, whole: Json | None) -> Grid | None:
    """The numbers of the stage bar, summed over instances."""
    if not totals:
        return None
    wall = whole["wall_ns"] if whole else None
    window, many = split is LAUNCHED, any(t["instances"] > 1 for t in totals)
    suspects = [(t.get(f"{split.key}_detail") or {}).get("suspect_ns") for t in totals]
    columns = (
        Column("stage"),
        *((Column("instances", "count", "Occurrences that the row adds up."),) if many else ()),
        Column("wall", "ns", DEFINITIONS["wall"]),
        *((Column("mean", "ns", "Mean wall time of one instance."),) if many else ()),
        *(
            (
                Column(
                    "share",
                    "share",
                    "Of the wall time of all stages together; nested stages overlap.",
                ),
            )
            if len(totals) > 1
            else ()
        ),
        *((Column("window", "ns", DEFINITIONS["by launch"]),) if window else ()),
        *(Column(name, "ns", f"Part of the {split.whole}.") for name, _ in split.parts),
        Column(f"{split.parts[-1][0]} share", "share", f"Of the {split.whole}."),
        *((Column("suspect", "ns", SUSPECT),) if any(suspects) else ()),
    )
    rows = []
    for t, suspect in zip(totals, suspects, strict=True):
        own = t.get(split.key) or {}
        values = [own.get(part) for _, part in split.parts]
        base = own.get("window_ns") if window else t["wall_ns"]
        last = values[-1]
        rows.append((
            t["family"], *([t["instances"]] if many else []), t["wall_ns"],
            *([t["mean_ns"]] if many else []),
            *([t["wall_ns"] / wall if wall else None] if len(totals) > 1 else []),
            *([base] if window else []), *values,
            last / base if last is not None and base else None,
            *([suspect] if any(suspects) else []),
        ))  # fmt: skip
    return Grid("stage-split", "Stages as numbers, all instances together", columns, rows[:40])


# ---------------------------------------------------------------- verdict and findings


def verdicts(answers: Mapping[str, Json]) -> Iterable[Verdict]:
    """The audit in one line: the worst thing first, the others by number."""
    audit = answers.get("audit")
    if not audit:
        return
    rows = audit.get("rows") or []
    odd = [r for r in rows if r["effect"] != "note"]
    if odd:
        more = f" And {len(odd) - 1} more." if len(odd) > 1 else ""
        text = f"{_stop(odd[0]['what'])}{more}"
    elif rows:
        text = (
            f"{audit['checks']} checks, {len(rows)} of them with a note: {_stop(rows[0]['what'])}"
        )
    else:
        text = f"All {audit['checks']} checks passed."
    level = {"degraded": "warn", "refused": "bad"}.get(audit["verdict"], "")
    yield Verdict(level, audit["verdict"].capitalize(), text, "audit")


def _stop(sentence: str) -> str:
    """As a sentence. The name of an op or a kernel at its start keeps its letters."""
    whole = sentence.strip()
    first = whole.split(" ", 1)[0]
    if first.isalpha() or first.replace("-", "").isalpha():
        whole = f"{whole[:1].upper()}{whole[1:]}"
    return whole + ("" if whole.endswith(".") else ".")


def _within(title: str) -> str:
    """A title inside a sentence: GPU stays GPU."""
    return f"{title[:1].lower()}{title[1:]}"


def findings(answers: Mapping[str, Json]) -> Iterable[Finding]:
    """What to do, in the order of what it saves; at most five, all in the table."""
    for row in (answers.get("findings") or {}).get("rows", [])[:5]:
        saves = row.get("saves_ns")
        # the claim names its share and what it is of
        said = f"Saves at most {units.duration(saves)}." if saves else ""
        doubt = "" if row.get("trust") != "degraded" else " Rests on an answer that is degraded."
        rests = [name for name in row.get("rests_on") or () if name in answers]
        link = rests[0] if rests else ""
        yield Finding(_stop(row["what"]), said, f"{_stop(row['do'])}{doubt}", link,
                      f"See {_within(catalog.analysis(link).title)}" if link else "")  # fmt: skip


__all__ = [
    "BARS", "DEFINITIONS", "STAGE_BAR", "Finding", "Overview", "Split", "Tile", "Verdict",
    "overview", "token_numbers",
]  # fmt: skip
