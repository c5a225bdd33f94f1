"""Loaders of data that cannot be had here, on files written from the documented formats."""

from __future__ import annotations

import io
import json
import logging
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracekit.datasets.entry import Recording, Sample
from tracekit.datasets.formats import text_lines
from tracekit.datasets.opening import found_at, open_samples
from tracekit.errors import TracekitError

RNG = np.random.default_rng(0)


def take(sample: Sample) -> Recording:
    return sample.parse(sample.read())


def values_of(recording: Recording) -> np.ndarray:
    assert recording.values is not None
    return recording.values


def told(recording: Recording) -> str:
    return " | ".join(recording.repairs)


# ---------------------------------------------------------------- Ego4D

EGO4D = (
    "component_idx,component_timestamp_ms,canonical_timestamp_ms,"
    "gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z\n"
)


def ego4d_csv(path: Path, *, rows: int = 1200, no_accel: bool = False) -> list[list[str]]:
    """201 Hz: a block without canonical time, three swapped rows, one gap of two seconds."""
    lines = []
    for i in range(rows):
        time = i * 4.975 + (2000 if i >= 800 else 0)
        accel = ["", "", ""] if no_accel else [f"{v}" for v in (0.1 * i, 0.2, 9.8)]
        canonical = "" if i < 20 else f"{time:.3f}"
        lines.append(["0", f"{time:.3f}", canonical, f"{i}", "2", "3", *accel])
    for i in (100, 300, 500):
        lines[i], lines[i + 1] = lines[i + 1], lines[i]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(EGO4D + "".join(",".join(line) + "\n" for line in lines))
    return lines


def test_ego4d_csv_is_sorted_and_its_defects_are_told(tmp_path: Path) -> None:
    ego4d_csv(tmp_path / "v2" / "imu" / "one.csv")
    assert found_at(tmp_path) == "ego4d"
    (one,) = open_samples("ego4d", kind="imu", data_dir=tmp_path)
    recording = take(one)
    assert values_of(recording).shape == (1180, 6)
    assert values_of(recording)[0].tolist() == [2.0, 0.2, 9.8, 20, 2, 3]  # acceleration first
    assert (values_of(recording)[:, 3] == np.arange(20, 1200)).all()
    assert recording.rate_hz == pytest.approx(201.0, abs=0.1)
    assert "dropped 20 rows without canonical_timestamp_ms" in told(recording)
    assert "6 rows were out of place" in told(recording)
    assert "1 gaps in the clock, the longest 2.0" in told(recording)


def test_ego4d_without_accelerometer_is_refused(tmp_path: Path) -> None:
    ego4d_csv(tmp_path / "one.csv", no_accel=True)
    (one,) = open_samples(str(tmp_path / "one.csv"), kind="imu")
    with pytest.raises(TracekitError, match="no accelerometer"):
        take(one)


