"""What reading takes in memory beside columns: machine code, and the window on a gzip file."""

from __future__ import annotations

import gzip
import platform
import struct
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.machine import compiled
from tracekit.trace.columns.decode import shapes
from tracekit.trace.columns.slices import COLUMNS, Slices, read_piece
from tracekit.trace.columns.texts import Texts
from tracekit.trace.json.pieces import Piece
from tracekit.trace.json.source import Text
from tracekit.trace.scan import layout, machine, placed
from tracekit.trace.scan.asked import Kernel
from tracekit.trace.scan.rows import Rows
from tracekit.trace.scan.scanner import Scanner

IS_KNOWN = sys.platform == "linux" and platform.machine() == "x86_64"
EVENTS = b",\n".join(
    b'{"ph": "X", "cat": "cpu_op", "name": "op %d", "pid": 1, "tid": %d, "ts": %d.125, "dur": 3}'
    % (k % 3, k % 2, 10 * k)
    for k in range(40)
)


@pytest.fixture(scope="module")
def code() -> bytes:
    compiled()
    return machine.place().read_bytes()


def columns(kernel: Kernel) -> dict[str, list[Any]]:
    texts = Texts()
    rows = Rows(Scanner(kernel, frozenset(), texts), frozenset())
    rows.scanner.room(len(EVENTS))[:] = list(EVENTS)
    read = rows.read(0, 0, len(EVENTS), last=False)
    assert read is not None
    return said(read.slices, list(texts.index))


def said(slices: Slices, texts: list[str]) -> dict[str, list[Any]]:
    found = {name: slices.columns[name].tolist() for name in COLUMNS}
    return {**found, "name": [texts[code] for code in found["name"]]}


def test_code_is_put_into_memory_as_llvm_does_it(code: bytes) -> None:
    by_llvm = columns(machine.by_llvm(code))
    read = read_piece(Piece(0, 0, EVENTS, last=False), shapes(frozenset()), frozenset())
    assert by_llvm == said(read.slices, read.slices.names)
    if not IS_KNOWN:
        assert placed.placed(code) is None or platform.machine() == "x86_64"
        return
    found = placed.placed(code)
    assert found is not None, "LLVM makes what is not known here: the kernel takes 20 MB more"
    assert columns(machine.called(found.symbols[layout.SYMBOL], found)) == by_llvm


@pytest.mark.skipif(not IS_KNOWN, reason="placed for ELF on x86-64 only")
def test_other_code_is_left_to_llvm(code: bytes) -> None:
    at = struct.unpack_from("<Q", code, 0x28)[0]  # of the table of sections
    kinds = [struct.unpack_from("<I", code, at + 64 * k + 4)[0] for k in range(code[0x3C])]
    relocations = struct.unpack_from("<Q", code, at + 64 * kinds.index(4) + 24)[0]
    for place, byte in {
        0: b"M",  # no ELF
        4: b"\1",  # 32 bits
        0x12: b"\xb7",  # Arm
        relocations + 8: b"\x02",  # a distance in place of an address
        relocations + 12: b"\0",  # of what is in another file
    }.items():
        other = bytearray(code)
        other[place : place + 1] = byte
        assert placed.placed(bytes(other)) is None, place
    for length in (0, 10, 64, relocations, len(code) - 1):
        assert placed.placed(code[:length]) is None, length


def test_code_that_is_not_placed_is_loaded_by_llvm(
    code: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del code
    monkeypatch.setattr(placed, "placed", lambda _code: None)
    machine.kernel.cache_clear()
    try:
        kernel = machine.kernel()
    finally:
        machine.kernel.cache_clear()
    assert kernel is not None
    assert len(columns(kernel)["ts"]) == 40


def test_the_window_on_a_gzip_file_is_given_back_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "text.json.gz"
    line = b'{"ph": "X", "ts": %d},\n'
    whole = b"".join(line % n for n in range(300_000))
    path.write_bytes(gzip.compress(whole, 1))
    buffer = bytearray(1 << 20)
    tracemalloc.start()
    try:
        text = Text(path)
        for start in range(0, 5 << 20, 1 << 20):
            text.forget(start)
            text.into(buffer, start)
            assert buffer == whole[start : start + len(buffer)]
        held = tracemalloc.get_traced_memory()[0]
        text.drain()
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert text.size == len(whole)
    assert left < 1 << 20 < 8 << 20 <= held
    text.close()
