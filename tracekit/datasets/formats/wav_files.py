"""WAVE files of PCM samples, read and written with the standard library."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import TYPE_CHECKING

from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def parse(raw: bytes, where: Path) -> tuple[npt.NDArray[np.float32], float]:
    """The waveform [N] in -1 … 1, channels averaged, and its rate in Hz.

    Raises: TracekitError for what is no WAVE file of PCM samples, or holds none.
    """
    import numpy as np

    try:
        with wave.open(io.BytesIO(raw)) as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as fault:
        raise TracekitError(
            f"not a WAVE file of PCM samples ({fault or 'it ends early'})",
            where=where,
            hint="convert it: ffmpeg -i FILE -c:a pcm_s16le -ar 16000 -ac 1 OUT.wav",
        ) from None
    data = data[: len(data) // (width * channels) * (width * channels)]
    if not data:
        raise TracekitError("holds no samples", where=where, hint="record it anew")
    bytes_ = np.frombuffer(data, np.uint8).reshape(-1, width)
    if width == 1:  # unsigned
        values = bytes_[:, 0].astype(np.float32) / 128 - 1
    else:  # little-endian; shifted to the top of 32 bits
        top = np.zeros((len(bytes_), 4), np.uint8)
        top[:, 4 - width :] = bytes_
        values = top.view("<i4")[:, 0].astype(np.float32) / 2**31
    return values.reshape(-1, channels).mean(axis=1, dtype=np.float32), float(rate)


def write(path: Path, waveform: npt.NDArray[np.float32], rate: int) -> None:
    """A WAVE file of 16-bit samples of a waveform [N] in -1 … 1."""
    import numpy as np

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(waveform, -1, 1) * 32767).astype("<i2").tobytes())
