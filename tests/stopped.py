"""Commands that are stopped, cut short or hindered, each in a process of its own that is forked.

`cells` runs one command under the faults of the matrix in `test_killed.py`, and tells what came of
each: exit code, what was said, which files were left and which of them are whole.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from tracekit.cli import process

BODY = bytes(range(256)) * 4000  # of a data set, 1 MB
LIMIT = {"capture": 125_000, "index": 200}  # bytes, that each output is longer than; else LEAST
LEAST = 2000
NOWHERE = "/proc/no folder can be made here"
WORDS: dict[str, Callable[[str], Sequence[str]]] = {
    "analyze": lambda out: ("analyze", "t.json", "--only", "ops", "-o", out),
    "index": lambda out: ("index", "t.json", "-o", out),
    "export": lambda out: ("export", "t.json", out),
    "convert": lambda out: ("convert", "t.json", out),
    "capture": lambda out: ("capture", "limu_bert", "--size", "tiny", "--samples", "2",
                            "--warmup", "0", "-o", out),
    "bench": lambda out: ("bench", "limu_bert", "--size", "tiny", "--samples", "2", "-o", out),
    "download": lambda out: ("datasets", "download", "motion_sense", "-o", out),
}  # fmt: skip
OUT = {
    "analyze": "out.html",
    "index": "out.csv",
    "convert": "out.parquet",
    "download": "got",
}  # fmt: skip; else out.json
IMPORTED: dict[str, Sequence[str]] = {
    "convert": ("tracekit.trace.parquet", "pyarrow.parquet", "pandas"),
    "capture": ("torch.profiler", "tracekit.models.limu_bert.model", "tracekit.capture.save"),
    "download": ("pooch", "requests", "rich.progress", "tracekit.datasets.har.motion_sense"),
}  # fmt: skip
FAULTS = ("kill", "term", "interrupt", "limit", "full", "closed", "unwritable", "two")


@dataclass
class Ended:
    """How a process ended."""

    code: int  # below 0: the signal that ended it
    said: str  # on stderr
    files: list[str]  # in its folder, with those below it
    whole: bool  # the output is there, and is one

    def to_json(self) -> dict[str, Any]:
        """For the process that asked."""
        return vars(self)


def cells(command: str, folder: str, faults: Sequence[str]) -> dict[str, Any]:
    """What came of each fault."""
    found: dict[str, Any] = {}
    with _served() as url:
        before = _before(command)
        for fault in faults:
            at = Path(folder) / fault
            at.mkdir()
            _inputs(at)
            found[fault] = _cell(command, fault, at, url, before).to_json()
            if fault == "kill" and command not in ("capture", "bench"):
                again = _ended([_child(command, "", at, url, before)], command, at)
                found["again"] = again.to_json()
    return found


def _cell(
    command: str, fault: str, at: Path, url: str, before: Callable[[Callable[[], None]], None]
) -> Ended:
    count = 2 if fault == "two" else 1
    return _ended([_child(command, fault, at, url, before) for _ in range(count)], command, at)


def _ended(children: Sequence[int], command: str, at: Path) -> Ended:
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    said = "".join(path.read_text() for path in sorted(at.glob("said*")))
    inputs = {"t.json"}
    there = [str(path.relative_to(at)) for path in sorted(at.rglob("*")) if path.is_file()]
    left = [name for name in there if name not in inputs and not name.startswith("said")]
    return Ended(max(codes, key=abs), said, left, _whole(command, at))


def _whole(command: str, at: Path) -> bool:
    """Whether the output has all that belongs into it."""
    out = at / OUT.get(command, "out.json")
    if command == "download":
        return (out / "a.bin").is_file() and (out / "a.bin").read_bytes() == BODY
    if not out.is_file():
        return False
    if out.suffix == ".html":
        return out.read_text().rstrip().endswith("</html>")
    if command == "index":
        from tracekit.comparison.fleet import store

        return bool(store.read(out))
    if command == "bench":
        from tracekit.bench import file

        return bool(file.load(out)["configurations"])
    from tracekit.trace import kineto

    return not kineto.load(out).source.losses


# ---------------------------------------------------------------- one process


def _child(
    command: str, fault: str, at: Path, url: str, before: Callable[[Callable[[], None]], None]
) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.chdir(at)
        code = _run(command, fault, url, before)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _run(command: str, fault: str, url: str, before: Callable[[Callable[[], None]], None]) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(f"said{os.getpid()}", os.O_WRONLY | os.O_CREAT, 0o600), 2)
    os.environ["TRACEKIT_CACHE"] = "off"
    os.mkdir(f"tmp{os.getpid()}")
    tempfile.tempdir = os.path.abspath(f"tmp{os.getpid()}")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    out = OUT.get(command, "out.json")
    numbers = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "interrupt": signal.SIGINT}
    number = numbers.get(fault)
    stop = _once(lambda: None if number is None else os.kill(os.getpid(), number))
    before(stop)
    if command == "download":
        _downloads(url, stop, full=fault == "full")
    if fault == "limit":
        most = LIMIT.get(command, LEAST)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    elif fault == "full":
        if command == "index":  # the ending says the form
            os.symlink("/dev/full", out)
        elif command != "download":
            out = "/dev/full"
    elif fault == "closed":
        os.close(1)
    elif fault == "unwritable":
        out = f"{NOWHERE}/{out}"
    return process.run(lambda: _app(WORDS[command](out)))


def _once(act: Callable[[], None]) -> Callable[[], None]:
    done: list[bool] = []

    def once() -> None:
        if not done:
            done.append(True)
            act()

    return once


# ---------------------------------------------------------------- where each is stopped


def _before(command: str) -> Callable[[Callable[[], None]], None]:
    """What puts the stop into a process of the command: in the midst of its work.

    What all of them need is made and imported here, once.
    """
    if command == "bench":
        return _bench()
    for name in IMPORTED.get(command, ()):
        importlib.import_module(name)
    if command == "capture":
        return _in_the_last_request
    if command == "download":
        return lambda stop: None
    _once_here("export" if command == "convert" else command)
    return _before_the_name


def _once_here(command: str) -> None:
    with (
        tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder),
        contextlib.ExitStack() as stack,
    ):  # fmt: skip
        _inputs(Path(folder))
        words = WORDS[command](OUT.get(command, "out.json"))
        none = stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(contextlib.redirect_stdout(none))
        stack.enter_context(contextlib.redirect_stderr(none))
        process.run(lambda: _app(words))


def _before_the_name(stop: Callable[[], None]) -> None:
    """All is written, and takes its name."""
    replace = os.replace

    def stopped(*given: Any) -> None:
        stop()
        replace(*given)

    os.replace = stopped  # type: ignore[assignment]


def _in_the_last_request(stop: Callable[[], None]) -> None:
    """Two unprofiled requests and one profiled one are complete."""
    from tracekit.capture.run import Passes

    one, count = Passes.one, iter(range(1 << 30))

    def stopped(self: Passes, *given: Any, **more: Any) -> Any:
        if next(count) == 3:
            stop()
        return one(self, *given, **more)

    Passes.one = stopped  # type: ignore[method-assign]


def _bench() -> Callable[[Callable[[], None]], None]:
    """Requests that were timed once for all; the stop comes among them."""
    from tracekit.bench import timing

    timing.MOST_WARMUP = 1
    measured: list[Any] = []
    bench = timing.bench

    def once(configs: Any, **given: Any) -> Any:
        if not measured:
            measured.append(bench(configs, **given))
        return measured[0]

    timing.bench = once
    _once_here("bench")

    def before(stop: Callable[[], None]) -> None:
        def stopped(configs: Any, **given: Any) -> Any:
            stop()
            return measured[0]

        timing.bench = stopped

    return before


def _app(words: Sequence[str]) -> object:
    from tracekit.cli.app import app

    return app(list(words))


def _downloads(url: str, stop: Callable[[], None], *, full: bool) -> None:
    """A data set on loopback, of which half has come; with `full` there is no room for it."""
    from dataclasses import replace

    from tracekit.datasets import entry
    from tracekit.datasets.fetch import downloads, resume

    known, bar = entry.dataset("motion_sense"), resume._bar

    def fetch(folder: Path, *, subset: str | None = None, force: bool = False) -> None:
        downloads.https(url, folder, "a.bin", size=len(BODY), force=force)

    @contextlib.contextmanager
    def stopping() -> Iterator[Any]:
        with bar() as shown:
            advance, count = shown.advance, iter(range(1 << 30))

            def half(*given: Any) -> None:
                if next(count) == 1:
                    stop()
                advance(*given)

            shown.advance = half
            yield shown

    if full:
        vars(resume)["open"] = lambda _path, mode: open("/dev/full", mode)  # noqa: SIM115
    resume._bar = stopping
    entry.dataset = lambda _name: replace(known, download=fetch)  # type: ignore[assignment]


# ---------------------------------------------------------------- what it reads


def _inputs(at: Path) -> None:
    events = ",".join(
        f'{{"ph":"X","cat":"cpu_op","name":"aten::mm","pid":1,"tid":1,"ts":{10 * n},"dur":5}}'
        for n in range(100)
    )
    (at / "t.json").write_text(f'{{"traceEvents":[{events}]}}')


@contextlib.contextmanager
def _served() -> Iterator[str]:
    """BODY on loopback, with ranges; slowly enough that two meet."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            self.send_response(206 if start else 200)
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", str(len(BODY) - start))
            if start:
                whole = len(BODY)
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            self.end_headers()
            for at in range(start, len(BODY), 1 << 18):
                try:
                    self.wfile.write(BODY[at : at + (1 << 18)])
                except OSError:
                    return
                time.sleep(0.02)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.daemon = True
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a.bin"
    finally:
        server.shutdown()
        server.server_close()
