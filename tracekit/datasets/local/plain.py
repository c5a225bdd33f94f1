"""Your own files: six channels as csv, text or npy; events; prompts; pictures; sound."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import extras
from tracekit.datasets.entry import Dataset, InputKind, Recording, Sample
from tracekit.datasets.formats import (
    event_files,
    numpy_files,
    packed_tables,
    tables,
    text_tables,
    wav_files,
)
from tracekit.datasets.formats.csv_rows import OnError, read_bytes
from tracekit.datasets.formats.tables import Table
from tracekit.datasets.local import channels, plain_imu, sensor_files
from tracekit.datasets.local.clock import MODES, Asked, Mode
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy.typing as npt

TEXT = (".csv", ".txt", ".tsv", ".dat")
ENDINGS: dict[str, tuple[str, ...]] = {
    "imu": (
        *TEXT, *(f"{ending}.gz" for ending in TEXT), ".npy", ".npz", ".parquet", ".feather",
        ".arrow", ".mat", ".h5", ".hdf5",
    ),
    "events": (".npy", ".npz", ".h5", ".hdf5"),
    "text": (".txt", ".json", ".jsonl", ".md"),
    "image": (".npy", ".png", ".jpg", ".jpeg"),
    "audio": (".wav",),
}  # fmt: skip
EVERY = frozenset(one for endings in ENDINGS.values() for one in endings)


def samples(
    path: Path,
    *,
    subset: str | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    kind: InputKind = "imu",
    rate_hz: float | None = None,
    trust_pickle: bool = False,
    clock: Mode = "mend",
    time_unit: str | None = None,
    accel_unit: str | None = None,
    gyro_unit: str | None = None,
) -> Iterator[Sample]:
    """One sample a file (text: one a prompt), in order of file name.

    Raises: TracekitError where no file has an ending that fits the kind.
    """
    endings = ENDINGS[kind]
    each = sensor_files.found(path) if kind == "imu" and path.is_dir() else {}
    if each:
        asked = Asked(each["acc"], _mode(clock, path), rate_hz, time_unit)
        yield sensors(each, plain_imu.Options(asked, on_error, accel_unit, gyro_unit))
        return
    if kind == "imu" and path.is_dir():
        path = next((one for one in (path / "mav0/imu0", path / "imu0") if one.is_dir()), path)
    if path.is_file():
        files = [path]
    else:
        files = sorted(p for p in path.iterdir() if ending(p) in endings and p.is_file())
    if not files or ending(files[0]) not in endings:
        raise TracekitError(
            f"no {kind} file here", where=path, hint=f"files that end in {', '.join(endings)}"
        )
    for file in files:
        match kind:
            case "imu":
                yield imu(
                    file, rate_hz=rate_hz, on_error=on_error, clock=clock, time_unit=time_unit,
                    accel_unit=accel_unit, gyro_unit=gyro_unit,
                )  # fmt: skip
            case "events":
                yield events(file, trust_pickle=trust_pickle)
            case "image":
                yield image(file)
            case "audio":
                yield audio(file)
            case _:
                yield from texts(file)


def imu(
    path: Path,
    *,
    rate_hz: float | None = None,
    on_error: OnError = "raise",
    clock: Mode = "mend",
    time_unit: str | None = None,
    accel_unit: str | None = None,
    gyro_unit: str | None = None,
) -> Sample:
    """Six channels: acceleration x y z in m/s², angular velocity x y z in rad/s.

    `clock` says what is done about a clock at fault, the units what the file itself does not.
    """
    asked = Asked(path, _mode(clock, path), rate_hz, time_unit)
    options = plain_imu.Options(asked, on_error, accel_unit, gyro_unit)
    kind = ending(path)
    if kind == ".npy":
        return Sample(
            id=path.stem, dataset="plain", path=path, read=lambda: numpy_files.npy(path, path),
            parse=lambda raw: plain_imu.parse_array(raw, options),
        )  # fmt: skip
    if kind in packed_tables.ENDINGS:
        return Sample(
            id=path.stem, dataset="plain", path=path, read=lambda: packed_tables.read(path),
            parse=lambda raw: plain_imu.from_table(raw, options),
        )  # fmt: skip
    return Sample(
        id=path.name.removesuffix(path.suffix) if kind.endswith(".gz") else path.stem,
        dataset="plain", path=path, read=lambda: unpacked(path),
        parse=lambda raw: plain_imu.parse_text(raw, options),
    )  # fmt: skip


def sensors(files: Mapping[str, Path], options: plain_imu.Options) -> Sample:
    """One recording out of a file for each sensor; its id is the folder's name."""
    return Sample(
        id=options.path.parent.name, dataset="plain", path=options.path,
        read=lambda: sensor_files.read(files),
        parse=lambda raw: sensor_files.parse(raw, files, options),
    )  # fmt: skip


