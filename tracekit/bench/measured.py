"""What benchmarks and captures measured of a model, for the table that compares models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracekit.bench import file, statistics
from tracekit.errors import TracekitError
from tracekit.models import entry
from tracekit.models.comparing import Measured
from tracekit.trace import kineto


def read(paths: Sequence[Path]) -> dict[str, list[Measured]]:
    """By the name of the model; of a capture its requests without the profiler.

    Raises: TracekitError for a file that is neither, or names no model.
    """
    found: dict[str, list[Measured]] = {}
    for path in paths:
        every = _benchmark(path) if file.is_benchmark(path) else _capture(path)
        for name, one in every:
            found.setdefault(_named(name, path), []).append(one)
    return found


def _named(name: str, path: Path) -> str:
    try:
        return entry.named(name)
    except TracekitError:
        raise TracekitError(
            f"is of a model that is not known here ({name or 'without a name'})", where=path,
            hint="give a file of `tracekit bench` or `tracekit capture`",
        ) from None  # fmt: skip


def _benchmark(path: Path) -> Iterator[tuple[str, Measured]]:
    content = file.load(path)
    device = str(((content.get("environment") or {}).get("device") or {}).get("name") or "")
    for row in content["configurations"]:
        times = {name: _median(values) for name, values in file.measures(row).items()}
        options, facts = row.get("options") or {}, row.get("facts") or {}
        if times:
            yield str(row.get("model") or content.get("model") or ""), Measured(
                path.name, device, str(options.get("dtype") or ""), str(facts.get("size") or ""),
                times.get("encode"), times.get("prefill"), times.get("tpot"),
                facts.get("random_weights"),
            )  # fmt: skip


def _capture(path: Path) -> Iterator[tuple[str, Measured]]:
    meta = kineto.load(path).source.meta.get("tracekit")
    run: Mapping[str, Any] = meta if isinstance(meta, Mapping) else {}
    plain, tokens = run.get("unprofiled") or {}, run.get("tokens") or {}
    device = (run.get("device") or {}).get("name") or ""
    made = tokens.get("generated") or []
    samples = [
        {**sample, "tokens": [count]}
        for sample, count in zip(plain.get("samples") or [], made, strict=False)
    ]
    times = {n: _median(v) for n, v in file.measures({"samples": samples}).items()}
    yield str(run.get("model") or ""), Measured(
        path.name, str(device), str(run.get("dtype") or ""), str(run.get("size") or ""),
        times.get("encode"), times.get("prefill"), times.get("tpot"),
        bool(run.get("random_weights")) if "random_weights" in run else None,
    )  # fmt: skip


def _median(values: Sequence[float]) -> float | None:
    found = statistics.summarize(values)
    return None if found is None else found.median
