"""Six channels out of a table whose layout nobody wrote down: by its headings, units and clock."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.datasets.entry import Recording
from tracekit.datasets.formats import tables, text_tables
from tracekit.datasets.formats.csv_rows import Notes, OnError
from tracekit.datasets.formats.tables import Table
from tracekit.datasets.local import channels, clock, dates
from tracekit.datasets.local.channels import Heading, Kind
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Cells = Sequence[str] | npt.NDArray[Any]

RATE_HINT = "say how fast the samples came, as in --rate-hz 50"
NAMES_HINT = "name them acc_x acc_y acc_z gyro_x gyro_y gyro_z, or leave the header out"
SI: Mapping[Kind, str] = {
    "acceleration": "m/s²",
    "angular velocity": "rad/s",
    "gravity": "m/s²",
    "time": "ms",
}
SENSORS: tuple[Kind, Kind] = ("acceleration", "angular velocity")
CHANNELS = tuple((kind, axis) for kind in SENSORS for axis in "xyz")
SHORT: Mapping[Kind, str] = {"acceleration": "acc", "angular velocity": "gyro"}
FASTEST_RAD_S = 45.0  # a gyroscope of 2000 deg/s reads 35, and not all the time
FASTEST_DEG_S = 4000.0
HARDEST_M_S2 = 200.0  # an accelerometer of 16 g reads 157, and not as its median


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is to be read: what its user says, beside what it says itself."""

    clock: clock.Asked
    on_error: OnError = "raise"
    accel_unit: str | None = None
    gyro_unit: str | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self.clock.path

    def unit(self, kind: Kind) -> str | None:
        """The unit that the user says the channels of a kind have."""
        return {"acceleration": self.accel_unit, "angular velocity": self.gyro_unit}.get(kind)


def parse_array(array: npt.NDArray[Any], options: Options) -> Recording:
    """[N, 6] or [6, N] numbers, or records with named fields.

    Raises: TracekitError for another shape, values that are not finite unless they are skipped,
    or no stated rate.
    """
    import numpy as np

    path = options.path
    if array.dtype.names is not None and array.ndim == 1:
        names = array.dtype.names
        return from_table(Table(names, tuple(array[name] for name in names)), options)
    if array.ndim != 2 or 6 not in array.shape or not np.issubdtype(array.dtype, np.number):
        raise TracekitError(
            f"shape {array.shape} of {array.dtype} where [N, 6] or [6, N] numbers belong",
            where=path,
            hint="six channels: accelerometer x y z (m/s²), gyroscope x y z (rad/s)",
        )
    if array.shape == (6, 6):
        raise TracekitError(
            "six samples of six channels: rows and columns cannot be told apart",
            where=path,
            hint="give more samples",
        )
    return from_table(Table(None, tuple(array.T if array.shape[1] == 6 else array)), options)


def parse_text(raw: bytes, options: Options) -> Recording:
    """Rows of six numbers, or a header that names six channels and perhaps the time.

    Names tell the order of channels; without a header it is accelerometer x y z, gyroscope x y z.

    Raises: TracekitError for a malformed row unless it is skipped, and for no rate and no time.
    """
    return from_table(text_tables.read(raw), options)


def from_table(table: Table, options: Options) -> Recording:
    """The recording that a table holds: SI units, in order of time; what was done is in `repairs`.

    Raises: TracekitError where a channel is absent or could be several columns, for a unit that
    is not known, a malformed row that is not skipped, a clock that cannot be mended, and for no
    rate.
    """
    notes = Notes(options.on_error)
    for what in table.said:
        notes.repair(what)
    if table.rate_hz is not None and options.clock.rate_hz is None:
        notes.repair(f"the rate of {table.rate_hz:g} Hz is the file's own")
        asked = dataclasses.replace(options.clock, rate_hz=table.rate_hz)
        options = dataclasses.replace(options, clock=asked)
    found = channels.headings(table.names, table.units) if table.names else []
    values = _values(table, found, options, notes)
    head = channels.clock(found)
    if head is not None and options.clock.mode == "ignore":
        notes.repair(f"column {head.text!r} left out: clock=ignore says so")
        head = None
    if head is not None and _is_dates(table.columns[head.column]):
        head = dataclasses.replace(head, unit="ns", scale=channels.TIME["ns"])
    times, good = _sound(table, values, head, options, notes)
    if not good.any():
        raise TracekitError("no row of numbers", where=options.path, hint="rows of six numbers")
    if head is None or times is None:
        return _made(values[good], _stated(options), None, notes)
    rows = good.nonzero()[0]
    return _timed(values[good], times[good], head, lambda k: table.place(int(rows[k])), options,
                  notes)  # fmt: skip


def _timed(
    values: npt.NDArray[np.float64],
    times: npt.NDArray[np.generic],
    head: Heading,
    place: Callable[[int], str],
    options: Options,
    notes: Notes,
) -> Recording:
    import numpy as np

    scale = clock.scale(times, head, options.clock, notes)
    if scale is None:
        return _made(values, _stated(options), None, notes)
    # whole ns since 1970 have more digits than float64: the first is taken off before
    ms = np.asarray(times - times[0], np.float64) * scale
    even = clock.steady(ms, values, place, options.clock, notes)
    return _made(values[even.keep], even.rate_hz, even.times_ms, notes)


