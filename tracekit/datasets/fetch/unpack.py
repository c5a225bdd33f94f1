"""Archives into a folder, without a member that leaves it."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from tracekit import extras
from tracekit.errors import TracekitError
from tracekit.files import writing

ENDINGS = (".zip", ".rar", ".tar", ".gz", ".tgz", ".7z")


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive."""
    return path.suffix.lower() in ENDINGS


def unpack(path: Path, folder: Path, *, force: bool = False) -> None:
    """Unpacks a zip, and zips inside it; all else through libarchive.

    A file that is there and equal is left; archives stay beside what they held.

    Raises: TracekitError for a member that would leave the folder or is a link, for a file that
    is there and differs (unless `force`), for a damaged archive, for too little space.
    """
    if path.suffix.lower() != ".zip":
        _by_libarchive(path, folder, force)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not _unwanted(m.filename)]
            for member in members:  # all of them, before the first is written
                inside(folder, member.filename, path)
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise _refused(path, member.filename, "is a link")
            _room(path, folder, sum(m.file_size for m in members))
            for member in members:
                _member(archive, member, folder, path, force)
    except (zipfile.BadZipFile, zlib.error, EOFError) as fault:
        raise TracekitError(
            f"the archive is damaged ({fault})", where=path, hint="fetch it again with --force"
        ) from None


def inside(folder: Path, name: str, archive: Path) -> Path:
    """Where a member goes.

    Raises: TracekitError where that is not in `folder`.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    windows = PureWindowsPath(name)
    if not parts or ".." in parts or parts[0] == "/" or windows.drive or "\0" in name:
        raise _refused(archive, name, "leaves the folder")
    target = folder.joinpath(*parts)
    # a link that lay in the folder before must not lead out of it either
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise _refused(archive, name, "leaves the folder by a link")
    return target


def _refused(archive: Path, name: str, why: str) -> TracekitError:
    return TracekitError(
        f"a member {why}: {name[:120]!r}", where=archive, hint="nothing of it was unpacked"
    )


def _unwanted(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.endswith((".DS_Store", "/"))


def _room(archive: Path, folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise TracekitError(
            f"unpacked it has {needed:,} bytes, and {free:,} are free",
            where=archive,
            hint="free some space",
        )


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, path: Path, force: bool
) -> None:
    target = inside(folder, member.filename, path)
    if not _is_there(target, member.file_size, member.CRC, force):
        with (
            archive.open(member) as source,
            writing(target) as temporary,
            open(temporary, "wb") as out,
        ):
            shutil.copyfileobj(source, out, 1 << 20)
    if target.suffix.lower() == ".zip":
        unpack(target, target.parent, force=force)


def _is_there(target: Path, size: int, crc: int, force: bool) -> bool:
    """Whether the file need not be written.

    Raises: TracekitError where it differs and `force` is off.
    """
    if not target.exists():
        return False
    if target.is_file() and target.stat().st_size == size and _crc(target) == crc:
        return True
    if force and target.is_file():
        return False
    raise TracekitError(
        "this file differs from the one in the archive",
        where=target,
        hint="move it away, or overwrite it with --force",
    )


def _crc(path: Path) -> int:
    value = 0
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            value = zlib.crc32(chunk, value)
    return value


@contextmanager
def _entries(path: Path) -> Iterator[Any]:
    extras.need("datasets", "libarchive", where=path)
    try:
        import libarchive
    except (OSError, AttributeError):  # the package is a shell around the system's library
        raise TracekitError(
            f"unpacking {path.suffix} needs the system's libarchive",
            where=path,
            hint="install that, or unpack it by hand (unrar x) in the same folder",
        ) from None
    try:
        with libarchive.file_reader(str(path)) as archive:
            yield archive
    except libarchive.ArchiveError as fault:
        raise TracekitError(
            f"the archive is damaged ({fault})", where=path, hint="fetch it again with --force"
        ) from None


def _by_libarchive(path: Path, folder: Path, force: bool) -> None:
    needed = 0
    with _entries(path) as archive:
        for entry in archive:
            inside(folder, entry.pathname, path)
            if entry.issym or entry.islnk:
                raise _refused(path, entry.pathname, "is a link")
            needed += entry.size or 0
    _room(path, folder, needed)
    with _entries(path) as archive:
        for entry in archive:
            if not entry.isfile or _unwanted(entry.pathname):
                continue
            target = inside(folder, entry.pathname, path)
            with writing(target) as temporary:
                crc = size = 0
                with open(temporary, "wb") as out:
                    for block in entry.get_blocks():
                        out.write(block)
                        crc, size = zlib.crc32(block, crc), size + len(block)
                _is_there(target, size, crc, force)  # refuses to write over what differs
