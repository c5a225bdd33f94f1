"""What a command writes replaces nothing that is not its own to replace."""

from __future__ import annotations

import atexit
import gzip
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tracekit import files
from tracekit.cli import process
from tracekit.errors import TracekitError

EVENTS = [
    {"ph": "X", "cat": "user_annotation", "name": "step", "pid": 1, "tid": 1, "ts": 0, "dur": 50},
    {"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 1, "ts": 1, "dur": 5},
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trace(path: str, name: str = "aten::mm") -> Path:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"traceEvents": [EVENTS[0], {**EVENTS[1], "name": name}]})
    place.write_bytes(gzip.compress(text.encode()) if path.endswith(".gz") else text.encode())
    return place


def tracekit(*args: object) -> int:
    from tracekit.cli.app import app

    return process.run(lambda: app([str(arg) for arg in args]))


ONLY = ("--only", "ops")
# every command that reads a trace and writes a file: what comes before the output
WRITERS: dict[str, Callable[[Path, Path], tuple[object, ...]]] = {
    "analyze": lambda x, out: ("analyze", x, *ONLY, "-o", out),
    "analyze --json": lambda x, out: ("analyze", x, *ONLY, "--json", "-o", out),
    "compare before": lambda x, out: ("compare", x, "other.json", *ONLY, "-o", out),
    "compare after": lambda x, out: ("compare", "other.json", x, *ONLY, "-o", out),
    "export": lambda x, out: ("export", x, out),
    "convert": lambda x, out: ("convert", x, out),
    "critical-path": lambda x, out: ("critical-path", x, "-o", out),
    "preview": lambda x, out: ("datasets", "preview", x, "--rate-hz", "50", "-o", out),
    "capture": lambda x, out: ("capture", "onellm", "--size", "tiny", "--data", x, "-o", out),
    "capture weights": lambda x, out: ("capture", "onellm", "--checkpoint", x, "-o", out),
    "bench": lambda x, out: ("bench", "onellm", "--size", "tiny", "--data", x, "-o", out),
}


