"""A benchmark as one JSON file: what ran where, and every sample's raw times."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec

from tracekit import plain
from tracekit.attribution.roofline import model_bounds
from tracekit.attribution.roofline.model_bounds import Need
from tracekit.bench import sensors, timing
from tracekit.bench.timing import Config, Outcome
from tracekit.capture import metadata, run
from tracekit.capture.description import token_counts
from tracekit.errors import TracekitError
from tracekit.files import check, numbered, starts, writing, writing_new
from tracekit.results.result import to_plain
from tracekit.taxonomy import Stage

SCHEMA = "tracekit-bench/1"

Row = Mapping[str, Any]  # one configuration of the file


def document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The file's content; docs/benchmarking.md defines every key. Call where it ran."""
    plan = outcomes[0].config.plan
    device = plan.options.device
    plans = {one.config.plan.name: one.config.plan for one in outcomes}
    stages = [s for s in Stage if any(s in one.model.stages for one in plans.values())]
    titles = [one.model.title for one in plans.values()]
    return {
        "schema": SCHEMA,
        "model": ", ".join(map(metadata.tidy, plans)),
        "title": titles[0] if len(titles) == 1 else ", ".join(map(short_title, titles)),
        "stages": [stage.value for stage in stages],
        "absent_stages": metadata.absent(tuple(stages)),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": metadata.command(),
        "environment": {
            "device": metadata.device(device),
            "driver": sensors.driver(device),
            "clocks": dict(sensors.clocks(device)),
            "versions": metadata.versions(),
            "commit": sensors.commit(),
            "load_average": timing.load_average(),
        },
        "data": {"spec": metadata.tidy(plan.data)},
        "configurations": [_configuration(outcome) for outcome in outcomes],
    }


def _configuration(outcome: Outcome) -> dict[str, Any]:
    config, facts = outcome.config, outcome.facts
    options = config.plan.options
    kept = ("size", "device", "dtype", "seed", "attention", "cache", "compile", "batch_size",
            "max_new_tokens", "prompt", "prompt_tokens", "temperature", "top_p")  # fmt: skip
    count = len(outcome.requests)
    found: dict[str, Any] = {
        "model": metadata.tidy(config.plan.name),
        "title": config.plan.model.title,
        "axes": dict(config.axes),
        "options": {name: getattr(options, name) for name in kept},
        "model_options": metadata.scrub(dict(options.extra)),
        "checkpoint": options.checkpoint.name if options.checkpoint else None,
        "error": outcome.error,
        "interleaved": outcome.interleaved,
        "yardstick_ns": outcome.yardstick_ns,
        "warmup": {"ns": outcome.warmup_ns, "stable": outcome.warm},
        "samples": [
            {
                **one.to_json(),
                "sample": one.sample,
                "tokens": [len(row) for row in one.ids],
                "prefill_tokens": one.prefill_tokens,
                "waited_ns": waited,
                "device_ns": {stage.value: ns for stage, ns in one.device.items()},
            }
            # cut short, the last request has no such figure
            for one, waited in zip_longest(outcome.requests, outcome.waited_ns)
        ],
        "memory": {
            "device_peak_bytes": outcome.device_peak,
            "host_peak_bytes": outcome.host_peak,
        },
        "joules_per_request": outcome.joules / count if outcome.joules and count else None,
        "gpu": [dict(one) for one in outcome.gpu],
    }
    if facts is not None:
        found["facts"] = {
            "size": facts.size, "parameters": dict(facts.parameters),
            "random_weights": facts.random_weights, "dims": metadata.scrub(facts.dims),
            "tokenizer": metadata.tidy(facts.tokenizer), "attention": facts.attention,
            "cache": facts.cache, "options": metadata.scrub(facts.options),
            "notes": metadata.scrub(list(facts.notes)),
        }  # fmt: skip
    if facts is not None and outcome.requests:
        counts = token_counts(facts, outcome.requests)
        del counts["prefill_each"]  # each sample has its own
        made = set(counts["generated"])
        found["tokens"] = {**counts, "generated": made.pop() if len(made) == 1 else None}
    return found


def save(content: Mapping[str, object], path: Path, *, asked: bool = True) -> Path:
    """Writes the file and says where it is.

    `asked` is off where nobody named `path`: what is there keeps its name.

    Raises: TracekitError where it cannot be written.
    """
    text = plain.dumps(to_plain(content), indent=1)
    if asked:
        with writing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return path
    with writing_new(path) as (temporary, name):
        temporary.write_text(text, encoding="utf-8")
    return name()


def is_benchmark(path: Path) -> bool:
    """Whether a file is one that `save` wrote."""
    return b'"schema": "tracekit-bench/' in starts(path, 256)


