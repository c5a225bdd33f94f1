"""Pickles of plain values, read without running anything.

A pickle is a program for a small machine, and some of its instructions import and call functions.
This machine knows only those that make dicts, lists, tuples, texts, bytes and numbers; any other is
named and refused. Source of the instructions: Python, Lib/pickletools.py, which reads them here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol


class CodeError(Exception):
    """The pickle would run something; the text says what."""


class Readable(Protocol):
    """A file, or a map of one."""

    def read(self, size: int = ..., /) -> bytes: ...
    def readline(self) -> bytes: ...


_MARK = object()
_VALUES = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
})  # fmt: skip
_CONSTANTS: Mapping[str, Callable[[], object]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "MARK": lambda: _MARK,
}  # fmt: skip


def load(file: Readable) -> object:
    """The value. Raises: CodeError; ValueError, LookupError or TypeError for a damaged one."""
    import pickletools  # few traces are a pickle

    machine = _Machine()
    for opcode, argument, _at in pickletools.genops(file):  # type: ignore[arg-type]
        if opcode.name == "STOP":
            return machine.stack.pop()
        machine.step(opcode.name, argument)
    raise ValueError("no end")


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name]())
        elif name in ("PROTO", "FRAME"):
            return
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name.endswith("PUT"):
            self.memo[int(argument)] = self.stack[-1]
        elif name.endswith("GET"):
            self.stack.append(self.memo[int(argument)])
        else:
            self._compound(name, argument)

    def _compound(self, name: str, argument: Any) -> None:
        stack = self.stack
        match name:
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _dict(stack[-1])[key] = value
            case "SETITEMS":
                items = self._to_mark()
                _dict(stack[-1]).update(zip(items[::2], items[1::2], strict=True))
            case "APPEND":
                value = stack.pop()
                _list(stack[-1]).append(value)
            case "APPENDS":
                items = self._to_mark()
                _list(stack[-1]).extend(items)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(name[-1])
                stack[-size:] = [tuple(stack[-size:])]
            case "TUPLE":
                stack.append(tuple(self._to_mark()))
            case "LIST":
                stack.append(self._to_mark())
            case "DICT":
                items = self._to_mark()
                stack.append(dict(zip(items[::2], items[1::2], strict=True)))
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._to_mark()
            case "DUP":
                stack.append(stack[-1])
            case _:
                raise CodeError(self._named(name, argument))

    def _to_mark(self) -> list[Any]:
        """What lies above the last mark, which goes too."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("no mark")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def _named(self, name: str, argument: Any) -> str:
        """What an instruction would run, as far as the pickle says."""
        if name in ("GLOBAL", "INST"):
            return ".".join(str(argument).split(" "))[:120]
        if name == "STACK_GLOBAL" and len(self.stack) > 1:
            return f"{str(self.stack[-2])[:60]}.{str(self.stack[-1])[:60]}"
        return f"an instruction {name}"


def _dict(value: object) -> dict[Any, Any]:
    if type(value) is not dict:
        raise TypeError("items of what is no dict")
    return value


def _list(value: object) -> list[Any]:
    if type(value) is not list:
        raise TypeError("items of what is no list")
    return value
