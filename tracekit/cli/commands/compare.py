"""`tracekit compare`: what changed between two traces, and what the change is made of."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracekit.cli import for_ci, process
from tracekit.cli import options as opt
from tracekit.cli.groups import grouped

if TYPE_CHECKING:
    from tracekit.compare.compare import Comparison
    from tracekit.compare.runs import Run
    from tracekit.report.ci import Case


def register(app: typer.Typer) -> None:
    @app.command("compare")
    @grouped
    def compare_runs(
        before: Annotated[str, typer.Argument(help="A trace, or the JSON that analyze printed.")],
        after: Annotated[str, typer.Argument(help="The same of the other run.")],
        reading: opt.Reading,
    ) -> None:
        """What changed from BEFORE to AFTER: stages, kernels, new and gone ones, what to do.

        With --json or --markdown the page is only written where -o names it.
        """
        from tracekit.compare import compare

        reading.check([before, after])
        result = compare.compare(*(_run(path, reading) for path in (before, after)))
        said = _write(result, reading.page(lambda: _default(before, after)), reading)
        _print(result, reading)
        sys.stdout.flush()
        for line in said:
            process.complain(line)
        if reading.annotations or reading.junit is not None:
            group = f"{before} → {after}"
            for_ci.tell(_cases(group, result), reading.annotations, reading.junit)
        if not reading.printed and not reading.full:
            files = shlex.join([before, after])
            more = f"next:   tracekit compare --full {files} (every table)"
            process.hint(more, process.complain)


def _cases(group: str, result: Comparison) -> list[Case]:
    from tracekit.report import ci
    from tracekit.report.diff import page

    return ci.of_view(group, page.screen(result))


def _write(result: Comparison, target: Path | None, reading: opt.Reading) -> list[str]:
    """Writes the files that are wanted; a line for each."""
    from tracekit.compare import tables
    from tracekit.report import facts, text
    from tracekit.report.diff import page

    said = []
    if reading.csv is not None:
        wanted = text.sheets(tables.tables(result), reading.csv, "compare")
        inputs = [result.before, result.after]
        files = text.write_sheets(wanted, inputs=inputs, force=reading.force)
        said.append(f"tables: {len(files)} files in {reading.csv}")
    if target is not None:
        asked = reading.output is not None
        written = page.write(result, target, command=facts.command(), asked=asked)
        said.append(f"report: {written}")
    return said


def _print(result: Comparison, reading: opt.Reading) -> None:
    from tracekit.cli import terminal
    from tracekit.compare import tables
    from tracekit.report import text
    from tracekit.report.diff import page
    from tracekit.results.result import SCHEMA

    if reading.as_json:
        document = {"schema": SCHEMA, "comparison": result.to_json()}
        process.say_json(document)
        return
    view = page.screen(result)
    title, subtitle = page.title(result), page.subtitle(result)
    if reading.as_markdown:
        shown = view if reading.full else text.short(view)
        process.say("\n".join(text.screen(title, subtitle, shown)))
        return
    out = terminal.console()
    if reading.full:
        view = dataclasses.replace(view, grids=())
    terminal.screen(out, title, subtitle, view)
    for grid in tables.tables(result) if reading.full else ():
        terminal.show(out, grid, 40, rest=terminal.ANALYZED)


def _default(before: str, after: str) -> Path:
    from tracekit.trace import run_facts

    name = f"{run_facts.stem(before)[:90]}-to-{run_facts.stem(after)[:90]}"
    return Path("reports") / f"{name}.html"


def _run(path: str, reading: opt.Reading) -> Run:
    """The answers of a trace, or those in a file that `tracekit analyze --json` wrote."""
    from tracekit.cli import terminal
    from tracekit.compare import runs
    from tracekit.results import engine

    saved = runs.saved(path)
    if saved is not None:
        return saved
    with terminal.status(Path(path).name) as say:
        found = engine.answers(
            path, reading.names, strict=reading.strict, progress=say, stages=reading.stages,
            graph_capture=reading.graph_capture or (),
        )  # fmt: skip
    return runs.of(found)
