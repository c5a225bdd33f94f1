"""Files that are whole or absent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracekit.errors import TracekitError


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends without a fault.

    Missing folders are made. On any fault, Ctrl-C included, nothing is left behind.

    Raises: TracekitError where the folder cannot be written or the disk is full.
    """
    target = Path(path)
    # the ending stays last: writers choose a format, and gzip or not, by it
    ending = "".join(target.suffixes[-2:]) if len(target.suffixes) > 1 else target.suffix
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=ending, dir=target.parent)
    except OSError as fault:
        raise _unwritable(target, fault) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes it private
        os.replace(temporary, target)
    except OSError as fault:
        temporary.unlink(missing_ok=True)
        # a fault of another file is none of ours
        if fault.filename not in (None, name, str(target)):
            raise
        raise _unwritable(target, fault) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _unwritable(target: Path, fault: OSError) -> TracekitError:
    return TracekitError(
        f"cannot be written ({fault.strerror or fault})",
        where=target,
        hint="choose another place with -o, or free some space",
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