def place(path: Path, data: str, checkpoint: Path | None) -> Path:
    """The name, numbered where a benchmark of other data or other weights has it.

    Raises: TracekitError where another file has it.
    """
    inputs = metadata.tidy(data), checkpoint.name if checkpoint else None
    for candidate in numbered(path):
        check(candidate, ours=is_benchmark)
        if not candidate.exists() or _inputs(candidate) == inputs:
            return candidate
    raise AssertionError("unreachable: there is always one more number")


def _inputs(path: Path) -> tuple[Any, Any]:
    content = load(path)
    rows = content["configurations"] or [{}]
    return (content.get("data") or {}).get("spec"), rows[0].get("checkpoint")


def against(path: Path) -> Path:
    """Where the file of the other interpreter lies."""
    return path.with_name(f"{path.stem}-against.json")


def page_of(path: Path) -> Path:
    """Where the page of a benchmark's file lies."""
    page = path.with_suffix(".html")
    return page if page != path else path.with_name(f"{path.name}.html")


class _Sample(msgspec.Struct):
    """What is read of a sample, and of which type; as the next."""

    load: float | None = None
    preprocess: float | None = None
    encode: float | None = None
    prefill: float | None = None
    decode: float | None = None
    steps: list[float] | None = None
    tokens: list[int] | None = None
    prefill_tokens: float | None = None
    waited_ns: float | None = None
    run: int = 0


class _Row(msgspec.Struct):
    axes: dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    error: str | None = None
    yardstick_ns: list[float] | None = None
    samples: list[_Sample] = []
    memory: dict[str, float | None] | None = None
    warmup: dict[str, Any] | None = None
    joules_per_request: float | None = None
    gpu: list[dict[str, Any]] | None = None
    facts: dict[str, Any] | None = None
    tokens: dict[str, Any] | None = None


class _Environment(msgspec.Struct):
    device: dict[str, Any]
    versions: dict[str, object]
    clocks: dict[str, object] = {}
    driver: str | None = None
    commit: str | None = None
    load_average: list[float] | None = None


class _Document(msgspec.Struct):
    environment: _Environment
    configurations: list[_Row]
    model: str = ""
    title: str = ""
    finished: str = ""
    command: str = ""
    data: dict[str, Any] | None = None
    runs: list[dict[str, object]] | None = None


