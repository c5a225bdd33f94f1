"""Pickled numpy arrays, and nothing else that a pickle can do."""

from __future__ import annotations

import io
import pickle

from tracekit.datasets.formats.csv_rows import log
from tracekit.errors import TracekitError

# what numpy 1 and 2 write for arrays, scalars and types; none of these runs code of the file
ALLOWED = {
    (module, name)
    for root in ("numpy.core", "numpy._core")
    for module, name in (
        (f"{root}.multiarray", "_reconstruct"),
        (f"{root}.multiarray", "scalar"),
        (f"{root}.numeric", "_frombuffer"),
    )
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no numpy array")
        return super().find_class(module, name)


def loads(data: bytes, where: object, *, trust: bool) -> object:
    """What a pickle of numpy arrays, and of dicts and lists of them, holds.

    Raises: TracekitError unless `trust`, for a pickle that wants anything else, and for a damaged
    one.
    """
    if not trust:
        raise TracekitError(
            "a pickled file, which can run code as it is read",
            where=where,
            hint="if you know where it comes from: --trust-pickle (numpy arrays only, even then)",
        )
    log.warning(
        "%s: reading a pickle, because you trust it; anything but numpy arrays is refused", where
    )
    try:
        return _ArraysOnly(io.BytesIO(data)).load()
    except Exception as fault:  # a damaged pickle raises nearly any exception
        raise TracekitError(
            f"the pickle was refused or is damaged ({fault})",
            where=where,
            hint="only plain numpy arrays, in dicts or lists, are read",
        ) from None


def npy_object(data: bytes, where: object, *, trust: bool) -> object:
    """What an .npy file of dtype object holds, as `loads` reads it.

    Raises: TracekitError as `loads` does, and for what is no .npy file.
    """
    from numpy.lib import format as npy

    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        reader(file)
    except ValueError as fault:
        raise TracekitError(f"not an .npy file ({fault})", where=where, hint="np.save") from None
    return loads(data[file.tell() :], where, trust=trust)
