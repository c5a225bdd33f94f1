"""UCI 344, HHAR: 9 people, 8 phones and 4 watches, each at its own rate, with dirty clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.datasets.fetch import downloads
from tracekit.datasets.formats import windows_20hz
from tracekit.datasets.formats.csv_rows import Notes, OnError, first_line, log, read_bytes
from tracekit.datasets.formats.folders import inside
from tracekit.datasets.formats.labels import canonical
from tracekit.datasets.formats.text_lines import Run, lines, runs
from tracekit.datasets.har import hhar_clock
from tracekit.errors import TracekitError

LICENCE = "CC BY 4.0 on the UCI site (not re-checked); cite Stisen et al., SenSys 2015"
FOLDERS = (".", "Activity recognition exp")
HEADER = "Index,Arrival_Time,Creation_Time,x,y,z,User,Model,Device,gt"
# the phones whose windows LIMU-BERT took; the Samsung S+ drops out by its rate
MODELS = ("nexus4", "s3", "s3mini")


def samples(
    path: Path, *, subset: str | None = None, seed: int = 0, on_error: OnError = "raise"
) -> Iterator[Sample]:
    """Stretches of one user, device and activity; `windows` are 20 Hz, by LIMU-BERT's rule.

    In the order of the accelerometer files, phones first. A stretch whose label is `null` has
    label None. The gyroscope is a file with its own clock: it is interpolated.

    Raises: TracekitError where a file is missing.
    """
    folder = _folder(path)
    one = path.name.split("_")[0] if path.is_file() else None
    wanted = [one] if one else ["Phones", "Watch"]
    if subset in ("phones", "windows"):
        wanted = ["Phones"]
    elif subset == "watches":
        wanted = ["Watch"]
    for device in wanted:
        accel, gyro = (folder / f"{device}_{what}.csv" for what in ("accelerometer", "gyroscope"))
        if not accel.is_file() and not gyro.is_file() and not one:
            continue
        for file in (accel, gyro):
            if not file.is_file():
                raise TracekitError("missing", where=file, hint="the two sensors are two files")
        other = _Lookup(gyro)
        for run in _runs(accel):
            matching = other.matching(run)
            if not matching:
                _tell_alone(run)
            elif subset != "windows":
                yield _stretch(run, matching, on_error)
            elif run.key[1] in MODELS and run.key[3] != "null":
                yield from _cut(run, matching, on_error)


def _folder(path: Path) -> Path:
    if path.is_file():
        return path.parent
    for name in FOLDERS:
        folder = path if name == "." else inside(path, name)
        if any((folder / f"{d}_accelerometer.csv").is_file() for d in ("Phones", "Watch")):
            return folder
    raise TracekitError("no HHAR here", where=path, hint="expected Phones_accelerometer.csv")


def recognise(path: Path) -> bool:
    """By Phones_accelerometer.csv and its like, and their header."""
    if path.is_file():
        named = path.name.split("_")[0] in ("Phones", "Watch")
        return named and (
            _is_header(first_line(path)) or _key(first_line(path).encode()) is not None
        )
    try:
        return bool(_folder(path))
    except TracekitError:
        return False


def _key(line: bytes) -> bytes | None:
    cells = line.rstrip().split(b",")
    return b",".join(cells[6:]) if len(cells) == 10 else None


def _is_header(line: str) -> bool:
    return [cell.strip(' "') for cell in line.split(",")] == HEADER.split(",")


def _runs(path: Path) -> Iterator[Run]:
    """Raises: TracekitError where the file has no row of ten values, or other columns."""
    top = first_line(path)
    headed = _is_header(top)
    if not headed:
        if _key(top.encode()) is None or not top.split(",")[2].strip().lstrip("-").isdigit():
            raise TracekitError(
                f"the columns are not those of HHAR: {top[:80]!r}",
                where=f"{path}:1",
                hint=f"expected {HEADER}",
            )
        log.warning("%s:1: no header line; the columns are taken to be %s", path, HEADER)
    found = False
    # most lines end as the one before did: that test is ten times faster than splitting
    for run in runs(
        path, _key, skip=int(headed), same=lambda line, key: line.rstrip().endswith(b"," + key)
    ):
        found = True
        yield run
    other = None if found else next((one for one in lines(path) if one[2] > int(headed)), None)
    if other is not None:
        raise TracekitError(
            f"{other[3].count(b',') + 1} values where 10 belong, and so in every row",
            where=f"{path}:{other[2]}",
            hint=f"expected {HEADER}",
        )


def _clocks(run: Run) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last Creation_Time in ns, and Arrival_Time in ms, by the run's outer lines."""
    outer = [line.split(b",") for line in (run.first, run.last)]
    try:
        creation = sorted(int(cells[2]) for cells in outer)
        arrival = sorted(int(cells[1]) for cells in outer)
    except (ValueError, IndexError):
        return (0, 0), (0, 0)
    return (creation[0], creation[-1]), (arrival[0], arrival[-1])


