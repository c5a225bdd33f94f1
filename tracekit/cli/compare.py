"""`tracekit compare`: what changed between two traces, and what the change is made of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    @app.command()
    def compare(
        before: Annotated[str, typer.Argument(help="A trace, or the JSON that analyze printed.")],
        after: Annotated[str, typer.Argument(help="The same of the other run.")],
        only: Annotated[
            str | None, typer.Option(help="Names of analyses, with commas between.")
        ] = None,
        stages: Annotated[
            str | None, typer.Option(help="Annotations whose name matches are the stages.")
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print JSON (docs/json.md) and nothing else.")
        ] = False,
        html: Annotated[bool, typer.Option(help="Write the HTML page.")] = True,
        output: Annotated[
            Path | None,
            typer.Option(
                "-o", "--output", help="Where the page goes; else reports/<before>-to-<after>.html."
            ),
        ] = None,
        strict: Annotated[bool, typer.Option("--strict", help="Refuse a damaged trace.")] = False,
    ) -> None:
        """What changed from BEFORE to AFTER: stages, kernels, new and gone ones, every number."""
        import json

        from tracekit import compare as comparing
        from tracekit import compared, results
        from tracekit.cli import terminal
        from tracekit.report import difference, facts

        names = [n.strip() for n in only.split(",") if n.strip()] if only else None
        page = output or (_default(before, after) if html and not as_json else None)
        sides = [_answers(path, names, strict=strict, stages=stages) for path in (before, after)]
        result = comparing.compare(*sides)
        written = ""
        if page is not None and html:
            difference.write(result, page, command=facts.command())
            written = f"report: {page}\n"
        if as_json:
            document = {"schema": results.SCHEMA, "comparison": result.to_json()}
            typer.echo(json.dumps(document, ensure_ascii=False))
        else:
            out = terminal.console()
            for grid in compared.tables(result):
                terminal.show(out, grid, rest="--json has them")
        sys.stdout.flush()
        sys.stderr.write(written)


def _default(before: str, after: str) -> Path:
    from tracekit import runs

    name = f"{runs.stem(before)[:90]}-to-{runs.stem(after)[:90]}"
    return Path("reports") / f"{name}.html"


def _answers(path: str, names: list[str] | None, **how: Any) -> dict[str, Any]:
    """The answers of a trace, or those in a file that `tracekit analyze --json` wrote."""
    from tracekit import compare, engine
    from tracekit.cli import terminal

    saved = compare.saved(path)
    if saved is not None:
        return saved
    with terminal.status(Path(path).name) as say:
        return engine.answers(path, names, progress=say, **how).to_json()
