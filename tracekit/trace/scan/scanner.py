"""A piece's text through the kernel: its buffers, and the texts that it met."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tracekit.records import Record
from tracekit.trace.columns.texts import Texts
from tracekit.trace.scan import arguments
from tracekit.trace.scan import layout as lay
from tracekit.trace.scan.asked import Kernel
from tracekit.trace.scan.memory import PADDING
from tracekit.trace.trace import I32, I64

Bytes = npt.NDArray[np.uint8]

SLICE, COUNTER = ord("X"), ord("C")
_SLOW = b"MBE"  # names, and slices in halves
FLOWS = {ord("s"): 0, ord("t"): 1, ord("f"): 2}

_TEXTS, _ARENA = 1 << 14, 1 << 20  # room at first
_SHORTEST = 8  # bytes of an event that has a row
_EMPTIEST = 3  # bytes of any: {},
_SHORTEST_ARGUMENT = 4  # bytes
_ROWS: dict[int, Any] = {
    lay.ROW_EVENT: np.int32, lay.ROW_PHASE: np.uint8, lay.ROW_TS: np.int64, lay.ROW_DUR: np.int64,
    lay.ROW_NAME: np.int32, lay.ROW_CAT: np.int32, lay.ROW_PID: np.int64, lay.ROW_TID: np.int64,
    lay.ROW_DEVICE: np.int64, lay.ROW_STREAM: np.int64, lay.ROW_LINK: np.int64,
}  # fmt: skip
_ODD: dict[int, Any] = {
    lay.ODD_START: np.int64, lay.ODD_STOP: np.int64, lay.ODD_EVENT: np.int32,
}  # fmt: skip
_RECORDS: dict[int, Any] = {
    lay.RECORD_ROW: np.int32, lay.RECORD_SLOT: np.uint8, lay.RECORD_VALUE: np.int64,
}  # fmt: skip
_OF_TEXTS: dict[int, Any] = {
    lay.HASHES: np.int64, lay.STARTS: np.int64, lay.SIZES: np.int64, lay.KINDS: np.uint8,
}  # fmt: skip


class Found(Record, frozen=True):
    """What the kernel found in a piece: views of its buffers, good until the next piece."""

    events: int
    rows: dict[int, npt.NDArray[Any]]  # [N] by lay.ROW_*
    records: arguments.Records
    counts: I64  # [256] events of each phase, without the odd ones
    firsts: I64  # [256] the number of the first
    odd: list[bytes]  # events that the kernel left, as text
    odd_numbers: list[int]
    end: int | None  # offset of the bracket that ends the list


class Scanner:
    """Reads pieces one after another; one for each thread."""

    def __init__(self, kernel: Kernel, tables: frozenset[str], texts: Texts) -> None:
        self.kernel, self.texts = kernel, texts
        self.keys = arguments.keys(tables)
        self.text = np.zeros(0, np.uint8)  # memory of the piece, and more
        self._room = 0  # bytes of text that the columns are made for
        self.said: list[str] = []  # texts by the kernel's index
        self.shared: I32 = np.empty(0, np.int32)  # the trace's index of each, and -1 at the end
        self._block = np.zeros(lay.FIELDS, np.int64)
        self._arrays: dict[int, npt.NDArray[Any]] = {}
        self.phases = _phases(tables)
        self._give(lay.PHASES, self.phases)
        self._give(lay.KEY_TABLE, self.keys.table)
        self._give(lay.SLOT_KINDS, self.keys.kinds)
        self._give(lay.COUNTS, np.zeros(256, np.int64))
        self._give(lay.FIRSTS, np.zeros(256, np.int64))
        # all bits set where the length will be: like nothing that a text has
        self._give(lay.JOINTS, np.full(lay.SORTS * lay.NUMBERS * lay.JOINT_ROW, 255, np.uint8))
        self._give(lay.LISTS, np.zeros(lay.LIST_ROWS * lay.LIST_ROW, np.uint8))
        self._block[lay.MEMORY_NAME] = int.from_bytes(b"[memory]", "little")
        self._room_for_texts(_TEXTS, _ARENA)

    def room(self, length: int) -> Bytes:
        """Where the text of the next piece goes."""
        if len(self.text) < length + PADDING:
            self.over(np.zeros(length + length // 4 + PADDING, np.uint8))
        return self.text[:length]

    def over(self, text: Bytes) -> None:
        """Memory that begins with the next piece, or will, and has PADDING bytes after it."""
        self.text = text
        self._give(lay.BASE, text)
        if len(text) <= self._room:
            return
        self._room = len(text)
        for columns, shortest in ((_ROWS, _SHORTEST), (_ODD, _EMPTIEST),
                                  (_RECORDS, _SHORTEST_ARGUMENT)):  # fmt: skip
            for field, kind in columns.items():
                self._give(field, np.empty(self._room // shortest + 1, kind))

    def scan(self, length: int, last: bool) -> Found | None:
        """What is in the piece that `text` begins with; None where it is not in the usual form."""
        self.text[length : length + PADDING] = 0
        while (status := self._run(length, last)) == lay.FULL:
            self._room_for_texts(
                4 * int(self._block[lay.TEXTS_ROOM]), 4 * int(self._block[lay.ARENA_ROOM])
            )
        if status != lay.DONE:
            return None
        self._learn()
        block, arrays = self._block, self._arrays
        odd = int(block[lay.ODD_ONES])
        starts, stops, numbers = (arrays[field][:odd].tolist() for field in _ODD)
        row, slot, value = (arrays[field][: int(block[lay.RECORDS])] for field in _RECORDS)
        return Found(
            int(block[lay.EVENTS]),
            {field: arrays[field][: int(block[lay.ROWS])] for field in _ROWS},
            arguments.records(self.keys, row, slot, value),
            arrays[lay.COUNTS],
            arrays[lay.FIRSTS],
            [self.text[a:b].tobytes() for a, b in zip(starts, stops, strict=True)],
            numbers,
            int(block[lay.END]) if last else None,
        )

    def _give(self, field: int, array: npt.NDArray[np.generic]) -> None:
        self._arrays[field] = array
        self._block[field] = array.ctypes.data

    def _run(self, length: int, last: bool) -> int:
        block = self._block
        block[lay.LENGTH], block[lay.LAST] = length, last
        for field in (lay.ROWS, lay.RECORDS, lay.ODD_ONES, lay.EVENTS, lay.END):
            block[field] = 0
        for field in (lay.COUNTS, lay.LISTS):  # lists that are known lie in the piece
            self._arrays[field][:] = 0
        return self.kernel(block.ctypes.data)

    def _room_for_texts(self, count: int, arena: int) -> None:
        """Room for texts, with none in it but the one for none, which the kernel never meets."""
        self._give(lay.PLACES, np.zeros(2 * count, np.int32))
        for field, kind in _OF_TEXTS.items():
            self._give(field, np.zeros(count, kind))
        self._give(lay.ARENA, np.zeros(arena + 16, np.uint8))
        block = self._block
        block[lay.PLACE_MASK], block[lay.TEXTS_ROOM] = 2 * count - 1, count
        block[lay.TEXTS], block[lay.ARENA_USED], block[lay.ARENA_ROOM] = 1, 0, arena
        self.said, self.shared = [], np.empty(0, np.int32)

    def _learn(self) -> None:
        """Takes in the texts that are new."""
        known, count = len(self.said), int(self._block[lay.TEXTS])
        if known == count:
            return
        starts, sizes, kinds = (
            self._arrays[field][known:count].tolist()
            for field in (lay.STARTS, lay.SIZES, lay.KINDS)
        )
        arena = self._arrays[lay.ARENA]
        new = [
            _text(arena[start : start + size].tobytes(), kind)
            for start, size, kind in zip(starts, sizes, kinds, strict=True)
        ]
        self.said += new
        self.shared = np.concatenate(
            [self.shared[:-1], self.texts.indices(new), np.array([-1], np.int32)]
        )


def _phases(tables: frozenset[str]) -> Bytes:
    """[256] what is done with events of each phase."""
    # of other phases none is used, but what is named as memory
    found = np.full(256, lay.MEMORY if "memory" in tables else lay.COUNT, np.uint8)
    found[[0, *_SLOW]] = lay.SLOWLY
    found[SLICE] = lay.SLICE
    if "counters" in tables:
        found[COUNTER] = lay.SLOWLY
    found[list(FLOWS)] = lay.FLOW if "flows" in tables else lay.COUNT
    return found


def _text(raw: bytes, kind: int) -> str:
    """A text as it is in the trace: escapes resolved, unless it is JSON that is kept as such."""
    if kind == 0 and b"\\" in raw:
        try:
            return msgspec.json.decode(b'"' + raw + b'"', type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # of an event that is read otherwise
    return raw.decode("utf-8", "replace")
