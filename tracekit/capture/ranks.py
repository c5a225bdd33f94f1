"""One capture by several processes, as torchrun starts them: a folder, with a trace a rank.

Ranks agree over gloo on the host, outside the stages: before each request whether to go on, so that
Ctrl-C ends all of them after the same request, and before anything is written whether all have come
so far. A rank that fails says so; the others end without a word.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from tracekit import files
from tracekit.capture.save import is_capture
from tracekit.errors import TracekitError, UsageError

_NAME = re.compile(r"rank\d+\.pt\.trace\.json\.gz")
_FAILED = "tracekit/failed"
_AGAIN_S = 2.0  # signals closer together are one: of the terminal and of torchrun


@dataclass(frozen=True, slots=True)
class World:
    """This process among those of a job."""

    rank: int
    size: int
    local_rank: int  # among those of its machine

    @property
    def first(self) -> bool:
        """Whether it is the one that speaks for all."""
        return self.rank == 0


def world() -> World | None:
    """What torchrun, or another launcher, says of this process; None where it is alone.

    Raises: TracekitError for variables that make no sense.
    """
    said = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    if not said["RANK"] or not said["WORLD_SIZE"] or "MASTER_ADDR" not in os.environ:
        return None
    try:
        rank, size = int(said["RANK"]), int(said["WORLD_SIZE"])
        local = int(said["LOCAL_RANK"] or rank)
    except ValueError:
        hint = "start it with torchrun, or unset RANK and WORLD_SIZE"
        raise TracekitError(f"no numbers of ranks: {said}", where="RANK", hint=hint) from None
    return World(rank, size, local) if size > 1 else None


class AnotherRankError(TracekitError):
    """Another rank has failed, and says why."""


@dataclass(slots=True)
class Job:
    """The processes of a capture, joined."""

    world: World
    store: Any  # of torch.distributed: lives with the launcher
    gently: bool = field(default=False, init=False)  # the request that runs is finished first
    stopping: bool = field(default=False, init=False)
    heard_s: float = field(default=0.0, init=False)
    ended_by: int = field(default=int(signal.SIGINT), init=False)  # a signal

    # ------------------------------------------------------------ agreeing

    def same(self, value: object) -> Any:
        """The first rank's value, on every rank."""
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def most(self, value: int) -> int:
        """The largest value of any rank; every rank waits for it."""
        import torch
        import torch.distributed as dist

        tensor = torch.tensor([value])
        dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return int(tensor.item())

    def ends(self) -> bool:
        """Whether any rank was told to stop; asked by all before each request."""
        return self.most(int(self.stopping)) > 0

    # ------------------------------------------------------------ signals

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM, while requests are profiled, end the job after the one that runs, and
        a later one at once, as any does before.
        """
        before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, _frame: FrameType | None) -> None:
            now, again = time.monotonic(), self.stopping
            if not self.heard_s:
                self.heard_s, self.ended_by = now, number
            if not self.gently or (again and now - self.heard_s > _AGAIN_S):
                raise KeyboardInterrupt
            self.stopping = True
            if self.world.first and number == signal.SIGINT and not again:
                # not print: it may have come in the middle of one
                os.write(2, b"\nending after this request; Ctrl-C again to abandon it\n")

        for one in before:
            signal.signal(one, stop)
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    # ------------------------------------------------------------ writing

    def publish(self, written: Path, target: Path) -> Path:
        """The rank's trace under its name, once all ranks have theirs; gone again if one fails.

        Raises: TracekitError where it cannot be written.
        """
        self.most(0)
        if self.world.first:
            for stale in traces_of(target.parent):
                stale.unlink(missing_ok=True)
        self.most(0)
        try:
            with files.writing(target) as temporary:
                shutil.copyfile(written, temporary)
            self.most(0)
        except BaseException:
            target.unlink(missing_ok=True)
            with suppress(OSError):
                target.parent.rmdir()  # where it holds nothing else
            raise
        return target

    def failed(self, fault: BaseException) -> bool:
        """Whether this rank is the first that failed, and so the one that says why."""
        try:
            mine = str(self.world.rank)
            first = self.store.compare_set(_FAILED, "", mine).decode()
        except (RuntimeError, UnicodeError):  # the launcher has gone: nobody else can say it
            return True
        return bool(first == mine) and not isinstance(fault, AnotherRankError)


@contextmanager
def joined(world: World, device: str | None) -> Iterator[Job]:
    """The process group: gloo on the host, and NCCL between GPUs, where `device` may be one.

    Raises: TracekitError where the others cannot be met; AnotherRankError on all ranks but the one
    that failed first.
    """
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    gpu = torch.cuda.is_available() and not (device or "").startswith("cpu")
    backend = "cpu:gloo,cuda:nccl" if gpu and dist.is_nccl_available() else "gloo"
    try:
        store, rank, size = next(rendezvous("env://"))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    except (RuntimeError, ValueError, OSError) as fault:
        raise TracekitError(
            f"cannot meet the other ranks ({_first_line(fault)})",
            where=f"rank {world.rank}", hint="start all of them with one torchrun",
        ) from fault  # fmt: skip
    job = Job(world, store)
    try:
        yield job
    except Exception as fault:
        if job.heard_s and _lost(fault):  # the others heard it too, and were quicker
            raise KeyboardInterrupt from fault
        if not job.failed(fault):
            raise AnotherRankError(
                "another rank failed", where=f"rank {world.rank}", hint="see what it said"
            ) from fault
        if isinstance(fault, TracekitError):
            raise type(fault)(
                fault.what, where=f"rank {world.rank}: {fault.where}", hint=fault.hint
            ) from fault
        if _lost(fault):
            raise TracekitError(
                f"lost another rank ({_first_line(fault)})",
                where=f"rank {world.rank}", hint="see how it ended: killed for memory, perhaps",
            ) from fault  # fmt: skip
        raise
    finally:
        with suppress(RuntimeError, ValueError):
            dist.destroy_process_group()


def _lost(fault: BaseException) -> bool:
    """Whether a collective failed because its other end is gone."""
    text = str(fault)
    return isinstance(fault, RuntimeError) and any(
        said in text for said in ("Connection closed", "Connection reset", "Broken pipe", "NCCL")
    )


def _first_line(fault: BaseException) -> str:
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0][:120]


# ---------------------------------------------------------------- places


def name(world: World) -> str:
    """The file of a rank in the folder."""
    return f"rank{world.rank}.pt.trace.json.gz"


def traces_of(folder: Path) -> list[Path]:
    """What earlier captures of several ranks left in a folder."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and is_capture(path)]


def check(folder: Path, *, force: bool) -> None:
    """Nothing where a folder may be filled. Raises: TracekitError where it may not."""
    if folder.name.endswith((".json", ".json.gz", ".trace")) or folder.is_file():
        raise UsageError(
            "several ranks write a folder", where=folder, hint="name one with --output"
        )
    if not folder.is_dir() or force:
        return
    ours = {path.name for path in traces_of(folder)}
    other = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    if other:
        raise TracekitError(
            f"holds {other[0]}, which this command has not written",
            where=folder, hint="choose another folder, or write into it with --force",
        )  # fmt: skip
