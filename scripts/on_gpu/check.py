"""What tracekit does on a GPU, checked in one command; what it found is a few small files.

    scripts/gpu_check [--out FOLDER] [--device cuda:0] [--minutes 8] [--only STEP] [--pretend]

Goldens on the device, captures of every model and of two at full size, their traces analyzed,
decode against the memory's bandwidth. Each step has its time; one that fails or hangs is a row,
and the rest goes on. Exit code 0: all passed; 1: something failed; 2: there is nothing to check.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.on_gpu import steps, table
from scripts.on_gpu.setup import Setup, Step, read_rows
from tracekit.errors import TracekitError

RESERVE = 8.0  # seconds kept for the report


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    text = (__doc__ or "").split("\n\n")
    parser = argparse.ArgumentParser("scripts/gpu_check", description=f"{text[0]} {text[2]}")
    parser.add_argument("--out", type=Path, help="a new folder; default: under reports/")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 …: also AMD's")
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything; default 8")
    parser.add_argument(
        "--only", choices=names(steps.STEPS), action="append", help="this step; may be repeated"
    )
    parser.add_argument(
        "--pretend", action="store_true", help="the same on the CPU with tiny models, not compiled"
    )
    for hidden in ("--step", "--work"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """The exit code."""
    given = arguments(words)
    try:
        device = "cpu" if given.pretend else found(given.device)
        if given.step:
            work = Path(given.work)
            steps.run(
                Setup(device, given.pretend, given.out, work, work / "rows.jsonl"), given.step
            )
            return 0
        out = folder(given.out)
    except TracekitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="tracekit-gpu-") as name:
        work = Path(name)
        setup = Setup(device, given.pretend, out, work, work / "rows.jsonl")
        chosen = [step for step in steps.STEPS if step.name in (given.only or names(steps.STEPS))]
        return checked(setup, chosen, given.minutes * 60)


def names(these: Sequence[Step]) -> list[str]:
    return [step.name for step in these]


def found(name: str) -> str:
    """The GPU asked for. Raises: TracekitError where it is not there, or is none."""
    from tracekit import extras
    from tracekit.capture import plan as planning

    hint = "--pretend runs the same on the CPU"
    extras.need("capture", "torch", "transformers", where="scripts/gpu_check")
    device = planning.find_device(name)
    if device == "cpu":
        raise TracekitError("that is no GPU", where=f"--device {name}", hint=hint)
    return device


def folder(given: Path | None) -> Path:
    """An empty folder to write to. Raises: TracekitError where it holds files."""
    out = given or Path("reports") / time.strftime("gpu-check-%Y%m%d-%H%M%S")
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise TracekitError("the folder is not empty", where=out, hint="name a new one with --out")
    return out


def checked(setup: Setup, chosen: Sequence[Step], seconds: float) -> int:
    """Runs every step, writes the table, and says the exit code."""
    begin = time.monotonic()
    rows: list[dict[str, Any]] = []
    try:
        for step in chosen:
            left = seconds - RESERVE - (time.monotonic() - begin)
            here = one(setup, step, min(step.seconds, left))
            rows += here
            for row in here:
                print(f"{'ok  ' if row['passed'] else 'FAIL'} {row['step']}: {row['part']}: "
                      f"{row['said']}", flush=True)  # fmt: skip
    except KeyboardInterrupt:  # what was done stays
        done = read_rows(setup.rows)
        rows += [row for row in done if row not in rows]
        rows.append(missing("check", "what was left", "interrupted"))
    code = int(not all(row["passed"] for row in rows))
    about = {
        "device": setup.device, "pretend": setup.pretend, "exit_code": code,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.monotonic() - begin, 1),
        "files": [*sorted(path.name for path in setup.out.iterdir()), "report.json", "report.md"],
    }  # fmt: skip
    named = next((r["figures"]["device"]["name"] for r in rows if r["figures"].get("device")), None)
    table.write(setup.out, rows, {**about, "device": named or setup.device})
    print(f"{setup.out / 'report.md'}: exit code {code} after {about['seconds']} s", flush=True)
    return code


def one(setup: Setup, step: Step, seconds: float) -> list[dict[str, Any]]:
    """The rows of a step in a process of its own: a part that it did not reach failed."""
    before = len(read_rows(setup.rows))
    why = "there was no time left"
    if seconds > 1:
        why = process(setup, step.name, seconds)
    rows = read_rows(setup.rows)[before:]
    reached = {row["part"] for row in rows}
    return rows + [missing(step.name, p, why) for p in step.parts if p not in reached]


def missing(step: str, part: str, why: str) -> dict[str, Any]:
    said = f"not reached: {why}"
    return {"step": step, "part": part, "passed": False, "said": said, "seconds": 0, "figures": {}}


def process(setup: Setup, name: str, seconds: float) -> str:
    """Runs one step; says how its process ended."""
    command = [
        sys.executable, "-m", "scripts.on_gpu.check", "--step", name, "--out", str(setup.out),
        "--work", str(setup.work), "--device", setup.device,
    ]  # fmt: skip
    own: Mapping[str, str] = {"TORCHINDUCTOR_CACHE_DIR": str(setup.work / "inductor")}
    if setup.pretend:
        command.append("--pretend")
        own = {"TORCHDYNAMO_DISABLE": "1"}  # its exactness is a test's, its minutes too
    log = setup.work / f"{name}.log"
    with log.open("wb") as said:
        child = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **own},
        )  # fmt: skip
        try:
            code = child.wait(timeout=seconds)
        except BaseException as fault:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            if isinstance(fault, subprocess.TimeoutExpired):
                return f"stopped after {seconds:.0f} s"
            raise
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    return f"its process ended with code {code}: {last[0][:300]}"


if __name__ == "__main__":
    sys.exit(main())
