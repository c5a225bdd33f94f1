"""Two processes that run `tracekit` as ranks of one job, forked from one that has torch already."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def capture(folder: str, model: str, words: list[str]) -> dict[str, Any]:
    """Code and output of each rank of `tracekit capture MODEL …`, and the text of one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ.update(WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    ranks = [_rank(rank, folder, ["capture", model, *words]) for rank in (0, 1)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in ranks]
    said = [Path(folder, f"said-{rank}").read_text() for rank in (0, 1)]
    return {"codes": codes, "said": said, "alone": _alone(model)}


def _rank(rank: int, folder: str, words: list[str]) -> int:
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        os.chdir(folder)
        out = os.open(f"said-{rank}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        from tracekit.cli import process as running
        from tracekit.cli.app import app

        sys.argv = ["tracekit", *words]
        code = running.run(app)
        sys.stdout.flush()
    finally:
        os._exit(code)


def _alone(model: str) -> list[str]:
    """What one process generates for the same request of three tokens."""
    from tracekit.capture import plan as planning
    from tracekit.capture.recorder import Recorder, request

    plan = planning.plan(model, size="tiny", device="cpu", samples=1, max_new_tokens=3)
    with TemporaryDirectory() as folder:
        sample = planning.feed(plan, Path(folder))[0]
        adapter = planning.build(plan)
        return list(request(adapter, sample, 0, Recorder(mark=False), most_steps=2).text)