def alias(kind: str, path: Path) -> Path:
    """Another name of a file."""
    other = path.with_name(f"alias-{kind}{path.suffix}")
    if kind == "hard":
        os.link(path, other)
    elif kind == "link":
        other.symlink_to(path.name)
    elif kind == "chain":
        other.with_name("between").symlink_to(path.resolve())
        other.symlink_to("between")
    elif kind == "folder":
        Path("elsewhere").symlink_to(path.parent.resolve())
        return Path("elsewhere") / path.name
    elif kind == "dots":
        Path("sub").mkdir()
        return Path("sub") / ".." / path.name
    else:
        return path
    return other


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        *((command, kind) for command in WRITERS for kind in ("itself", "hard", "link")),
        *(("export", kind) for kind in ("chain", "folder", "dots")),
    ],
)
def test_an_output_that_is_an_input_is_refused(
    command: str, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    trace("other.json")
    path = trace("x.json")
    before = path.read_bytes()
    out = alias(kind, path)
    code = tracekit(*WRITERS[command](path, out), *(["--force"] if kind == "hard" else []))
    assert code == 1
    said = capfd.readouterr().err
    assert "would be lost" in said
    assert said.count("\n") == 1
    assert path.read_bytes() == before
    assert out.read_bytes() == before


@pytest.mark.parametrize("command", WRITERS)
def test_a_file_of_somebody_else_is_kept(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    trace("other.json")
    path = trace("x.json")
    mine = Path("notes.txt")
    mine.write_text("my notes")
    assert tracekit(*WRITERS[command](path, mine)) == 1
    assert "--force" in capfd.readouterr().err
    assert mine.read_text() == "my notes"


def never(*_given: object, **_named: object) -> None:
    raise AssertionError("work was begun")


@pytest.mark.parametrize("command", [*WRITERS, "csv", "junit", "output-dir", "reports"])
def test_where_nothing_can_be_written_is_said_before_the_work(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tracekit.capture import plan
    from tracekit.results import engine
    from tracekit.trace import kineto

    for module, name in ((kineto, "load"), (plan, "build"), (engine, "answers")):
        monkeypatch.setattr(module, name, never)
    trace("other.json")
    path, there = trace("x.json"), Path("folder")
    there.mkdir()
    more: dict[str, tuple[object, ...]] = {
        "csv": ("analyze", path, "--no-html", "--csv", "other.json"),
        "junit": ("analyze", path, "--no-html", "--junit", there),
        "output-dir": ("compare", path, "other.json", "--output-dir", "other.json/deep"),
        "reports": ("analyze", path),
    }
    Path("reports").write_text("a file where pages would go")
    assert tracekit(*(more.get(command) or WRITERS[command](path, there))) == 1
    said = capfd.readouterr().err
    assert "cannot be written" in said
    assert "is no folder" in said or "it is a folder" in said
    assert said.count("error: ") == 1


@pytest.mark.parametrize("command", [one for one in WRITERS if one != "convert"])
def test_a_name_that_says_another_thing_than_what_comes_is_wrong_usage(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tracekit.capture import plan

    monkeypatch.setattr(plan, "build", never)
    trace("other.json")
    assert tracekit(*WRITERS[command](trace("x.json"), Path("out.txt"))) == 2
    assert "out.txt: ends in .txt, and what comes is ." in capfd.readouterr().err
    assert not Path("out.txt").exists()


@pytest.mark.parametrize("command", ["analyze", "export", "convert", "compare before"])
def test_ones_own_file_is_replaced_and_any_with_force(command: str) -> None:
    if command == "convert":
        pytest.importorskip("pyarrow")
    trace("other.json")
    path, out = trace("x.json"), Path("out.json.gz" if command == "export" else "out")
    assert tracekit(*WRITERS[command](path, out)) == 0
    first = out.read_bytes()
    assert tracekit(*WRITERS[command](path, out)) == 0
    out.write_text("my notes")
    assert tracekit(*WRITERS[command](path, out)) == 1
    assert tracekit(*WRITERS[command](path, out), "--force") == 0
    assert len(out.read_bytes()) == len(first)
    out.write_bytes(b"")  # as mktemp leaves it
    assert tracekit(*WRITERS[command](path, out)) == 0


@pytest.mark.parametrize("command", ["analyze", "export"])
def test_a_pipe_and_a_device_are_written_into(command: str) -> None:
    path = trace("x.json")
    os.mkfifo("pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_bytes()))
    reader.start()
    assert tracekit(*WRITERS[command](path, Path("pipe"))) == 0
    reader.join(20)
    assert b"aten::mm" in got[0]
    assert Path("pipe").is_fifo()
    assert tracekit(*WRITERS[command](path, Path("/dev/null"))) == 0
    assert Path("/dev/null").is_char_device()


def test_standard_output_by_its_path_comes_after_what_was_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = trace("x.json")
    assert tracekit("export", path, "/dev/stdout") == 0
    said = capfd.readouterr().out
    document, _, after = said.rpartition("/dev/stdout: 2 of 2 slices")
    assert json.loads(document)["traceEvents"]
    assert after


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_device_without_room_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert tracekit("export", trace("x.json"), "/dev/full") == 1
    assert capfd.readouterr().err.startswith("error: /dev/full: cannot be written (No space left")


def test_a_link_stays_and_what_it_leads_to_is_replaced() -> None:
    path = trace("x.json")
    Path("deep").mkdir()
    Path("out.json").symlink_to("deep/real.json")
    assert tracekit("export", path, "out.json") == 0
    assert Path("out.json").is_symlink()
    assert "aten::mm" in Path("deep/real.json").read_text()
    Path("deep/real.json").write_text("my notes")
    assert tracekit("export", path, "out.json") == 1
    assert Path("deep/real.json").read_text() == "my notes"


def test_rights_of_a_file_are_kept_and_one_that_is_read_only_too() -> None:
    path = trace("x.json")
    assert tracekit("export", path, "out.json") == 0
    Path("out.json").chmod(0o600)
    assert tracekit("export", path, "out.json") == 0
    assert Path("out.json").stat().st_mode & 0o777 == 0o600
    if os.geteuid() == 0:
        return  # who is root may write it
    Path("out.json").chmod(0o400)
    assert tracekit("export", path, "out.json") == 1


# ---------------------------------------------------------------- names that nobody asked for


def test_reports_of_two_traces_of_one_name_are_two(capfd: pytest.CaptureFixture[str]) -> None:
    one, two = trace("a/t.json", "aten::one"), trace("b/t.json", "aten::two")
    for path in (one, two, one):
        assert tracekit("analyze", path, *ONLY) == 0
    assert sorted(p.name for p in Path("reports").iterdir()) == ["t-ops-2.html", "t-ops.html"]
    assert "aten::one" in Path("reports/t-ops.html").read_text()
    assert "aten::two" in Path("reports/t-ops-2.html").read_text()
    assert "report: reports/t-ops-2.html" in capfd.readouterr().err


def test_a_report_leaves_a_file_of_its_name_alone() -> None:
    Path("reports").mkdir()
    Path("reports/t-ops.html").write_text("my page")
    assert tracekit("analyze", trace("t.json"), *ONLY) == 0
    assert Path("reports/t-ops.html").read_text() == "my page"
    assert Path("reports/t-ops-2.html").exists()


def test_comparisons_of_traces_of_one_name_are_two() -> None:
    for folder in "abc":
        trace(f"{folder}/t.json", f"aten::{folder}")
    assert tracekit("compare", "a/t.json", "b/t.json", *ONLY) == 0
    assert tracekit("compare", "a/t.json", "c/t.json", *ONLY) == 0
    assert len(list(Path("reports").iterdir())) == 2


def test_the_critical_path_is_not_drawn_beside_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hta")
    from tracekit.attribution import hta_results

    edge = hta_results.Edge("aten::mm", "cpu_bound", "operator", 5, False)
    monkeypatch.setattr(
        hta_results, "critical_path",
        lambda _path, _name, _at, overlay: overlay.parent.mkdir(exist_ok=True)
        or (overlay.write_text("drawn") and [edge]),
    )  # fmt: skip
    path = trace("theirs/t.json")
    for _ in range(2):
        assert tracekit("critical-path", path, "--stages", "step") == 0
    assert [p.name for p in Path("theirs").iterdir()] == ["t.json"]
    names = sorted(p.name for p in Path("traces").iterdir())
    assert names == ["t.critical_path-2.json.gz", "t.critical_path.json.gz"]


def test_tables_replace_tables_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    path = trace("t.json")
    for _ in range(2):
        assert tracekit("analyze", path, *ONLY, "--no-html", "--csv", "tables") == 0
    whole = {p.name: p.read_text() for p in Path("tables").iterdir()}
    Path("tables/ops.csv").write_text("date,weight\n1,2\n")
    for other in whole.keys() - {"ops.csv"}:
        Path("tables", other).unlink()
    assert tracekit("analyze", path, *ONLY, "--no-html", "--csv", "tables") == 1
    assert "--force" in capfd.readouterr().err
    assert [p.name for p in Path("tables").iterdir()] == ["ops.csv"]  # nothing was begun
    assert tracekit("analyze", path, *ONLY, "--no-html", "--csv", "tables", "--force") == 0
    assert {p.name: p.read_text() for p in Path("tables").iterdir()} == whole


def test_a_name_that_nobody_asked_for_is_given_once(here: Path) -> None:
    for expected in ("a.pt.trace.json.gz", "a-2.pt.trace.json.gz", "a-3.pt.trace.json.gz"):
        with files.writing_new(here / "a.pt.trace.json.gz") as (temporary, name):
            temporary.write_text(expected)
        assert name().name == expected
        assert name().read_text() == expected
    assert len(list(here.iterdir())) == 3


# ---------------------------------------------------------------- the library


def test_the_library_refuses_what_the_commands_refuse() -> None:
    import tracekit as library
    from tracekit.trace import kineto
    from tracekit.trace.perfetto.export import export

    path = trace("x.json")
    before = path.read_bytes()
    Path("notes.html").write_text("my notes")
    with pytest.raises(TracekitError, match="would be lost"):
        export(path, path)
    with pytest.raises(TracekitError, match="would be lost"):
        library.load(path).report(path)
    with pytest.raises(TracekitError, match="--force"):
        library.load(path).report("notes.html")
    if shutil.which("true") and pytest.importorskip("pyarrow"):
        from tracekit.trace import parquet

        with pytest.raises(TracekitError, match="would be lost"):
            parquet.write(kineto.load(path), path)
    assert path.read_bytes() == before


# ---------------------------------------------------------------- killed, crowded


def test_what_a_killed_process_left_goes_with_the_next_writing(here: Path) -> None:
    child = os.fork()
    if not child:
        with files.writing(here / "a.json") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    assert [p.name for p in here.iterdir()] != []
    assert not (here / "a.json").exists()
    (here / ".a.123-notes.json").write_text("my notes")
    with files.writing(here / "b.json") as temporary:
        temporary.write_text("whole")
    assert sorted(p.name for p in here.iterdir()) == [".a.123-notes.json", "b.json"]


@pytest.mark.parametrize("killed", [True, False])
def test_temporary_folders_go_with_their_process_or_with_the_next(
    killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    child = os.fork()
    if not child:
        atexit._clear()
        for folder in (files.passing(), files.passing()):
            (folder / "copy.trace").write_text("[]")
        with files.scratch() as folder:
            (folder / "one").mkdir()
        if killed:
            os.kill(os.getpid(), 9)
        atexit._run_exitfuncs()
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 2 * killed
    with files.scratch() as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(TracekitError, match="no room for temporary files"), files.scratch():
        pass


def test_eight_processes_at_once_leave_one_whole_file(here: Path) -> None:
    children = []
    for letter in "abcdefgh":
        child = os.fork()
        if not child:
            try:
                for _ in range(20):
                    with files.writing(here / "one.txt") as temporary:
                        temporary.write_text(letter * 100_000)
                with files.writing_new(here / "each.txt") as (temporary, _name):
                    temporary.write_text(letter)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    text = (here / "one.txt").read_text()
    assert len(text) == 100_000
    assert len(set(text)) == 1
    assert sorted(p.read_text() for p in here.glob("each*.txt")) == list("abcdefgh")
    assert len(list(here.iterdir())) == 9