def _mode(clock: Mode, path: Path) -> Mode:
    if clock not in MODES:
        raise TracekitError(f"clock={clock}", where=path, hint=f"one of: {', '.join(MODES)}")
    return clock


def ending(path: Path) -> str:
    """How the name ends, in lower case; both endings of what is gzipped."""
    return "".join(
        path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]
    ).lower()


def unpacked(path: Path) -> bytes:
    """Bytes of a file, out of gzip where it is. Raises: TracekitError where it is not whole."""
    import gzip
    import zlib

    data = read_bytes(path)
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as fault:
        raise TracekitError(
            f"not a whole gzip file ({fault})", where=path, hint="is it damaged, or cut short?"
        ) from None


def events(path: Path, *, trust_pickle: bool = False) -> Sample:
    """The events of one file; see `_events.read` for its forms."""
    return Sample(
        id=path.stem,
        dataset="plain",
        path=path,
        read=lambda: event_files.read(path, trust_pickle=trust_pickle),
        parse=lambda raw: event_files.parse(raw, path),
    )


def image(path: Path) -> Sample:
    """One picture: .npy [H, W, 3] uint8, or what Pillow reads."""
    array = path.suffix.lower() == ".npy"
    return Sample(
        id=path.stem,
        dataset="plain",
        path=path,
        read=lambda: numpy_files.npy(path, path) if array else read_bytes(path),
        parse=lambda raw: _parse_image(raw, path),
    )


def audio(path: Path) -> Sample:
    """One sound: a WAVE file of PCM samples."""
    return Sample(
        id=path.stem, dataset="plain", path=path, read=lambda: read_bytes(path),
        parse=lambda raw: _parse_audio(raw, path),
    )  # fmt: skip


def _parse_audio(raw: bytes, path: Path) -> Recording:
    waveform, rate = wav_files.parse(raw, path)
    return Recording("audio", arrays={"waveform": waveform}, rate_hz=rate)


def texts(path: Path) -> Iterator[Sample]:
    """Prompts: the whole of a .txt; `prompt` of a .json object, or of each in a list; each line
    of a .jsonl.

    Raises: TracekitError for what is not JSON or has no prompt.
    """
    for number, (start, size) in enumerate(_text_places(path)):
        yield _text(path, number, start, size)


def _text(path: Path, number: int, start: int, size: int) -> Sample:
    return Sample(
        id=path.stem if number == 0 else f"{path.stem}-{number}",
        dataset="plain",
        path=path,
        read=lambda: read_bytes(path, start, size),
        parse=lambda raw: Recording("text", text=_prompt(raw, path, number)),
        prompt=_prompt(read_bytes(path, start, size), path, number),
    )


def _text_places(path: Path) -> Iterator[tuple[int, int]]:
    """Byte offset and size of each prompt; a list in one .json is read whole each time."""
    if path.suffix.lower() == ".jsonl":
        start = 0
        with open(path, "rb") as file:
            for line in file:
                if line.strip():
                    yield start, len(line)
                start += len(line)
        return
    size = path.stat().st_size
    many = 1
    if path.suffix.lower() == ".json":
        value = _json(read_bytes(path), path)
        many = len(value) if isinstance(value, list) else 1
    yield from ((0, size) for _ in range(many))


def _prompt(raw: bytes, path: Path, number: int) -> str:
    if path.suffix.lower() not in (".json", ".jsonl"):
        return raw.decode("utf-8", "replace").strip()
    value = _json(raw, path)
    if isinstance(value, list):
        value = value[number]
    text = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise TracekitError(
            f"prompt {number + 1} is no text",
            where=path,
            hint='a string, or an object as in {"prompt": "…"}',
        )
    return text


