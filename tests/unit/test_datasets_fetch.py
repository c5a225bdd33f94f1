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
        self.headers: dict[str, str] = {}  # instead of its own
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
                whole = len(server.body)
                headers = {"ETag": server.tag, "Content-Length": str(len(part))}
                if start:
                    headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
                for name, value in {**headers, **server.headers}.items():
                    if value:
                        self.send_header(name, value)
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


def test_a_download_of_nothing_leaves_no_folder_and_one_that_began_leaves_its_part(
    server: Server, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for folder in (tmp_path / "a" / "b", mine, mine / "c"):
        with pytest.raises(TracekitError, match="cannot be reached"):
            downloads.https("http://127.0.0.1:9/a.bin", folder, "a.bin")
    assert list(tmp_path.iterdir()) == [mine]
    assert list(mine.iterdir()) == []
    server.broken = 400_000
    with pytest.raises(TracekitError):
        downloads.https(server.url, tmp_path / "a" / "b", "a.bin")
    assert (tmp_path / "a" / "b" / "a.bin.part").stat().st_size > 0


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


def test_a_cut_body_does_not_take_the_name_of_a_file_whose_size_is_known(
    server: Server, tmp_path: Path
) -> None:
    # a server that says nothing of the length, and hangs up
    server.headers, server.broken = {"Content-Length": "", "Connection": "close"}, 400_000
    with pytest.raises(TracekitError, match="400,000 of 1,024,000 bytes came"):
        downloads.https(server.url, tmp_path, "a.bin", size=len(BODY))
    assert not (tmp_path / "a.bin").exists()
    server.headers = {}
    assert downloads.https(server.url, tmp_path, "a.bin", size=len(BODY)).read_bytes() == BODY
    assert server.asked[-1] == "bytes=400000-"


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_an_empty_body_is_no_file(server: Server, tmp_path: Path, size: int | None) -> None:
    server.body = b""
    with pytest.raises(TracekitError, match=r"nothing came|0 of 1,024,000|not those"):
        downloads.https(server.url, tmp_path, "a.bin", size=size)
    assert not (tmp_path / "a.bin").exists()
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(TracekitError, match="--force"):
        downloads.https(server.url, tmp_path, "a.bin")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 0-99/1024000"},  # from another place
        {"Content-Range": "bytes 7-1023999/1024000"},
        {"Content-Range": "rubbish"},
        {"Content-Range": ""},
    ],
)
def test_a_part_from_another_place_is_not_taken(
    server: Server, tmp_path: Path, headers: dict[str, str]
) -> None:
    server.broken = 400_000
    with pytest.raises(TracekitError):
        downloads.https(server.url, tmp_path, "a.bin")
    server.headers = headers
    path = downloads.https(server.url, tmp_path, "a.bin")
    assert path.read_bytes() == BODY
    assert server.asked[-1] is None  # once more, from the start


def test_a_part_that_is_all_of_it_is_taken(server: Server, tmp_path: Path) -> None:
    server.broken = 400_000
    with pytest.raises(TracekitError):
        downloads.https(server.url, tmp_path, "a.bin")
    (tmp_path / "a.bin.part").write_bytes(BODY + b"more")
    assert downloads.https(server.url, tmp_path, "a.bin", size=len(BODY)).read_bytes() == BODY


@pytest.mark.parametrize("tag", [b"", b"\xff\xfe\x00", b'"one"\r\nX: y', b"x" * 10_000, b'"\xe9"'])
def test_a_damaged_tag_blocks_nothing(server: Server, tmp_path: Path, tag: bytes) -> None:
    (tmp_path / "a.bin.part").write_bytes(BODY[:500])
    (tmp_path / "a.bin.part.tag").write_bytes(tag)
    assert downloads.https(server.url, tmp_path, "a.bin").read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("length", ["rubbish", "-5", "1e3", "\xb2", "9" * 40])
def test_a_header_that_cannot_be_read_is_no_change_of_the_publishers(
    server: Server, tmp_path: Path, length: str
) -> None:
    server.headers = {"Content-Length": length, "Connection": "close"}
    try:
        assert downloads.https(server.url, tmp_path, "a.bin").read_bytes() == BODY
    except TracekitError as error:
        assert "cannot be fetched" in str(error)  # noqa: PT017
    assert not (tmp_path / "a.bin").exists() or (tmp_path / "a.bin").read_bytes() == BODY


def test_what_a_check_refuses_does_not_take_the_name(server: Server, tmp_path: Path) -> None:
    def check(path: Path) -> None:
        assert path.suffix == ".bin"
        raise TracekitError("other values", where=path, hint="none")

    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(TracekitError, match="other values"):
        downloads.https(server.url, tmp_path, "a.bin", check=check, force=True)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.bin", b"mine")]


def test_the_weights_of_limu_bert_are_checked_before_they_take_their_names(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tracekit.models.limu_bert import weights

    monkeypatch.setattr(weights, "ADDRESS", server.url.rpartition("/")[0])
    for body in (b"", BODY[:1000], bytes(weights.BYTES)):
        server.body = body
        with pytest.raises(TracekitError):
            weights.download(tmp_path)
        assert not list(tmp_path.glob("*.pt"))


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


def patched(whole: bytes, at: int, value: bytes) -> bytes:
    """A zip of one member with bytes of its local and of its central header changed."""
    central = whole.index(b"PK\x01\x02")
    for start in (at, central + at + 2):  # the central header has two bytes more before
        whole = whole[:start] + value + whole[start + len(value) :]
    return whole


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [(6, b"\x01\x00", "encrypted"), (8, b"\x63\x00", "damaged|does not know"),
     (4, b"\xff\x00", "does not know|damaged"), (14, b"abcd", "damaged")],
)  # fmt: skip
def test_an_archive_that_python_cannot_unpack_says_why(
    at: int, value: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(patched(zipped({"one.txt": b"published" * 100}), at, value))
    with pytest.raises(TracekitError, match=said) as raised:
        unpack.unpack(tmp_path / "a.zip", tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "HARMLESS", 1 << 20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.csv", bytes(3 << 20))
    with pytest.raises(TracekitError, match="as no data set does"):
        unpack.unpack(tmp_path / "a.zip", tmp_path / "out")
    inner = zipped({"one.txt": b"x"})
    for number in range(unpack.NESTED + 2):
        inner = zipped({f"{number}.zip": inner})
    (tmp_path / "b.zip").write_bytes(inner)
    with pytest.raises(TracekitError, match="archives in archives"):
        unpack.unpack(tmp_path / "b.zip", tmp_path / "out")


@pytest.mark.parametrize("name", ["\udcff.csv", "caf\udce9.txt"])
def test_a_name_that_is_no_text_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    libarchive(monkeypatch, [Entry("good.csv", b"1"), Entry(name, b"1")])
    with pytest.raises(TracekitError, match="no UTF-8") as raised:
        unpack.unpack(tmp_path / "a.rar", tmp_path)
    str(raised.value).encode()
    assert not (tmp_path / "good.csv").exists()


def test_a_tar_that_begins_with_its_own_folder_is_an_ordinary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Entry("./")
    root.isfile = False
    (tmp_path / "a.tar").write_bytes(b"tar")
    libarchive(monkeypatch, [root, Entry("./data/one.csv", b"1,2")])
    unpack.unpack(tmp_path / "a.tar", tmp_path / "out")
    assert (tmp_path / "out" / "data" / "one.csv").read_bytes() == b"1,2"


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
