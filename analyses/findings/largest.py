"""The largest shares of idle and of kernel time: which findings speak of them, or why none does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tracekit.answers.findings import Largest
from tracekit.answers.idle import IdleTime
from tracekit.answers.kernels import Kernels
from tracekit.answers.roofline import Roofline
from tracekit.attribution.reasons.names import Reason
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.units import share
from tracekit.taxonomy import Category

_FUSABLE = frozenset({Category.ELEMENTWISE, Category.COPY, Category.NORM, Category.ROTARY})
_NO_FINDING = {
    Reason.GRAPH: "Kernels of one graph wait for one another: it is the graph's own order.",
    Reason.SHORT: "Single short gaps: few launches are near, or most of them are not waited for.",
    Reason.UNLINKED: "The launches are not in the file, so nobody can say what was waited for.",
    Reason.PROFILER: "The profiler itself was at work: the program does not wait so without it.",
    Reason.LOST: "Work launched meanwhile is not in the file: whether the device waited at all "
    "nobody can say.",
    Reason.END: "Nothing was launched any more.",
}


def largest(path: str, ask: Ask, drafts: Sequence[Draft]) -> Iterator[Largest]:
    """One of each device's idle time, one of all kernel time."""
    idle, kernels = ask(IdleTime), ask(Kernels)
    for row in idle.rows if idle is not None else ():
        mine = Counter[str]()
        for reason in idle.reasons if idle is not None else ():
            if reason.device == row.device:
                mine[reason.reason] += reason.ns
        mine.pop(Reason.MISSING, 0)
        seen = row.seen_window_ns
        if mine:
            name, ns = max(mine.items(), key=lambda item: (item[1], item[0]))
            part = ns / seen if seen else None
            kinds = _kinds(drafts, name, row.device)
            yield Largest(
                path, row.device, "idle", name, ns, part, kinds,
                None if kinds else _idle_because(name, part),
            )  # fmt: skip
    if kernels is not None and (total := sum(p.total_ns for p in kernels.phases)):
        sums = Counter[str]()
        for row_ in kernels.categories:
            sums[row_.category.value] += row_.total_ns
        name, ns = max(sums.items(), key=lambda item: (item[1], item[0]))
        kinds = _kinds(drafts, name, None)
        because = None if kinds else _kernel_because(name, ask(Roofline))
        yield Largest(path, None, "kernel", name, ns, ns / total, kinds, because)


def _kinds(drafts: Sequence[Draft], name: str, device: int | None) -> tuple[str, ...]:
    """Of the findings that explain it, on this device, on all, or on the one that has most."""
    found = [d.kind for d in drafts if name in d.explains]
    del device  # a finding of the device that waits most speaks of the others too
    return tuple(dict.fromkeys(found))


def _idle_because(name: str, part: float | None) -> str:
    if part is not None and part < LEAST:
        return f"It is {share(part)} of the window: under {share(LEAST, 0)} is not worth a finding."
    return _NO_FINDING.get(Reason(name), "It is under 1 % of the trace, or its answer is refused.")


def _kernel_because(name: str, roofline: Roofline | None) -> str:
    if name == Category.COMMUNICATION:
        return "Other kernels run meanwhile: it costs the device little."
    if name in (Category.GEMM, Category.ATTENTION):
        rows = [r for r in roofline.products if r.category == name] if roofline is not None else []
        floor = sum(r.rates.floor_ns or 0.0 for r in rows if r.rates.floor_ns is not None)
        took = sum(r.total_ns for r in rows if r.rates.floor_ns is not None)
        if took:
            return f"It reaches {share(floor / took)} of what the device allows, where shapes are."
        stated = [r for r in roofline.stated if r.category == name] if roofline is not None else []
        took = sum(r.total_ns for r in stated if r.rates.floor_ns is not None)
        if took:
            floor = sum(r.rates.floor_ns or 0.0 for r in stated)
            return f"It reaches {share(floor / took)} of what the device allows, or more."
        if roofline is not None and any(r.category == name for r in roofline.rows):
            return (
                "Its shapes are in the file, but what the device that ran it allows is not known."
            )
        return (
            "The file has no shapes for it that a formula reads, so nobody can say how far from "
            "the limits it is."
        )
    if name in _FUSABLE:
        return "As one kernel with their neighbours they would save under 5 % of the kernel time."
    return "No rule speaks of these kernels: they are in the table of kernels."
