"""LIMU-BERT's 20 Hz windows of 120 samples. Source: github dapowan/LIMU-BERT-Public."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE_HZ = 20.0
LENGTH = 120  # samples in a window: 6 s
SPAN = LENGTH // 2 * 5  # the same at 50 Hz
ACCEL_SCALE = 9.8  # the model's input is acceleration over 9.8, not over 9.80665


def block_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """50 Hz to 20 Hz as published: means of 2 and 3 samples in turn, without a filter.

        in   0 1 | 2 3 4 | 5 6 | 7 8 9 | 10 …      a group starts while its start + 3 < N
        out   a      b      c      d

    Shapes: [N, C] to [block_count(N), C].
    """
    return _means(values, block_starts(len(values)))


def window(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """One window from the samples of its `window_span`. Shapes: [300, C] to [120, C].

    Raises: ValueError for any other number of samples.
    """
    if len(values) != SPAN:
        raise ValueError(f"a window is {SPAN} samples at 50 Hz, not {len(values)}")
    return _means(values, block_starts(SPAN + 3))


def _means(
    values: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    import numpy as np

    out = np.empty((len(starts), values.shape[1]))
    for first, size in ((0, 2), (1, 3)):  # even groups hold 2 samples, odd ones 3
        at = starts[first::2]
        # means of a [n, size, C] block, so that each is the same sum in the same order as the
        # published code's mean over one group
        out[first::2] = values[at[:, None] + np.arange(size)].mean(axis=1)
    return out


def block_starts(length: int) -> npt.NDArray[np.int64]:
    """[n] index of the first sample of each group of `block_means`."""
    import numpy as np

    groups = np.arange(length, dtype=np.int64)
    starts = groups // 2 * 5 + groups % 2 * 2
    return starts[starts + 3 < length]


def block_count(length: int) -> int:
    """Rows that `block_means` makes of `length` samples."""
    return len(block_starts(length))


def window_count(length: int) -> int:
    """Windows that one segment of `length` samples at 50 Hz gives.

    As published: a segment of exactly 120 rows at 20 Hz is dropped, and so is what is left over
    after the last whole window.
    """
    rows = block_count(length)
    return rows // LENGTH if rows > LENGTH else 0


def window_span(index: int) -> tuple[int, int]:
    """First sample and sample after the last, at 50 Hz within the segment, of one window."""
    return index * SPAN, (index + 1) * SPAN
