"""What is to run, decided before anything heavy is loaded, and the model built from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from tracekit import extras
from tracekit.datasets.entry import Sample
from tracekit.errors import TracekitError, UsageError
from tracekit.models.entry import BuildOptions, Model
from tracekit.results import units

Progress = Callable[[str, int, int | None], None]  # phase, done, of how many

DTYPES = ("float32", "bfloat16", "float16")
MEMORY = "out of memory"
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# room for activations, the cache and the allocator beside the weights
HEADROOM = 1.2


def quiet(_phase: str, _done: int, _total: int | None) -> None:
    """Progress that nobody sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One model, how it is built, and what it is fed."""

    name: str
    model: Model
    options: BuildOptions
    why: str  # the size that was chosen, and why, in words
    data: str = "synthetic"
    data_dir: Path | None = None
    samples: int = 3
    warmup: int = 2
    sync: bool = True
    data_options: Mapping[str, Any] = field(default_factory=dict)  # rate_hz, subset


def plan(
    name: str,
    *,
    model: Model | None = None,
    size: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    extra: Mapping[str, str] | None = None,
    data: str = "synthetic",
    data_dir: Path | None = None,
    samples: int = 3,
    warmup: int = 2,
    sync: bool = True,
    data_options: Mapping[str, Any] | None = None,
    **build: Any,
) -> Plan:
    """The run with every default settled. `build` are fields of BuildOptions.

    Raises: TracekitError for an unknown model, size, dtype or option, a device that is absent, and
    without torch or transformers.
    """
    from tracekit.models import entry as model_entry

    if model is None:
        name = model_entry.named(name)  # a wrong name is no matter of what is installed
    extras.need("capture", "torch", "transformers", where=name)
    entry = model_entry.model(name) if model is None else model
    where = find_device(device)
    kind = dtype or default_dtype(where)
    if kind not in DTYPES:
        raise UsageError(
            "there is no such dtype", where=kind, hint=f"choose one of {', '.join(DTYPES)}"
        )
    chosen, why = choose_size(entry, size, where, kind, build.get("checkpoint"))
    options = BuildOptions(
        size=chosen, device=where, dtype=kind, extra=_extra(entry, extra or {}), **build
    )
    for field_, least in (("samples", 1), ("warmup", 0)):
        if (value := {"samples": samples, "warmup": warmup}[field_]) < least:
            raise UsageError(
                f"must be at least {least}", where=f"--{field_} {value}", hint="give a larger one"
            )
    for option in ("batch_size", "max_new_tokens"):
        if getattr(options, option) < 1:
            flag = f"--{option.replace('_', '-')} {getattr(options, option)}"
            raise UsageError("must be at least 1", where=flag, hint="give a larger one")
    return Plan(
        name=name, model=entry, options=options, why=why, data=data, data_dir=data_dir,
        samples=samples, warmup=warmup, sync=sync, data_options=dict(data_options or {}),
    )  # fmt: skip


def _extra(model: Model, given: Mapping[str, str]) -> dict[str, object]:
    for key in given:
        if key not in model.takes:
            known = ", ".join(sorted(model.takes)) or "none"
            raise UsageError(
                f"{model.title} takes no such option", where=f"--set {key}", hint=f"known: {known}"
            )
    return {key: value(text) for key, text in given.items()}


def value(text: str) -> Any:
    """true, false, whole numbers and decimals as what they are; all else as text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# ---------------------------------------------------------------- device, dtype, size


def find_device(name: str | None) -> str:
    """The device asked for if it is there; a GPU if there is one, else the CPU, where none was.

    Raises: TracekitError for a device that is absent or unknown.
    """
    import torch

    if name is None or name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "gpu":
        name = "cuda"
    try:
        wanted = torch.device(name)
    except RuntimeError:
        raise UsageError(
            "there is no such kind of device", where=name, hint="try cpu, cuda or cuda:0"
        ) from None
    if wanted.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            built = torch.version.cuda or torch.version.hip
            why = "no GPU is visible" if built else "this torch was built without CUDA or ROCm"
            raise TracekitError(
                why, where=f"--device {name}", hint="use --device cpu, or check nvidia-smi"
            )
        if (wanted.index or 0) >= count:
            raise TracekitError(
                f"only {count} GPUs are visible",
                where=f"--device {name}",
                hint=f"cuda:0 to cuda:{count - 1}",
            )
    elif wanted.type == "mps" and not torch.backends.mps.is_available():
        raise TracekitError("not available here", where=f"--device {name}", hint="use --device cpu")
    elif wanted.type not in ("cpu", "mps"):
        module = getattr(torch, wanted.type, None)
        if module is None or not getattr(module, "is_available", lambda: False)():
            raise TracekitError(
                "not available here", where=f"--device {name}", hint="use --device cpu"
            )
    return name


def default_dtype(device: str) -> str:
    """bfloat16 on a GPU that has it, float16 on one that has not, float32 elsewhere."""
    import torch

    if torch.device(device).type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


def free_bytes(device: str) -> int | None:
    """Bytes that can be had on the device now; None where that is not known."""
    import torch

    from tracekit.capture import metadata

    where = torch.device(device)
    if where.type not in ("cpu", "mps"):  # Apple's GPU has the host's memory
        ask = getattr(getattr(torch, where.type, None), "mem_get_info", None)
        return None if ask is None else int(ask(where)[0])
    limit = metadata.memory_bytes()
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) * 1024
                return available if limit is None else min(available, limit)
    except (OSError, ValueError):
        pass
    return limit


