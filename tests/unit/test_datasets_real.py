"""The real excerpts, with the counts that were taken of them."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import shared
from tracekit.datasets import entry as dataset_entry
from tracekit.datasets.entry import Recording, Sample
from tracekit.datasets.opening import found_at, open_samples
from tracekit.errors import TracekitError


def take(sample: Sample) -> Recording:
    return sample.parse(sample.read())


def values_of(recording: Recording) -> np.ndarray:
    assert recording.values is not None
    return recording.values


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("uci_hapt", "uci_hapt"),
        ("uci_har", "uci_har"),
        ("hhar", "hhar"),
        ("sensorcaps", "sensorcaps"),
        ("opensqa", "opensqa"),
    ],
)
def test_a_folder_is_recognised_by_its_layout(folder: str, name: str) -> None:
    assert found_at(shared("datasets", folder), "imu") == name


# ---------------------------------------------------------------- UCI HAR


def test_uci_har_gives_60_windows_of_128_with_their_labels() -> None:
    folder = shared("datasets", "uci_har")
    made = list(open_samples("uci_har", kind="imu", data_dir=folder))
    assert len(made) == 60
    assert made[0].label == "standing"  # y_test.txt begins with 5
    for one in made:
        assert values_of(take(one)).shape == (128, 6)
    usual = np.median([np.linalg.norm(values_of(take(s))[:, :3], axis=1).mean() for s in made])
    assert usual == pytest.approx(9.9, abs=0.4)


def test_uci_har_reads_one_line_of_each_of_six_files() -> None:
    folder = shared("datasets", "uci_har")
    made = list(open_samples("uci_har:test", kind="imu", data_dir=folder))
    signals = folder / "test" / "Inertial Signals"
    whole = np.loadtxt(signals / "body_gyro_y_test.txt")
    for row in (0, 31, 59):
        assert len(made[row].read()) == 6
        np.testing.assert_array_equal(values_of(take(made[row]))[:, 4], whole[row])


# ---------------------------------------------------------------- HHAR


def test_hhar_phones_are_one_stretch_of_4000_rows_with_its_clock_mended() -> None:
    folder = shared("datasets", "hhar")
    (one,) = open_samples("hhar:phones", kind="imu", data_dir=folder)
    assert one.facts["accel_rows"] == one.facts["gyro_rows"] == 4000
    assert one.label == "standing"
    recording = take(one)
    told = " ".join(recording.repairs)
    assert "sorted the accelerometer by time: its clock went back" in told
    assert "the longest 5." in told  # the gap of 5.2 s
    assert recording.timestamps_ms is not None
    assert (np.diff(recording.timestamps_ms) > 0).all()
    assert recording.rate_hz == pytest.approx(198.6, abs=1.5)  # median step 5.035 ms
    assert np.isfinite(values_of(recording)).all()


def test_hhar_clock_goes_back_as_often_as_was_counted() -> None:
    path = shared("datasets", "hhar", "Phones_accelerometer.csv")
    lines = path.read_text().splitlines()[1:]
    clock = [int(line.split(",")[2]) for line in lines]
    back = sum(two < one for one, two in itertools.pairwise(clock))
    (one,) = open_samples("hhar:phones", kind="imu", data_dir=path.parent)
    assert f"sorted the accelerometer by time: its clock went back {back} times" in (
        take(one).repairs
    )


def test_hhar_watches_have_three_stretches_and_null_is_no_label() -> None:
    folder = shared("datasets", "hhar")
    made = list(open_samples("hhar:watches", kind="imu", data_dir=folder))
    assert [one.label for one in made] == ["standing", None, "sitting"]
    assert [one.facts["gt"] for one in made] == ["stand", "null", "sit"]
    assert [one.facts["accel_rows"] for one in made] == [1061, 344, 1595]
    assert [one.facts["gyro_rows"] for one in made] == [1047, 343, 1610]
    for one in made:
        recording = take(one)  # the clock counts from boot
        assert recording.timestamps_ms is not None
        assert recording.timestamps_ms[0] == 0
        assert recording.rate_hz == pytest.approx(100, abs=3)


def test_hhar_windows_equal_a_slow_reading_of_the_published_rule() -> None:
    folder = shared("datasets", "hhar")
    made = list(open_samples("hhar:windows", kind="imu", data_dir=folder))

    def rows(name: str) -> list[tuple[int, list[float]]]:
        lines = (folder / name).read_text().splitlines()[1:]
        cells = [line.split(",") for line in lines]
        return [(int(c[2]), [float(v) for v in c[3:6]]) for c in cells]

    accel, gyro = rows("Phones_accelerometer.csv"), rows("Phones_gyroscope.csv")
    origin = min(time for time, _ in accel + gyro)
    bins: dict[int, tuple[list, list]] = {}
    for which, side in enumerate((accel, gyro)):
        for time, xyz in side:
            bins.setdefault((time - origin) // 50_000_000, ([], []))[which].append(xyz)
    expected, window = [], []
    for number in range(max(bins) + 1):
        both = bins.get(number, ([], []))
        if not both[0] or not both[1]:
            window = []
            continue
        window.append(np.concatenate([np.mean(both[0], axis=0), np.mean(both[1], axis=0)]))
        if len(window) == 120:
            expected.append(np.array(window))
            window = []
    assert len(made) == len(expected) > 0
    for one, right in zip(made, expected, strict=True):
        np.testing.assert_allclose(values_of(take(one)), right, rtol=0, atol=1e-12)


# ---------------------------------------------------------------- SensorCaps and OpenSQA


def test_sensorcaps_gives_20_windows_with_captions_acceleration_first() -> None:
    folder = shared("datasets", "sensorcaps")
    made = list(open_samples("sensorcaps", kind="imu", data_dir=folder))
    assert len(made) == 20
    assert len({one.id for one in made}) == 20
    for one in made:
        recording = take(one)
        assert values_of(recording).shape == (60, 6)
        assert recording.timestamps_ms is not None
        assert recording.timestamps_ms[-1] == 5950
        assert one.answer is not None
        assert one.answer.startswith("Features:")
    norms = [
        np.linalg.norm(np.concatenate([values_of(take(s))[:, :3] for s in made[i : i + 5]]), axis=1)
        for i in (0, 5, 10, 15)
    ]
    assert [round(float(n.mean()), 1) for n in norms] == [10.1, 10.6, 11.8, 10.1]
    # the gyroscope is first in the text: its first triple is -0.00943, -0.008636, -0.001587
    assert values_of(take(made[0]))[0, 3:].tolist() == [-0.00943, -0.008636, -0.001587]


def test_llasa_takes_a_window_of_sensorcaps() -> None:
    from tracekit.models.shared.limu_window import window

    folder = shared("datasets", "sensorcaps")
    recording = take(next(open_samples("sensorcaps", kind="imu", data_dir=folder)))
    made = window(recording, where="sample")
    assert made.shape == (120, 6)
    np.testing.assert_allclose(made[0, :3], values_of(recording)[0, :3] / 9.8, rtol=1e-6)


def test_misspelt_labels_become_one_spelling() -> None:
    folder = shared("datasets", "sensorcaps")
    found = {one.label for one in open_samples("sensorcaps", kind="imu", data_dir=folder)}
    assert found == {
        "standing", "sitting", "descending stairs", "walking", "jogging", "climbing stairs",
        "biking",
    }  # fmt: skip


def test_opensqa_gives_its_pairs_with_the_caption_of_each_row() -> None:
    path = shared("datasets", "opensqa", "opensqa_pilot_10hz.jsonl")
    made = list(open_samples(str(path), kind="imu"))
    by_line: dict[int, int] = {}
    for one in made:
        by_line[one.facts["line"]] = by_line.get(one.facts["line"], 0) + 1
        assert one.prompt
        assert one.answer
        assert "Answer:" not in one.prompt + one.answer
        assert str(one.facts["caption"]).startswith("Features:")
    assert list(by_line) == list(range(1, 21))
    # counted by eye: the fifth record holds six pairs, all others ten
    assert [by_line[line] for line in range(1, 21)] == [10] * 4 + [6] + [10] * 15
    assert len({one.id for one in made}) == len(made) == 196
    assert values_of(take(made[0])).shape == (60, 6)


def test_the_training_form_is_an_array_and_its_pamap2_text_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = shared("datasets", "opensqa", "llasa_training_v2_excerpt.json")
    with pytest.raises(TracekitError, match=r"excerpt\.json:\d+: record 1: .*array\("):
        list(open_samples(str(path), kind="imu"))
    with caplog.at_level(logging.WARNING):
        (one,) = open_samples(str(path), kind="imu", on_error="skip")
    assert "record 1" in caplog.text
    recording = take(one)
    # the same window as line 1 of the pilot, whose acceleration is not over 9.8
    pilot = shared("datasets", "sensorcaps", "sensorcaps_pilot_10hz.jsonl")
    same = take(next(open_samples(str(pilot), kind="imu")))
    np.testing.assert_allclose(values_of(recording), values_of(same), atol=1e-5)
    assert any("times 9.8" in repair for repair in recording.repairs)
    assert one.prompt is not None
    assert one.prompt.endswith("indicate?")


def test_the_training_form_reads_the_array_beside_it_where_it_is_there(tmp_path: Path) -> None:
    source = shared("datasets", "opensqa", "llasa_training_v2_excerpt.json")
    path = tmp_path / "llasa_training_v2_raw.jsonl"
    path.write_bytes(source.read_bytes())
    for name in ("hhar/sensor_image_0.npy", "pamap2/sensor_image_8_hand_9281.npy"):
        array = np.ones((120, 6))
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        np.save(tmp_path / "images" / name, array)
    made = list(open_samples("opensqa", kind="imu", data_dir=tmp_path))
    assert len(made) == 2
    for one in made:
        recording = take(one)
        assert values_of(recording)[0].tolist() == [9.8, 9.8, 9.8, 1, 1, 1]
        assert recording.rate_hz == 20


def test_for_a_language_model_the_readings_are_the_prompt() -> None:
    folder = shared("datasets", "opensqa")
    one = next(open_samples("opensqa", kind="text", data_dir=folder, on_error="skip"))
    assert one.prompt is not None
    assert "Gyroscope: [[" in one.prompt
    assert take(one).text == one.prompt


# ---------------------------------------------------------------- counts


def test_check_counts_what_is_on_disk_beside_what_is_published() -> None:
    check = dataset_entry.dataset("uci_hapt").check
    assert check is not None
    found = check(shared("datasets", "uci_hapt"))
    assert found["labelled segments"] == (1214, 1214)
    assert found["LIMU-BERT windows by labels.txt"] == (2088, 2088)
    assert found["recordings"] == (1, 61)
