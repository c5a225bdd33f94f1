"""What the preview of a sample says first: rate, gaps, clipping, spectrum, and a verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tracekit.datasets import preview
from tracekit.datasets.entry import Recording, Sample
from tracekit.datasets.quality import quality

RATE = 50.0


def moving(hz: float = 2.0, seconds: float = 20.0) -> Recording:
    """A swing of 3 m/s² along x at `hz`, gravity along z."""
    t = np.arange(int(seconds * RATE)) / RATE
    values = np.zeros((len(t), 6))
    values[:, 0] = 3 * np.sin(2 * np.pi * hz * t)
    values[:, 2] = 9.81 + 0.01 * np.cos(2 * np.pi * 0.31 * t)
    return Recording("imu", values, RATE, t * 1e3)


def screen(recording: Recording) -> preview.FirstScreen:
    return preview.first_screen(
        Sample("s", "d", Path("x"), lambda: b"", lambda _: recording, label="walking"), recording
    )


def test_the_spectrum_has_the_frequency_and_the_size_of_the_swing() -> None:
    found = quality(moving(hz=2.0))
    assert found.spectrum is not None
    assert found.spectrum.peak_hz == pytest.approx(2.0, abs=0.06)
    assert found.spectrum.peak == pytest.approx(3.0, rel=0.05)
    shown = screen(moving())
    assert shown.headline.startswith("walking: 20.0 s of motion, 1,000 samples at 50 Hz; ")
    assert (shown.verdict.level, shown.verdict.word) == ("", "Clean")
    assert [chart.key for chart in shown.charts] == ["spectrum"]


def test_gaps_are_counted_and_the_time_that_they_lose() -> None:
    whole = moving()
    assert whole.values is not None
    assert whole.timestamps_ms is not None
    kept = np.r_[0:300, 550:1000]  # 5 s are lost of 20 s
    found = quality(Recording("imu", whole.values[kept], RATE, whole.timestamps_ms[kept]))
    assert found.gaps is not None
    assert (found.gaps.count, round(found.gaps.longest_s, 2)) == (1, 5.02)
    assert found.gaps.lost == pytest.approx(5.0 / 19.98, rel=1e-3)
    said = screen(Recording("imu", whole.values[kept], RATE, whole.timestamps_ms[kept])).verdict
    assert (said.level, said.text[:26]) == ("warn", "1 gap in the clock, the lo")


def test_an_axis_at_its_extreme_again_and_again_is_clipped() -> None:
    one = moving()
    assert one.values is not None
    one.values[:, 0] = np.clip(one.values[:, 0], -2.0, 2.0)
    found = quality(one).clipping
    assert found is not None
    assert (found.axis, found.value) == ("acceleration x", 2.0)
    assert 0.2 < found.share < 0.4
    assert quality(moving()).clipping is None


def test_what_cannot_be_said_is_not() -> None:
    short = Recording("imu", np.ones((5, 6)), None, None)
    found = quality(short)
    assert (found.spectrum, found.gaps, found.rate_hz) == (None, None, None)
    text = Recording("text", text="a question")
    assert screen(text).charts == ()
    assert screen(text).headline == "walking: text."