def weight_bytes(model: Model, size: str, dtype: str) -> int:
    """Bytes of the weights, or a little more where the model itself knows that it needs it."""
    if model.weight_bytes is not None:
        return model.weight_bytes(size, dtype)
    counts = model.counts.get(size) or model.parameters(size)
    return sum(counts.values()) * BYTES[dtype]


def choose_size(
    model: Model, size: str | None, device: str, dtype: str, checkpoint: Path | None
) -> tuple[str, str]:
    """(size, why) the size asked for; else full where it fits the device, and tiny where not.

    Raises: TracekitError for a size that the model does not have.
    """
    sizes = list(model.sizes)
    if size is not None:
        if size not in sizes:
            raise UsageError(
                f"{model.title} has no such size", where=size, hint=f"known: {', '.join(sizes)}"
            )
        return size, f"size {size}, as asked for"
    if checkpoint is not None and "full" in sizes:
        return "full", "size full, because a checkpoint was given"
    if "full" not in sizes or "tiny" not in sizes:
        return sizes[0], f"size {sizes[0]}, the only one"
    need = round(weight_bytes(model, "full", dtype) * HEADROOM)
    free = free_bytes(device)
    if free is None:
        return "tiny", f"size tiny, because the free memory of {device} is not known"
    have = f"{dtype} needs {units.bytes_(need)} and {device} has {units.bytes_(free)} free"
    if free >= need:
        return "full", f"size full, because {have}"
    return "tiny", f"size tiny, because full in {have} (choose with --size)"


# ---------------------------------------------------------------- building and feeding


@contextmanager
def memory_errors(plan: Plan) -> Iterator[None]:
    """Out of memory, as something the user can act on."""
    try:
        yield
    except (MemoryError, RuntimeError) as fault:
        if not out_of_memory(fault):
            raise
        raise too_large(plan) from fault


def too_large(plan: Plan, why: str = "") -> TracekitError:
    """What is said where a plan needs more memory than there is."""
    options = plan.options
    ways = ["--dtype bfloat16"] if options.dtype == "float32" else []
    ways += ["a smaller --batch-size"] if options.batch_size > 1 else []
    ways += ["--size tiny"] if "tiny" in plan.model.sizes and options.size != "tiny" else []
    return TracekitError(
        MEMORY + why,
        where=f"{plan.name}, size {options.size}, {options.dtype} on {options.device}",
        hint=f"try {' or '.join(ways)}" if ways else "a device with more memory is needed",
    )


def check_room(plan: Plan) -> None:
    """Refuses weights that cannot fit: a host without room kills the process, and says nothing.

    Raises: TracekitError.
    """
    options = plan.options
    if options.size == "tiny" or options.checkpoint is not None:  # whose shapes are its own
        return
    need = weight_bytes(plan.model, options.size, options.dtype)
    free = free_bytes(options.device)
    if free is not None and need > free:
        raise too_large(
            plan, f": the weights need {units.bytes_(need)} and {units.bytes_(free)} are free"
        )


def out_of_memory(fault: BaseException) -> bool:
    """Whether the device or the host had too little memory."""
    import torch

    if isinstance(fault, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    text = str(fault)
    return isinstance(fault, RuntimeError) and (
        "not enough memory" in text or "can't allocate memory" in text or "out of memory" in text
    )


def build(plan: Plan) -> Any:
    """The adapter, weights on the device.

    Raises: TracekitError where it does not fit, or a checkpoint does not suit.
    """
    check_room(plan)
    with memory_errors(plan), current(plan.options.device):
        return plan.model.build(plan.options)


def feed(plan: Plan, workdir: Path) -> list[Sample]:
    """The data's samples, as many as the plan says at most.

    Generated data is written under `workdir`.

    Raises: TracekitError where there is no such data, or its first sample cannot be read.
    """
    from tracekit.datasets import opening

    stream = opening.open_samples(
        plan.data,
        kind=plan.model.input,
        also=plan.model.also,
        data_dir=plan.data_dir,
        seed=plan.options.seed,
        workdir=workdir,
        **plan.data_options,
    )
    found = list(islice(stream, plan.samples))
    for first in found[:1]:  # what is wrong with it is said before a model is built, not after
        first.parse(first.read())
    return found


def repeat(found: list[Sample], plan: Plan) -> list[Sample]:
    """`found`, from the start again until there are as many as the plan says.

    Raises: TracekitError where there are none.
    """
    if not found:
        raise TracekitError("holds no samples", where=plan.data, hint="check --data and --data-dir")
    return list(islice(cycle(found), plan.samples))


def synchroniser(device: str) -> Callable[[], None] | None:
    """Waits for the device; None where its work is done when a call returns."""
    import torch

    where = torch.device(device)
    if where.type == "cpu":
        return None
    module = getattr(torch, where.type)
    if where.type == "cuda":
        return lambda: module.synchronize(where)
    wait: Callable[[], None] = module.synchronize
    return wait


def current(device: str) -> AbstractContextManager[object]:
    """Inside, a device with a number is torch's current one.

    What is asked of no device by name is of the current one: timing events, the streams that
    compiled kernels and extensions launch on. Without this they would be of the first.
    """
    import torch

    where = torch.device(device)
    enter = getattr(getattr(torch, where.type, None), "device", None)
    return nullcontext() if where.index is None or enter is None else enter(where.index)


def with_options(plan: Plan, **changes: Any) -> Plan:
    """The plan with other fields of BuildOptions."""
    return dataclasses.replace(plan, options=dataclasses.replace(plan.options, **changes))
