"""What a file is, and what stands around its list of events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from tracekit.errors import NotATraceError
from tracekit.trace.json.foreign import (
    TAR,
    WANTED,
    ZIP,
    Foreign,
    of_bytes,
    of_events,
    of_keys,
)
from tracekit.trace.json.repair import repaired
from tracekit.trace.json.scanning import key_at, skip_space, value_end
from tracekit.trace.json.source import Text

_HEAD = 1 << 16
_WIDEST_HEAD = 1 << 26
_SAMPLE = 1 << 18
_EVENTS = b"traceEvents"


class Outline(Struct):
    """Where the events start, and the keys before them."""

    form: Literal["object", "list"]
    first: int  # offset of the first event
    meta: dict[str, Any] = field(default_factory=dict)
    oddities: list[str] = field(default_factory=list)  # keys whose values could not be read


def outline(text: Text) -> Outline:
    """The outline of a trace.

    Raises: NotATraceError, with what the file is instead.
    """
    width = _HEAD
    while True:
        head = text.read(0, width)
        whole = len(head) < width
        found = _from_head(head, text, whole)
        if found is not None:
            other = of_events(text.read(found.first, _SAMPLE))
            if other is not None:
                raise _refused(other, text)
            return found
        if whole:
            raise NotATraceError(
                "cut off, or damaged, before the first event", where=text.name, hint=WANTED
            )
        if width >= _WIDEST_HEAD:
            what = "hold no event" if head.strip() else "are white space"
            raise NotATraceError(
                f"its first {len(head):,} bytes of text {what}", where=text.name, hint=WANTED
            )
        width = min(width * 8, _WIDEST_HEAD)


def _from_head(head: bytes, text: Text, whole: bool) -> Outline | None:
    """None where the head should be longer."""
    start = skip_space(head, 3 if head.startswith(b"\xef\xbb\xbf") else 0)
    first = head[start : start + 1]
    if not first and not whole:
        return None
    if first == b"[":
        return _of_list(head, start, text)
    if first == b"{":
        return _of_object(head, start, text, whole)
    raise _refused(_foreign(head, start, text), text)


def _refused(found: Foreign, text: Text) -> NotATraceError:
    return NotATraceError(found.what, where=text.name, hint=found.hint)


def _foreign(head: bytes, start: int, text: Text) -> Foreign:
    """A file that starts with neither brace nor bracket."""
    if text.fault and not head:
        return Foreign(f"nothing can be read: {text.fault}")
    found = of_bytes(head, start, text.name)
    if found in (ZIP, TAR):
        from tracekit.trace.inputs import archives  # zipfile and tarfile, for few

        return Foreign(*archives.told(Path(text.path), "zip" if found is ZIP else "tar"))
    return found


def _of_list(head: bytes, start: int, text: Text) -> Outline | None:
    at = skip_space(head, start + 1)
    mark = head[at : at + 1]
    if mark == b"{":
        return Outline("list", at)
    if mark == b"[":
        raise NotATraceError(
            "a list of lists, as a torch memory timeline has them (export_memory_timeline .raw: "
            "time, action, bytes, category), not a Kineto trace",
            where=text.name,
            hint="give the trace that export_chrome_trace wrote",
        )
    if mark == b"]":
        raise NotATraceError("an empty list: no events", where=text.name, hint=WANTED)
    if not mark:
        return None
    raise NotATraceError("a JSON list, but not of events", where=text.name, hint=WANTED)


def _of_object(head: bytes, start: int, text: Text, whole: bool) -> Outline | None:
    found = Outline("object", -1)
    at = start + 1
    while entry := key_at(head, at):
        key, at = entry
        if key == _EVENTS and head[at : at + 1] == b"[":
            found.first = skip_space(head, at + 1)
            if found.first >= len(head) and not whole:
                return None
            # an empty list may be of a writer that began anew: a later one has the events
            if head[found.first : found.first + 1] != b"]":
                return found
        end = value_end(head, at)
        if end is None:
            break
        if key != _EVENTS or found.first < 0:
            _store(found, key, head[at:end])
        at = skip_space(head, end)
    if found.first >= 0 and (whole or head[at : at + 1] == b"}"):
        return found
    if head[at : at + 1] == b"}":
        raise _refused(of_keys(found.meta), text)
    # a head that is itself damaged: the name alone tells where the events are
    name = head.find(b'"traceEvents"') if whole else -1
    bracket = head.find(b"[", name) if name >= 0 else -1
    if bracket >= 0 and not head[name + 13 : bracket].strip(b" \t\r\n:"):
        found.first = skip_space(head, bracket + 1)
        found.oddities.append("what stands before the events")
        return found
    return None


def _store(found: Outline, key: bytes, value: bytes) -> None:
    name = key.decode("utf-8", "replace")
    try:
        try:
            found.meta[name] = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found.meta[name] = msgspec.json.decode(repaired(value).text)
            found.oddities.append(f"the value of {name!r}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found.oddities.append(f"the value of {name!r}")


def closing(found: Outline, tail: bytes) -> Iterator[str]:
    """Takes the keys after the events into `found.meta`; yields what is wrong there, in words.

    `tail` starts at the bracket that ends the list.
    """
    before = len(found.oddities)
    at = skip_space(tail, 1)
    if found.form == "object":
        while entry := key_at(tail, at):
            end = value_end(tail, entry[1])
            if end is None:
                yield "the file ends inside what follows the events"
                return
            if entry[0] != _EVENTS:
                _store(found, entry[0], tail[entry[1] : end])
            elif tail[entry[1] : end].strip(b"[] \t\r\n"):
                size = f"{end - entry[1]:,} bytes"
                yield f"another list of events, of {size}, follows the first and is not read"
            at = skip_space(tail, end)
        if tail[at : at + 1] != b"}":
            yield "the object around the events is not closed"
            return
        at = skip_space(tail, at + 1)
    for name in found.oddities[before:]:
        yield f"{name} is malformed"
    if at < len(tail):
        yield f"{len(tail) - at} bytes after the end of the trace"
