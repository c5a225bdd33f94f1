"""Mutations: of a value in a document, and of bytes."""

from __future__ import annotations

import gzip
import json
import marshal
import random
from typing import Any

ESCAPES = "\x1b[31m\x07\x9b\u202e"
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 2**31, -(2**31), 2**32, 2**53 + 1,
    2**63 - 1, 2**63, -(2**63), 2**64,
    10**25, -(10**25), 10**400, 0.1, -0.5, 1e-320, 1e18, 1e22, 1e308, -1e308, 1.5e300,
    "", " ", "0", "-1", "7", "1e5", "NaN", "inf", "0x10", "9" * 30, "stream 7", "GPU 0", "\x00",
    ESCAPES, "\ud800", "=1+1", "a" * 3000, "<script>", "%s{0}", "X", "M", "E", "kernel", "cpu_op",
    "user_annotation", "cudaLaunchKernel", "tracekit::decode", "ProfilerStep#1", "Memcpy HtoD",
    [], [None], [0], [[]], [[[]]], [1e308, "a"], ["a", 1, None],
    [-5, 10**20, 2], {}, {"a": 1}, {"": None}, {"name": {}}, {"rank": []},
)  # fmt: skip
TOKENS = (b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\xff", b"NaN", b"1e999",
          b"-", b".", b"\n", b"null", b"\\ud800", b"\xef\xbb\xbf", b"9" * 25, b"traceEvents",
          b'"ph":"X"', b"/*", b"\x1f\x8b")  # fmt: skip


def copied(given: Any) -> Any:
    """A deep copy of what JSON can hold, ten times as fast as `copy.deepcopy`."""
    return marshal.loads(marshal.dumps(given))


def value(rng: random.Random, given: Any) -> Any:
    """The document with some of its values replaced, left out, doubled or put elsewhere."""
    root: list[Any] = [copied(given)]
    for _ in range(rng.choice([1, 1, 2, 3, 8])):
        holder, key = _place(rng, root)
        what = rng.random()
        if what < 0.55:
            holder[key] = copied(rng.choice(ODD))
        elif what < 0.7:
            holder[key] = _near(rng, holder[key])
        elif what < 0.8 and holder is not root:
            del holder[key]
        elif what < 0.9:
            other, at = _place(rng, root)
            holder[key] = copied(other[at])
        elif isinstance(holder, list):
            holder.insert(rng.randint(0, len(holder)), copied(holder[key]))
        else:
            holder[
                rng.choice(["ph", "cat", "name", "pid", "tid", "ts", "dur", "id", "args", "a"])
            ] = copied(rng.choice(ODD))
    return root[0]


def _place(rng: random.Random, root: list[Any]) -> tuple[Any, Any]:
    """A place in the document, deeper ones as likely as others."""
    holder: Any = root
    key: Any = 0
    while True:
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.15:
            return holder, key
        holder = inner
        key = rng.randrange(len(inner)) if isinstance(inner, list) else rng.choice(list(inner))


def _near(rng: random.Random, found: Any) -> Any:
    if isinstance(found, bool) or found is None:
        return not found
    if isinstance(found, int | float):
        try:
            return rng.choice([-found, found * 10**6, found + 0.0005, found - 10**9, str(found)])
        except OverflowError:
            return 0
    if isinstance(found, str):
        return rng.choice([found * 2, found[: len(found) // 2], found + ESCAPES, found.upper()])
    return [found]


def text(rng: random.Random, given: Any) -> bytes:
    """A document as JSON; what JSON has no word for is written as other programs write it."""
    style = rng.choice([(",", ":"), (", ", ": ")])
    # a lone surrogate cannot be written as UTF-8: as the escape that it came from
    whole = json.dumps(given, separators=style, ensure_ascii=rng.random() < 0.5)
    return whole.encode("utf-8", "surrogatepass" if rng.random() < 0.5 else "replace")


def data(rng: random.Random, given: bytes, most: int = 4) -> bytes:
    """Bytes with some put in, left out, turned, doubled, or the end cut off."""
    found = bytearray(given)
    for _ in range(rng.randint(1, most)):
        at = rng.randrange(len(found) + 1)
        size = rng.choice([1, 1, 2, 8, 60])
        what = rng.randrange(6)
        if what == 0:
            found[at:at] = rng.choice(TOKENS)
        elif what == 1:
            del found[at : at + size]
        elif what == 2 and at < len(found):
            found[at] ^= 1 << rng.randrange(8)
        elif what == 3:
            found[at:at] = found[at : at + size]
        elif what == 4 and rng.random() < 0.3:
            del found[at:]
        else:
            found[at : at + size] = rng.randbytes(size)
    return bytes(found)


def trace(rng: random.Random, document: dict[str, Any]) -> bytes:
    """A trace file: mutated as a document, as text, or as a compressed file."""
    kind = rng.random()
    given: Any = document if kind < 0.2 else value(rng, document)
    if kind > 0.95 and isinstance(given, dict):
        given = given.get("traceEvents")
    whole = text(rng, given)
    if kind < 0.4:
        whole = data(rng, whole)
    if rng.random() < 0.15:
        whole = gzip.compress(whole, 1, mtime=0)
        if rng.random() < 0.5:
            whole = data(rng, whole, 2)
    return whole
