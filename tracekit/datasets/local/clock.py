"""The clock of a recording: its unit held against what it counts, its faults mended or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tracekit.datasets.formats.csv_rows import Notes
from tracekit.datasets.local.channels import Heading, scale_of
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Times = npt.NDArray[np.generic]  # float64 or int64

Mode = Literal["mend", "refuse", "ignore"]
MODES: tuple[Mode, ...] = ("mend", "refuse", "ignore")
NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
SLOWEST_HZ, FASTEST_HZ = 2.0, 20_000.0  # no IMU is read more slowly or faster
EPOCH_S = (9.4e8, 4.2e9)  # seconds since 1970 of the years 2000 to 2100
GAP = 5.0  # a step of more than so many usual steps
OFF = 0.05  # a stated rate may differ from the clock's by so much, as a share
MANY = 0.3  # of so many rows with the time of another it is the clock that is coarse


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of the clock."""

    path: Path
    mode: Mode = "mend"
    rate_hz: float | None = None
    time_unit: str | None = None


@dataclass(frozen=True, slots=True)
class Steady:
    """Rows in order of time, each with a time of its own."""

    keep: npt.NDArray[np.int64]  # [M] rows of the recording, in order of time
    times_ms: npt.NDArray[np.float64]  # [M] from the first
    rate_hz: float


def scale(times: Times, head: Heading, asked: Asked, notes: Notes) -> float | None:
    """ms in one unit of the column; None where it is not known, and a rate is stated instead.

    Raises: TracekitError where all times are equal, and where the unit that is stated gives a
    rate that no IMU has, unless exactly one unit gives the rate that the user states.
    """
    import numpy as np

    distinct = np.unique(times)
    if len(distinct) < 2:
        raise TracekitError(
            f"the clock stands still: the time in column {head.text!r} is {distinct[0]:g} in all "
            f"{len(times)} rows",
            where=asked.path,
            hint="leave the column out, if you know the rate: --data-option clock=ignore "
            "--rate-hz 50",
        )
    step = float(np.median(np.diff(distinct)))
    if asked.time_unit is not None:
        found = scale_of("time", asked.time_unit)
        if found is None:
            raise TracekitError(
                f"time_unit={asked.time_unit} is no unit of time", where=asked.path,
                hint=f"one of: {', '.join(NAMES)}",
            )  # fmt: skip
        notes.repair(f"time in {asked.time_unit}, as the option time_unit says")
        return found
    if head.scale is not None and _possible(step * head.scale):
        return head.scale
    return _contradicted(distinct, step, head, asked, notes)


def _contradicted(
    distinct: Times, step: float, head: Heading, asked: Asked, notes: Notes
) -> float | None:
    """The unit, where the heading states none or one that cannot be."""
    since = [u for u in NAMES if _is_epoch(distinct, u) and _possible(step * _ms(u))]
    stated = [u for u in NAMES if asked.rate_hz and _agree(1e3 / (step * _ms(u)), asked.rate_hz)]
    fits = [unit for unit in NAMES if _possible(step * _ms(unit))]
    says = f"column {head.text!r}"
    if head.scale is not None:
        rate = 1e3 / (step * head.scale)
        likely = (since or stated or fits)[:1]
        looks = f"; it looks like {NAMES[likely[0]]} ({likely[0]})" if likely else ""
        looks += " since 1970" if since and looks else ""
        says = (
            f"the clock in {says} steps by {step:g}, which in {head.unit} would be "
            f"{rate:.3g} Hz{looks}"
        )
        if len(stated) == 1 and asked.mode == "mend":
            notes.repair(f"{says}, which gives the stated {asked.rate_hz:g} Hz: read as such")
            return _ms(stated[0])
        option = f"--data-option time_unit={likely[0] if likely else 'ms'}"
        raise TracekitError(says, where=asked.path, hint=f"say its unit, as in {option}")
    for units, why in ((since, "its numbers are times since 1970"), (stated, _gives(asked))):
        if len(units) == 1 and asked.mode == "mend":
            notes.repair(f"{says} states no unit: read as {NAMES[units[0]]}, since {why}")
            return _ms(units[0])
    if asked.rate_hz is None or asked.mode == "refuse":
        likely = [f"{u} would be {1e3 / (step * _ms(u)):.4g} Hz" for u in fits]
        raise TracekitError(
            f"the unit of {says} is not known" + (f" ({'; '.join(likely)})" if likely else ""),
            where=asked.path,
            hint="say it, as in --data-option time_unit=ms, or say how fast the samples came, "
            "as in --rate-hz 50",
        )
    notes.repair(f"{says} left out: its unit is not known")
    return None


def _gives(asked: Asked) -> str:
    return f"that gives the stated {asked.rate_hz:g} Hz" if asked.rate_hz else ""


def _ms(unit: str) -> float:
    return scale_of("time", unit) or 1.0


def _possible(step_ms: float) -> bool:
    return 1e3 / FASTEST_HZ <= step_ms <= 1e3 / SLOWEST_HZ


def _is_epoch(times: Times, unit: str) -> bool:
    low, high = (float(end) * _ms(unit) / 1e3 for end in (times[0], times[-1]))
    return EPOCH_S[0] <= low and high <= EPOCH_S[1]


def _agree(one: float, two: float) -> bool:
    return abs(one / two - 1) <= OFF


