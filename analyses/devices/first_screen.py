"""The devices on the first screen: their window, and how much of it they worked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracekit.answers.devices import BUSY, Devices
from tracekit.attribution.idle.by_cause import SUSPECT
from tracekit.results.answers import Answers
from tracekit.results.first_screen import FirstScreen, KeyNumber
from tracekit.results.units import duration, share


def key_numbers(result: Devices, _one: Answers) -> Iterator[KeyNumber]:
    """Window, busy and idle time of all devices together."""
    window, suspect = result.window_ns, result.suspect_ns
    many = f", {len(result.rows)} devices together" if len(result.rows) > 1 else ""
    yield KeyNumber("Device window", duration(window), f"first activity to last{many}",
                    "From the device's first activity to its last.")  # fmt: skip
    if not window:
        return
    least, most = ("≥ ", "≤ ") if suspect else ("", "")
    yield KeyNumber(
        "GPU busy", f"{least}{share(result.busy_share)}", duration(result.busy_ns), BUSY
    )
    yield KeyNumber(
        "GPU idle", f"{most}{share(result.idle_ns / window)}",
        duration(result.idle_ns) + (f", {duration(suspect)} of it suspect" if suspect else ""),
        "Part of the window in which no stream of the device had work."
        + (f" Suspect: {SUSPECT[:1].lower()}{SUSPECT[1:]}" if suspect else ""),
        "warn" if suspect else "",
    )  # fmt: skip


def words(_result: Devices) -> Mapping[str, str]:
    return {"busy": BUSY}


FIRST_SCREEN = FirstScreen(order=30, key_numbers=key_numbers, words=words)
