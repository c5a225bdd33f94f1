"""`tracekit critical-path`: the chain of work that decided how long it took, drawn into a trace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli import options as opt
from tracekit.cli import process


def register(app: typer.Typer) -> None:
    @app.command("critical-path")
    def critical_path(
        trace: Annotated[Path, typer.Argument(help="A trace file.")],
        stages: Annotated[
            str | None, typer.Option(help="Annotations whose name matches; else the stages.")
        ] = None,
        instance: Annotated[
            int | None, typer.Option(help="Which of the annotations of that name, from 0.")
        ] = None,
        whole: Annotated[
            bool,
            typer.Option("--whole", help="Through the whole trace, as where nothing is annotated."),
        ] = False,
        output: Annotated[
            Path | None,
            typer.Option(
                "-o", "--output", help="Where the overlaid trace goes; else a name in traces/."
            ),
        ] = None,
        force: opt.Force = False,
    ) -> None:
        """The critical path by Holistic Trace Analysis, and a trace of it.

        Through one annotation; through the whole trace where there is none, or with --whole.
        """
        from tracekit import extras, files
        from tracekit.cli import terminal
        from tracekit.report import text_tables
        from tracekit.results import catalog
        from tracekit.trace import kineto
        from tracekit.trace.perfetto.export import is_export

        target = output or files.free(_default(trace))
        files.check(target, inputs=[trace], ours=is_export, force=force)
        opt.ends(target, opt.TRACE)
        extras.need("hta", "hta", where="tracekit critical-path")  # before a long read
        entry = catalog.analysis("critical_path")
        with terminal.status(trace.name) as say:
            say("critical path")
            loaded = kineto.load(trace)
            result = entry.run(
                loaded, stages=stages, instance=instance, whole=whole, overlay=target
            )
        out = terminal.console()
        for grid in entry.tables(result):
            text_tables.show(out, grid)
        out.print(f"trace: {target}", markup=False)
        process.hint(f"next: tracekit open {target}")


def _default(trace: Path) -> Path:
    """In the folder of what tracekit writes, never beside what it was given."""
    return Path("traces") / f"{trace.name.split('.')[0]}.critical_path.json.gz"