def steady(
    ms: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    place: Callable[[int], str],
    asked: Asked,
    notes: Notes,
) -> Steady:
    """Rows sorted by time where they are out of order, moved on where the clock jumped back, and
    of equal times spread or left out; gaps stay. All is told; `refuse` raises it instead.

    `ms` [N] and `values` [N, 6] are as in the file; `place` names a row of it.

    Raises: TracekitError for a fault that is to be refused.
    """
    import numpy as np

    def fault(what: str, done: str) -> None:
        if asked.mode == "refuse":
            raise TracekitError(
                f"the clock is at fault: {what}", where=asked.path,
                hint="mend the file, or let it be mended: --data-option clock=mend",
            )  # fmt: skip
        notes.repair(f"{what}: {done}")

    ms = ms - ms[0]
    keep, ms = _ordered(ms, place, fault)
    keep, ms = _distinct(keep, ms, values, place, fault)
    ms = ms - ms[0]
    steps = np.diff(ms)
    usual = float(np.median(steps)) if len(steps) else 0.0
    gaps = np.flatnonzero(steps > GAP * usual)
    if len(gaps):
        longest = gaps[np.argmax(steps[gaps])]
        fault(
            f"{_many(len(gaps), 'gap')} in the clock, the longest of {steps[longest] / 1e3:.3g} s "
            f"before {place(int(keep[longest + 1]))}",
            "left as it is",
        )
    return Steady(keep, ms, _rate(steps, usual, asked, fault))


def _ordered(
    ms: npt.NDArray[np.float64], place: Callable[[int], str], fault: Callable[[str, str], None]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Rows in order of time, and their times.

    Sorting is right where it gives even steps; where it would push rows among others, or tear a
    hole, the clock itself was set back, and what follows goes on one usual step later.
    """
    import numpy as np

    steps = np.diff(ms)
    back = np.flatnonzero(steps < 0)
    every = np.arange(len(ms))
    if not len(back):
        return every, ms
    order = np.argsort(ms, kind="stable")
    in_order = np.diff(ms[order])
    ahead = steps[steps > 0]
    few = len(back) <= len(ms) / 10 and len(ahead) > 0
    usual = float(np.median(ahead if few else in_order[in_order > 0]))
    first = place(int(back[0]) + 1)
    if not few or _uneven(in_order, usual) <= _uneven(steps[steps >= 0], usual):
        moved = int((order != every).sum())
        fault(
            f"{_many(len(back), 'row')} out of order (the clock goes back), the first is {first}",
            f"sorted by time, {moved} rows moved",
        )
        return order.astype(np.int64), ms[order]
    most = float(-steps[back].min())
    fault(
        f"the clock jumps back {_many(len(back), 'time')}, by up to {most / 1e3:.4g} s, "
        f"first at {first}",
        f"moved on, to {usual:.4g} ms after the row before",
    )
    steps[back] = usual
    return every, np.concatenate([[0.0], np.cumsum(steps)])


def _uneven(steps: npt.NDArray[np.float64], usual: float) -> int:
    return int(((steps < 0.5 * usual) | (steps > GAP * usual)).sum())


def _distinct(
    keep: npt.NDArray[np.int64],
    ms: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    place: Callable[[int], str],
    fault: Callable[[str, str], None],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """No two rows with one time: spread until the next time where the clock only stood, else the
    first is kept."""
    import numpy as np

    again = np.flatnonzero(np.diff(ms) == 0) + 1
    if not len(again):
        return keep, ms
    copies = (values[keep[again]] == values[keep[again - 1]]).all(axis=1)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(ms) != 0]))
    sizes = np.diff(np.append(starts, len(ms)))
    ahead = np.diff(ms[starts])
    usual = float(np.median(ahead)) if len(ahead) else 0.0
    ends = np.append(ahead, usual * sizes[-1])  # after the last there is no next
    each = ends / sizes
    coarse = len(again) > MANY * len(ms)
    alone = np.zeros(len(ms), bool)
    alone[again[copies]] = True
    wide = (sizes > 1) & ((each > 0.75 * usual) | coarse)
    wide &= ~np.logical_or.reduceat(alone, starts)
    what = (
        f"{_many(len(again), 'row')} repeat the time of the row before, the first is "
        f"{place(int(keep[again[0]]))}"
    )
    group = np.repeat(np.arange(len(starts)), sizes)
    nth = np.arange(len(ms)) - starts[group]
    spread = np.where(wide[group], nth * each[group], 0.0)
    kept = (nth == 0) | wide[group]
    dropped = int((~kept).sum())
    done = []
    if dropped:
        same = int(copies[~kept[again]].sum())
        done.append(f"left out {_many(dropped, 'row')} ({same} of them equal to it throughout)")
    if wide.any():
        done.append(f"spread {int(sizes[wide].sum())} rows until the next time")
    fault(what, " and ".join(done))
    return keep[kept], (ms + spread)[kept]


def _rate(
    steps: npt.NDArray[np.float64],
    usual: float,
    asked: Asked,
    fault: Callable[[str, str], None],
) -> float:
    """The rate that was stated where the clock agrees, else the clock's.

    The mean of steps near the median one, which a clock in whole ms does not fool.
    """
    even = steps[(steps > 0.4 * usual) & (steps < 1.6 * usual)]
    if not len(even) or usual <= 0:
        raise TracekitError(
            "the clock has no two times, so there is no rate", where=asked.path,
            hint="give more rows, or --data-option clock=ignore --rate-hz 50",
        )  # fmt: skip
    mean = float(even.mean())
    found = 1e3 / (usual if abs(mean / usual - 1) < 1e-3 else mean)
    if asked.rate_hz is None:
        return found
    if _agree(found, asked.rate_hz):
        return asked.rate_hz
    fault(
        f"the stated rate of {asked.rate_hz:g} Hz is contradicted by the clock, which runs at "
        f"{found:.4g} Hz",
        "the clock is taken (--data-option clock=ignore takes the rate)",
    )
    return found


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
