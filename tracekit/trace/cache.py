"""Columns of large traces, kept between runs and found again by content.

The key is the SHA-256 of the file as stored, of the code that reads it, and the side tables asked
for: another file, another reader or another question never meets an old entry. `TRACEKIT_CACHE=off`
turns it off, any other value is the folder to use.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tracekit.errors import TracekitError
from tracekit.files import writing
from tracekit.trace.json.source import Text
from tracekit.trace.trace import TABLES, Loss, Source, Table, Trace, Unknown

# below these the text is read about as fast as its hash is made and the entry loaded
_PLAIN = 64 << 20
_COMPRESSED = 8 << 20
_MOST = 4 << 30  # bytes kept in all; the longest unused go first
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
    for path in sorted([*here.glob("*.py"), *here.glob("columns/*.py"), *here.glob("json/*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def load(path: Path, text: Text, reread: Any) -> Trace | None:
    """The trace of an entry; None where there is none, or it is not whole."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        about = json.loads(arrays.pop("about").tobytes())
        os.utime(path)  # it was of use
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    for array in arrays.values():
        array.flags.writeable = False
    tables = {
        name: Table(
            arrays[f"{name}/id"],
            {c.rstrip("*"): arrays[f"{name}/{c.rstrip('*')}"] for c in TABLES[name]},
            tuple(strings),
        )
        for name, strings in about["tables"].items()
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
    return Trace(source, tuple(about["strings"]), about["origin_ns"], tables=tables, **columns)


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
        "tables": {name: table.strings for name, table in trace.tables.items()},
    }
    arrays = {name: getattr(trace, name) for name in _COLUMNS}
    for name, table in trace.tables.items():
        arrays[f"{name}/id"] = table.id
        arrays.update({f"{name}/{column}": values for column, values in table.columns.items()})
    arrays["about"] = np.frombuffer(json.dumps(about).encode("utf-8", "replace"), np.uint8)
    # a full disk or a read-only home is no reason to fail: the trace has been read
    with suppress(OSError, TracekitError), writing(path) as temporary:
        np.savez(temporary, **arrays)
    _trim(path.parent)


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
