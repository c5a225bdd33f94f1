"""Files that unpack to far more than any profiler writes cost little, and say what was left out."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from tracekit.trace import kineto
from tracekit.trace.columns.documents import document
from tracekit.trace.json import swollen

EVENT = b'{"ph": "X", "cat": "cpu_op", "name": "%s", "pid": 1, "tid": 1, "ts": %d, "dur": 5}'
LATE = b'{"name": "%s", "cat": "cpu_op", "pid": 1, "tid": 1, "ts": %d, "dur": 5, "ph": "X"}'


def packed(path: Path, middle: list[bytes], event: bytes = EVENT) -> Path:
    """A trace of events around the given ones; parts of a large file are made one by one."""
    with gzip.open(path, "wb", 6) as file:
        file.write(b'{"traceEvents": [')
        file.write(event % (b"first", 1) + b",")
        for part in middle:
            file.write(part)
        file.write(b",".join(event % (b"last%d" % n, 900 + 10 * n) for n in range(3)))
        file.write(b"]}")
    return path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same at a hundredth of the size."""
    for name, size in (("LONGEST", 1 << 20), ("LARGE", 1 << 16), ("BUDGET", 1 << 20)):
        monkeypatch.setattr(swollen, name, size)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("event", [EVENT, LATE], ids=["ph first", "ph last"])
@pytest.mark.parametrize("length", [3 << 20, (1 << 20) + 10_000])
def test_a_name_that_swells_is_left_out_and_said(event: bytes, length: int, tmp_path: Path) -> None:
    long = event % (b"a" * length, 50)
    trace = kineto.load(packed(tmp_path / "t.json.gz", [long, b","], event))
    assert trace.strings == ("first", "last0", "last1", "last2")
    (loss,) = trace.source.losses
    assert "an event of" in loss.what
    assert "left out" in loss.what
    said = int(loss.what.split("of ")[1].split(" bytes")[0].replace(",", ""))
    assert abs(said - len(long)) < 10
    whole = document(tmp_path / "t.json.gz")
    assert [e["name"] for e in whole.events] == ["first", "last0", "last1", "last2"]
    assert whole.damage == [loss.what]


@pytest.mark.usefixtures("small")
def test_many_large_names_have_a_budget(tmp_path: Path) -> None:
    names = [b"%d" % n + b"a" * (300 << 10) for n in range(20)]
    middle = [EVENT % (name, 20 + n) + b"," for n, name in enumerate(names)]
    trace = kineto.load(packed(tmp_path / "t.json.gz", middle))
    assert sum(map(len, trace.strings)) < 3 << 20
    assert {"first", "last2"} < set(trace.strings)
    assert "events of" in trace.source.losses[0].what


@pytest.mark.usefixtures("small")
def test_an_event_of_a_million_parts_is_left_out(tmp_path: Path) -> None:
    nested = (b'{"name": "n", "args": {"a": [' + b'{"name": 1},' * 300_000 + b'0]}, "ph": "X", '
              b'"cat": "cpu_op", "pid": 1, "tid": 1, "ts": 10, "dur": 5},')  # fmt: skip
    trace = kineto.load(packed(tmp_path / "t.json.gz", [nested]))
    assert trace.strings == ("first", "last0", "last1", "last2")


def test_what_packs_well_is_kept_whole(tmp_path: Path) -> None:
    same = EVENT % (b"same", 5) + b","
    trace = kineto.load(packed(tmp_path / "t.json.gz", [same * 200_000]))
    assert len(trace) == 200_004
    assert not trace.source.losses
    long = EVENT % (b"b" * (2 << 20), 50) + b","
    trace = kineto.load(packed(tmp_path / "u.json.gz", [long]))
    assert max(map(len, trace.strings)) == 2 << 20
    assert not trace.source.losses


@pytest.mark.usefixtures("small")
def test_a_bomb_that_has_no_end_is_a_clear_line_or_a_trace(tmp_path: Path) -> None:
    path = packed(tmp_path / "t.json.gz", [EVENT % (b"a" * (3 << 20), 50), b","])
    path.write_bytes(path.read_bytes()[:-60])
    assert kineto.load(path).strings == ("first",)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to ask for the peak")
def test_a_megabyte_that_holds_a_gigabyte_takes_no_gigabyte(tmp_path: Path) -> None:
    path = packed(
        tmp_path / "t.json.gz",
        [b'{"ph": "X", "name": "', *[b"a" * (1 << 20)] * 300, b'", "ts": 5, "dur": 5},'],
    )
    # the peak of rusage begins with that of the process which started this one
    code = (
        "import re, sys\n"
        "from tracekit.trace import kineto\n"
        "print(len(kineto.load(sys.argv[1])))\n"
        "print(re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=120, check=True
    )
    count, peak = map(int, ran.stdout.split())
    assert count == 4
    assert peak * 1024 < 500 << 20
