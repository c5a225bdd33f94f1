"""The clock of a recording of one's own: held against what it counts, mended or refused, told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracekit.datasets.entry import Recording
from tracekit.datasets.opening import open_samples
from tracekit.errors import TracekitError

NAMES = "acc_x,acc_y,acc_z,gyro_x,gyro_y,gyro_z"
N, STEP = 120, 0.02  # s: 50 Hz


def motion(rows: int = N) -> np.ndarray:
    """[rows, 6] smooth, no two rows alike; the first column counts them."""
    at = np.arange(rows)
    still = np.column_stack([0 * at, 0 * at + 9.8, 0.1 * at, 0 * at, 0 * at])
    return np.column_stack([at / 100, still])


def write(path: Path, times: Any, values: np.ndarray | None = None, head: str = "time_s") -> Path:
    values = motion(len(times)) if values is None else values
    rows = [",".join(map(str, [t, *row])) for t, row in zip(times, values.tolist(), strict=True)]
    path.write_text("\n".join([f"{head},{NAMES}", *rows]) + "\n")
    return path


def read(path: Path, **options: Any) -> Recording:
    (one,) = open_samples(str(path), kind="imu", **options)
    return one.parse(one.read())


def steps(recording: Recording) -> np.ndarray:
    assert recording.timestamps_ms is not None
    return np.diff(recording.timestamps_ms)


def counted(recording: Recording) -> list[int]:
    """Which rows of `motion` are in it, in its order."""
    assert recording.values is not None
    return np.round(recording.values[:, 0] * 100).astype(int).tolist()


def even() -> np.ndarray:
    return np.round(np.arange(N) * STEP, 6)


@pytest.mark.parametrize("what", ["shuffled", "one row late", "halves changed over", "backwards"])
def test_rows_out_of_order_are_sorted_by_time(tmp_path: Path, what: str) -> None:
    order = np.arange(N)
    if what == "shuffled":
        order = np.random.default_rng(1).permutation(N)
    elif what == "one row late":
        order[[50, 51]] = order[[51, 50]]
    elif what == "halves changed over":
        order = np.roll(order, N // 2)
    else:
        order = order[::-1]
    path = write(tmp_path / "a.csv", even()[order], motion()[order])
    recording = read(path)
    assert counted(recording) == list(range(N))
    assert recording.rate_hz == pytest.approx(50)
    first = int(np.flatnonzero(np.diff(order) < 0)[0]) + 2  # rows count from 1
    (told,) = recording.repairs
    assert f"the first is row {first} (line {first + 1}): sorted by time" in told
    with pytest.raises(TracekitError, match=rf"clock is at fault.*row {first} \(line"):
        read(path, clock="refuse")


@pytest.mark.parametrize("back_s", [0.5, 0.3333, 1.6])
def test_a_clock_that_jumps_back_goes_on_one_step_later(tmp_path: Path, back_s: float) -> None:
    times = even()
    times[80:] -= back_s
    recording = read(write(tmp_path / "a.csv", times))
    assert counted(recording) == list(range(N))  # sorting would have mixed two stretches
    np.testing.assert_allclose(steps(recording), 20, atol=1e-3)
    assert f"jumps back 1 time, by up to {back_s - STEP:.4g} s, first at row 81" in str(
        recording.repairs
    )


def test_a_clock_that_begins_anew_goes_on(tmp_path: Path) -> None:
    times = even() + 990
    times[70:] -= times[70]
    recording = read(write(tmp_path / "a.csv", times))
    assert counted(recording) == list(range(N))
    np.testing.assert_allclose(steps(recording), 20, atol=1e-3)


def test_a_clock_that_stood_still_is_spread_until_its_next_time(tmp_path: Path) -> None:
    times = even()
    times[41:50] = times[40]
    recording = read(write(tmp_path / "a.csv", times))
    np.testing.assert_allclose(steps(recording), 20, atol=1e-6)
    (told,) = recording.repairs
    assert told.startswith(
        "9 rows repeat the time of the row before, the first is row 42 (line 43)"
    )
    with pytest.raises(TracekitError, match="9 rows repeat the time"):
        read(tmp_path / "a.csv", clock="refuse")


def test_a_row_that_was_written_twice_is_left_out(tmp_path: Path) -> None:
    order = np.insert(np.arange(N), 61, 60)
    recording = read(write(tmp_path / "a.csv", even()[order], motion()[order]))
    assert counted(recording) == list(range(N))
    assert "left out 1 row (1 of them equal to it throughout)" in str(recording.repairs)


def test_a_clock_in_whole_ms_of_a_fast_sensor_is_spread(tmp_path: Path) -> None:
    times = np.floor(np.arange(400) / 2).astype(int)  # 2 kHz
    recording = read(write(tmp_path / "a.csv", times, head="time_ms"))
    assert recording.rate_hz == pytest.approx(2000)
    assert len(steps(recording)) == 399


@pytest.mark.parametrize("rate", [400, 60, 128])
def test_the_rate_of_a_clock_in_whole_ms_is_that_of_its_mean_step(
    tmp_path: Path, rate: int
) -> None:
    times = np.round(np.arange(400) * 1000 / rate).astype(int)
    recording = read(write(tmp_path / "a.csv", times, head="t_ms"))
    assert recording.rate_hz == pytest.approx(rate, rel=0.005)
    assert recording.repairs == ()


def test_gaps_stay_and_are_told_with_their_row(tmp_path: Path) -> None:
    keep = np.r_[0:30, 60:N]
    path = write(tmp_path / "a.csv", even()[keep], motion()[keep])
    recording = read(path)
    assert steps(recording).max() == pytest.approx(620)
    assert recording.repairs == (
        "1 gap in the clock, the longest of 0.62 s before row 31 (line 32): left as it is",
    )
    with pytest.raises(TracekitError, match="1 gap in the clock"):
        read(path, clock="refuse")


@pytest.mark.parametrize("rate", [None, 50.0])
def test_a_clock_that_stands_still_is_refused_in_one_line(
    tmp_path: Path, rate: float | None
) -> None:
    path = write(tmp_path / "a.csv", [5.0] * N)
    with pytest.raises(TracekitError, match=r"stands still.* is 5 in all 120 rows.*clock=ignore"):
        read(path, rate_hz=rate)
    recording = read(path, rate_hz=50.0, clock="ignore")
    assert recording.timestamps_ms is None
    assert recording.repairs == ("column 'time_s' left out: clock=ignore says so",)


@pytest.mark.parametrize(
    ("head", "unit", "per_s"),
    [("time_s", "ns", 10**9), ("time_s", "ms", 10**3), ("time_ms", "us", 10**6), ("t_ns", "s", 1)],
)
def test_a_unit_that_no_sensor_could_have_is_refused_until_it_is_said(
    tmp_path: Path, head: str, unit: str, per_s: int
) -> None:
    times = 1_700_000_000 * per_s + np.arange(N) * per_s / 50
    path = write(tmp_path / "a.csv", times if per_s == 1 else times.astype(int), head=head)
    with pytest.raises(TracekitError, match=rf"Hz; it looks like .* \({unit}\) since 1970"):
        read(path)
    for options in ({"time_unit": unit}, {"rate_hz": 50.0}):
        recording = read(path, **options)
        assert recording.rate_hz == pytest.approx(50)
        assert len(recording.repairs) == 1


def test_whole_nanoseconds_since_1970_are_not_rounded(tmp_path: Path) -> None:
    times = 1_700_000_000_000_000_001 + np.arange(N) * 2_000_003
    recording = read(write(tmp_path / "a.csv", times, head="timestamp_ns"))
    np.testing.assert_allclose(steps(recording), 2.000003, rtol=1e-12)


def test_a_stated_rate_that_the_clock_contradicts_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", even())
    recording = read(path, rate_hz=200.0)
    assert recording.rate_hz == pytest.approx(50)
    assert "stated rate of 200 Hz is contradicted by the clock" in recording.repairs[0]
    with pytest.raises(TracekitError, match="stated rate of 200 Hz is contradicted"):
        read(path, rate_hz=200.0, clock="refuse")
    assert read(path, rate_hz=200.0, clock="ignore").rate_hz == 200
    assert read(path, rate_hz=49.0).repairs == ()  # near enough


def test_a_column_of_time_without_a_unit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", np.arange(N) * 20, head="timestamp")
    with pytest.raises(TracekitError, match=r"unit of column 'timestamp' is not known \(ms would"):
        read(path)
    assert "read as milliseconds" in read(path, rate_hz=50.0).repairs[0]
    assert "left out" in read(path, rate_hz=7.0).repairs[0]
    since = write(tmp_path / "b.csv", 1_700_000_000_000 + np.arange(N) * 20, head="timestamp")
    recording = read(since)
    assert recording.rate_hz == pytest.approx(50)
    assert "times since 1970" in recording.repairs[0]


@pytest.mark.parametrize(
    "form", ["%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S.%f",
             "%Y-%m-%dT%H:%M:%S.%f+02:00", "%H:%M:%S.%f"]
)  # fmt: skip
def test_dates_and_times_of_day_are_clocks(tmp_path: Path, form: str) -> None:
    from datetime import datetime, timedelta

    begun = datetime(2024, 2, 28, 23, 59, 59)
    times = [(begun + timedelta(milliseconds=20 * at)).strftime(form) for at in range(N)]
    recording = read(write(tmp_path / "a.csv", times, head="timestamp"))
    np.testing.assert_allclose(steps(recording), 20)
    assert recording.repairs == ()


def test_an_unknown_way_with_the_clock_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", even())
    with pytest.raises(TracekitError, match="mend, refuse, ignore"):
        read(path, clock="bend")
    with pytest.raises(TracekitError, match="no unit of time"):
        read(path, time_unit="fortnight")
