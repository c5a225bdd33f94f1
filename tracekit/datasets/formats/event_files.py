"""Events of an event camera: .npy (records, four columns, pickled dicts), .npz, .h5 like DSEC's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import extras
from tracekit.datasets.entry import Recording
from tracekit.datasets.formats import numpy_files, pickles
from tracekit.datasets.formats.csv_rows import read_bytes
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy.typing as npt

FIELDS = ("x", "y", "p", "t")
GROUPS = ("events", "CD/events", "prophesee/left", "")  # where an .h5 may keep x, y, p and t


def read(
    path: Path, *, trust_pickle: bool = False, rows: tuple[int, int] | None = None
) -> dict[str, npt.NDArray[Any]]:
    """x, y, p, t of a file, in memory; `rows` cuts an .h5 before it is read.

    Raises: TracekitError where the file cannot be read, lacks a field, or is a pickle that is not
    trusted.
    """
    match path.suffix.lower():
        case ".h5" | ".hdf5":
            return _h5(path, rows)
        case ".npz":
            return _npz(path)
        case _:
            return _npy(path, trust_pickle)


def parse(raw: Mapping[str, npt.NDArray[Any]], path: Path) -> Recording:
    """The four arrays as a recording, t in µs as int64.

    Raises: TracekitError where they differ in length, or t is not in order.
    """
    import numpy as np

    lengths = {len(raw[name]) for name in FIELDS}
    if len(lengths) != 1:
        raise TracekitError(
            f"x, y, p and t differ in length: {sorted(lengths)}", where=path, hint="mend the file"
        )
    if not lengths.pop():
        raise TracekitError("no events", where=path, hint="choose another file")
    notes = []
    arrays = {name: np.asarray(raw[name]) for name in FIELDS}
    if arrays["p"].dtype.kind == "i" and (arrays["p"] < 0).any():
        arrays["p"] = (arrays["p"] > 0).astype(np.uint8)
        notes.append("polarity -1 and 1 written as 0 and 1")
    if arrays["t"].dtype == np.uint16:
        notes.append("t is 16 bit in the file, which wraps after 65.5 ms")
    arrays["t"] = arrays["t"].astype(np.int64)
    back = int((np.diff(arrays["t"]) < 0).sum())
    if back:
        order = np.argsort(arrays["t"], kind="stable")
        arrays = {name: values[order] for name, values in arrays.items()}
        notes.append(f"sorted by time: the clock went back {back} times")
    return Recording("events", arrays=arrays, repairs=tuple(notes))


def _lacks(path: Path, names: object) -> TracekitError:
    return TracekitError(
        "no events: x, y, p and t are needed", where=path, hint=f"the file has: {names}"
    )


def _npy(path: Path, trust: bool) -> dict[str, npt.NDArray[Any]]:
    import numpy as np

    data = read_bytes(path)
    head = data[:256]
    if b"'descr': '|O'" in head:
        value = pickles.npy_object(data, path, trust=trust)
        value = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
        if not isinstance(value, dict) or any(name not in value for name in FIELDS):
            raise _lacks(path, sorted(value) if isinstance(value, dict) else type(value).__name__)
        return {name: np.asarray(value[name]) for name in FIELDS}
    array = numpy_files.npy(data, path)
    if array.dtype.names is None and array.ndim == 2 and array.shape[1] == len(FIELDS):
        return _columns(array, path)
    if array.dtype.names is None or any(name not in array.dtype.names for name in FIELDS):
        raise _lacks(path, array.dtype)
    return {name: array[name] for name in FIELDS}


def _columns(array: npt.NDArray[Any], path: Path) -> dict[str, npt.NDArray[Any]]:
    """x, y, p, t of [N, 4]. Raises: TracekitError where the columns are in another order."""
    import numpy as np

    if array.dtype.kind not in "iub" and not (array == np.round(array)).all():
        raise TracekitError(
            "events that are not whole numbers", where=path, hint="x, y, p, and t in whole µs"
        )
    whole = array.astype(np.int64)
    if not np.isin(whole[:, 2], (-1, 0, 1)).all():
        raise TracekitError(
            "the third column is no polarity (0 and 1, or -1 and 1)",
            where=path,
            hint="the columns are x, y, p, t in this order",
        )
    return {name: whole[:, k] for k, name in enumerate(FIELDS)}


def _npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    found, names = numpy_files.npz(path, FIELDS)
    if len(found) < len(FIELDS):
        raise _lacks(path, names)
    return found


def open_h5(path: Path) -> Any:
    """An open h5py.File, with the Blosc filters that DSEC needs.

    Raises: TracekitError where h5py or hdf5plugin is absent, or the file is none.
    """
    extras.need("events", "h5py", "hdf5plugin", where=path)
    import h5py
    import hdf5plugin  # noqa: F401  # registers the filters as it is imported

    try:
        return h5py.File(path, "r")
    except OSError as fault:
        raise TracekitError(
            f"cannot be read ({fault})", where=path, hint="is it a whole HDF5 file?"
        ) from None


def _h5(path: Path, rows: tuple[int, int] | None) -> dict[str, npt.NDArray[Any]]:
    import numpy as np

    with open_h5(path) as file:
        for name in GROUPS:
            group = file.get(name) if name else file
            if group is None or not all(f in group for f in FIELDS):
                continue
            cut = slice(*rows) if rows else slice(None)
            return {f: np.asarray(group[f][cut]) for f in FIELDS}
        raise _lacks(path, sorted(file))
