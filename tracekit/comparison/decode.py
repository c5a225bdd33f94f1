"""Answers from JSON as the types of `tracekit.answers`: the one place where JSON comes in.

Another version of tracekit may have written them. Fields that are not known here are left out, and
what is not there is not known (None); where the type has no place for that, the file is refused.
Of answers that no comparison reads by their fields, the numbers stay as they are.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType

import msgspec

from tracekit import records
from tracekit.answers.audit import Audit
from tracekit.answers.devices import Devices
from tracekit.answers.findings import Findings
from tracekit.answers.kernels import Kernels
from tracekit.answers.ops import Ops
from tracekit.answers.roofline import Roofline
from tracekit.answers.stages import Stages
from tracekit.answers.tokens import Tokens
from tracekit.errors import TracekitError
from tracekit.records import Record, replace
from tracekit.results.result import Result
from tracekit.taxonomy import Whole

_LONG = re.compile(rb"\d{19}")  # digits of a number that may need more than 64 bits
# what comparisons read by its fields
READ: tuple[type[Result], ...] = (
    Audit, Devices, Findings, Kernels, Ops, Roofline, Stages, Tokens,
)  # fmt: skip


class Untyped(Result, Record, frozen=True):
    """The answer of an analysis that no comparison reads by its fields: any numbers."""

    plain: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        return dict(self.plain)


def unreadable(path: str, why: str) -> TracekitError:
    """What is said of a file of answers that this version cannot read."""
    return TracekitError(
        f"cannot be read as answers: {why}",
        where=path,
        hint="another version of tracekit wrote it: analyze its trace again",
    )


def answer(name: str, raw: bytes, path: str) -> Result:
    """The answer of one analysis in the file `path`. Raises: TracekitError where it is none."""
    kind = next((kind for kind in READ if kind.analysis == name), None)
    try:
        plain = msgspec.json.decode(raw, type=dict[str, object])
        if _LONG.search(raw) and _too_large(plain):
            raise unreadable(path, f"{name}, a number of more than 64 bits")
        if kind is None:
            return Untyped(plain)
        return _named(msgspec.convert(filled(plain, kind), kind))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
        raise unreadable(path, f"{name}, {str(fault)[:1].lower()}{str(fault)[1:]}") from None


def _too_large(value: object) -> bool:
    """Whether a whole number in it is one that no column and no float can hold."""
    if isinstance(value, dict):
        return any(map(_too_large, value.values()))
    if isinstance(value, list):
        return any(map(_too_large, value))
    return isinstance(value, int) and abs(value) >= 1 << 63


def filled(value: object, kind: object) -> object:
    """JSON with null for every field of the type that is not there and may be unknown."""
    arms = typing.get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if isinstance(value, dict):
        for arm in arms:
            if records.is_record_type(arm):
                return _filled_object(value, arm)
    if isinstance(value, list):
        for arm in arms:
            if typing.get_origin(arm) is tuple and typing.get_args(arm)[1:] == (Ellipsis,):
                return [filled(item, typing.get_args(arm)[0]) for item in value]
    return value


def _filled_object(value: dict[str, object], kind: type) -> dict[str, object]:
    out: dict[str, object] = {}
    for name, of in _hints(kind).items():
        if name in value:
            out[name] = filled(value[name], of)
        elif isinstance(of, UnionType) and NoneType in typing.get_args(of):
            out[name] = None
    return out


@cache
def _hints(kind: type) -> Mapping[str, object]:
    known = typing.get_type_hints(kind)
    return {name: known[name] for name in records.names(kind)}


def _named(result: Result) -> Result:
    """The same with the row that adds up all others marked: in JSON it is the last of its kind."""
    match result:
        case Stages(totals=(*rest, last)) if last.family == Whole.STAGES:
            return replace(result, totals=(*rest, replace(last, family=Whole.STAGES)))
        case _:
            return result
