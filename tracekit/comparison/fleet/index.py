"""An index of trace files, brought up to date: only what is new or changed is read."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec import Struct, field

from tracekit.comparison.fleet import rows as making
from tracekit.comparison.fleet import store
from tracekit.comparison.fleet.columns import Row
from tracekit.comparison.fleet.rows import File
from tracekit.errors import UsageError
from tracekit.results.workers import run
from tracekit.results.workers.run import Where
from tracekit.results.workers.work import Asked
from tracekit.trace.inputs import archives

_BATCH = 8  # files a worker, after which what is done is kept
_SHARE = 0.05  # of the time is for keeping what is done, where one process reads


class Update(Struct):
    """What an update did."""

    new: int = 0
    changed: int = 0
    moved: int = 0  # or copied: the same bytes under another name, whose rows were taken
    unchanged: int = 0
    absent: int = 0  # in the index, and no longer there: their rows stay
    faults: list[str] = field(default_factory=list)
    left: int = 0  # of an interrupted run
    rows: int = 0
    traces: int = 0
    unreadable: int = 0  # files of which only an error is kept


Labels = Callable[[str], str | None]  # of a path


def labels(text: str | None, pattern: str | None) -> Labels:
    """The label of a path: `text`, or the first group of `pattern` in it.

    Raises: UsageError for a pattern that is none, or has no group.
    """
    if pattern is None:
        return lambda _path: text
    try:
        found = re.compile(pattern)
    except re.error as fault:
        raise UsageError(
            f"is no regular expression ({fault})", where=f"--label-from {pattern}",
            hint="for instance 'run-([^/]+)'",
        ) from None  # fmt: skip
    if not found.groups:
        raise UsageError(
            "has no group, which would be the label", where=f"--label-from {pattern}",
            hint="put it in brackets: 'run-([^/]+)'",
        )  # fmt: skip

    def of(path: str) -> str | None:
        match = found.search(path)
        return match[1] if match else None

    return of


def update(
    paths: Sequence[str],
    target: Path,
    *,
    label: Labels = lambda _path: None,
    again: bool = False,
    where: Where | None = None,
    progress: Callable[[str], None] = lambda _text: None,
) -> Update:
    """Reads what is new or changed, and writes the index, also where Ctrl-C ends it early.

    `again` reads all. A file that cannot be read is a row that says so, until it changes.

    Raises: TracekitError where the index is none of ours, or cannot be written; KeyboardInterrupt
    after what was complete is written.
    """
    held = _by_trace(store.read(target)) if target.is_file() and target.stat().st_size else {}
    out = Update()
    waiting = list(_waiting(paths, target, held, out, label, again))
    out.absent = sum(not _there(trace, target) for trace in held)
    keeper = _Keeper(held, target)
    try:
        if waiting:
            _read(waiting, keeper, out, where or Where(), progress)
    except KeyboardInterrupt:
        out.left = out.left or len(waiting)
        keeper.keep(by_all_means=True)
        raise
    if held or not out.faults:  # a mistaken path leaves no file
        keeper.keep(by_all_means=True)
    out.rows = sum(map(len, held.values()))
    out.unreadable = sum(own[0]["error"] is not None for own in held.values())
    out.traces = len(held) - out.unreadable
    return out


# ---------------------------------------------------------------- what is new


def _by_trace(rows: Iterable[Row]) -> dict[str, list[Row]]:
    held: dict[str, list[Row]] = {}
    for row in rows:
        held.setdefault(str(row["trace"]), []).append(row)
    return held


def _waiting(
    paths: Sequence[str],
    target: Path,
    held: dict[str, list[Row]],
    out: Update,
    label: Labels,
    again: bool,
) -> Iterable[tuple[str, File]]:
    """The files to read; rows of others are brought up to date in `held`."""
    digests = {str(rows[0]["file_sha256"]): trace for trace, rows in held.items()
               if rows[0]["file_sha256"] and rows[0]["error"] is None}  # fmt: skip
    for path in dict.fromkeys(paths):
        name = named(path, target)
        mtime, size = _state(path)
        before = held.get(name)
        if mtime is None and before is None and not ("://" in path or "!/" in path):
            out.faults.append(f"{path}: is not there; check the path")
            continue
        if before and not again and mtime is not None and (
            (before[0]["file_mtime_ns"], before[0]["file_bytes"]) == (mtime, size)
        ):  # fmt: skip
            out.unchanged += 1
            continue
        file = File(name, mtime, size, _digest(path), label(path))
        same = digests.get(file.sha256 or "")
        if same is not None and not again:
            kept = file.label if file.label is not None or same != name else held[same][0]["label"]
            held[name] = [{**row, **file.row, "label": kept, "tracekit": row["tracekit"]}
                          for row in held[same]]  # fmt: skip
            out.moved += same != name
            out.unchanged += same == name
            continue
        out.new, out.changed = out.new + (not before), out.changed + bool(before)
        yield path, file


def named(path: str, target: Path) -> str:
    """What the index calls a file: from its own folder where it lies below, else absolute."""
    if "://" in path:
        return path
    whole = os.path.abspath(path)
    near = os.path.relpath(whole, os.path.abspath(target.parent))
    return whole if near.startswith(os.pardir) else near


def located(trace: str, target: Path) -> str:
    """Where the file of a row is."""
    return trace if "://" in trace else os.path.join(os.path.abspath(target.parent), trace)


def _there(trace: str, target: Path) -> bool:
    return "://" in trace or os.path.exists(str(_file(located(trace, target))))


def _file(path: str) -> Path:
    """The file on disk: of a member of an archive the archive."""
    inside = archives.split(path)
    return Path(path) if inside is None else inside[0]


def _state(path: str) -> tuple[int | None, int | None]:
    """Time of the last change in ns, and size; nothing for an address."""
    try:
        status = _file(path).stat()
    except OSError:
        return None, None
    return status.st_mtime_ns, status.st_size


def _digest(path: str) -> str | None:
    """Of the file's bytes; of a member of an archive of the archive's and its name."""
    try:
        with _file(path).open("rb") as stored:
            found = hashlib.file_digest(stored, "sha256")
    except OSError:
        return None
    if (inside := archives.split(path)) is not None:
        found.update(inside[1].encode())
    return found.hexdigest()


# ---------------------------------------------------------------- reading


class _Keeper:
    """Writes the rows now and then: little is lost, and little time spent."""

    def __init__(self, held: dict[str, list[Row]], target: Path) -> None:
        self.held, self.target = held, target
        self.last, self.took = time.monotonic(), 0.0

    def keep(self, *, by_all_means: bool = False) -> None:
        begun = time.monotonic()
        if not by_all_means and begun - self.last < self.took / _SHARE:
            return
        store.write([row for rows in self.held.values() for row in rows], self.target)
        self.last = time.monotonic()
        self.took = self.last - begun


def _read(
    waiting: Sequence[tuple[str, File]],
    keeper: _Keeper,
    out: Update,
    where: Where,
    progress: Callable[[str], None],
) -> None:
    workers = run.count([path for path, _ in waiting], where)
    size = 1 if workers == 1 and not where.named else _BATCH * max(workers, 4)
    asked = Asked(making.ASKED, False, None, ())
    for begin in range(0, len(waiting), size):
        batch = waiting[begin : begin + size]
        done = f"{begin} of {len(waiting)} files done"
        progress(done)
        found = run.answers([path for path, _ in batch], asked, where, progress=lambda _t: None)
        for place, one in found.done.items():
            file = batch[place][1]
            if one.answers is None:
                keeper.held[file.trace] = making.of_fault(file, one.fault)
                out.faults.append(one.fault)
            else:
                keeper.held[file.trace] = making.of(file, one.answers)
        out.left = len(waiting) - begin - len(found.done)
        if found.interrupted:
            raise KeyboardInterrupt
        keeper.keep()
