"""Events of an event camera to the five images that EventGPT sees.

Source: github.com/XduSyL/EventGPT (common/common.py); CLIP's preprocessing as in transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tracekit import extras
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FRAMES = 5
SPAN_US = 100_000  # the original refuses this much and more
WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)
MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's, of RGB in 0 to 1
STD = (0.26862954, 0.26130258, 0.27577711)
LARGEST = 1 << 14  # no sensor has more pixels a side; a larger coordinate is a damaged file

Events = Mapping[str, "npt.NDArray[Any]"]


def checked(events: Events, where: object) -> dict[str, npt.NDArray[np.int64]]:
    """x, y, p, t as int64, once they are sure to give five images.

    Raises: TracekitError where an array is missing or of another length, coordinates are negative
        or absurd, there are fewer than five events, or they span 100,000 µs or more.
    """
    import numpy as np

    absent = [name for name in "xypt" if name not in events]
    if absent:
        raise TracekitError(
            f"no {', '.join(absent)} among the events",
            where=where,
            hint="EventGPT takes arrays x, y, p (polarity) and t (µs)",
        )
    lengths = {name: len(events[name]) for name in "xypt"}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise TracekitError(
            f"the arrays of events differ in length ({said})", where=where, hint="is it whole?"
        )
    if lengths["t"] < FRAMES:
        raise TracekitError(
            f"{lengths['t']} events make no {FRAMES} images",
            where=where,
            hint="give a longer stretch of the stream",
        )
    # before any difference: t is often uint16 or uint32, which wrap
    out = {name: np.asarray(events[name]).astype(np.int64) for name in "xypt"}
    low, high = (int(f(out[axis])) for f, axis in ((np.min, "x"), (np.max, "x")))
    low, high = min(low, int(out["y"].min())), max(high, int(out["y"].max()))
    if low < 0 or high >= LARGEST:
        raise TracekitError(
            f"pixel coordinates run from {low} to {high}",
            where=where,
            hint=f"0 to {LARGEST - 1} is expected; is it whole?",
        )
    span = int(out["t"].max() - out["t"].min())
    if span >= SPAN_US:
        raise TracekitError(
            f"the events span {span:,} µs, EventGPT takes less than {SPAN_US:,}",
            where=where,
            hint="cut a shorter stretch out of the stream",
        )
    return out


def frames(events: Mapping[str, npt.NDArray[np.int64]]) -> list[npt.NDArray[np.uint8]]:
    """Five RGB images, [H, W, 3] each, of equal counts of events; the last takes the remainder.

    White where nothing happened, blue for polarity 0, red for any other; later events paint over
    earlier ones. An image is as large as its own events need, so sizes differ.
    """
    import numpy as np

    colours = np.array([WHITE, BLUE, RED], np.uint8)
    count = len(events["t"]) // FRAMES
    out = []
    for k in range(FRAMES):
        part = slice(k * count, None if k == FRAMES - 1 else (k + 1) * count)
        x, y, p = events["x"][part], events["y"][part], events["p"][part]
        height, width = int(y.max()) + 1, int(x.max()) + 1
        last = np.full(height * width, -1)  # the newest event of each pixel
        np.maximum.at(last, y * width + x, np.arange(len(x)))
        colour = np.where(last < 0, 0, np.where(p[last] == 0, 1, 2))
        out.append(colours[colour].reshape(height, width, 3))
    return out


def pixels(images: list[npt.NDArray[np.uint8]], size: int) -> npt.NDArray[np.float32]:
    """[5, 3, size, size], what CLIP takes: shorter side to `size`, centre, scaled, normalised.

    As CLIPImageProcessor with Pillow: bicubic with antialiasing, rounded to uint8 before scaling.
    """
    extras.need("capture", "PIL", where="event frames")
    import numpy as np
    from PIL import Image

    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    out = np.empty((len(images), 3, size, size), np.float32)
    for k, image in enumerate(images):
        height, width = image.shape[:2]
        # the longer side is cut to an integer, not rounded
        if width <= height:
            shape = (size, int(size * height / width))
        else:
            shape = (int(size * width / height), size)
        small = Image.fromarray(image).resize(shape, Image.Resampling.BICUBIC)
        left, top = (shape[0] - size) // 2, (shape[1] - size) // 2
        cut = np.asarray(small)[top : top + size, left : left + size]
        scaled = (cut.astype(np.float64) / 255).astype(np.float32)
        out[k] = ((scaled - mean) / std).transpose(2, 0, 1)
    return out
