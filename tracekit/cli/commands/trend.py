"""`tracekit trend`: what the traces of an index say over time, and since when another thing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracekit.cli import complete, process
from tracekit.cli import options as opt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracekit.comparison.fleet.cause import Cause
    from tracekit.comparison.fleet.trend import Trend

BY = ("date", "label")


def register(app: typer.Typer) -> None:
    @app.command()
    def trend(
        index: Annotated[
            Path,
            typer.Argument(
                help="What `tracekit index` wrote: .parquet, .csv or .jsonl.",
                autocompletion=complete.files,
            ),
        ],
        by: Annotated[
            str,
            typer.Option(
                metavar="date|label",
                help="In order of time, or of labels; a change then begins with a label.",
                autocompletion=lambda: list(BY),
            ),
        ] = "date",
        cause: Annotated[
            bool, typer.Option(help="Compare the traces on both sides of a change.")
        ] = True,
        output: Annotated[
            Path | None,
            typer.Option("-o", "--output", help="Where the page goes; else a name in reports/."),
        ] = None,
        html: Annotated[bool, typer.Option(help="Write the HTML page.")] = True,
        force: opt.Force = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print JSON (docs/fleet.md) and nothing else.")
        ] = False,
        as_markdown: Annotated[
            bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
        ] = False,
        csv: Annotated[
            Path | None, typer.Option(help="A folder for every table, whole, as CSV.")
        ] = None,
    ) -> None:
        """TTFT, TPOT, busy and findings over time; the first trace with a change, and its cause.

        Traces of the same model, device, dtype, batch and ranks are a series.
        """
        from tracekit import files
        from tracekit.cli import terminal
        from tracekit.comparison.fleet import cause as explaining
        from tracekit.comparison.fleet import store
        from tracekit.comparison.fleet import trend as trends
        from tracekit.report import facts
        from tracekit.report import trend as page
        from tracekit.report.html.page import is_page
        from tracekit.results.result import SCHEMA, to_plain

        opt.one_of({"--json": as_json, "--markdown": as_markdown})
        order = opt.choice(by, BY, "--by")
        target = output or (None if as_json or as_markdown else _default(index, order))
        if output is not None:
            files.check(output, inputs=[index], ours=is_page, force=force)
            opt.ends(output, opt.PAGE)
        elif html and target is not None:
            files.writable(target)
        if csv is not None:
            files.writable(csv / "table.csv")
        rows = store.read(index)
        with terminal.status(index.name) as say:
            say("looking for changes")
            found = trends.trend(rows, str(index), "label" if order == "label" else "date")
            causes: list[list[Cause]] = []
            for one in found.series:
                say("comparing both sides of changes")
                causes.append(explaining.causes(one, index, read=cause))
        said = []
        if csv is not None:
            files_ = page.write_csv(found, csv, inputs=[str(index)], force=force)
            said.append(f"tables: {len(files_)} files in {csv}")
        if html and target is not None:
            written = page.write(
                found, causes, target, command=facts.command(), asked=output is not None
            )
            said.append(f"report: {written}")
        if as_json:
            process.say_json({
                "schema": SCHEMA, "trend": found.to_json(), "causes": to_plain(causes),
            })  # fmt: skip
        elif as_markdown:
            process.say(page.markdown(found, causes))
        else:
            _show(found, causes)
        for line in said:
            process.complain(line)


def _default(index: Path, by: str) -> Path:
    return Path("reports") / f"{index.stem[:100]}-trend-by-{by}.html"


def _show(found: Trend, causes: Sequence[Sequence[Cause]]) -> None:
    from rich.text import Text

    from tracekit.cli import terminal
    from tracekit.comparison.fleet import tables
    from tracekit.report import text_tables
    from tracekit.results.units import plural

    out = terminal.console()
    for place, (one, own) in enumerate(zip(found.series, causes, strict=True), 1):
        out.print(Text(f"{one.title}: {plural(len(one.points), 'trace')}", style="bold"))
        for sentence in tables.sentences(one, own):
            out.print(Text(sentence), soft_wrap=True)
        for cause in own:
            process.hint(f"next:   {cause.command}")
        out.print()
        for grid in tables.grids(found, one, place):
            text_tables.show(out, grid, 20, rest="--json has them")
    for note in found.notes:
        out.print(Text(f"note: {note}"), soft_wrap=True)
