"""`dataclass` as in the standard library, made in a seventh of its time.

The standard library writes and compiles up to six methods for each class; a command loads some 300
classes, which took more of its start than anything else. Here only `__init__` is compiled, when the
first object is made; the others are the same functions for all classes. Fields, `replace`, `asdict`
and what type checkers see are the standard library's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError
from functools import cache
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, **options):
        """As `dataclasses.dataclass`."""
        return _made(options) if cls is None else _made(options)(cls)


__all__ = ["dataclass"]

_OPTIONS = {"frozen", "slots", "kw_only", "eq"}
_METHODS = {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"}


def _made(options: Mapping[str, bool]) -> Callable[[type], type]:
    def make(cls: type) -> type:
        below = any(map(dataclasses.is_dataclass, cls.__mro__[1:]))
        if below or _METHODS & vars(cls).keys() or not options.keys() <= _OPTIONS:
            found: type = dataclasses.dataclass(**options)(cls)
            return found
        return _light(cls, options)

    return make


def _light(cls: type, options: Mapping[str, bool]) -> type:
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # else its signature is looked for
    frozen, eq = options.get("frozen", False), options.get("eq", True)
    made: Any = dataclasses.dataclass(
        init=False, repr=False, eq=False, slots=options.get("slots", False),
        kw_only=options.get("kw_only", False),
    )(cls)  # fmt: skip
    for one in vars(made)["__dataclass_fields__"].values():
        if "InitVar" in str(one.type):
            raise TypeError(f"{cls.__name__}: only dataclasses.dataclass knows InitVar")
    made.__init__ = _first_init(made, frozen)
    made.__repr__ = _repr
    if eq:
        made.__eq__, made.__hash__ = _eq, _hash if frozen else None
    if frozen:
        made.__dataclass_params__.frozen = True
        made.__setattr__, made.__delattr__ = _refuse_set, _refuse_delete
        if options.get("slots"):
            made.__getstate__, made.__setstate__ = _state, _set_state
    return made  # type: ignore[no-any-return]


# ---------------------------------------------------------------- methods of all classes


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: object) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    kind: Any = type(self)
    values = _values(kind, False)
    return values(self) == values(other)


def _hash(self: Any) -> int:
    kind: Any = type(self)
    return hash(_values(kind, True)(self))


@cache
def _values(cls: type, hashed: bool) -> Callable[[Any], object]:
    """What of an object makes it equal to another, or is in its hash."""
    names = [
        one.name for one in dataclasses.fields(cls)
        if (one.compare if one.hash is None or not hashed else one.hash)
    ]  # fmt: skip
    # of one name it is a value, of several a tuple of them
    return attrgetter(*names) if names else lambda _self: ()


def _refuse_set(self: Any, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, f.name) for f in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)


# ---------------------------------------------------------------- the one that is compiled


def _first_init(cls: Any, frozen: bool) -> Callable[..., None]:
    """An `__init__` that puts the real one in its place."""

    def first(self: Any, *given: Any, **named: Any) -> None:
        if cls.__init__ is first:
            cls.__init__ = _init(cls, frozen)
        cls.__init__(self, *given, **named)

    return first


def _init(cls: Any, frozen: bool) -> Callable[..., None]:
    fields = dataclasses.fields(cls)
    names: dict[str, Any] = {"_set": object.__setattr__, "_none": MISSING}
    heads = [_parameter(one, names) for one in fields if one.init and not one.kw_only]
    named = [_parameter(one, names) for one in fields if one.init and one.kw_only]
    heads += ["*", *named] if named else []
    lines = [line for one in fields for line in _setting(one, frozen, names)]
    lines += ["self.__post_init__()"] if hasattr(cls, "__post_init__") else []
    body = "\n ".join(lines or ["pass"])
    exec(f"def __init__(self, {', '.join(heads)}):\n {body}", names)
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _parameter(one: Field[Any], names: dict[str, Any]) -> str:
    if one.default is not MISSING:
        names[f"_of_{one.name}"] = one.default
        return f"{one.name}=_of_{one.name}"
    return f"{one.name}=_none" if one.default_factory is not MISSING else one.name


def _setting(one: Field[Any], frozen: bool, names: dict[str, Any]) -> list[str]:
    value = one.name
    if one.default_factory is not MISSING:
        names[f"_new_{one.name}"] = one.default_factory
        value = f"_new_{one.name}()"
        if one.init:
            value = f"{value} if {one.name} is _none else {one.name}"
    elif not one.init and one.default is MISSING:
        return []
    elif not one.init:
        names[f"_of_{one.name}"] = one.default
        value = f"_of_{one.name}"
    if frozen:
        return [f"_set(self, {one.name!r}, {value})"]
    return [f"self.{one.name} = {value}"]
