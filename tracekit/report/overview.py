"""The first screen, from what the analyses answered: numbers, then sentences, then the stages.

Reads answers as JSON, by the names of docs/json.md: an analysis that is not there, or that has no
such number, leaves its place empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracekit import catalog, units
from tracekit.engine import Answers
from tracekit.figures import Chart, split_bars
from tracekit.report import beside
from tracekit.report.facts import captured
from tracekit.results import Column, Grid
from tracekit.stages import Stage

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    sub: str = ""
    definition: str = ""


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

DEFINITIONS = {
    "wall": "Host time from the start of a stage's marker to its end.",
    "by clock": "What the device did while the stage's marker was open: kernel, memcpy, memset and "
    "idle add up to the wall time.",
    "by launch": "What the device did from the first work that the stage launched to the last, "
    "whenever it ran: its own kernels, copies and fills, work of other stages, and idle add up to "
    "that window. Right where the host runs ahead of the device.",
    "ops, copies, outside ops": "What the marker's thread did; they add up to the wall time, and "
    "are CPU time.",
    "TTFT": "Time to first token: load, preprocess, encode and prefill of one request.",
    "TPOT": "Time per output token: (end to end − TTFT) / (tokens − 1).",
    "busy": "Share of the device's window, from its first activity to its last, in which it had "
    "work.",
}


def overview(one: Answers) -> Overview:
    """The first screen of one trace."""
    answers = {name: result.to_json() for name, result in one.answers.items()}
    gpu = has_gpu(answers)
    totals = [t for t in stage_totals(answers.get("stages")) if t["instances"]]
    split = split_of(one, answers, totals)
    chart = stage_chart(totals, split)
    grid = stage_grid(totals, split, _all_stages(answers))
    return Overview(
        verdicts=tuple(verdicts(answers)),
        notes=tuple(notes(one, gpu)),
        tiles=tuple(tiles(answers, gpu)),
        limits=tuple(beside.limits(answers)),
        findings=tuple(findings(answers)),
        charts=(chart,) if chart else (),
        beside=beside.grid(answers),
        grids=(grid,) if grid else (),
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
    """What a reader must know before any number."""
    if not gpu:
        yield "This trace has CPU events only: every time here is CPU time."
    for loss in one.source.losses:
        where = "" if loss.at_byte is None else f" at byte {loss.at_byte:,}"
        events = (
            f", at least {units.plural(loss.events_lost, 'event')} lost" if loss.events_lost else ""
        )
        yield f"Part of the file could not be used: {loss.what}{where}{events}."
    if one.leaks:
        found = ", ".join(f"{count:,} × {kind}" for kind, count in one.leaks.items())
        yield f"The trace file (not this page) carries {found}: see to it before you share it."


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
    options = captured(one.source).get("options") or {}
    synchronised = bool(captured(one.source)) and options.get("sync") is not False
    if not synchronised and any((t.get("launched") or {}).get("window_ns") for t in totals):
        return LAUNCHED
    return CLOCK


def stage_chart(totals: Sequence[Json], split: Split, most: int = BARS) -> Chart | None:
    """The stage bar: mean time of each stage, split; None where there are no stages."""
    rows = list(totals)
    if len(rows) > most:
        longest = sorted(rows, key=lambda t: -t["wall_ns"])[:most]
        rows = [t for t in rows if t in longest]
    if not rows:
        return None

    def mean(total: Json, part: str) -> float | None:
        own = total.get(split.key)
        return None if own is None else own[part] / total["instances"]

    several = any(t["instances"] > 1 for t in rows)
    left = len(totals) - len(rows)
    return split_bars(
        STAGE_BAR,
        "Where the time of each stage went" + (", by launch" if split is LAUNCHED else ""),
        [t["family"] for t in rows],
        {name: [mean(t, part) for t in rows] for name, part in split.parts},
        of=f"{split.whole}{', mean' if several else ''}",
        summary=f"{split.whole.capitalize()} of {len(rows)} stages, each split into "
        f"{', '.join(name for name, _ in split.parts)}"
        + (f"; {left} shorter ones are in the table only." if left else "."),
        table="stage-split",
    )


def stage_grid(totals: Sequence[Json], split: Split, whole: Json | None) -> Grid | None:
    """The numbers of the stage bar, summed over instances."""
    if not totals:
        return None
    wall = whole["wall_ns"] if whole else None
    window = split is LAUNCHED
    columns = (
        Column("stage"),
        Column("instances", "count", "Occurrences that the row adds up."),
        Column("wall", "ns", DEFINITIONS["wall"]),
        Column("mean", "ns", "Mean wall time of one instance."),
        Column("share", "share", "Of the wall time of all stages together; nested stages overlap."),
        *((Column("window", "ns", DEFINITIONS["by launch"]),) if window else ()),
        *(Column(name, "ns", f"Part of the {split.whole}.") for name, _ in split.parts),
        Column(f"{split.parts[-1][0]} share", "share", f"Of the {split.whole}."),
    )
    rows = []
    for t in totals:
        own = t.get(split.key) or {}
        values = [own.get(part) for _, part in split.parts]
        base = own.get("window_ns") if window else t["wall_ns"]
        last = values[-1]
        rows.append((
            t["family"], t["instances"], t["wall_ns"], t["mean_ns"],
            t["wall_ns"] / wall if wall else None, *([base] if window else []), *values,
            last / base if last is not None and base else None,
        ))  # fmt: skip
    return Grid("stage-split", "Stages as numbers, all instances together", columns, rows[:40])


# ---------------------------------------------------------------- tiles


def tiles(answers: Mapping[str, Json], gpu: bool) -> Iterable[Tile]:
    """The few large numbers."""
    yield from _token_tiles(answers.get("tokens"))
    if gpu:
        yield from _device_tiles(answers["devices"]["rows"])
        yield from _category_tile(answers.get("kernels"))
        yield from _floor_tiles(answers.get("roofline"))
    else:
        yield from _host_tiles(answers.get("stages"))


def token_numbers(tokens: Json | None) -> dict[str, float | None]:
    """ttft_ns, tpot_ns and tokens_per_s over all requests, as far as they are known."""
    latency = (tokens or {}).get("latency") or {}
    tpot = latency.get("tpot_ns")
    return {
        "ttft_ns": latency.get("ttft_ns"),
        "ttft_without_load_ns": latency.get("ttft_without_load_ns"),
        "tpot_ns": tpot,
        "itl_p99_ns": latency.get("itl_p99_ns"),
        "tokens_per_s": 1e9 / tpot if tpot else None,
    }


def _token_tiles(tokens: Json | None) -> Iterable[Tile]:
    known = token_numbers(tokens)
    ttft, bare, tpot = (known[k] for k in ("ttft_ns", "ttft_without_load_ns", "tpot_ns"))
    if ttft is not None:
        sub = "" if bare is None else f"{units.duration(bare)} without load"
        yield Tile("TTFT", units.duration(ttft), sub, DEFINITIONS["TTFT"])
    if tpot is not None:
        late = known["itl_p99_ns"]
        sub = "" if late is None else f"99 % within {units.duration(late)}"
        yield Tile("TPOT", units.duration(tpot), sub, DEFINITIONS["TPOT"])
        rate = known["tokens_per_s"]
        yield Tile("Decode", f"{rate:,.1f}", "tokens/s of one sequence",
                   "Tokens a second after the first: 1 / TPOT.")  # fmt: skip


def _floor_tiles(roofline: Json | None) -> Iterable[Tile]:
    """Floor against measured, for each stage that has one."""
    for row in (roofline or {}).get("floors") or []:
        took, floor = row.get("took_ns"), row.get("floor_ns")
        if took and floor:
            yield Tile(
                f"Floor of {row['stage']}", f"{floor / took:.0%}",
                f"{units.duration(floor)} of {units.duration(took)}",
                "The least time the stage could take on this device (weights and cache over the "
                "bandwidth, FLOPs over the peak, whichever is longer), over what it took.",
            )  # fmt: skip


def _device_tiles(rows: Sequence[Json]) -> Iterable[Tile]:
    window, busy, idle = (sum(r[k] for r in rows) for k in ("window_ns", "busy_ns", "idle_ns"))
    many = f", {len(rows)} devices together" if len(rows) > 1 else ""
    yield Tile("Device window", units.duration(window), f"first activity to last{many}",
               "From the device's first activity to its last.")  # fmt: skip
    if window:
        yield Tile("GPU busy", units.share(busy / window), units.duration(busy),
                   DEFINITIONS["busy"])  # fmt: skip
        yield Tile("GPU idle", units.share(idle / window), units.duration(idle),
                   "Part of the window in which no stream of the device had work.")  # fmt: skip


def _category_tile(kernels: Json | None) -> Iterable[Tile]:
    rows = (kernels or {}).get("rows") or []
    sums: dict[str, float] = {}
    for row in rows:
        sums[row["category"]] = sums.get(row["category"], 0) + row["total_ns"]
    whole = sum(sums.values())
    if whole:
        name, most = max(sums.items(), key=lambda item: item[1])
        yield Tile("Largest category", name, f"{most / whole:.0%} of kernel time summed",
                   "The kernel category with the largest sum of durations.")  # fmt: skip


def _host_tiles(stages: Json | None) -> Iterable[Tile]:
    every = [t for t in (stages or {}).get("totals", []) if t["family"] == "all stages"]
    for total in every:
        yield Tile("Wall time", units.duration(total["wall_ns"]), "all stages together",
                   DEFINITIONS["wall"])  # fmt: skip
        host = total.get("host")
        if host and total["wall_ns"]:
            for label, key in (("In ops", "op_ns"), ("In copies", "copy_ns"),
                               ("Outside ops", "other_ns")):  # fmt: skip
                part = host[key] / total["wall_ns"]
                yield Tile(label, units.share(part), units.duration(host[key]),
                           "CPU time of the marker's thread.")  # fmt: skip


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
    whole = sentence.strip()
    return f"{whole[:1].upper()}{whole[1:]}" + ("" if whole.endswith(".") else ".")


def findings(answers: Mapping[str, Json]) -> Iterable[Finding]:
    """What to do, in the order of what it saves; at most six, the rest in their section."""
    for row in (answers.get("findings") or {}).get("rows", [])[:6]:
        saves = row.get("saves_ns")
        share = row.get("saves_share")
        said = ""
        if saves:
            of = "" if share is None else f" ({share:.0%})"
            said = f"Saves at most {units.duration(saves)}{of}."
        doubt = "" if row.get("trust") != "degraded" else " Rests on an answer that is degraded."
        rests = [name for name in row.get("rests_on") or () if name in answers]
        link = rests[0] if rests else ""
        yield Finding(_stop(row["what"]), said, f"{_stop(row['do'])}{doubt}", link,
                      f"See {catalog.analysis(link).title.lower()}" if link else "")  # fmt: skip
