"""`tracekit …` in a process of its own that need not start Python and load packages first.

A server that has loaded what every command loads forks a child for each: `tests/served.py`.
"""

from __future__ import annotations

import atexit
import importlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from tests import served

# nothing here asks for an entry by its name, so that a child finds those of its own path
LOADED = (
    "tracekit.cli.app",
    "tracekit.results.engine", "tracekit.report.html.page", "tracekit.trace.kineto",
    "tracekit.analyses.idle.analysis", "tracekit.analyses.kernels.analysis",
    "tracekit.analyses.roles.analysis", "tracekit.analyses.roofline.analysis",
)  # fmt: skip


MODELS = ("torch", "transformers.models.llama.modeling_llama", "tracekit.capture.plan")
ROOT = Path(__file__).resolve().parents[1]


@lru_cache
def _server(loaded: tuple[str, ...]) -> tuple[IO[str], IO[str]]:
    """Where a server of these modules is asked, and where it answers."""
    command = [sys.executable, "-m", "tests.served", *loaded]
    server = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate)
    assert server.stdin is not None
    assert server.stdout is not None
    return server.stdin, server.stdout


_early: dict[tuple[str, ...], tuple[IO[str], IO[str]]] = {}


def start() -> None:
    """Both servers, of a process that has loaded nothing else yet and will need the same."""
    for loaded in (LOADED, MODELS):
        for name in loaded:
            importlib.import_module(name)
        _early[loaded] = served.forked()


def _asked(
    loaded: tuple[str, ...],
    args: Sequence[Any],
    cwd: Path,
    path: Sequence[Path],
    absent: Sequence[str] = (),
    beside: Mapping[str, Path] | None = None,
    **more: Any,
) -> subprocess.CompletedProcess[str]:
    ask, answers = _early.get(loaded) or _server(loaded)
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        asked = {"args": args, "cwd": str(cwd), "path": [str(p) for p in path],
                 "beside": {name: str(place) for name, place in (beside or {}).items()},
                 "absent": list(absent), "out": str(out), "err": str(err), **more}  # fmt: skip
        print(json.dumps(asked), file=ask, flush=True)
        code = int(answers.readline())
        return subprocess.CompletedProcess(
            list(args), code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        )


def tracekit(
    *args: object,
    cwd: Path,
    path: Sequence[Path] = (),
    absent: Sequence[str] = (),
    beside: Mapping[str, Path] | None = None,
    loaded: tuple[str, ...] = LOADED,
) -> subprocess.CompletedProcess[str]:
    """What the command printed and its exit code.

    `path` is where packages are looked for first; modules of `absent` are not installed; a folder
    of `beside` holds more files of a package, as if they lay in the package's own folder.
    """
    return _asked(loaded, [str(arg) for arg in args], cwd, path, absent, beside)


def called(
    function: str,
    *args: Any,
    loaded: tuple[str, ...] = MODELS,
    beside: Mapping[str, Path] | None = None,
) -> Any:
    """What `module:function` returns of these arguments, all of it JSON, in a forked process.

    `loaded` are packages that all such processes have from the start.
    """
    done = _asked(loaded, args, ROOT, [ROOT], beside=beside, call=function.split(":"))
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
