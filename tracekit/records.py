"""Records: classes that are their fields.

Those of ours are msgspec's structs, which the interpreter makes in a fiftieth of the time of a
dataclass: a command that starts makes three hundred. Dataclasses are taken wherever structs are.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeGuard

import msgspec

if TYPE_CHECKING:
    # mypy holds its arguments against the fields, those of a struct too
    from dataclasses import replace as replace
else:

    def replace(record: Any, /, **changes: Any) -> Any:
        """The same record with other values of some fields, as `copy.replace` of Python 3.13."""
        if isinstance(record, msgspec.Struct):
            return msgspec.structs.replace(record, **changes)
        return dataclasses.replace(record, **changes)


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
