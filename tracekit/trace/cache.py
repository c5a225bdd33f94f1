"""Columns of large traces, kept between runs and found again by content.

The key is the SHA-256 of the file as stored, of the code that reads it, and the side tables asked
for: another file, another reader or another question never meets an old entry. `TRACEKIT_CACHE=off`
turns it off, any other value is the folder to use.

A trace is its owner's: the folder is open to nobody else (0700), nor is an entry (0600), and one
that somebody else owns or may write is not read. What an entry holds is checked as a file's is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import asdict

from tracekit.errors import TracekitError
from tracekit.files import is_ours, writing
from tracekit.patterns import later
from tracekit.trace.json.source import Text
from tracekit.trace.tables.packed import Columns, restored
from tracekit.trace.trace import TABLES, Cat, Loss, Source, Table, Trace, Unknown

# below these the text is read about as fast as its hash is made and the entry loaded
_PLAIN = 64 << 20
_COMPRESSED = 8 << 20
_MOST = 4 << 30  # bytes kept in all; the longest unused go first
_ENTRY = later(r"\.?[0-9a-f]{64}-[0-9a-f]{12}-[0-9a-f]{12}\S*\.npz")
_COLUMNS = (
    "ts", "dur", "name", "cat", "pid", "tid", "device", "stream", "correlation", "id",
)  # fmt: skip


def folder() -> Path | None:
    """Where entries are; None where the cache is off."""
    given = os.environ.get("TRACEKIT_CACHE", "")
    if given.lower() in ("off", "0", "no"):
        return None
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tracekit"


def entry(text: Text, tables: frozenset[str]) -> Path | None:
    """The entry that this trace has or would have; None for small traces, or with the cache off."""
    place = folder()
    if place is None or text.stored < (_COMPRESSED if text.compressed else _PLAIN):
        return None
    with open(text.path, "rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    wanted = hashlib.sha256(" ".join(sorted(tables)).encode()).hexdigest()[:12]
    return place / f"{content}-{_reader()}-{wanted}.npz"


@cache
def _reader() -> str:
    """A hash of the code that makes columns: when it changes, what it made before is not found."""
    here = Path(__file__).parent
    digest = hashlib.sha256(np.__version__.encode())
    for path in sorted([*here.glob("*.py"), *here.glob("columns/*.py"), *here.glob("json/*.py"),
                        *here.glob("scan/*.py"), *here.glob("tables/*.py")]):  # fmt: skip
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def load(path: Path, text: Text, reread: object) -> Trace | None:
    """The trace of an entry; None where there is none, or it is not whole."""
    try:
        return _load(path, text, reread)
    except Exception:  # numpy and zipfile raise nearly anything for what is damaged
        return None


def _load(path: Path, text: Text, reread: Any) -> Trace:
    if not is_ours(path):
        raise PermissionError("somebody else may have written it")
    with np.load(path, allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    about = json.loads(arrays.pop("about").tobytes())
    os.utime(path)  # it was of use
    for array in arrays.values():
        array.flags.writeable = False
    tables = {
        name: Table(
            arrays[f"{name}/id"],
            Columns({c: restored(arrays[f"{name}/{c}"], form) for c, form in forms.items()}),
            tuple(strings),
        )
        for name, (strings, forms) in about["tables"].items()
    }
    source = Source(
        path=text.name,
        bytes=text.stored,
        text_bytes=about["text_bytes"],
        meta=about["meta"],
        processes=dict(about["processes"]),
        threads={(pid, tid): name for pid, tid, name in about["threads"]},
        labels=dict(about["labels"]),
        events=about["events"],
        cats=about["cats"],
        losses=tuple(Loss(**loss) for loss in about["losses"]),
        unknown=tuple(Unknown(**one) for one in about.get("unknown", ())),
        reread=reread,
    )
    columns = {name: arrays[name] for name in _COLUMNS}
    trace = Trace(source, tuple(about["strings"]), about["origin_ns"], tables=tables, **columns)
    _check(trace)
    return trace


def _check(trace: Trace) -> None:
    """Raises: ValueError where columns do not belong together."""
    count = len(trace.ts)
    for name in _COLUMNS:
        column = getattr(trace, name)
        if column.shape != (count,) or column.dtype.kind not in "iu":
            raise ValueError(f"column {name}")
    sound = (
        (np.diff(trace.ts) >= 0).all()
        and _index(trace.name, trace.strings, 0)
        and (trace.id == np.arange(count)).all()
        and (trace.cat <= max(Cat)).all()
        and isinstance(trace.origin_ns, int)
    )
    for name, table in trace.tables.items():
        for column in TABLES[name]:
            key = column.rstrip("*")
            sound &= len(table.held.packed[key]) == len(table.id)
            sound &= not column.endswith("*") or _index(table.columns[key], table.strings, -1)
        sound &= _index(table.id, trace.ts, -1)
    if not sound:
        raise ValueError("indices")


def _index(codes: Any, items: Sequence[Any] | Any, least: int) -> bool:
    return not len(codes) or (codes.min() >= least and codes.max() < len(items))


def store(path: Path, trace: Trace) -> None:
    """Keeps a trace. Where that cannot be done, nothing is kept and nothing is said."""
    source = trace.source
    about = {
        "text_bytes": source.text_bytes,
        "meta": source.meta,
        "processes": list(source.processes.items()),
        "threads": [[*key, name] for key, name in source.threads.items()],
        "labels": list(source.labels.items()),
        "events": dict(source.events),
        "cats": dict(source.cats),
        "losses": [asdict(loss) for loss in source.losses],
        "unknown": [asdict(one) for one in source.unknown],
        "origin_ns": trace.origin_ns,
        "strings": trace.strings,
        "tables": {
            name: (table.strings, {c: one.form for c, one in table.held.packed.items()})
            for name, table in trace.tables.items()
        },
    }
    arrays = {name: getattr(trace, name) for name in _COLUMNS}
    for name, table in trace.tables.items():
        arrays[f"{name}/id"] = table.id
        arrays |= {f"{name}/{column}": one.codes for column, one in table.held.packed.items()}
    arrays["about"] = np.frombuffer(json.dumps(about).encode("utf-8", "replace"), np.uint8)
    # a full disk or a read-only home is no reason to fail: the trace has been read
    with suppress(OSError, TracekitError):
        _make_private(path.parent)
        with writing(path, private=True) as temporary:
            np.savez(temporary, **arrays)
    _trim(path.parent)


def _make_private(place: Path) -> None:
    """Makes the folder, for its owner only; one that holds entries and nothing else becomes so."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = place.stat()
    mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    if mine and status.st_mode & 0o077 and all(map(_ENTRY.fullmatch, os.listdir(place))):
        place.chmod(0o700)


def _entries(place: Path) -> list[tuple[float, int, Path]]:
    """(last use, bytes, path) of all entries, the longest unused first."""
    found = []
    for path in place.glob("*.npz"):
        with suppress(OSError):
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    return sorted(found)


def _trim(place: Path) -> None:
    entries = _entries(place)
    total = sum(size for _, size, _ in entries)
    for _, size, path in entries:
        if total <= _MOST:
            return
        with suppress(OSError):
            path.unlink()
        total -= size


def usage() -> tuple[int, int]:
    """How many entries there are, and their bytes."""
    place = folder()
    entries = _entries(place) if place is not None else []
    return len(entries), sum(size for _, size, _ in entries)


def clear() -> tuple[int, int]:
    """Removes all entries; how many there were, and their bytes."""
    place = folder()
    entries = _entries(place) if place is not None else []
    for _, _, path in entries:
        path.unlink(missing_ok=True)
    return len(entries), sum(size for _, size, _ in entries)
