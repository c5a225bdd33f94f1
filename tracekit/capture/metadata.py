"""What a trace says of itself: an allow-list of facts, under the key `tracekit` (docs/metadata.md).

Never recorded: environment variables, the list of installed packages, the user's name, the host's
name, the home directory.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import platform
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata as installed
from pathlib import Path
from typing import Any

from tracekit.taxonomy import Stage
from tracekit.version import __version__

SCHEMA = "tracekit-capture/1"
PACKAGES = ("torch", "transformers", "numpy")

# top-level keys of torch's export that are kept; host_name and traceName (a path) are not
KEPT = frozenset({
    "schemaVersion", "deviceProperties", "cupti_version", "cuda_runtime_version",
    "cuda_driver_version", "hip_runtime_version", "hip_driver_version", "roctracer_version",
    "rocprofiler-sdk_version", "trace_id", "record_shapes", "with_stack", "profile_memory",
    "with_flops", "with_modules", "distributedInfo", "displayTimeUnit", "baseTimeNanoseconds",
    "traceEvents",
})  # fmt: skip


# ---------------------------------------------------------------- what must not leak


def tidy(text: str) -> str:
    """`text` with the working folder and the home directory cut from paths, and the user's name."""
    return scrubber()(text)


def scrubber() -> Callable[[str], str]:
    """`tidy` for many texts: what it looks for is found out once."""
    here, home, user = os.getcwd(), str(Path.home()), _user()
    rules: list[tuple[re.Pattern[str], str]] = []
    end = r"(?![^/\\\s\"':,;)\]])"  # the whole of a path, or of its first parts
    if len(here) > 1 and here != home:
        rules.append((re.compile(rf"{re.escape(here)}[/\\]"), ""))
        rules.append((re.compile(re.escape(here) + end), "."))
    if len(home) > 1:
        rules.append((re.compile(re.escape(home) + end), "~"))
    if user:  # "/scratch/alice/x": the name as a whole part of a path
        rules.append((re.compile(rf"(?<=[/\\]){re.escape(user)}(?=[/\\])"), "user"))

    def apply(text: str) -> str:
        if "/" in text or "\\" in text:
            for pattern, short in rules:
                text = pattern.sub(short, text)
        return text

    return apply


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user in a container
        return ""


def scrub(value: object) -> Any:
    """Any JSON value with every text in it made `tidy`."""
    if isinstance(value, str):
        return tidy(value)
    if isinstance(value, Mapping):
        return {key: scrub(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [scrub(item) for item in value]
    return value


def command() -> str:
    """The command line, as one would type it."""
    program, *rest = sys.argv or ["tracekit"]
    name = Path(program).stem
    started = "tracekit" if name in ("tracekit", "app", "__main__") else Path(program).name
    return " ".join([started, *(tidy(shlex.quote(argument)) for argument in rest)])


# ---------------------------------------------------------------- where it ran


def versions() -> dict[str, str | None]:
    """Versions of what decides how a model runs; None for what is not there."""
    import torch

    found: dict[str, str | None] = {
        "tracekit": __version__,
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
    }
    for package in PACKAGES:
        try:
            found[package] = installed.version(package)
        except installed.PackageNotFoundError:
            found[package] = None
    return found


def device(name: str) -> dict[str, Any]:
    """The device by name, with the properties that timings depend on."""
    import torch

    where = torch.device(name)
    if where.type == "cuda":
        index = torch.cuda.current_device() if where.index is None else where.index
        found = torch.cuda.get_device_properties(index)
        return {
            "name": found.name,
            "type": where.type,
            "index": index,
            "memory_bytes": found.total_memory,
            "multiprocessors": found.multi_processor_count,
            "capability": f"{found.major}.{found.minor}",
            "architecture": getattr(found, "gcnArchName", None) if torch.version.hip else None,
            "l2_bytes": getattr(found, "L2_cache_size", None),
        }
    ask = getattr(getattr(torch, where.type, None), "get_device_properties", None)
    if where.type not in ("cpu", "mps") and ask is not None:  # Intel's, and others by plug-in
        found = ask(where)
        return {
            "name": getattr(found, "name", where.type),
            "type": where.type,
            "index": where.index,
            "memory_bytes": getattr(found, "total_memory", None),
        }
    return {
        "name": processor() if where.type == "cpu" else where.type,
        "type": where.type,
        "index": where.index,
        "memory_bytes": memory_bytes(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "architecture": platform.machine(),
    }


def processor() -> str:
    """The CPU's model name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.lower().startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def memory_bytes() -> int | None:
    """Bytes of host memory that this process may use: the machine's, or its container's limit."""
    limits = []
    with contextlib.suppress(ValueError, OSError, AttributeError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ValueError, OSError):  # ValueError for "max": no limit
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits, default=None)


# ---------------------------------------------------------------- what ran


def absent(stages: Sequence[Stage]) -> list[str]:
    """The stages that a model does not have."""
    return [stage.value for stage in Stage if stage not in stages]
