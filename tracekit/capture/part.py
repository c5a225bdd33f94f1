"""What each rank of a job does of a capture: the weights divided over all, or the samples."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tracekit.capture.ranks import Job
from tracekit.errors import UsageError
from tracekit.models.tensor_parallel import Sharding, asked

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
