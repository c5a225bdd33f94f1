"""`tracekit capture`: run a model under the profiler and keep the trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracekit.cli import options as opt

if TYPE_CHECKING:
    from rich.console import Console

    from tracekit.capture.run import Captured

PROFILER = "The profiler"


def register(app: typer.Typer) -> None:
    @app.command()
    def capture(
        model: opt.ModelName,
        output: Annotated[
            Path | None,
            typer.Option("-o", "--output", help="Where the trace goes; else a name in traces/."),
        ] = None,
        samples: Annotated[
            int, typer.Option(help="Requests to profile.", rich_help_panel=opt.RUN_HELP)
        ] = 3,
        max_new_tokens: Annotated[
            int, typer.Option(help="At most so many tokens each.", rich_help_panel=opt.RUN_HELP)
        ] = 16,
        warmup: opt.Warmup = 2,
        dtype: Annotated[
            str | None,
            typer.Option(
                help="float32, bfloat16, float16; float32 on the CPU, bfloat16 on a GPU.",
                rich_help_panel=opt.RUN_HELP,
            ),
        ] = None,
        device: opt.Device = None,
        batch_size: Annotated[
            int, typer.Option(help="Rows of each request.", rich_help_panel=opt.RUN_HELP)
        ] = 1,
        attention: Annotated[
            str, typer.Option(help="sdpa, eager or flash.", rich_help_panel=opt.RUN_HELP)
        ] = "sdpa",
        cache: Annotated[
            str, typer.Option(help="dynamic or static.", rich_help_panel=opt.RUN_HELP)
        ] = "dynamic",
        compile_: Annotated[
            bool,
            typer.Option(
                "--compile/--no-compile", help="torch.compile.", rich_help_panel=opt.RUN_HELP
            ),
        ] = False,
        sync: opt.Sync = True,
        size: opt.Size = None,
        checkpoint: opt.Checkpoint = None,
        prompt: opt.Prompt = None,
        prompt_tokens: Annotated[
            int | None,
            typer.Option(
                min=1,
                help="Pad or cut the prompt to so many tokens.",
                rich_help_panel=opt.MODEL_HELP,
            ),
        ] = None,
        seed: opt.Seed = 0,
        temperature: opt.Temperature = 0.0,
        top_p: opt.TopP = 1.0,
        set_: opt.Set = None,
        data: opt.Data = "synthetic",
        data_dir: opt.DataDir = None,
        rate_hz: opt.Rate = None,
        data_option: opt.DataOption = None,
        on_error: opt.OnError = "raise",
        trust_pickle: opt.TrustPickle = False,
        record_shapes: Annotated[
            bool, typer.Option("--record-shapes", help="Of ops.", rich_help_panel=PROFILER)
        ] = False,
        with_stack: Annotated[
            bool, typer.Option("--with-stack", help="Python frames.", rich_help_panel=PROFILER)
        ] = False,
        profile_memory: Annotated[
            bool,
            typer.Option(
                "--profile-memory", help="Allocations and frees.", rich_help_panel=PROFILER
            ),
        ] = False,
    ) -> None:
        """Run a model stage by stage under the profiler and save a Kineto trace."""
        opt.choice(attention, opt.ATTENTION, "--attention")
        opt.choice(cache, opt.CACHE, "--cache")
        from tracekit.capture import plan as planning
        from tracekit.capture import run
        from tracekit.cli import progress, terminal

        plan = planning.plan(
            model, size=size, device=device, dtype=dtype, extra=opt.pairs(set_), data=data,
            data_dir=data_dir, samples=samples, warmup=warmup, sync=sync,
            data_options=opt.data_options(data_option, rate_hz, on_error, trust_pickle),
            checkpoint=checkpoint, seed=seed, attention=attention, cache=cache,
            compile=compile_, batch_size=batch_size, max_new_tokens=max_new_tokens,
            prompt=prompt, prompt_tokens=prompt_tokens, temperature=temperature, top_p=top_p,
        )  # fmt: skip
        out = terminal.console()
        out.print(f"{plan.model.title}, {plan.why}", markup=False)
        profiling = run.Profiling(
            record_shapes=record_shapes, with_stack=with_stack, profile_memory=profile_memory
        )
        with progress.phases() as report:
            captured = run.capture(plan, output, profiling=profiling, progress=report)
        _say(out, captured)
        if captured.interrupted:
            raise typer.Exit(130)


def _say(out: Console, captured: Captured) -> None:
    from rich.text import Text

    from tracekit.capture.summary import summary
    from tracekit.cli import terminal
    from tracekit.results import units

    facts = captured.metadata
    if facts["random_weights"]:
        text = ", the text is noise" if any(facts["text"]) else ""
        out.print(f"Weights are random: the timing is the model's{text}.")
    out.print()
    terminal.show(out, summary(captured))
    for one in facts["data"]["repairs"] or ():
        of = f"{len(one['samples'])} of {len(set(facts['data']['samples']))} samples"
        out.print(Text(f"data: {one['what']} ({of})"), soft_wrap=True)
    for number, rows in enumerate(facts["text"]):
        for row in rows[:1]:
            out.print(Text(f"sample {number}: {row}"))
    if captured.interrupted:
        out.print(f"Interrupted: the trace holds the {len(captured.profiled)} complete samples.")
    size = units.bytes_(captured.path.stat().st_size)
    out.print(Text(f"\nTrace: {captured.path} ({size})"), soft_wrap=True)
    out.print(Text(f"Next:  tracekit analyze {captured.path}"), soft_wrap=True)
    out.print(Text(f"       tracekit open {captured.path}"), soft_wrap=True)
