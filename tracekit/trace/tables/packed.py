"""Columns at rest in few bytes, and made wide when somebody asks for one.

Most numbers of a side table are small, or alike: of one process, of one thread, of devices 0 to 7,
addresses that are multiples of 512. So what is held of a column is its least number, and of each
row how many units of a power of two it is more (frame of reference). What is asked for has the
width that it was given with, so that arithmetic on it is what it would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tracekit.records import Record, replace

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.integer[Any]]  # of any width
_CODES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32))
_DOUBLE = np.dtype(np.float64)
_UNSIGNED = {size: np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
_NOTHING = bytes(1)


class Packed(Record, frozen=True, eq=False):
    """[K] or [K, n] numbers of `dtype`."""

    codes: Array  # the numbers, where they are not packed
    dtype: np.dtype[Any]
    base: int = 0  # the least
    span: int = 0  # the greatest is so much more
    shift: int | None = None  # codes are in units of two to this; None: they are not packed

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def nbytes(self) -> int:
        """Bytes in memory: of a column of one number only that of the number."""
        whole = self.codes.nbytes
        return whole if any(self.codes.strides) else min(whole, self.codes.itemsize)

    def values(self) -> Array:
        """The numbers, of their full width; what is not packed is not copied."""
        if self.shift is None:
            return self.codes.astype(self.dtype, copy=False)
        # what overflows on the way comes back with the base
        whole = np.dtype(np.int64) if self.dtype == _DOUBLE else self.dtype
        out = np.full(self.codes.shape, self.base, whole) if not self.span else self._whole(whole)
        return out.astype(self.dtype, copy=False)

    def _whole(self, dtype: np.dtype[Any]) -> Array:
        out: Array = self.codes.astype(dtype)
        if self.shift:
            out <<= self.shift
        if self.base:
            out += self.base
        return out

    def at(self, rows: Ints) -> Packed:
        """These rows; a negative one counts from the end."""
        if self.shift is not None and not self.span:
            codes = _alike((len(rows), *self.codes.shape[1:]))
        else:
            codes = np.take(self.codes, rows, axis=0, mode="wrap")
        return Packed(codes, self.dtype, self.base, self.span, self.shift)

    @property
    def form(self) -> tuple[str, int, int, int | None]:
        """What `restored` needs beside the codes."""
        return self.dtype.str, self.base, self.span, self.shift

    def more(self, by: int) -> Packed:
        """Each number so much greater."""
        if self.shift is None:
            return _plain(self.values() + by)
        return replace(self, base=self.base + by)


def _alike(shape: tuple[int, ...]) -> Array:
    """The codes of numbers that are all the same: they take no room."""
    return np.ndarray(shape, np.uint8, _NOTHING, 0, (0,) * len(shape))


def _plain(values: Array) -> Packed:
    codes = values.view()
    codes.flags.writeable = False
    return Packed(codes, values.dtype)


def packed(values: Array, dtype: npt.DTypeLike | None = None) -> Packed:
    """A column in as few bytes as hold it; `dtype` is what whole numbers have when they are asked
    for, if more."""
    if values.size and values.dtype == _DOUBLE:
        return _packed_doubles(values)
    wide = values.dtype if dtype is None or values.dtype.kind == "f" else np.dtype(dtype)
    if not values.size or values.dtype.kind != "i":
        return _plain(values.astype(wide, copy=False))
    return _packed_whole(values, wide) or _plain(values.astype(wide, copy=False))


def _packed_whole(values: Array, wide: np.dtype[Any]) -> Packed | None:
    """None where codes are no smaller than the numbers."""
    base = int(np.minimum.reduce(values, axis=None))
    span = int(np.maximum.reduce(values, axis=None)) - base
    if not span:
        return Packed(_alike(values.shape), wide, base, 0, 0)
    # as unsigned numbers, since the difference of two may need a bit more
    above = (values - base if base else values).view(_UNSIGNED[values.itemsize])
    shift = _units(int(np.bitwise_or.reduce(above, axis=None))) if span >> 8 else 0
    width = _width(span >> shift, wide)
    if width is None:
        return None
    return Packed((above >> shift if shift else above).astype(width), wide, base, span, shift)


def restored(codes: Array, form: tuple[str, int, int, int | None]) -> Packed:
    """The column of these codes. Raises: ValueError or TypeError, where they are of no column."""
    dtype, (base, span, shift) = np.dtype(form[0]), form[1:]
    if shift is None:
        half = dtype == _DOUBLE and codes.dtype == np.float32
        if dtype.kind not in "iuf" or not (codes.dtype == dtype or half):
            raise ValueError("another type")
        return Packed(codes, dtype)
    most = np.iinfo(dtype if dtype.kind == "i" else np.int64)
    if (
        not (dtype.kind == "i" or dtype == _DOUBLE)
        or codes.dtype not in _CODES
        or not all(isinstance(number, int) for number in (base, span, shift))
        or not (most.min <= base <= base + span <= most.max and 0 <= shift < 64)
        or int(codes.max(initial=0)) << shift > span
    ):
        raise ValueError("numbers that do not fit")
    return Packed(codes if span else _alike(codes.shape), dtype, base, span, shift)


def _units(bits: int) -> int:
    """The power of two that divides each of the numbers whose bits these are."""
    return (bits & -bits).bit_length() - 1


def _width(most: int, dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """The type of codes up to `most`; None where they are no smaller than the numbers."""
    for width in _CODES:
        if width.itemsize < dtype.itemsize and most < 1 << (8 * width.itemsize):
            return width
    return None


def _packed_doubles(values: Array) -> Packed:
    """Doubles that are whole, or that half the bytes hold to the last bit."""
    with np.errstate(invalid="ignore", over="ignore"):
        whole, half = values.astype(np.int64), values.astype(np.float32)
    found = _packed_whole(whole, _DOUBLE) if _same(whole, values) else None
    return found or (Packed(half, _DOUBLE) if _same(half, values) else _plain(values))


def _same(one: Array, doubles: Array) -> bool:
    """Whether these are the doubles to the last bit: NaN is NaN, and no zero becomes another."""
    return np.array_equal(one.astype(np.float64).view(np.int64), doubles.view(np.int64))


class Columns(Mapping[str, Array]):
    """Columns by name, held packed: one that is asked for is made each time, and only for reading.

    Who needs few rows of a large one asks for those: `at`.
    """

    __slots__ = ("packed",)

    def __init__(self, columns: Mapping[str, Array] | Mapping[str, Packed]) -> None:
        self.packed: Mapping[str, Packed] = {
            name: one if isinstance(one, Packed) else packed(one) for name, one in columns.items()
        }

    def __getitem__(self, name: str) -> Array:
        found = self.packed[name].values().view()
        found.flags.writeable = False
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self.packed)

    def __len__(self) -> int:
        return len(self.packed)

    def __contains__(self, name: object) -> bool:
        return name in self.packed

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(one.nbytes for one in self.packed.values())

    def at(self, rows: Ints) -> Columns:
        """These rows of all columns."""
        return Columns({name: one.at(rows) for name, one in self.packed.items()})

    def later(self, by: int, name: str = "ts") -> Columns:
        """The same, but one column of times is so much later."""
        return Columns({**self.packed, name: self.packed[name].more(by)})
