"""`tracekit export`: a trace rewritten for Perfetto, for sharing, or cut to what is of interest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tracekit.cli import options as opt
from tracekit.cli import process


def register(app: typer.Typer) -> None:
    @app.command()
    def export(
        trace: Annotated[Path, typer.Argument(help="A Kineto trace.")],
        place: Annotated[
            Path | None,
            typer.Argument(metavar="[OUT]", help="Where it goes; gzipped if it ends in .gz."),
        ] = None,
        output: opt.Output = None,
        only_stage: Annotated[
            str | None, typer.Option(help="Keep what ran in, and was launched from, this stage.")
        ] = None,
        from_: Annotated[
            str | None, typer.Option("--from", help="Keep from here: 12.5ms, 3s, 800us.")
        ] = None,
        to: Annotated[str | None, typer.Option("--to", help="Keep up to here.")] = None,
        drop: Annotated[
            str | None, typer.Option(help="Leave out categories, e.g. python_function,ac2g.")
        ] = None,
        tracks: Annotated[
            str | None, typer.Option(help="Add tracks of ours: stages,idle,queue.")
        ] = None,
        scrub: Annotated[
            bool,
            typer.Option("--scrub", help="Take out environment, host and user names, tokens."),
        ] = False,
        force: opt.Force = False,
    ) -> None:
        """Write a trace that Perfetto shows whole.

        Times given with --from and --to count from the trace's first slice; a number without a
        unit is in milliseconds.
        """
        from tracekit import files
        from tracekit.cli import terminal
        from tracekit.errors import UsageError
        from tracekit.report.tracks import asked
        from tracekit.results.units import bytes_, parse_duration
        from tracekit.trace.perfetto.export import Wanted, is_export
        from tracekit.trace.perfetto.export import export as write

        target = opt.place(place, output)
        if target.suffix == ".parquet":
            hint = f"tracekit convert {trace} {target}"
            raise UsageError("export writes JSON", where=target, hint=hint)
        files.check(target, inputs=[trace], ours=is_export, force=force)
        opt.ends(target, opt.TRACE)
        wanted = Wanted(
            from_ns=None if from_ is None else parse_duration(from_),
            to_ns=None if to is None else parse_duration(to),
            drop=_names(drop),
            scrub=scrub,
        )
        begin, end = wanted.from_ns, wanted.to_ns
        if begin is not None and end is not None and begin >= end:
            where = f"--from {from_}"
            raise UsageError(f"is not before --to {to}", where=where, hint="turn them round")
        out = terminal.console()
        with terminal.status(trace.name) as say:
            wanted = asked(trace, wanted, only_stage, _names(tracks))
            done = write(trace, target, wanted, say)
        kept = f"{done.slices_out:,} of {done.slices_in:,} slices"
        if done.slices_added:
            kept += f" and {done.slices_added:,} on tracks of ours"
        size = f", {bytes_(target.stat().st_size)}" if target.is_file() else ""
        out.print(f"{target}: {kept}{size}", markup=False)
        for words in done.cures:
            out.print(f"  {words}", markup=False)
        for kind, count in done.scrubbed.items():
            out.print(f"  taken out: {count:,} × {kind}", markup=False)
        if scrub and not done.scrubbed:
            said = "  nothing to take out: no environment, host or user name, token was found"
            out.print(said, markup=False, soft_wrap=True)
        process.hint(f"Next: tracekit open {target}")


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
