"""The few steps of `kernel` that touch memory, in plain Python.

`compile` puts machine code in their place; these say what it does, and let the kernel run without
a compiler. An address is an integer; all numbers are signed and 64 bits wide.
"""

from __future__ import annotations

import ctypes

_WORD = 1 << 64
_HALF = 1 << 63
FACTOR = 0x9E3779B97F4A7C15
WIDTH = 32  # bytes looked at at once
PADDING = 2 * WIDTH  # zero bytes that must follow a text


def _signed(value: int) -> int:
    return (value + _HALF) % _WORD - _HALF


def byte(address: int) -> int:
    """0 to 255."""
    return ctypes.c_uint8.from_address(address).value


def word(address: int) -> int:
    """Eight bytes, the first the lowest."""
    return ctypes.c_int64.from_address(address).value


def half(address: int) -> int:
    """Four bytes."""
    return ctypes.c_int32.from_address(address).value


def put_byte(address: int, value: int) -> None:
    ctypes.c_uint8.from_address(address).value = value


def put_half(address: int, value: int) -> None:
    ctypes.c_int32.from_address(address).value = value


def put_word(address: int, value: int) -> None:
    ctypes.c_int64.from_address(address).value = value


def special(address: int) -> int:
    """Bit k: the byte k further on is a quote, a backslash, a control character or no ASCII."""
    some = ctypes.string_at(address, WIDTH)
    return sum(1 << k for k, c in enumerate(some) if c in b'"\\' or c < 32 or c > 127)


def alike(address: int, other: int) -> int:
    """Bit k: the bytes k further on are equal."""
    one, two = ctypes.string_at(address, WIDTH), ctypes.string_at(other, WIDTH)
    return sum(1 << k for k in range(WIDTH) if one[k] == two[k])


def dark(address: int) -> int:
    """Bit k: the byte k further on is no white space of JSON."""
    some = ctypes.string_at(address, WIDTH)
    return sum(1 << k for k, c in enumerate(some) if c not in b" \t\r\n")


def lowest(mask: int) -> int:
    """The place of the lowest bit that is set; one must be."""
    return (mask & -mask).bit_length() - 1


def mixed(value: int, more: int) -> int:
    """A hash of both."""
    product = ((value ^ more) % _WORD) * FACTOR % _WORD
    return _signed(product ^ (product >> 32))
