"""The five-stage benchmark scripts: their flags, one summary, one JSON file."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit import files
from tracekit.cli import process
from tracekit.errors import UsageError

if TYPE_CHECKING:
    from tracekit.datasets.entry import Sample
    from tracekit.models.entry import Model
    from tracekit.results.result import Grid


def arguments(name: str, checkpoint: str) -> argparse.ArgumentParser:
    """The flags of a script for model `name`; `checkpoint` is what its weights' flag is called."""
    parser = argparse.ArgumentParser(
        description=f"Five-stage benchmark of {name}: load, preprocess, encode, prefill, decode."
    )
    parser.add_argument("--max_samples", "--max-samples", type=int, default=100)
    parser.add_argument(f"--{checkpoint}", dest="checkpoint", type=Path, help="random without")
    parser.add_argument("--imu_path", "--imu-path", help="a recording; generated without")
    parser.add_argument("--rate_hz", type=float, help="of a recording that does not say")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 …; a GPU where there is one")
    parser.add_argument("--dtype", help="float32, bfloat16 or float16")
    parser.add_argument("--max_gen_len", "--max-gen-len", type=int, default=64)
    seconds = "of the recording that are used; the model's own window without"
    parser.add_argument("--duration_sec", "--duration-sec", type=float, help=seconds)
    parser.add_argument("--output_dir", "--output-dir", type=Path, default=Path("reports"))
    forms = ("markdown", "latex", "csv")
    what = "which form of the table of a paper is printed; all three are saved"
    parser.add_argument("--table", choices=forms, default="markdown", help=what)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--size", help="full or tiny; full where the device has the memory")
    return parser


def main(
    name: str,
    checkpoint: str,
    argv: Sequence[str] | None = None,
    *,
    model: Model | None = None,
) -> int:
    """Runs a script and prints its summary; 0, or 1 with one line on stderr."""
    given = arguments(name, checkpoint).parse_args(argv)
    return process.run(lambda: _main(name, given, model))


def _main(name: str, given: argparse.Namespace, model: Model | None) -> int:
    from tracekit.bench import file, paper, runner
    from tracekit.capture import plan as planning
    from tracekit.cli import progress, terminal
    from tracekit.report import text_tables

    plan: dict[str, Any] = {
        "size": given.size, "device": given.device, "dtype": given.dtype,
        "checkpoint": given.checkpoint, "samples": given.max_samples, "warmup": given.warmup,
        "max_new_tokens": given.max_gen_len, "data": given.imu_path or "synthetic",
        "data_options": {} if given.rate_hz is None else {"rate_hz": given.rate_hz},
    }  # fmt: skip
    out = terminal.console()
    with files.scratch() as folder, progress.phases() as report:
        settled = planning.plan(name, model=model, **plan)
        found = [cut(one, given.duration_sec) for one in planning.feed(settled, folder)]
        output = file.place(
            given.output_dir / f"{name}_5stages.json", plan["data"], given.checkpoint
        )
        dtypes = [settled.options.dtype]
        plan.pop("dtype")
        done = runner.run(
            runner.Wanted(
                name=name, model=model, plan=plan, axes={"dtype": dtypes}, output=output,
                samples=found,
            ),
            report,
        )  # fmt: skip
    out.print(f"{done.content['title']}, {done.why}", markup=False)
    text_tables.show(out, summary(done.content))
    process.say(paper.FORMS[given.table](paper.columns([done.content])))
    for label, path in done.files.items():
        out.print(f"{label + ':':<7} {path}", markup=False, soft_wrap=True)
    process.hint(
        f"Next:   tracekit bench table {given.output_dir}/*_5stages.json (a model a column)"
    )
    return 130 if done.interrupted else int(done.failed)


def cut(sample: Sample, seconds: float | None) -> Sample:
    """The sample with so many seconds of its recording wanted; as it is for None."""
    if seconds is None:
        return sample
    if seconds <= 0:
        raise UsageError("must be above 0", where=f"--duration_sec {seconds:g}", hint="try 2")
    parse: Callable[[Any], Any] = sample.parse
    return dataclasses.replace(
        sample, parse=lambda raw: dataclasses.replace(parse(raw), duration_s=seconds)
    )


def summary(content: Any) -> Grid:
    """The five stages, mean ± std, with TTFT and decode throughput below."""
    from tracekit.bench import file, statistics
    from tracekit.results.result import Column, Grid

    columns = (
        Column("stage", "text"),
        Column("mean", "ns", "Arithmetic mean over the samples."),
        Column("± std", "ns", "Standard deviation of the sample, n - 1."),
        Column("median", "ns"),
        Column("share", "share", "Mean over the mean of the request."),
    )
    row = content["configurations"][0]
    times = file.measures(row)
    whole = statistics.summarize(times.get("request", []))
    rows = []
    for name in (*file.STAGES, "ttft"):
        one = statistics.summarize(times.get(name, []))
        if one is not None and whole is not None:
            label = "TTFT" if name == "ttft" else name
            rows.append((label, one.mean, one.std, one.median, one.mean / whole.mean))
    speed = statistics.summarize(file.rates(row).get("decode tokens/s", []))
    note = "decode throughput: not measured"
    if speed is not None:
        spread = f" ± {speed.std:,.1f}" if speed.std is not None else ""
        note = f"decode throughput: {speed.mean:,.1f}{spread} tokens/s"
    if row.get("error"):
        note += f"; {row['error']}"
    note += f"; {len(row['samples'])} samples; TTFT = load + preprocess + encode + prefill"
    total = None
    if whole is not None:
        total = ("request", whole.mean, whole.std, whole.median, 1.0)
    return Grid("five", "Five stages", columns, rows, note=note, total=total)