def test_a_cut_line_of_an_ego4d_csv_is_malformed_and_a_hole_is_not(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text(EGO4D + "0,0,0,1,2,3,4,5,6\n0,5,5,1,,3,4,5,6\n0,10,10,1,2\n0,15,15,1,2,3,4,5,6")
    (strict,) = open_samples(str(path), kind="imu")
    with pytest.raises(TracekitError, match=r"one\.csv:4: 5 values where 9 belong"):
        take(strict)
    (lenient,) = open_samples(str(path), kind="imu", on_error="skip")
    recording = take(lenient)
    assert values_of(recording)[:, 4].tolist() == [2, 0, 2]
    assert "set 1 missing values to 0" in told(recording)
    assert "one.csv:4" in told(recording)


def test_an_ego4d_pair_without_timestamps_needs_a_rate(tmp_path: Path) -> None:
    from tracekit.datasets.video import ego4d

    np.save(tmp_path / "uid.npy", RNG.normal(size=(6, 50)))
    with pytest.raises(TracekitError, match="no rate is stated"):
        take(ego4d.pair(tmp_path / "uid.npy"))
    assert take(ego4d.pair(tmp_path / "uid.npy", rate_hz=190.0)).rate_hz == 190
    np.save(tmp_path / "uid_timestamps.npy", np.arange(49.0))
    with pytest.raises(TracekitError, match="49"):
        take(ego4d.pair(tmp_path / "uid.npy"))


def test_ego4d_narrations_are_windows_of_five_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ego4d_csv(tmp_path / "v2" / "imu" / "one.csv")
    narration = {
        "absent": {"narration_pass_1": {"narrations": [_said(3.0, "#C C runs")]}},
        "one": {
            "narration_pass_1": {
                "narrations": [_said(4.0, '#C C Picks {a} "cup" #unsure'), _said(1.0, "#O walks")],
                "summaries": [],
            },
            "narration_pass_2": {"narrations": [_said(5.5, "#C C sits")]},
        },
    }
    folder = tmp_path / "v2" / "annotations"
    folder.mkdir()
    (folder / "narration.json").write_text(json.dumps(narration, indent=1))
    with caplog.at_level(logging.WARNING):
        made = list(open_samples("ego4d:narrations", kind="imu", data_dir=tmp_path))
    assert "1 windows are of videos that are not on disk" in caplog.text
    assert [one.answer for one in made] == ['picks {a} "cup" something', "#o walks", "sits"]
    found = [take(one) for one in made]
    assert [(r.start_s, r.duration_s) for r in found] == [(1.5, 5.0), (0.0, 5.0), (3.0, 5.0)]


def _said(at: float, text: str) -> dict[str, Any]:
    return {
        "timestamp_sec": at, "timestamp_frame": int(at * 30), "narration_text": text,
        "annotation_uid": "a",
    }  # fmt: skip


def test_onellm_lists_give_prompts_answers_and_windows(tmp_path: Path) -> None:
    ego4d_csv(tmp_path / "one.csv")
    coco = {
        "images": [{"id": 7, "file_name": "x", "video_uid": "one", "window_start": 1.0,
                    "window_end": 3.0}],
        "annotations": [{"image_id": 7, "id": 0, "caption": "a person walks"}],
    }  # fmt: skip
    (tmp_path / "imu_2000_cococap.json").write_text(json.dumps(coco))
    tuning = [{"imu_path": "x", "video_uid": "one", "window_start": 0, "window_end": 2,
               "conversations": [{"from": "human", "value": "What?"},
                                 {"from": "gpt", "value": "That."}]}]  # fmt: skip
    (tmp_path / "imu_fixed_50k.json").write_text(json.dumps(tuning))
    (one,) = open_samples("ego4d:eval", kind="imu", data_dir=tmp_path)
    assert (one.prompt, one.answer) == ("Describe the scene.", "a person walks")
    assert (take(one).start_s, take(one).duration_s) == (1.0, 2.0)
    (one,) = open_samples("ego4d:tuning", kind="imu", data_dir=tmp_path)
    assert (one.prompt, one.answer) == ("What?", "That.")


def test_imu2clip_splits_are_read_and_a_bad_row_is_named(tmp_path: Path) -> None:
    ego4d_csv(tmp_path / "one.csv")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "dataset_motion_narr_2.5_test_0.csv").write_text(
        "window_start,window_end,video_uid,narration_uid,text,Score-TFIDF,label\n"
        "0.0,5.0,one,n1,#C C walks,0.5,walk\n"
        "zero,5.0,one,n2,#C C sits,0.5,sit\n"
    )
    with pytest.raises(TracekitError, match=r"test_0\.csv:3"):
        list(open_samples("ego4d:splits", kind="imu", data_dir=tmp_path))
    (one,) = open_samples("ego4d:splits", kind="imu", data_dir=tmp_path, on_error="skip")
    assert (one.answer, one.label) == ("walks", "walk")


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 20])
def test_members_of_a_large_json_are_found_whatever_the_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(text_lines, "CHUNK", chunk)
    members = [{"a": 'x"}]\\'}, {"b": [1, [2, "é\n["]]}, {"c": {}}, []]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(members, indent=2, ensure_ascii=False))
    found = list(text_lines.items(path))
    assert [json.loads(item.data) for item in found] == members
    raw = path.read_bytes()
    assert [raw[i.start : i.start + i.size] for i in found] == [i.data for i in found]
    assert [raw[: i.start].count(b"\n") + 1 for i in found] == [i.line for i in found]
    path.write_text(json.dumps({"one": members[0], "n": 3, "t": "text", 'q"': members[1]}))
    assert [(i.key, json.loads(i.data)) for i in text_lines.items(path)] == [
        ("one", members[0]),
        ('q"', members[1]),
    ]


# ---------------------------------------------------------------- MotionSense, Shoaib, PAMAP2


