"""NumPy files: whatever bytes are in them, an array or one clear line comes out."""

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracekit.datasets.formats import numpy_files
from tracekit.errors import TracekitError


def saved(value: object, **more: object) -> bytes:
    out = io.BytesIO()
    np.savez(out, **more) if more else np.save(out, value)  # type: ignore[arg-type]
    return out.getvalue()


WHOLE = saved(np.arange(24.0).reshape(4, 6))
ARCHIVE = saved(None, x=np.arange(4), y=np.arange(4))


def damaged(archive: bool) -> dict[str, bytes]:
    whole = ARCHIVE if archive else WHOLE
    return {
        "empty": b"",
        "a zip's first bytes": b"PK\x03\x04",
        "text": b"x, y\n1, 2\n",
        "cut in the header": whole[:40],
        "cut in the values": whole[:-9],
        "the other kind": WHOLE if archive else ARCHIVE,
        "objects": saved(np.array([{}, 1], object)),
        "a header that is no literal": WHOLE.replace(b"'descr'", b"'descr("),
    }


@pytest.mark.parametrize("kind", damaged(False))
def test_what_is_no_array_is_said_in_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(damaged(False)[kind])
    for source in (path, path.read_bytes()):
        with pytest.raises(TracekitError) as said:
            numpy_files.npy(source, path)
        assert "\n" not in str(said.value)
    path.write_bytes(damaged(True)[kind])
    with pytest.raises(TracekitError) as said:
        numpy_files.npz(path, ("x",))
    assert "\n" not in str(said.value)


def test_an_archive_with_a_damaged_member_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", saved(np.zeros(1000)))
    data = bytearray(path.read_bytes())
    data[60:70] = b"\xff" * 10
    path.write_bytes(data)
    with pytest.raises(TracekitError, match="not a whole numpy array"):
        numpy_files.npz(path, ("x",))


def test_what_is_whole_is_read_and_names_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(ARCHIVE)
    found, names = numpy_files.npz(path, ("x", "t"))
    assert set(found) == {"x"}
    assert names == ("x", "y")
    assert numpy_files.npy(WHOLE, path).shape == (4, 6)


@given(st.binary(max_size=60), st.integers(0, 127))
def test_any_bytes_give_an_array_or_one_line(noise: bytes, at: int) -> None:
    for data in (noise, WHOLE[:at] + noise + WHOLE[at + len(noise) :]):
        with contextlib.suppress(TracekitError):
            assert isinstance(numpy_files.npy(data, Path("a.npy")), np.ndarray)
