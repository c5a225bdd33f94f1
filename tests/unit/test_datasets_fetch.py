"""Downloads, against a server on loopback and fakes of the libraries."""

from __future__ import annotations

import hashlib
import io
import sys
import threading
import types
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tracekit.datasets import entry as dataset_entry
from tracekit.datasets.fetch import downloads, unpack
from tracekit.errors import TracekitError

pytest.importorskip("pooch")
BODY = bytes(range(256)) * 4000  # 1 MB


class Server:
    """Serves `body` with ranges; the first answer may break off after `broken` bytes."""

    def __init__(self) -> None:
        self.body, self.tag, self.broken = BODY, '"one"', 0
        self.asked: list[str | None] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                server.asked.append(asked)
                start = 0
                if asked and self.headers.get("If-Range") == server.tag:
                    start = int(asked.removeprefix("bytes=").rstrip("-"))
                part = server.body[start:]
                self.send_response(206 if start else 200)
                if start:
                    whole = len(server.body)
                    self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
                self.send_header("ETag", server.tag)
                self.send_header("Content-Length", str(len(part)))
                self.end_headers()
                if server.broken:
                    part, server.broken = part[: server.broken], 0
                self.wfile.write(part)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/some+data.bin"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()
    made.thread.join(5)


def known(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def test_a_file_is_fetched_whole_and_not_twice(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        path = downloads.https(server.url, tmp_path, "a.bin", known_hash=known(BODY))
    assert path.read_bytes() == BODY
    assert len(server.asked) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_broken_download_goes_on_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.broken = 400_000
    with pytest.raises(TracekitError, match="run the same command again"):
        downloads.https(server.url, tmp_path, "a.bin", known_hash=known(BODY))
    held = (tmp_path / "a.bin.part").stat().st_size
    assert 0 < held <= 400_000
    assert not (tmp_path / "a.bin").exists()
    path = downloads.https(server.url, tmp_path, "a.bin", known_hash=known(BODY))
    assert path.read_bytes() == BODY
    assert server.asked == [None, f"bytes={held}-"]


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    server.broken = 400_000
    with pytest.raises(TracekitError):
        downloads.https(server.url, tmp_path, "a.bin")
    server.body, server.tag = BODY[::-1], '"two"'
    assert downloads.https(server.url, tmp_path, "a.bin").read_bytes() == BODY[::-1]


def test_wrong_bytes_are_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(TracekitError, match="not those that were published"):
        downloads.https(server.url, tmp_path, "a.bin", known_hash=known(b"other"))
    assert list(tmp_path.iterdir()) == []


def test_what_differs_is_not_overwritten_without_force(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(TracekitError, match="--force"):
        downloads.https(server.url, tmp_path, "a.bin", known_hash=known(BODY))
    with pytest.raises(TracekitError, match="--force"):
        downloads.https(server.url, tmp_path, "a.bin", size=len(BODY))
    assert (tmp_path / "a.bin").read_bytes() == b"mine"
    assert server.asked == []
    path = downloads.https(server.url, tmp_path, "a.bin", known_hash=known(BODY), force=True)
    assert path.read_bytes() == BODY


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TracekitError, match="cannot be reached"):
        downloads.https("http://127.0.0.1:9/a.bin", tmp_path, "a.bin")


# ---------------------------------------------------------------- archives


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_zip_is_unpacked_with_the_zips_in_it(server: Server, tmp_path: Path) -> None:
    inner = zipped({"UCI HAR Dataset/train/y_train.txt": b"5\n"})
    server.body = zipped({"UCI HAR Dataset.zip": inner, "__MACOSX/x": b"", "readme.txt": b"hi"})
    url = server.url.replace("some+data.bin", "uci+har.zip")
    downloads.by_https(url, known_hash=known(server.body))(tmp_path)
    assert (tmp_path / "uci_har.zip").is_file()
    assert (tmp_path / "UCI HAR Dataset" / "train" / "y_train.txt").read_bytes() == b"5\n"
    assert not (tmp_path / "__MACOSX").exists()
    with pytest.raises(TracekitError, match="leave --subset out"):
        downloads.by_https(url)(tmp_path, subset="train")


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "C:\\evil.txt", "..\\evil.txt"]
)
def test_a_member_that_would_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "bad.zip"
    archive.write_bytes(zipped({"good.txt": b"", name: b"evil"}))
    out = tmp_path / "out" / "deeper"
    with pytest.raises(TracekitError, match="leaves the folder"):
        unpack.unpack(archive, out)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [archive]