def motion_csv(path: Path, header: str, table: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [",".join([str(i), *(f"{v:.6f}" for v in row)]) for i, row in enumerate(table)]
    path.write_text("," + header + "\n" + "\n".join(rows) + "\n")


def test_motion_sense_adds_gravity_and_keeps_a_fixed_order(tmp_path: Path) -> None:
    header = (
        "attitude.roll,attitude.pitch,attitude.yaw,gravity.x,gravity.y,gravity.z,"
        "rotationRate.x,rotationRate.y,rotationRate.z,"
        "userAcceleration.x,userAcceleration.y,userAcceleration.z"
    )
    table = np.tile([0, 0, 0, 0, 0, -1, 0.1, 0.2, 0.3, 0.5, 0, 0], (30, 1)).astype(float)
    for name in ("wlk_7/sub_10", "wlk_7/sub_2", "dws_11/sub_1", "dws_2/sub_1"):
        motion_csv(tmp_path / "A_DeviceMotion_data" / f"{name}.csv", header, table)
    made = list(open_samples("motion_sense", kind="imu", data_dir=tmp_path))
    assert [one.id for one in made] == [
        "dws_2-sub_1-A", "dws_11-sub_1-A", "wlk_7-sub_2-A", "wlk_7-sub_10-A"
    ]  # fmt: skip
    assert [one.label for one in made] == ["descending stairs"] * 2 + ["walking"] * 2
    recording = take(made[0])
    np.testing.assert_allclose(values_of(recording)[0], [0.5 * 9.80665, 0, -9.80665, 0.1, 0.2, 0.3])
    assert recording.rate_hz == 50
    assert recording.timestamps_ms is None
    assert found_at(tmp_path) == "motion_sense"


def test_motion_sense_windows_cut_to_the_shorter_sensor(tmp_path: Path) -> None:
    accel, gyro = RNG.normal(size=(700, 3)).round(6), RNG.normal(size=(640, 3)).round(6)
    motion_csv(tmp_path / "B_Accelerometer_data" / "jog_9" / "sub_1.csv", "x,y,z", accel)
    motion_csv(tmp_path / "C_Gyroscope_data" / "jog_9" / "sub_1.csv", "x,y,z", gyro)
    made = list(open_samples("motion_sense:windows", kind="imu", data_dir=tmp_path))
    assert len(made) == 2  # 640 rows hold two windows of 300
    second = values_of(take(made[1]))
    assert second.shape == (120, 6)
    np.testing.assert_allclose(second[0, :3], accel[300:302].mean(axis=0) * 9.8)
    np.testing.assert_allclose(second[1, 3:], gyro[302:305].mean(axis=0))
    assert "cut to 640 rows" in told(take(made[1]))


def shoaib_csv(path: Path, stretches: list[tuple[str, int]]) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["," * 69, ",".join(["time_stamp", *["Ax"] * 68, "Activity"])]
    table = []
    for activity, rows in stretches:
        for _ in range(rows):
            blocks = []
            for _ in range(5):
                numbers = RNG.normal(size=12).round(5)
                table.append(numbers)
                blocks.append(",".join(["1.39E+12", *(f"{n:.5f}" for n in numbers)]))
            lines.append(",,".join(blocks) + f",{activity}")
    path.write_text("\r\n".join(lines) + "\r\n")
    return np.array(table).reshape(-1, 5, 12)


def test_shoaib_gives_each_activity_in_five_places(tmp_path: Path) -> None:
    table = shoaib_csv(tmp_path / "DataSet" / "Participant_2.csv", [("walking", 310)])
    shoaib_csv(tmp_path / "DataSet" / "Participant_10.csv", [("upsatirs", 4), ("sitting", 4)])
    assert found_at(tmp_path) == "shoaib"
    made = list(open_samples("shoaib", kind="imu", data_dir=tmp_path))
    assert [one.label for one in made[::5]] == ["walking", "climbing stairs", "sitting"]
    wrist = made[2]
    assert wrist.facts["position"] == "wrist"
    expected = table[:, 2][:, [0, 1, 2, 6, 7, 8]]
    np.testing.assert_array_equal(values_of(take(wrist)), expected)
    (window,) = [
        one
        for one in open_samples("shoaib:windows", kind="imu", data_dir=tmp_path)
        if one.facts["position"] == "wrist"
    ]
    np.testing.assert_allclose(values_of(take(window))[119], expected[297:300].mean(axis=0))
    assert len(list(open_samples("shoaib:belt", kind="imu", data_dir=tmp_path))) == 3


def test_three_minutes_of_shoaib_are_the_published_30_windows() -> None:
    from tracekit.datasets.formats import windows_20hz

    assert 3 * 60 * 50 // windows_20hz.SPAN == 30
    assert 30 * 7 * 5 * 10 == 10_500


def test_a_malformed_row_of_shoaib_is_named(tmp_path: Path) -> None:
    path = tmp_path / "Participant_1.csv"
    shoaib_csv(path, [("walking", 5)])
    lines = path.read_bytes().split(b"\r\n")
    lines[4] = b"1,2,3"
    path.write_bytes(b"\r\n".join(lines))
    one = next(open_samples("shoaib", kind="imu", data_dir=tmp_path))
    with pytest.raises(TracekitError, match=r"Participant_1\.csv:5: 3 values where 70 belong"):
        take(one)
    one = next(open_samples("shoaib", kind="imu", data_dir=tmp_path, on_error="skip"))
    assert len(values_of(take(one))) == 4


def test_pamap2_leaves_out_what_the_radio_lost_and_activity_0(tmp_path: Path) -> None:
    folder = tmp_path / "PAMAP2_Dataset" / "Protocol"
    folder.mkdir(parents=True)
    lines = []
    for i in range(40):
        row = [f"{8.38 + i / 100:.2f}", "0" if i < 10 else "12", "NaN"]
        row += [f"{k}.{i:02d}" for k in range(3, 54)]
        if i == 20:
            row[3:20] = ["NaN"] * 17  # the hand's radio
        lines.append(" ".join(row))
    (folder / "subject101.dat").write_text("\n".join(lines) + "\n")
    assert found_at(tmp_path) == "pamap2"
    hand, chest, ankle = open_samples("pamap2", kind="imu", data_dir=tmp_path)
    assert {one.label for one in (hand, chest, ankle)} == {"climbing stairs"}
    assert values_of(take(hand)).shape == (29, 6)
    assert "left out 1 rows" in told(take(hand))
    assert values_of(take(chest))[0].tolist() == [21.1, 22.1, 23.1, 27.1, 28.1, 29.1]
    assert values_of(take(ankle))[0].tolist() == [38.1, 39.1, 40.1, 44.1, 45.1, 46.1]
    assert take(chest).timestamps_ms == pytest.approx(np.arange(30) * 10)


def test_limu_bert_arrays_give_their_windows_and_labels(tmp_path: Path) -> None:
    folder = tmp_path / "dataset" / "shoaib"
    folder.mkdir(parents=True)
    data = RNG.normal(size=(4, 120, 9))
    labels = np.zeros((4, 120, 3))
    labels[:, :, 0] = np.array([0, 5, 3, 6])[:, None]
    np.save(folder / "data_20_120.npy", data)
    np.save(folder / "label_20_120.npy", labels)
    assert found_at(tmp_path) == "limu_bert"
    made = list(open_samples("limu_bert:shoaib", kind="imu", data_dir=tmp_path))
    assert [s.label for s in made] == ["walking", "climbing stairs", "jogging", "descending stairs"]
    np.testing.assert_array_equal(values_of(take(made[2])), data[2, :, :6])


# ---------------------------------------------------------------- HHAR's other traps

HHAR = "Index,Arrival_Time,Creation_Time,x,y,z,User,Model,Device,gt\n"


def hhar_file(path: Path, times: list[int], *, bad: str = "") -> None:
    rows = [f"{i},{1424696633908 + i},{t},{i}.5,0,9.8,a,s3,s3_1,walk" for i, t in enumerate(times)]
    if bad:
        rows.insert(3, bad)
    path.write_text(HHAR + "\n".join(rows) + "\n")


def test_hhar_keeps_nanoseconds_that_float64_would_lose(tmp_path: Path) -> None:
    start = 1424696631913248573
    assert int(float(start)) != start
    hhar_file(tmp_path / "Phones_accelerometer.csv", [start + 5_000_000 * i for i in range(50)])
    hhar_file(tmp_path / "Phones_gyroscope.csv", [start + 5_000_000 * i for i in range(50)])
    (one,) = open_samples("hhar", kind="imu", data_dir=tmp_path)
    times = take(one).timestamps_ms
    assert times is not None
    assert times.tolist() == [5.0 * i for i in range(50)]


def test_hhar_clocks_that_do_not_meet_are_timed_by_arrival(tmp_path: Path) -> None:
    boot = [27_976_090_302_000 + 1_000_000 * i for i in range(60)]
    epoch = [1_424_696_631_913_248_572 + 1_000_000 * i for i in range(60)]
    hhar_file(tmp_path / "Watch_accelerometer.csv", boot)
    hhar_file(tmp_path / "Watch_gyroscope.csv", epoch)
    (one,) = open_samples("hhar", kind="imu", data_dir=tmp_path)
    recording = take(one)
    assert "timed by Arrival_Time" in told(recording)
    assert recording.rate_hz == pytest.approx(1000)


def test_a_malformed_row_of_hhar_is_named_and_may_be_skipped(tmp_path: Path) -> None:
    times = [10**18 + 5_000_000 * i for i in range(50)]
    hhar_file(tmp_path / "Phones_accelerometer.csv", times, bad="3,1,notatime,0,0,0,a,s3,s3_1,walk")
    hhar_file(tmp_path / "Phones_gyroscope.csv", times)
    (one,) = open_samples("hhar", kind="imu", data_dir=tmp_path)
    with pytest.raises(TracekitError, match=r"Phones_accelerometer\.csv:5: not a number"):
        take(one)
    (one,) = open_samples("hhar", kind="imu", data_dir=tmp_path, on_error="skip")
    assert len(values_of(take(one))) == 50


# ---------------------------------------------------------------- text of sensor readings


def chat(user: str, assistant: str) -> str:
    turns = [("system", "You are an expert."), ("user", user), ("assistant", assistant)]
    return json.dumps({"messages": [{"role": r, "content": c} for r, c in turns]}) + "\n"


def readings(scale: float = 9.8, *, numpy_style: bool = False) -> tuple[str, np.ndarray]:
    gyro, accel = RNG.normal(size=(60, 3)).round(6), RNG.normal(size=(60, 3)).round(6)
    accel[:, 2] += 10.0
    accel = (accel * scale / 9.8).round(6)
    if numpy_style:
        shown = [np.array2string(a, threshold=10_000) for a in (gyro, accel)]
    else:
        shown = [json.dumps(a.tolist()) for a in (gyro, accel)]
    text = f"Gyroscope: {shown[0]}\nAccelerometer: {shown[1]}"
    return text, np.hstack([accel, gyro])


def test_sensorcaps_v2_statistics_are_not_taken_for_readings(tmp_path: Path) -> None:
    text, expected = readings()
    extra = "Gyroscope moving average: [[9. 9. 9.]\n [9. 9. 9.]]\nGyroscope FFT: [1. 2.]\n"
    (tmp_path / "train_pamap2_v2-00000.jsonl").write_text(
        chat(
            f"Summary: sitting\n{text}\n{extra}Location: chest", "Features: **still**\n\nNarration"
        )
        + chat(f"Summary: sitting\n{extra}{text}", "Features: x")
    )
    made = list(open_samples("sensorcaps:pamap2_v2", kind="imu", data_dir=tmp_path))
    assert len(made) == 2
    for one in made:
        np.testing.assert_array_equal(values_of(take(one)), expected)
    assert made[0].facts["place"] == "chest"
    with pytest.raises(TracekitError, match="no records of hhar here"):
        next(open_samples("sensorcaps:hhar", kind="imu", data_dir=tmp_path))


def test_readings_in_numpys_print_and_over_9_8_are_understood(tmp_path: Path) -> None:
    text, _ = readings(scale=1.0, numpy_style=True)
    (tmp_path / "a.jsonl").write_text(chat(f"Summary: walking\n{text}", "Features: x"))
    (one,) = open_samples("sensorcaps", kind="imu", data_dir=tmp_path)
    recording = take(one)
    assert np.median(np.linalg.norm(values_of(recording)[:, :3], axis=1)) == pytest.approx(
        10, abs=1
    )
    assert "times 9.8" in told(recording)


@pytest.mark.parametrize(
    "line",
    [
        '{"messages": [{"role": "user", "content": "Summary: x"}]}\n',
        '{"messages": 3}\n',
        '{"messages": [{"role"\n',
        "\xff\xfe\n",
    ],
)
def test_a_malformed_record_is_named_by_line_and_may_be_skipped(tmp_path: Path, line: str) -> None:
    text, _ = readings()
    good = chat(f"Summary: walking\n{text}", "Features: x")
    path = tmp_path / "a.jsonl"
    path.write_bytes(good.encode() + line.encode("latin-1") + good.encode())
    with pytest.raises(TracekitError, match=r"a\.jsonl:2: "):
        list(open_samples("sensorcaps", kind="imu", data_dir=tmp_path))
    made = list(open_samples("sensorcaps", kind="imu", data_dir=tmp_path, on_error="skip"))
    assert [one.facts["line"] for one in made] == [1, 3]


@pytest.mark.parametrize(
    "text",
    [
        "1. What?\n   - Answer: That.\n\n2. Why?\n   - Answer: So.",
        "Here are two:\n\n1. What?\nAnswer: That.\n2. Why?\nAnswer: So.\n3. And what else would",
        "1. What?\n- That.\n\n2. Why?\n- So.",
        "1. What?\n**Answer:** That.\n\n2. Why?\n**Answer:** So.",
        "**Q1:** What?\n**A1:** That.\n\n**Q2:** Why? **A2:** So.",
        "1. Q: What?\n   A: That.\n\n2. Q: Why?\n   A: So.",
        "1. **Question:** What?\n   **Answer:** That.\n\n2. **Question:** Why?\n   **Answer:** So.",
        "1. What?\n1. Answer: That.\n\n2. Why?\n2. Answer: So.",
        "### 1. What?\r\nAnswer: That.\r\n\r\n### 2. Why?\r\nAnswer: So.",
    ],
)
def test_pairs_are_found_in_every_style_and_a_cut_question_is_not(text: str) -> None:
    from tracekit.datasets.language.qa_pairs import pairs

    assert pairs(text) == [("What?", "That."), ("Why?", "So.")]


def test_a_list_within_an_answer_is_part_of_it() -> None:
    from tracekit.datasets.language.qa_pairs import pairs

    text = "1. A?\nAnswer: as follows:\n1. one\n2. two\n\n2. B?\nAnswer: yes."
    assert pairs(text) == [("A?", "as follows: 1. one 2. two"), ("B?", "yes.")]


# ---------------------------------------------------------------- VIDIMU, IMHD, EgoVid, MuJo


def test_vidimu_is_refused_until_derivation_is_asked_for(tmp_path: Path) -> None:
    from scipy.spatial.transform import Rotation

    sensors = ("qsHIPS", "qsRUL", "qsRLL", "qsLUL", "qsLLL")
    lines = ["QUAT,w,x,y,z,timestamp"]
    lines += [f"{name},1.0,0.0,0.0,0.0,0" for name in sensors]
    for i in range(200):  # the reader polls at 200 Hz, the sensor sends at 50 Hz
        turned = Rotation.from_euler("x", 0.5 * (i // 4) * 0.02).as_quat(scalar_first=True)
        cells = ",".join(repr(float(q)) for q in turned)
        lines += [f"{name},{cells},{1000 + 5 * i}" for name in sensors]
    path = tmp_path / "dataset" / "videoandimus" / "S40" / "S40_A01_T01.raw"
    path.parent.mkdir(parents=True)
    path.write_bytes("\r\n".join(lines).encode() + b"\r\n")
    assert found_at(tmp_path) == "vidimu"
    with pytest.raises(TracekitError, match="no accelerometer and no gyroscope"):
        next(open_samples("vidimu", kind="imu", data_dir=tmp_path))
    made = list(open_samples("vidimu:derived", kind="imu", data_dir=tmp_path))
    assert [one.facts["sensor"] for one in made] == list(sensors)
    recording = take(made[0])
    assert values_of(recording).shape == (50, 6)
    np.testing.assert_allclose(values_of(recording)[:, 3:], [[0.5, 0, 0]] * 50, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(values_of(recording)[:, :3], axis=1), 9.80665)
    assert "left out 150 of 200 readings" in told(recording)
    assert "gravity alone" in told(recording)
    assert "timestamps taken as ms" in told(recording)


def imhd_pickle(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value))


def test_imhd_needs_trust_and_a_stated_orientation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    turn = np.outer(np.arange(120) / 60.0 * 0.3, [0, 0, 1.0])
    path = tmp_path / "imu_preprocessed" / "20230825" / "s1" / "bat" / "imu_0_10_-1.pkl"
    imhd_pickle(path, {"objectImuOri": turn, "objectImuAcc": np.zeros((120, 3))})
    assert found_at(tmp_path) == "imhd"
    with pytest.raises(TracekitError, match="no gyroscope"):
        next(open_samples("imhd", kind="imu", data_dir=tmp_path))
    (one,) = open_samples("imhd:rotvec", kind="imu", data_dir=tmp_path)
    with pytest.raises(TracekitError, match=r"can run code.*--trust-pickle"):
        take(one)
    (one,) = open_samples("imhd:rotvec", kind="imu", data_dir=tmp_path, trust_pickle=True)
    with caplog.at_level(logging.WARNING):
        recording = take(one)
    assert "because you trust it" in caplog.text
    np.testing.assert_allclose(values_of(recording)[:, 3:], [[0, 0, 0.3]] * 120, atol=1e-9)
    np.testing.assert_allclose(values_of(recording)[:, :3], [[0, 0, 9.80665]] * 120, atol=1e-9)
    assert "gravity added" in told(recording)


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("evil-was-here"),))


