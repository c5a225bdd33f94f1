"""`scripts/fuzz`: random files into every way in, counted; what is a bug is kept and shown.

python -m tests.fuzz --inputs 100000 --minutes 60 --seed 1 --target analyze
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import multiprocessing
import os
import random
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import tests.fuzz.guided as guiding

if "atheris" in sys.argv and guiding.there():
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["tracekit"]):
        from tests.fuzz.targets import TARGETS, enter
else:
    from tests.fuzz.targets import TARGETS, enter

from tracekit import files

APART = 1_000_003  # between the seeds of processes that work at once
SLOW = 20.0  # s for one small file: no end, as far as a user can tell


class Session:
    """Inputs so far, and the faults that they have shown."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.names: list[str] = given.target or list(TARGETS)
        self.weights = [TARGETS[name].weight for name in self.names]
        self.done: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.faults: dict[str, Path] = {}
        self.begin = time.monotonic()

    def another(self, rng: random.Random) -> bool:
        """Tries one more; whether that is enough."""
        name = rng.choices(self.names, self.weights)[0]
        fault, fine = _one(name, rng, self.folder, self.given.keep)
        self.done[name] += 1
        self.taken[name] += fine
        for key, path in fault.items():
            if key not in self.faults:
                self.faults[key] = path
                print(f"fault in {name}: {key}\n  {path}", flush=True)
        count = sum(self.done.values())
        if self.given.verbose and count % 1000 == 0:
            print(f"{count:,} inputs, {len(self.faults)} faults", flush=True)
        return count >= self.given.inputs or self.seconds >= self.given.minutes * 60

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.begin

    def add(self, done: Counter[str], taken: Counter[str], faults: dict[str, Path]) -> None:
        """What another process has tried."""
        self.done += done
        self.taken += taken
        self.faults = {**faults, **self.faults}

    def told(self) -> int:
        """Says what came of it: 0 where no input was a fault, 1 where one was."""
        for name in self.names:
            print(f"{name:12} {self.done[name]:>9,} inputs, {self.taken[name]:>9,} of them taken")
        how = self.given.engine if self.given.engine != "random" else f"seed {self.given.seed}"
        print(f"{sum(self.done.values()):,} inputs in {self.seconds:.0f} s ({how}): "
              f"{len(self.faults)} faults", flush=True)  # fmt: skip
        return 1 if self.faults else 0


def main() -> int:
    """0 where no input was a fault, 1 where one was."""
    given = _arguments()
    with files.scratch() as folder:
        session = Session(given, folder)
        if given.engine == "atheris":

            def guided(rng: random.Random) -> bool:
                if session.another(rng):
                    shutil.rmtree(folder, ignore_errors=True)
                    os._exit(session.told())  # atheris has no way back
                return False

            guiding.run(guided)
        if given.jobs > 1:
            _at_once(session)
        else:
            _alone(session)
        return session.told()


def _alone(session: Session) -> None:
    rng = random.Random(session.given.seed)
    while not session.another(rng):
        pass


def _at_once(session: Session) -> None:
    """The inputs, shared by processes with seeds of their own; one that dies ends it all."""
    given = session.given
    shares = [given.inputs // given.jobs + (at < given.inputs % given.jobs)
              for at in range(given.jobs)]  # fmt: skip
    parts = [argparse.Namespace(**{**vars(given), "seed": given.seed + at * APART, "inputs": share})
             for at, share in enumerate(shares)]  # fmt: skip
    with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("fork")) as pool:
        for found in pool.map(_share, parts):
            session.add(*found)


def _share(given: argparse.Namespace) -> tuple[Counter[str], Counter[str], dict[str, Path]]:
    with files.scratch() as folder:
        session = Session(given, folder)
        _alone(session)
        return session.done, session.taken, session.faults


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
    parser.add_argument("--jobs", type=int, default=1, help="processes at once, a seed each")
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--keep", type=Path, default=Path("traces/fuzz"), help="where faults go")
    parser.add_argument("--engine", choices=("random", "atheris"), default="random",
                        help="who chooses: chance, or libFuzzer by the code that is reached "
                        "(pip install atheris; chance where it is not installed)")  # fmt: skip
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    if given.engine == "atheris" and not guiding.there():
        print("atheris is not installed (pip install atheris): chance chooses", flush=True)
        given.engine = "random"
    return given


if __name__ == "__main__":
    sys.exit(main())
