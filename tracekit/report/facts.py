"""What a trace says of the run behind it: an allow-list, since traces leak what they carry."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from tracekit.results import units
from tracekit.trace import redact
from tracekit.trace.capture_facts import CaptureFacts, captured, caution
from tracekit.trace.run_facts import devices, version
from tracekit.trace.trace import Source

Fact = tuple[str, str]


def title(source: Source) -> str:
    """The run's name: the model where the trace says it, else the file."""
    run = captured(source)
    if run is not None and run.model:
        name = run.title or run.model
        # a title that ends in a setting is a list
        return redact.text((", " if ", " in name else " ").join(filter(None, (name, run.size))))
    return redact.text(file_name(source.path))


def file_name(path: str) -> str:
    """The name of a trace file without its folders."""
    return "standard input" if path == "-" else PurePath(path).name


def subtitle(source: Source) -> str:
    """One line under the title: device, dtype, what ran, the file and its size."""
    run = captured(source)
    parts = devices(source)
    if run is not None:
        parts += filter(None, (run.dtype, run.attention))
        parts += [f"batch {run.batch_size}"] if run.batch_size else []
        parts += ["random weights"] if run.random_weights else []
    slices = source.events.get("X")
    size = units.bytes_(source.bytes) if source.bytes else ""
    parts.append(" ".join(filter(None, (file_name(source.path), size and f"({size})"))))
    if slices:
        parts.append(units.plural(slices, "slice"))
    return redact.text(" · ".join(parts))


def facts(source: Source) -> list[Fact]:
    """What ran, as the trace says it; what it does not say is not there."""
    run, meta = captured(source), source.meta
    out = _of_capture(run) if run else []
    spread = meta.get("distributedInfo")
    if isinstance(spread, Mapping) and spread.get("world_size"):
        out.append(("rank", f"{spread.get('rank', '?')} of {spread['world_size']}"))
    if not run:
        out.append(("device", ", ".join(devices(source))))
        for key, label in (("cuda_runtime_version", "CUDA"), ("hip_runtime_version", "HIP")):
            if isinstance(meta.get(key), int):
                out.append((label, version(key, meta[key])))
    out.append(("recorded", _recorded(source)))
    return [(label, redact.text(text)) for label, text in out if text]


_RECORDED = {
    "record_shapes": "shapes", "with_stack": "Python stacks", "with_modules": "modules",
    "profile_memory": "memory", "with_flops": "FLOPs",
}  # fmt: skip


def _recorded(source: Source) -> str:
    """What the profiler recorded beside times, in words; empty where the trace does not say."""
    run, meta = captured(source), source.meta
    options = run.options if run else {}
    flags = [name for key, name in _RECORDED.items() if meta.get(key) or options.get(key)]
    known = run is not None or any(
        key in meta for key in ("record_shapes", "with_stack", "with_modules")
    )
    return ", ".join(flags) or ("times only" if known else "")


def _of_capture(run: CaptureFacts) -> list[tuple[str, str | None]]:
    size = units.bytes_(run.memory_bytes) if run.memory_bytes else None
    random = caution(run.title or run.model or "", run.size, run.random_weights)
    random = random or "random: times hold, the text does not"
    # what random weights say is noise, and looks like a fault of the file
    text = "" if run.random_weights else run.text
    return [
        ("model", _joined(" ", run.model, run.size)),
        ("weights", random if run.random_weights else run.checkpoint),
        ("parameters", _parameters(run)),
        ("device", _joined(", ", run.device, size)),
        ("dtype", run.dtype),
        ("attention, cache", _joined(", ", run.attention, run.cache)),
        ("torch.compile", "on" if run.compile else None),
        ("versions", ", ".join(f"{k} {v}" for k, v in run.versions.items())),
        ("tokens", _tokens(run)),
        ("samples", None if run.samples is None else str(run.samples)),
        ("batch size", None if run.batch_size is None else str(run.batch_size)),
        ("data", _data(run)),
        ("stages that the model lacks", ", ".join(run.absent_stages)),
        ("interrupted", "yes: the samples that were complete" if run.interrupted else None),
        ("captured with", run.command),
        ("text it made", text if len(text) <= 200 else f"{text[:199]}…"),
    ]


def _joined(between: str, *parts: str | None) -> str:
    return between.join(filter(None, parts))


def _parameters(run: CaptureFacts) -> str:
    if not run.parameters:
        return ""
    each = ", ".join(f"{k} {v:,}" for k, v in run.parameters.items())
    return f"{sum(run.parameters.values()):,} ({each})"


def _data(run: CaptureFacts) -> str:
    said = run.data or ""
    return _joined(" ", said, "(synthetic)" if run.synthetic and "synthetic" not in said else "")


def _tokens(run: CaptureFacts) -> str:
    said = [f"{count:,} {of}" for of, count in run.tokens.items()]
    if run.generated:
        numbers = sorted({str(n) for n in run.generated})
        said.append(f"{' or '.join(numbers)} generated a sample")
    return ", ".join(said)


def identity(paths: Iterable[str]) -> str:
    """What sets files apart from others of the same name: a digest of where they are from here."""
    places = [path if path == "-" else os.path.relpath(os.path.realpath(path)) for path in paths]
    return hashlib.sha256("\0".join(places).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def digest(path: str | Path) -> tuple[str, str] | None:
    """What tells this trace file from others, and what that is of; None for what is no file.

    Of a very large file its two ends, since all of it would take as long as reading it.
    """
    state, found = _state(path), sha256(path)
    if state is None or found is None:
        return None
    whole = state[1] <= _WHOLE
    return "sha256" if whole else f"sha256 of the first and the last {_END >> 20} MiB", found


def sha256(path: str | Path) -> str | None:
    """The digest of a trace file, see `digest`; None for what is no file (standard input, a remote
    address)."""
    begun = _digests.pop(_state(path), None)
    if begun is None:
        return _digest(path)
    begun.join()
    return begun.found


def sha256_soon(path: str | Path) -> None:
    """Begins to compute the digest of a large file, while others read and analyze it."""
    state = _state(path)
    if state is not None and state[1] >= _LARGE and state not in _digests:
        _digests[state] = _Digest(path)
        _digests[state].start()


_WHOLE, _END = 256 << 20, 16 << 20
_LARGE = 4 << 20
_State = tuple[str, int, int]


class _Digest(threading.Thread):
    """Computes the digest of a file, after those that were begun before."""

    turn = threading.Lock()

    def __init__(self, path: str | Path) -> None:
        super().__init__(name="tracekit sha256", daemon=True)
        self.path = path
        self.found: str | None = None

    def run(self) -> None:
        with self.turn:
            if sys.platform == "linux":  # elsewhere a thread has no priority of its own
                # reading takes all cores, what comes after leaves some free
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
            self.found = _digest(self.path)


_digests: dict[_State | None, _Digest] = {}


def _state(path: str | Path) -> _State | None:
    """What tells a file from what it was before; None for what is no file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return os.path.realpath(path), status.st_size, status.st_mtime_ns


def _digest(path: str | Path) -> str | None:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size <= _WHOLE:
                return hashlib.file_digest(file, "sha256").hexdigest()
            found = hashlib.sha256(file.read(_END))
            file.seek(-_END, os.SEEK_END)
            found.update(file.read())
            return found.hexdigest()
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