def test_a_pickle_that_wants_more_than_arrays_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "imu_preprocessed" / "imu_a_0_-1.pkl"
    imhd_pickle(path, {"objectImuOri": Evil(), "objectImuAcc": np.zeros((3, 3))})
    (one,) = open_samples("imhd:rotvec", kind="imu", data_dir=tmp_path, trust_pickle=True)
    with pytest.raises(TracekitError, match="refused"):
        take(one)
    assert not (tmp_path / "evil-was-here").exists()
    # arrays of objects would bring such things in by another door
    imhd_pickle(path, {"objectImuOri": np.array([Evil()], object)})
    with pytest.raises(TracekitError, match="refused"):
        take(one)


def test_egovid_cells_are_lists_at_the_video_rate(tmp_path: Path) -> None:
    header = "video_id,frame_num,fps,llava_cap,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z\n"
    lists = [json.dumps([i + k / 10 for k in range(120)]) for i in range(6)]
    cells = ",".join(f'"{cell}"' for cell in lists)
    record = f'uid_0_119,120,30.0,"a person\nwalks, ""slowly""",{cells}\n'
    long = json.dumps([0.123456789] * 30_000)
    big = 'uid_2,30000,30,b,"' + '","'.join([long] * 6) + '"\n'
    path = tmp_path / "egovid-val.csv"
    path.write_text(header + record + "uid_1,3,30,too short\n" + big)
    assert len(long) > 131_072
    assert found_at(tmp_path) == "egovid"
    with pytest.raises(TracekitError, match=r"egovid-val\.csv:4: 4 values, where 10 values belong"):
        list(open_samples("egovid", kind="imu", data_dir=tmp_path))
    made = list(open_samples("egovid", kind="imu", data_dir=tmp_path, on_error="skip"))
    assert [one.id for one in made] == ["uid_0_119", "uid_2"]
    assert made[0].answer == 'a person\nwalks, "slowly"'
    recording = take(made[0])
    assert recording.rate_hz == 30
    assert values_of(recording)[1].tolist() == [3.1, 4.1, 5.1, 0.1, 1.1, 2.1]
    assert values_of(take(made[1])).shape == (30_000, 6)
    with pytest.raises(TracekitError, match="poses give no accelerometer"):
        next(open_samples("egovid:poses", kind="imu", data_dir=tmp_path))


