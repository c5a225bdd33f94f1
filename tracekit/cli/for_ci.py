"""What `--annotations` and `--junit` ask for, of any command that has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracekit.cli import process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracekit.report.ci import Case

Annotations = Annotated[
    bool,
    typer.Option("--annotations", help="Say what was found as GitHub annotations on stderr."),
]
JUnit = Annotated[Path | None, typer.Option(help="A file for what was found, as JUnit XML.")]


def check(junit: Path | None, inputs: Sequence[str | Path], force: bool) -> None:
    """Raises: TracekitError where the file would replace an input, or what is none of ours."""
    if junit is not None:
        from tracekit import files
        from tracekit.report import ci

        files.check(junit, inputs=inputs, ours=ci.is_junit, force=force)


def tell(cases: Sequence[Case], annotations: bool, junit: Path | None) -> None:
    """Writes and says what was asked for."""
    from tracekit.report import ci

    if junit is not None:
        process.complain(f"junit:  {ci.write(cases, junit)}")
    for line in ci.workflow_commands(cases) if annotations else ():
        process.complain(line)