def load(path: str | Path) -> dict[str, Any]:
    """A benchmark's file. Raises: TracekitError where it is none, is damaged, or cannot be read."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as fault:
        raise TracekitError(
            f"cannot be read ({fault.strerror})", where=path, hint="check the path"
        ) from None
    except (ValueError, RecursionError):
        content = None
    schema = content.get("schema") if isinstance(content, dict) else None
    rows = content.get("configurations") if isinstance(content, dict) else None
    if not isinstance(content, dict) or schema != SCHEMA or not isinstance(rows, list):
        raise TracekitError(
            f"not a result of tracekit bench (schema {schema!r}, not {SCHEMA!r})",
            where=path,
            hint="give the .json that `tracekit bench MODEL` wrote",
        )
    try:
        msgspec.convert(content, _Document)
    except (msgspec.ValidationError, RecursionError, UnicodeError) as fault:
        raise TracekitError(
            f"not a whole result of tracekit bench ({fault})", where=path, hint="run it again"
        ) from None
    return content


def short_title(title: str) -> str:
    """A title before its explanation."""
    return title.partition(":")[0]


def default_path(configs: Sequence[Config]) -> Path:
    """`reports/bench-MODEL-SIZE-DTYPE-DEVICE-TIME.json`; several models have all their names."""
    names = dict.fromkeys(one.plan.name for one in configs)
    plan = replace(configs[0].plan, name="-".join(names))
    return Path("reports") / f"bench-{run.default_name(plan)}.json"


# ---------------------------------------------------------------- what is measured

STAGES = ("load", "preprocess", "encode", "prefill", "decode")
FIRST = STAGES[:4]

DEFINITIONS = {
    "stage": "Wall time from the end of the stage before to its own end, device synchronised.",
    "request": "Wall time from the start of load to the last token: the sum of the stages.",
    "ttft": "Time to first token: load + preprocess + encode + prefill; no queue, no network.",
    "ttft without load": "TTFT less load: from the recording in memory to the first token.",
    "tpot": "Time per output token: decode / (tokens - 1), one value a request.",
    "itl": "Inter-token latency: from one token to the next, every step of every request.",
    "decode tokens/s": "Tokens after the first, of all rows of the batch, over decode time.",
    "prefill tokens/s": "Tokens that prefill filled, of all rows of the batch, over prefill time.",
}


def measures(row: Row) -> dict[str, list[float]]:
    """Times in ns by measure, in the order in which they were taken; empty ones are left out.

    Stages, request, ttft, 'ttft without load', tpot: a value a request. itl: a value a token.
    """
    found: dict[str, list[float]] = {name: [] for name in (*STAGES, "request")}
    found |= {"ttft": [], "ttft without load": [], "tpot": [], "itl": []}
    for sample in row.get("samples", ()):
        here = {stage: sample[stage] for stage in STAGES if sample.get(stage) is not None}
        for stage, ns in here.items():
            found[stage].append(ns)
        found["request"].append(sum(here.values()))
        if "prefill" in here:
            first = sum(here.get(stage, 0) for stage in FIRST)
            found["ttft"].append(first)
            found["ttft without load"].append(first - here.get("load", 0))
        tokens = max(sample.get("tokens") or [0])
        if "decode" in here and tokens > 1:
            found["tpot"].append(here["decode"] / (tokens - 1))
        found["itl"] += sample.get("steps") or []
    return {name: values for name, values in found.items() if values}


def by_run(row: Row) -> list[Row]:
    """The row once for each fresh process it was timed in, in order; itself where it was one."""
    samples = row.get("samples") or ()
    numbers = sorted({sample.get("run", 0) for sample in samples})
    if len(numbers) < 2:
        return [row]
    yards = row.get("yardstick_ns") or ()
    paired = len(yards) == len(samples)
    return [
        {
            **row,
            "samples": [s for s in samples if s.get("run", 0) == number],
            "yardstick_ns": [
                ns for ns, s in zip(yards, samples, strict=True) if s.get("run", 0) == number
            ]
            if paired
            else [],
        }
        for number in numbers
    ]


def rates(row: Row) -> dict[str, list[float]]:
    """Tokens a second by measure, a value a request."""
    found: dict[str, list[float]] = {"prefill tokens/s": [], "decode tokens/s": []}
    for sample in row.get("samples", ()):
        tokens = sample.get("tokens") or []
        later = sum(max(n - 1, 0) for n in tokens)
        if sample.get("decode") and later:
            found["decode tokens/s"].append(later / sample["decode"] * 1e9)
        filled = sample.get("prefill_tokens")
        if sample.get("prefill") and filled:
            found["prefill tokens/s"].append(filled * len(tokens) / sample["prefill"] * 1e9)
    return {name: values for name, values in found.items() if values}


def needs(row: Row) -> dict[str, Need]:
    """What one request of this configuration has to do at least, by stage; see `floors`.

    Of requests that differ in length it is the middle one, as are the times beside it.
    """
    facts, options, tokens = (row.get(key) or {} for key in ("facts", "options", "tokens"))
    if tokens.get("prefill") is None or tokens.get("generated") is None:
        tokens = {**tokens, **_middle(row)}
    generated = tokens.get("generated")
    meta = {
        "dims": facts.get("dims"), "dtype": options.get("dtype"),
        "batch_size": options.get("batch_size"),
        "tokens": {**tokens, "generated": [] if generated is None else [generated]},
    }  # fmt: skip
    return {need.stage: need for need in model_bounds.stated(meta)}


def lengths(row: Row) -> dict[int, list[Mapping[str, Any]]]:
    """The requests by the positions that prefill filled of each row, shortest first."""
    found: dict[int, list[Mapping[str, Any]]] = {}
    for sample in row.get("samples", ()):
        if sample.get("prefill_tokens"):
            found.setdefault(int(sample["prefill_tokens"]), []).append(sample)
    return dict(sorted(found.items()))


def _middle(row: Row) -> dict[str, int]:
    """Positions and tokens of the request in the middle; empty where they are not known."""
    order = sorted(
        (length, max(sample.get("tokens") or [0]))
        for length, samples in lengths(row).items() for sample in samples
    )  # fmt: skip
    if not order:
        return {}
    filled, made = order[len(order) // 2]
    return {"prefill": filled, "generated": made}


def waiting(row: Row) -> float | None:
    """Share of a request's wall time in which a thread was ready and had no core, median.

    At most 1, though several threads may wait at once; None where it was not measured.
    """
    shares = []
    for sample in row.get("samples", ()):
        wall = sum(sample.get(stage) or 0 for stage in STAGES)
        if sample.get("waited_ns") is not None and wall:
            shares.append(min(sample["waited_ns"] / wall, 1.0))
    return sorted(shares)[len(shares) // 2] if shares else None


def label(row: Row) -> str:
    """A configuration's place on the swept axes, as text."""
    axes = row.get("axes") or {}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in axes.items())
