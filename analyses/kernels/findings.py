"""Kernels that could be one, experts, embeddings, optimisers, and the one that takes most.

Each kernel is claimed by one finding at most: what lies inside an attention is in no run, and
categories that other analyses judge (GEMM, attention) are left to them.
"""

from __future__ import annotations

from collections.abc import Iterator

from tracekit.answers.devices import Device, Devices
from tracekit.answers.kernels import Kernel, Kernels, PhaseTotal
from tracekit.answers.roles import Roles
from tracekit.answers.roofline import Roofline
from tracekit.answers.stages import Stages
from tracekit.attribution import few_rows
from tracekit.attribution.roofline.devices import datasheet
from tracekit.attribution.stages.annotation_names import Phase
from tracekit.attribution.stages.work_phases import ALL, NO_PHASE
from tracekit.attribution.unfused import Unfused
from tracekit.results.findings import LEAST, Ask, Draft
from tracekit.results.kernel_labels import readable
from tracekit.results.units import duration, plural, share
from tracekit.taxonomy import Category, FindingKind, Stage

MUCH = 0.25  # of a phase's kernel time
HIDDEN = 0.1  # of a kernel's time: less of it alone on the device is hidden by others
_TOGETHER = {
    Category.EMBEDDING: (
        FindingKind.EMBEDDING, "look-ups in embedding tables and their gradients",
        "Shard or cache the tables, use a smaller data type for them, or look up fewer rows.",
    ),
    Category.OPTIMIZER: (
        FindingKind.OPTIMIZER, "the optimiser's update",
        "Step less often (larger batches), or shard the optimiser's state over ranks.",
    ),
}  # fmt: skip


def findings(result: Kernels, ask: Ask) -> Iterator[Draft]:
    """Of each phase that the trace knows and that has a tenth of the kernel time."""
    whole = sum(phase.total_ns for phase in result.phases)
    yield from _attention(result, whole)
    yield from _pointwise(result, whole)
    yield from _categories(result, whole)
    yield from _few_rows(result, ask)
    yield from _unshaped(result, whole, ask)
    for phase in result.phases:
        if phase.phase not in NO_PHASE and phase.total_ns >= 0.1 * whole and phase.total_ns:
            yield from _experts(result, phase, ask(Roofline))
            yield from _hottest(result, phase)


def _of(phase: PhaseTotal) -> str:
    return "all kernel time" if phase.phase == ALL else f"the kernel time of {phase.phase}"


def _main(rows: list[Unfused]) -> str | None:
    """The phase with nearly all of the saving; None for several or none known."""
    top, total = max(rows, key=lambda r: r.saves_ns), sum(r.saves_ns for r in rows)
    known = top.phase not in NO_PHASE and top.phase != ALL
    return top.phase if known and top.saves_ns >= 0.9 * total else None


def _parts(rows: list[Unfused], numbers: dict[str, float]) -> str:
    """Where most of it is, where that is more than one phase."""
    known = [r for r in rows if r.phase not in NO_PHASE and r.phase != ALL and r.saves_ns]
    if len(known) < 2:
        return ""
    top = sorted(known, key=lambda r: -r.saves_ns)[:3]
    numbers |= {f"phase_{i}_ns": r.saves_ns for i, r in enumerate(top, 1)}
    return f" ({', '.join(f'{duration(r.saves_ns)} in {r.phase}' for r in top)})"


def _attention(result: Kernels, whole: int) -> Iterator[Draft]:
    """bmm, softmax, bmm: what a fused attention does not need between its two products."""
    rows = [r for r in result.unfused if r.pattern == "attention"]
    saves, groups = sum(r.saves_ns for r in rows), sum(r.groups for r in rows)
    count, total = sum(r.count for r in rows), sum(r.total_ns for r in rows)
    if not whole or saves / whole < LEAST:
        return
    numbers: dict[str, float] = {
        "share": total / whole, "attentions": groups, "kernels": count, "between_ns": total,
    }  # fmt: skip
    yield Draft(
        FindingKind.UNFUSED_ATTENTION, _main(rows),
        f"Attention is computed as bmm, softmax, bmm ({plural(groups, 'time')}): the {count:,} "
        f"softmax and pointwise kernels between the products take {share(total / whole)} of all "
        f"kernel time, {duration(total)}{_parts(rows, numbers)}.",
        total / whole, "share", saves, whole,
        "Use scaled_dot_product_attention or FlashAttention, which keep the scores on chip.",
        numbers=numbers,
        explains=frozenset({Category.SAMPLING.value}),
    )  # fmt: skip


