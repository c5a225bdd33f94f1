"""Rules that turn answers into findings: what is slow, by how much, and what to do about it.

A rule looks at the answers of analyses and claims only what they hold. `saves_ns` is an upper bound
of what removing the cause could save of the stage's time; None where there is none to give. A stage
under `LEAST` of its window, or of its kernel time, is not worth a sentence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tracekit.attribution.stages.work_phases import ALL, NO_PHASE
from tracekit.results.kernel_labels import readable
from tracekit.results.units import bytes_, duration, rate, share
from tracekit.taxonomy import Category

LEAST = 0.05
Ask = Callable[[str], Any]  # the result of an analysis, or None


@dataclass(frozen=True, slots=True)
class Draft:
    """A finding before it is ranked."""

    stage: str | None
    what: str
    number: float
    unit: str  # of the number, as results.Unit
    saves_ns: int | None
    of_ns: int | None  # the time that it would be saved of
    do: str
    rests_on: tuple[str, ...]  # analyses


def host_bound(ask: Ask) -> Iterator[Draft]:
    """Idle time that the host caused, stage by stage."""
    found = ask("launches")
    for row in _stages_of(found):
        waits, window = row.graph_saves_ns, row.window_ns
        if not row.launch_bound or not window or waits / window < LEAST:
            continue
        per = row.graph_saves_per_token_ns
        token = f", {duration(per)} per token" if per else ""
        graphs = row.graph_calls > 0 and row.activities > 10 * row.calls
        yield Draft(
            row.stage,
            f"{row.stage} is launch-bound: the GPU waits {share(waits / window)} of its window for "
            f"the host, which launches {row.activities:,} activities in {row.calls:,} calls"
            f"{token}.",
            waits / window, "share", waits, window,
            "Shorten what the host does between graph launches."
            if graphs
            else 'Use CUDA graphs or torch.compile(mode="reduce-overhead"), or a larger batch.',
            ("launches", "idle"),
        )  # fmt: skip


def _stages_of(found: Any) -> list[Any]:
    """Rows of `launches` by stage; the whole trace where it has no stages."""
    rows = list(found.rows) if found is not None else []
    named = [row for row in rows if row.stage != "whole trace"]
    return named or rows


def causes_of_idle(ask: Ask) -> Iterator[Draft]:
    """Causes of idle time that are no launch overhead: data loading, syncs, communication."""
    advice = {
        "host_data": ("for data to be loaded", "Load ahead: more DataLoader workers, prefetching."),
        "communication": ("for communication", "Overlap communication with compute."),
        "other_stream": ("for an event of another stream", "Check what the streams wait for."),
    }
    found = ask("idle")
    for row in found.stages if found is not None else ():
        window, causes = row.launched_window_ns, row.launched_causes
        if row.family == "all stages" or not window:  # nor where it is not known
            continue
        for cause, (waits, do) in advice.items():
            ns = getattr(causes, cause)
            # waiting for a stream that ran work which the file lacks is no waiting of the stage
            ns -= row.launched_suspect_ns if cause == "other_stream" else 0
            if ns / window >= LEAST:
                yield Draft(
                    row.family,
                    f"In {row.family} the GPU waits {share(ns / window)} of the window {waits}.",
                    ns / window, "share", ns, window, do, ("idle",),
                )  # fmt: skip


def blocking_syncs(ask: Ask) -> Iterator[Draft]:
    """Idle time while the host was in a blocking sync or copy, and the copy that held it longest.

    A copy that holds the host while the GPU works costs nothing, so the idle time is the bound.
    """
    idle, moved = ask("idle"), ask("transfers")
    for row in idle.stages if idle is not None else ():
        window = row.launched_window_ns
        ns = row.launched_causes.host_sync if window else 0
        if row.family == "all stages" or not window or ns / window < LEAST:
            continue
        held = [
            r for r in (moved.rows if moved is not None else ())
            if r.phase == row.family and r.blocking_count
        ]  # fmt: skip
        said = ""
        if held:
            top = max(held, key=lambda r: r.blocked_ns or 0)
            by = f"`{top.op}`" if top.op else "copies"
            said = (
                f" Longest held by {by}: {top.blocking_count:,} {top.direction} copies, "
                f"{duration(top.blocked_ns)}."
            )
        yield Draft(
            row.family,
            f"In {row.family} the GPU waits {share(ns / window)} of the window while the host is "
            f"in a blocking sync, a blocking copy or `.item()`.{said}",
            ns / window, "share", ns, window,
            "Keep the value on the device, or copy to pinned memory with non_blocking=True and "
            "wait later.",
            ("idle", "transfers"),
        )  # fmt: skip


def slow_copies(ask: Ask) -> Iterator[Draft]:
    """Copies between host and device far below the bus."""
    moved, found = ask("transfers"), ask("devices")
    window = sum(d.window_ns for d in found.rows) if found is not None else 0
    for side in moved.directions if moved is not None else ():
        limit = side.limit_bytes_per_s
        if side.direction not in ("HtoD", "DtoH") or not limit or not window:
            continue
        at_limit = int((side.bytes or 0) / limit * 1e9)
        lost = side.sized_ns - at_limit
        if lost / window < LEAST:
            continue
        memory = f" from {side.host_memory} memory" if side.host_memory else ""
        yield Draft(
            None,
            f"{side.direction} copies{memory} run at {rate(side.bytes_per_s, 'B/s')}, "
            f"{share(side.limit_share)} of the bus: {bytes_(side.bytes)} take "
            f"{duration(side.sized_ns)}.",
            side.limit_share or 0.0, "share", lost, window,
            "Copy from pinned memory, and many small tensors as one.",
            ("transfers", "devices"),
        )  # fmt: skip


def exposed(ask: Ask) -> Iterator[Draft]:
    """Copies and communication that no other kernel covers."""
    found = ask("devices")
    for row in found.rows if found is not None else ():
        for ns, kind, do in (
            (row.memcpy_ns, "copies", "Copy on another stream while kernels run."),
            (row.exposed_communication_ns, "communication",
             "Overlap communication with compute: smaller buckets, another stream."),
        ):  # fmt: skip
            if row.window_ns and ns / row.window_ns >= LEAST:
                yield Draft(
                    None,
                    f"Device {row.device} spends {share(ns / row.window_ns)} of its window on "
                    f"{kind} alone: no other kernel runs meanwhile.",
                    ns / row.window_ns, "share", ns, row.window_ns, do, ("devices",),
                )  # fmt: skip


_FUSABLE = (Category.ELEMENTWISE, Category.COPY, Category.NORM, Category.ROTARY)


def _by_phase(rows: Iterable[Any]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        out[row.phase].append(row)
    return out


def unfused(ask: Ask) -> Iterator[Draft]:
    """Memory-bound kernels that could be fused with their neighbours."""
    found = ask("kernels")
    by_phase = _by_phase(found.categories if found is not None else ())
    for phase in found.phases if found is not None else ():
        mine = [c for c in by_phase[phase.phase] if c.category in _FUSABLE]
        total, count = sum(c.total_ns for c in mine), sum(c.count for c in mine)
        if phase.phase in NO_PHASE or not phase.total_ns or total / phase.total_ns < 0.25:
            continue
        kinds = ", ".join(
            f"{c.category.value} {share(c.share)}" for c in sorted(mine, key=lambda c: -c.total_ns)
        )
        whole = "all kernel time" if phase.phase == ALL else f"the kernel time of {phase.phase}"
        yield Draft(
            phase.phase,
            f"{share(total / phase.total_ns)} of {whole} is in "
            f"{_many(count, 'kernel')} that only move or touch data ({kinds}).",
            total / phase.total_ns, "share", total, phase.total_ns,
            "Fuse them: torch.compile, or fused norm, rotary and activation kernels.",
            ("kernels",),
        )  # fmt: skip


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def hottest_kernel(ask: Ask) -> Iterator[Draft]:
    """One kernel that takes much of a phase: no claim that it can be faster."""
    found = ask("kernels")
    by_phase = _by_phase(found.rows if found is not None else ())
    everything = sum(p.total_ns for p in found.phases) if found is not None else 0
    for phase in found.phases if found is not None else ():
        mine = by_phase[phase.phase]
        if phase.phase in NO_PHASE or len(mine) < 5 or phase.total_ns < 0.1 * everything:
            continue
        top = max(mine, key=lambda r: r.total_ns)
        if top.share is None or top.share < 0.3:
            continue
        name = readable(top.name)
        name = name if len(name) <= 80 else f"{name[:60]}…{name[-19:]}"
        whole = "all kernel time" if phase.phase == ALL else f"the kernel time of {phase.phase}"
        yield Draft(
            phase.phase,
            f"One kernel ({top.category.value}) is {share(top.share)} of {whole}: "
            f"{name}, {_many(top.count, 'run')} of {duration(top.mean_ns)}.",
            top.share, "share", None, phase.total_ns, "Tune or replace this kernel first.",
            ("kernels",),
        )  # fmt: skip


def below_the_roof(ask: Ask) -> Iterator[Draft]:
    """Ops with a formula that take far longer than the device needs."""
    found = ask("roofline")
    if found is None or found.device is None:
        return
    whole = sum(c.kernel_ns for c in found.coverage)
    together = any(True for _ in layers_below_the_roof(ask))
    for row in found.rows:
        if together and row.phase == "decode" and row.category is Category.GEMM:
            continue  # one finding has them all
        floor = row.rates.floor_ns
        if floor is None or not whole or row.rates.floor_share >= 0.5:
            continue
        saves = int(row.total_ns - floor)
        if saves / whole < LEAST:
            continue
        single = row.dtype == "float32" and "bfloat16" in found.peaks
        yield Draft(
            row.phase,
            f"{row.op} {row.shape} in {row.dtype} reaches {share(row.rates.floor_share)} of what "
            f"{found.device} allows ({row.rates.bound}-bound) and takes {duration(row.total_ns)}.",
            row.rates.floor_share, "share", saves, whole,
            "Use bfloat16, or allow TF32: torch.set_float32_matmul_precision('high')."
            if single
            else "Try other shapes (padding, batching), layouts or a tuned kernel.",
            ("roofline",),
        )  # fmt: skip


def layers_below_the_roof(ask: Ask) -> Iterator[Draft]:
    """GEMMs of a decoder's layers, all together, far from what memory allows in decode."""
    found = ask("roles")
    prefill = _named(found, "prefill")
    decode = _named(found, "decode")
    if decode is None or decode.gemm_bytes_share is None or not decode.total_ns:
        return
    part, saves = decode.gemm_ns / decode.total_ns, int(decode.gemm_ns - decode.gemm_floor_ns)
    if part < 0.25 or saves / decode.total_ns < LEAST or decode.gemm_bytes_share >= 0.7:
        return
    if (decode.gemm_flops_share or 0) > decode.gemm_bytes_share:
        return  # so many rows that arithmetic bounds them: more rows would not help
    before = (
        f"; in prefill they reach {share(prefill.gemm_flops_share)} of its peak FLOP/s"
        if prefill is not None and prefill.gemm_flops_share is not None
        else ""
    )
    yield Draft(
        "decode",
        f"{share(part)} of the kernel time of decode is GEMMs that use "
        f"{share(decode.gemm_bytes_share)} of the memory bandwidth of {found.device}{before}.",
        decode.gemm_bytes_share, "share", saves, decode.total_ns,
        "Decode more rows at once (larger batches, speculative decoding), quantise the weights, or "
        "fuse these GEMMs into fewer, larger ones.",
        ("roles",),
    )  # fmt: skip


