"""`tracekit index`: traces of a fleet as one table, a row a trace and stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracekit.cli import complete, process
from tracekit.cli import options as opt

if TYPE_CHECKING:
    from tracekit.comparison.fleet.index import Update


def register(app: typer.Typer) -> None:
    @app.command()
    def index(
        named: Annotated[
            list[str],
            typer.Argument(
                metavar="TRACES...",
                help="Folders, patterns, archives, trace files.",
                autocompletion=complete.files,
            ),
        ],
        output: Annotated[
            Path,
            typer.Option(
                "-o",
                "--output",
                help="The index, which is brought up to date: .parquet, .csv or .jsonl.",
                autocompletion=complete.files,
            ),
        ],
        label: Annotated[
            str | None, typer.Option(help="A label for the traces that are new, as a commit.")
        ] = None,
        label_from: Annotated[
            str | None,
            typer.Option(metavar="REGEX", help="The label is its first group in the path."),
        ] = None,
        again: Annotated[
            bool, typer.Option("--again", help="Read unchanged traces anew too.")
        ] = False,
        *,
        spreading: opt.Spreading,
        force: opt.Force = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print JSON (docs/fleet.md) and nothing else.")
        ] = False,
    ) -> None:
        """Keep what traces say in one table: a row a trace and stage, for pandas, DuckDB, Polars.

        A second run reads only what is new or changed. Columns: docs/fleet.md.
        """
        from msgspec.structs import asdict

        from tracekit import files
        from tracekit.cli import terminal
        from tracekit.comparison.fleet import index as keeping
        from tracekit.comparison.fleet import store
        from tracekit.results.workers.run import Where
        from tracekit.trace.inputs.expand import expand

        opt.one_of({"--label": label is not None, "--label-from": label_from is not None})
        labels = keeping.labels(label, label_from)
        store.form(output)
        found = expand(named)
        files.check(output, inputs=found.paths, ours=store.is_index, force=force)
        if force and output.is_file() and not store.is_index(output):
            output.unlink()
        file = spreading.scheduler_file
        where = Where(spreading.workers, spreading.scheduler, None if file is None else str(file))
        with terminal.status(f"{len(found.paths)} files") as say:
            done = keeping.update(
                found.paths, output, label=labels, again=again, where=where, progress=say
            )
        for line in (*found.notes, *(f"error: {fault}" for fault in done.faults)):
            process.complain(line)
        if as_json:
            process.say_json({"index": str(output), **asdict(done)})
        elif done.traces or not done.faults:
            process.say(_said(done, output))
            if done.traces:
                process.hint(f"next:   tracekit trend {output}")
        if done.faults:
            raise typer.Exit(1)


def _said(done: Update, output: Path) -> str:
    from tracekit.results.units import plural

    parts = {
        "new": done.new, "changed": done.changed, "copied or moved": done.moved,
        "unchanged": done.unchanged, "no longer there": done.absent,
        "of which only the error is kept": done.unreadable,
    }  # fmt: skip
    told = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
    return f"{output}: {plural(done.traces, 'trace')}, {plural(done.rows, 'row')} ({told})"
