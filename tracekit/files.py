"""Files that are whole or absent, and that replace nothing which is not theirs to replace."""

from __future__ import annotations

import atexit
import gzip
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from tracekit.errors import TracekitError
from tracekit.patterns import later

# a descriptor by its path: what it leads to is not opened anew, which would write from its start
_DESCRIPTOR = later(r"/(?:proc/(self|\d+)|dev)/fd/(\d+)$")
_TRACE = later(r"(?:\.pt)?(?:\.trace)?\.json(?:\.gz)?$")  # an ending that stays whole
_LINKS = 40  # followed, as Linux does


# ---------------------------------------------------------------- writing


@contextmanager
def writing(path: str | Path, *, private: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends without a fault.

    Missing folders are made. On any fault, Ctrl-C included, nothing is left behind. A link stays
    and what it leads to is replaced; a pipe, a terminal or a device is written into. `private`
    files are their owner's to read and write, and nobody else's.

    Raises: TracekitError where the folder cannot be written or the disk is full.
    """
    given = Path(path)
    if _goes_through(given):
        with _through(given) as temporary:
            yield temporary
        return
    temporary, target = _new_file(given)
    try:
        yield temporary
        temporary.chmod(0o600 if private else _mode(target))
        os.replace(temporary, target)
    except OSError as fault:
        temporary.unlink(missing_ok=True)
        # a fault of another file is none of ours
        if fault.filename not in (None, str(temporary), str(target)):
            raise
        raise _unwritable(given, fault) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def writing_new(path: str | Path) -> Iterator[tuple[Path, Callable[[], Path]]]:
    """As `writing`, under a name that nothing has: `path`, or with `-2`, `-3` … before its endings.

    Gives the temporary path, and a function that gives the name once the block has ended. Another
    process that writes the same at the same time gets another name.
    """
    taken: list[Path] = []
    temporary, target = _new_file(Path(path))
    try:
        yield temporary, lambda: taken[0]
        temporary.chmod(0o666 & ~_umask())
        for candidate in numbered(target):
            if _taken_by(temporary, candidate):
                taken.append(candidate)
                return
    except OSError as fault:
        if fault.filename not in (None, str(temporary), str(target)):
            raise
        raise _unwritable(target, fault) from None
    finally:
        temporary.unlink(missing_ok=True)


def numbered(path: Path) -> Iterator[Path]:
    """`a.json.gz`, `a-2.json.gz`, `a-3.json.gz` …"""
    yield path
    found = _TRACE.search(path.name)
    ending = found[0] if found else path.suffix
    stem = path.name.removesuffix(ending)
    number = 2
    while True:
        yield path.with_name(f"{stem}-{number}{ending}")
        number += 1


def free(path: Path) -> Path:
    """The first of these names that nothing has."""
    return next(one for one in numbered(path) if not one.exists() and not one.is_symlink())


def _taken_by(temporary: Path, target: Path) -> bool:
    """Whether the name was free, and is now that of the file."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if target.exists():
            return False
        os.replace(temporary, target)
    return True


def _new_file(given: Path) -> tuple[Path, Path]:
    """A new temporary file, and the file that it is to become."""
    ending = "".join(_endings(given))
    try:
        target = given.resolve() if given.is_symlink() else given
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(None, "it is read-only")
        _sweep(target.parent.absolute())
        stem = target.name.removesuffix(ending)[:100]
        handle, name = tempfile.mkstemp(
            prefix=f".{stem}.{_mark()}{os.getpid()}-", suffix=ending, dir=target.parent
        )
    except (OSError, RuntimeError, ValueError) as fault:  # a circle of links; a NUL byte
        raise _unwritable(given, fault) from None
    os.close(handle)
    return Path(name), target


def _endings(path: Path) -> list[str]:
    """The last two endings: writers choose a format, and gzip or not, by them."""
    return path.suffixes[-2:]


def _mark() -> str:
    """What stands in the name of a temporary file of this machine before the process's number."""
    return f"tracekit-{zlib.crc32(platform.node().encode()):08x}-"


@lru_cache(maxsize=64)
def _sweep(folder: Path) -> None:
    """Removes the temporary files and folders that a killed process has left."""
    left = re.compile(rf"(?:\..*\.)?{_mark()}(\d+)-\w{{8}}(?:\.[^.]*){{0,2}}")
    with suppress(OSError):
        for path in folder.iterdir():
            found = left.fullmatch(path.name)
            if found and not _runs(int(found[1])):
                _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):  # another has removed it, or it is another user's
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _mode(target: Path) -> int:
    """The rights of the file that is replaced; a new one has those that any new file has."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except OSError:
        return 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(target: Path, fault: Exception) -> TracekitError:
    said = fault.strerror if isinstance(fault, OSError) else None
    return TracekitError(
        f"cannot be written ({said or fault})",
        where=target,
        hint="choose another place with -o, or free some space",
    )


# ---------------------------------------------------------------- what goes away


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder that goes away with the block. Those that killed processes left go now."""
    folder = _scratch()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def passing() -> Path:
    """As `scratch`, a folder that goes away with this process."""
    folder, process = _scratch(), os.getpid()

    def remove() -> None:
        if os.getpid() == process:  # a forked process ends without it
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _scratch() -> Path:
    """Raises: TracekitError where the system's place for temporary files takes none."""
    try:
        place = tempfile.gettempdir()
        _sweep(Path(place))
        return Path(tempfile.mkdtemp(prefix=f"{_mark()}{os.getpid()}-", dir=place))
    except OSError as fault:
        raise TracekitError(
            f"no room for temporary files ({fault.strerror or fault})",
            where=os.environ.get("TMPDIR") or "the system's temporary folder",
            hint="free some space there, or name another folder with TMPDIR",
        ) from None


