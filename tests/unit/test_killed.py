"""What a command leaves when it is stopped or hindered in the midst of its work.

Each cell runs the command in a process of its own (`tests/stopped.py`).

| | analyze | export | convert | capture | bench | datasets download |
| --- | --- | --- | --- | --- | --- | --- |
| kill -9 | here, and again | here, and again | here, and again | here | here | here, resumed |
| SIGTERM | here | here | here | here: 1 of 2 samples kept | here | here: part kept |
| Ctrl-C | here | as SIGTERM (1) | as SIGTERM (1) | test_capture | test_bench | here |
| file-size limit | here | here | here | here | here | here |
| full disk (/dev/full) | here | here | here | here | here | here |
| closed stdout | here | here | here | here | here | here |
| unwritable folder | here | here | here | here | here | here |
| two on one output | here | here | here | one writer (2) | one writer (2) | here |
| eight on one cache | test_reader_cache | so too | so too | reads none | reads none | reads none |

`index` is tried as `analyze` is, less Ctrl-C and two at once: stopped it keeps the traces that are
complete, and two runs on one index are not merged (docs/fleet.md). `compare`, `trend` and `preview`
write their pages as `analyze` does.
(1) one handler hears both: test_process. (2) `files.writing`, with eight at once: test_outputs.
A full disk under a regular file fails in the same calls as a limit on its size.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests import fresh
from tests.stopped import OUT

pytestmark = pytest.mark.skipif(
    not (os.path.exists("/dev/full") and os.path.exists("/proc/self")), reason="no /dev/full"
)
FAULTS = ("kill", "term", "limit", "full", "closed", "unwritable")
MORE = {"analyze": ("interrupt", "two"), "download": ("interrupt", "two"),
        "export": ("two",), "convert": ("two",)}  # fmt: skip
NEEDS = {"convert": "pyarrow", "download": "pooch", "capture": "torch", "bench": "torch"}
SAYS = {
    "limit": ("File too large", "could not write its trace"),
    "full": ("No space left",),
    "closed": ("standard output: cannot be written (it is closed)",),
    "unwritable": ("cannot be written (",),
}


def one_error(said: str) -> str:
    """The one line that is an error; the others are progress."""
    assert "Traceback" not in said, said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("command", ["analyze", "index", "export", "convert", "capture", "bench"])
def test_a_file_is_whole_or_absent_and_the_exit_code_says_which(
    command: str, tmp_path: Path
) -> None:
    pytest.importorskip(NEEDS.get(command, "numpy"))
    faults = (*FAULTS, *MORE.get(command, ()))
    found = fresh.called("tests.stopped:cells", command, str(tmp_path), faults)
    out = OUT.get(command, "out.json")
    assert found["kill"]["code"] == -9
    assert not found["kill"]["whole"]
    if "again" in found:  # what the killed one has left is gone
        assert (found["again"]["code"], found["again"]["files"]) == (0, [out])
    for fault, code in (("term", 143), ("interrupt", 130)):
        if fault not in found:
            continue
        # the first of its two samples; the only trace
        kept = command in ("capture", "index")
        assert (found[fault]["code"], found[fault]["whole"]) == (code, kept), found[fault]
        assert found[fault]["files"] == [out] * kept
    for fault, words in SAYS.items():
        assert found[fault]["code"] == 1, found[fault]
        line = one_error(found[fault]["said"])
        assert any(word in line for word in words), line
        if fault != "closed":
            assert found[fault]["files"] == [], found[fault]
    # of a capture the first line of all cannot be said, so nothing is begun
    assert found["closed"]["whole"] or (command, found["closed"]["files"]) == ("capture", [])
    assert [p.name for p in Path("/dev").glob("full*")] == ["full"]  # nothing beside a device
    if "two" in found:
        assert (found["two"]["code"], found["two"]["whole"]) == (0, True)
        assert found["two"]["files"] == [out]


def test_a_download_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    faults = (*FAULTS, *MORE["download"])
    found: dict[str, Any] = fresh.called("tests.stopped:cells", "download", str(tmp_path), faults)
    part = ["got/a.bin.part", "got/a.bin.part.tag"]
    for fault, code in (("kill", -9), ("term", 143), ("interrupt", 130), ("limit", 1)):
        assert (found[fault]["code"], found[fault]["files"]) == (code, part), found[fault]
    assert (found["again"]["code"], found["again"]["whole"]) == (0, True)
    assert found["again"]["files"] == ["got/a.bin"]
    for fault, words in SAYS.items():
        assert found[fault]["code"] == 1
        assert any(word in one_error(found[fault]["said"]) for word in words)
    assert found["closed"]["whole"]
    assert not found["full"]["whole"]
    assert found["two"]["whole"]
    assert found["two"]["files"] == ["got/a.bin"]
    refused = "another process is fetching into this folder" in found["two"]["said"]
    assert found["two"]["code"] == int(refused)
