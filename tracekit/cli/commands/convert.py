"""`tracekit convert`: a trace as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli import process


def register(app: typer.Typer) -> None:
    @app.command()
    def convert(
        trace: Annotated[str, typer.Argument(help="A Kineto trace; '-' is standard input.")],
        output: Annotated[Path, typer.Argument(help="Where it goes: OUT.parquet.")],
        strict: Annotated[bool, typer.Option("--strict", help="Refuse a damaged trace.")] = False,
    ) -> None:
        """Write a trace as Parquet, for pandas, polars and DuckDB; `analyze` reads it too."""
        from tracekit import extras
        from tracekit.results.units import bytes_, count
        from tracekit.trace import kineto, parquet
        from tracekit.trace.trace import TABLES

        extras.need("parquet", "pyarrow", where=output)  # before a long read
        found = kineto.load(trace, tables=frozenset(TABLES), strict=strict)
        rows = parquet.write(found, output)
        size = bytes_(output.stat().st_size)
        for loss in found.source.losses:
            process.complain(f"not in it: {loss.what}")
        process.say(f"{output}: {count(rows)} events in {size} (docs/reading.md names the columns)")
