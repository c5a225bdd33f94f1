"""Shared fixtures."""

import gc
import getpass
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.examples import examples

# tiny models: several threads only wait for each other; before torch is imported anywhere
os.environ.setdefault("OMP_NUM_THREADS", "1")

# a loaded machine is no fault of a test
settings.register_profile("tracekit", examples(100))
settings.load_profile("tracekit")

# slipcover, where it measures, takes its counters out once one of a line has been met so often, and
# looks through all modules for them each time: a seventh of the time at its own 50. A worker
# is told nothing of its --threshold, and has imported nothing of ours yet.
for _finder in sys.meta_path:
    if hasattr(_measuring := getattr(_finder, "sci", None), "d_miss_threshold"):
        _measuring.d_miss_threshold = 5_000

SHARED = Path(__file__).resolve().parents[2] / "shared"
TRACES = frozenset(path.name.split(".")[0] for path in (SHARED / "traces").glob("*.json*"))


class Together(LoadScopeScheduling):
    """Tests of one real trace run in one worker, which reads it once; else those of one file do.

    Those of the browser run in one worker too, which starts it once.
    """

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)


def together(test: str) -> str:
    """What tests of one worker share: a trace by its name, or their file."""
    file, _, name = test.partition("::")
    given = name.partition("[")[2].removesuffix("]").split("-")
    return next((one for one in given if one in TRACES and "browser" not in file), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Not by marks and `--dist loadgroup`: of these xdist 3.8 sees nothing under pytest 9.2."""
    return Together(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: at the end, one worker would wait for the other."""
    long = {
        item.path
        for item in items
        if item.get_closest_marker("slow") or item.get_closest_marker("browser")
    }
    items.sort(key=lambda item: item.path not in long)


# tests keep much of what they make: a search after each 700 new objects finds little
gc.set_threshold(50_000, 20, 20)
_last: list[Path] = []  # the file of the test before


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before the first test of a file: what is there to stay is no longer searched for garbage.

    That is torch, transformers and all tests: a search takes half a second, and each benchmark,
    each compiled graph and each large list would make one.
    """
    if _last[-1:] != [item.path]:
        _last[:] = [item.path]
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Temporary folders of tests, of the processes that they start too, are pytest's to remove."""
    with pytest.MonkeyPatch.context() as patch:
        # but what torch compiles, for both workers and the next run, and tools that were set up
        for name, folder in (
            ("TORCHINDUCTOR_CACHE_DIR", f"torchinductor_{getpass.getuser()}"),
            ("TRACEKIT_TOOLS_DIR", "tracekit-tools"),
        ):
            patch.setenv(name, os.environ.get(name, str(Path(tempfile.gettempdir(), folder))))
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("t")))
        patch.setattr(tempfile, "tempdir", None)
        yield


def shared(*parts: str) -> Path:
    """A file of the reference material beside the project; the test is skipped without it."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"reference material not present: shared/{'/'.join(parts)}")
    return path


def gpus_only(name: str) -> None:
    """Skips a trace of another device: the reference figures count the work of GPUs."""
    if name == "hta_mtia_inference":
        pytest.skip("the reference counts the work of GPUs only")
