"""mypy on chosen files, as CI runs it."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def errors(*arguments: object, cwd: Path, cache: Path) -> list[str]:
    """The lines of mypy that are errors, `FILE:LINE: error: …`.

    `cache` is a new folder for what mypy keeps; it begins with what mypy found of the unchanged
    files, where it ran before: a minute less.
    """
    known = ROOT / ".mypy_cache"
    if known.is_dir():
        shutil.copytree(known, cache)
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context",
            "--no-pretty", "--cache-dir", str(cache), *map(str, arguments),
        ],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr or done.stdout
    return [line for line in done.stdout.splitlines() if ": error: " in line]
