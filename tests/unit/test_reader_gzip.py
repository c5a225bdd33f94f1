"""Gzip files inflated straight to their place say the same as when they are read block by block."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc
import zlib
from typing import Any

import pytest

from tracekit.trace.json import careful, quick, swollen
from tracekit.trace.json.inflate import Inflate

EVENT = b'{"ph": "X", "name": "%s", "ts": %d, "dur": %d},\n'


def text(rng: random.Random, length: int) -> bytes:
    """Events, white space, a name that swells, or what does not compress."""
    kind = rng.choice(["events", "events", "events", "blank", "swells", "noise"])
    if kind == "blank":
        return b" \n" * (length // 2)
    if kind == "swells":
        return EVENT % (b"a" * length, 1, 1)
    if kind == "noise":
        return rng.randbytes(length)
    events = (
        EVENT % (rng.choice([b"op", b"kernel"]), rng.randrange(10**9), rng.randrange(999))
        for _ in range(length // len(EVENT) + 1)
    )
    return b"".join(events)


def header(rng: random.Random) -> bytes:
    """With any of what the format allows, and now and then with what it does not."""
    flags = rng.choice([0, 0, 2, 4, 8, 16, 31, rng.randrange(256)])
    made = b"\x1f\x8b\x08" + bytes([flags]) + rng.randbytes(6)
    if flags & 4:
        extra = rng.randbytes(rng.choice([0, 5, 3000]))
        made += len(extra).to_bytes(2, "little") + extra
    if flags & 8:
        made += b"n" * rng.choice([0, 400]) + b"\0"
    if flags & 16:
        made += b"c" * rng.choice([0, 5000]) + b"\0"
    if flags & 2:
        made += (zlib.crc32(made) & 0xFFFF ^ rng.choice([0, 0, 1])).to_bytes(2, "little")
    return made


def member(rng: random.Random) -> bytes:
    parts = [text(rng, rng.choice([0, 1, 5000, 300_000])) for _ in range(rng.choice([1, 1, 3]))]
    if rng.random() < 0.5:
        return gzip.compress(b"".join(parts), rng.choice([1, 6, 9]), mtime=0)
    packer = zlib.compressobj(rng.choice([0, 1, 6, 9]), wbits=-15, strategy=rng.choice([0, 2, 4]))
    made = header(rng)
    for part in parts:
        made += packer.compress(part)
        made += packer.flush(rng.choice([zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]))
    whole = b"".join(parts)
    return made + packer.flush() + b"".join(
        number.to_bytes(4, "little") for number in (zlib.crc32(whole), len(whole))
    )  # fmt: skip


def drawn(rng: random.Random) -> bytes:
    """A file of some members, often padded, cut short, changed or followed by something else."""
    made = bytearray()
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        made += member(rng)
        made += bytes(rng.choice([0, 0, 0, 0, 1, 512, 40_000]))
    what = rng.choice(["whole", "whole", "cut", "end cut", "flipped", "garbage", "bytes missing"])
    if what == "cut":
        del made[rng.randrange(2, len(made)) :]
    elif what == "end cut":
        del made[-rng.randrange(1, 12) :]
    elif what == "flipped":
        for _ in range(rng.choice([1, 3])):
            made[rng.randrange(2, len(made))] ^= 1 << rng.randrange(8)
    elif what == "garbage":
        made += rng.choice([b"garbage", b"\0\0x", b"\x1f", b"\x1f\x8b\x08\0", rng.randbytes(50)])
    elif what == "bytes missing":
        at = rng.randrange(2, len(made))
        del made[at : at + rng.randrange(1, 50)]
    return bytes(made)


def told(stored: bytes, rng: random.Random) -> tuple[bytes, int | None, str | None]:
    """Text, size and fault, read in steps of any size, some of which take the memory."""
    inflate = Inflate(io.BytesIO(stored))
    found, at, other = bytearray(), 0, memoryview(b"")
    for _ in range(rng.choice([0, 3, 10**6])):
        step = rng.choice([1, 100, 70_000, 500_000])
        ahead = inflate.read(at + step, 50)
        if ahead and rng.random() < 0.5:
            other = inflate.handed(at, step, 64, other)
            some = bytes(other[:step])
        else:
            some = inflate.read(at, step)
            inflate.forget(at + len(some))
        found += some
        at += len(some)
        if len(some) < step:
            break
    if rng.random() < 0.8:
        found += inflate.read(at, None)
    inflate.drain()
    return bytes(found), inflate.size, inflate.fault


@pytest.mark.parametrize("part", range(6))
def test_any_file_says_the_same_as_block_by_block(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swollen, "LONGEST", 1 << 17)
    monkeypatch.setattr(swollen, "LARGE", 1 << 12)
    monkeypatch.setattr(swollen, "BUDGET", 1 << 16)
    for seed in range(50 * part, 50 * part + 50):
        rng = random.Random(seed)
        stored, order = drawn(rng), rng.random()
        block = rng.choice([1 << 15, 4096, 257])
        for module in (quick, careful):
            monkeypatch.setattr(module, "BLOCK", block)
        straight = told(stored, random.Random(order))
        with monkeypatch.context() as patch:
            patch.setattr(quick, "reader", lambda: None)
            assert straight == told(stored, random.Random(order)), seed


def test_a_usual_file_is_inflated_straight_to_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracekit.trace.json.inflate.Careful", None)
    whole = b"".join(EVENT % (b"op", n, n % 7) for n in range(100_000))
    inflate = Inflate(io.BytesIO(gzip.compress(whole) + bytes(512)))
    assert inflate.read(0, None) == whole
    assert (inflate.size, inflate.fault) == (len(whole), None)


def test_isal_without_the_reader_is_no_hindrance(monkeypatch: pytest.MonkeyPatch) -> None:
    from isal import isal_zlib

    monkeypatch.delattr(isal_zlib, "_GzipReader")
    inflate = Inflate(io.BytesIO(gzip.compress(b"[1, 2]")))
    assert inflate.read(0, None) == b"[1, 2]"


def test_what_swells_is_not_inflated_far_before_it_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor is what follows usual events handed out before the block that it is in is known."""
    taken: list[int] = []
    of: Any = quick.reader()

    class Counted:
        def __init__(self, *given: Any) -> None:
            self.reader = of(*given)
            self.tell = self.reader.tell

        def readinto(self, room: memoryview) -> int:
            taken.append(len(room))
            count: int = self.reader.readinto(room)
            return count

    monkeypatch.setattr(quick, "reader", lambda: Counted)
    monkeypatch.setattr(swollen, "LONGEST", 1 << 20)
    rng = random.Random(1)
    usual = b"".join(EVENT % (b"op", rng.randrange(10**9), n) for n in range(40_000))
    stored = gzip.compress(usual + EVENT % (b"a" * (20 << 20), 1, 1) + usual)
    inflate = Inflate(io.BytesIO(stored))
    at = 0
    while at < len(usual) - (1 << 20):
        assert inflate.read(at, 1 << 16) == usual[at : at + (1 << 16)]
        inflate.forget(at)
        at += 1 << 16
    inflate.drain()
    assert sum(taken) < len(usual) + (8 << 20)
    assert inflate.size is not None
    assert inflate.size == 2 * len(usual)
    assert "an event of" in str(inflate.fault)


def test_damage_far_in_the_file_asks_for_no_more_memory() -> None:
    """What was read is inflated again, and let go of as it was before."""
    rng = random.Random(2)
    whole = b"".join(EVENT % (b"op", rng.randrange(10**9), n) for n in range(500_000))
    stored = bytearray(gzip.compress(whole, 1))
    stored[-4] ^= 1
    tracemalloc.start()
    try:
        inflate = Inflate(io.BytesIO(stored))
        for at in range(0, len(whole) - (1 << 20), 1 << 20):
            inflate.forget(at)
            assert inflate.read(at, 1 << 20) == whole[at : at + (1 << 20)]
        inflate.drain()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "damaged" in str(inflate.fault)
    assert peak < 24 << 20