def _pointwise(result: Kernels, whole: int) -> Iterator[Draft]:
    """Kernels that only move or touch data and follow one another: one of each run stays."""
    # what runs while a graph is captured is no step that anyone waits for
    rows = [r for r in result.unfused if r.pattern == "pointwise" and r.phase != Phase.CAPTURE]
    mine = [k for k in result.rows if k.fusable]
    total, count = sum(k.total_ns for k in mine), sum(k.count for k in mine)
    saves, runs = sum(r.saves_ns for r in rows), sum(r.groups for r in rows)
    if not whole or saves / whole < LEAST:
        return
    inside = sum(r.count for r in rows)
    kinds: dict[str, int] = {}
    for k in mine:
        kinds[k.category.value] = kinds.get(k.category.value, 0) + k.total_ns
    said = ", ".join(
        f"{name} {share(ns / whole)}" for name, ns in sorted(kinds.items(), key=lambda i: -i[1])
    )
    numbers: dict[str, float] = {
        "share": total / whole, "kernels": count, "in_runs": inside, "runs": runs,
        "saves_ns": saves, **{f"{name}_share": ns / whole for name, ns in kinds.items()},
    }  # fmt: skip
    yield Draft(
        FindingKind.UNFUSED_ELEMENTWISE, _main(rows),
        f"{share(total / whole)} of all kernel time is {plural(count, 'kernel')} that only move "
        f"data or compute element by element ({said}). {inside:,} of them follow one another in "
        f"{plural(runs, 'run')}: as one kernel a run, which takes at least its longest, they save "
        f"{duration(saves)}"
        f"{_parts(rows, numbers)}.",
        total / whole, "share", saves, whole,
        "Fuse them: torch.compile, or fused norm, rotary and activation kernels.",
        numbers=numbers,
        explains=frozenset(kinds),
    )  # fmt: skip


def _few_rows(result: Kernels, ask: Ask) -> Iterator[Draft]:
    """GEMMs of decode steps of few rows, where `roles` finds no layers in which to judge them."""
    roofline, stages = ask(Roofline), ask(Stages)
    total = sum(p.total_ns for p in result.phases if p.phase == Stage.DECODE)
    mine = [c for c in result.categories if c.phase == Stage.DECODE and c.category is Category.GEMM]
    if not mine or stages is None or ask(Roles) is not None or _shaped(roofline):
        return
    spec = datasheet(result.device) if result.device is not None else None
    names = [row.name for row in stages.rows]
    told = few_rows.draft(sum(c.total_ns for c in mine), total, spec, names, (Stages,))
    if told is not None:
        yield told


def _shaped(roofline: Roofline | None) -> bool:
    dense = (Category.GEMM, Category.ATTENTION)
    return roofline is not None and (
        bool(roofline.products) or any(row.category in dense for row in roofline.stated)
    )


def _in_kernels(device: Device) -> float | None:
    """The share of the window in which kernels that are no communication run."""
    seen, ns = device.seen_window_ns, device.kernel_ns - device.exposed_communication_ns
    return ns / seen if seen else None


def _unshaped(result: Kernels, whole: int, ask: Ask) -> Iterator[Draft]:
    """Most kernel time is GEMMs and attention, and nobody can say how far from the limits."""
    roofline, devices = ask(Roofline), ask(Devices)
    dense = [c for c in result.categories if c.category in (Category.GEMM, Category.ATTENTION)]
    total = sum(c.total_ns for c in dense)
    busy = devices.mean(_in_kernels) if devices is not None else None
    if _shaped(roofline) or not whole or total / whole < 0.5 or busy is None or busy < 0.5:
        return
    why = "the file has no shapes"
    do = "Record with record_shapes=True."
    if roofline is not None and roofline.unshaped is None:
        why = "no op around them has shapes that a formula reads"
        do = (
            "Record a step without graphs, in which PyTorch's own ops launch these kernels: what "
            "a custom op computes its shapes do not say."
        )
    if any(row.replayed_count and row.op is None for row in result.rows):
        do = (
            "Name the trace in which the graphs were captured (--graph-capture) or the model that "
            "ran (--model-config), or record a step without graphs, with record_shapes=True."
        )
    yield Draft(
        FindingKind.RECORD_MORE, None,
        f"{share(total / whole)} of all kernel time is {_dense(result)}, {duration(total)}, and "
        f"{why}: how far they are from what the device allows nobody can say.",
        total / whole, "share", None, whole, do,
        also=(Roofline,),
        numbers={"share": total / whole, "total_ns": total},
        explains=frozenset(c.category.value for c in dense),
    )  # fmt: skip


