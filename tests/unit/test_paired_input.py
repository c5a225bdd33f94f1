"""One moment seen by several sensors: the event model, one motion, video beside an IMU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import fresh
from tracekit.datasets.entry import Sample
from tracekit.datasets.formats import threshold_events, video_events
from tracekit.datasets.local import seen_motion
from tracekit.datasets.opening import open_samples
from tracekit.errors import TracekitError
from tracekit.models.shared import event_frames

RATE = 30
BRIGHT, DARK = 200, 40


def taken(sample: Sample) -> Any:
    return sample.parse(sample.read())


def test_events_add_up_to_the_change_of_log_intensity() -> None:
    """What a pixel's events say of its light is right to within its threshold."""
    seen = list(seen_motion.frames("walking", (3, 1), 0.5, 20_000))
    exact = threshold_events.Model(spread=0.0)
    found = threshold_events.events(seen, exact)
    light = [threshold_events.log_intensity(frame, exact.linear_below) for _, frame in seen]
    said = np.zeros_like(light[0])
    np.add.at(said, (found["y"], found["x"]), exact.threshold * np.where(found["p"] == 1, 1, -1))
    assert np.abs(said - (light[-1] - light[0])).max() < exact.threshold * (1 + 1e-9)
    assert (np.diff(found["t"]) >= 0).all()
    assert (found["t"].min(), found["t"].max()) >= (0, 0)
    assert found["t"].max() <= 20_000
    assert 0.3 < found["p"].mean() < 0.7


def test_a_crossing_is_timed_where_light_reaches_it() -> None:
    steep = threshold_events.Model(threshold=0.5, spread=0.0)
    before, after = np.full((1, 2), 100.0), np.array([[100.0 * np.exp(1.25), 100.0]])
    found = threshold_events.events([(1_000, before), (2_000, after)], steep)
    assert found["t"].tolist() == [1_400, 1_800]  # at 0.5 and 1.0 of 1.25
    assert (found["x"].tolist(), found["p"].tolist()) == ([0, 0], [1, 1])


def test_one_seed_is_one_motion_for_both_sensors(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, again = (
        next(open_samples("synthetic:walking", kind="imu", also=("events",), seed=5,
                          workdir=tmp_path / name))
        for name in ("a", "b")
    )  # fmt: skip
    plain = next(open_samples("synthetic:walking", kind="imu", seed=5, workdir=tmp_path))
    assert np.array_equal(taken(first).values, taken(plain).values)
    events, same = taken(first.also["events"]).arrays, taken(again.also["events"]).arrays
    assert all(np.array_equal(events[name], same[name]) for name in "xypt")
    assert len(event_frames.frames(event_frames.checked(events, "made"))) == event_frames.FRAMES
    turned = next(open_samples("synthetic:walking", kind="events", also=("imu",), seed=5,
                               workdir=tmp_path))  # fmt: skip
    assert np.array_equal(taken(turned).arrays["t"], events["t"])
    assert taken(turned.also["imu"]).kind == "imu"


def test_more_motion_makes_more_events() -> None:
    counts = [len(seen_motion.events(name, seed=(0, 1), start_s=0.0, span_us=10_000)["t"])
              for name in ("standing", "walking", "jogging")]  # fmt: skip
    assert counts == sorted(counts)
    assert counts[0] < counts[1] < counts[2]


def test_a_camera_that_lies_still_emits_what_its_pixels_leak() -> None:
    still = [(at, np.full((60, 80), 90.0)) for at in range(0, 100_001, 10_000)]
    assert not len(threshold_events.events(still)["t"])
    leaks = threshold_events.events(still, threshold_events.Model(leak_hz=2.0))
    assert set(leaks["p"]) == {1}
    assert len(leaks["t"]) == pytest.approx(60 * 80 * 2.0 * 0.1, rel=0.15)
    for name in ("sitting", "lying"):
        seen = seen_motion.events(name, seed=(0, 7), start_s=0.0, span_us=20_000)
        assert len(seen["t"]) >= 20


# ---------------------------------------------------------------- video


def filmed(path: Path) -> None:
    """A second of a bright bar, 8 pixels wide, that goes right by 2 pixels a frame."""
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'tracekit[video]'")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.bit_rate = 4_000_000
        for number in range(RATE):
            picture = np.full((64, 96, 3), DARK, np.uint8)
            picture[:, 2 * number : 2 * number + 8] = BRIGHT
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def ego4d(folder: Path, begin_ms: float) -> Path:
    """An IMU csv of three seconds that begins at a time of its video's clock."""
    (folder / "v2" / "imu").mkdir(parents=True)
    (folder / "v2" / "full_scale").mkdir()
    names = "canonical_timestamp_ms,gyro_x,gyro_y,gyro_z,accl_x,accl_y,accl_z"
    rows = [f"{begin_ms + 5 * n:g},0,0,0,0,9.8,0" for n in range(600)]
    (folder / "v2" / "imu" / "uid.csv").write_text("\n".join([names, *rows]) + "\n")
    return folder / "v2" / "full_scale" / "uid.mp4"


def test_video_beside_an_imu_becomes_events_of_the_same_moment(tmp_path: Path) -> None:
    filmed(ego4d(tmp_path, begin_ms=400.0))
    one = next(open_samples(str(tmp_path), kind="imu", also=("events",)))
    assert taken(one).timestamps_ms[0] == 400.0
    found = taken(one.also["events"])
    x, p, t = (found.arrays[name].astype(int) for name in "xpt")
    assert 400_000 <= t.min() <= t.max() < 490_000
    assert "made of 4 frames, 96 × 64" in found.repairs[0]
    at = 2 * RATE * t / 1e6  # the bar's left edge in pixels
    brighter, darker = x[p == 1] - at[p == 1], x[p == 0] - at[p == 0]
    assert len(brighter) > 100 < len(darker)
    # light comes before the right edge and goes at the left one
    assert np.median(brighter) == pytest.approx(8, abs=2.5)
    assert np.median(darker) == pytest.approx(0, abs=2.5)
    later = next(open_samples(str(tmp_path), kind="events", also=("imu",), span_ms=40))
    assert taken(later).arrays["t"].max() < 440_000


def test_what_is_wrong_with_a_video_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed: pip install 'tracekit[video]'")
    video = ego4d(tmp_path, begin_ms=0.0)
    with pytest.raises(TracekitError, match="its video is not on disk"):
        next(open_samples(str(tmp_path), kind="imu", also=("events",)))
    video.write_text("no video")
    with pytest.raises(TracekitError, match="cannot be read as a video"):
        list(video_events.frames(video, 0, 90_000))
    filmed(tmp_path / "short.mp4")
    with pytest.raises(TracekitError, match="has no two frames from 5 s on"):
        list(video_events.frames(tmp_path / "short.mp4", 5_000_000, 90_000))


def test_data_sets_say_how_they_can_be_paired(tmp_path: Path) -> None:
    said = json.loads(fresh.tracekit("datasets", "list", "--json", cwd=tmp_path).stdout)
    able = {
        name for name, one in said.items() if {"imu", "events"} <= {one["input"], *one["pairs"]}
    }
    assert able == {"synthetic", "ego4d", "vidimu", "dsec"}
    assert "Pairs of IMU and events" in fresh.tracekit("datasets", cwd=tmp_path).stdout
    (tmp_path / "one.csv").write_text("a")
    with pytest.raises(TracekitError, match="holds no events of the same moment as its imu"):
        open_samples("uci_har", kind="imu", also=("events",), data_dir=tmp_path)
