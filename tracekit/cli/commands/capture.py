"""`tracekit capture`: run a model under the profiler and keep the trace."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracekit.cli import options as opt
from tracekit.cli import process
from tracekit.cli.groups import grouped
from tracekit.cli.speculative import Pairing

if TYPE_CHECKING:
    from rich.console import Console

    from tracekit.capture.run import Captured
    from tracekit.models.speculative.entry import Asked

PROFILER = "The profiler"


@dataclass(frozen=True, slots=True)
class Execution:
    """How the model computes."""

    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32, bfloat16, float16; float32 on the CPU, bfloat16 on a GPU.",
            rich_help_panel=opt.RUN_HELP,
        ),
    ] = None
    device: opt.Device = None
    batch_size: Annotated[
        int, typer.Option(help="Rows of each request.", rich_help_panel=opt.RUN_HELP)
    ] = 1
    attention: Annotated[
        str, typer.Option(help="sdpa, eager or flash.", rich_help_panel=opt.RUN_HELP)
    ] = "sdpa"
    cache: Annotated[str, typer.Option(help="dynamic or static.", rich_help_panel=opt.RUN_HELP)] = (
        "dynamic"
    )
    compile_: Annotated[
        bool,
        typer.Option("--compile/--no-compile", help="torch.compile.", rich_help_panel=opt.RUN_HELP),
    ] = False

    def plan(self) -> dict[str, Any]:
        """As `capture.plan.plan` takes them. Raises: TracekitError for what is no choice."""
        return {
            "dtype": self.dtype,
            "device": self.device,
            "batch_size": self.batch_size,
            "attention": opt.choice(self.attention, opt.ATTENTION, "--attention"),
            "cache": opt.choice(self.cache, opt.CACHE, "--cache"),
            "compile": self.compile_,
        }


@dataclass(frozen=True, slots=True)
class Profiler:
    """What the profiler records beyond slices; the fields are those of `capture.run.Profiling`."""

    record_shapes: Annotated[
        bool, typer.Option("--record-shapes", help="Of ops.", rich_help_panel=PROFILER)
    ] = False
    with_stack: Annotated[
        bool, typer.Option("--with-stack", help="Python frames.", rich_help_panel=PROFILER)
    ] = False
    profile_memory: Annotated[
        bool,
        typer.Option("--profile-memory", help="Allocations and frees.", rich_help_panel=PROFILER),
    ] = False


def register(app: typer.Typer) -> None:
    @app.command()
    @grouped
    def capture(
        model: opt.ModelName,
        *,
        output: Annotated[
            Path | None,
            typer.Option("-o", "--output", help="Where the trace goes; else a name in traces/."),
        ] = None,
        force: opt.Force = False,
        samples: Annotated[
            int, typer.Option(help="Requests to profile.", rich_help_panel=opt.RUN_HELP)
        ] = 3,
        max_new_tokens: Annotated[
            int, typer.Option(help="At most so many tokens each.", rich_help_panel=opt.RUN_HELP)
        ] = 16,
        warmup: opt.Warmup = 2,
        execution: Execution,
        sync: opt.Sync = True,
        building: opt.Building,
        prompt_tokens: Annotated[
            int | None,
            typer.Option(
                min=1,
                help="Pad or cut the prompt to so many tokens.",
                rich_help_panel=opt.MODEL_HELP,
            ),
        ] = None,
        feeding: opt.Feeding,
        profiler: Profiler,
        pairing: Pairing,
    ) -> None:
        """Run a model stage by stage under the profiler and save a Kineto trace.

        MODEL speculative is a pair: --draft MODEL|ngram, --target MODEL.
        """
        if output is not None:
            from tracekit import files
            from tracekit.capture.save import is_capture

            inputs = [*feeding.inputs, *building.inputs]
            files.check(output, inputs=inputs, ours=is_capture, force=force)
        _capture(
            pairing.asked(model) or model,
            output,
            profiler,
            {
                **execution.plan(), **building.plan(), **feeding.plan(), "samples": samples,
                "max_new_tokens": max_new_tokens, "warmup": warmup, "sync": sync,
                "prompt_tokens": prompt_tokens,
            },
        )  # fmt: skip


def _capture(
    model: str | Asked, output: Path | None, profiler: Profiler, plan: dict[str, Any]
) -> None:
    from tracekit.capture import plan as planning
    from tracekit.capture import run
    from tracekit.capture.summary import full_size
    from tracekit.cli import progress, terminal

    if isinstance(model, str):
        planned = planning.plan(model, **plan)
    else:
        from tracekit import extras
        from tracekit.models.speculative.entry import pair

        extras.need("capture", "torch", "transformers", where=model.name)
        planned = planning.plan(model.name, model=pair(model), **plan)
    out = terminal.console()
    out.print(f"{planned.model.title}, {planned.why}", markup=False)
    profiling = run.Profiling(**dataclasses.asdict(profiler))
    with progress.phases() as report:
        captured = run.capture(planned, output, profiling=profiling, progress=report)
    _say(out, captured, full_size(planned))
    if captured.interrupted:
        raise typer.Exit(130)


def _say(out: Console, captured: Captured, at_full_size: str) -> None:
    from rich.text import Text

    from tracekit.capture import pairs
    from tracekit.capture.summary import summary
    from tracekit.cli import terminal
    from tracekit.results import units
    from tracekit.trace.capture_facts import caution

    facts = captured.metadata
    if facts["random_weights"]:
        timing = caution(facts["title"], facts["size"], True)
        timing = timing or "Weights are random: the timing is the model's."
        text = " Its text is noise, and is not shown." if any(facts["text"]) else ""
        out.print(Text(f"{timing}{text}"), soft_wrap=True)
    out.print()
    terminal.show(out, summary(captured))
    if captured.alone:
        terminal.show(out, pairs.against_alone(captured.unprofiled, captured.alone))
    for note in facts["notes"]:
        out.print(Text(f"model: {note}"), soft_wrap=True)
    for one in facts["data"]["repairs"] or ():
        of = f"{len(one['samples'])} of {len(set(facts['data']['samples']))} samples"
        out.print(Text(f"data: {one['what']} ({of})"), soft_wrap=True)
    for number, rows in enumerate([] if facts["random_weights"] else facts["text"]):
        for row in rows[:1]:
            out.print(Text(f"sample {number}: {row}"))
    if captured.interrupted:
        out.print(f"Interrupted: the trace holds the {len(captured.profiled)} complete samples.")
    there = captured.path.is_file()  # or a pipe that it was written into
    size = f" ({units.bytes_(captured.path.stat().st_size)})" if there else ""
    out.print(Text(f"\nTrace: {captured.path}{size}"), soft_wrap=True)
    if at_full_size:
        process.hint(f"At full size: {at_full_size}")
    process.hint(f"Next:  tracekit analyze {captured.path}")
    process.hint(f"       tracekit open {captured.path}")
