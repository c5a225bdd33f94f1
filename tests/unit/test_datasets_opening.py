"""What `--data` says, to samples."""

from __future__ import annotations

import json
import logging
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import shared
from tracekit.datasets.entry import Recording, Sample
from tracekit.datasets.formats import windows_20hz
from tracekit.datasets.local import signals
from tracekit.datasets.opening import open_samples
from tracekit.errors import TracekitError


def take(sample: Sample) -> Recording:
    return sample.parse(sample.read())


def values_of(recording: Recording) -> np.ndarray:
    assert recording.values is not None
    return recording.values


# ---------------------------------------------------------------- synthetic


def test_synthetic_imu_lies_on_disk_before_it_is_read(tmp_path: Path) -> None:
    one = next(open_samples("synthetic", kind="imu", workdir=tmp_path))
    assert np.load(one.path).shape == (6, 2000)
    assert np.load(one.path).dtype == np.float64
    times = np.load(one.path.with_name(f"{one.path.stem}_timestamps.npy"))
    assert times[1] - times[0] == pytest.approx(5.0)
    recording = take(one)
    assert values_of(recording).shape == (2000, 6)
    assert recording.rate_hz == pytest.approx(200)
    assert one.synthetic
    assert "synthetic, not measured" in recording.repairs


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    def files(folder: str, seed: int) -> list[bytes]:
        made = open_samples("synthetic", kind="imu", workdir=tmp_path / folder, seed=seed, limit=3)
        return [sample.path.read_bytes() for sample in made]

    assert files("a", 1) == files("b", 1)
    assert files("c", 2) != files("d", 1)
    assert len(set(files("e", 1))) == 3


@pytest.mark.parametrize("activity", list(signals.ACTIVITIES))
def test_the_motion_of_a_body_is_of_one_piece(activity: str) -> None:
    from scipy.spatial.transform import Rotation

    step = 1e-4
    t = np.arange(2000) * step
    angles, gyro, world, place = signals.motion(activity, t, np.random.default_rng(3))
    turned = Rotation.from_matrix(signals.rotation(*angles))
    between = (turned[:-1].inv() * turned[1:]).as_rotvec() / step
    np.testing.assert_allclose(between, (gyro[:-1] + gyro[1:]) / 2, atol=1e-4)
    moved = np.diff(place, 2, axis=0) / step**2
    np.testing.assert_allclose(moved, world[1:-1] - [0, 0, 9.80665], atol=1e-3)


def test_at_rest_the_accelerometer_reads_one_g_along_what_points_up() -> None:
    _, values = signals.imu("lying", seed=(0, 0), rate_hz=50, seconds=2, noise=0)
    assert np.linalg.norm(values[:, :3], axis=1) == pytest.approx(9.80665, abs=0.05)
    assert values[:, 1] == pytest.approx(9.80665 * np.sin(1.5), abs=0.15)  # rolled over by 1.5 rad


def test_an_activity_can_be_named_with_any_rate_length_and_noise(tmp_path: Path) -> None:
    spec = "synthetic:biking"
    one = next(
        open_samples(
            spec, kind="imu", workdir=tmp_path, rate_hz=33.0, seconds=4.0, noise=0.0, limit=1
        )
    )
    assert one.label == "biking"
    assert values_of(take(one)).shape == (132, 6)
    with pytest.raises(TracekitError, match="no subset of that name"):
        next(open_samples("synthetic:flying", kind="imu", workdir=tmp_path))
    with pytest.raises(TracekitError, match="cannot make"):
        next(open_samples("synthetic", kind="imu", workdir=tmp_path, rate_hz=-1.0))


def test_synthetic_events_are_records_that_need_no_pickle(tmp_path: Path) -> None:
    one = next(open_samples("synthetic", kind="events", workdir=tmp_path))
    assert np.load(one.path, allow_pickle=False).dtype.names == ("x", "y", "p", "t")
    arrays = take(one).arrays
    assert arrays["t"].dtype == np.int64
    assert np.diff(arrays["t"]).min() >= 0
    assert arrays["x"].max() < 640
    assert set(np.unique(arrays["p"])) == {0, 1}


def test_synthetic_prompts_and_pictures_come_from_files_too(tmp_path: Path) -> None:
    text = next(open_samples("synthetic", kind="text", workdir=tmp_path))
    assert take(text).text == text.prompt == json.loads(text.path.read_text())["prompt"]
    picture = next(open_samples("synthetic", kind="image", workdir=tmp_path))
    assert take(picture).arrays["pixels"].shape == (336, 336, 3)


