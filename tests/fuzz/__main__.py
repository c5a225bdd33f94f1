"""`scripts/fuzz`: random files into every way in, counted; what is a bug is kept and shown.

python -m tests.fuzz --inputs 100000 --minutes 60 --seed 1 --target analyze
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from tests.fuzz.targets import TARGETS, enter

SLOW = 20.0  # s for one small file: no end, as far as a user can tell


def main() -> int:
    """0 where no input was a fault, 1 where one was."""
    given = _arguments()
    names = given.target or list(TARGETS)
    weights = [TARGETS[name].weight for name in names]
    rng = random.Random(given.seed)
    done: Counter[str] = Counter()
    taken: Counter[str] = Counter()
    faults: dict[str, Path] = {}
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tracekit-fuzz-") as folder:
        while sum(done.values()) < given.inputs and time.monotonic() - begin < given.minutes * 60:
            name = rng.choices(names, weights)[0]
            fault, fine = _one(name, rng, Path(folder), given.keep)
            done[name] += 1
            taken[name] += fine
            for key, path in fault.items():
                if key not in faults:
                    faults[key] = path
                    print(f"fault in {name}: {key}\n  {path}", flush=True)
            if given.verbose and sum(done.values()) % 1000 == 0:
                print(f"{sum(done.values()):,} inputs, {len(faults)} faults", flush=True)
    for name in names:
        print(f"{name:12} {done[name]:>9,} inputs, {taken[name]:>9,} of them taken")
    seconds = time.monotonic() - begin
    print(f"{sum(done.values()):,} inputs in {seconds:.0f} s (seed {given.seed}): "
          f"{len(faults)} faults")  # fmt: skip
    return 1 if faults else 0


def _one(name: str, rng: random.Random, folder: Path, keep: Path) -> tuple[dict[str, Path], bool]:
    """Faults by where they were raised, with the file that showed them; whether it was taken."""
    ending, content = TARGETS[name].make(rng)
    path = folder / f"input.{ending}"
    path.write_bytes(content)
    begin = time.process_time()
    faulthandler.dump_traceback_later(10 * SLOW, exit=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fine = enter(name, path)
        key = "slow" if time.process_time() - begin > SLOW else ""
    except Exception as fault:
        fine = False
        place = traceback.extract_tb(fault.__traceback__)[-1]
        ours = [f for f in traceback.extract_tb(fault.__traceback__) if "tracekit" in f.filename]
        at = ours[-1] if ours else place
        said = f"{fault}"[:100].replace("\n", " ")
        key = f"{type(fault).__name__} at {Path(at.filename).name}:{at.lineno} ({said})"
        key = key if not any(c.isdigit() for c in said) else key.partition(" (")[0]
    finally:
        faulthandler.cancel_dump_traceback_later()
    if not key:
        return {}, fine
    target = keep / name
    target.mkdir(parents=True, exist_ok=True)
    kept = target / f"{abs(hash(content)):x}.{ending}"
    kept.write_bytes(content)
    return {key: kept}, fine


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="at most so many")
    parser.add_argument("--minutes", type=float, default=60.0, help="at most so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--keep", type=Path, default=Path("traces/fuzz"), help="where faults go")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
