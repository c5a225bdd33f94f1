"""Recordings of one's own in the forms that people's files have: read alike, or refused plainly."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracekit.datasets.entry import Recording
from tracekit.datasets.formats.csv_rows import G
from tracekit.datasets.local.channels import heading, scale_of
from tracekit.datasets.opening import kind_of, open_samples
from tracekit.errors import TracekitError

NAMES = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
N = 80
AT = np.arange(N) / 100  # s
MOTION = np.column_stack(
    [np.sin(AT), np.cos(AT), 9.8 + AT, 0.3 * np.sin(AT), 0.2 * np.cos(AT), 0.1 * AT]
).round(5)
ROWS = [[f"{t:.6f}", *map(str, row)] for t, row in zip(AT, MOTION.tolist(), strict=True)]
HEAD = ["time_s", *NAMES]


def read(path: Path, **options: Any) -> Recording:
    (one,) = open_samples(str(path), kind="imu", **options)
    return one.parse(one.read())


def same(recording: Recording, *, clock: bool = True) -> None:
    assert recording.values is not None
    np.testing.assert_allclose(recording.values, MOTION, atol=1e-9)
    assert recording.rate_hz == pytest.approx(100)
    assert (recording.timestamps_ms is not None) is clock


def text(rows: list[list[str]], separator: str = ",", end: str = "\n") -> str:
    return end.join(separator.join(row) for row in rows) + end


def commas(rows: list[list[str]]) -> list[list[str]]:
    return [[cell.replace(".", ",") for cell in row] for row in rows]


WHOLE = [HEAD, *ROWS]
FORMS: dict[str, str | bytes] = {
    "decimal commas and ;": text([HEAD, *commas(ROWS)], ";"),
    "decimal commas and tabs": text([HEAD, *commas(ROWS)], "\t"),
    "decimal commas and blanks": text([HEAD, *commas(ROWS)], " "),
    "decimal commas in quotes": text([HEAD, *[[f'"{c}"' for c in r] for r in commas(ROWS)]]),
    "all in quotes": text([[f'"{c}"' for c in row] for row in WHOLE]),
    "a byte order mark": b"\xef\xbb\xbf" + text(WHOLE).encode(),
    "UTF-16": text(WHOLE).encode("utf-16"),
    "Latin-1": text([[f"{n} [m/s²]" if n[0] == "a" else n for n in HEAD], *ROWS]).encode("latin-1"),
    "old line ends": text(WHOLE, end="\r"),
    "Windows' line ends": text(WHOLE, end="\r\n"),
    "a separator after each row": text([HEAD, *[[*r, ""] for r in ROWS]]),
    "a separator after every line": text([[*row, ""] for row in WHOLE]),
    "a separator after the header": text([[*HEAD, ""], *ROWS]),
    "comments above": "# made by hand\n# acc range: 16\n" + text(WHOLE),
    "comments below": text(WHOLE[:9]) + "# paused\n" + text(WHOLE[9:]) + "# end\n",
    "a header that is a comment": "# " + text(WHOLE, " "),
    "lines of facts above": "Device: mine\nStart: today\n\n" + text(WHOLE),
    "a separator that is stated": "sep=;\n" + text(WHOLE, ";"),
    "pandas' index": text([["", *HEAD], *[[str(k), *r] for k, r in enumerate(ROWS)]]),
    "R's row names": text([HEAD, *[[f"r{k}", *r] for k, r in enumerate(ROWS)]], " "),
    "the header again": text([*WHOLE[:30], HEAD, *WHOLE[30:]]),
    "the same column twice": text([[*HEAD, "acc_x"], *[[*r, r[1]] for r in ROWS]]),
    "other columns": text([["label", *HEAD, "mag_x"], *[["walk", *r, "4"] for r in ROWS]]),
    "a row of units": text([HEAD, ["s", *["m/s^2"] * 3, *["rad/s"] * 3], *ROWS]),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_table_as_text_is_read_in_any_form(tmp_path: Path, form: str) -> None:
    data = FORMS[form]
    path = tmp_path / "a.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    same(read(path))


def test_what_was_passed_over_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Device: mine\n" + text([*WHOLE[:30], HEAD, *WHOLE[30:]]))
    assert read(path).repairs == (
        "passed over 1 line before the header",
        "passed over the header where it comes again, first in line 32",
    )


@pytest.mark.parametrize("index", [True, False])
def test_columns_that_pandas_only_numbers(tmp_path: Path, index: bool) -> None:
    rows = [[str(k), *row[1:]] for k, row in enumerate(ROWS)] if index else [r[1:] for r in ROWS]
    head = [*([""] if index else []), *map(str, range(6))]
    path = tmp_path / "a.csv"
    path.write_text(text([head, *rows]))
    same(read(path, rate_hz=100.0), clock=False)


def test_gzipped_text_is_read_and_half_of_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(text(WHOLE).encode()))
    same(read(path))
    assert next(open_samples(str(tmp_path), kind="imu")).id == "a.csv"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(TracekitError, match="not a whole gzip file"):
        read(path)


def test_two_columns_that_could_be_one_channel_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text([[*HEAD, "acc_x"], *[[*r, "7"] for r in ROWS]]))
    with pytest.raises(TracekitError, match=r"'acc_x' \(column 2\), 'acc_x' \(column 8\)"):
        read(path)


@pytest.mark.parametrize("cell", ["nan", "", "NaN", "oops", "inf"])
def test_a_row_without_a_number_is_named_by_its_line(tmp_path: Path, cell: str) -> None:
    rows = [list(row) for row in ROWS]
    rows[40][3] = cell
    path = tmp_path / "a.csv"
    path.write_text("# one\n" + text([HEAD, *rows]))
    with pytest.raises(TracekitError, match=r"a\.csv:43: "):
        read(path)
    recording = read(path, on_error="skip")
    assert recording.values is not None
    assert len(recording.values) == N - 1
    assert "a.csv:43" in recording.repairs[-1]


# ---------------------------------------------------------------- units


UNITS = {
    "acc": {"m/s²": 1, "m/s^2": 1, "m s^-2": 1, "m/s/s": 1, "m/(s^2)": 1, "G": G, "g": G,
            "mg": G / 1e3, "milli-g": G / 1e3, "meters/second^2": 1, "m·s⁻²": 1},
    "gyro": {"rad/s": 1, "rad s^-1": 1, "radians/second": 1, "dps": math.pi / 180,
             "deg/s": math.pi / 180, "°/s": math.pi / 180, "deg/sec": math.pi / 180,
             "degrees per second": math.pi / 180, "mdps": math.pi / 180e3},
}  # fmt: skip


@pytest.mark.parametrize("brackets", ["{} [{}]", "{}({})", "{} {{{}}}"])
@pytest.mark.parametrize(("sensor", "unit"), [(s, u) for s, known in UNITS.items() for u in known])
def test_a_unit_in_brackets_is_honoured(sensor: str, unit: str, brackets: str) -> None:
    found = heading(0, brackets.format(f"{sensor}_y", unit))
    assert found is not None
    assert (found.axis, found.unit) == ("y", unit)
    assert found.scale == pytest.approx(UNITS[sensor][unit])


@pytest.mark.parametrize(
    ("text", "kind", "scale"),
    [
        ("acc_x_mg", "acceleration", G / 1e3), ("ax(g)", "acceleration", G),
        ("AccX_g", "acceleration", G), ("accel_x_m_s2", "acceleration", 1),
        ("accel_x_mps2", "acceleration", 1), ("acc_mg_x", "acceleration", G / 1e3),
        ("gyro_x_dps", "angular velocity", math.pi / 180), ("gx_dps", "angular velocity",
        math.pi / 180), ("gyroX_deg_per_s", "angular velocity", math.pi / 180),
        ("GyroX_rad_s", "angular velocity", 1), ("gyro_x_radps", "angular velocity", 1),
        ("angular_velocity.x", "angular velocity", None), ("g_x", "angular velocity", None),
        ("w_RS_S_x [rad s^-1]", "angular velocity", 1), ("a_RS_S_x [m s^-2]", "acceleration", 1),
        ("accelerometerAccelerationX(G)", "acceleration", G), ("ax", "acceleration", None),
        ("Shimmer_1_Accel_LN_X_CAL", "acceleration", None), ("Acc X", "acceleration", None),
        ("time_us", "time", 1e-3), ("Time [ms]", "time", 1), ("timestampNs", "time", 1e-6),
        ("seconds_elapsed", "time", 1e3), ("#timestamp [ns]", "time", 1e-6), ("t", "time", None),
    ],
)  # fmt: skip
def test_headings_say_channel_and_unit(text: str, kind: str, scale: float | None) -> None:
    found = heading(0, text)
    assert found is not None
    assert (found.kind, found.axis) == (kind, "" if kind == "time" else "x")
    assert found.scale == (None if scale is None else pytest.approx(scale))


@pytest.mark.parametrize("text", ["mag_x", "label", "x", "", "quat_x", "acc_x_std", "Unnamed: 0"])
def test_headings_that_are_no_channel(text: str) -> None:
    assert heading(0, text) is None


def in_units(head: list[str], accel: float, gyro: float) -> str:
    scale = [accel] * 3 + [gyro] * 3
    rows = [[str(1e3 * t), *map(str, row / scale)] for t, row in zip(AT, MOTION, strict=True)]
    return text([["time_ms", *head], *rows])


def test_units_of_the_header_are_honoured_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    head = [f"{n} [{'mg' if n[0] == 'a' else 'dps'}]" for n in NAMES]
    path.write_text(in_units(head, G / 1e3, math.pi / 180))
    recording = read(path)
    same(recording)
    assert [told.split(",")[0] for told in recording.repairs] == [
        "acceleration in mg", "angular velocity in dps"
    ]  # fmt: skip


def test_a_unit_may_be_said_where_the_header_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(in_units(list(NAMES), G, math.pi / 180))
    same(read(path, accel_unit="g", gyro_unit="deg/s"))
    assert "looks like g" in str(read(path).repairs)
    path.write_text(in_units([f"{name} [LSB]" for name in NAMES], 1, 1))
    with pytest.raises(TracekitError, match=r"'LSB' of 'acc_x \[LSB\]' is no unit"):
        read(path)
    same(read(path, accel_unit="m/s2", gyro_unit="rad/s"))


def test_gravity_is_added_where_it_is_a_column_of_its_own(tmp_path: Path) -> None:
    head = [
        f"{n}.{axis}" for n in ("userAcceleration", "gravity", "rotationRate") for axis in "xyz"
    ]
    rows = [[*(row[:3] - [0, 0, 9]), 0, 0, 9, *row[3:]] for row in MOTION]
    path = tmp_path / "a.csv"
    path.write_text(
        text([["t_s", *head], *[[str(t), *map(str, r)] for t, r in zip(AT, rows, strict=True)]])
    )
    recording = read(path)
    same(recording)
    assert "gravity added" in recording.repairs[0]


def test_a_unit_that_is_another_quantity_is_not_known() -> None:
    assert scale_of("acceleration", "dps") is None
    assert scale_of("angular velocity", "mg") is None


# ---------------------------------------------------------------- files of other tools


def arrow(path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(np.column_stack([AT, MOTION]), columns=HEAD)
    frame.to_feather(path) if path.suffix == ".feather" else frame.to_parquet(path)


def dated(path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    index = pd.to_datetime("2024-05-01") + pd.to_timedelta((AT * 1e3).round(), "ms")
    pd.DataFrame(MOTION, columns=list(NAMES), index=index).to_parquet(path)


def mat(path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    parts = {"acc": MOTION[:, :3], "gyro": MOTION[:, 3:], "time_s": AT}
    scipy_io.savemat(path, {"recording": parts, "subject": 3.0})


def mat73(path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w", userblock_size=512) as file:
        file["acc"], file["gyro"] = MOTION[:, :3].T, MOTION[:, 3:].T
        file["time_s"] = AT[None]
    data = path.read_bytes()
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + data[512:])


def hdf5(path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["imu/accelerometer"], file["imu/gyroscope"] = MOTION[:, :3], MOTION[:, 3:]
        file["imu/timestamp_ms"] = AT * 1e3


def npz(path: Path) -> None:
    np.savez(path, acc=MOTION[:, :3], gyro=MOTION[:, 3:], time_s=AT)


def records(path: Path) -> None:
    np.save(path, np.rec.fromarrays([AT, *MOTION.T], names=HEAD))


PACKED: dict[str, Callable[[Path], None]] = {
    "a.parquet": arrow, "a.feather": arrow, "dated.parquet": dated, "a.mat": mat, "a7.mat": mat73,
    "a.h5": hdf5, "a.npz": npz, "a.npy": records,
}  # fmt: skip


@pytest.mark.parametrize("name", PACKED)
def test_files_of_other_tools_are_read_alike(tmp_path: Path, name: str) -> None:
    PACKED[name](tmp_path / name)
    same(read(tmp_path / name))


@pytest.mark.parametrize("name", ["a.h5", "a.npz"])
def test_a_recording_is_not_taken_for_events(tmp_path: Path, name: str) -> None:
    PACKED[name](tmp_path / name)
    assert kind_of(str(tmp_path / name)) == "imu"


def test_the_rate_that_a_file_states_is_taken_and_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", imu=MOTION, fs=100)
    recording = read(tmp_path / "a.npz")
    same(recording, clock=False)
    assert recording.repairs == ("the rate of 100 Hz is the file's own",)


@pytest.mark.parametrize("name", [n for n in PACKED if n != "a.npy"])
def test_what_is_not_what_its_name_says_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    PACKED[name](tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for at, data in enumerate((b"", b"PAR1", b"junk" * 300, whole[: len(whole) // 2])):
        path = tmp_path / f"cut{at}{Path(name).suffix}"
        path.write_bytes(data)
        with pytest.raises(TracekitError, match=r"cannot be read|not a|no recording|no column"):
            read(path)


def test_arrays_that_are_no_recording_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weights=np.zeros((4, 5)), words=np.array(["a", "b"]))
    with pytest.raises(TracekitError, match=r"no recording in it.*weights \[4, 5\]"):
        read(tmp_path / "a.npz")


def test_an_ending_that_is_not_read_is_refused_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(TracekitError, match=r"\.csv, .*\.parquet.* are read"):
        read(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (text(WHOLE, " "), "imu"), (text(ROWS, "\t"), "imu"), ("# a walk\n" + text(ROWS), "imu"),
        ("What does the person do, and when, and why, and where, and how?", "text"),
        ("1. Walk\n2. Run\n", "text"), ("", "text"),
    ],
)  # fmt: skip
def test_a_text_file_is_a_recording_or_a_prompt(tmp_path: Path, content: str, kind: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(content)
    assert kind_of(str(path)) == kind


# ---------------------------------------------------------------- a file for each sensor


def sensor(path: Path, head: str, values: np.ndarray, times: np.ndarray, *, order: str) -> None:
    axes = {"x": 0, "y": 1, "z": 2}
    rows = [
        [f"{t:.6f}", *[str(row[axes[a]]) for a in order]]
        for t, row in zip(times, values, strict=True)
    ]
    path.write_text(head + "\n" + text(rows))


def test_a_phyphox_export_is_one_recording(tmp_path: Path) -> None:
    names = '"Time (s)","{0} x ({1})","{0} y ({1})","{0} z ({1})","Absolute"'
    for name, what, unit, part in (
        ("Accelerometer", "Acceleration", "m/s^2", MOTION[:, :3]),
        ("Gyroscope", "Gyroscope", "rad/s", MOTION[:, 3:]),
    ):
        rows = [[f"{t:.6f}", *map(str, row), "0"] for t, row in zip(AT, part.tolist(), strict=True)]
        (tmp_path / f"{name}.csv").write_text(names.format(what, unit) + "\n" + text(rows))
    same(read(tmp_path))


def test_a_sensor_logger_export_gets_its_gravity_back(tmp_path: Path) -> None:
    bare = MOTION[:, :3] - [0, 0, 9]
    for name, part in (("Accelerometer", bare), ("Gyroscope", MOTION[:, 3:]),
                       ("Gravity", np.tile([0, 0, 9.0], (N, 1)))):  # fmt: skip
        sensor(tmp_path / f"{name}.csv", "seconds_elapsed,z,y,x", part, AT, order="zyx")
    recording = read(tmp_path)
    same(recording)
    assert "gravity added" in str(recording.repairs)


def test_rows_that_the_other_sensor_does_not_cover_are_left_out(tmp_path: Path) -> None:
    sensor(tmp_path / "Accelerometer.csv", "time_s,x,y,z", MOTION[:, :3], AT, order="xyz")
    sensor(tmp_path / "Gyroscope.csv", "time_s,x,y,z", MOTION[10:, 3:], AT[10:], order="xyz")
    recording = read(tmp_path)
    assert recording.values is not None
    np.testing.assert_allclose(recording.values, MOTION[10:])
    assert "left out 10 rows without another sensor's around them" in recording.repairs
    sensor(tmp_path / "Gyroscope.csv", "time_s,x,y,z", MOTION[:, 3:], AT + 99, order="xyz")
    with pytest.raises(TracekitError, match="no time in common"):
        read(tmp_path)


def test_the_layout_of_euroc_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "mav0" / "imu0"
    folder.mkdir(parents=True)
    head = ["#timestamp [ns]", *[f"w_RS_S_{a} [rad s^-1]" for a in "xyz"],
            *[f"a_RS_S_{a} [m s^-2]" for a in "xyz"]]  # fmt: skip
    rows = [
        [str(1403636579758555392 + 10_000_000 * k), *map(str, row[3:]), *map(str, row[:3])]
        for k, row in enumerate(MOTION.tolist())
    ]
    (folder / "data.csv").write_text(text([head, *rows]))
    (folder / "sensor.yaml").write_text("sensor_type: imu\n")
    same(read(tmp_path))
