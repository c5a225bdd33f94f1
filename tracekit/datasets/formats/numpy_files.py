"""NumPy's files, read without pickles: what is damaged, or something else, is said in one line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy.typing as npt


def npy(source: Path | bytes, path: Path, mapped: bool = False) -> npt.NDArray[Any]:
    """The array of a .npy file, or of its bytes; `mapped` leaves it on disk.

    Raises: TracekitError where `path` cannot be read, or is something else, or holds objects.
    """
    import io

    import numpy as np

    try:
        found = np.load(
            io.BytesIO(source) if isinstance(source, bytes) else source,
            allow_pickle=False,
            mmap_mode="r" if mapped else None,
        )
        if not isinstance(found, np.ndarray):
            found.close()
            raise TypeError("an archive of arrays")
    except OSError as fault:
        raise _unread(fault, path) from None
    except Exception as fault:  # numpy parses headers as Python, and zips: anything may come
        raise _not_whole(fault, path) from None
    return found


def npz(path: Path, names: Iterable[str]) -> tuple[dict[str, npt.NDArray[Any]], tuple[str, ...]]:
    """Those arrays of a .npz file that it has, and the names of all.

    Raises: TracekitError where it cannot be read, or is something else, or holds objects.
    """
    import numpy as np

    try:
        opened: Any = np.load(path, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            raise TypeError("one array, not an archive of them")
        with opened as file:
            return {name: file[name] for name in names if name in file.files}, tuple(file.files)
    except OSError as fault:
        raise _unread(fault, path) from None
    except Exception as fault:  # numpy parses headers as Python, and zips: anything may come
        raise _not_whole(fault, path) from None


def npz_names(path: Path) -> tuple[str, ...]:
    """The names of a .npz file's arrays; none where it is no such file."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as opened:
            return tuple(name.removesuffix(".npy") for name in opened.namelist())
    except Exception:  # a damaged archive raises nearly anything
        return ()


def _unread(fault: OSError, path: Path) -> TracekitError:
    return TracekitError(
        f"cannot be read ({fault.strerror or fault})", where=path, hint="check the path"
    )


def _not_whole(fault: BaseException, path: Path) -> TracekitError:
    said = " ".join(str(fault).split()) or type(fault).__name__
    if said.startswith("Object arrays"):
        return TracekitError(
            "an array of Python objects, which is a pickle",
            where=path,
            hint="save plain numbers; --trust-pickle where a data set takes it",
        )
    if "pickled" in said:  # numpy guesses so of whatever has no header of its own
        return TracekitError(
            "not a numpy array", where=path, hint="a file that numpy.save wrote is expected"
        )
    return TracekitError(
        f"not a whole numpy array ({said})", where=path, hint="is the file damaged, or cut short?"
    )
