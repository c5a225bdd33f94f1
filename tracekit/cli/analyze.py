"""`tracekit analyze`: answer every question that a trace can answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def analyze(
        traces: Annotated[list[str], typer.Argument(help="Trace files; '-' is standard input.")],
        only: Annotated[
            str | None, typer.Option(help="Names of analyses, with commas between.")
        ] = None,
        stages: Annotated[
            str | None, typer.Option(help="Annotations whose name matches are the stages.")
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print JSON (docs/json.md) and nothing else.")
        ] = False,
        output: Annotated[
            Path | None, typer.Option("-o", "--output", help="Where the HTML page goes.")
        ] = None,
        strict: Annotated[bool, typer.Option("--strict", help="Refuse a damaged trace.")] = False,
    ) -> None:
        """Where the time went: every question that a trace can answer, on one page."""
        import json

        from tracekit import catalog, engine
        from tracekit.cli import terminal

        names = [n.strip() for n in only.split(",") if n.strip()] if only else None
        many = [engine.answers(path, names, strict=strict, stages=stages) for path in traces]
        if as_json:
            typer.echo(json.dumps(engine.to_json(many), ensure_ascii=False))
            return
        out = terminal.console()
        for one in many:
            out.rule(one.path, style="dim")
            for name, result in one.answers.items():
                for grid in catalog.analysis(name).tables(result):
                    terminal.show(out, grid)
            for name, reason in one.unanswered.items():
                out.print(f"{name}: {reason}", style="dim", markup=False)
