"""Published data sets that differ from their documents: refused or counted, with file and line."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tracekit.datasets.opening import found_at, open_samples
from tracekit.errors import TracekitError

HHAR = "Index,Arrival_Time,Creation_Time,x,y,z,User,Model,Device,gt"
ROWS = 40


def hhar(folder: Path, *, header: str = HHAR, cells: int = 10) -> None:
    row = "{0},{0},{1},{0}.5,0,9.8,a,s3,s3_1,walk"
    rows = [row.format(k, 10**18 + 5_000_000 * k) for k in range(ROWS)]
    rows = [",".join([*line.split(",")[:cells], *["0"] * (cells - 10)]) for line in rows]
    for what in ("accelerometer", "gyroscope"):
        path = folder / f"Phones_{what}.csv"
        path.write_text("\n".join([header, *rows] if header else rows) + "\n")


def uci_har(folder: Path, labels: str, signals: str = "Inertial Signals") -> None:
    inner = folder / "train" / signals
    inner.mkdir(parents=True)
    many = len(labels.split())
    for name in ("total_acc", "body_gyro"):
        for axis in "xyz":
            line = " ".join(["0.5"] * 128)
            (inner / f"{name}_{axis}_train.txt").write_text(f"{line}\n" * many)
    (folder / "train" / "y_train.txt").write_text(labels)
    (folder / "train" / "subject_train.txt").write_text("1\n" * many)


def test_hhar_without_a_header_line_keeps_its_first_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hhar(tmp_path, header="")
    with caplog.at_level(logging.WARNING):
        (one,) = open_samples("hhar", kind="imu", data_dir=tmp_path)
    values = one.parse(one.read()).values
    assert values is not None
    np.testing.assert_array_equal(values[:, 0], np.arange(ROWS) + 0.5)
    assert "Phones_accelerometer.csv:1: no header line" in caplog.text
    assert found_at(tmp_path / "Phones_accelerometer.csv") == "hhar"


@pytest.mark.parametrize("cells", [9, 11])
def test_hhar_of_another_width_is_refused_by_its_line(tmp_path: Path, cells: int) -> None:
    hhar(tmp_path, cells=cells)
    with pytest.raises(TracekitError, match=rf"accelerometer\.csv:2: {cells} values where 10"):
        next(open_samples("hhar", kind="imu", data_dir=tmp_path, on_error="skip"))


def test_hhar_with_other_columns_is_refused(tmp_path: Path) -> None:
    hhar(tmp_path, header=HHAR.replace("Creation_Time", "When"))
    with pytest.raises(TracekitError, match=r"accelerometer\.csv:1: the columns are not those"):
        next(open_samples("hhar", kind="imu", data_dir=tmp_path))


@pytest.mark.parametrize("label", ["7", "0", "-1", "2.5"])
def test_a_label_that_uci_har_does_not_have_is_refused_or_told(
    tmp_path: Path, label: str, caplog: pytest.LogCaptureFixture
) -> None:
    uci_har(tmp_path, f"1\n2\n{label}\n3\n")
    with pytest.raises(TracekitError, match=rf"y_train\.txt:3: {label} is no label"):
        next(open_samples("uci_har", kind="imu", data_dir=tmp_path))
    with caplog.at_level(logging.WARNING):
        made = list(open_samples("uci_har", kind="imu", data_dir=tmp_path, on_error="skip"))
    assert [one.label for one in made][2:] == [None, "descending stairs"]
    assert f"y_train.txt:3: {label} is no label" in caplog.text


def test_folders_in_another_case_are_found(tmp_path: Path) -> None:
    uci_har(tmp_path / "uci har dataset", "1\n6\n", signals="inertial signals")
    assert found_at(tmp_path) == "uci_har"
    made = list(open_samples("uci_har", kind="imu", data_dir=tmp_path))
    assert [one.label for one in made] == ["walking", "lying"]


def test_a_split_without_its_files_names_the_one_that_lacks(tmp_path: Path) -> None:
    uci_har(tmp_path, "1\n")
    (tmp_path / "train" / "Inertial Signals" / "total_acc_x_train.txt").unlink()
    with pytest.raises(TracekitError, match=r"total_acc_x_train\.txt: cannot be read"):
        next(open_samples("uci_har", kind="imu", data_dir=tmp_path))
