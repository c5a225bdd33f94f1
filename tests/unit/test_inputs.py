"""Folders, patterns and archives in the place of trace files."""

import gzip
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.fresh import tracekit
from tracekit.errors import NotATraceError, TracekitError
from tracekit.trace import kineto
from tracekit.trace.inputs import archives
from tracekit.trace.inputs.expand import expand

EVENT = {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 1, "dur": 5,
         "args": {"stream": 7, "device": 0}}  # fmt: skip


def text(rank: int, **more: object) -> bytes:
    spread = {"rank": rank, "world_size": 12}
    return json.dumps({"distributedInfo": spread, "traceEvents": [EVENT], **more}).encode()


def folder(at: Path) -> Path:
    """Ranks 2 and 10, one below, and what lies beside them in real life."""
    (at / "step").mkdir(parents=True)
    (at / ".git").mkdir()
    (at / "rank10.json").write_bytes(text(10))
    (at / "rank2.json.gz").write_bytes(gzip.compress(text(2)))
    (at / "step" / "rank0.pt.trace.json").write_bytes(text(0))
    (at / "config.json").write_text('{"layers": 3, "ph": {"X": 9}}')
    (at / "notes.txt").write_text("nothing")
    (at / ".git" / "rank9.json").write_bytes(text(9))
    return at


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, body in members.items():
            made.writestr(name, body)
    return path


def tarred(path: Path, mode: str = "w:gz", **members: bytes) -> Path:
    with tarfile.open(path, mode) as made:  # type: ignore[call-overload]
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            made.addfile(info, io.BytesIO(body))
    return path


def names(paths: tuple[str, ...]) -> list[str]:
    return [Path(path).name for path in paths]


def test_a_folder_is_its_traces_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    found = expand([str(folder(tmp_path / "run"))])
    assert names(found.paths) == ["rank2.json.gz", "rank10.json", "rank0.pt.trace.json"]
    assert len(found.notes) == 1
    assert "1 JSON files are no traces" in found.notes[0]
    assert "config.json" in found.notes[0]


def test_a_capture_that_says_much_of_itself_is_a_trace_of_its_folder(tmp_path: Path) -> None:
    facts = {"schema": "tracekit-capture/1", "notes": ["x" * 99_999]}
    text = json.dumps({"tracekit": facts, "traceEvents": []}, separators=(",", ":"))
    (tmp_path / "long.json").write_text(text)
    assert names(expand([str(tmp_path)]).paths) == ["long.json"]


def test_a_list_of_other_objects_is_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"a": 1}, {"b": 2}]')
    with pytest.raises(NotATraceError, match="none has a `ph`"):
        kineto.load(path)


