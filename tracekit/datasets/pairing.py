"""One moment as several sensors saw it: which data sets hold that, and which kind comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracekit.datasets import entry as dataset_entry
from tracekit.datasets.entry import Dataset, InputKind, Sample
from tracekit.errors import TracekitError


def others(entry: Dataset, kinds: Sequence[InputKind]) -> tuple[InputKind, ...]:
    """The kinds that a data set is asked for beside its own, or beside the first of `kinds`."""
    first = kinds[0] if "kind" in entry.takes else entry.kind
    return tuple(kind for kind in dict.fromkeys(kinds) if kind != first)


def check(entry: Dataset, kinds: Sequence[InputKind], spec: str) -> None:
    """Nothing where the data set has all kinds of one moment. Raises: TracekitError where not."""
    lacks = [kind for kind in kinds if kind != entry.kind and kind not in entry.pairs]
    if not lacks:
        return
    able = [
        name for name, other in dataset_entry.entries().items()
        if all(kind == other.kind or kind in other.pairs for kind in kinds)
    ]  # fmt: skip
    raise TracekitError(
        f"holds no {' and no '.join(lacks)} of the same moment as its {entry.kind}",
        where=spec,
        hint=f"can be paired so: {', '.join(able) or 'none'}",
    )


def seen_as(sample: Sample, own: InputKind, kind: InputKind) -> Sample:
    """A sample with its view of one kind in front, and the others beside it."""
    if own == kind:
        return sample
    rest = {name: view for name, view in sample.also.items() if name != kind}
    bare = replace(sample, also={})
    return replace(sample.also[kind], also={**rest, own: bare})
