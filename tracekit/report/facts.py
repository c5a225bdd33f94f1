"""What a trace says of the run behind it: an allow-list, since traces leak what they carry."""

from __future__ import annotations

import hashlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from tracekit.results import units
from tracekit.trace import redact
from tracekit.trace.run_facts import captured, devices, version
from tracekit.trace.trace import Source

Fact = tuple[str, str]


def title(source: Source) -> str:
    """The run's name: the model where the trace says it, else the file."""
    run = captured(source)
    if run.get("model"):
        size = f" {run['size']}" if run.get("size") else ""
        return redact.text(f"{run.get('title') or run['model']}{size}")
    return redact.text(file_name(source.path))


def file_name(path: str) -> str:
    """The name of a trace file without its folders."""
    return "standard input" if path == "-" else PurePath(path).name


def subtitle(source: Source) -> str:
    """One line under the title: device, dtype, what ran, the file and its size."""
    run = captured(source)
    parts = devices(source)
    parts += [str(run[key]) for key in ("dtype", "attention") if run.get(key)]
    if run.get("batch_size"):
        parts.append(f"batch {run['batch_size']}")
    if run.get("random_weights"):
        parts.append("random weights")
    slices = source.events.get("X")
    size = units.bytes_(source.bytes) if source.bytes else ""
    parts.append(" ".join(filter(None, (file_name(source.path), size and f"({size})"))))
    if slices:
        parts.append(units.plural(slices, "slice"))
    return redact.text(" · ".join(parts))


def facts(source: Source) -> list[Fact]:
    """What ran, as the trace says it; what it does not say is not there."""
    run = captured(source)
    out: list[tuple[str, Any]] = _of_capture(run) if run else []
    meta = source.meta
    spread = meta.get("distributedInfo")
    if isinstance(spread, Mapping) and spread.get("world_size"):
        out.append(("rank", f"{spread.get('rank', '?')} of {spread['world_size']}"))
    if not run:
        out.append(("device", ", ".join(devices(source))))
        for key, label in (("cuda_runtime_version", "CUDA"), ("hip_runtime_version", "HIP")):
            if isinstance(meta.get(key), int):
                out.append((label, version(key, meta[key])))
    flags = [
        name for key, name in (
            ("record_shapes", "shapes"), ("with_stack", "Python stacks"),
            ("with_modules", "modules"), ("profile_memory", "memory"), ("with_flops", "FLOPs"),
        ) if meta.get(key) or (run.get("options") or {}).get(key)
    ]  # fmt: skip
    known = bool(run) or any(key in meta for key in ("record_shapes", "with_stack", "with_modules"))
    out.append(("recorded", ", ".join(flags) or ("times only" if known else "")))
    return [(label, redact.text(str(value))) for label, value in out if value not in (None, "")]


def _of_capture(run: Mapping[str, Any]) -> list[tuple[str, Any]]:
    def part(key: str) -> Mapping[str, Any]:
        value = run.get(key)
        return value if isinstance(value, Mapping) else {}

    device, versions, tokens, data = (part(k) for k in ("device", "versions", "tokens", "data"))
    schedule, parameters = part("schedule"), part("parameters")
    known = [v for v in parameters.values() if isinstance(v, int)]
    made = tokens.get("generated")
    return [
        ("model", " ".join(filter(None, (str(run.get("model", "")), str(run.get("size", "")))))),
        ("weights", "random: times hold, the text does not" if run.get("random_weights")
         else run.get("checkpoint")),
        ("parameters", f"{sum(known):,} ({_components(parameters)})" if known else None),
        ("device", ", ".join(filter(None, (
            str(device.get("name") or ""),
            units.bytes_(device["memory_bytes"]) if device.get("memory_bytes") else "",
        )))),
        ("dtype", run.get("dtype")),
        ("attention, cache", ", ".join(str(run[k]) for k in ("attention", "cache") if run.get(k))),
        ("torch.compile", "on" if run.get("compile") else None),
        ("versions", ", ".join(f"{k} {v}" for k, v in versions.items() if v)),
        ("tokens", _tokens(tokens, made)),
        ("samples", schedule.get("samples")),
        ("batch size", run.get("batch_size")),
        ("data", " ".join(filter(None, (
            str(data.get("dataset") or data.get("spec") or ""),
            "(synthetic)" if data.get("synthetic") and not _says_synthetic(data) else "",
        )))),
        ("stages that the model lacks", ", ".join(run.get("absent_stages") or [])),
        ("interrupted", "yes: the samples that were complete" if run.get("interrupted") else None),
        ("captured with", run.get("command")),
        ("text it made", _shorter(run.get("text"))),
    ]  # fmt: skip


def _says_synthetic(data: Mapping[str, Any]) -> bool:
    return "synthetic" in str(data.get("dataset") or data.get("spec") or "")


def _components(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v:,}" for k, v in parameters.items() if isinstance(v, int))


def _tokens(tokens: Mapping[str, Any], made: Any) -> str:
    said = [
        f"{tokens[k]:,} {k}" for k in ("prompt", "sensor", "tags") if isinstance(tokens.get(k), int)
    ]
    if isinstance(made, list) and made:
        numbers = sorted({str(n) for n in made})
        said.append(f"{' or '.join(numbers)} generated a sample")
    return ", ".join(said)


def _shorter(text: Any) -> str:
    while isinstance(text, list) and text:
        text = text[0]
    whole = text.strip() if isinstance(text, str) else ""
    return whole if len(whole) <= 200 else f"{whole[:199]}…"


def sha256(path: str | Path) -> str | None:
    """The digest of a trace file; None for what is no file (standard input, a remote address)."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def command(arguments: Sequence[str] | None = None) -> str:
    """The command line that runs now, as one would type it, without the home folder."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    home = str(Path.home())
    short = [
        f"~{a[len(home) :]}" if len(home) > 1 and a.startswith(f"{home}/") else a for a in given
    ]
    return redact.text(" ".join(["tracekit", *(shlex.quote(a) for a in short)])).replace("'~", "~'")
