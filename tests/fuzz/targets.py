"""Each way into tracekit, given anything: it ends in an answer that adds up or a TracekitError."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz import mutations, seeds
from tracekit import plain
from tracekit.answers.devices import Devices
from tracekit.answers.stages import Split, Stages
from tracekit.errors import TracekitError
from tracekit.results import engine
from tracekit.results.answers import Answers
from tracekit.trace import cache, impossible, kineto, ranks
from tracekit.trace.json.source import open_text
from tracekit.trace.trace import GPU_WORK, TABLES, Cat, Trace

ALL = frozenset(TABLES)
OBEYED = set(mutations.ESCAPES) - set("[31m")  # what no terminal may get raw


@dataclass(frozen=True, slots=True)
class Target:
    """A way in. `make` gives a file: its ending and content; `enter` goes in."""

    make: Callable[[random.Random], tuple[str, bytes]]
    enter: Callable[[Path], object]
    weight: int  # how often it is chosen; the slow ones less


def _trace(rng: random.Random) -> tuple[str, bytes]:
    return "json", mutations.trace(rng, seeds.document(rng))


# ---------------------------------------------------------------- what must add up


def conserved(trace: Trace) -> None:
    """Every record is in one place, and every window is the sum of its parts."""
    assert (trace.ts[1:] >= trace.ts[:-1]).all()
    parts = [impossible.without(part) for part in ranks.split(trace)]
    aside = [a.rows for part in parts for a in part.aside if not a.cut]
    kept = np.concatenate([part.id for part in parts])
    gone = np.concatenate([rows.id for rows in aside]) if aside else kept[:0]
    assert sorted({*kept.tolist(), *gone.tolist()}) == list(range(len(trace)))
    # a mark whose length is below zero is counted, and kept for what it says
    both = trace.where(np.isin(trace.id, np.intersect1d(kept, gone)))
    assert len(np.unique(kept)) == len(kept)
    assert ((both.cat == Cat.ANNOTATION) & (both.dur < 0)).all()


def added_up(trace: Trace, one: Answers) -> None:
    """What the answers say of devices and stages is the sum of its parts."""
    devices = one.get(Devices)
    if devices is not None:
        for row in devices.rows:
            parts = row.kernel_ns, row.memcpy_ns, row.memset_ns, row.idle_ns
            assert row.window_ns == sum(parts)
            assert min(parts) >= 0
        kept = [impossible.without(part) for part in ranks.split(trace)]
        work = sum(int(part.is_(*GPU_WORK).sum()) for part in kept)
        assert sum(r.kernel_count + r.memcpy_count + r.memset_count for r in devices.rows) == work
    found = one.get(Stages)
    for row in (*found.rows, *found.totals) if found is not None else ():
        for split in Split:
            own = row.parts(split)
            assert not own or sum(own.values()) == row.whole_ns(split)
            assert all(ns >= 0 for ns in own.values())


# ---------------------------------------------------------------- ways in


def _read(path: Path) -> None:
    conserved(kineto.load(path, tables=ALL))


def _analyze(path: Path) -> None:
    trace = kineto.load(path, tables=ALL)
    one = engine.of_trace(trace, path=str(path))
    added_up(trace, one)
    json.loads(plain.dumps(engine.to_json([one])), parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def _report(path: Path) -> None:
    from tracekit.report import text, traces

    one = engine.of_trace(kineto.load(path, tables=ALL), path=str(path))
    traces.render([one]).encode()
    shown = text.markdown(one)
    assert not OBEYED & set(shown)
    shown.encode()
    text.write_csv([one], path.parent / "csv", force=True)


def _terminal(path: Path) -> None:
    from tracekit.cli import terminal

    one = engine.of_trace(kineto.load(path, tables=ALL), path=str(path))
    out = terminal.console()
    with out.capture() as printed:
        terminal.overview(out, one)
        terminal.tables(out, one)
        terminal.unanswered(out, one, full=True)
    assert not OBEYED & set(printed.get())


def _export(path: Path) -> None:
    from tracekit.trace.perfetto.export import Wanted, export

    out = path.with_name("export.json.gz")
    tracks, scrub = (("stages", "idle", "queue"), True) if path.stat().st_size % 2 else ((), False)
    if tracks:
        from tracekit.report.tracks import asked

        wanted = asked(path, Wanted(scrub=scrub), None, tracks)
    else:
        wanted = Wanted()
    export(path, out, wanted)
    # what was written is a trace, and not one slice of it is lost
    assert kineto.load(out, strict=True).source.path


def _convert(path: Path) -> None:
    from tracekit.trace import parquet

    trace = kineto.load(path, tables=ALL)
    out = path.with_name("trace.parquet")
    parquet.write(trace, out)
    again = parquet.read(out)
    for name in ("ts", "dur", "pid", "tid", "cat", "correlation"):
        assert (getattr(trace, name) == getattr(again, name)).all(), name


def _parquet(path: Path) -> None:
    conserved(kineto.load(path, tables=ALL))


def _make_parquet(rng: random.Random) -> tuple[str, bytes]:
    return "parquet", mutations.data(rng, _stored(json.dumps(seeds.document(rng)), "parquet"), 3)


@lru_cache(maxsize=64)
def _stored(document: str, ending: str) -> bytes:
    """A trace as `convert` or the cache keeps it."""
    from tracekit.trace import parquet

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "t.json"
        place.write_text(document)
        out = place.with_suffix(f".{ending}")
        write = parquet.write if ending == "parquet" else lambda trace, at: cache.store(at, trace)
        write(kineto.load(place, tables=ALL), out)
        return out.read_bytes()


def _compare(path: Path) -> None:
    from tracekit.comparison import compare, runs, tables
    from tracekit.report.diff import page

    whole = path.with_name("whole.json")
    if not whole.exists():
        whole.write_text(json.dumps({"traceEvents": seeds.gpu(), "tracekit": seeds.CAPTURE}))
    sides = [runs.saved(str(p)) or runs.of(engine.answers(p)) for p in (whole, path)]
    result = compare.compare(*sides)
    json.loads(plain.dumps(result.to_json()), parse_constant=_no_constant)
    tables.tables(result)
    page.render(result).encode()


def _saved(rng: random.Random) -> tuple[str, bytes]:
    """The answers of `analyze --json`, which compare takes for a trace."""
    content = mutations.value(rng, json.loads(_answers(json.dumps(seeds.document(rng)))))
    text = json.dumps(content).encode()
    return "json", mutations.data(rng, text, 2) if rng.random() < 0.3 else text


@lru_cache(maxsize=64)
def _answers(document: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "t.json"
        place.write_text(document)
        return plain.dumps(engine.to_json([engine.answers(place)]))


def _crosscheck(path: Path) -> None:
    from tracekit.comparison import crosscheck

    crosscheck.tables(crosscheck.crosscheck(kineto.load(path)))


def _cache(path: Path) -> None:
    """An entry that somebody has changed gives the same trace or none."""
    found = cache.load(path, _source(path), lambda names: {})
    if found is not None:
        conserved(found)
        [found.text(row) for row in range(len(found))]


def _source(path: Path) -> Any:
    place = path.with_name("source.json")
    place.write_text('{"traceEvents": []}')
    return open_text(place)


def _make_entry(rng: random.Random) -> tuple[str, bytes]:
    return "npz", mutations.data(rng, _stored(json.dumps(seeds.document(rng)), "npz"), 3)


def _make_recording(rng: random.Random) -> tuple[str, bytes]:
    ending, content = seeds.recording(rng)
    return ending, mutations.data(rng, content) if rng.random() < 0.95 else content


def _imu(path: Path) -> None:
    from tracekit.datasets import opening

    kind = opening.kind_of(str(path))
    for sample in opening.open_samples(str(path), kind=kind, rate_hz=50.0, limit=3):
        sample.parse(sample.read())


def _benchmark(path: Path) -> None:
    from tracekit.bench import comparison, file

    content = file.load(path)
    comparison.grid(comparison.compare(content, content))


def _make_benchmark(rng: random.Random) -> tuple[str, bytes]:
    sample = {"load": 100, "preprocess": 50, "encode": 70, "prefill": 900, "decode": 4000,
              "steps": [2000, 2000], "sample": "s0", "tokens": [3], "prefill_tokens": 9,
              "waited_ns": 0}  # fmt: skip
    row = {"axes": {}, "options": {"size": "tiny", "device": "cpu", "dtype": "float32",
           "batch_size": 1}, "error": None, "yardstick_ns": [5] * 6, "samples": [sample] * 6,
           "memory": {}, "gpu": [{}, {}], "facts": {"parameters": {"llm": 5}}}  # fmt: skip
    content = {"schema": "tracekit-bench/1", "model": "m", "title": "M", "finished": "now",
               "command": "c", "environment": {"device": {"name": "cpu"}, "versions": {},
               "clocks": {}, "driver": None}, "data": {"spec": "synthetic"},
               "configurations": [row, {**row, "axes": {"batch_size": 4}}]}  # fmt: skip
    text = json.dumps(mutations.value(rng, content)).encode()
    return "json", mutations.data(rng, text, 2) if rng.random() < 0.2 else text


TARGETS = {
    "read": Target(_trace, _read, 200),
    "analyze": Target(_trace, _analyze, 5),
    "report": Target(_trace, _report, 1),
    "terminal": Target(_trace, _terminal, 1),
    "export": Target(_trace, _export, 13),
    "convert": Target(_trace, _convert, 2),
    "parquet": Target(_make_parquet, _parquet, 2),
    "compare": Target(_trace, _compare, 1),
    "saved": Target(_saved, _compare, 1),
    "crosscheck": Target(_trace, _crosscheck, 1),
    "cache": Target(_make_entry, _cache, 5),
    "imu": Target(_make_recording, _imu, 40),
    "benchmark": Target(_make_benchmark, _benchmark, 20),
}


def enter(name: str, path: Path) -> bool:
    """Whether the file was taken; False where a TracekitError says why not. A bug is raised."""
    try:
        TARGETS[name].enter(path)
    except TracekitError as error:
        said = str(error)
        assert said.strip()
        return False
    return True
