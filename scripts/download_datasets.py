#!/usr/bin/env python3
"""`tracekit datasets download` under the name and options that existing users know.

python scripts/download_datasets.py --dataset sensorcaps --output_dir DIR
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def arguments(given: Sequence[str]) -> list[str]:
    """The same as arguments of `tracekit`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a name, as `tracekit datasets` lists it")
    parser.add_argument("--output_dir", "--output-dir", required=True, help="where it goes")
    parser.add_argument("--subset", help="a part of it")
    parser.add_argument("--force", action="store_true", help="write over files that differ")
    asked = parser.parse_args(given)
    line = ["datasets", "download", asked.dataset, "--output-dir", asked.output_dir]
    line += ["--subset", asked.subset] if asked.subset else []
    return line + (["--force"] if asked.force else [])


def main() -> None:
    """Exit codes as those of tracekit: 0 done, 1 the user can act on it, 2 wrong usage."""
    try:
        from tracekit.cli import app
    except (ImportError, SyntaxError) as fault:  # not installed, or Python is older than 3.11
        sys.exit(
            f"error: {fault}: run ./scripts/demo first (it makes .venv), then "
            f".venv/bin/python {sys.argv[0]}"
        )
    sys.argv = ["tracekit", *arguments(sys.argv[1:])]
    app.main()


if __name__ == "__main__":
    main()
