"""Values as they stand in a file, to exact integers."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]

# Times beyond this are refused, so that no sum or difference of two overflows: 73 years in ns,
# counted from 1970 the year 2043.
FARTHEST_NS = 1 << 61
# Below this many µs a double is closer than half a nanosecond to the text it was read from.
_EXACT_US = float(1 << 43)
_LONGEST_TEXT = 64
_MOST_DIGITS = 20  # of a number of µs: more than FARTHEST_NS has
# pids and tids that are text count down from here: no system numbers its threads so
FIRST_LABEL = -(1 << 40)


def nanoseconds(values: Sequence[Any]) -> tuple[I64, npt.NDArray[np.bool_]] | None:
    """[N] exact ns of decimal µs, and [N] which of them are usable; None where doubles fall short.

    A double that equals n / 1000 stands for a text within half a nanosecond of n ns, so n is the
    nearest integer whatever the text was. Where no n does, the caller reads the text itself
    (numbers with a point as `str`) and asks again.
    """
    whole = None if values and isinstance(values[0], float) else _packed(values, "q")
    if whole is not None:
        farthest = FARTHEST_NS // 1000
        usable = (whole <= farthest) & (whole >= -farthest)
        return np.where(usable, whole, 0) * 1000, usable
    doubles = _packed(values, "d")
    if doubles is not None and (np.abs(doubles) < _EXACT_US).all():
        floor = np.floor(doubles)
        ns = floor * 1000 + np.rint((doubles - floor) * 1000)
        if (ns / 1000 == doubles).all():
            return ns.astype(np.int64), np.ones(len(doubles), bool)
    if any(isinstance(value, float) for value in values):
        return None
    each = [exact_ns(value) for value in values]
    usable = np.array([one is not None for one in each], bool)
    return np.array([one or 0 for one in each], np.int64), usable


def exact_ns(value: object) -> int | None:
    """ns of one value in µs, to the nearest beyond three decimals (ties to even); None: unusable.

    Text and integers only: a float has lost what was written. True is 1, as it is where a whole
    column is taken at once: what an event says must not hang on those beside it.
    """
    if isinstance(value, str):
        whole, _, decimals = value.partition(".")
        if len(decimals) == 3 and decimals.isdecimal() and len(whole) < 17:
            try:
                ns = int(whole + decimals)
            except ValueError:
                return None
            return ns if abs(ns) <= FARTHEST_NS else None
        return _from_decimal(value)
    if isinstance(value, int):
        return value * 1000 if abs(value) <= FARTHEST_NS // 1000 else None
    return None


def _from_decimal(text: str) -> int | None:
    if len(text) > _LONGEST_TEXT:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    # by its exponent first: arithmetic on 1e99999999 overflows, and as an integer it fills memory
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS:
        return None
    if abs(number) > FARTHEST_NS // 1000:
        return None
    return int((number * 1000).to_integral_value())


def integers(values: Sequence[Any], missing: int = -1) -> I64:
    """[N] int64; `missing` for what is no integer, or does not fit."""
    packed = _packed(values, "q")
    if packed is not None:
        return packed
    return np.array([integer(value, missing) for value in values], np.int64)


def _packed(values: Sequence[object], code: str) -> npt.NDArray[Any] | None:
    """[N] of struct's type "q" or "d", None where a value is of another: stricter than numpy."""
    try:
        buffer = struct.pack(f"{len(values)}{code}", *values)
    except (struct.error, OverflowError):
        return None
    return np.frombuffer(buffer, code)


def integer(value: Any, missing: int = -1) -> int:
    """One integer: also from text ("7", "0x10"), and whole floats as such or as they were written.

    True is 1, as it is where a whole column is taken at once.
    """
    if isinstance(value, str):
        try:
            value = int(value, 0) if len(value) <= _LONGEST_TEXT else missing
        except ValueError:
            value = _whole(value)  # "007", "7.0"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return int(value)
    return missing


def _whole(text: str) -> int | str:
    """The integer that a text is, also with a point; else the text."""
    if len(text) <= _LONGEST_TEXT:
        with suppress(ValueError):
            return int(text)
        with suppress(ValueError, OverflowError):
            number = float(text)
            return int(number) if number.is_integer() else text
    return text


def decimals(values: Sequence[object]) -> npt.NDArray[np.float64]:
    """[N] float64, NaN for what is no number."""

    def one(value: object) -> float:
        try:
            return float(value) if isinstance(value, int | float | str) else float("nan")
        except (ValueError, OverflowError):
            return float("nan")

    return np.array([one(value) for value in values], np.float64)


def narrow(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column of 64 bits in 32 where each number fits; any other, and an empty one, as it is."""
    if column.dtype != np.int64 or not column.size:
        return column
    bits = int(np.bitwise_or.reduce(column, axis=None))  # in half the time of both bounds
    if bits < 1 << 31 and (bits >= 0 or (column.min() > -(1 << 31) and column.max() < 1 << 31)):
        return column.astype(np.int32)
    return column


class Labels:
    """Numbers for the pids and tids of a file; those that are text get one of their own."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}

    def numbers(self, values: Sequence[Any]) -> I64:
        """[N] int64; text that is no number counts down from FIRST_LABEL."""
        packed = _packed(values, "q")
        if packed is not None:
            return packed
        # a file has few ids: each is looked at once
        index, distinct = _distinct(values)
        return np.array([self.number(value) for value in distinct], np.int64)[index]

    def number(self, value: object) -> int:
        """One pid or tid. Unsigned 64-bit ids come back as the signed number of the same bits."""
        if isinstance(value, str):
            value = _whole(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
            return (value + (1 << 63)) % (1 << 64) - (1 << 63)
        if value is None:
            return -1
        return self.texts.setdefault(str(value), FIRST_LABEL - len(self.texts))


def indexed(values: Sequence[object]) -> tuple[npt.NDArray[np.int32], list[str]]:
    """[N] indices into the distinct texts among `values`, and those; None is no text: ''."""
    index, distinct = _distinct(values)
    return index, ["" if value is None else str(value) for value in distinct]


def _distinct(values: Sequence[object]) -> tuple[npt.NDArray[np.int32], list[Any]]:
    seen: defaultdict[Any, int] = defaultdict(count().__next__)
    try:
        index = np.fromiter(map(seen.__getitem__, values), np.int32, len(values))
    except TypeError:  # a list or an object where a text should be
        return _distinct([None if value is None else str(value) for value in values])
    return index, list(seen)
