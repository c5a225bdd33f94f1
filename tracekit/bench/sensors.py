"""What is read beside the clock: memory, energy, clocks, driver. None where it cannot be read."""

from __future__ import annotations

import contextlib
import gc
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any


def accelerator(device: str) -> Any:
    """torch's module for a GPU that counts its memory and has timing events; None elsewhere."""
    import torch

    kind = torch.device(device).type
    return getattr(torch, kind) if kind in ("cuda", "xpu") else None


def timer(device: str) -> Callable[[], Any] | None:
    """Makes timing events of torch's current device; None where it has none."""
    gpu = accelerator(device)
    return None if gpu is None else lambda: gpu.Event(enable_timing=True)


def yardstick(device: str, sync: Callable[[], None] | None) -> Callable[[], int]:
    """A fixed piece of work, timed: ns of two products of square matrices on the device.

    Timed between requests, it says how fast the machine was then, whatever the model.
    """
    import time

    import torch

    gpu = torch.device(device).type != "cpu"
    one = torch.full((2048 if gpu else 320,) * 2, 0.5, device=device)
    wait = sync or (lambda: None)

    def measure() -> int:
        wait()
        begin = time.perf_counter_ns()
        torch.mm(torch.mm(one, one), one)
        wait()
        return time.perf_counter_ns() - begin

    measure()
    return measure


def waited() -> int | None:
    """ns that threads of this process were ready to run and had no core, since it began.

    All threads added up; Linux only.
    """
    total, seen = 0, False
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int(path.read_text().split()[1])
            seen = True
    return total if seen else None


# ---------------------------------------------------------------- memory


def reset_peaks(device: str) -> None:
    """Peaks count from here, on the device and, on Linux, of the process."""
    gpu = accelerator(device)
    if gpu is not None:
        gpu.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def allocated(device: str) -> int | None:
    """Bytes that tensors hold on the device now."""
    gpu = accelerator(device)
    return None if gpu is None else int(gpu.memory_allocated(device))


def peak(device: str) -> int | None:
    """Most bytes that tensors held on the device since `reset_peaks`."""
    gpu = accelerator(device)
    return None if gpu is None else int(gpu.max_memory_allocated(device))


def host_peak() -> int | None:
    """Most bytes that the process held in memory."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def release() -> None:
    """Gives back what nobody holds any more."""
    import torch

    gc.collect()
    for gpu in (torch.cuda, torch.xpu):
        if gpu.is_available():
            gpu.empty_cache()


# ---------------------------------------------------------------- the GPU, by NVML


@cache
def _nvml(device: str) -> tuple[object, object] | None:
    """(module, handle) of an NVIDIA GPU, where nvidia-ml-py is installed (extra `energy`)."""
    import torch

    where = torch.device(device)
    if where.type != "cuda" or torch.version.hip:
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
        # NVML counts all GPUs, torch those that are visible: the UUID is one for both
        found = torch.cuda.get_device_properties(where)
        uuid = getattr(found, "uuid", None)
        if uuid is not None:
            return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        return pynvml, pynvml.nvmlDeviceGetHandleByIndex(where.index or 0)
    except Exception:  # nvidia-ml-py has errors of many kinds, and none is ours
        return None


def _ask(device: str, question: Callable[[Any, Any], Any]) -> Any:
    found = _nvml(device)
    if found is None:
        return None
    try:
        return question(*found)
    except Exception:  # a GPU that does not support this question
        return None


def joules(device: str) -> float | None:
    """Energy that the GPU has used since its driver was loaded, by its own counter."""
    used = _ask(device, lambda nvml, gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu))
    return None if used is None else used / 1000


def clocks(device: str) -> Mapping[str, object]:
    """Clocks in MHz, temperature in °C, power in W and reasons for throttling, as far as known."""
    reasons = _ask(device, lambda nvml, gpu: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
    watts = _ask(device, lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu))
    found = {
        "sm_mhz": _ask(device, lambda n, gpu: n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_SM)),
        "sm_max_mhz": _ask(
            device, lambda n, gpu: n.nvmlDeviceGetMaxClockInfo(gpu, n.NVML_CLOCK_SM)
        ),
        "memory_mhz": _ask(device, lambda n, gpu: n.nvmlDeviceGetClockInfo(gpu, n.NVML_CLOCK_MEM)),
        "celsius": _ask(
            device, lambda n, gpu: n.nvmlDeviceGetTemperature(gpu, n.NVML_TEMPERATURE_GPU)
        ),
        "watts": None if watts is None else watts / 1000,
        "throttled": None if reasons is None else throttling(reasons),
    }
    return {key: value for key, value in found.items() if value is not None}


# bits of nvmlClocksThrottleReasons that slow a busy GPU down; idle and set clocks are none.
# Source: nvml.h
THROTTLES = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}


def throttling(reasons: int) -> list[str]:
    """The reasons in words; empty where the clock is as high as it is asked to be."""
    return [name for bit, name in THROTTLES.items() if reasons & bit]


def driver(device: str) -> str | None:
    """Version of the GPU's driver."""
    import torch

    if torch.device(device).type != "cuda":
        return None
    version = _ask(device, lambda nvml, _gpu: nvml.nvmlSystemGetDriverVersion())
    if version is not None:
        return version.decode() if isinstance(version, bytes) else str(version)
    with contextlib.suppress(OSError):
        text = Path("/proc/driver/nvidia/version").read_text()
        found = re.search(r"Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)", text)
        return found[1] if found else None
    with contextlib.suppress(OSError):
        return Path("/sys/module/amdgpu/version").read_text().strip()
    return None


# ---------------------------------------------------------------- the code that ran


def commit() -> str | None:
    """The commit of the working folder, with `-dirty` where files differ; None outside of git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
