"""What each rank of a job does of a capture: the weights divided over all, or the samples."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tracekit.capture import plan as planning
from tracekit.capture import ranks, run
from tracekit.capture.plan import Plan, Progress, quiet
from tracekit.capture.ranks import Job
from tracekit.capture.run import Captured, Profiling
from tracekit.errors import UsageError
from tracekit.models.tensor_parallel import Sharding, asked
from tracekit.taxonomy import Stage

T = TypeVar("T")

KINDS = ("auto", "tensor", "data")


@dataclass(slots=True)
class Part:
    """This rank's part of a capture."""

    job: Job
    wanted: str  # of KINDS
    sharding: Sharding
    where: str

    @property
    def kind(self) -> str:
        """tensor: all ranks take each sample together; data: each takes its own."""
        return "tensor" if self.sharding.done else "data"

    def share(self, samples: Sequence[T]) -> list[T]:
        """The samples that this rank takes. Called once the model is built.

        Raises: TracekitError where tensor parallelism was asked for and cannot be had, UsageError
        where there are fewer samples than ranks.
        """
        asked(self.sharding, self.wanted, self.where)
        if self.sharding.done:
            return list(samples)
        world = self.job.world
        if len(samples) < world.size:
            raise UsageError(
                f"fewer than the {world.size} ranks, of which each takes its share",
                where=f"--samples {len(samples)}", hint=f"give {world.size} or more",
            )  # fmt: skip
        return list(samples[world.rank :: world.size])

    def tell(self, facts: MutableMapping[str, Any]) -> None:
        """Adds the rank to what a trace says of itself (docs/metadata.md)."""
        world = self.job.world
        facts["rank"], facts["world_size"] = world.rank, world.size
        why_not = self.sharding.why_not if self.kind == "data" else ""
        facts["parallel"] = {"kind": self.kind, "why": why_not or None}
        if self.sharding.done:
            # a rank reads its part of the weights: bounds of the whole model are not its own
            facts["dims"] = {key: value for key, value in facts["dims"].items() if key != "llm"}


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
    if device == "cuda":
        device = planning.find_device(f"cuda:{world.local_rank}")
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