def _values(
    table: Table, found: list[Heading], options: Options, notes: Notes
) -> npt.NDArray[np.float64]:
    """[N, 6] in m/s² and rad/s; NaN where a cell holds no number."""
    import numpy as np

    if table.names is None or not any(name.strip(" 0123456789") for name in table.names):
        return _in_order(table, options, notes)
    heads = [_one(table, found, kind, axis, options) for kind, axis in CHANNELS]
    missing = [
        f"{SHORT[kind]}_{axis}"
        for (kind, axis), head in zip(CHANNELS, heads, strict=True)
        if head is None
    ]
    if missing:
        raise TracekitError(
            f"no column for {', '.join(missing)} among: {', '.join(table.names[:12])}",
            where=f"{options.path}:1",
            hint=NAMES_HINT,
        )
    chosen = [head for head in heads if head is not None]
    sides = []
    for side in (chosen[:3], chosen[3:]):
        scales = _scales(side, options, notes)
        columns = [tables.numbers(table.columns[head.column])[0] for head in side]
        sides.append(np.column_stack(columns) * scales)
    if all(head.without_gravity for head in chosen[:3]):
        sides[0] = sides[0] + _gravity(table, found, chosen[0], options, notes)
    return np.hstack(sides)


def _in_order(table: Table, options: Options, notes: Notes) -> npt.NDArray[np.float64]:
    """The six columns of a table without names, in the order that is agreed."""
    import numpy as np

    columns = table.columns
    if table.names is not None and table.names[:1] == ("",):
        columns = columns[1:]
    if len(columns) != 6:
        raise TracekitError(
            f"{len(columns)} columns without names, where six belong",
            where=options.path,
            hint="a first line that names them, as in time_s,acc_x,acc_y,acc_z,gyro_x,gyro_y,"
            "gyro_z",
        )
    values = np.column_stack([tables.numbers(column)[0] for column in columns])
    for kind, first in zip(SENSORS, (0, 3), strict=True):
        unit = options.unit(kind)
        if unit is not None:
            values[:, first : first + 3] *= _scale(kind, unit, "the option", options)
            notes.repair(f"{kind} in {unit}, as the option says: in {SI[kind]} here")
    return values


def _one(
    table: Table, found: list[Heading], kind: Kind, axis: str, options: Options
) -> Heading | None:
    """The column of a channel. Raises: TracekitError where several differ and none is plainer."""
    import numpy as np

    best = channels.best(found, kind, axis)
    if len(best) < 2:
        return best[0] if best else None
    first, *others = (tables.numbers(table.columns[one.column])[0] for one in best)
    if not all(np.array_equal(first, other, equal_nan=True) for other in others):
        names = ", ".join(f"{one.text!r} (column {one.column + 1})" for one in best)
        raise TracekitError(
            f"several columns could be {kind} {axis}, and they differ: {names}",
            where=options.path,
            hint="leave one of them, or name the others differently",
        )
    return best[0]


def _scales(heads: list[Heading], options: Options, notes: Notes) -> list[float]:
    """What takes each column to SI: by the user's word, then by the heading's; told."""
    kind = heads[0].kind
    chosen = options.unit(kind)
    if chosen is not None:
        notes.repair(f"{kind} in {chosen}, as the option says: in {SI[kind]} here")
        return [_scale(kind, chosen, "the option", options)] * len(heads)
    stated = list(dict.fromkeys(head.unit for head in heads if head.unit is not None))
    if not stated:
        return [1.0] * len(heads)
    units = [head.unit or stated[0] for head in heads]
    of = ", ".join(head.text for head in heads)
    notes.repair(f"{kind} in {', '.join(stated)}, as the header states ({of}): in {SI[kind]} here")
    return [_scale(kind, unit, repr(h.text), options) for unit, h in zip(units, heads, strict=True)]


def _scale(kind: Kind, unit: str, where: str, options: Options) -> float:
    found = channels.scale_of(kind, unit)
    if found is None:
        option = "gyro_unit=deg/s" if kind == "angular velocity" else "accel_unit=g"
        known = {"angular velocity": "rad/s, deg/s, dps, mdps, rpm"}.get(kind, "m/s², g, mg, gal")
        raise TracekitError(
            f"{unit!r} of {where} is no unit of {kind} that is known",
            where=options.path,
            hint=f"known: {known}; to say another: --data-option {option}",
        )
    return found


