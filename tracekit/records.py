"""Records: classes that are their fields.

Those of ours are msgspec's structs, which the interpreter makes in a fiftieth of the time of a
dataclass: a command that starts makes three hundred. Dataclasses are taken wherever records are.
"""

from __future__ import annotations

import dataclasses
import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard

import msgspec

if TYPE_CHECKING:
    # mypy holds its arguments against the fields, those of a struct too
    from dataclasses import replace as replace
else:

    def replace(record: Any, /, **changes: Any) -> Any:
        """The same record with other values of some fields, as `copy.replace` of Python 3.13."""
        if isinstance(record, msgspec.Struct):
            return msgspec.structs.replace(record, **changes)
        if own := getattr(type(record), "__replace__", None):
            return own(record, **changes)
        return dataclasses.replace(record, **changes)


@cache
def _as_dataclass(kind: type[msgspec.Struct]) -> dict[str, dataclasses.Field[Any]]:
    types: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        types |= inspect.get_annotations(base)
    made = [(one, types[one], dataclasses.field(default=None)) for one in kind.__struct_fields__]
    shadow = dataclasses.make_dataclass(kind.__name__, made)
    return {field.name: field for field in dataclasses.fields(shadow)}


class _Fields:
    """The fields as a dataclass has them, made when first asked for."""

    def __get__(
        self, _record: object, kind: type[msgspec.Struct]
    ) -> dict[str, dataclasses.Field[Any]]:
        return _as_dataclass(kind)


class Record(msgspec.Struct, frozen=True):
    """Fields that do not change.

    `dataclasses.fields`, `asdict`, `replace` and what rests on them, as `pandas.DataFrame` of rows,
    take it as they take a dataclass.
    """

    __dataclass_fields__: ClassVar[Any] = _Fields()


def is_record_type(kind: object) -> TypeGuard[type[Any]]:
    """Whether it is a class of records."""
    return isinstance(kind, type) and (
        issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind)
    )


def names(kind: type[Any]) -> tuple[str, ...]:
    """The fields of a class of records, in order."""
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(field.name for field in dataclasses.fields(kind))


def json_names(kind: type[Any]) -> tuple[str, ...]:
    """The fields that are in its JSON: all, but those of a dataclass with `{"json": False}`."""
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(f.name for f in dataclasses.fields(kind) if f.metadata.get("json", True))
