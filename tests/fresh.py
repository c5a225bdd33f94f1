"""`tracekit …` in a process of its own that need not start Python and load packages first.

A server that has loaded what every command loads forks a child for each: the child has its own
packages, folder, streams and exit code, as any new process has.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

SERVER = """
import json, os, signal, sys, traceback
for name in sys.argv[1:]:
    __import__(name)
from tracekit.cli.app import main
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        signal.alarm(120)
        for number, path in ((1, "out"), (2, "err")):
            os.dup2(os.open(asked[path], os.O_WRONLY | os.O_CREAT, 0o600), number)
        os.chdir(asked["cwd"])
        sys.path[:0] = asked["path"]
        was_loaded = sys.modules.keys() & set(asked["absent"])
        assert not was_loaded, was_loaded
        sys.modules.update(dict.fromkeys(asked["absent"]))
        sys.argv = ["tracekit", *asked["args"]]
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
# nothing here asks for an entry by its name, so that a child finds those of its own path
LOADED = (
    "tracekit.results.engine", "tracekit.report.html.page", "tracekit.trace.kineto",
    "tracekit.analyses.idle.analysis", "tracekit.analyses.kernels.analysis",
    "tracekit.analyses.roles.analysis", "tracekit.analyses.roofline.analysis",
)  # fmt: skip


@lru_cache(maxsize=1)
def _server() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVER, *LOADED]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    return server


def tracekit(
    *args: object, cwd: Path, path: Sequence[Path] = (), absent: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """What the command printed and its exit code.

    `path` is where packages are looked for first; modules of `absent` are not installed.
    """
    server, words = _server(), [str(arg) for arg in args]
    assert server.stdin is not None
    assert server.stdout is not None
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        asked = {"args": words, "cwd": str(cwd), "path": [str(p) for p in path],
                 "absent": list(absent), "out": str(out), "err": str(err)}  # fmt: skip
        print(json.dumps(asked), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(
            words, code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        )
