"""A server that forks a child for each command: `tests/fresh.py` asks it.

A child has its own packages, folder, streams and exit code, as any new process has.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from typing import IO, Any


def command(asked: Mapping[str, Any]) -> int:
    """`tracekit …`, and its exit code."""
    from tracekit.cli.app import main

    sys.argv = ["tracekit", *asked["args"]]
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def call(asked: Mapping[str, Any]) -> int:
    """Prints what a function returns."""
    module, name = asked["call"]
    print(json.dumps(getattr(importlib.import_module(module), name)(*asked["args"])))
    return 0


def child(asked: Mapping[str, Any]) -> None:
    """Does what is asked and ends this process."""
    signal.alarm(300 if asked.get("call") else 120)  # a loaded machine is five times slower
    for number, path in ((1, "out"), (2, "err")):
        os.dup2(os.open(asked[path], os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.chdir(asked["cwd"])
    sys.path[:0] = asked["path"]
    for package, folder in asked["beside"].items():
        importlib.import_module(package).__path__.append(folder)
    was_loaded = sys.modules.keys() & set(asked["absent"])
    assert not was_loaded, was_loaded
    sys.modules.update(dict.fromkeys(asked["absent"]))  # type: ignore[arg-type]
    try:
        code = call(asked) if asked.get("call") else command(asked)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve(asking: IO[str], answers: IO[str]) -> None:
    """One line of JSON asks, one line with the exit code answers; until nobody asks any more."""
    for line in asking:
        process = os.fork()
        if not process:
            child(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), file=answers, flush=True)


def forked() -> tuple[IO[str], IO[str]]:
    """A server with all that this process has loaded: where to ask it, and where it answers."""
    asking, ask = os.pipe()
    answer, answers = os.pipe()
    if os.fork():
        os.close(asking)
        os.close(answers)
        return os.fdopen(ask, "w"), os.fdopen(answer)
    try:
        low, high = sorted((asking, answers))  # the rest is the parent's: who waits for it to end
        for first, end in ((3, low), (low + 1, high), (high + 1, 4096)):
            os.closerange(first, end)
        for number in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        serve(os.fdopen(asking), os.fdopen(answers, "w"))
    finally:
        os._exit(0)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        importlib.import_module(name)
    serve(sys.stdin, sys.stdout)
