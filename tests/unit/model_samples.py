"""Samples for tests of models, and a request taken through all stages."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tracekit.datasets.entry import Recording, Sample


def imu_values(samples: int = 600) -> npt.NDArray[np.float64]:
    """[N, 6]: gravity, and some movement."""
    made = np.random.default_rng(5).normal(size=(samples, 6))
    made[:, 2] += 9.81
    return made


def imu_sample(values: npt.NDArray[np.float64] | None = None, rate_hz: float = 100.0) -> Sample:
    """An IMU sample that is already in memory."""
    held = imu_values() if values is None else values
    return Sample(
        id="made",
        dataset="made",
        path=Path("made.npy"),
        read=lambda: held,
        parse=lambda raw: Recording(kind="imu", values=raw, rate_hz=rate_hz),
    )


def text_sample(prompt: str | None) -> Sample:
    """A prompt that is already in memory."""
    return Sample(
        id="made",
        dataset="made",
        path=Path("made.txt"),
        read=lambda: prompt,
        parse=lambda _raw: Recording(kind="text"),
        prompt=prompt,
    )


def run(adapter: Any, sample: Sample) -> Any:
    """The request after its last token."""
    inputs = adapter.preprocess(sample, adapter.load(sample))
    tokens = adapter.encode(inputs) if hasattr(adapter, "encode") else None
    state = adapter.prefill(inputs, tokens)
    while not state.finished:
        state = adapter.decode(state)
    return state
