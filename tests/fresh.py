"""`tracekit …` in a process of its own that need not start Python and load packages first.

A server that has loaded what every command loads forks a child for each: the child has its own
packages, folder, streams and exit code, as any new process has.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SERVER = """
import atexit, importlib, json, os, signal, sys, traceback
for name in sys.argv[1:]:
    __import__(name)
def command(asked):
    from tracekit.cli.app import main
    sys.argv = ["tracekit", *asked["args"]]
    try:
        main()
    except SystemExit as ended:
        return ended.code or 0
def call(asked):
    module, name = asked["call"]
    print(json.dumps(getattr(importlib.import_module(module), name)(*asked["args"])))
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        atexit._clear()  # what is the server's to do at its end
        signal.alarm(300 if asked.get("call") else 120)  # a loaded machine is five times slower
        for number, path in ((1, "out"), (2, "err")):
            os.dup2(os.open(asked[path], os.O_WRONLY | os.O_CREAT, 0o600), number)
        os.chdir(asked["cwd"])
        sys.path[:0] = asked["path"]
        for package, folder in asked["beside"].items():
            importlib.import_module(package).__path__.append(folder)
        was_loaded = sys.modules.keys() & set(asked["absent"])
        assert not was_loaded, was_loaded
        sys.modules.update(dict.fromkeys(asked["absent"]))
        try:
            code = (call if asked.get("call") else command)(asked) or 0
        except BaseException:
            traceback.print_exc()
            code = 1
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
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
def _server(loaded: tuple[str, ...]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVER, *loaded]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    return server


def _asked(
    loaded: tuple[str, ...],
    args: Sequence[Any],
    cwd: Path,
    path: Sequence[Path],
    absent: Sequence[str] = (),
    beside: Mapping[str, Path] | None = None,
    **more: Any,
) -> subprocess.CompletedProcess[str]:
    server = _server(loaded)
    assert server.stdin is not None
    assert server.stdout is not None
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        asked = {"args": args, "cwd": str(cwd), "path": [str(p) for p in path],
                 "beside": {name: str(place) for name, place in (beside or {}).items()},
                 "absent": list(absent), "out": str(out), "err": str(err), **more}  # fmt: skip
        print(json.dumps(asked), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
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
