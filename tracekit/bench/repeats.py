"""A benchmark in fresh processes, one after the other; two sides take turns.

What differs between two processes of the same thing (where memory came to lie, which cores, which
clocks) moves all requests of one together: many requests of one process cannot show it, many
processes can.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit.bench import file
from tracekit.capture.plan import Progress, quiet
from tracekit.errors import TracekitError
from tracekit.files import scratch

# options that are this command's alone, and how many words each takes with it
_OWN = {
    "--runs": 1, "--against": 1, "-o": 1, "--output": 1, "--json": 0, "--trace": 0, "--force": 0,
    "--table": 1, "-q": 0, "--quiet": 0, "-v": 0, "--verbose": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Side:
    """One of the things that are timed: an interpreter with the tracekit, torch … to time."""

    name: str
    python: str = sys.executable


def arguments(words: Sequence[str]) -> list[str]:
    """What each process is given of a `tracekit bench …` command line, without `bench`."""
    kept: list[str] = []
    skip = 0
    for word in words[1:] if words[:1] == ["bench"] else words:
        if skip:
            skip -= 1
        elif word.split("=")[0] in _OWN:
            skip = 0 if "=" in word else _OWN[word]
        else:
            kept.append(word)
    return kept[1:] if kept[:1] == ["run"] else kept


def run(
    given: Sequence[str], runs: int, sides: Sequence[Side], progress: Progress = quiet
) -> list[dict[str, Any]]:
    """The file's content of each side: `runs` fresh processes of it, in turns with the others'.

    Every other round begins with the other side, so that neither always comes first. Ctrl-C keeps
    the rounds that are complete.

    Raises: TracekitError where a process fails, or none was complete.
    """
    found: list[list[dict[str, Any]]] = [[] for _ in sides]
    with scratch() as folder:
        try:
            for number in range(runs):
                order = list(range(len(sides)))[:: -1 if number % 2 else 1]
                complete = {}
                for at in order:
                    label = f" of {sides[at].name}" if len(sides) > 1 else ""
                    progress(f"run {number + 1} of {runs}{label}", number, runs)
                    out = folder / f"{at}-{number}.json"
                    complete[at] = _one(sides[at], given, out)
                for at, content in complete.items():
                    found[at].append(content)
        except KeyboardInterrupt:
            if not found[0]:
                raise TracekitError(
                    "interrupted before a run was complete",
                    where="bench --runs",
                    hint="run it again",
                ) from None
    return [merged(contents) for contents in found]


def _one(side: Side, given: Sequence[str], out: Path) -> dict[str, object]:
    command = [side.python, "-m", "tracekit.cli.app", "bench", "run", *given, "-o", str(out)]
    try:
        done = _ended(command)
    except OSError as fault:
        raise TracekitError(
            f"cannot be run ({fault.strerror})",
            where=side.python,
            hint="--against takes the python of an environment that has tracekit",
        ) from None
    if not out.is_file():
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise TracekitError(
            said[-1].removeprefix("error: "),
            where=f"a process of {side.name} (exit code {done.returncode})",
            hint=f"try it alone: {' '.join(command[:-2])}",
        )
    return file.load(out)


def _ended(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A process that has ended. When this one is ended, so is that, with time to tidy up."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        env={**os.environ, "NO_COLOR": "1"},
    ) as child:  # fmt: skip
        try:
            out, err = child.communicate()
        except BaseException:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
            raise
    return subprocess.CompletedProcess(command, child.returncode, out, err)


def merged(contents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Many files of one thing as one: each sample says its `run`, counted from 0."""
    whole: dict[str, Any] = dict(contents[0])
    whole["runs"] = [
        {"finished": one.get("finished"),
         "load_average": (one.get("environment") or {}).get("load_average")}
        for one in contents
    ]  # fmt: skip
    labels = [file.label(row) for row in contents[0]["configurations"]]
    whole["configurations"] = [_joined([_row(one, label) for one in contents]) for label in labels]
    return whole


def _row(content: Mapping[str, Any], label: str) -> Mapping[str, Any]:
    return next(row for row in content["configurations"] if file.label(row) == label)


def _joined(rows: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    def most(group: str, name: str) -> Any:
        values = [(row.get(group) or {}).get(name) for row in rows]
        return max((v for v in values if v is not None), default=None)

    joules = [row["joules_per_request"] for row in rows if row.get("joules_per_request")]
    errors = [f"run {n + 1}: {row['error']}" for n, row in enumerate(rows) if row.get("error")]
    whole: dict[str, Any] = dict(rows[0])
    whole |= {
        "samples": [
            {**sample, "run": number}
            for number, row in enumerate(rows)
            for sample in row["samples"]
        ],
        "yardstick_ns": [ns for row in rows for ns in row.get("yardstick_ns") or ()],
        "warmup": {
            "ns": [ns for row in rows for ns in (row.get("warmup") or {}).get("ns") or ()],
            "stable": all((row.get("warmup") or {}).get("stable") for row in rows),
        },
        "memory": {name: most("memory", name) for name in rows[0].get("memory") or {}},
        "joules_per_request": sum(joules) / len(joules) if len(joules) == len(rows) else None,
        "gpu": [reading for row in rows for reading in row.get("gpu") or ()],
        "error": "; ".join(errors) or None,
    }
    return whole
