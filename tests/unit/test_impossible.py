"""Records that cannot be true are in no number, counted, and carried by the verdict."""

from __future__ import annotations

import pytest

from tests.drawing import Slice, build
from tracekit.answers.audit import Audit
from tracekit.answers.devices import Device, Devices
from tracekit.answers.findings import Findings
from tracekit.results import catalog
from tracekit.trace import impossible
from tracekit.trace.trace import Cat, Trace

START = 1_759_300_000_000_000_000
MS = 1_000_000


def launch(at: int, link: int) -> Slice:
    return Slice(START + at, 5_000, "cudaLaunchKernel", Cat.RUNTIME, correlation=link)


def kernel(at: int, dur: int, link: int = -1, name: str = "gemm", stream: int = 7) -> Slice:
    return Slice(START + at, dur, name, Cat.KERNEL, 7, 0, 0, stream, link)


def steady(count: int = 40) -> list[Slice]:
    """Kernels of 50 µs every 100 µs, each launched 20 µs before."""
    pairs = [(launch(n * 100_000, n + 1), kernel(n * 100_000 + 20_000, 50_000, n + 1))
             for n in range(count)]  # fmt: skip
    return [one for pair in pairs for one in pair]


def only(trace: Trace) -> Device:
    (row,) = catalog.ask(trace, Devices).rows
    return row


def odd(trace: Trace, number: int) -> None:
    """The audit counts so many, and the devices are not trusted."""
    audit = catalog.ask(trace, Audit)
    rows = [r for r in audit.rows if r.check == "impossible_records"]
    assert sum(r.count for r in rows) == number, rows
    assert audit.trust("devices").verdict != "trusted"
    assert not any("no kernel" in r.what for r in audit.rows)


def test_a_sound_trace_is_the_same_object() -> None:
    trace = build(steady())
    assert impossible.without(trace) is trace


def moved(slices: list[Slice], which: range, ts: int, dur: int | None = None) -> list[Slice]:
    """Kernels number `which`, at another time."""
    kernels = [s for s in slices if s.cat == Cat.KERNEL]
    out = [s for s in slices if s.cat != Cat.KERNEL]
    for n, s in enumerate(kernels):
        at, long = (ts + n * 100, s.dur if dur is None else dur) if n in which else (s.ts, s.dur)
        out.append(Slice(at, long, s.name, s.cat, s.tid, s.pid, s.device, s.stream, s.correlation))
    return out


@pytest.mark.parametrize("ts", [START - 10**14, START - 10**11, START + 10**17, START + 10**9, 0])
@pytest.mark.parametrize("dur", [None, 0])
def test_work_stamped_far_from_all_other_is_set_aside(ts: int, dur: int | None) -> None:
    trace = build(moved(steady(), range(5), ts, dur))
    row = only(trace)
    assert (row.kernel_count, row.busy_ns, row.window_ns) == (35, 35 * 50_000, 3_450_000)
    odd(trace, 5)


def test_a_clock_of_the_device_that_is_apart_as_a_whole_loses_no_work() -> None:
    trace = build(moved(steady(), range(40), START - 10**14))
    assert only(trace).kernel_count == 40


def test_a_length_below_zero_is_in_no_number() -> None:
    trace = build([*steady(), kernel(9_000, -50_000, 999), launch(8_000, 999)])
    assert only(trace).busy_ns == 40 * 50_000
    odd(trace, 1)


@pytest.mark.parametrize("long", [30 * MS, 1 << 32, 10**17])
def test_work_that_outlasts_its_stream_is_cut_or_set_aside(long: int) -> None:
    slices = [s for s in steady() if s.correlation != 11]
    trace = build([*slices, launch(1_000_000, 11), kernel(1_020_000, long, 11)])
    row = only(trace)
    cut = 100_000 if long < 10**17 else 0  # to the next start, or no record at all
    assert row.busy_ns == 39 * 50_000 + cut
    assert row.window_ns == 3_950_000
    odd(trace, 1)


def test_work_that_overlaps_the_next_or_runs_beside_it_in_a_graph_is_real() -> None:
    overlapping = [kernel(n * 10_000, 12_000, n + 1) for n in range(20)]  # launched early (PDL)
    graph = [kernel(0, 900_000, 5), *(kernel(1_000 + n * 10_000, 9_000, 5) for n in range(50))]
    other = [kernel(0, 900_000, 1), *(kernel(1_000 * n, 900, n + 2, stream=8) for n in range(99))]
    for slices in (overlapping, graph, other):
        trace = build(slices)
        assert impossible.without(trace) is trace


def test_work_of_a_graph_that_outlasts_later_launches_of_its_stream_is_cut() -> None:
    """20 graphs of 15 kernels, 1 ms apart; a kernel of the fourth would last for thirty of them."""
    work = [kernel(n * MS + k * 50_000, 30 * MS if (n, k) == (3, 2) else 49_000, n + 1)
            for n in range(20) for k in range(15)]  # fmt: skip
    trace = build([*(launch(n * MS, n + 1) for n in range(20)), *work])
    row = only(trace)
    assert (row.busy_ns, row.window_ns) == (299 * 49_000 + 50_000, 19 * MS + 749_000)
    odd(trace, 1)


def test_a_record_that_is_there_twice_counts_once() -> None:
    slices = steady()
    trace = build([*slices, *slices[:6]])
    assert only(trace).kernel_count == 40
    assert only(trace).kernel_sum_ns == 40 * 50_000
    odd(trace, 6)


DAMAGED: dict[str, list[Slice]] = {
    "far back": moved(steady(), range(5), START - 10**14),
    "far ahead": moved(steady(), range(5), START + 10**17),
    "zero": moved(steady(), range(5), 0, 0),
    "below zero": [*steady(), kernel(9_000, -50_000, 999), launch(8_000, 999)],
    "wrapped": [*steady(), launch(4_000_000, 99), kernel(4_020_000, 1 << 32, 99)],
    "years long": [*steady(), launch(4_000_000, 99), kernel(4_020_000, 10**17, 99)],
    "a copy on another stream": [
        *steady(),
        launch(1_000, 99),
        Slice(START + 2_000, 1 << 40, "Memcpy HtoD", Cat.MEMCPY, 7, 0, 0, 8, 99),
    ],
    "an early launch": [*steady(), launch(-(10**14), 99), kernel(4_020_000, 50_000, 99)],
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_no_finding_saves_more_than_its_window(damage: str) -> None:
    trace = build([Slice(START - 1_000, 4_200_000, "step", Cat.ANNOTATION), *DAMAGED[damage]])
    row = only(trace)
    for finding in catalog.ask(trace, Findings).rows:
        assert (finding.saves_ns or 0) <= max(row.window_ns, 4_200_000), finding.what
        assert (finding.saves_share or 0) <= 1, finding.what
    if damage not in ("wrapped", "a copy on another stream"):  # kept, and questioned
        assert row.window_ns < 5 * MS