def test_mujo_says_that_it_is_not_released_and_reads_its_format(tmp_path: Path) -> None:
    with pytest.raises(TracekitError, match="no public release"):
        open_samples("mujo", kind="imu")
    accel, gyro = RNG.normal(size=(2, 40, 16, 3))
    np.savez(tmp_path / "clip.npz", accel=accel, gyro=gyro, fps=50, text="squats")
    (one,) = open_samples("mujo:3", kind="imu", data_dir=tmp_path)
    assert one.answer == "squats"
    np.testing.assert_array_equal(values_of(take(one))[:, 3:], gyro[:, 3])
    assert take(one).rate_hz == 50


# ---------------------------------------------------------------- Ego-Exo4D


class FakeProvider:
    """As projectaria_tools' provider, of 20 samples, one of which has no gyroscope."""

    def get_stream_id_from_label(self, label: str) -> str | None:
        return {"imu-left": "1202-2", "imu-right": "1202-1"}.get(label)

    def get_num_data(self, stream: str) -> int:
        return 20

    def get_imu_data_by_index(self, stream: str, index: int) -> Any:
        step = 1_000_000 if stream == "1202-1" else 1_250_000
        return types.SimpleNamespace(
            accel_msec2=[0.0, 9.8, float(index)],
            gyro_radsec=[0.1, 0.2, 0.3],
            capture_timestamp_ns=1_424_696_631_913_248_573 + index * step,
            accel_valid=True,
            gyro_valid=index != 7,
        )


