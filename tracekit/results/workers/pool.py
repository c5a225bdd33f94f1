"""Processes of this machine: what is used where dask.distributed is not installed."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from tracekit.results.workers.work import Done, Work, do

LOST = "the process that read it was lost, each time (out of memory?)"
_TOGETHER = 2  # times that all files left are tried at once; then each alone


def _deaf() -> None:
    """Ctrl-C in a terminal reaches every process of it: the first one decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def results(works: Sequence[Work], count: int) -> Iterator[Done]:
    """Each as it is done, in no fixed order.

    A process that is killed takes its pool with it: what was not done is done again by another.
    Where that happens again and again, each file gets a process of its own, and the one that ends
    it is said to be lost.
    """
    left = {work.place: work for work in works}
    for _ in range(_TOGETHER):
        yield from _some(left, lambda: _pool(count))
        if not left:
            return
    for place, work in list(left.items()):
        alone = {place: work}
        yield from _some(alone, lambda: _pool(1))
        if alone:
            yield Done(place, work.path, fault=f"{work.path}: {LOST}")


def _pool(count: int) -> Executor:
    # a fork would copy threads that hold locks
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_deaf)


def _some(left: dict[int, Work], make: Callable[[], Executor]) -> Iterator[Done]:
    """What a pool does of `left` until it is done or broken; takes it out of `left`."""
    pool = make()
    try:
        waiting: list[Future[Done]] = [pool.submit(do, work) for work in left.values()]
        for future in as_completed(waiting):
            done = future.result()
            del left[done.place]
            yield done
    except BrokenProcessPool:
        return
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
