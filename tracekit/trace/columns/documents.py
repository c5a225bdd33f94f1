"""A trace's whole JSON, for those who write it again: every key, every number as it was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tracekit.errors import NotATraceError
from tracekit.trace.columns.decode import Shapes, decode
from tracekit.trace.json.outline import closing, outline
from tracekit.trace.json.pieces import Cutter
from tracekit.trace.json.source import opened


@dataclass(slots=True)
class Document:
    """Events as dicts, decimals as `Decimal`; `damage` says in words what could not be kept."""

    meta: dict[str, Any]  # top-level keys but traceEvents
    events: list[Any]
    damage: list[str] = field(default_factory=list)


@cache
def _whole() -> Shapes:
    decoder = msgspec.json.Decoder(list, float_hook=Decimal)
    return Shapes(dict, Any, decoder, decoder)


def document(path: str | Path) -> Document:
    """All of a trace that can be read: a damaged one up to, and between, the damage.

    Memory: about 2 kB an event. Raises: NotATraceError with what the file is instead,
    TracekitError for a file that cannot be read.
    """
    with opened(path) as text:
        found = outline(text)
        out = Document(found.meta, [])
        cutter = Cutter(text, found.first)
        index = 0
        while (piece := cutter.piece(index)) is not None:
            read = decode(piece, _whole())
            out.events += read.events
            out.damage += [one.what for one in read.damage.values()]
            if read.end is not None:
                out.damage += closing(found, read.tail)
                break
            index += 1
        if text.fault:
            out.damage.append(text.fault)
        out.damage += [f"{name} is malformed" for name in found.oddities]
        if not out.events:
            raise NotATraceError(
                "no events in it",
                where=text.name,
                hint="give a torch.profiler trace (.json, .json.gz)",
            )
    out.damage = list(dict.fromkeys(out.damage))
    return out