def test_ego_exo4d_asks_for_an_imu_by_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = types.ModuleType("projectaria_tools.core")
    core.data_provider = types.SimpleNamespace(  # type: ignore[attr-defined]
        create_vrs_data_provider=lambda path: FakeProvider()
    )
    monkeypatch.setitem(sys.modules, "projectaria_tools", types.ModuleType("projectaria_tools"))
    monkeypatch.setitem(sys.modules, "projectaria_tools.core", core)
    (tmp_path / "takes" / "cooking_1").mkdir(parents=True)
    (tmp_path / "takes" / "cooking_1" / "aria01_noimagestreams.vrs").write_bytes(b"VRS")
    (tmp_path / "takes.json").write_text('[{"take_uid": "u", "take_name": "cooking_1"}]')
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "atomic_descriptions_train.json").write_text(
        '{"annotations": {"u": [{"descriptions": [{"text": "C cuts an onion"}]}]}}'
    )
    assert found_at(tmp_path) == "ego_exo4d"
    (one,) = open_samples("ego_exo4d", kind="imu", data_dir=tmp_path)
    assert one.answer == "C cuts an onion"
    recording = take(one)
    assert recording.rate_hz == pytest.approx(1000)
    assert values_of(recording).shape == (19, 6)
    assert "left out 1 samples" in told(recording)
    (left,) = open_samples("ego_exo4d:imu-left", kind="imu", data_dir=tmp_path)
    assert take(left).rate_hz == pytest.approx(800)


