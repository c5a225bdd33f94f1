"""Traces in a zip or tar: `run.zip!/rank0.json.gz` names one of them.

The first that is opened unpacks all traces of its archive into a folder of this process, which goes
with it: compressed tars can only be read from their begin.
"""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO

from tracekit import files
from tracekit.errors import TracekitError, reason
from tracekit.patterns import later

MEMBER = "!/"
MOST_FILES = 4096
_TRACE = later(r"\.json(\.gz)?$|\.trace(\.gz)?$", re.IGNORECASE)
_BLOCK = 1 << 20
_RATIO = 100  # of what is unpacked to the archive: traces reach 10 to 40
_ANYWAY = 64 << 20  # bytes that any archive may unpack to
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError,
           NotImplementedError, OSError, UnicodeError, ValueError)  # fmt: skip


def is_trace_name(name: str) -> bool:
    """Whether a file may be a trace, by its name; hidden ones are not."""
    parts = name.replace("\\", "/").split("/")
    return bool(_TRACE.search(name)) and not any(
        part.startswith((".", "__MACOSX")) and part != "." for part in parts
    )


def members(path: Path) -> tuple[str, ...]:
    """Names of the traces in an archive; none where the file is no archive, or holds none.

    Raises: TracekitError for an archive that cannot be read.
    """
    if not _is_archive(path):
        return ()
    try:
        # of two members of one name the later stands for both, as where they are unpacked
        names = list(dict.fromkeys(name for name, _ in _entries(path)))
    except _BROKEN as fault:
        raise _unreadable(path, fault) from None
    if len(names) > MOST_FILES:
        raise TracekitError(
            f"holds {len(names):,} traces, more than {MOST_FILES:,}", where=str(path),
            hint="unpack it, and name some of them",
        )  # fmt: skip
    return tuple(names)


def told(path: Path, kind: str) -> tuple[str, str]:
    """What an archive is that was named where one trace is wanted, and what to do.

    `kind`: zip or tar, by its first bytes.
    """
    try:
        names = _files(path)
    except _BROKEN as fault:
        why = "its directory, at the end, is missing" if kind == "zip" else reason(fault)
        return (
            f"a {kind} archive that is cut off or damaged ({why})",
            "copy or download it again",
        )
    traces = list(dict.fromkeys(name for name in names if is_trace_name(name)))
    if traces:
        held = "1 trace" if len(traces) == 1 else f"{len(traces):,} traces"
        some = f"{path}{MEMBER}{traces[0]}"
        return f"a {kind} archive of {held}: give one trace", f"name it so: {some}"
    out = [name for name in names if ".." in name.replace("\\", "/").split("/")]
    leads = f", some of which lead out of it ({out[0]})" if out else ""
    return (
        f"a {kind} archive without a trace among its files{leads}",
        "give a torch.profiler trace (.json, .json.gz), or an archive of such",
    )


def _files(path: Path) -> list[str]:
    """Names of all files in an archive, folders and links left out."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            return [info.filename for info in zipped.infolist() if not info.is_dir()]
    with tarfile.open(path) as tarred:
        return [member.name for member in tarred if member.isfile()]


def split(name: str) -> tuple[Path, str] | None:
    """The archive and the member that a name names; None for any other name."""
    archive, mark, member = name.partition(MEMBER)
    if not mark or not Path(archive).is_file():
        return None
    return Path(archive), member


_lent: dict[tuple[Path, str], Path] = {}


def lend(name: str, place: str) -> None:
    """`ARCHIVE!/MEMBER` lies unpacked at `place`: another process of this machine did that."""
    inside = split(name)
    if inside is not None:
        _lent[inside] = Path(place)


def unpacked(archive: Path, member: str) -> Path:
    """Where a member lies. Raises: TracekitError where it is not there, or cannot be unpacked."""
    lent = _lent.get((archive, member))
    if lent is not None and lent.is_file():
        return lent
    status = archive.stat()
    found = _unpacked(archive.resolve(), status.st_mtime_ns, status.st_size)
    if member not in found:
        raise TracekitError(
            f"holds no trace {member}", where=str(archive), hint="name the archive alone"
        )
    return found[member]


def _is_archive(path: Path) -> bool:
    """By its first bytes, those of what is compressed in it too."""
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except (OSError, *_BROKEN):
        return False


@lru_cache(maxsize=64)
def _unpacked(archive: Path, _changed_ns: int, size: int) -> dict[str, Path]:
    folder = files.passing()
    found: dict[str, Path] = {}
    room = _RATIO * size + _ANYWAY
    try:
        for number, (name, stream) in enumerate(_entries(archive, unpack=True)):
            assert stream is not None
            place = folder / f"{number}{''.join(Path(name).suffixes[-2:])}"
            with stream, open(place, "wb") as copy:
                while block := stream.read(_BLOCK):
                    room -= len(block)
                    if room < 0:
                        raise TracekitError(
                            f"unpacks to more than {_RATIO} times its size", where=str(archive),
                            hint="no trace does; if you trust it, unpack it yourself",
                        )  # fmt: skip
                    copy.write(block)
            found[name] = place
    except _BROKEN as fault:
        raise _unreadable(archive, fault) from None
    return found


def _entries(path: Path, *, unpack: bool = False) -> Iterator[tuple[str, IO[bytes] | None]]:
    """The traces of an archive by name, and their text where it is wanted."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            for info in zipped.infolist():
                if not info.is_dir() and is_trace_name(info.filename):
                    yield info.filename, zipped.open(info) if unpack else None
        return
    with tarfile.open(path) as tarred:
        for member in tarred:
            name = member.name.removeprefix("./")
            if member.isfile() and is_trace_name(name):
                yield name, tarred.extractfile(member) if unpack else None


def _unreadable(path: Path, fault: BaseException) -> TracekitError:
    said = str(fault).splitlines()
    return TracekitError(
        f"an archive that cannot be unpacked ({said[0] if said else type(fault).__name__})",
        where=str(path), hint="is it whole? then unpack it yourself, and name the traces",
    )  # fmt: skip