def _named(found: Any, phase: str) -> Any:
    return next((p for p in found.phases if p.phase == phase), None) if found else None


def above_the_floor(ask: Ask) -> Iterator[Draft]:
    """Stages of our own captures that take several times their least time."""
    found = ask("roofline")
    for row in found.floors if found is not None else ():
        if row.floor_share is None or row.floor_share >= 0.5:
            continue
        use = (
            f"MBU {share(row.mbu)}, {share(row.mbu_weights)} with weights alone"
            if row.stage == "decode"
            else f"MFU {share(row.mfu)}"
        )
        yield Draft(
            row.stage,
            f"{row.stage} takes {1 / row.floor_share:.1f} times the least that {found.device} "
            f"needs for it: {duration(row.took_ns)} for {duration(row.floor_ns)} ({use}).",
            row.floor_share, "share", int(row.took_ns - row.floor_ns), row.took_ns,
            "See the idle time and the kernels of this stage for where the rest goes.",
            ("roofline", "stages"),
        )  # fmt: skip


def biggest_stage(ask: Ask) -> Iterator[Draft]:
    """Where most of the wall time is: no claim that it can be saved."""
    found = ask("stages")
    if found is None:
        return
    named = [t for t in found.totals if t.family != "all stages"]
    whole = next((t.wall_ns for t in found.totals if t.family == "all stages"), 0)
    if len(named) < 2 or not whole:
        return
    top = max(named, key=lambda t: t.wall_ns)
    if top.wall_ns > 0.99 * whole:  # it holds the others
        return
    yield Draft(
        top.family,
        f"{share(top.wall_ns / whole)} of the wall time of all stages is {top.family}: "
        f"{duration(top.wall_ns)} in {_many(top.instances, 'instance')}.",
        top.wall_ns / whole, "share", None, whole, "Start there.", ("stages",),
    )  # fmt: skip


