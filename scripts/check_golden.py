#!/usr/bin/env python3
"""Run golden files and print the largest error of each output.

    python scripts/check_golden.py GOLDEN.safetensors…

Exit code 1 where an output is beyond the tolerance of its sidecar.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tracekit.errors import TracekitError
from tracekit.models.shared import golden


def main(arguments: list[str]) -> int:
    """0 when all outputs of all files are within tolerance, 2 without files."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0 if arguments else 2
    failed = 0
    for argument in arguments:
        try:
            checks = golden.check(Path(argument))
        except TracekitError as error:
            print(f"error: {error}", file=sys.stderr)
            failed += 1
            continue
        wrong = [check for check in checks if not check.passed]
        failed += bool(wrong)
        print(f"{argument}: {len(checks) - len(wrong)} of {len(checks)} outputs within tolerance")
        for check in checks:
            said = f"  {check.note}" if check.note else ""
            print(
                f"  {'ok  ' if check.passed else 'FAIL'} {check.error:9.2e} "
                f"(allowed {check.allowed:.1e})  {check.name}{said}"
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
