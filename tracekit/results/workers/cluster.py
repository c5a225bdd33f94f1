"""Workers of dask.distributed: a cluster on this machine, or one whose scheduler is named."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tracekit import extras, files
from tracekit.errors import TracekitError, reason
from tracekit.results.result import Result
from tracekit.results.workers.work import Done, Work, added, do

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

LOADED = "tracekit.results.workers.loaded"
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
    import logging

    import dask
    from distributed import Client

    anywhere = "127.0.0.1:0"  # a free port
    method = _forked() if processes else "spawn"
    with (
        dask.config.set({
            "distributed.worker.multiprocessing-method": method,
            "distributed.worker.profile.enabled": False,
            "distributed.admin.tick.interval": "1s",
            "distributed.admin.tick.cycle": "10s",
            "distributed.admin.system-monitor.interval": "10s",
            "distributed.scheduler.dashboard.enabled": False,
            "distributed.worker.http.routes": [], "distributed.scheduler.http.routes": [],
        }),
        files.scratch() as folder,
        _started(
            n_workers=count, threads_per_worker=1, processes=processes, memory_limit=None,
            dashboard_address=anywhere, worker_dashboard_address=anywhere,
            local_directory=str(folder), silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield client


def _started(**given: Any) -> LocalCluster:
    """A cluster that is up. One whose start is interrupted ends with this process, without a word:
    what dask would do at its end expects workers that have started.
    """
    from distributed import LocalCluster
    from distributed.deploy.spec import close_clusters

    try:
        return LocalCluster(**given)
    except KeyboardInterrupt:
        atexit.unregister(close_clusters)
        raise


def _forked() -> str:
    """How processes are started: on Linux forked from one that has loaded what they need."""
    if sys.platform != "linux":
        return "spawn"
    import dask
    from distributed.utils import get_mp_context

    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        context = get_mp_context()  # names what dask would load; ours comes behind it
    context.set_forkserver_preload([LOADED, "distributed"])
    return "forkserver"


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


class Reading:
    """Traces that a cluster reads; their answers stay there until they are added up."""

    def __init__(self, client: Client, works: Sequence[Work], where: str = "") -> None:
        self._client, self._where = client, where
        self._works = {work.place: work for work in works}
        self._futures = {
            work.place: client.submit(do, work, pure=False, key=f"trace-{work.place}-{uuid4()}")
            for work in works
        }

    def results(self) -> Iterator[Done]:
        """Each as it is done, in no fixed order.

        The scheduler gives the files of a worker that is lost to the others; one whose workers are
        lost again and again (`distributed.scheduler.allowed-failures`) is said to be lost.

        Raises: TracekitError where the workers have not tracekit, or the scheduler is lost.
        """
        from distributed import KilledWorker, as_completed

        place_of = {future.key: place for place, future in self._futures.items()}
        for future in as_completed(list(self._futures.values()), loop=self._client.loop):
            work = self._works[place_of[future.key]]
            try:
                yield future.result()
            except KilledWorker:
                why = "the workers that read it were lost, each time (out of memory?)"
                yield Done(work.place, work.path, fault=f"{work.path}: {why}")
            except ModuleNotFoundError as fault:
                raise TracekitError(
                    f"a worker cannot run it ({fault})",
                    where=self._where,
                    hint="install tracekit where the workers run",
                ) from None

    def added(
        self, places: Sequence[int], only: Sequence[str] | None = None
    ) -> dict[str, Result] | None:
        """Each analysis over these traces, in this order: a tree of pairs, on the workers.

        The shape is that of `merging.merged`, so that it is what this process would make of them.
        None where the cluster is lost on the way: then this process can do it.
        """
        from distributed import KilledWorker

        level: list[Future] = [self._futures[place] for place in places]
        while len(level) > 1:
            pairs = [
                self._client.submit(
                    added, *level[i : i + 2], only, pure=False, key=f"sum-{uuid4()}"
                )
                for i in range(0, len(level) - 1, 2)
            ]
            level = [*pairs, *level[2 * len(pairs) :]]
        try:
            found = level[0].result()
        except (KilledWorker, OSError):
            return None
        return dict(found) if isinstance(found, dict) else None


def results(client: Client, works: Sequence[Work], where: str = "") -> Iterator[Done]:
    """Each as it is done, where nothing is to be added up."""
    yield from Reading(client, works, where).results()
