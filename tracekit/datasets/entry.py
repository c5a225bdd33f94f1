"""What a data set, a sample and a recording are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tracekit.registry import Kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

InputKind = Literal["imu", "events", "text", "image", "audio"]


@dataclass(frozen=True, slots=True)
class Recording:
    """What one sample holds, in units that do not depend on where it came from.

    imu: `values` [N, 6] float64, acceleration xyz in m/s² with gravity, then angular velocity xyz
    in rad/s; `rate_hz` nominal; `timestamps_ms` [N] float64 or None where the file has none.
    events: `arrays` has x, y, p, t ([N] integers, t in µs). text: `text`. image: `arrays` has
    pixels, [height, width, 3] uint8. audio: `arrays` has waveform, [N] float32 in -1 … 1, mono, at
    `rate_hz`.
    """

    kind: InputKind
    values: npt.NDArray[np.float64] | None = None
    rate_hz: float | None = None
    timestamps_ms: npt.NDArray[np.float64] | None = None
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    start_s: float | None = None  # the window wanted of it; None: the whole
    duration_s: float | None = None
    text: str | None = None
    repairs: tuple[str, ...] = ()  # what was mended or derived, in words


@dataclass(frozen=True, slots=True)
class Sample:
    """One input of a data set, not yet read.

    `read()` is the load stage: bytes of `path` on disk to host memory, nothing else. `parse(raw)`
    begins the preprocess stage: what was read to a Recording.
    """

    id: str
    dataset: str
    path: Path
    read: Callable[[], Any]
    parse: Callable[[Any], Recording]
    prompt: str | None = None  # the question, without any model's template
    answer: str | None = None
    label: str | None = None
    synthetic: bool = False
    licence: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[InputKind, Sample] = field(default_factory=dict)  # the same, by other sensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One data set: facts, and how its samples are read.

    `samples(path, *, subset, seed, on_error, **options)` yields lazily, in an order that never
    changes; `path` is a folder, or one of its files, for which `recognise(path)` holds. It is
    given those options only that `takes` names.
    """

    title: str
    kind: InputKind
    samples: Callable[..., Iterator[Sample]]
    holds: str  # what it is, rate, channels, units
    source: str  # address
    licence: str
    access: Literal["public", "licence", "not released", "generated", "local"]
    size: str
    layout: str  # on disk
    fits: tuple[str, ...]  # models
    verified: Literal["verified on real files", "built from the documented format", "generated"]
    how_to_get: str = ""  # a command that works today, or how to get access
    subsets: tuple[str, ...] = ()
    takes: Mapping[str, str] = field(default_factory=dict)  # options of `samples`: what each does
    # other kinds of the same moment, and where each comes from, in words; `samples` takes `also`,
    # a tuple of those wanted, and fills `Sample.also`
    pairs: Mapping[InputKind, str] = field(default_factory=dict)
    recognise: Callable[[Path], bool] | None = None  # by layout; never reads more than a header
    download: Callable[..., None] | None = None  # the only code that downloads
    # (path): what was counted, as {what: (on disk, published or None)}
    check: Callable[[Path], Mapping[str, tuple[int, int | None]]] | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)  # file: 'sha256:…' or 'md5:…'


DATASETS = Kind("tracekit.datasets", "DATASET", "dataset", "data set", Dataset)


def datasets() -> list[str]:
    """Names of all data sets, alphabetically."""
    return DATASETS.names()


def entries() -> dict[str, Dataset]:
    """All data sets by name, but those that a package brings in vain."""
    return DATASETS.every()


def dataset(name: str) -> Dataset:
    """The entry of one data set. Raises: TracekitError for an unknown name."""
    return DATASETS.load(name)
