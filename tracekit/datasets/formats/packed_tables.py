"""Tables in files of other tools: Parquet, Feather, MATLAB's .mat (both kinds), HDF5, .npz."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import extras
from tracekit.datasets.formats import numpy_files
from tracekit.datasets.formats.tables import Table
from tracekit.errors import TracekitError

if TYPE_CHECKING:
    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[Any]]

RATES = {"fs", "rate", "rate_hz", "sampling_rate", "sample_rate", "samplingrate", "samplerate",
         "srate", "freq", "frequency", "sampling_frequency"}  # fmt: skip
LARGEST = 64  # arrays of a file that are listed where none will do


def read(path: Path) -> Table:
    """The table in a file, in memory.

    Raises: TracekitError where it cannot be read, holds no table, or needs what is not installed.
    """
    return ENDINGS[path.suffix.lower()](path)


def _arrow(path: Path) -> Table:
    extras.need("parquet", "pyarrow", where=path)
    import numpy as np
    import pyarrow as pa
    from pyarrow import feather, parquet

    try:
        found = parquet.read_table(path) if _is_parquet(path) else feather.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise _damaged(path, fault) from None
    names: list[str] = []
    columns: list[Any] = []
    units: list[str] = []
    for name, column in zip(found.column_names, found.columns, strict=True):
        kind = column.type
        unit = ""
        if pa.types.is_timestamp(kind):
            unit, column = kind.unit, column.cast(pa.int64())
            # an index of times has no name of its own
            name = "time" if name.startswith("__index_level_") else name
        elif pa.types.is_duration(kind):
            unit, column = kind.unit, column.cast(pa.int64())
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            names, columns = [*names, name], [*columns, [c or "" for c in column.to_pylist()]]
            units.append(unit)
            continue
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            continue
        values = column.to_numpy()
        names.append(name)
        units.append(unit)
        columns.append(np.asarray(values))
    return Table(tuple(names), tuple(columns), units=tuple(units))


def _is_parquet(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PAR1"


def _npz(path: Path) -> Table:
    _, names = numpy_files.npz(path, ())
    arrays, _ = numpy_files.npz(path, names)
    return from_arrays(arrays, path)


def _mat(path: Path) -> Table:
    with open(path, "rb") as file:
        head = file.read(520)
    if b"\x89HDF" in head:  # what MATLAB 7.3 writes
        return _hdf5(path, turned=True)
    extras.need("datasets", "scipy", where=path)
    from scipy.io import loadmat

    try:
        found = loadmat(path, simplify_cells=True)
    except Exception as fault:  # scipy parses a format without checks: anything may come
        raise _damaged(path, fault) from None
    return from_arrays(dict(_flat(found)), path)


def _flat(found: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The arrays of nested structures, by their path with dots."""
    import numpy as np

    for name, value in found.items():
        if name.startswith("__"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, np.ndarray | int | float):
            yield f"{prefix}{name}", np.asarray(value)


def _hdf5(path: Path, *, turned: bool = False) -> Table:
    """`turned`: MATLAB's order of axes."""
    extras.need("events", "h5py", where=path)
    import h5py
    import numpy as np

    found: dict[str, npt.NDArray[Any]] = {}

    def visit(name: str, item: Any) -> None:
        flat = isinstance(item, h5py.Dataset) and item.dtype.kind in "iufV" and item.ndim <= 2
        if flat and not name.startswith("#"):  # where MATLAB keeps what structures refer to
            found[name.replace("/", ".")] = item[()].T if turned else item[()]

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
            rates = {k: v for k, v in file.attrs.items() if k.lower() in RATES}
    except (OSError, RuntimeError, KeyError, ValueError) as fault:
        raise _damaged(path, fault) from None
    return from_arrays({**found, **{k: np.asarray(v) for k, v in rates.items()}}, path)


def is_recording(path: Path) -> bool:
    """Whether an HDF5 file names no x, y, p and t: it holds no events, then. Reads no data."""
    extras.need("events", "h5py", where=path)
    import h5py

    names: set[str] = set()
    try:
        with h5py.File(path, "r") as file:
            file.visit(lambda name: names.add(name.rpartition("/")[2]))
    except (OSError, RuntimeError):
        return False
    return not {"x", "y", "p", "t"} <= names


def from_arrays(arrays: Arrays, path: Path) -> Table:
    """The table that named arrays make: vectors of one length, and matrices of three or six
    channels, whose columns are named after them.

    Raises: TracekitError where they make none.
    """
    import numpy as np

    rate = None
    vectors: list[tuple[str, npt.NDArray[np.generic]]] = []
    matrices: list[tuple[str, npt.NDArray[np.generic]]] = []
    for name, array in arrays.items():
        last = name.rpartition(".")[2]
        if array.dtype.names is not None and array.ndim == 1:
            vectors += [(field, array[field]) for field in array.dtype.names]
        elif array.dtype.kind not in "iuf":
            continue
        elif array.size == 1:
            rate = float(array.ravel()[0]) if last.lower() in RATES else rate
        elif array.ndim == 1 or 1 in array.shape:
            vectors.append((last, array.ravel()))
        elif array.ndim == 2 and (3 in array.shape or 6 in array.shape):
            matrices.append((last, array))
    six = [(n, a) for n, a in matrices if 6 in a.shape and 3 not in a.shape]
    threes = [(n, a) for n, a in matrices if 3 in a.shape]
    if len(six) == 1 and not threes:
        columns = list(
            _channels(*six[0], ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"))
        )
    else:
        columns = [
            one for name, array in threes
            for one in _channels(name, array, tuple(f"{name}_{axis}" for axis in "xyz"))
        ]  # fmt: skip
    columns += vectors
    length = max((len(c) for _, c in columns), key=[len(c) for _, c in columns].count, default=0)
    kept = [(name, column) for name, column in columns if len(column) == length]
    if not kept:
        there = ", ".join(f"{n} {list(a.shape)}" for n, a in list(arrays.items())[:LARGEST])
        raise TracekitError(
            "no recording in it: six channels, or acceleration and angular velocity, are needed",
            where=path,
            hint=f"it has: {there or 'no arrays of numbers'}",
        )
    said = tuple(
        f"{name} left out: it has {len(column)} rows, not {length}"
        for name, column in columns
        if len(column) != length
    )
    return Table(
        tuple(name for name, _ in kept), tuple(np.asarray(column) for _, column in kept),
        said=said, rate_hz=rate,
    )  # fmt: skip


def _channels(
    name: str, array: npt.NDArray[Any], names: tuple[str, ...]
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    many = len(names)
    columns = array.T if array.shape[1] == many and array.shape[0] != many else array
    yield from zip(names, columns, strict=True)


def _damaged(path: Path, fault: BaseException) -> TracekitError:
    said = " ".join(str(fault).split())[:200] or type(fault).__name__
    return TracekitError(
        f"cannot be read ({said})", where=path, hint="is the file whole, and what its name says?"
    )


ENDINGS: Mapping[str, Callable[[Path], Table]] = {
    ".parquet": _arrow, ".feather": _arrow, ".arrow": _arrow, ".npz": _npz, ".mat": _mat,
    ".h5": _hdf5, ".hdf5": _hdf5,
}  # fmt: skip
