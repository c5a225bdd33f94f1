"""Device time as flat spans by kind, all devices together or one at a time."""

from __future__ import annotations

import numpy as np

from tracekit.attribution import links
from tracekit.attribution.kernels.categories import classify
from tracekit.records import Record
from tracekit.taxonomy import Category
from tracekit.trace.spans.intervals import Spans, union_of
from tracekit.trace.trace import Cat, Mask, Trace


class Busy(Record, frozen=True, eq=False):
    """Flat spans. A nanosecond counts once: kernels before copies before memsets."""

    kernel: Spans
    copied: Spans  # kernel or copy
    busy: Spans  # kernel, copy or memset
    communication: Spans  # some communication kernel
    compute: Spans  # some kernel that is no communication


def communication(trace: Trace) -> Mask:
    """[G] whether each row of `links.work` is a communication kernel, by name or by its op.

    A lower bound: engines name their own all-reduce and expert-parallel kernels as they like.
    """

    def make() -> Mask:
        return classify(trace).of(Category.COMMUNICATION) & links.work(trace).is_(Cat.KERNEL)

    return trace.once("communication", make)


def busy(trace: Trace, device: int | None = None) -> Busy:
    """What the devices did (or one of them), from the whole trace."""

    def make() -> Busy:
        gpu = links.work(trace)
        mine = np.ones(len(gpu), bool) if device is None else gpu.device == device
        talk = communication(trace)

        def flat(rows: Mask) -> Spans:
            return union_of(gpu.ts, gpu.end, rows)

        kernel = mine & gpu.is_(Cat.KERNEL)
        return Busy(
            kernel=flat(kernel),
            copied=flat(mine & gpu.is_(Cat.KERNEL, Cat.MEMCPY)),
            busy=flat(mine),
            communication=flat(kernel & talk),
            compute=flat(kernel & ~talk),
        )

    return trace.once(("busy", device), make)
