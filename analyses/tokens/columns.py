"""What tables and charts call the parts of a ledger line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tracekit.attribution.breakdown import IDLE, KERNELS, ORDER, Spent
from tracekit.attribution.idle.by_cause import SHOWN, SUSPECT
from tracekit.results.result import Column
from tracekit.taxonomy import Category

LEFT_OUT = "unaccounted"  # in no chart: the device probably ran work that the file lacks
_GROUP = {IDLE + cause.value: name for name, group in SHOWN.items() for cause in group}


def parts_of(spent: Spent) -> dict[str, int]:
    """The parts, idle time by class as charts group it, unaccounted time beside them."""
    out: dict[str, int] = {}
    for name, ns in spent.parts.items():
        less = (spent.suspect or {}).get(name.removeprefix(IDLE), 0) if name in _GROUP else 0
        if ns > less:
            out[_GROUP.get(name, name)] = out.get(_GROUP.get(name, name), 0) + ns - less
    if spent.suspect_ns:
        out[LEFT_OUT] = spent.suspect_ns
    return out


def used(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Names of parts in the order of the ledger."""
    order = [*(c.value for c in ORDER), "op", "copy", "outside ops",
             "busy with other stages", *SHOWN, LEFT_OUT]  # fmt: skip
    seen = {name for row in rows for name in row}
    return [name for name in order if name in seen]


def columns(names: Sequence[str], host: bool) -> tuple[Column, ...]:
    """A column for each part, with its definition; with `host`, of a trace without GPU work."""
    kinds = {c.value for c in ORDER}
    return tuple(
        Column(
            f"{name} ops" if host and name in kinds else name,
            "ns",
            f"Time of the thread in ops of the kind {name}, copies left out; no kernel time."
            if host and name in kinds
            else _define(name),
        )
        for name in names
    )


def _define(name: str) -> str:
    if name in {c.value for c in KERNELS}:
        return f"Time in which {name} kernels ran, and none of a category further left."
    return {
        Category.COMMUNICATION.value: "Time in which only communication kernels ran.",
        Category.MEMCPY.value: "Time in which a device copied and no kernel ran.",
        Category.MEMSET.value: "Time in which a device filled memory and nothing else ran.",
        "op": "Time of the thread in framework ops that are no copy.",
        "copy": "Time of the thread in ops that only move data.",
        "outside ops": "Time of the thread outside any framework op.",
        "busy with other stages": "Time in which only work launched elsewhere ran.",
        LEFT_OUT: SUSPECT,
    }.get(name, f"Idle time: {name}.")
