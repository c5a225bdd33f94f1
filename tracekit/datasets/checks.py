"""What lies in a folder: counts, checksums, and each sample's shape, rate, holes and clock."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit.datasets.entry import Dataset, Recording, Sample
from tracekit.errors import TracekitError
from tracekit.results.result import Column, Grid, Result

COUNTED = 0.01  # parsers of free text differ by so much, as a share
NORMS = {"m/s²": (6.0, 16.0), "g": (0.6, 1.6)}  # what gravity looks like in each unit
GAP = 5.0  # a step of more than so many median steps


@dataclass(frozen=True, slots=True)
class Count:
    """One thing that was counted, and what its publishers count. verdict: same, close, fewer,
    more, unknown; ok or bad for a checksum.
    """

    what: str
    found: str
    published: str | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Probe:
    """One sample as it was read and parsed; None is what it does not have."""

    id: str
    label: str | None
    samples: int | None  # rows, or events
    rate_hz: float | None  # stated
    measured_hz: float | None  # 1000 over the median step of its own clock
    missing: int | None  # values that are not finite
    backward: int | None  # steps of the clock below zero
    gaps: int | None  # steps of more than five median steps
    norm: float | None  # median of |acceleration|, m/s²
    repairs: tuple[str, ...]
    fault: str | None  # why it could not be read


@dataclass(frozen=True, slots=True)
class Check(Result):
    """All of it, for one folder."""

    dataset: str
    path: str
    counts: tuple[Count, ...]
    rows: tuple[Probe, ...]
    problems: tuple[str, ...]  # what makes the folder unfit as it is
    remarks: tuple[str, ...]  # what a reader should know


def check(
    name: str,
    entry: Dataset,
    path: Path,
    samples: Iterator[Sample],
    *,
    limit: int | None,
    progress: Callable[[int], None] = lambda _done: None,
) -> Check:
    """Counts the folder, and reads and parses the first `limit` samples (None is all)."""
    counts = (*_counts(entry, path), *_checksums(entry, path))
    probes: list[Probe] = []
    problems = [
        f"{c.what}: {c.found} is not the published one" for c in counts if c.verdict == "bad"
    ]
    try:
        for done, sample in enumerate(itertools.islice(samples, limit), 1):
            probes.append(probe(sample))
            progress(done)
    except TracekitError as fault:
        problems.append(str(fault))
    problems += [f"{one.id}: {one.fault}" for one in probes if one.fault]
    if not probes and not problems:
        problems.append("no samples")
    return Check(
        name, str(path), counts, tuple(probes), tuple(problems), tuple(_remarks(counts, probes))
    )


def probe(sample: Sample) -> Probe:
    """One sample, read and parsed."""
    try:
        recording = sample.parse(sample.read())
    except TracekitError as fault:
        return Probe(
            sample.id, sample.label, None, None, None, None, None, None, None, (), str(fault)
        )
    numbers = _clock(recording) | _values(recording)
    return Probe(
        id=sample.id,
        label=sample.label,
        samples=numbers.get("samples"),
        rate_hz=recording.rate_hz,
        measured_hz=numbers.get("measured"),
        missing=numbers.get("missing"),
        backward=numbers.get("backward"),
        gaps=numbers.get("gaps"),
        norm=numbers.get("norm"),
        repairs=recording.repairs,
        fault=None,
    )


def _values(recording: Recording) -> dict[str, Any]:
    import numpy as np

    if recording.values is None:
        t = recording.arrays.get("t")
        return {"samples": len(t)} if t is not None else {}
    values = recording.values
    norm = np.linalg.norm(values[:, :3], axis=1)
    return {
        "samples": len(values),
        "missing": int((~np.isfinite(values)).sum()),
        "norm": float(np.nanmedian(norm)) if np.isfinite(norm).any() else None,
    }


def _clock(recording: Recording) -> dict[str, Any]:
    import numpy as np

    if recording.timestamps_ms is None or len(recording.timestamps_ms) < 2:
        return {}
    steps = np.diff(recording.timestamps_ms)
    middle = float(np.median(steps))
    return {
        "measured": 1e3 / middle if middle > 0 else None,
        "backward": int((steps < 0).sum()),
        "gaps": int((steps > GAP * middle).sum()) if middle > 0 else None,
    }


def _counts(entry: Dataset, path: Path) -> Iterator[Count]:
    if entry.check is None:
        return
    for what, (found, published) in entry.check(path).items():
        if published is None:
            verdict = "unknown"
        elif found == published:
            verdict = "same"
        elif "pairs" in what and abs(found - published) <= COUNTED * published:
            verdict = "close"
        else:
            verdict = "fewer" if found < published else "more"
        yield Count(
            what, f"{found:,}", f"{published:,}" if published is not None else None, verdict
        )


def _checksums(entry: Dataset, path: Path) -> Iterator[Count]:
    for name, known in entry.checksums.items():
        file = path / name
        if not file.is_file():
            continue
        kind, _, published = known.partition(":")
        with open(file, "rb") as opened:
            found = hashlib.file_digest(opened, kind).hexdigest()
        yield Count(f"{kind} of {name}", found, published, "ok" if found == published else "bad")


def _remarks(counts: tuple[Count, ...], probes: list[Probe]) -> Iterator[str]:
    short = [c.what for c in counts if c.verdict == "fewer"]
    if short:
        yield f"a part of what is published: fewer {', '.join(short)}"
    for field, text in (
        ("missing", "values that are not finite"),
        ("backward", "steps of the clock backward"),
        ("gaps", "gaps in the clock"),
    ):
        many = sum(getattr(one, field) or 0 for one in probes)
        if many:
            yield f"{many:,} {text}, in {sum(bool(getattr(o, field)) for o in probes)} samples"
    skipped = [one.id for one in probes if any(r.startswith("skipped") for r in one.repairs)]
    if skipped:
        yield f"malformed rows were skipped in {len(skipped)} samples, {skipped[0]} for one"
    norms = [one.norm for one in probes if one.norm is not None]
    odd = [n for n in norms if not NORMS["m/s²"][0] <= n <= NORMS["m/s²"][1]]
    if odd:
        low, high = NORMS["g"]
        looks = "g" if all(low <= n <= high for n in odd) else "no known unit with gravity in it"
        yield f"|acceleration| of {len(odd)} of {len(norms)} samples looks like {looks}"
    stated = [o for o in probes if o.rate_hz and o.measured_hz]
    off = [o for o in stated if abs(o.rate_hz / o.measured_hz - 1) > 0.05]  # type: ignore[operator]
    if off:
        yield f"the clock of {len(off)} samples is not at the stated rate, {off[0].id} for one"


def grids(result: Check, most: int = 20) -> list[Grid]:
    """Counts, and one row a sample, at most `most` of them."""
    found = [
        Grid(
            "counts",
            "On disk, beside what is published",
            (Column("what"), Column("on disk"), Column("published"), Column("")),
            [(c.what, c.found, c.published or "not known", c.verdict) for c in result.counts],
        )
    ]
    sizes = [one.samples for one in result.rows if one.samples is not None]
    columns = (
        Column("sample"),
        Column("label"),
        Column("length", "count", "Rows of the recording, or events."),
        Column("rate, Hz", "number", "As stated."),
        Column("measured, Hz", "number", "1000 over the median step of its own clock in ms."),
        Column("not finite", "count", "Values that are NaN or infinite."),
        Column("clock back", "count", "Steps of the clock below zero."),
        Column("gaps", "count", "Steps of more than five median steps."),
        Column("|acc|, m/s²", "number", "Median of the acceleration's length."),
        Column("fault"),
    )
    rows = [
        (o.id, o.label or "", o.samples, o.rate_hz, o.measured_hz, o.missing, o.backward, o.gaps,
         o.norm, o.fault or "")
        for o in result.rows
    ]  # fmt: skip
    note = f"{len(rows)} samples read, {sum(sizes):,} rows or events"
    if len(rows) > most:
        note += f"; the first {most} are shown, --json has all"
    found.append(Grid("samples", "Samples, as read and parsed", columns, rows[:most], note=note))
    return [grid for grid in found if grid.rows]
