"""Workers of dask.distributed: a cluster on this machine, or one whose scheduler is named."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tracekit import extras
from tracekit.errors import TracekitError, reason
from tracekit.results.workers.work import Done, Work, do

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE_S = 30  # for a scheduler to answer


def installed() -> bool:
    """Whether dask.distributed is."""
    try:
        extras.need("scale", "distributed", where="workers")
    except extras.MissingExtraError:
        return False
    return True


@contextmanager
def local(count: int, *, processes: bool = True) -> Iterator[Client]:
    """A cluster of this machine for as long as it is needed, each worker with one thread.

    No memory limit: dask would end a worker whose trace is larger than its share. It listens on
    127.0.0.1 only, and has no dashboard; what dask samples of itself and of the traces'
    analysis, a hundred times a second, is off or rare.
    """
    import dask
    from distributed import Client, LocalCluster

    anywhere = "127.0.0.1:0"  # a free port
    with (
        dask.config.set({
            "distributed.worker.profile.enabled": False,
            "distributed.admin.tick.interval": "1s",
            "distributed.admin.tick.cycle": "10s",
            "distributed.admin.system-monitor.interval": "10s",
            "distributed.scheduler.dashboard.enabled": False,
            "distributed.worker.http.routes": [], "distributed.scheduler.http.routes": [],
        }),
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=processes, memory_limit=None,
            dashboard_address=anywhere, worker_dashboard_address=anywhere,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield client


@contextmanager
def remote(address: str | None, file: str | None) -> Iterator[Client]:
    """The cluster of a scheduler, by its address or by the file that it wrote.

    Raises: TracekitError without dask.distributed, and where no scheduler answers.
    """
    where = address or file
    extras.need("scale", "distributed", where=f"--scheduler {where}")
    from distributed import Client

    try:
        client = Client(address=address, scheduler_file=file, timeout=_PATIENCE_S,
                        set_as_default=False)  # fmt: skip
    except (OSError, ValueError, TimeoutError) as fault:
        raise TracekitError(
            f"no scheduler answers ({reason(fault)})",
            where=where,
            hint="start one with `dask scheduler`, and workers with `dask worker ADDRESS`",
        ) from None
    with client:
        yield client


def results(client: Client, works: Sequence[Work], where: str = "") -> Iterator[Done]:
    """Each as it is done, in no fixed order.

    The scheduler gives the files of a worker that is lost to the others; one whose workers are
    lost again and again (`distributed.scheduler.allowed-failures`) is said to be lost.

    Raises: TracekitError where the workers have not tracekit, or the scheduler is lost.
    """
    from distributed import KilledWorker

    executor = client.get_executor(pure=False)
    waiting: dict[Future[Done], Work] = {executor.submit(do, work): work for work in works}
    try:
        for future in as_completed(waiting):
            work = waiting[future]
            try:
                yield future.result()
            except KilledWorker:
                why = "the workers that read it were lost, each time (out of memory?)"
                yield Done(work.place, work.path, fault=f"{work.path}: {why}")
            except ModuleNotFoundError as fault:
                raise TracekitError(
                    f"a worker cannot run it ({fault})",
                    where=where,
                    hint="install tracekit where the workers run",
                ) from None
    finally:
        executor.shutdown(wait=False)