def _dense(result: Kernels) -> str:
    """What of GEMMs, convolutions and attention there is, the largest first."""
    ns: dict[str, int] = {}
    for row in result.rows:
        if row.category is Category.GEMM:
            kind = "convolutions" if row.convolution else "GEMMs"
        elif row.category is Category.ATTENTION:
            kind = "attention"
        else:
            continue
        ns[kind] = ns.get(kind, 0) + row.total_ns
    *most, least = sorted(ns, key=lambda kind: -ns[kind])
    return f"{', '.join(most)} and {least}" if most else least


def _experts(result: Kernels, phase: PhaseTotal, roofline: Roofline | None) -> Iterator[Draft]:
    """Grouped GEMMs of a mixture of experts, and how near to their roof they came."""
    mine = [
        k for k in result.rows
        if k.phase == phase.phase and k.expert_gemm
    ]  # fmt: skip
    total = sum(k.total_ns for k in mine)
    if total / phase.total_ns < MUCH:
        return
    top, count = mine[0], sum(k.count for k in mine)
    numbers: dict[str, float] = {
        "share": total / phase.total_ns, "total_ns": total, "kernels": count,
        "longest_ns": top.total_ns,
    }  # fmt: skip
    near = roofline.near({k.name for k in mine}, phase.phase, total) if roofline else None
    said = ""
    if roofline is not None and near is not None:
        numbers |= {"floor_share": near.share, "floor_ns": near.floor_ns}
        said = (
            f" They reach {share(near.share)}{' or more' if near.or_more else ''} of what "
            f"{roofline.device} allows ({'memory bandwidth' if near.memory else 'arithmetic'} is "
            "the limit)."
        )
    yield Draft(
        FindingKind.EXPERT_GEMM, _stage(phase),
        f"{share(total / phase.total_ns)} of {_of(phase)} is grouped GEMMs of experts: "
        f"{plural(count, 'kernel')}, {duration(total)}; the longest is {_short(top)} "
        f"({duration(top.total_ns)}).{said}",
        total / phase.total_ns, "share", None, phase.total_ns,
        "See how many tokens an expert gets: tiles sized for it, more tokens a step, or experts "
        "spread over fewer devices.",
        also=(Roofline,) if said else (),
        numbers=numbers,
        explains=frozenset({Category.GEMM.value}),
    )  # fmt: skip


def _categories(result: Kernels, whole: int) -> Iterator[Draft]:
    """Embeddings and optimisers, which are whole kernels of their own."""
    for category, (kind, what, do) in _TOGETHER.items():
        mine = [part for part in result.categories if part.category is category]
        total, count = sum(part.total_ns for part in mine), sum(part.count for part in mine)
        if whole and total / whole >= MUCH:
            yield Draft(
                kind, None,
                f"{share(total / whole)} of all kernel time is {what}: {plural(count, 'kernel')}, "
                f"{duration(total)}.",
                total / whole, "share", None, whole, do,
                numbers={"share": total / whole, "kernels": count, "total_ns": total},
                explains=frozenset({category.value}),
            )  # fmt: skip


# what has a finding, or a reason, of its own: a wait for peers is no kernel to tune
_SPOKEN_FOR = frozenset({Category.COMMUNICATION, Category.EMBEDDING, Category.OPTIMIZER})


def _hottest(result: Kernels, phase: PhaseTotal) -> Iterator[Draft]:
    """One kernel that takes much of a phase: no claim that it can be faster."""
    mine = [row for row in result.rows if row.phase == phase.phase]
    if len(mine) < 5:
        return
    top = max(mine, key=lambda row: row.total_ns)
    expert = top.expert_gemm
    if top.share is None or top.share < 0.3 or top.category in _SPOKEN_FOR or expert:
        return
    if top.alone_ns < HIDDEN * top.total_ns and top.total_ns < phase.total_ns - top.total_ns:
        return  # other kernels run meanwhile, for as long: faster it would save nothing
    yield Draft(
        FindingKind.ONE_KERNEL, _stage(phase),
        f"One kernel ({top.category.value}) is {share(top.share)} of {_of(phase)}: "
        f"{_short(top)}, {plural(top.count, 'run')} of {duration(top.mean_ns)}.",
        top.share, "share", None, phase.total_ns, "Tune or replace this kernel first.",
        numbers={"share": top.share, "kernels": top.count, "mean_ns": top.mean_ns},
        explains=frozenset({top.category.value}),
    )  # fmt: skip


def _stage(phase: PhaseTotal) -> str | None:
    return None if phase.phase == ALL else phase.phase


def _short(kernel: Kernel) -> str:
    name = readable(kernel.name)
    return name if len(name) <= 80 else f"{name[:60]}…{name[-19:]}"
