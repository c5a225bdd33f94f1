"""Generated input: IMU of named activities, events of a moving bar, prompts, pictures, sound.

Every sample is written to disk first, so that the load stage really loads.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Dataset, InputKind, Recording, Sample
from tracekit.datasets.formats import wav_files
from tracekit.datasets.local import plain, seen_motion, signals
from tracekit.datasets.video import ego4d
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

RATE_HZ = 200.0
SECONDS = 10.0
PROMPTS = (
    "Describe what an inertial sensor at the waist measures while a person walks.",
    "Explain in two sentences why a kernel launch costs time on the host.",
    "List three causes of idle time on a GPU, from the most to the least common.",
)


def samples(
    path: Path,
    *,
    subset: str | None = None,
    seed: int = 0,
    on_error: str = "raise",
    kind: InputKind = "imu",
    rate_hz: float | None = None,
    seconds: float = SECONDS,
    noise: float = 1.0,
    also: Sequence[InputKind] = (),
) -> Iterator[Sample]:
    """Samples without end, each written under the folder `path` when it is asked for.

    `subset` names one activity; all in turn without it. The same seed gives the same bytes.
    IMU and events that are asked for together (`also`) are of one motion: `seen_motion`.

    Raises: TracekitError for a rate, length or noise that makes no sense.
    """
    rate = RATE_HZ if rate_hz is None else rate_hz
    if not (0 < rate <= 1e5 and 0 < seconds <= 86_400 and 0 <= noise < float("inf")):
        raise TracekitError(
            f"cannot make {seconds:g} s at {rate:g} Hz with noise {noise:g}",
            where="synthetic",
            hint="rate above 0 and at most 100000 Hz, length above 0 and at most a day, noise >= 0",
        )
    wanted = [subset] if subset else list(signals.ACTIVITIES)
    of_motion = {"imu", "events"} <= {kind, *also}
    for number, activity in enumerate(itertools.cycle(wanted)):
        made = [
            _made(path, one, activity, (seed, number), (rate, seconds, noise), of_motion)
            for one in (kind, *also)
        ]
        yield replace(made[0], also=dict(zip(also, made[1:], strict=True)))


def _made(
    path: Path,
    kind: InputKind,
    activity: str,
    seed: tuple[int, int],
    how: tuple[float, float, float],
    of_motion: bool,
) -> Sample:
    """One sample of a kind, written. `how`: rate in Hz, seconds, noise of an IMU."""
    (rate, seconds, noise), number = how, seed[1]
    uid = f"synthetic-{kind}-{seed[0]}-{number:04d}"
    facts: dict[str, Any] = {"seed": seed[0], "number": number}
    label = activity if kind == "imu" else None
    match kind:
        case "imu":
            times, values = signals.imu(
                activity, seed=seed, rate_hz=rate, seconds=seconds, noise=noise
            )
            facts |= {"rate_hz": rate, "seconds": seconds, "noise": noise}
            _save(path / f"{uid}.npy", values.T)
            _save(path / f"{uid}_timestamps.npy", times)
            made = ego4d.pair(path / f"{uid}.npy")
        case "events" if of_motion:
            uid, label = uid.replace("events", "events-of-motion"), activity
            facts |= {"start_s": 0.0, "span_us": seen_motion.SPAN_US}
            facts |= seen_motion.camera(seed).said()
            _save(path / f"{uid}.npz", seen_motion.events(activity, seed=seed, start_s=0.0))
            made = plain.events(path / f"{uid}.npz")
        case "events":
            _save(path / f"{uid}.npy", signals.events(seed=seed))
            made = plain.events(path / f"{uid}.npy")
        case "image":
            _save(path / f"{uid}.npy", signals.picture(seed=seed))
            made = plain.image(path / f"{uid}.npy")
        case "audio":
            _save(path / f"{uid}.wav", signals.sound(seed=seed))
            made = plain.audio(path / f"{uid}.wav")
        case _:
            prompt = PROMPTS[sum(seed) % len(PROMPTS)]
            _save(path / f"{uid}.json", {"prompt": prompt})
            made = next(plain.texts(path / f"{uid}.json"))
    return Sample(
        id=uid,
        dataset="synthetic",
        path=made.path,
        read=made.read,
        parse=_marked(made),
        prompt=made.prompt,
        label=label,
        synthetic=True,
        licence="none needed: generated",
        facts=facts,
    )


def _marked(made: Sample) -> Any:
    """`parse` of a sample, whose recording then says that it is synthetic."""

    def parse(raw: Any) -> Recording:
        recording = made.parse(raw)
        return replace(recording, repairs=(*recording.repairs, "synthetic, not measured"))

    return parse


def _save(path: Path, value: npt.NDArray[np.generic] | dict[str, Any]) -> None:
    from tracekit.files import writing

    with writing(path) as temporary:
        if isinstance(value, dict) and path.suffix == ".npz":
            import numpy as np

            with open(temporary, "wb") as file:
                np.savez(file, **value)
            return
        if isinstance(value, dict):
            temporary.write_text(json.dumps(value), encoding="utf-8")
            return
        import numpy as np

        if path.suffix == ".wav":
            wav_files.write(temporary, value, signals.SOUND_HZ)  # type: ignore[arg-type]
            return
        with open(temporary, "wb") as file:
            np.save(file, value, allow_pickle=False)


DATASET = Dataset(
    title="Synthetic IMU of named activities; also events, prompts, pictures and sound",
    kind="imu",
    samples=samples,
    holds="accelerometer (m/s², with gravity) and gyroscope (rad/s) of one moving body, by default "
    "10 s at 200 Hz, as an Ego4D-style pair; gyroscope and gravity follow one orientation exactly, "
    "then noise and bias are added",
    source="generated by tracekit",
    licence="none needed",
    access="generated",
    size="96 KB a sample",
    layout="synthetic-imu-SEED-NUMBER.npy (6, N) float64 and …_timestamps.npy (N,) in ms",
    fits=("onellm", "imu2clip", "llasa", "limu_bert", "eventgpt", "hf:PATH_OR_ID"),
    verified="generated",
    how_to_get="tracekit capture MODEL --data synthetic",
    pairs={
        "imu": "of the motion that the camera sees; with events",
        "events": "240 × 180, the first 50 ms of the motion that the IMU measures, by a "
        "log-intensity threshold model",
        "text": "a prompt beside it",
        "image": "a picture beside it, of nothing that moves",
        "audio": "a sound beside it",
    },
    subsets=tuple(signals.ACTIVITIES),
    takes={
        "kind": "imu, events, text, image or audio",
        "rate_hz": "samples a second, 200 by default",
        "seconds": "length of a recording, 10 by default",
        "noise": "factor on the noise and bias of a phone's sensor; 0 is none",
    },
)
