"""The devices on the first screen: their window, and how much of it they worked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tracekit.answers.devices import BUSY, IDLE, WINDOW, Device, Devices
from tracekit.attribution.idle.by_cause import SUSPECT
from tracekit.results.answers import Answers
from tracekit.results.first_screen import FirstScreen, KeyNumber
from tracekit.results.units import duration, least_to_most, share
from tracekit.trace.ranks import named


def key_numbers(result: Devices, _one: Answers) -> Iterator[KeyNumber]:
    """Window, busy and idle time; of several devices the least and the most, never a sum."""
    rows = result.rows
    suspect = max((r.suspect_ns for r in rows), default=0)
    many = f", of each of {len(rows)} devices" if len(rows) > 1 else ""
    up_to = "up to " if len(rows) > 1 else ""
    more = f"; {up_to}{duration(suspect)} unaccounted for, left out" if suspect else ""
    yield KeyNumber(
        "Device window", least_to_most([r.seen_window_ns for r in rows], duration),
        f"first activity to last{many}{more}",
        WINDOW + (f" Unaccounted for: {SUSPECT[:1].lower()}{SUSPECT[1:]}" if suspect else ""),
        "warn" if suspect else "",
    )  # fmt: skip
    busy = [(r.busy_share, r) for r in rows if r.busy_share is not None]
    idle = [(r.idle_share, r) for r in rows if r.idle_share is not None]
    if busy and idle:
        yield KeyNumber("GPU busy", least_to_most([part for part, _ in busy], share),
                        _whose(busy, "busy_ns"), BUSY)  # fmt: skip
        yield KeyNumber("GPU idle", least_to_most([part for part, _ in idle], share),
                        _whose(idle, "seen_idle_ns"), IDLE)  # fmt: skip


def _whose(shares: list[tuple[float, Device]], time: str) -> str:
    """The time itself; of several devices which has the least and which the most."""
    if len(shares) == 1:
        return duration(getattr(shares[0][1], time))
    ends = (pick(shares, key=lambda own: own[0])[1] for pick in (min, max))
    low, high = (named(row.rank, f"device {row.device}") for row in ends)
    return f"least {low}, most {high}"


def words(_result: Devices) -> Mapping[str, str]:
    return {"busy": BUSY}


FIRST_SCREEN = FirstScreen(order=30, key_numbers=key_numbers, words=words)
