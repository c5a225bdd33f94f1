"""Pickles of plain values, read without running anything.

A pickle is a program for a small machine, and some of its instructions import and call functions.
This machine knows only those that make dicts, lists, tuples, texts, bytes and numbers; any other is
named and refused. Source of the instructions: Python, Lib/pickletools.py, which reads the rare ones
here. The C unpickler is no choice even without imports: one instruction of six bytes makes it ask
for 64 GiB.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any


class CodeError(Exception):
    """The pickle would run something; the text says what."""


class _Machine:
    """The values above the last mark, the stacks below it, and what is remembered by number."""

    __slots__ = ("below", "memo", "stack", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def to_mark(self) -> list[Any]:
        """What lies above the last mark, which goes too."""
        found, self.stack = self.stack, self.below.pop()
        return found


_Step = Callable[[_Machine, int], int]  # from the place after the instruction to the next one


def load(text: bytes) -> object:
    """The value. Raises: CodeError; ValueError, LookupError or TypeError for a damaged one."""
    machine, at = _Machine(text), 0
    steps, memo, number = _STEPS, machine.memo, _NUMBER
    while (code := text[at]) != _STOP:
        # three quarters of the instructions are one of these: no call for them
        if code == _LONG_BINGET:
            machine.stack.append(memo[number(text, at + 1)[0]])
            at += 5
        elif code == _BINGET:
            machine.stack.append(memo[text[at + 1]])
            at += 2
        elif code == _MEMOIZE:
            memo[len(memo)] = machine.stack[-1]
            at += 1
        elif code == _EMPTY_DICT:
            machine.stack.append({})
            at += 1
        elif code == _MARK:
            machine.below.append(machine.stack)
            machine.stack = []
            at += 1
        else:
            at = steps[code](machine, at + 1)
    return machine.stack.pop()


def _value(size: int, form: str) -> _Step:
    """A number of so many bytes."""
    unpack = struct.Struct(form).unpack_from

    def step(machine: _Machine, at: int) -> int:
        machine.stack.append(unpack(machine.text, at)[0])
        return at + size

    return step


def _counted(size: int, of: Callable[[bytes], object]) -> _Step:
    """A text, bytes or a long number after its length, a number of `size` bytes."""

    def step(machine: _Machine, at: int) -> int:
        text, begin = machine.text, at + size
        end = begin + int.from_bytes(text[at:begin], "little")
        if end > len(text):
            raise ValueError("a length beyond the end")
        machine.stack.append(of(text[begin:end]))
        return end

    return step


def _constant(make: Callable[[], object]) -> _Step:
    def step(machine: _Machine, at: int) -> int:
        machine.stack.append(make())
        return at

    return step


def _skipped(size: int) -> _Step:
    return lambda _machine, at: at + size


def _put(size: int) -> _Step:
    def step(machine: _Machine, at: int) -> int:
        number = int.from_bytes(machine.text[at : at + size], "little")
        machine.memo[number] = machine.stack[-1]
        return at + size

    return step


def _set_item(machine: _Machine, at: int) -> int:
    value, key = machine.stack.pop(), machine.stack.pop()
    _dict(machine.stack[-1])[key] = value
    return at


def _set_items(machine: _Machine, at: int) -> int:
    items = machine.to_mark()
    _dict(machine.stack[-1]).update(zip(items[::2], items[1::2], strict=True))
    return at


def _append(machine: _Machine, at: int) -> int:
    value = machine.stack.pop()
    _list(machine.stack[-1]).append(value)
    return at


def _appends(machine: _Machine, at: int) -> int:
    items = machine.to_mark()
    _list(machine.stack[-1]).extend(items)
    return at


def _joined(make: Callable[[list[Any]], object]) -> _Step:
    """What lies above the last mark, as one value."""

    def step(machine: _Machine, at: int) -> int:
        items = machine.to_mark()
        machine.stack.append(make(items))
        return at

    return step


def _tuple_of(size: int) -> _Step:
    def step(machine: _Machine, at: int) -> int:
        stack = machine.stack
        if len(stack) < size:
            raise ValueError("too few values")
        stack[-size:] = [tuple(stack[-size:])]
        return at

    return step


def _pop(machine: _Machine, at: int) -> int:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.to_mark()
    return at


def _pop_mark(machine: _Machine, at: int) -> int:
    machine.to_mark()
    return at


def _dup(machine: _Machine, at: int) -> int:
    machine.stack.append(machine.stack[-1])
    return at


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _rare(machine: _Machine, at: int) -> int:
    """What old protocols write as lines; anything that is no value is refused by its name."""
    import pickletools  # few traces are a pickle, and few of these have such lines

    code = chr(machine.text[at - 1])
    found = next((one for one in pickletools.opcodes if one.code == code), None)
    if found is None:
        raise ValueError("no instruction")
    argument: Any = None
    length = 0
    if found.arg is not None:
        rest = BytesIO(machine.text[at : at + _LINE])
        argument, length = found.arg.reader(rest), rest.tell()
    if found.name in _LINES:
        machine.stack.append(argument)
    elif found.name == "GET":
        machine.stack.append(machine.memo[int(argument)])
    elif found.name == "PUT":
        machine.memo[int(argument)] = machine.stack[-1]
    else:
        raise CodeError(_named(found.name, argument, machine.stack))
    return at + length


def _named(name: str, argument: Any, stack: list[Any]) -> str:
    """What an instruction would run, as far as the pickle says."""
    if name in ("GLOBAL", "INST"):
        return ".".join(str(argument).split(" "))[:120]
    if name == "STACK_GLOBAL" and len(stack) > 1:
        return f"{str(stack[-2])[:60]}.{str(stack[-1])[:60]}"
    return f"an instruction {name}"


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogatepass")


def _latin(value: bytes) -> str:
    return value.decode("latin-1")


def _long(value: bytes) -> int:
    return int.from_bytes(value, "little", signed=True)


_LINE = 1 << 20  # bytes of an argument that is a line
_LINES = frozenset({"INT", "LONG", "FLOAT", "STRING", "UNICODE"})
_STOP, _MEMOIZE, _BINGET, _LONG_BINGET, _EMPTY_DICT, _MARK = b".\x94hj}("
_NUMBER = struct.Struct("<I").unpack_from
# PROTO and FRAME; numbers; texts, bytes, long numbers; constants; what is made of these; the stack
_KNOWN: Mapping[str, _Step] = {
    "\x80": _skipped(1), "\x95": _skipped(8), "q": _put(1), "r": _put(4),
    "J": _value(4, "<i"), "K": _value(1, "<B"), "M": _value(2, "<H"), "G": _value(8, ">d"),
    "\x8a": _counted(1, _long), "\x8b": _counted(4, _long),
    "\x8c": _counted(1, _text), "X": _counted(4, _text), "\x8d": _counted(8, _text),
    "U": _counted(1, _latin), "T": _counted(4, _latin),
    "C": _counted(1, bytes), "B": _counted(4, bytes), "\x8e": _counted(8, bytes),
    "N": _constant(lambda: None), "\x88": _constant(lambda: True),
    "\x89": _constant(lambda: False), "]": _constant(list), ")": _constant(tuple),
    "s": _set_item, "u": _set_items, "a": _append, "e": _appends, "t": _joined(tuple),
    "l": _joined(list), "d": _joined(_pairs), "\x85": _tuple_of(1), "\x86": _tuple_of(2),
    "\x87": _tuple_of(3), "0": _pop, "1": _pop_mark, "2": _dup,
}  # fmt: skip
_STEPS: list[_Step] = [_KNOWN.get(chr(code), _rare) for code in range(256)]


def _dict(value: object) -> dict[object, object]:
    if type(value) is not dict:
        raise TypeError("items of what is no dict")
    return value


def _list(value: object) -> list[object]:
    if type(value) is not list:
        raise TypeError("items of what is no list")
    return value
