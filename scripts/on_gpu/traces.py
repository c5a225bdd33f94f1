"""A capture, and what is asked of its trace: analyzed, conserved, whole in Perfetto, small."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.on_gpu.setup import PLAIN, PartError, Said, Setup

LIMIT = 2_000_000  # bytes of a trace that is kept


def captured(setup: Setup, name: str, label: str, **given: Any) -> Any:
    """A capture of one request, its trace in the work folder."""
    from tracekit.capture import plan as planning
    from tracekit.capture.run import capture

    wanted = {**PLAIN, "device": setup.device, "extra": setup.takes(name), **given}
    return capture(planning.plan(name, **wanted), setup.work / f"{label}.pt.trace.json.gz")


def examined(setup: Setup, path: Path, said: Said) -> None:
    """Everything that is asked of a trace. Raises: PartError."""
    from tracekit.answers.audit import Audit
    from tracekit.answers.devices import Devices
    from tracekit.report import traces
    from tracekit.results import engine

    answers = engine.answers(path)
    traces.write([answers], setup.work / "page.html")
    audit = answers.get(Audit)
    judged = "not judged" if audit is None else audit.verdict
    devices = answers.get(Devices)
    kernels = sum(row.kernel_count for row in devices.rows) if devices else 0
    said.figures |= {
        "analyses": sorted(answers.answers), "unanswered": dict(answers.unanswered),
        "kernels": kernels, "audit": judged,
        "findings_of_audit": [row.what for row in audit.rows] if audit else [],
    }  # fmt: skip
    if judged == "refused":
        raise PartError(f"the audit refuses it: {said.figures['findings_of_audit'][0]}")
    if not setup.pretend and not kernels:
        raise PartError("no kernel is in the trace: is the profiler allowed to see the GPU?")
    checked = conserved(answers)
    untouched(setup, path)
    said.text += (
        f"{len(answers.answers)} answers, {kernels:,} kernels, audit {judged}, {checked} sums exact"
    )


def conserved(answers: Any) -> int:
    """How many sums were checked: the parts of every stage and of every device's window.

    Raises: PartError where one differs by a nanosecond, or there is none to check.
    """
    from tracekit.answers.devices import Devices
    from tracekit.answers.stages import Split, Stages

    stages, devices = answers.get(Stages), answers.get(Devices)
    count = 0
    for row in stages.rows if stages else ():
        for split in Split:
            parts, whole = row.parts(split), row.whole_ns(split)
            if parts and sum(parts.values()) != whole:
                raise PartError(f"{row.name}: {split.value} is {whole} ns, its parts {parts}")
            count += bool(parts)
    for row in devices.rows if devices else ():
        parts = row.kernel_ns + row.memcpy_ns + row.memset_ns + row.idle_ns
        if parts != row.window_ns:
            raise PartError(f"device {row.device}: window {row.window_ns} ns, its parts {parts}")
        count += 1
    if not count:
        raise PartError("no stage and no device to check")
    return count


def untouched(setup: Setup, path: Path) -> None:
    """Perfetto shows the file as it is: our export would change nothing. Raises: PartError."""
    from tracekit.trace.perfetto.export import export

    done = export(path, setup.work / "exported.json.gz")
    if done.cures or done.slices_in != done.slices_out:
        raise PartError(f"Perfetto would lose slices: {'; '.join(done.cures)}")


def kept(setup: Setup, path: Path, target: Path, said: Said) -> None:
    """The trace, or its beginning where the whole is too large, in the folder that is kept.

    Raises: PartError where no part of it is small enough.
    """
    from tracekit.errors import TracekitError
    from tracekit.trace import kineto
    from tracekit.trace.perfetto.export import Wanted, export

    size = path.stat().st_size
    if size <= LIMIT:
        shutil.copyfile(path, target)
        return
    trace = kineto.load(path)
    span = int((trace.ts + trace.dur).max())
    for _ in range(8):
        span = int(span * min(0.9, 0.85 * LIMIT / size))
        try:
            export(path, target, Wanted(from_ns=0, to_ns=span))
        except TracekitError:  # nothing is left of it
            break
        size = target.stat().st_size
        if size <= LIMIT:
            said.text += f"; kept: its first {span / 1e6:,.0f} ms"
            said.figures["kept_ns"] = span
            return
    target.unlink(missing_ok=True)
    raise PartError(f"{size:,} bytes after cutting, {LIMIT:,} allowed")


def steps(taken: Any) -> list[int]:
    """ns of each decode step without the profiler."""
    return [ns for one in taken.unprofiled for ns in one.steps]


def benched(setup: Setup, name: str, said: Said, *, tokens: int, **given: Any) -> Mapping[str, Any]:
    """Decode without a profiler: time of a token, and the share of the memory's bandwidth.

    Raises: PartError for a share that no memory can have.
    """
    from tracekit.bench import file, statistics, tables, timing
    from tracekit.capture import plan as planning

    wanted = {**PLAIN, "samples": 3, "device": setup.device, "max_new_tokens": tokens}
    plan = planning.plan(name, extra=setup.takes(name), **{**wanted, **given})
    content = file.document(timing.bench([timing.Config(plan)]))
    (row,) = content["configurations"]
    if row["error"]:
        raise PartError(row["error"])
    tpot = statistics.summarize(file.measures(row)["tpot"])
    assert tpot is not None
    share = tables.bandwidth(row, tables.device_name(content))
    said.figures |= {"tpot_ns": tpot.median, "bench": content}
    said.text = f"{tpot.median / 1e6:.2f} ms a token"
    if share is None:
        said.text += "; MBU not known: no datasheet of this device is known here"
        return content
    said.figures["mbu"] = dataclasses.asdict(share)
    floor = share.bytes / share.peak
    said.text += (
        f", floor {floor * 1e3:.2f} ms, MBU {share.used:.1%} of {share.peak / 1e12:.2f} TB/s"
    )
    if share.used > 1.0:
        raise PartError(f"MBU {share.used:.1%} is more than the memory can give")
    return content
