"""`tracekit capture`: run a model under the profiler and keep the trace."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracekit.cli import options as opt
from tracekit.cli import process, verbosity
from tracekit.cli.speculative import Pairing

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from tracekit.capture.plan import Plan
    from tracekit.capture.ranks import World
    from tracekit.capture.run import Captured
    from tracekit.models.speculative.entry import Asked

PROFILER = "The profiler"


@dataclass(frozen=True, slots=True)
class Profiler:
    """What the profiler records beyond slices, as `capture.profiling.Profiling` takes it."""

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
        execution: opt.Execution,
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
        parallel: Annotated[
            str,
            typer.Option(
                metavar="auto|tensor|data",
                help="Under torchrun: the LLM's weights divided over the ranks, or the samples; "
                "the weights where that can be.",
                autocompletion=lambda: ["auto", "tensor", "data"],
                rich_help_panel=opt.RUN_HELP,
            ),
        ] = "auto",
    ) -> None:
        """Run a model stage by stage under the profiler and save a Kineto trace.

        MODEL speculative is a pair: --draft MODEL|ngram, --target MODEL.

        Under `torchrun --nproc-per-node N -m tracekit capture …` a folder, a trace a rank.
        """
        from tracekit.capture import ranks

        wanted = {
            "samples": samples, "max_new_tokens": max_new_tokens, "warmup": warmup, "sync": sync,
            "prompt_tokens": prompt_tokens,
        }  # fmt: skip
        inputs = [*feeding.inputs, *building.inputs]

        def plan() -> dict[str, Any]:
            return {**execution.plan(), **building.plan(), **feeding.plan(), **wanted}

        world = ranks.world()
        if world is not None:
            asked = partial(_planned, lambda: pairing.asked(model) or model, plan)
            _capture_rank(world, asked, output, profiler, execution.device, parallel, force)
            return
        opt.choice(parallel, KINDS, "--parallel")
        if output is not None:
            from tracekit import files
            from tracekit.capture.save import is_capture

            files.check(output, inputs=inputs, ours=is_capture, force=force)
            opt.ends(output, opt.TRACE)
        _capture(_planned(lambda: pairing.asked(model) or model, plan), output, profiler)


KINDS = ("auto", "tensor", "data")


def _capture_rank(
    world: World,
    plan: Callable[[], Plan],
    output: Path | None,
    profiler: Profiler,
    device: str | None,
    parallel: str,
    force: bool,
) -> None:
    """One rank of several: the first speaks for all, but where another has failed."""
    from tracekit.capture import parallel as together
    from tracekit.capture import ranks
    from tracekit.capture.plan import quiet
    from tracekit.capture.profiling import Profiling
    from tracekit.capture.summary import full_size
    from tracekit.cli import progress, terminal

    if not world.first:  # progress and hints
        verbosity.set_level(quiet=True, verbose=False)
    try:
        with ranks.joined(world, device) as job:
            opt.choice(parallel, KINDS, "--parallel")
            planned = plan()
            if output is not None:
                ranks.check(output, force=force)
            out = terminal.console()
            if world.first:
                out.print(f"{planned.model.title}, {planned.why}", markup=False)
            profiling = Profiling(**dataclasses.asdict(profiler))
            with progress.phases() as report:
                captured = together.capture(
                    planned, output, job, wanted=parallel, profiling=profiling,
                    progress=report if world.first else quiet,
                )  # fmt: skip
            if world.first:
                _say(out, captured, full_size(planned), world.size)
    except ranks.AnotherRankError:
        raise typer.Exit(1) from None
    if captured.interrupted:
        raise typer.Exit(128 + job.ended_by)


def _planned(asked: Callable[[], str | Asked], plan: Callable[[], dict[str, Any]]) -> Plan:
    """What is to run. Raises: TracekitError for what cannot."""
    from tracekit.capture import plan as planning

    model = asked()
    if isinstance(model, str):
        return planning.plan(model, **plan())
    from tracekit import extras
    from tracekit.models.speculative.entry import pair

    extras.need("capture", "torch", "transformers", where=model.name)
    return planning.plan(model.name, model=pair(model), **plan())


def _capture(planned: Plan, output: Path | None, profiler: Profiler) -> None:
    from tracekit.capture import run
    from tracekit.capture.profiling import Profiling
    from tracekit.capture.summary import full_size
    from tracekit.cli import progress, terminal

    out = terminal.console()
    out.print(f"{planned.model.title}, {planned.why}", markup=False)
    profiling = Profiling(**dataclasses.asdict(profiler))
    with progress.phases() as report:
        captured = run.capture(planned, output, profiling=profiling, progress=report)
    _say(out, captured, full_size(planned))
    if captured.interrupted:
        raise typer.Exit(130)


def _say(out: Console, captured: Captured, at_full_size: str, ranks: int = 1) -> None:
    from rich.text import Text

    from tracekit.capture import pairs
    from tracekit.capture.summary import summary
    from tracekit.report import text_tables
    from tracekit.results import units
    from tracekit.trace.capture_facts import caution

    facts = captured.metadata
    if facts["random_weights"]:
        timing = caution(facts["title"], facts["size"], True)
        timing = timing or "Weights are random: the timing is the model's."
        text = " The text is noise, and is not shown." if any(facts["text"]) else ""
        out.print(Text(f"{timing}{text}"), soft_wrap=True)
    out.print()
    text_tables.show(out, summary(captured))
    if captured.alone:
        text_tables.show(out, pairs.against_alone(captured.unprofiled, captured.alone))
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
    place = captured.path if ranks == 1 else captured.path.parent
    there = place.is_file()  # or a pipe that it was written into
    size = f" ({units.bytes_(place.stat().st_size)})" if there else ""
    if ranks > 1:
        how = {"tensor": "the weights of the LLM divided", "data": "each its share of the samples"}
        parallel = facts["parallel"]
        why = f" ({parallel['why']})" if parallel["why"] else ""
        out.print(Text(f"{ranks} ranks, {how[parallel['kind']]}{why}; above is rank 0."))
    out.print(Text(f"\n{'Trace' if ranks == 1 else 'Traces'}: {place}{size}"), soft_wrap=True)
    if at_full_size:
        process.hint(f"At full size: {at_full_size}")
    process.hint(f"Next:  tracekit analyze {place}")
    if ranks == 1:
        process.hint(f"       tracekit open {place}")
