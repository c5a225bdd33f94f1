"""What is kept between runs is the same trace, found by content and never by name."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.conftest import shared
from tracekit.cli.app import app
from tracekit.trace import cache, kineto
from tracekit.trace.trace import TABLES, Trace


def write(path: Path, duration: float) -> Path:
    event = {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 5, "dur": duration,
             "args": {"stream": 7, "correlation": 3, "grid": [4, 1, 1]}}  # fmt: skip
    names = {"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "gpu"}}
    path.write_text(json.dumps({"a": [1], "traceEvents": [event, names]}))
    return path


@pytest.fixture(autouse=True)
def every_trace_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_PLAIN", 0)
    monkeypatch.setattr(cache, "_COMPRESSED", 0)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that were read from the file itself."""
    found: list[str] = []
    read = kineto._read

    def counted(text: kineto.Text, *rest: object) -> Trace:
        found.append(text.path)
        return read(text, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(kineto, "_read", counted)
    return found


def test_the_second_reading_is_the_same_trace(tmp_path: Path, readings: list[str]) -> None:
    path = write(tmp_path / "t.json", 2.5)
    tables = frozenset({"grids", "flows"})
    one, two = kineto.load(path, tables=tables), kineto.load(path, tables=tables)
    assert len(readings) == 1
    assert (one.ts.tolist(), one.dur.tolist()) == (two.ts.tolist(), two.dur.tolist())
    assert (one.strings, one.origin_ns) == (two.strings, two.origin_ns)
    assert one.source.processes == two.source.processes == {0: "gpu"}
    assert two.source.meta == {"a": [1]}
    assert two.table("grids").columns["grid"].tolist() == [[4, 1, 1]]
    assert two.table("copies").columns["bytes"].tolist() == []  # read from the file when asked


def test_side_tables_are_kept_as_they_are(tmp_path: Path, readings: list[str]) -> None:
    path = shared("traces", "tl_h100_qwen15_05b.json.gz")
    one, two = (kineto.load(path, tables=frozenset(TABLES)) for _ in range(2))
    assert len(readings) == 1
    for name, before in one.tables.items():
        after = two.tables[name]
        assert (before.strings, before.nbytes) == (after.strings, after.nbytes), name
        assert np.array_equal(before.id, after.id), name
        assert list(before.columns) == list(after.columns)
        for column, values in before.columns.items():
            again = after.columns[column]
            assert again.dtype == values.dtype, (name, column)
            is_float = values.dtype.kind == "f"
            assert np.array_equal(again, values, equal_nan=is_float), (name, column)


def test_another_content_of_the_same_name_size_and_time_is_read(
    tmp_path: Path, readings: list[str]
) -> None:
    path = write(tmp_path / "t.json", 2.5)
    status = path.stat()
    assert kineto.load(path).dur.tolist() == [2500]
    write(path, 3.5)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert kineto.load(path).dur.tolist() == [3500]
    assert len(readings) == 2


def test_other_side_tables_are_another_entry(tmp_path: Path, readings: list[str]) -> None:
    path = write(tmp_path / "t.json", 2.5)
    kineto.load(path)
    assert len(kineto.load(path, tables=frozenset({"grids"})).tables["grids"]) == 1
    assert len(readings) == 2


def test_off_keeps_nothing(
    tmp_path: Path, readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEKIT_CACHE", "off")
    path = write(tmp_path / "t.json", 2.5)
    kineto.load(path)
    kineto.load(path)
    assert len(readings) == 2
    assert not (tmp_path / "cache").exists()


def test_a_damaged_entry_is_made_anew(tmp_path: Path, readings: list[str]) -> None:
    path = write(tmp_path / "t.json", 2.5)
    kineto.load(path)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:200])
    assert kineto.load(path).dur.tolist() == [2500]
    assert len(readings) == 2


def test_the_longest_unused_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(tmp_path / f"{n}.json", n) for n in range(1, 4)]
    kineto.load(paths[0])
    (first,) = (tmp_path / "cache").iterdir()
    os.utime(first, (1, 1))
    monkeypatch.setattr(cache, "_MOST", first.stat().st_size * 2)
    for path in paths[1:]:
        kineto.load(path)
    assert not first.exists()
    assert cache.usage()[0] == 2


def test_clear_empties_the_cache(tmp_path: Path) -> None:
    kineto.load(write(tmp_path / "t.json", 2.5))
    assert "1 traces" in CliRunner().invoke(app, ["cache", "show"]).output
    assert "removed 1" in CliRunner().invoke(app, ["cache", "clear"]).output
    assert cache.usage() == (0, 0)


# ---------------------------------------------------------------- its owner's


def test_the_cache_is_its_owners_only(tmp_path: Path) -> None:
    kineto.load(write(tmp_path / "t.json", 2.5))
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_folder_of_entries_becomes_private_and_any_other_stays(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.mkdir(mode=0o755)
    (place / "notes.txt").write_text("mine")
    kineto.load(write(tmp_path / "t.json", 2.5))
    assert place.stat().st_mode & 0o777 == 0o755
    (place / "notes.txt").unlink()
    kineto.load(write(tmp_path / "u.json", 3.5))
    assert place.stat().st_mode & 0o777 == 0o700


def test_an_entry_that_others_may_write_or_that_is_a_link_is_not_read(
    tmp_path: Path, readings: list[str]
) -> None:
    path = write(tmp_path / "t.json", 2.5)
    kineto.load(path)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.chmod(0o666)
    kineto.load(path)
    assert len(readings) == 2
    moved = kept.rename(tmp_path / "elsewhere.npz")
    kept.symlink_to(moved)
    kineto.load(path)
    assert len(readings) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": np.array([5], np.int32)}, {"name": np.array([-1], np.int32)},
        {"ts": np.array([0, 1], np.int64)}, {"dur": np.array([0.5])},
        {"cat": np.array([99], np.uint8)},
        {"id": np.array([3], np.int32)}, {"ts": np.array([[0]], np.int64)},
        {"grids/id": np.array([7], np.int32)}, {"grids/block": np.array([[7, 1, 1]], np.uint32)},
        {"grids/shared": np.array([-1, -1], np.int64)}, {"grids/occupancy": np.array(["x"])},
        {"about": np.frombuffer(b"{}", np.uint8)},
        {"about": np.frombuffer(b"[" * 100_000, np.uint8)},
    ],
)  # fmt: skip
def test_an_entry_whose_columns_do_not_belong_together_is_made_anew(
    tmp_path: Path,
    readings: list[str],
    wrong: dict[str, np.ndarray],  # type: ignore[type-arg]
) -> None:
    path = write(tmp_path / "t.json", 2.5)
    tables = frozenset({"grids"})
    kineto.load(path, tables=tables)
    (kept,) = (tmp_path / "cache").iterdir()
    with np.load(kept) as stored:
        arrays = {key: stored[key] for key in stored.files}
    with kept.open("wb") as file:
        np.savez(file, **{**arrays, **wrong})
    assert kineto.load(path, tables=tables).dur.tolist() == [2500]
    assert len(readings) == 2


def test_eight_processes_on_one_cache_get_the_same_trace(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.json", n + 1) for n in range(2)]
    children = []
    for _ in range(8):
        child = os.fork()
        if not child:
            good = False
            try:
                good = all(
                    kineto.load(path).dur.tolist() == [1000 * (n + 1)]
                    for _ in range(5) for n, path in enumerate(paths)
                )  # fmt: skip
                cache.clear()
            finally:
                os._exit(0 if good else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    assert not [p for p in (tmp_path / "cache").iterdir() if p.name.startswith(".")]