def test_a_pattern_is_what_it_matches(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    found = expand([f"{run}/rank*.json*"])
    assert names(found.paths) == ["rank2.json.gz", "rank10.json"]
    assert names(expand([f"{tmp_path}/**/rank0*"]).paths) == ["rank0.pt.trace.json"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    odd = tmp_path / "rank[0].json"
    odd.write_bytes(text(0))
    assert expand([str(odd)]).paths == (str(odd),)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_an_archive_is_the_traces_in_it(kind: str, tmp_path: Path) -> None:
    ranks = {"./run/rank10.json": text(10), "./run/rank2.json.gz": gzip.compress(text(2)),
             "./run/._rank2.json": b"x", "./run/log.txt": b"y"}  # fmt: skip
    path = tmp_path / f"ranks.{kind}"
    if kind == "zip":
        zipped(path, **ranks)
    else:
        tarred(path, {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}[kind], **ranks)
    found = expand([str(path)]).paths
    assert names(found) == ["rank2.json.gz", "rank10.json"]
    trace = kineto.load(found[0], tables=frozenset())
    assert trace.source.meta["distributedInfo"]["rank"] == 2
    assert trace.path == found[0]
    assert len(trace.table("grids")) == 0  # read again from what was unpacked


def test_the_ranks_of_a_folder_and_of_an_archive_are_answered_together(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    told = tracekit("analyze", run, "--json", "--only", "devices", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert len(json.loads(told.stdout)["traces"]) == 3
    assert "config.json" in told.stderr
    path = zipped(tmp_path / "r.zip", **{"rank0.json": text(0), "rank1.json": b"[{"})
    broken = tracekit("analyze", path, "--json", "--only", "devices", cwd=tmp_path)
    assert broken.returncode == 1
    whole, lost = json.loads(broken.stdout)["traces"]
    assert (whole["path"], lost["path"]) == (f"{path}!/rank0.json", f"{path}!/rank1.json")
    assert (lost["answers"], "error" in whole) == ({}, False)
    assert lost["error"].startswith("no whole event in it")
    assert "rank1.json" in broken.stderr


def test_what_holds_no_trace_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TracekitError, match="without a trace"):
        expand([str(tmp_path / "empty")])
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(TracekitError, match="1 JSON files, and no trace"):
        expand([str(tmp_path / "empty")])
    with pytest.raises(TracekitError, match="matches no file"):
        expand([f"{tmp_path}/rank*.json"])
    plain = zipped(tmp_path / "a.zip", **{"readme.txt": b"x"})
    assert expand([str(plain)]).paths == (str(plain),)  # the reader says what it is
    assert expand(["-", "s3://b/a.json?x=*"]).paths == ("-", "s3://b/a.json?x=*")


def test_of_two_members_of_one_name_the_later_is_the_trace(tmp_path: Path) -> None:
    path = tmp_path / "r.tar"
    with tarfile.open(path, "w") as made:
        for content in (b"[]", text(3)):
            info = tarfile.TarInfo("rank0.json")
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    (name,) = expand([str(path)]).paths
    assert kineto.load(name).source.events


def test_archives_that_cannot_be_unpacked_are_one_line(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "r.zip", **{"rank0.json": os.urandom(4096)})
    body = bytearray(whole.read_bytes())
    body[60:90] = b"\0" * 30
    whole.write_bytes(bytes(body))
    with pytest.raises(TracekitError, match="cannot be unpacked"):
        archives.unpacked(whole, "rank0.json")
    locked = zipped(tmp_path / "locked.zip", **{"rank0.json": text(0)})
    body = bytearray(locked.read_bytes())
    body[6] |= 1
    body[body.index(b"PK\x01\x02") + 8] |= 1
    locked.write_bytes(bytes(body))
    with pytest.raises(TracekitError, match=r"cannot be unpacked.*(encrypted|password)"):
        archives.unpacked(locked, "rank0.json")
    with pytest.raises(TracekitError, match="holds no trace"):
        archives.unpacked(zipped(tmp_path / "b.zip", **{"a.json": b"{}"}), "b.json")


def test_an_archive_that_grows_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_ANYWAY", 1 << 16)
    bomb = zipped(tmp_path / "bomb.zip", **{"rank0.json": b" " * (8 << 20)})
    with pytest.raises(TracekitError, match="100 times its size"):
        archives.unpacked(bomb, "rank0.json")


def test_patterns_and_folders_at_an_address_are_their_traces() -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name in ("job/rank10.json", "job/rank2.json", "job/deep/rank0.json", "job/notes.txt"):
        store.pipe(f"/expanded/{name}", text(0))
    found = expand(["memory://expanded/job/rank*.json"]).paths
    assert names(found) == ["rank2.json", "rank10.json"]
    assert kineto.load(found[0], tables=frozenset()).source.meta["distributedInfo"]["rank"] == 0
    assert len(expand(["memory://expanded/job/"]).paths) == 3
    with pytest.raises(TracekitError, match="matches no file"):
        expand(["memory://expanded/job/none*.json"])
    with pytest.raises(TracekitError, match="holds no trace"):
        expand(["memory://elsewhere/"])
    with pytest.raises(TracekitError, match="cannot be listed"):
        expand(["nosuch://bucket/*.json"])
    # nothing is asked of an address that is a file, whatever its host
    assert expand(["http://[::1]:9/a.json"]).paths == ("http://[::1]:9/a.json",)
