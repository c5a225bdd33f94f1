"""A command as a process: every byte of its output or one line, signals heard, one exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tracekit.cli import process, progress
from tracekit.errors import TracekitError

NAMES = ("a\x1b[31mred\x07", "bidi\u202eevil", "\x9b31m", "日本", "é")
# prints a megabyte, then ends as commands do; what Python itself says must not be heard
LONG = """
from tracekit.cli import process, progress
import sys
sys.exit(process.run(lambda: process.say('x' * 10**6)))
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    path = tmp_path / "t.json"
    events = [{"ph": "X", "cat": "cpu_op", "name": name, "pid": 1, "tid": 1, "ts": 10 * n, "dur": 5}
              for n, name in enumerate(NAMES)]  # fmt: skip
    path.write_text(json.dumps({"traceEvents": events}))
    return path


def ran(code: str, *, out: object = subprocess.PIPE, **environment: str) -> tuple[int, str]:
    """The exit code and what was said on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=out, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **environment}, timeout=60,
    )  # type: ignore[call-overload]  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize(
    ("unbuffered", "size"),
    [("", "10**6"), ("1", "10**6"), ("", "10")],  # less than a buffer fails only at the end
)
def test_a_full_disk_is_one_line_and_no_success(unbuffered: str, size: str) -> None:
    with open("/dev/full", "w") as full:
        code, said = ran(LONG.replace("10**6", size), out=full, PYTHONUNBUFFERED=unbuffered)
    assert code == 1
    assert said.startswith("error: standard output: cannot be written (No space left")
    assert said.count("\n") == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_limit_on_sizes_leaves_no_cut_output_with_exit_0(unbuffered: str, tmp_path: Path) -> None:
    limited = (
        f"import resource, signal\nresource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n{LONG}"
    )
    with open(tmp_path / "out", "w") as out:
        code, said = ran(limited, out=out, PYTHONUNBUFFERED=unbuffered)
    assert code == 1
    assert said.startswith("error: standard output: cannot be written (File too large)")


def test_closed_streams_are_told_and_nothing_else_takes_their_place(tmp_path: Path) -> None:
    code = f"import os\nos.close(1)\n{LONG}"
    assert ran(code)[0] == 1
    quiet = f"import os\nos.close(1)\nos.close(2)\n{LONG}"
    assert ran(quiet) == (1, "")
    opening = LONG.replace("process.say('x' * 10**6)", "open('f', 'w').fileno() > 2 and 7")
    chdir = f"import os\nos.chdir({str(tmp_path)!r})\nos.close(0)\nos.close(1)\n"
    assert ran(chdir + opening)[0] == 7


def test_who_hangs_up_is_not_told() -> None:
    take, give = os.pipe()
    os.close(take)
    with os.fdopen(give, "w") as out:
        assert ran(LONG, out=out) == (process.HUNG_UP, "")


def test_a_pipe_that_returns_at_once_gets_all() -> None:
    take, give = os.pipe()
    os.set_blocking(give, False)
    with subprocess.Popen([sys.executable, "-c", LONG], stdout=give) as writer:
        os.close(give)
        with os.fdopen(take, "rb") as read:
            assert len(read.read()) == 10**6 + 1
    assert writer.returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
@pytest.mark.parametrize("form", ["--full", "--json", "--markdown"])
def test_any_encoding_gets_text_that_no_terminal_obeys(
    encoding: str, form: str, hostile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    from tracekit.cli.app import app

    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="replace")
    monkeypatch.setattr(sys, "stdout", stream)
    code = process.run(lambda: app(["analyze", str(hostile), form, "--no-html"]))
    stream.flush()
    text = raw.getvalue().decode(encoding)
    assert code == 0
    assert not set("\x1b\x07\x9b\u202e") & set(text)
    if form == "--json":
        rows = json.loads(text)["traces"][0]["answers"]["ops"]["rows"]
        assert {row["name"] for row in rows} == set(NAMES)


def test_an_error_is_one_line_whatever_its_words_hold(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise TracekitError("is bad\x1b[2J\n", where="a\nb\u202e", hint="go\x07")

    assert process.run(fails) == 1
    assert capfd.readouterr().err == "error: a\\nb\\u202e: is bad\\x1b[2J\\n; go\\x07\n"


@pytest.mark.parametrize(
    ("number", "returned", "code"),
    [
        (signal.SIGTERM, None, 143),
        (signal.SIGINT, None, 130),
        (signal.SIGHUP, None, 129),
        (signal.SIGTERM, 130, 143),  # what is complete was kept, as after Ctrl-C
        (signal.SIGTERM, 0, 143),
        (signal.SIGINT, 0, 0),  # `open` serves until then
        (signal.SIGTERM, 3, 3),
    ],
)
def test_every_signal_that_ends_does_what_ctrl_c_does(
    number: signal.Signals, returned: int | None, code: int
) -> None:
    # as in a process of its own, also where the tests run in the background
    unheard = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, unheard)
    cleaned: list[bool] = []

    def command() -> int | None:
        try:
            os.kill(os.getpid(), number)
            signal.sigtimedwait([], 1)
        except KeyboardInterrupt:
            if returned is None:
                raise
        finally:
            cleaned.append(True)
        return returned

    try:
        assert process.run(command) == code
        assert signal.getsignal(number) is unheard
    finally:
        signal.signal(number, before)
    assert cleaned


def test_what_was_asked_to_be_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert process.run(lambda: os.kill(os.getpid(), signal.SIGHUP)) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_log_says_how_far_a_long_phase_is_every_ten_seconds() -> None:
    said: list[str] = []
    now = iter([0.0, 0.0, 4.0, 9.9, 10.0, 10.0, 12.0, 30.0, 30.0])
    say = progress.in_a_log(said.append, lambda: next(now))
    for done in (0, 1, 2, 3, 4):  # begins at 0 s; 4, 9.9, 10, 12
        say("timing", done, 9)
    say("warm-up", 0, None)
    assert said == ["timing (9)", "timing: 3 of 9", "warm-up"]
