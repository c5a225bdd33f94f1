"""What the arguments of a command name: files, folders of traces, patterns, archives of ranks."""

from __future__ import annotations

import glob
import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tracekit.errors import TracekitError
from tracekit.patterns import later
from tracekit.records import Record
from tracekit.trace.inputs import archives, remote

_HEAD = 1 << 16
# a trace has these near its begin; answers, benchmarks and configurations do not. What a capture of
# ours says of itself comes before its events, and may be long
_EVENTS = later(rb'"traceEvents"|"ph"\s*:\s*"|"tracekit-capture/')


class Inputs(Record, frozen=True):
    """The traces that are named, in the order in which people count ranks."""

    paths: tuple[str, ...]
    notes: tuple[str, ...]  # what was left out, a line each


def expand(named: Sequence[str]) -> Inputs:
    """Each argument as the traces that it stands for; a file stands for itself.

    Raises: TracekitError for a folder, a pattern, an address or an archive without a trace.
    """
    paths: list[str] = []
    notes: list[str] = []
    for one in named:
        if one == "-":
            paths.append(one)
        elif "://" in one:
            paths += sorted(remote.expanded(one) or [one], key=natural)
        elif os.path.isdir(one):
            paths += _of_folder(one, notes)
        elif glob.has_magic(one) and not os.path.lexists(one):
            paths += _of_pattern(one)
        elif os.path.isfile(one) and (found := archives.members(Path(one))):
            paths += [f"{one}{archives.MEMBER}{name}" for name in sorted(found, key=natural)]
        else:
            paths.append(one)
    return Inputs(tuple(paths), tuple(notes))


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sorts numbers in a text as numbers: rank 2 before rank 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part)
            for part in re.split(r"(\d+)", text)]  # fmt: skip


def _of_folder(folder: str, notes: list[str]) -> list[str]:
    """The traces in a folder and below it."""
    every = sorted(_files(folder), key=lambda path: natural(str(path)))
    found = [path for path in every if _may_be_a_trace(path)]
    if not found:
        raise TracekitError(
            f"a folder of {len(every)} JSON files, and no trace among them" if every
            else "a folder without a trace (.json, .json.gz)",
            where=folder, hint="name the trace files",
        )  # fmt: skip
    if other := len(every) - len(found):
        names = ", ".join(p.name for p in every if p not in set(found))
        short = names if len(names) <= 80 else f"{names[:77]}…"
        notes.append(f"{folder}: {other} JSON files are no traces and left out ({short})")
    return [str(path) for path in found]


def _files(folder: str) -> Iterator[Path]:
    """Files below a folder that may be traces by their names; links to folders are not followed."""
    for at, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            path = Path(at) / name
            if archives.is_trace_name(name) and path.is_file():
                yield path


def _may_be_a_trace(path: Path) -> bool:
    """By the begin of its text; what cannot be read is said when it is read."""
    try:
        with open(path, "rb") as stored:
            packed = stored.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else open(path, "rb") as text:
            head = text.read(_HEAD)
    except (OSError, EOFError, zlib.error):
        return True
    return not head.strip() or bool(_EVENTS.search(head)) or _broken(head)


def _broken(head: bytes) -> bool:
    """Whether a short text is cut off or damaged: that is worth a word, trace or not."""
    if len(head) == _HEAD:
        return False
    try:
        json.loads(head)
    except ValueError:
        return True
    return False


def _of_pattern(pattern: str) -> list[str]:
    found = sorted((path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)),
                   key=natural)  # fmt: skip
    if not found:
        raise TracekitError("matches no file", where=pattern, hint="check the pattern and the path")
    return found
