"""The steps of a check, each in a process of its own: a crash or a hang takes one with it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from scripts.on_gpu import goldens, traces
from scripts.on_gpu.setup import LARGE, MODELS, PartError, Said, Setup, Step, part

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = (ROOT / "tests" / "golden", ROOT.parent / "shared" / "reference" / "models" / "golden")
GOAL = 0.85  # of the memory's bandwidth, in decode of 7 billion parameters with graphs
EAGER, COMPILED, DECODE = "capture, eager", "capture, compiled", "decode, compiled"

STEPS = (
    Step("goldens", 100, ("device", *(f"{m}, {d}" for m in MODELS for d in ("float32", "half")))),
    Step("tiny", 75, (*MODELS, "kept")),
    *(Step(name, 200, (EAGER, COMPILED, DECODE)) for name in LARGE),
)  # fmt: skip


def run(setup: Setup, name: str) -> None:
    """All parts of a step, a row each."""
    named: Mapping[str, Callable[[Setup], None]] = {
        "goldens": all_goldens, "tiny": all_tiny, **{one: partial(large, name=one) for one in LARGE}
    }  # fmt: skip
    named[name](setup)


# ---------------------------------------------------------------- goldens


def half_dtype(setup: Setup) -> str:
    """bfloat16, or float16 on a GPU that has no bfloat16."""
    from tracekit.capture import plan as planning

    return "bfloat16" if setup.pretend else planning.default_dtype(setup.device)


def all_goldens(setup: Setup) -> None:
    with part(setup, "goldens", "device") as said:
        where(setup, said)
    goldens.strict()
    for name in MODELS:
        with part(setup, "goldens", f"{name}, float32") as said:
            goldens.float32(setup, name, said)
        with part(setup, "goldens", f"{name}, half") as said:
            goldens.half(setup, name, half_dtype(setup), said)
    for folder in GOLDENS:
        if not setup.pretend and any(folder.glob("*.safetensors")):  # tests have them elsewhere
            with part(setup, "goldens", "the original code's, on the CPU") as said:
                goldens.published(folder, said)


def where(setup: Setup, said: Said) -> None:
    """What the machine is, and whether its peaks are known."""
    from tracekit.attribution.roofline import devices
    from tracekit.bench import sensors
    from tracekit.capture import metadata

    found, versions = metadata.device(setup.device), metadata.versions()
    sheet = devices.named(str(found["name"]))
    said.figures |= {
        "device": found, "versions": versions, "driver": sensors.driver(setup.device),
        "datasheet": sheet.name if sheet else None, "clocks": dict(sensors.clocks(setup.device)),
        "commit": sensors.commit(),
    }  # fmt: skip
    said.text = f"{found['name']}, torch {versions['torch']}, " + (
        f"datasheet of {sheet.name}" if sheet else "no datasheet of it is known here"
    )


# ---------------------------------------------------------------- tiny models


def all_tiny(setup: Setup) -> None:
    """Every model at tiny size, captured; their traces in one archive."""
    done = []
    for name in MODELS:
        with part(setup, "tiny", name) as said:
            taken = traces.captured(
                setup, name, f"{name}-tiny", size="tiny", dtype=half_dtype(setup), max_new_tokens=4
            )
            done.append(taken.path)
            traces.examined(setup, taken.path, said)
    with part(setup, "tiny", "kept") as said:
        archive = setup.out / "tiny.zip"
        with zipfile.ZipFile(archive, "w") as file:  # of files that are gzipped already
            for path in done:
                file.write(path, path.name)
        size = archive.stat().st_size
        said.text = f"{len(done)} traces in {archive.name}, {size:,} bytes"
        if size > traces.LIMIT:
            archive.unlink()
            raise PartError(f"{size:,} bytes are more than {traces.LIMIT:,}")


# ---------------------------------------------------------------- models of full size


def large(setup: Setup, name: str) -> None:
    """One model at full size, random weights in half precision: eager, then compiled."""
    given = {"size": setup.large, "dtype": half_dtype(setup)}
    ids: dict[str, Any] = {}
    for what, compiled in ((EAGER, False), (COMPILED, True)):
        with part(setup, name, what) as said:
            label = f"{name}-{setup.large}-{'compiled' if compiled else 'eager'}"
            taken = traces.captured(
                setup, name, label, compile=compiled, max_new_tokens=4 if setup.pretend else 8,
                **given,
            )  # fmt: skip
            ids[what] = taken.profiled[0].ids
            walls = traces.steps(taken)
            said.text = f"{sorted(walls)[len(walls) // 2] / 1e6:.2f} ms a step unprofiled; "
            said.figures |= {
                "steps_ns": walls,
                "compile": taken.metadata["model_options"]["compile"],
            }
            traces.examined(setup, taken.path, said)
            if compiled and EAGER in ids:
                said.text += f"; {alike(ids[EAGER], ids[what])} ids as eager"
            traces.kept(setup, taken.path, setup.out / taken.path.name, said)
        _release()
    with part(setup, name, DECODE) as said:
        content = traces.benched(
            setup, name, said, tokens=6 if setup.pretend else 64, compile=True, **given
        )
        reached = (said.figures.get("mbu") or {}).get("used")
        if reached is not None:
            said.figures["goal"] = GOAL
            said.text += f" (goal {GOAL:.0%}: {'reached' if reached >= GOAL else 'not reached'})"
        assert content["configurations"]
    _release()


def alike(one: Any, two: Any) -> str:
    """How many ids at the beginning are the same: rounding may part two texts at a close race."""
    first, second = one[0], two[0]
    same = next((i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b), None)
    return f"all {len(first)}" if same is None else f"the first {same} of {len(first)}"


def _release() -> None:
    """What a compiled step holds is given back too: its graphs have memory of their own."""
    import torch

    from tracekit.bench import sensors

    torch.compiler.reset()
    sensors.release()