class _Lookup:
    """Runs of the gyroscope file, scanned only as far as was asked for."""

    def __init__(self, path: Path) -> None:
        self.coming = _runs(path)
        self.seen: list[Run] = []

    def matching(self, run: Run) -> list[Run]:
        """Runs of the same user, model, device and activity that overlap in time."""
        found = [one for one in self.seen if _overlap(one, run)]
        if found and found[-1] is not self.seen[-1]:
            return found
        for one in self.coming:
            self.seen.append(one)
            if _overlap(one, run):
                found.append(one)
            elif found:
                break
        return found


def _overlap(one: Run, two: Run) -> bool:
    if one.key != two.key:
        return False
    return any(
        a[0] <= b[1] and b[0] <= a[1] for a, b in zip(_clocks(one), _clocks(two), strict=True)
    )


def _tell_alone(run: Run) -> None:
    log.warning(
        "%s:%d: %d rows of %s have no gyroscope rows at that time and are left out",
        run.path,
        run.line,
        run.rows,
        " ".join(run.key),
    )


def _sample(
    name: str,
    run: Run,
    read: Callable[[], tuple[bytes, bytes]],
    parse: Callable[[Any], Recording],
    facts: Mapping[str, object],
) -> Sample:
    user, model, device, label = run.key
    return Sample(
        id=name,
        dataset="hhar",
        path=run.path,
        read=read,
        parse=parse,
        label=None if label == "null" else canonical(label),
        licence=LICENCE,
        facts={"user": user, "model": model, "device": device, "gt": label, **facts},
    )


def _stretch(run: Run, gyro: list[Run], on_error: OnError) -> Sample:
    def read() -> tuple[bytes, bytes]:
        return read_bytes(run.path, run.start, run.size), b"".join(
            read_bytes(one.path, one.start, one.size) for one in gyro
        )

    def parse(raw: tuple[bytes, bytes]) -> Recording:
        notes = Notes(on_error)
        accel = hhar_clock.rows(raw[0], run.path, run.line, notes)
        other = hhar_clock.rows(raw[1], gyro[0].path, gyro[0].line, notes)
        return hhar_clock.joined(accel, other, run.path, notes)

    facts = {"accel_rows": run.rows, "gyro_rows": sum(one.rows for one in gyro), "line": run.line}
    return _sample(f"{run.key[2]}_{run.key[0]}_{run.line}", run, read, parse, facts)


def _cut(run: Run, gyro: list[Run], on_error: OnError) -> Iterator[Sample]:
    """The 20 Hz windows of one stretch. What a window reads are the lines that hold its rows."""
    notes = Notes(on_error)
    sides = []
    for group in ([run], gyro):
        data = b"".join(read_bytes(one.path, one.start, one.size) for one in group)
        sides.append(hhar_clock.rows(data, group[0].path, group[0].line, notes))
    notes.tell()
    origin = min(int(side.creation.min()) for side in sides if len(side.creation))
    for number, start in enumerate(hhar_clock.window_starts(sides[0], sides[1], origin)):
        span = (start, start + windows_20hz.LENGTH * hhar_clock.BIN_NS)
        places = [
            hhar_clock.place(side, span, group)
            for side, group in zip(sides, ([run], gyro), strict=True)
        ]
        yield _window(run, gyro, number, span, places, on_error)


def _window(
    run: Run,
    gyro: list[Run],
    number: int,
    span: tuple[int, int],
    places: list[list[tuple[int, int]]],
    on_error: OnError,
) -> Sample:
    files = (run.path, gyro[0].path)

    def read() -> tuple[bytes, bytes]:
        parts = [
            b"".join(read_bytes(file, at, size) for at, size in place)
            for file, place in zip(files, places, strict=True)
        ]
        return parts[0], parts[1]

    def parse(raw: tuple[bytes, bytes]) -> Recording:
        notes = Notes("skip")  # malformed rows were reported when the windows were found
        sides = [hhar_clock.rows(raw[i], files[i], 0, notes) for i in (0, 1)]
        values = hhar_clock.window(sides[0], sides[1], span)
        return Recording(
            "imu",
            values=values,
            rate_hz=windows_20hz.RATE_HZ,
            repairs=("means of 50 ms bins by Creation_Time, as LIMU-BERT does",),
        )

    name = f"{run.key[2]}_{run.key[0]}_{run.line}_w{number}"
    return _sample(name, run, read, parse, {"window": number, "start_ns": span[0]})


DATASET = Dataset(
    title="UCI 344 HHAR: 9 people, 6 activities, 8 phones and 4 watches",
    kind="imu",
    samples=samples,
    holds="accelerometer (m/s²) and gyroscope (rad/s) in separate files, 50 to 200 Hz by device; "
    "about 13 million rows each for phones, 3 million for watches; clocks go back, stand still "
    "for seconds, and count from boot on watches",
    source="https://archive.ics.uci.edu/dataset/344",
    licence=LICENCE,
    access="public",
    size="several GB unpacked",
    layout="[Activity recognition exp/]{Phones,Watch}_{accelerometer,gyroscope}.csv: " + HEADER,
    fits=("llasa", "limu_bert", "onellm", "imu2clip"),
    verified="verified on real files",
    how_to_get="tracekit datasets download hhar --output-dir DIR",
    subsets=("phones", "watches", "windows"),
    recognise=recognise,
    download=downloads.by_https(
        "https://archive.ics.uci.edu/static/public/344/heterogeneity+activity+recognition.zip"
    ),
)