# ---------------------------------------------------------------- what is no file


def _goes_through(path: Path) -> bool:
    """Whether bytes go into what is there: a pipe, a device, a descriptor of this process."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    if stat.S_ISDIR(mode):
        return False
    return not stat.S_ISREG(mode) or _descriptor(path) is not None


def _descriptor(path: Path) -> int | None:
    """The number of the open file that a path like /dev/stdout stands for."""
    at = os.path.abspath(path)
    for _ in range(_LINKS):
        found = _DESCRIPTOR.match(at)
        if found and found[1] in ("self", str(os.getpid()), None):
            return int(found[2])
        if not os.path.islink(at):
            return None
        at = os.path.join(os.path.dirname(at), os.readlink(at))
    return None


@contextmanager
def _through(path: Path) -> Iterator[Path]:
    """A temporary path whose content is written into what is there."""
    with scratch() as folder:
        temporary = folder / path.with_suffix("").name
        temporary = temporary.with_name(temporary.name + "".join(_endings(path)))
        yield temporary
        number = _descriptor(path)
        if number is not None and sys.stdout is not None:
            sys.stdout.flush()  # what was printed comes first
        try:
            with (
                open(temporary, "rb") as source,
                open(path if number is None else os.dup(number), "wb") as out,
            ):
                shutil.copyfileobj(source, out, 1 << 20)
        except OSError as fault:
            raise _unwritable(path, fault) from None


# ---------------------------------------------------------------- what may be replaced


def check(
    path: str | Path,
    *,
    inputs: Iterable[str | Path] = (),
    ours: Callable[[Path], bool],
    force: bool = False,
) -> None:
    """Nothing where `path` may be written, which is asked before the work and not after it.

    Raises: TracekitError where it is one of `inputs` (by whatever name or link), where it cannot
    be written, and where a file is there that `ours` does not know and `force` is off.
    """
    distinct(path, inputs)
    writable(path)
    target = Path(path)
    with suppress(OSError, ValueError):
        if force or _goes_through(target) or not target.is_file() or not target.stat().st_size:
            return
        if not ours(target):
            raise TracekitError(
                "is there already, and nothing that this command has written",
                where=path,
                hint="choose another place, or replace it with --force (force=True in Python)",
            )


def writable(path: str | Path) -> None:
    """Nothing where a file of that name can be made, which is tried in the folder that is there.

    Raises: TracekitError where it cannot.
    """
    given = Path(path)
    if _goes_through(given):
        return
    try:
        target = given.resolve() if given.is_symlink() else given
        if target.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(None, "it is read-only")
        folder = next(f for f in (target.parent, *target.parent.parents) if f.exists())
        if not folder.is_dir():
            raise NotADirectoryError(None, f"{folder} is no folder")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError, ValueError) as fault:  # a circle of links; a NUL byte
        raise _unwritable(given, fault) from None


def distinct(path: str | Path, inputs: Iterable[str | Path]) -> None:
    """Nothing where writing `path` leaves all inputs as they are.

    Raises: TracekitError where it is one of them, by whatever name or link.
    """
    for given in inputs:
        if _same(path, given):
            same = "the input" if str(path) == str(given) else f"the input {given}"
            raise TracekitError(
                f"is {same} itself, which would be lost", where=path, hint="choose another place"
            )


def _same(one: str | Path, two: str | Path) -> bool:
    try:
        # devices and pipes are passed through, and lose nothing
        return os.path.samefile(one, two) and stat.S_ISREG(os.stat(one).st_mode)
    except (OSError, ValueError):
        return False


def starts(path: Path, most: int = 1 << 14) -> bytes:
    """What a file, or the text in a gzip file, begins with; empty where it cannot be read."""
    with suppress(OSError, EOFError, zlib.error), open(path, "rb") as file:
        if file.peek(2)[:2] == b"\x1f\x8b":
            with gzip.open(file) as text:
                return text.read(most)
        return file.read(most)
    return b""


def is_ours(path: Path) -> bool:
    """Whether this is a file of this user, that nobody else may write. Raises: OSError."""
    status = path.lstat()
    mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return mine and stat.S_ISREG(status.st_mode) and not status.st_mode & 0o022
