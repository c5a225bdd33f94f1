"""Machine code of an object file, put into memory without LLVM: for ELF on x86-64.

LLVM does the same in 30 ms and 20 MB. The kernel calls nothing, so addresses within its own
sections are all that is to be filled in.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from contextlib import suppress

from tracekit.records import Record

_MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bits, the lowest byte first
_RELOCATABLE, _X86_64 = 1, 62
_CODE_AND_DATA, _SYMBOLS, _RELOCATIONS = 1, 2, 4  # types of sections
_IN_MEMORY, _WRITABLE = 2, 1  # their flags
_RESERVED = 0xFF00  # sections from here on are none
_ABSOLUTE = 1  # relocation by the whole address, 64 bits

_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QIIq")


class _Section(Record, frozen=True):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int  # of symbols: the section of their names
    info: int  # of relocations: the section that they change
    alignment: int
    entry: int

    @property
    def stays(self) -> bool:
        """Whether it is code or constants."""
        return bool(self.kind == _CODE_AND_DATA and self.flags & _IN_MEMORY and self.size)


class _Symbol(Record, frozen=True):
    name: int
    info: int
    other: int
    section: int
    value: int
    size: int


class Placed:
    """Code in memory, as long as this lives."""

    def __init__(self, memory: mmap.mmap, symbols: dict[str, int]) -> None:
        self._memory = memory
        self.symbols = symbols  # the address of each


def placed(code: bytes) -> Placed | None:
    """The code of an object file; None where another loader is needed.

    That is for other processors and systems, for code that calls what is not in the file, and where
    the system lets no memory become code.
    """
    with suppress(struct.error, OSError, AttributeError, ValueError, IndexError):
        return _placed(code)
    return None


def _placed(code: bytes) -> Placed | None:
    if not code.startswith(_MAGIC) or struct.calcsize("P") != 8:
        return None
    kind, machine, _, _, _, start, _, _, _, _, entry, count, _ = _HEADER.unpack_from(code)
    if (kind, machine) != (_RELOCATABLE, _X86_64) or entry != _SECTION.size:
        return None
    sections = [_Section(*_SECTION.unpack_from(code, start + k * entry)) for k in range(count)]
    places, length = _laid_out(sections)
    if places is None:
        return None
    memory = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    addresses = {k: base + place for k, place in places.items()}
    for k, place in places.items():
        memory[place : place + sections[k].size] = _bytes(code, sections[k])
    tables = [one for one in sections if one.kind == _SYMBOLS]
    if len(tables) != 1:
        return None
    symbols = [_Symbol(*one) for one in _SYMBOL.iter_unpack(_bytes(code, tables[0]))]
    for one in sections:
        if one.kind == _RELOCATIONS and one.info in places:
            changes = _RELOCATION.iter_unpack(_bytes(code, one))
            for offset, how, symbol, more in changes:
                target = addresses.get(symbols[symbol].section)
                if how != _ABSOLUTE or target is None:
                    return None
                value = target + symbols[symbol].value + more
                struct.pack_into("<Q", memory, places[one.info] + offset, value)
    names = _bytes(code, sections[tables[0].link])
    _make_code(base, length)
    return Placed(memory, _named(symbols, names, addresses))


def _bytes(code: bytes, section: _Section) -> bytes:
    return code[section.offset : section.offset + section.size]


def _laid_out(sections: list[_Section]) -> tuple[dict[int, int] | None, int]:
    """Where each section that stays goes, and how long all are; None where one is for writing."""
    places: dict[int, int] = {}
    at = 0
    for k, one in enumerate(sections):
        if one.flags & _IN_MEMORY and one.flags & _WRITABLE:
            return None, 0
        if one.stays:
            step = max(one.alignment, 1)
            places[k] = at = -(-at // step) * step
            at += one.size
    return places, max(at, 1)


def _named(symbols: list[_Symbol], names: bytes, addresses: dict[int, int]) -> dict[str, int]:
    found = {}
    for one in symbols:
        if one.section < _RESERVED and one.section in addresses:
            name = names[one.name : names.index(b"\0", one.name)].decode("utf-8", "replace")
            found[name] = addresses[one.section] + one.value
    return found


def _make_code(base: int, length: int) -> None:
    """From now on the memory is read and run, and not written.

    Raises: OSError where the system does not allow that.
    """
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if protect(base, length, mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "memory does not become code")
