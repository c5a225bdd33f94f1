"""What a trace says of the run behind it, where runs differ, and short names to tell them apart.

An allow-list: traces leak what they carry, so only what is named here leaves them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

from tracekit.patterns import later
from tracekit.records import Record, replace
from tracekit.trace import ranks, redact
from tracekit.trace.capture_facts import CaptureFacts, captured, whole
from tracekit.trace.trace import Source

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


class RunFacts(Record, frozen=True):
    """What is known of a run, by the keys of NAMES. None: the trace does not say."""

    model: str | None = None
    size: str | None = None
    device: str | None = None
    world_size: int | None = None
    dtype: str | None = None
    batch_size: int | None = None
    samples: int | None = None
    prefill_tokens: str | int | None = None
    generated_tokens: str | None = None
    with_stack: bool | None = None
    record_shapes: bool | None = None
    profile_memory: bool | None = None
    attention: str | None = None
    cache: str | None = None
    compile: bool | None = None
    weights: str | None = None
    data: str | None = None
    synchronised: bool | None = None
    torch: str | None = None
    transformers: str | None = None
    cuda: str | None = None
    hip: str | None = None
    python: str | None = None
    tracekit: str | None = None

    @property
    def said(self) -> dict[str, Value]:
        """All that the trace says, by key."""
        every = {name: getattr(self, name) for name in self.__struct_fields__}
        return {key: value for key, value in every.items() if value is not None}


def devices(source: Source) -> list[str]:
    """The names of the devices, each once, with how many there are in the machine.

    The profiler lists all that it sees, whichever of them the process used.
    """
    run = captured(source)
    if run is not None and run.device:
        return [run.device]
    listed = source.meta.get("deviceProperties")
    names = [
        str(d.get("name") or "") for d in (listed if isinstance(listed, list) else [])
        if isinstance(d, Mapping)
    ]  # fmt: skip
    many = {name: names.count(name) for name in names if name}
    if not many and source.device is not None:
        return [f"{source.device} (as stated)"]
    return [name if n == 1 else f"{name} ({n} in the machine)" for name, n in many.items()]


def version(key: str, number: int) -> str:
    """CUDA's and HIP's version numbers as they are written: 12040 is 12.4."""
    if key.startswith("cuda"):
        return f"{number // 1000}.{number % 1000 // 10}"
    return f"{number // 10_000_000}.{number // 100_000 % 100}.{number % 100_000}"


def about(source: Source) -> RunFacts:
    """What is known of the run behind a trace."""
    run, meta, recorded = captured(source), source.meta, _recorded(source)
    spread = meta.get("distributedInfo")
    cuda, hip = whole(meta.get("cuda_runtime_version")), whole(meta.get("hip_runtime_version"))
    versions = run.versions if run else {}
    return RunFacts(
        model=_clean(run.model) if run else None,
        size=_clean(run.size) if run else None,
        device=_clean(", ".join(devices(source))),
        world_size=whole(spread.get("world_size")) if isinstance(spread, Mapping) else None,
        dtype=_clean(run.dtype) if run else None,
        batch_size=run.batch_size if run else None,
        samples=run.samples if run else None,
        prefill_tokens=_prefill(run) if run else None,
        generated_tokens=_each(run.generated) if run else None,
        with_stack=recorded.get("with_stack"),
        record_shapes=recorded.get("record_shapes"),
        profile_memory=recorded.get("profile_memory"),
        attention=_clean(run.attention) if run else None,
        cache=_clean(run.cache) if run else None,
        compile=run.compile if run else None,
        weights=("random" if run.random_weights else "of a checkpoint") if run else None,
        data=_clean(run.data) if run else None,
        synchronised=run.synchronised if run else None,
        torch=_clean(versions.get("torch")),
        transformers=_clean(versions.get("transformers")),
        cuda=_clean(versions.get("cuda")) or (version("cuda", cuda) if cuda else None),
        hip=_clean(versions.get("hip")) or (version("hip", hip) if hip else None),
        python=_clean(versions.get("python")),
        tracekit=_clean(versions.get("tracekit")),
    )


def _recorded(source: Source) -> dict[str, bool]:
    """What the profiler recorded beside times, as far as the file says or shows it."""
    meta, run = source.meta, captured(source)
    options = run.options if run else {}
    # torch writes a flag only where it is on: without any, nothing is known
    told = bool(options) or any(key in meta for key in RECORDED)
    out = {
        key: bool(meta.get(key) or options.get(key)) for key in RECORDED
        if told or meta.get(key)
    }  # fmt: skip
    if "python_function" in source.cats:
        out["with_stack"] = True
    return out


def _prefill(run: CaptureFacts) -> str | int | None:
    """Of one request; of requests of different lengths each."""
    return _each(run.prefill_each) if run.prefill_tokens is None else run.prefill_tokens


def _each(counts: Sequence[int | None]) -> str | None:
    """Each count once, in ascending order; None where one is not known."""
    if not counts or None in counts:
        return None
    return " or ".join(sorted({str(n) for n in counts}, key=lambda n: (len(n), n)))


def _clean(text: str | None) -> str | None:
    return redact.text(text) if text else None


def shown(value: Value | None) -> str:
    """A value of `about` as text."""
    if value is None:
        return "not said"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def differing(runs: Sequence[RunFacts]) -> list[str]:
    """The keys of NAMES in which the runs differ, as far as at least two of them say."""
    out, every = [], [run.said for run in runs]
    for key in NAMES:
        said = [own[key] for own in every if key in own]
        if len(set(said)) > 1 or (said and len(said) < len(runs) and key in _TELLING):
            out.append(key)
    return out


# that one run does not say these is worth a word itself
_TELLING = frozenset({"model", "device"})


# ---------------------------------------------------------------- one job


def rank(source: Source) -> int | None:
    """The rank of a trace of a distributed job: as stated, as the profiler wrote it, else as the
    file is called.
    """
    if source.stated_rank is not None:
        return source.stated_rank
    written = written_rank(source)
    return named_rank(source.path) if written is None else written


def written_rank(source: Source) -> int | None:
    """The rank that the profiler wrote into the file."""
    spread = source.meta.get("distributedInfo")
    return whole(spread.get("rank")) if isinstance(spread, Mapping) else None


def rank_name(source: Source) -> str:
    """What a rank is called among those of its job."""
    return ranks.named(source.rank) or f"rank {rank(source)}"


_RANK_IN_NAME = later(r"(?<![a-z])rank[-_ .]?(\d{1,6})(?![\d])", re.IGNORECASE)


def named_rank(path: str) -> int | None:
    """The rank in a file's name: `rank3.json.gz`, `run_rank-03.pt.trace.json`."""
    found = _RANK_IN_NAME.search(path.replace("\\", "/").rsplit("/", 1)[-1])
    return int(found[1]) if found else None


