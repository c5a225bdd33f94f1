"""What a trace says of the run behind it, where runs differ, and short names to tell them apart.

An allow-list: traces leak what they carry, so only what is named here leaves them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from tracekit.trace import redact
from tracekit.trace.trace import Source

Plain = Mapping[str, Any]
Value = str | int | bool

# What makes two runs other work, so that their totals cannot be compared (but see WHERE); then what
# may explain a change.
WORK: Mapping[str, str] = {
    "model": "model",
    "size": "size of the model",
    "device": "device",
    "world_size": "number of ranks",
    "dtype": "dtype",
    "batch_size": "batch size",
    "samples": "number of samples",
    "prefill_tokens": "tokens of the prompt and the sensors",
    "generated_tokens": "tokens generated",
}
# Of these: the same work elsewhere, which is what many comparisons are about
WHERE = frozenset({"device", "dtype"})
SETTINGS: Mapping[str, str] = {
    "attention": "attention",
    "cache": "KV cache",
    "compile": "torch.compile",
    "weights": "weights",
    "data": "data",
    "synchronised": "device synchronised after each stage",
    "torch": "torch",
    "transformers": "transformers",
    "cuda": "CUDA",
    "hip": "HIP",
    "python": "Python",
    "tracekit": "tracekit",
}
# What the profiler did beside: it slows the host down, so that times cannot be compared either.
RECORDED: Mapping[str, str] = {
    "with_stack": "Python stacks recorded",
    "record_shapes": "shapes recorded",
    "profile_memory": "memory recorded",
}
NAMES: Mapping[str, str] = {**WORK, **RECORDED, **SETTINGS}

LONG = 28  # characters of a name in a legend or in the head of a column


def captured(source: Source) -> Plain:
    """What `tracekit capture` wrote into the trace; empty for a foreign one."""
    run = source.meta.get("tracekit")
    return run if isinstance(run, Mapping) else {}


def devices(source: Source) -> list[str]:
    """The names of the devices, each once, with how many there are."""
    own = captured(source).get("device")
    if isinstance(own, Mapping) and own.get("name"):
        return [str(own["name"])]
    listed = source.meta.get("deviceProperties")
    names = [
        str(d.get("name") or "") for d in (listed if isinstance(listed, list) else [])
        if isinstance(d, Mapping)
    ]  # fmt: skip
    many = {name: names.count(name) for name in names if name}
    return [name if n == 1 else f"{n} × {name}" for name, n in many.items()]


def version(key: str, number: int) -> str:
    """CUDA's and HIP's version numbers as they are written: 12040 is 12.4."""
    if key.startswith("cuda"):
        return f"{number // 1000}.{number % 1000 // 10}"
    return f"{number // 10_000_000}.{number // 100_000 % 100}.{number % 100_000}"


def about(source: Source) -> dict[str, Value]:
    """What is known of the run, by the keys of NAMES; what the trace does not say is not there."""
    run, meta = captured(source), source.meta
    out: dict[str, Any] = {"device": ", ".join(devices(source))}
    spread = _part(meta, "distributedInfo")
    out["world_size"] = spread.get("world_size")
    for key, name in (("cuda_runtime_version", "cuda"), ("hip_runtime_version", "hip")):
        if isinstance(meta.get(key), int):
            out[name] = version(key, meta[key])
    out |= _recorded(source)
    if run:
        out |= _captured(run)
    return {key: _clean(value) for key, value in out.items() if value not in (None, "", [])}


def _recorded(source: Source) -> dict[str, bool]:
    """What the profiler recorded beside times, as far as the file says or shows it."""
    meta, options = source.meta, _part(captured(source), "options")
    # torch writes a flag only where it is on: without any, nothing is known
    told = bool(options) or any(key in meta for key in RECORDED)
    out = {
        key: bool(meta.get(key) or options.get(key)) for key in RECORDED
        if told or meta.get(key)
    }  # fmt: skip
    if "python_function" in source.cats:
        out["with_stack"] = True
    return out


def _each(counts: object) -> str | None:
    """Each count once, in ascending order; None where one is not known."""
    if not isinstance(counts, list) or None in counts:
        return None
    return " or ".join(sorted({str(n) for n in counts}, key=lambda n: (len(n), n)))


def _captured(run: Plain) -> dict[str, Any]:
    versions, tokens, data = (_part(run, key) for key in ("versions", "tokens", "data"))
    filled = tokens.get("prefill")
    if filled is None:  # requests of different lengths
        filled = _each(tokens.get("prefill_each"))
    return {
        **{key: run.get(key) for key in ("model", "size", "dtype", "batch_size", "attention")},
        "cache": run.get("cache"),
        "compile": bool(run.get("compile")),
        "weights": "random" if run.get("random_weights") else "of a checkpoint",
        "samples": _part(run, "schedule").get("samples"),
        "prefill_tokens": filled,
        "generated_tokens": _each(tokens.get("generated")),
        "data": data.get("dataset") or data.get("spec"),
        "synchronised": _part(run, "options").get("sync") is not False,
        **{key: versions.get(key) for key in ("torch", "transformers", "python", "tracekit")},
        **{key: versions[key] for key in ("cuda", "hip") if versions.get(key)},
    }  # fmt: skip


def _part(run: Plain, key: str) -> Plain:
    value = run.get(key)
    return value if isinstance(value, Mapping) else {}


def _clean(value: Any) -> Value:
    return value if isinstance(value, bool | int) else redact.text(str(value))


def shown(value: Value | None) -> str:
    """A value of `about` as text."""
    if value is None:
        return "not said"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def differing(runs: Sequence[Plain]) -> list[str]:
    """The keys of NAMES in which the runs differ, as far as at least two of them say."""
    out = []
    for key in NAMES:
        said = [run[key] for run in runs if key in run]
        if len(set(said)) > 1 or (said and len(said) < len(runs) and key in _TELLING):
            out.append(key)
    return out


# that one run does not say these is worth a word itself
_TELLING = frozenset({"model", "device"})


# ---------------------------------------------------------------- one job


def rank(source: Source) -> int | None:
    """The rank of a trace of a distributed job."""
    number = _part(source.meta, "distributedInfo").get("rank")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def one_job(sources: Sequence[Source]) -> bool:
    """Whether the traces are ranks of one job: other ranks of one world, with one model."""
    ranks = [rank(source) for source in sources]
    said = [about(source) for source in sources]
    worlds = {run.get("world_size") for run in said}
    models = {run.get("model") for run in said}
    distinct = None not in ranks and len(set(ranks)) == len(ranks)
    return distinct and len(worlds) == 1 and len(models) == 1


def repeats(runs: Sequence[Plain]) -> bool:
    """Whether these are captures of the same work on the same device with the same settings.

    Only where the runs say what they are: of foreign traces nothing is known.
    """
    return all("model" in run for run in runs) and not differing(runs)


# ---------------------------------------------------------------- names


def labels(sources: Sequence[Source], stems: Sequence[str]) -> list[str]:
    """A short, unique name for each trace: its rank, its model, else what its file adds."""
    if len(sources) > 1 and one_job(sources):
        return [f"rank {rank(source)}" for source in sources]
    runs = [about(source) for source in sources]
    names = [_model(source) or "" for source in sources]
    if "" not in names:
        telling = [key for key in differing(runs) if key not in ("model", "size")]
        for most in range(len(telling[:3]) + 1):
            own = [", ".join([name, *(_brief(run, key) for key in telling[:most])])
                   for name, run in zip(names, runs, strict=True)]  # fmt: skip
            if len(set(own)) == len(own):
                return [cut(name, 2 * LONG) for name in own]
    return _unlike([name or stem for name, stem in zip(names, stems, strict=True)], stems)


def _model(source: Source) -> str | None:
    """The model's title to its first colon, comma or bracket, and its size: 'OneLLM 7B tiny'."""
    run = captured(source)
    if not run.get("model"):
        return None
    title = str(run.get("title") or run["model"])
    for stop in (":", ",", " ("):
        title = title.split(stop)[0]
    return redact.text(cut(" ".join(filter(None, (title.strip(), str(run.get("size") or ""))))))


