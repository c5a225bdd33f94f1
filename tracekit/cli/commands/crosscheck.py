"""`tracekit crosscheck`: our figures beside Holistic Trace Analysis's, and why they differ."""

from __future__ import annotations

from typing import Annotated

import typer

from tracekit.cli import process


def register(app: typer.Typer) -> None:
    @app.command("crosscheck")
    def crosscheck_command(
        trace: Annotated[str, typer.Argument(help="A trace file.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON and no table.")] = False,
    ) -> None:
        """Busy and idle time as Holistic Trace Analysis has it, and why ours differs."""
        from pathlib import Path

        from tracekit import extras
        from tracekit.cli import terminal
        from tracekit.comparison import crosscheck
        from tracekit.report import text_tables
        from tracekit.results.result import SCHEMA
        from tracekit.trace import kineto

        extras.need("hta", "hta", where="tracekit crosscheck")  # before a long read
        with terminal.status(Path(trace).name) as say:
            loaded = kineto.load(trace)
            say("asking Holistic Trace Analysis")
            result = crosscheck.crosscheck(loaded)
        if as_json:
            document = {"schema": SCHEMA, "crosscheck": result.to_json()}
            process.say_json(document)
            return
        out = terminal.console()
        for grid in crosscheck.tables(result):
            text_tables.show(out, grid, rest="--json has them")
