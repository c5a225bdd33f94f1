"""The headline: one sentence that names the biggest thing in a trace, with its number."""

from __future__ import annotations

from tracekit.answers.devices import Devices
from tracekit.answers.memory import Memory
from tracekit.report.one import device_headline, host_headline, speculative_headline
from tracekit.results.answers import Answers
from tracekit.results.units import bytes_, share
from tracekit.results.unknown_work import device_kind, neutral


def headline(one: Answers) -> str:
    """What an expert would say first; empty where the answers hold no time at all.

    Only numbers that the answers have: what is not known is not in it.
    """
    if one.source.snapshot is not None:
        return _of_snapshot(one)
    if said := speculative_headline.headline(one):
        return said
    devices = one.get(Devices)
    if devices is None or not devices.rows:
        return host_headline.headline(one)
    said = device_headline.headline(one, devices)
    if device_kind(one.source) == "GPU":
        return said
    # MTIA's records of waits for events are read as its work
    waits = "mtia_ccp_events" in one.source.cats
    said = said.replace("GPU busy for", "GPU busy, or waiting for events, for") if waits else said
    return neutral(said)


def _of_snapshot(one: Answers) -> str:
    """The memory that was fullest, and the line that held most of it."""
    memory = one.get(Memory)
    if memory is None or not memory.rows:
        return ""
    row = max(memory.rows, key=lambda r: r.allocated_peak)
    held = [h for h in memory.held if h.memory == row.memory]
    said = f"{row.memory}: {bytes_(row.allocated_peak)} held at the peak"
    if held and row.allocated_peak:
        top = max(held, key=lambda h: h.bytes)
        said += f", {share(top.bytes / row.allocated_peak, 0)} of it from {top.line}"
    return f"{said}."