def _brief(run: Plain, key: str) -> str:
    """A value that tells runs apart, with its name where the value alone does not say it."""
    text = shown(run.get(key))
    return text if key in ("device", "dtype", "attention", "cache") else f"{NAMES[key]} {text}"


def _unlike(names: Sequence[str], stems: Sequence[str]) -> list[str]:
    """Names that differ: the files' where the given ones do not, numbered where those do not."""
    if len(set(names)) == len(names) and max(map(len, names)) <= LONG:
        return list(names)
    short = [cut(stem) for stem in stems]
    if len(set(short)) < len(short) and len(set(stems)) == len(stems):
        ahead = _shared(stems)
        short = [cut(f"…{stem[ahead:]}") if ahead > 3 else cut(stem) for stem in stems]
    if len(set(short)) == len(short):
        return short
    return [f"{place}: {name}" for place, name in enumerate(short, 1)]


def _shared(texts: Iterable[str]) -> int:
    """How many characters all begin with."""
    count = 0
    for letters in zip(*texts, strict=False):
        if len(set(letters)) > 1:
            break
        count += 1
    return count


def cut(text: str, most: int = LONG) -> str:
    """At most `most` characters, an ellipsis in the middle."""
    if len(text) <= most:
        return text
    tail = most // 2
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


def stem(path: str) -> str:
    """A file's name without the endings of traces."""
    name = "stdin" if path == "-" else PurePath(path).name
    for ending in (".zst", ".gz", ".json", ".trace", ".pt"):
        name = name.removesuffix(ending)
    return name or "trace"