def _gravity(
    table: Table, found: list[Heading], acceleration: Heading, options: Options, notes: Notes
) -> npt.NDArray[np.float64] | float:
    """[N, 3] gravity in m/s², where the acceleration has none and the file has it beside."""
    import numpy as np

    heads = [_one(table, found, "gravity", axis, options) for axis in "xyz"]
    there = [head for head in heads if head is not None]
    if len(there) < 3:
        notes.repair(
            f"left as it is: {acceleration.text!r} may have no gravity in it, as its name says"
        )
        return 0.0
    notes.repair(f"gravity added ({there[0].text} …): {acceleration.text!r} has none in it")
    columns = [tables.numbers(table.columns[head.column])[0] for head in there]
    return np.column_stack(columns) * _scales(there, options, notes)


def _sound(
    table: Table,
    values: npt.NDArray[np.float64],
    head: Heading | None,
    options: Options,
    notes: Notes,
) -> tuple[npt.NDArray[np.generic] | None, npt.NDArray[np.bool_]]:
    """The times in the column's unit, and which rows are whole; the others are noted by line."""
    import numpy as np

    times = None if head is None else _times(table.columns[head.column])
    good: npt.NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
    if times is not None and times.dtype.kind == "f":
        good = np.logical_and(good, np.isfinite(times))
    lines = table.lines
    odd = list(table.malformed)
    for row in np.flatnonzero(~good):
        why = _why(table, head, int(row))
        odd.append((int(lines[row]) if lines is not None else int(row), why))
    for line, why in sorted(odd):
        if lines is not None:
            notes.malformed(options.path, line, why)
        else:
            notes.malformed(options.path, None, f"row {line + 1}: {why}")
    return times, good


def _is_dates(column: Cells) -> bool:
    """Whether text holds dates, by its first rows."""
    if not len(column) or not isinstance(column[0], str):
        return False
    return any(dates.nanoseconds([str(cell)]) is not None for cell in column[:20])


def _times(column: Cells) -> npt.NDArray[np.generic]:
    """[N] float64; int64 where every cell is a whole number, or a date (ns)."""
    import numpy as np

    if isinstance(column, np.ndarray):
        return np.asarray(column, np.int64 if column.dtype.kind in "iu" else np.float64)
    try:
        return np.array([int(cell) for cell in column], np.int64)
    except (ValueError, OverflowError):
        found, bad = tables.numbers(column)
    # a date that is damaged is no number either, so the others say what the column is
    if len(bad) > len(column) / 2:
        whole = [row for row, cell in enumerate(column) if dates.nanoseconds([cell]) is not None]
        at = dates.nanoseconds([column[row] for row in whole])
        if at is not None:
            if len(whole) == len(column):
                return at
            found[:] = np.nan
            found[whole] = at
    return found


def _why(table: Table, head: Heading | None, row: int) -> str:
    """What is wrong with a row that is not whole."""
    names = table.names or ()
    used = {one.column for one in channels.headings(names)} if names else set()
    columns = sorted(used) if used else range(len(table.columns))
    for at in columns:
        cell = table.columns[at][row]
        if isinstance(cell, str):
            if cell.strip().lower() in tables.MISSING - {"nan"}:
                return "a value is missing"
            if not tables.is_number(cell) and cell.strip().lower() != "nan":
                if head is not None and at == head.column and dates.nanoseconds([cell]) is not None:
                    continue
                return f"not a number: {cell[:60]!r}"
    return "a value is not finite"


def _made(
    values: npt.NDArray[np.float64],
    rate_hz: float,
    times: npt.NDArray[np.float64] | None,
    notes: Notes,
) -> Recording:
    import numpy as np

    with np.errstate(over="ignore"):  # what no sensor reads is seen below, not warned of
        usual = float(np.median(np.linalg.norm(values[:, :3], axis=1)))
    for what in _unlikely(usual, float(np.quantile(np.abs(values[:, 3:]), 0.95))):
        notes.repair(f"left as it is: {what}")
    return Recording(
        "imu", values=values, rate_hz=rate_hz, timestamps_ms=times, repairs=notes.repairs()
    )


def _unlikely(usual: float, fast: float) -> Iterator[str]:
    """What a sensor does not read in m/s² and rad/s: the median |acceleration|, fast rotation."""
    if 0.5 < usual < 2.0:
        yield f"|acceleration| is {usual:.2f}, which looks like g, not m/s²"
    elif 500 < usual < 2000:
        yield f"|acceleration| is {usual:.0f}, which looks like mg, not m/s²"
    elif usual > HARDEST_M_S2:
        yield f"|acceleration| is {usual:.0f}: in m/s² no body moves so (raw counts of the sensor?)"
    if fast > FASTEST_DEG_S:
        yield f"angular velocities reach {fast:.0f}, more than a gyroscope reads in rad/s or deg/s"
    elif fast > FASTEST_RAD_S:
        yield f"angular velocities reach {fast:.0f}, which looks like deg/s, not rad/s"


def _stated(options: Options) -> float:
    rate_hz = options.clock.rate_hz
    if rate_hz is None:
        raise TracekitError("no rate is stated", where=options.path, hint=RATE_HINT)
    if not 0 < rate_hz < float("inf"):
        raise TracekitError(f"a rate of {rate_hz:g} Hz", where=options.path, hint=RATE_HINT)
    return rate_hz
