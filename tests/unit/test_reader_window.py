"""The window on the text of a gzip file: what reading takes in memory beside columns."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

from tracekit.trace.json.source import Text


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


def test_memory_that_is_handed_over_has_the_text_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "text.json.gz"
    whole = b"".join(b'{"ph": "X", "ts": %d},\n' % n for n in range(300_000))
    path.write_bytes(gzip.compress(whole, 1))
    text = Text(path)
    others = [memoryview(b""), memoryview(b"")]  # in turn, as of two readers
    held: list[tuple[memoryview, bytes]] = []
    at, long, turn = 0, 1_000_003, 0
    while at + long <= len(whole):
        assert text.read(at + long, 50) == whole[at + long : at + long + 50]
        given = text.handed(at, long, 64, others[turn])
        held = [*held[-1:], (given, whole[at : at + long])]
        assert len(given) >= long + 64
        for one, said in held:
            assert one[: len(said)] == said
        given[long : long + 64] = bytes(64)
        others[turn], turn = given, 1 - turn
        at += long
    assert text.read(at) == whole[at:]
    text.close()
