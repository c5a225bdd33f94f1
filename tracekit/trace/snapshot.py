"""A memory snapshot of PyTorch (`torch.cuda.memory._dump_snapshot`), read without running anything.

It is a pickle of plain dicts, lists, texts and numbers. Source of the keys: PyTorch,
torch/csrc/cuda/memory_snapshot.cpp and torch/cuda/_memory_viz.py.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tracekit.errors import NotATraceError
from tracekit.records import Record
from tracekit.trace import plain_pickle

_MOST_BYTES = 1 << 30
_LEAST_BYTES = 8  # of a block or an event in the file
_MOST = 1 << 64  # of a number
_WHAT = "a Python pickle"
_HINT = "give what torch.cuda.memory._dump_snapshot wrote, or a torch.profiler trace (.json)"

Frame = tuple[str, int, str]  # file, line, function


class Block(NamedTuple):
    """A piece of a segment."""

    address: int
    bytes: int  # as the allocator rounded it
    requested: int
    state: str  # active_allocated, active_pending_free, active_awaiting_free, inactive
    frames: tuple[Frame, ...]  # innermost first; empty where not recorded


class Segment(Record, frozen=True):
    """What the allocator got from the driver at once."""

    device: int
    bytes: int
    blocks: tuple[Block, ...]


class Event(NamedTuple):
    """One entry of the history of a device."""

    action: str  # alloc, free_requested, free_completed, segment_alloc, segment_free, oom …
    address: int
    bytes: int
    time_ns: int | None  # of the wall clock; None where not recorded
    frames: tuple[Frame, ...]


class Snapshot(Record, frozen=True):
    """What the allocator held at one moment, and what it did before, as far as it was recorded."""

    segments: tuple[Segment, ...]
    history: Mapping[int, tuple[Event, ...]]  # by device, in order


def is_one(head: bytes) -> bool:
    """Whether a file that begins so is a pickle of protocol 2 or later."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def read(path: str | Path, name: str) -> Snapshot:
    """The snapshot in a file.

    Raises: NotATraceError for a pickle of anything else, a damaged one, one above 1 GiB, and one
    that would call a function.
    """
    if os.stat(path).st_size > _MOST_BYTES:
        raise _refused(name, f"{_WHAT} of more than 1 GiB")
    with _uncollected():
        return _read(Path(path).read_bytes(), name)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for circles of garbage, which goes over a million new values again and
    again and takes a third of the time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _read(text: bytes, name: str) -> Snapshot:
    try:
        found = plain_pickle.load(text)
    except plain_pickle.CodeError as fault:
        raise _refused(
            name, f"{_WHAT} that would run {fault} when it is loaded: it is not opened"
        ) from None
    except Exception as fault:  # whatever a damaged pickle makes of the unpickler
        raise _refused(name, f"{_WHAT}, damaged ({type(fault).__name__})") from None
    if not isinstance(found, dict) or not isinstance(found.get("segments"), list):
        raise _refused(name, f"{_WHAT}, and no memory snapshot of PyTorch")
    try:
        room = _Room(len(text) // _LEAST_BYTES)
        snapshot = Snapshot(tuple(_segments(found["segments"], room)), _history(found, room))
    except (TypeError, ValueError, AttributeError, KeyError) as fault:
        raise _refused(
            name, f"a memory snapshot that is not as PyTorch writes it ({fault})"
        ) from None
    if not any(s.blocks for s in snapshot.segments) and not any(snapshot.history.values()):
        raise _refused(name, "a memory snapshot (pickle) without blocks and without history")
    return snapshot


def _refused(name: str, what: str) -> NotATraceError:
    return NotATraceError(what, where=name, hint=_HINT)


class _Room:
    """How many blocks and events a file can hold: lists that hold one another have no end."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise ValueError("more in it than the file has room for")


def _segments(listed: Sequence[object], room: _Room) -> Iterator[Segment]:
    frames = _Frames()
    for one in listed:
        said = _dict(one)
        blocks = []
        address = _whole(said.get("address", 0))
        places = _list(said.get("blocks"))
        room.take(1 + len(places))
        for place in places:
            block = _dict(place)
            size = _whole(block.get("size", 0))
            # versions before 2.1 write the requests and frames into a history of the block
            past = _list(block.get("history")) or [{}]
            last = _dict(past[-1])
            requested = block.get("requested_size", last.get("real_size", size))
            blocks.append(Block(
                _whole(block.get("address", address)), size, _whole(requested),
                str(block.get("state", "")),
                frames.of(block.get("frames") or last.get("frames")),
            ))  # fmt: skip
            address = blocks[-1].address + size
        yield Segment(
            _whole(said.get("device", 0)), _whole(said.get("total_size", 0)), tuple(blocks)
        )


def _history(found: Mapping[str, object], room: _Room) -> dict[int, tuple[Event, ...]]:
    frames, out = _Frames(), {}
    for device, own in enumerate(_list(found.get("device_traces"))):
        events = _list(own)
        room.take(1 + len(events))
        if events:
            out[device] = tuple(_event(_dict(one), frames) for one in events)
    return out


def _event(said: Mapping[str, object], frames: _Frames) -> Event:
    get = said.get
    time, address = get("time_us"), get("addr")
    if address is None:
        address = get("device_free", 0)
    return Event(
        str(get("action", "")), _whole(address), _whole(get("size", 0)),
        _whole(time) * 1000 if time is not None else None, frames.of(get("frames")),
    )  # fmt: skip


def _dict(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} in the place of an object")
    return value


def _list(value: object) -> list[object]:
    if value is not None and not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} in the place of a list")
    return value or []


def _whole(value: object) -> int:
    if type(value) is not int or not -_MOST < value < _MOST:
        raise ValueError(f"{str(value)[:40]!r} in the place of a whole number")
    return value


class _Frames:
    """Stacks as tuples, each list of the file read once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, tuple[Frame, ...]]] = {}
        self._one: dict[Frame, Frame] = {}

    def of(self, listed: object) -> tuple[Frame, ...]:
        stack = _list(listed)
        if not stack:
            return ()
        known = self._known.get(id(stack))
        if known is None:  # the list is kept beside, so that its id stays its own
            known = self._known[id(stack)] = (stack, tuple(map(self._frame, stack)))
        return known[1]

    def _frame(self, one: object) -> Frame:
        get = _dict(one).get
        line = get("line", 0)
        key = (str(get("filename", "")), line if isinstance(line, int) else 0, str(get("name", "")))
        known = self._one.get(key)
        if known is None:
            known = self._one[key] = (key[0][:1024], key[1], key[2][:1024])
        return known