def test_without_a_workdir_synthetic_files_go_to_a_passing_folder() -> None:
    one = next(open_samples("synthetic", kind="imu"))
    assert one.path.is_file()


# ---------------------------------------------------------------- real files


def test_a_uci_hapt_file_finds_its_gyroscope() -> None:
    path = shared("datasets", "uci_hapt", "RawData", "acc_exp01_user01.txt")
    (one,) = open_samples(str(path), kind="imu")
    recording = take(one)
    assert values_of(recording).shape == (9300, 6)
    assert recording.rate_hz == 50
    # the first row of each file, as printed there
    assert values_of(recording)[0, 0] == 0.9180555898766518 * 9.80665
    assert values_of(recording)[0, 3] == -0.05497787147760391


def test_limu_bert_windows_of_uci_hapt_equal_the_golden_array(
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = shared("datasets", "uci_hapt")
    with caplog.at_level(logging.WARNING):
        made = list(open_samples("uci_hapt:windows", kind="imu", data_dir=folder))
    assert "labelled segments end after that" in caplog.text
    golden = np.load(folder / "golden" / "data_20_120_exp01_first9300.npy")
    labels = np.load(folder / "golden" / "label_20_120_exp01_first9300.npy")
    assert len(made) == len(golden) == 19
    names = [one.label for one in made]
    order = ("walking", "climbing stairs", "descending stairs", "sitting", "standing", "lying")
    assert [order.index(str(name)) for name in names] == labels[:, 0].tolist()
    for one, expected in zip(made, golden, strict=True):
        np.testing.assert_array_equal(values_of(take(one)), expected)
        assert take(one).rate_hz == windows_20hz.RATE_HZ


def test_block_means_of_whole_segments_equal_the_golden_array() -> None:
    folder = shared("datasets", "uci_hapt")
    golden = np.load(folder / "golden" / "data_20_120_exp01_first9300.npy")
    made = []
    for one in open_samples(str(folder), kind="imu"):
        means = windows_20hz.block_means(values_of(take(one)))
        activity = int(one.facts["activity"])
        if activity <= 6 and len(means) > windows_20hz.LENGTH:
            many = len(means) // windows_20hz.LENGTH
            made += list(means[: many * windows_20hz.LENGTH].reshape(many, windows_20hz.LENGTH, 6))
    np.testing.assert_array_equal(np.array(made), golden)


def test_all_2088_published_window_labels_follow_from_labels_txt() -> None:
    from tracekit.datasets.formats.csv_rows import Notes
    from tracekit.datasets.har.uci_hapt import STEADY, raw_folder, segments

    folder = shared("datasets", "uci_hapt")
    published = np.load(folder / "golden" / "limubert_uci_label_20_120_per_window.npy")
    found = segments(raw_folder(folder), Notes())
    assert len(found) == 1214
    ours = [
        (one.activity - 1, one.user - 1)
        for one in found
        if one.activity <= STEADY
        for _ in range(windows_20hz.window_count(one.end - one.start))
    ]
    np.testing.assert_array_equal(np.array(ours), published)


def test_a_sample_of_uci_hapt_reads_its_own_lines_only() -> None:
    folder = shared("datasets", "uci_hapt")
    (whole,) = open_samples("uci_hapt:recordings", kind="imu", data_dir=folder)
    everything = values_of(take(whole))
    for one in islice(open_samples("uci_hapt", kind="imu", data_dir=folder), 5):
        first, rows = one.facts["first_row"], one.facts["rows"]
        np.testing.assert_array_equal(values_of(take(one)), everything[first : first + rows])
        assert [data.count(b"\n") for data in one.read()] == [rows, rows]


# ---------------------------------------------------------------- plain files


def test_plain_text_needs_a_rate_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    path.write_text("1,2,9,0.1,0.2,0.3\n" * 10)
    (one,) = open_samples(str(path), kind="imu")
    with pytest.raises(TracekitError, match=r"no rate is stated.*--rate"):
        take(one)
    (one,) = open_samples(str(path), kind="imu", rate_hz=50)
    assert values_of(take(one)).shape == (10, 6)


@pytest.mark.parametrize("separator", [",", ";", "\t", "  "])
def test_a_header_names_channels_in_any_order(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "walk.txt"
    header = ["time_ms", "gyro_x", "gyro_y", "gyro_z", "accl_x", "accl_y", "accl_z"]
    rows = [[20.0 * i, 1, 2, 3, 4, 5, 6 + i] for i in range(5)]
    lines = [separator.join(map(str, line)) for line in [header, *rows]]
    path.write_text("\r\n".join(lines) + "\r\n")
    (one,) = open_samples(str(path), kind="imu")
    recording = take(one)
    assert values_of(recording)[0].tolist() == [4, 5, 6, 1, 2, 3]
    assert recording.rate_hz == pytest.approx(50)
    assert recording.timestamps_ms is not None


def test_a_plain_array_may_lie_either_way(tmp_path: Path) -> None:
    array = np.arange(120.0).reshape(20, 6)
    for name, value in (("rows", array), ("columns", array.T)):
        path = tmp_path / name / "a.npy"
        path.parent.mkdir()
        np.save(path, value)
        (one,) = open_samples(str(path), kind="imu", rate_hz=20)
        np.testing.assert_array_equal(values_of(take(one)), array)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0,0,1,0,0,0", ["looks like g"]),
        ("0,0,990,0,0,300", ["looks like mg", "looks like deg/s"]),
        ("0,0,16384,0,0,9000", ["raw counts", "more than a gyroscope reads"]),
        ("0,0,9.8,0,0,34", []),
    ],
)
def test_values_that_no_sensor_reads_in_these_units_are_pointed_out(
    row: str, said: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "g.csv"
    path.write_text(f"{row}\n" * 9)
    (one,) = open_samples(str(path), kind="imu", rate_hz=50)
    repairs = take(one).repairs
    assert len(repairs) == len(said)
    assert all(word in repair for word, repair in zip(said, repairs, strict=True))


def test_an_array_of_rows_is_no_conversation(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"t": 0.0, "ax": 0.1}]')
    with pytest.raises(TracekitError, match="no imu file here; files that end in"):
        next(open_samples(str(path), kind="imu"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("1,2,3,4,5", "5 values where 6 belong"),
        ("1,2,3,4,5,six", "not a number"),
        ("1,2,3,4,5,nan", "a value is not finite"),
        ("", "1 values where 6 belong"),
    ],
)
def test_a_malformed_row_is_named_by_file_and_line_and_refused_or_skipped(
    tmp_path: Path, line: str, why: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("1,2,3,4,5,6\n" * 3 + line + "\n" + "1,2,3,4,5,7\n" * 3)
    (strict,) = open_samples(str(path), kind="imu", rate_hz=50)
    with pytest.raises(TracekitError, match=rf"bad\.csv:4: {why}"):
        take(strict)
    (lenient,) = open_samples(str(path), kind="imu", rate_hz=50, on_error="skip")
    recording = take(lenient)
    assert values_of(recording)[:, 5].tolist() == [6, 6, 6, 7, 7, 7]
    assert any("bad.csv:4" in repair for repair in recording.repairs)


def test_prompts_come_from_txt_json_and_jsonl(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    (tmp_path / "b.json").write_text('[{"prompt": "two"}, "three"]')
    (tmp_path / "c.jsonl").write_text('{"prompt": "four"}\n\n"five"\n')
    made = list(open_samples(str(tmp_path), kind="text"))
    assert [one.prompt for one in made] == ["one", "two", "three", "four", "five"]
    assert [take(one).text for one in made] == [one.prompt for one in made]


# ---------------------------------------------------------------- refusals


def test_what_is_neither_name_nor_path_is_refused_in_one_line() -> None:
    with pytest.raises(TracekitError, match="neither a data set nor a file"):
        open_samples("nonsense", kind="imu")
    with pytest.raises(TracekitError, match="--data-dir"):
        open_samples("uci_hapt", kind="imu")


def test_the_wrong_kind_of_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "acc_exp01_user01.txt").write_text("1 2 3\n")
    with pytest.raises(TracekitError, match="holds imu, and events is wanted"):
        open_samples("uci_hapt", kind="events", data_dir=tmp_path)
    with pytest.raises(TracekitError, match="does not take 'seconds'"):
        open_samples("uci_hapt", kind="imu", data_dir=tmp_path, seconds=3)