def without_rank(path: str, number: int) -> str:
    """A path with its rank taken out, wherever it is called one: alike for the ranks of a job."""

    def hidden(found: re.Match[str]) -> str:
        return "rank#" if int(found[1]) == number else found[0]

    return _RANK_IN_NAME.sub(hidden, path)


def one_file(sources: Sequence[Source]) -> bool:
    """Whether these are the ranks of one file."""
    return len({source.path for source in sources}) == 1 and all(source.rank for source in sources)


def repeats(runs: Sequence[RunFacts]) -> bool:
    """Whether these are captures of the same work on the same device with the same settings.

    Only where the runs say what they are: of foreign traces nothing is known.
    """
    return all(run.model for run in runs) and not differing(runs)


# ---------------------------------------------------------------- names


def labels(sources: Sequence[Source], stems: Sequence[str]) -> list[str]:
    """A short, unique name for each trace: its model, else what its file adds."""
    if any(source.rank for source in sources):
        return _of_ranks(sources, stems)
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


def _of_ranks(sources: Sequence[Source], stems: Sequence[str]) -> list[str]:
    """Names of files of which some hold several ranks."""
    files = {one.path: (replace(one, rank=None), stem)
             for one, stem in zip(sources, stems, strict=True)}  # fmt: skip
    whole, own = zip(*files.values(), strict=True)
    name = dict(zip(files, labels(whole, own), strict=True))
    return [f"{name[one.path]}, {ranks.named(one.rank)}" if one.rank else name[one.path]
            for one in sources]  # fmt: skip


def _model(source: Source) -> str | None:
    """The model's title to its first colon, comma or bracket, and its size: 'OneLLM 7B tiny'."""
    run = captured(source)
    if run is None or not run.model:
        return None
    title = run.title or run.model
    for stop in (":", ",", " ("):
        title = title.split(stop)[0]
    return redact.text(cut(" ".join(filter(None, (title.strip(), run.size)))))


def _brief(run: RunFacts, key: str) -> str:
    """A value that tells runs apart, with its name where the value alone does not say it."""
    text = shown(run.said.get(key))
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