def test_a_link_is_refused_in_the_archive_and_in_the_folder(tmp_path: Path) -> None:
    archive = tmp_path / "link.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        member = zipfile.ZipInfo("link")
        member.external_attr = 0o120777 << 16
        opened.writestr(member, "/etc")
    with pytest.raises(TracekitError, match="is a link"):
        unpack.unpack(archive, tmp_path / "out")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    archive.write_bytes(zipped({"sub/file.txt": b"x"}))
    with pytest.raises(TracekitError, match="by a link"):
        unpack.unpack(archive, tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_unpacking_again_leaves_equal_files_and_refuses_others(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped({"one.txt": b"published"}))
    for _ in range(2):
        unpack.unpack(archive, tmp_path)
    (tmp_path / "one.txt").write_bytes(b"mine mine")
    with pytest.raises(TracekitError, match="differs"):
        unpack.unpack(archive, tmp_path)
    assert (tmp_path / "one.txt").read_bytes() == b"mine mine"
    unpack.unpack(archive, tmp_path, force=True)
    assert (tmp_path / "one.txt").read_bytes() == b"published"


def test_a_damaged_archive_is_one_line(tmp_path: Path) -> None:
    whole = zipped({"one.txt": b"published" * 100})
    for name, data in {"a.zip": whole[:-30], "b.zip": b"no zip"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(TracekitError, match="damaged"):
            unpack.unpack(tmp_path / name, tmp_path)


class Entry:
    """A member as libarchive gives it."""

    def __init__(self, name: str, data: bytes = b"", link: bool = False) -> None:
        self.pathname, self.data, self.size = name, data, len(data)
        self.isfile, self.issym, self.islnk = not link, link, False

    def get_blocks(self) -> Iterator[bytes]:
        yield self.data


def libarchive(monkeypatch: pytest.MonkeyPatch, entries: list[Entry]) -> None:
    class Reader:
        def __init__(self, path: str) -> None:
            pass

        def __enter__(self) -> list[Entry]:
            return entries

        def __exit__(self, *_: object) -> None:
            pass

    fake = types.ModuleType("libarchive")
    fake.file_reader = Reader  # type: ignore[attr-defined]
    fake.ArchiveError = RuntimeError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "libarchive", fake)


def test_a_rar_goes_through_libarchive_with_the_same_care(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "shoaib.rar"
    archive.write_bytes(b"Rar!")
    libarchive(monkeypatch, [Entry("DataSet/Participant_1.csv", b"1,2")])
    unpack.unpack(archive, tmp_path)
    assert (tmp_path / "DataSet" / "Participant_1.csv").read_bytes() == b"1,2"
    for bad in (Entry("../evil", b"x"), Entry("link", link=True)):
        libarchive(monkeypatch, [Entry("other.csv", b"1"), bad])
        with pytest.raises(TracekitError, match="nothing of it was unpacked"):
            unpack.unpack(archive, tmp_path)
        assert not (tmp_path / "other.csv").exists()


def test_without_libarchive_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "libarchive", None)
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    with pytest.raises(TracekitError, match=r"tracekit\[datasets\]"):
        unpack.unpack(tmp_path / "a.rar", tmp_path)


def test_without_the_library_of_the_system_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "libarchive", raising=False)
    (tmp_path / "libarchive.py").write_text("raise OSError('libarchive.so: no such file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    with pytest.raises(TracekitError, match="needs the system's libarchive"):
        unpack.unpack(tmp_path / "a.rar", tmp_path)


# ---------------------------------------------------------------- the hub, the authors' programs


class Hub:
    """What of huggingface_hub is used, over two files."""

    files = types.MappingProxyType({"data/train_hhar_v2-0.jsonl": b"{}", "README.md": b"card"})

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def dataset_info(self, repository: str, *, revision: str | None, files_metadata: bool) -> Any:
        lfs = {n: types.SimpleNamespace(sha256=known(d)[7:]) for n, d in self.files.items()}
        siblings = [
            types.SimpleNamespace(rfilename=name, size=len(data), lfs=lfs[name])
            for name, data in self.files.items()
        ]
        return types.SimpleNamespace(siblings=siblings)

    def snapshot_download(self, repository: str, **given: Any) -> None:
        self.asked.append({"repository": repository, **given})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    import huggingface_hub

    made = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    return made


def test_opensqa_comes_at_its_revision_and_a_subset_by_its_files(hub: Hub, tmp_path: Path) -> None:
    download = dataset_entry.dataset("opensqa").download
    assert download is not None
    download(tmp_path, subset="hhar_v2")
    (asked,) = hub.asked
    assert asked["repository"] == "BASH-Lab/OpenSQA"
    assert asked["repo_type"] == "dataset"
    assert asked["revision"] == "ed16a14854a531ba9e71a6786e92a8f427b06b95"
    assert asked["allow_patterns"] == ["data/train_hhar_v2-*.jsonl"]
    with pytest.raises(TracekitError, match=r"known: .*hhar_v2"):
        download(tmp_path, subset="nothing")


def test_a_file_that_differs_from_the_hubs_is_kept_without_force(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    mine = tmp_path / "data" / "train_hhar_v2-0.jsonl"
    mine.write_bytes(b"{}")
    downloads.hub("a/b", tmp_path, None, ["data/*"], force=False)
    mine.write_bytes(b"[]")
    with pytest.raises(TracekitError, match="differs"):
        downloads.hub("a/b", tmp_path, None, ["data/*"], force=False)
    downloads.hub("a/b", tmp_path, None, ["data/*"], force=True)
    assert [a["force_download"] for a in hub.asked] == [False, True]


def test_a_gated_data_set_says_where_to_ask(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError

    def refuse(*_: object, **__: object) -> None:
        raise GatedRepoError.__new__(GatedRepoError)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(TracekitError, match="access has to be asked for"):
        downloads.hub("a/b", tmp_path, None, ["*"], force=False)


@pytest.mark.parametrize("missing", ["pooch", "huggingface_hub"])
def test_without_the_extra_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(TracekitError, match=rf"needs {missing}.*tracekit\[datasets\]"):
        if missing == "pooch":
            downloads.https("http://127.0.0.1:9/", tmp_path, "a")
        else:
            downloads.hub("a/b", tmp_path, None, ["*"], force=False)


def test_ego4d_runs_its_own_program_or_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = dataset_entry.dataset("ego4d").download
    assert download is not None
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    monkeypatch.setenv("PATH", str(bin_dir))
    with pytest.raises(TracekitError, match="pip install ego4d"):
        download(tmp_path / "out")
    program = bin_dir / "ego4d"
    program.write_text(f'#!/bin/sh\nfor a in "$@"; do echo "$a" >> {tmp_path}/asked; done\n')
    program.chmod(0o755)
    download(tmp_path / "out", subset="u1,u2")
    assert (tmp_path / "asked").read_text().split("\n")[:-1] == [
        f"--output_directory={tmp_path / 'out'}", "--datasets", "imu", "annotations",
        "--metadata", "-y", "--video_uids", "u1", "u2",
    ]  # fmt: skip
    program.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(TracekitError, match="ended with 3"):
        download(tmp_path / "out")
