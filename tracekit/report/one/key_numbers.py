"""The large numbers of the first screen, from the answers as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tracekit.attribution.idle.by_cause import SUSPECT
from tracekit.results import units

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tile:
    label: str
    value: str
    sub: str = ""
    definition: str = ""
    level: str = ""  # 'warn' where the number must not be taken as it stands


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
        sub = "" if late is None else f"99% within {units.duration(late)}"
        yield Tile("TPOT", units.duration(tpot), sub, DEFINITIONS["TPOT"])
        number, unit = units.rate(known["tokens_per_s"], "tokens/s").split(" ", 1)
        yield Tile("Decode", number, f"{unit} of one sequence",
                   "Tokens a second after the first: 1 / TPOT.")  # fmt: skip


def _floor_tiles(roofline: Json | None) -> Iterable[Tile]:
    """Floor against measured, for each stage that has one."""
    for row in (roofline or {}).get("floors") or []:
        took, floor = row.get("took_ns"), row.get("floor_ns")
        if took and floor:
            yield Tile(
                f"Floor of {row['stage']}", units.share(floor / took, 0),
                f"{units.duration(floor)} of {units.duration(took)}",
                "The least time the stage could take on this device (weights and cache over the "
                "bandwidth, FLOPs over the peak, whichever is longer), over what it took.",
            )  # fmt: skip


def _device_tiles(rows: Sequence[Json]) -> Iterable[Tile]:
    window, busy, idle = (sum(r[k] for r in rows) for k in ("window_ns", "busy_ns", "idle_ns"))
    suspect = sum(r.get("suspect_ns") or 0 for r in rows)
    many = f", {len(rows)} devices together" if len(rows) > 1 else ""
    yield Tile("Device window", units.duration(window), f"first activity to last{many}",
               "From the device's first activity to its last.")  # fmt: skip
    if not window:
        return
    least, most = ("≥ ", "≤ ") if suspect else ("", "")
    yield Tile("GPU busy", f"{least}{units.share(busy / window)}", units.duration(busy),
               DEFINITIONS["busy"])  # fmt: skip
    yield Tile(
        "GPU idle", f"{most}{units.share(idle / window)}",
        units.duration(idle) + (f", {units.duration(suspect)} of it suspect" if suspect else ""),
        "Part of the window in which no stream of the device had work."
        + (f" Suspect: {SUSPECT[:1].lower()}{SUSPECT[1:]}" if suspect else ""),
        "warn" if suspect else "",
    )  # fmt: skip


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
