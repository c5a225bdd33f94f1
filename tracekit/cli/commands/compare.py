"""`tracekit compare`: what changed between two traces, and what the change is made of."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tracekit.compare.compare import Comparison
    from tracekit.compare.runs import Run


def register(app: typer.Typer) -> None:
    @app.command("compare")
    def compare_runs(
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
        full: Annotated[
            bool, typer.Option("--full", help="Print every table, not only the first screen.")
        ] = False,
        as_markdown: Annotated[
            bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
        ] = False,
        csv: Annotated[Path | None, typer.Option(help="A folder for every table as CSV.")] = None,
        html: Annotated[bool, typer.Option(help="Write the HTML page.")] = True,
        output: Annotated[
            Path | None,
            typer.Option(
                "-o", "--output", help="Where the page goes; else reports/<before>-to-<after>.html."
            ),
        ] = None,
        strict: Annotated[bool, typer.Option("--strict", help="Refuse a damaged trace.")] = False,
    ) -> None:
        """What changed from BEFORE to AFTER: stages, kernels, new and gone ones, what to do.

        With --json or --markdown the page is only written where -o names it.
        """
        from tracekit.compare import compare, tables
        from tracekit.report import facts, text
        from tracekit.report.diff import page

        names = [n.strip() for n in only.split(",") if n.strip()] if only else None
        printed = as_json or as_markdown
        target = output or (_default(before, after) if html and not printed else None)
        runs = [_run(path, names, strict=strict, stages=stages) for path in (before, after)]
        result = compare.compare(*runs)
        said = []
        if csv is not None:
            files = text.write_grids(tables.tables(result), csv, "compare")
            said.append(f"tables: {len(files)} files in {csv}")
        if target is not None and html:
            page.write(result, target, command=facts.command())
            said.append(f"report: {target}")
        _print(result, as_json=as_json, as_markdown=as_markdown, full=full)
        sys.stdout.flush()
        if not printed and not full:
            files_ = shlex.join([before, after])
            said.append(f"next:   tracekit compare --full {files_} (every table)")
        for line in said:
            sys.stderr.write(f"{line}\n")


def _print(result: Comparison, *, as_json: bool, as_markdown: bool, full: bool) -> None:
    import json

    from tracekit.cli import terminal
    from tracekit.compare import tables
    from tracekit.report import text
    from tracekit.report.diff import page
    from tracekit.results.result import SCHEMA

    if as_json:
        document = {"schema": SCHEMA, "comparison": result.to_json()}
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    view = page.screen(result)
    title, subtitle = page.title(result), page.subtitle(result)
    if as_markdown:
        typer.echo("\n".join(text.screen(title, subtitle, view)))
        return
    out = terminal.console()
    if full:
        view = dataclasses.replace(view, grids=())
    terminal.screen(out, title, subtitle, view)
    for grid in tables.tables(result) if full else ():
        terminal.show(out, grid, 40, rest=terminal.ANALYZED)


def _default(before: str, after: str) -> Path:
    from tracekit.trace import run_facts

    name = f"{run_facts.stem(before)[:90]}-to-{run_facts.stem(after)[:90]}"
    return Path("reports") / f"{name}.html"


def _run(path: str, names: list[str] | None, *, strict: bool, stages: str | None) -> Run:
    """The answers of a trace, or those in a file that `tracekit analyze --json` wrote."""
    from tracekit.cli import terminal
    from tracekit.compare import runs
    from tracekit.results import engine

    saved = runs.saved(path)
    if saved is not None:
        return saved
    with terminal.status(Path(path).name) as say:
        return runs.of(engine.answers(path, names, strict=strict, progress=say, stages=stages))
