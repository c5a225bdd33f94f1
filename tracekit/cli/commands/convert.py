"""`tracekit convert`: a trace as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli import options as opt
from tracekit.cli import process


def register(app: typer.Typer) -> None:
    @app.command()
    def convert(
        trace: Annotated[str, typer.Argument(help="A Kineto trace; '-' is standard input.")],
        place: Annotated[
            Path | None, typer.Argument(metavar="[OUT]", help="Where it goes: OUT.parquet.")
        ] = None,
        output: opt.Output = None,
        strict: Annotated[bool, typer.Option("--strict", help="Refuse a damaged trace.")] = False,
        force: opt.Force = False,
    ) -> None:
        """Write a trace as Parquet, for pandas, polars and DuckDB; `analyze` reads it too."""
        from tracekit import extras, files
        from tracekit.errors import UsageError
        from tracekit.results.units import bytes_, count
        from tracekit.trace import kineto, parquet
        from tracekit.trace.trace import TABLES

        target = opt.place(place, output)
        files.check(target, inputs=[trace], ours=parquet.is_ours, force=force)
        if target.suffix.lower() not in ("", ".parquet", ".parq", ".pq"):
            hint = "name it OUT.parquet; `tracekit analyze --csv FOLDER` writes tables as CSV"
            raise UsageError("Parquet is what convert writes", where=target, hint=hint)
        extras.need("parquet", "pyarrow", where=target)  # before a long read
        found = kineto.load(trace, tables=frozenset(TABLES), strict=strict)
        rows = parquet.write(found, target)
        size = bytes_(target.stat().st_size) if target.is_file() else "a stream"
        for loss in found.source.losses:
            process.complain(f"not in it: {loss.what}")
        process.say(f"{target}: {count(rows)} events in {size} (docs/reading.md names the columns)")