def host_outside_ops(ask: Ask) -> Iterator[Draft]:
    """On a trace without GPU events: host time that is in no framework op."""
    found = ask("stages")
    modules = ask("modules")
    do = (
        "See the time by module, and the timeline."
        if modules is not None
        else "Capture with --with-stack to see what runs there."
    )
    for row in found.totals if found is not None else ():
        if row.host is None or row.family == "all stages" or not row.wall_ns:
            continue
        # what another thread does meanwhile (a backward pass) is not waste of this one
        ns = row.host.other_ns - row.host_detail.elsewhere_ns
        part = ns / row.wall_ns
        if part >= 0.25:
            yield Draft(
                row.family,
                f"{share(part)} of the wall time of {row.family} is outside any framework op of "
                "its process: Python, or other libraries.",
                part, "share", ns, row.wall_ns,
                do, ("stages",),
            )  # fmt: skip


def slow_tokens(ask: Ask) -> Iterator[Draft]:
    """Tokens that took far longer than the others."""
    found = ask("tokens")
    slow = found.slow if found is not None else None
    if slow is None or not slow.count or not slow.parts:
        return
    cause, ns = max(slow.parts.items(), key=lambda part: part[1])
    if ns <= 0:
        return
    yield Draft(
        "decode",
        f"{slow.count:,} of {slow.of:,} decoded tokens take at least {duration(slow.over_ns)}, "
        f"{duration(slow.excess_ns)} more than the rest on average, most of it {cause}.",
        slow.excess_ns, "ns", int(slow.excess_ns * slow.count), None,
        "Look at these steps in the timeline.", ("tokens",),
    )  # fmt: skip


def held_memory(ask: Ask) -> Iterator[Draft]:
    """Memory that the allocator holds and no tensor uses."""
    found = ask("memory")
    for row in found.rows if found is not None else ():
        if row.reserved_peak is None or row.reserved_peak < 1 << 30:
            continue
        spare = (row.reserved_peak - row.allocated_peak) / row.reserved_peak
        if spare >= 0.25:
            yield Draft(
                None,
                f"{row.memory}: of {bytes_(row.reserved_peak)} reserved at most "
                f"{bytes_(row.allocated_peak)} were ever allocated.",
                spare, "share", None, None,
                "Try PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True.", ("memory",),
            )  # fmt: skip


RULES: tuple[Callable[[Ask], Iterator[Draft]], ...] = (
    host_bound, causes_of_idle, blocking_syncs, slow_copies, exposed, unfused, below_the_roof,
    layers_below_the_roof, above_the_floor, hottest_kernel, biggest_stage, host_outside_ops,
    slow_tokens, held_memory,
)  # fmt: skip