def test_ego_exo4d_reads_an_export_without_the_extra(tmp_path: Path) -> None:
    folder = tmp_path / "takes" / "t"
    folder.mkdir(parents=True)
    rows = "".join(f"{10**15 + 1_250_000 * i},1,2,9,0.1,0.2,0.3\n" for i in range(9))
    (folder / "aria01_imu-left.csv").write_text(
        "capture_timestamp_ns,accel_x,accel_y,accel_z,gyro_x,gyro_y,gyro_z\n" + rows
    )
    (one,) = open_samples("ego_exo4d:imu-left", kind="imu", data_dir=tmp_path)
    assert take(one).rate_hz == pytest.approx(800)
    assert values_of(take(one))[0].tolist() == [1, 2, 9, 0.1, 0.2, 0.3]


# ---------------------------------------------------------------- events


def test_dsec_windows_are_cut_by_ms_to_idx(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    hdf5plugin = pytest.importorskip("hdf5plugin")
    t = np.sort(RNG.integers(0, 160_000, 4000)).astype(np.uint32)
    path = tmp_path / "zurich_city_00_a" / "events" / "left" / "events.h5"
    path.parent.mkdir(parents=True)
    packed = hdf5plugin.Blosc(cname="zstd")
    with h5py.File(path, "w") as file:
        for name, values in {
            "x": RNG.integers(0, 640, 4000).astype(np.uint16),
            "y": RNG.integers(0, 480, 4000).astype(np.uint16),
            "p": RNG.integers(0, 2, 4000).astype(np.uint8),
            "t": t,
        }.items():
            file.create_dataset(f"events/{name}", data=values, **packed)
        file["ms_to_idx"] = np.searchsorted(t, np.arange(0, 161) * 1000)
        file["t_offset"] = 56_000_000_000
    assert found_at(tmp_path) == "dsec"
    made = list(open_samples("dsec", kind="events", data_dir=tmp_path))
    paired = next(open_samples("dsec", kind="imu", also=("events",), data_dir=tmp_path))
    assert paired.parse(paired.read()).kind == "imu"
    assert paired.also["events"].id == made[0].id
    assert [one.facts["start_ms"] for one in made] == [0, 50, 100]
    for number, one in enumerate(made):
        arrays = take(one).arrays
        inside = (t >= number * 50_000) & (t < (number + 1) * 50_000)
        np.testing.assert_array_equal(arrays["t"], t[inside].astype(np.int64) + 56_000_000_000)
        assert len(arrays["x"]) == one.facts["events"]
    assert len(list(open_samples(str(path), kind="events", window_ms=20))) == 8


def events_npy(path: Path, span: int = 49_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    events = {
        "x": np.arange(100, dtype=np.uint16), "y": np.arange(100, dtype=np.uint16),
        "p": np.ones(100, np.uint8), "t": np.linspace(0, span, 100).astype(np.uint32),
    }  # fmt: skip
    np.save(path, np.array(events, object), allow_pickle=True)


def test_eventgpt_pairs_events_with_conversations(tmp_path: Path) -> None:
    events_npy(tmp_path / "event_npy" / "seq" / "000000.npy")
    turns = [
        {"from": "human", "value": "<event>\nWhat is there?"}, {"from": "gpt", "value": "A car."}
    ]  # fmt: skip
    entries = [
        {"id": "a", "split": "train", "event_data": name, "conversations": turns}
        for name in ("seq/000000.npy", "../../secret.npy")
    ]
    (tmp_path / "EventGPT_Instruction_Subset.json").write_text(json.dumps(entries))
    with pytest.raises(TracekitError, match="entry 1: no file"):
        list(open_samples("eventgpt", kind="events", data_dir=tmp_path))
    (one,) = open_samples(
        "eventgpt", kind="events", data_dir=tmp_path, on_error="skip", trust_pickle=True
    )
    assert (one.prompt, one.answer) == ("What is there?", "A car.")
    assert take(one).arrays["t"].max() == 49_000
    events_npy(tmp_path / "event_npy" / "seq" / "000000.npy", span=100_000)
    with pytest.raises(TracekitError, match="span 100000"):
        take(one)


def test_events_of_any_file_are_sorted_and_of_one_polarity(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "e.npz", x=np.array([1, 2]), y=np.array([3, 4]), p=np.array([1, -1]),
        t=np.array([9, 5]),
    )  # fmt: skip
    (one,) = open_samples(str(tmp_path / "e.npz"), kind="events")
    recording = take(one)
    assert recording.arrays["t"].tolist() == [5, 9]
    assert recording.arrays["p"].tolist() == [0, 1]
    assert "went back 1 times" in told(recording)
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (tmp_path / "no.npy").write_bytes(buffer.getvalue())
    (other,) = open_samples(str(tmp_path / "no.npy"), kind="events")
    with pytest.raises(TracekitError, match="no events"):
        take(other)
