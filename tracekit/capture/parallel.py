"""A capture by all ranks of a job."""

from __future__ import annotations

from pathlib import Path

from tracekit.capture import plan as planning
from tracekit.capture import ranks, run
from tracekit.capture.part import Part
from tracekit.capture.plan import Plan, Progress, quiet
from tracekit.capture.profiling import Profiling
from tracekit.capture.ranks import Job
from tracekit.capture.run import Captured
from tracekit.errors import UsageError
from tracekit.models.tensor_parallel import Sharding
from tracekit.taxonomy import Stage


def capture(
    plan: Plan,
    folder: Path | None,
    job: Job,
    *,
    wanted: str = "auto",
    profiling: Profiling | None = None,
    progress: Progress = quiet,
) -> Captured:
    """This rank's trace in a folder of all ranks' (else one under `traces/`).

    Raises: TracekitError as `run.capture`, and where the ranks cannot share the work.
    """
    world, options = job.world, plan.options
    device = options.device
    if device.startswith("cuda:"):
        raise UsageError(
            "each rank takes a GPU of its own", where=f"--device {device}", hint="use --device cuda"
        )
    if device == "cuda":
        import torch

        device = planning.find_device(f"cuda:{world.local_rank}")
        torch.cuda.set_device(device)  # NCCL talks from the current one
    sharding = Sharding(world.size, device.partition(":")[0])
    divides = wanted != "data" and Stage.DECODE in plan.model.stages
    if divides and options.compile:
        sharding.why_not = "not with --compile"
    shard = sharding if divides and not options.compile else None
    # of several sizes the first rank's: each sees other free memory
    size = job.same(options.size)
    plan = planning.with_options(plan, device=device, shard=shard, size=size)
    usual = Path("traces") / run.default_name(plan, f"x{world.size}")
    target = job.same(folder or usual) / ranks.name(world)
    part = Part(job, wanted, sharding, plan.name)
    with job.heeding():
        return run.capture(plan, target, profiling=profiling, progress=progress, part=part)
