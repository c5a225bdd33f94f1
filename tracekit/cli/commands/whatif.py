"""`tracekit whatif`: what a change would save, by a replay of the trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli import process


def register(app: typer.Typer) -> None:
    @app.command()
    def whatif(
        trace: Annotated[Path, typer.Argument(help="A Kineto trace.")],
        scale: Annotated[
            list[str] | None,
            typer.Option(
                metavar="NAME=FACTOR",
                help="Length of kernels: a category (gemm=0.5), or kernel:REGEX=0.8; repeatable.",
            ),
        ] = None,
        remove: Annotated[
            list[str] | None,
            typer.Option(metavar="WHAT", help="host_sync: the host waits for nothing."),
        ] = None,
        launch_cost: Annotated[
            bool,
            typer.Option("--launch-cost/--no-launch-cost", help="Launch calls take host time."),
        ] = True,
        cuda_graphs: Annotated[
            list[str] | None,
            typer.Option(metavar="STAGE", help="Launch all of a stage at once; repeatable."),
        ] = None,
        device: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME", help="Its kernels on another device; repeatable."),
        ] = None,
        stages: Annotated[
            str | None, typer.Option(help="Annotations whose name matches are the stages.")
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print JSON (docs/json.md) and nothing else.")
        ] = False,
    ) -> None:
        """Predict what a change would save, with its error.

        Without a change, those of the usual ones that save most, three at most. All changes happen
        at once, and on each device in turn. What may be believed: docs/whatif.md.
        """
        from tracekit.cli import terminal
        from tracekit.report import text_tables
        from tracekit.results import catalog
        from tracekit.results.result import SCHEMA
        from tracekit.trace import kineto

        entry = catalog.analysis("whatif")
        with terminal.status(trace.name) as say:
            say("reading")
            loaded = kineto.load(trace, tables=entry.needs)
            say("replaying")
            result = catalog.answer(
                loaded, "whatif", scale=tuple(scale or ()), remove=tuple(remove or ()),
                launch_cost=launch_cost, cuda_graphs=tuple(cuda_graphs or ()),
                device=tuple(device or ()), stages=stages,
            )  # fmt: skip
        if as_json:
            process.say_json({"schema": SCHEMA, "path": str(trace), "whatif": result.to_json()})
            return
        out = terminal.console()
        for grid in entry.tables(result):
            text_tables.show(out, grid, 40)
