"""mypy on chosen files, as CI runs it."""

import subprocess
import sys
from pathlib import Path


def errors(*arguments: object, cwd: Path, cache: Path | None = None) -> list[str]:
    """The lines of mypy that are errors, `FILE:LINE: error: …`. `cache`: its folder."""
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context",
            "--no-pretty", "--cache-dir", str(cache or cwd / ".mypy_cache"), *map(str, arguments),
        ],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr or done.stdout
    return [line for line in done.stdout.splitlines() if ": error: " in line]
