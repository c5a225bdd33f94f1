"""What an event camera would have seen of a stretch of video, by a log-intensity threshold model.

Frames are made grey and small first, as an event camera has few pixels. Between frames light is
taken to change evenly: no frames are made up in between, so that what moves far between two of them
(at 30 frames a second most things that are thrown) gives events where it was and where it went, and
none on its way. v2e puts a network for slow motion there, which is not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import extras
from tracekit.datasets.entry import Recording, Sample
from tracekit.datasets.formats import threshold_events
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Frame = tuple[int, npt.NDArray[np.uint8]]  # µs from the first frame; [H, W], 0 to 255

WIDTH = 346  # pixels at most, as a DAVIS346 has
SPAN_MS = 90.0  # EventGPT refuses 100 ms and more; three frames at 30 a second
TAKES = {
    "span_ms": "of events made of video, 90 by default, from the start of the window",
    "threshold": "of log intensity at which an event is made, 0.2 by default",
}


def view(
    sample: Sample,
    video: Path,
    start_s: float,
    *,
    span_ms: float = SPAN_MS,
    threshold: float = threshold_events.THRESHOLD,
) -> Sample:
    """The events of a sample's moment, by a video whose first frame is at 0 s.

    Loading reads and decodes the frames; the model that makes events of them belongs to
    preprocessing.
    """
    model = threshold_events.Model(threshold=threshold)
    span_us = round(span_ms * 1e3)
    start_us = round(start_s * 1e6)

    def parse(found: list[Frame]) -> Recording:
        made = threshold_events.events(found, model)
        inside = (made["t"] >= start_us) & (made["t"] < start_us + span_us)
        if not inside.any():
            raise TracekitError(
                f"nothing changes from {start_s:g} s on for {span_ms:g} ms",
                where=video,
                hint="choose another window, or a lower --data-option threshold",
            )
        height, width = found[0][1].shape
        said = (
            f"made of {len(found)} frames, {width} × {height}: an event for each change of log "
            f"intensity by {threshold:g} (spread over pixels {model.spread:g}), linear between"
        )
        arrays = {name: values[inside] for name, values in made.items()}
        return Recording("events", arrays=arrays, repairs=(said,))

    return Sample(
        id=f"{sample.id}-events",
        dataset=sample.dataset,
        path=video,
        read=lambda: list(frames(video, start_us, span_us)),
        parse=parse,
        prompt=sample.prompt,
        answer=sample.answer,
        label=sample.label,
        licence=sample.licence,
        facts={"video": video.name, "start_s": start_s, "span_ms": span_ms, **model.said()},
    )


def frames(video: Path, start_us: int, span_us: int) -> Iterator[Frame]:
    """The last frame before a stretch, those within, and the first behind it.

    Raises: TracekitError where PyAV is absent, the file is no video, or it ends before.
    """
    extras.need("video", "av", where=video)
    import av

    before: Frame | None = None
    count = 0
    try:
        with av.open(str(video)) as container:
            for frame in _decoded(container, start_us):
                if frame[0] <= start_us:
                    before = frame
                    continue
                if before is not None:
                    yield before
                    count, before = count + 1, None
                yield frame
                count += 1
                if frame[0] >= start_us + span_us:
                    return
    except (av.FFmpegError, IndexError) as fault:
        raise TracekitError(
            f"cannot be read as a video ({fault})", where=video, hint="is it whole?"
        ) from None
    if count < 2:
        raise TracekitError(
            f"has no two frames from {start_us / 1e6:g} s on", where=video, hint="it ends before"
        )


def _decoded(container: Any, start_us: int) -> Iterator[Frame]:
    """Small grey frames with their times, from the key frame before a time on."""
    stream = container.streams.video[0]
    first = float((stream.start_time or 0) * stream.time_base)
    wanted = first + start_us / 1e6
    container.seek(max(round(wanted / float(stream.time_base)), 0), stream=stream)
    for frame in container.decode(stream):
        width = min(WIDTH, frame.width)
        height = max(round(frame.height * width / frame.width), 1)
        grey = frame.reformat(width=width, height=height, format="gray").to_ndarray()
        yield round((frame.time - first) * 1e6), grey
