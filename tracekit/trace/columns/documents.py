"""A trace's whole JSON, for those who write it again: every key, every number as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tracekit.errors import NotATraceError
from tracekit.trace.columns.decode import Decoded, Shapes, at_once, decode
from tracekit.trace.json.outline import closing, outline
from tracekit.trace.json.pieces import Cutter, Piece
from tracekit.trace.json.source import opened


@dataclass(slots=True)
class About:
    """What is known of a trace's text beside its events, once all of these were read."""

    meta: dict[str, Any] = field(default_factory=dict)  # top-level keys but traceEvents
    damage: list[str] = field(default_factory=list)  # in words: what could not be kept
    stored: str = ""  # where it can be read again


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

    Memory: about 2 kB an event. Raises: as `events`.
    """
    about = About()
    found = list(events(path, about))
    return Document(about.meta, found, about.damage)


def events(path: str | Path, about: About) -> Iterator[Any]:
    """The same event by event; `about` is filled as they are read. Raises: as `parts`."""
    for part in parts(path, about):
        yield from part.whole()


class Part:
    """A piece of a trace, to be decoded once; what was decoded last is what counts."""

    def __init__(self, piece: Piece) -> None:
        self.text = piece.text
        self._piece = piece
        self.read: Decoded | None = None

    def by(self, decoder: Any, without: bytes = b"") -> Sequence[Any] | None:
        """Its events as a decoder of a list makes them; None where it takes them not all.

        `without`: characters that are left out before.
        """
        piece = self._piece
        if without:
            piece = replace(piece, text=piece.text.translate(None, without))
        self.read = at_once(piece, decoder)
        return None if self.read is None else self.read.events

    def whole(self) -> Sequence[Any]:
        """Its events as dicts, of a damaged piece those that can be read."""
        self.read = decode(self._piece, _whole())
        return self.read.events


def parts(path: str | Path, about: About) -> Iterator[Part]:
    """A trace piece by piece; each is to be decoded before the next is asked for.

    Raises: NotATraceError with what the file is instead, TracekitError for a file that cannot be
    read.
    """
    with opened(path) as text:
        about.stored = text.path
        found = outline(text)
        about.meta = found.meta  # what stands after the events comes to it at the end
        cutter = Cutter(text, found.first)
        index = count = 0
        while (piece := cutter.piece(index)) is not None:
            part = Part(piece)
            yield part
            read = part.read
            assert read is not None, "each part is decoded before the next"
            count += len(read.events)
            about.damage += [one.what for one in read.damage.values()]
            if read.end is not None:
                about.damage += closing(found, read.tail)
                break
            index += 1
        if text.fault:
            about.damage.append(text.fault)
        about.damage += [f"{name} is malformed" for name in found.oddities]
        about.damage = list(dict.fromkeys(about.damage))
        if not count:
            raise NotATraceError(
                "no events in it",
                where=text.name,
                hint="give a torch.profiler trace (.json, .json.gz)",
            )
