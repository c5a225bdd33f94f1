"""The answer of `devices`, as data."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

from tracekit.attribution.collectives.by_group import Collective
from tracekit.records import Record
from tracekit.results.result import Result

WINDOW = (
    "From the start of the device's first activity to the end of its last, unaccounted time left "
    "out."
)
BUSY = "Share of the device's window in which it had work."
IDLE = "Part of the window in which no stream of the device had work."


class Device(Record, frozen=True):
    """One device. window = kernel + memcpy + memset + idle, exactly; all in ns."""

    device: int
    start_ns: int  # of its first activity, from the first slice of the trace
    window_ns: int  # first start to last end of its activity
    busy_ns: int
    kernel_ns: int
    memcpy_ns: int  # exposed: no kernel covers it
    memset_ns: int  # exposed: neither kernel nor copy covers it
    idle_ns: int
    kernel_count: int
    memcpy_count: int
    memset_count: int
    unlaunched_count: int  # activities whose launch is not in the trace
    unlaunched_ns: int  # time that only they cover
    kernel_sum_ns: int  # durations added up: more than kernel_ns where streams overlap
    memcpy_sum_ns: int
    memset_sum_ns: int
    communication_ns: int  # of kernel_ns
    exposed_communication_ns: int  # of communication_ns
    communication_count: int
    overlapped_copy_ns: int  # copy time that a kernel covers
    suspect_ns: int  # of idle_ns: the device probably ran work that the file lacks (causes.py)
    kind: str = "GPU"  # MTIA, HPU (Gaudi), NPU (Ascend), XPU …: by the categories of the file
    rank: str | None = None  # of a file of several; None where it holds one process

    @property
    def seen_window_ns(self) -> int:
        """Without unaccounted time: what reports call the window, and every share is of."""
        return self.window_ns - self.suspect_ns

    @property
    def seen_idle_ns(self) -> int:
        """Without unaccounted time: what reports call idle."""
        return self.idle_ns - self.suspect_ns

    @property
    def busy_share(self) -> float | None:
        """Of the window without unaccounted time; None where that is empty."""
        return self.busy_ns / self.seen_window_ns if self.seen_window_ns else None

    @property
    def idle_share(self) -> float | None:
        """As busy_share."""
        return self.seen_idle_ns / self.seen_window_ns if self.seen_window_ns else None


class Stream(Record, frozen=True):
    """One stream of a device."""

    trace: str
    device: int
    stream: int
    count: int
    busy_ns: int  # union of its activities
    device_window_ns: int
    own_window_ns: int  # its first start to its last end
    alone_ns: int  # no other stream of the device was busy
    rank: str | None = None  # of a file of several; None where it holds one process


class Devices(Result, Record, frozen=True):
    analysis = "devices"

    rows: tuple[Device, ...]
    streams: tuple[Stream, ...]
    collectives: tuple[Collective, ...] = ()

    @property
    def window_ns(self) -> int:
        """Device time of all devices: no span of any clock, and nothing is a share of it."""
        return sum(row.window_ns for row in self.rows)

    @property
    def idle_ns(self) -> int:
        """As window_ns."""
        return sum(row.idle_ns for row in self.rows)

    @property
    def suspect_ns(self) -> int:
        """As window_ns: of idle_ns."""
        return sum(row.suspect_ns for row in self.rows)

    def mean(self, of: Callable[[Device], float | None]) -> float | None:
        """Over the devices for which it is known; None where it is for none."""
        known = [value for row in self.rows if (value := of(row)) is not None]
        return fmean(known) if known else None
