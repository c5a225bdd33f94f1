"""Archives into a folder, without a member that leaves it."""

from __future__ import annotations

import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from tracekit import extras, plain
from tracekit.errors import TracekitError
from tracekit.files import writing

NESTED = 4  # archives in one another
MOST_GROWTH = 200  # times its own size: text of numbers shrinks to a third, zeros to a thousandth
HARMLESS = 1 << 28  # bytes that any disk has room for
ENDINGS = (".zip", ".rar", ".tar", ".gz", ".tgz", ".7z")


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive."""
    return path.suffix.lower() in ENDINGS


def unpack(path: Path, folder: Path, *, force: bool = False) -> None:
    """Unpacks a zip, and zips inside it; all else through libarchive.

    A file that is there and equal is left; archives stay beside what they held.

    Raises: TracekitError for a member that would leave the folder or is a link, for a file that
    is there and differs (unless `force`), for an archive that is damaged, encrypted, packed in a
    way that is not known, or unpacks to far more than it holds, for too little space.
    """
    if path.suffix.lower() != ".zip":
        _by_libarchive(path, folder, force)
        return
    _unzip(path, folder, force, 0)


def _unzip(path: Path, folder: Path, force: bool, depth: int) -> None:
    if depth > NESTED:
        raise TracekitError(
            f"archives in archives, {NESTED} deep and deeper",
            where=path,
            hint="unpack it by hand, if you know where it comes from",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not _unwanted(m.filename)]
            for member in members:  # all of them, before the first is written
                inside(folder, member.filename, path)
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise _refused(path, member.filename, "is a link")
                if member.flag_bits & 1:
                    raise _refused(path, member.filename, "is encrypted")
            unpacked = sum(m.file_size for m in members)
            _bomb(path, unpacked)
            _room(path, folder, unpacked)
            for member in members:
                _member(archive, member, folder, path, force, depth)
    except OSError as fault:
        raise _unreadable(path, fault) from None
    except NotImplementedError as fault:  # a way of packing, a version of the format
        raise TracekitError(
            f"packed in a way that Python does not know ({fault})",
            where=path,
            hint="unpack it by hand (unzip, 7z x) in the same folder",
        ) from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError,
            struct.error, IndexError, OverflowError) as fault:  # fmt: skip
        raise _damaged(path, fault) from None


def _damaged(path: Path, fault: object) -> TracekitError:
    return TracekitError(
        f"the archive is damaged ({plain.line(str(fault))})",
        where=path,
        hint="fetch it again with --force",
    )


def _unreadable(path: Path, fault: OSError) -> TracekitError:
    # bz2 has no other word for what is damaged
    said = fault.strerror or str(fault)
    if fault.errno is None:
        return _damaged(path, said)
    return TracekitError(
        f"cannot be unpacked ({said})", where=fault.filename or path, hint="is there room?"
    )


def _bomb(path: Path, unpacked: int) -> None:
    """Raises: TracekitError for what grows as no data set does."""
    packed = max(path.stat().st_size, 1)
    if unpacked > HARMLESS and unpacked > MOST_GROWTH * packed:
        raise TracekitError(
            f"it has {packed:,} bytes and unpacks to {unpacked:,}, as no data set does",
            where=path,
            hint="unpack it by hand, if you know where it comes from",
        )


def inside(folder: Path, name: str, archive: Path) -> Path:
    """Where a member goes.

    Raises: TracekitError where that is not in `folder`.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    windows = PureWindowsPath(name)
    if name and not parts:  # "./", with which tar begins: the folder itself
        return folder
    if not parts or ".." in parts or parts[0] == "/" or windows.drive or "\0" in name:
        raise _refused(archive, name, "leaves the folder")
    target = folder.joinpath(*parts)
    # a link that lay in the folder before must not lead out of it either
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise _refused(archive, name, "leaves the folder by a link")
    return target


def _refused(archive: Path, name: str, why: str) -> TracekitError:
    return TracekitError(
        f"a member {why}: {name[:120]!a}", where=archive, hint="nothing of it was unpacked"
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
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    folder: Path,
    path: Path,
    force: bool,
    depth: int,
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
        _unzip(target, target.parent, force, depth + 1)


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
        said = plain.line(str(fault))
        if "encrypt" in said.lower() or "passphrase" in said.lower():
            raise TracekitError(
                f"it is encrypted ({said})", where=path, hint="unpack it by hand, with its password"
            ) from None
        raise _damaged(path, said) from None
    except (UnicodeError, ValueError) as fault:
        raise _damaged(path, fault) from None


def _name(entry: Any, archive: Path) -> str:
    """A member's name. Raises: TracekitError for one that is no text, which no folder can hold."""
    name = entry.pathname
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    if not isinstance(name, str):
        raise _refused(archive, str(name), "has no name")
    try:
        name.encode()
    except UnicodeError:
        raise _refused(archive, name, "has a name that is no UTF-8") from None
    return name


def _by_libarchive(path: Path, folder: Path, force: bool) -> None:
    needed = 0
    with _entries(path) as archive:
        for entry in archive:
            name = _name(entry, path)
            inside(folder, name, path)
            if entry.issym or entry.islnk:
                raise _refused(path, name, "is a link")
            needed += entry.size or 0
    _bomb(path, needed)
    _room(path, folder, needed)
    most = max(HARMLESS, MOST_GROWTH * path.stat().st_size)
    with _entries(path) as archive:
        for entry in archive:
            name = _name(entry, path)
            if not entry.isfile or _unwanted(name):
                continue
            target = inside(folder, name, path)
            with writing(target) as temporary:
                crc = size = 0
                with open(temporary, "wb") as out:
                    for block in entry.get_blocks():
                        out.write(block)
                        crc, size = zlib.crc32(block, crc), size + len(block)
                        if size > most:  # more than it said
                            _bomb(path, size)
                _is_there(target, size, crc, force)  # refuses to write over what differs