def _json(raw: bytes, path: Path) -> object:
    try:
        return json.loads(raw)
    except ValueError as fault:
        raise TracekitError(f"not JSON ({fault})", where=path, hint="mend the file") from None


def _parse_image(raw: npt.NDArray[Any] | bytes, path: Path) -> Recording:
    import numpy as np

    if isinstance(raw, bytes):
        import io

        extras.need("capture", "PIL", where=path)
        from PIL import Image, UnidentifiedImageError

        try:
            raw = np.asarray(Image.open(io.BytesIO(raw)).convert("RGB"))
        except (UnidentifiedImageError, OSError) as fault:
            raise TracekitError(
                f"not a picture ({fault})", where=path, hint="a PNG or JPEG file"
            ) from None
    if raw.ndim != 3 or raw.shape[2] != 3 or raw.dtype != np.uint8:
        raise TracekitError(
            f"shape {raw.shape} of {raw.dtype} is no picture",
            where=path,
            hint="[height, width, 3] uint8",
        )
    return Recording("image", arrays={"pixels": raw})


def guess(path: Path) -> InputKind:
    """The kind of a file, or of the first in a folder, by its ending and its first bytes."""
    if path.is_dir():
        path = next((p for p in sorted(path.iterdir()) if ending(p) in EVERY), path)
    match ending(path):
        case ".npz":
            names = numpy_files.npz(path, ())[1]
            return "events" if set(event_files.FIELDS) <= set(names) else "imu"
        case ".h5" | ".hdf5":
            return "imu" if packed_tables.is_recording(path) else "events"
        case ".json" | ".jsonl" | ".md":
            return "text"
        case ".png" | ".jpg" | ".jpeg":
            return "image"
        case ".wav":
            return "audio"
        case ".npy":
            header = read_bytes(path, 0, 256)
            fields = b"'descr': [(" in header or b"'descr': '|O'" in header
            pixels = b"'|u1'" in header and b", 3)" in header
            return "events" if fields else "image" if pixels else "imu"
        case ".txt":
            head = text_tables.read(read_bytes(path, 0, 4096))
            named = len(channels.headings(head.names or ())) >= 6
            numbers = head.names is None and len(head.columns) >= 6
            return "imu" if named or (numbers and _numbers(head)) else "text"
        case _:
            return "imu"


def _numbers(table: Table) -> bool:
    return table.rows > 0 and all(tables.is_number(str(column[0])) for column in table.columns)


def recognise(path: Path) -> bool:
    """By the endings of files; the last that is tried."""
    if path.is_dir() and any((path / name).is_dir() for name in ("mav0/imu0", "imu0")):
        return True
    files = [path] if path.is_file() else path.iterdir()
    return any(ending(file) in EVERY for file in files)


DATASET = Dataset(
    title="Your own recordings: six channels at a stated rate, events, prompts, pictures, sound",
    kind="imu",
    samples=samples,
    holds="acceleration x y z (m/s², with gravity) and angular velocity x y z (rad/s); events x y "
    "p t (µs); prompts; pictures; sound",
    source="your files",
    licence="yours",
    access="local",
    size="yours",
    layout="imu: csv, text (also gzipped), .npy, .npz, Parquet, Feather, .mat or HDF5 of six "
    "columns at --rate-hz, a header may name them, their units and a time column; events: "
    "structured .npy, .npz or .h5 with x, y, p, t; text: .txt, .json, .jsonl; image: .png, .jpg, "
    ".npy; audio: .wav",
    fits=("onellm", "imu2clip", "llasa", "limu_bert", "eventgpt", "hf:PATH_OR_ID"),
    verified="verified on real files",
    how_to_get="tracekit capture MODEL --data PATH --rate-hz HZ",
    takes={
        "kind": "imu, events, text, image or audio",
        "rate_hz": "samples a second; needed unless a column has the time",
        "trust_pickle": "read pickled event files",
        "clock": "a clock at fault: mend (default), refuse, or ignore the column",
        "time_unit": "of the column of time: s, ms, us, ns",
        "accel_unit": "of the acceleration: m/s2, g, mg",
        "gyro_unit": "of the angular velocity: rad/s, deg/s, mdps",
    },
    recognise=recognise,
)
