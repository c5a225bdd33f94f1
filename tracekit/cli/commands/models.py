"""`tracekit models`: which models there are, and how to get their weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracekit.cli import complete, process
from tracekit.cli import options as opt

if TYPE_CHECKING:
    from rich.console import Console

    from tracekit.models.comparing import Comparison

LINES = ("input", "stages", "sizes", "parameters", "licence", "weights", "source", "prompt")


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="List the models, and fetch their weights.", invoke_without_command=True
    )
    app.add_typer(group, name="models")

    @group.callback()
    def models(
        context: typer.Context,
        as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    ) -> None:
        """List the models: parameters per component, input, licence, where weights come from."""
        if context.invoked_subcommand is None:
            _list_all(as_json)

    @group.command("list")
    def list_(
        as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    ) -> None:
        """List the models: parameters per component, input, licence, where weights come from."""
        _list_all(as_json)

    @group.command()
    def info(
        name: opt.ModelName,
        as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    ) -> None:
        """Say all there is to know of one model, its own options too."""
        _list([name], as_json)

    _register_compare(group)

    @group.command()
    def download(
        name: opt.ModelName,
        to: Annotated[
            Path | None,
            typer.Option(
                "-o", "--output-dir", "--to", help="The folder; of hf: models else the Hub's cache."
            ),
        ] = None,
        yes: Annotated[bool, typer.Option("--yes", help="Accept the licence unasked.")] = False,
    ) -> None:
        """Fetch a model's published weights, once its licence is accepted."""
        from tracekit.cli import terminal
        from tracekit.errors import TracekitError
        from tracekit.models import listing

        wanted, out = listing.download(name, to), terminal.console()
        out.print(f"{wanted.what}\nlicence: {wanted.terms}", markup=False)
        if not yes and not _accepted():
            raise TracekitError(
                "its terms were not accepted, and nothing was fetched",
                where=name, hint="answer y, or give --yes once you have read them",
            )  # fmt: skip
        wanted.start()
        out.print(f"{name} is in {wanted.where}", markup=False)
        if to is not None:
            process.hint(f"next: tracekit capture {name} --checkpoint {to}")


def _accepted() -> bool:
    """Whether the user says yes; not where nobody answers. Ctrl-C is Ctrl-C."""
    if sys.stdout is not None:
        sys.stdout.write("Do you accept these terms? [y/N] ")
        sys.stdout.flush()
    answer = sys.stdin.readline() if sys.stdin is not None else ""
    if not answer and sys.stdout is not None:
        sys.stdout.write("\n")
    return answer.strip().lower() in ("y", "yes")


def _register_compare(group: typer.Typer) -> None:
    @group.command()
    def compare(
        names: Annotated[
            list[str],
            typer.Argument(
                metavar="MODEL…", help="Models, a column each.", autocompletion=complete.models
            ),
        ],
        measured: Annotated[
            list[Path] | None,
            typer.Option(metavar="FILE", help="A benchmark's .json, or a capture, of one of them."),
        ] = None,
        on: Annotated[
            list[str] | None,
            typer.Option(
                metavar="DEVICE", help="Devices for the floors; H100 SXM, A100 SXM 80 GB and L40S."
            ),
        ] = None,
        dtype: Annotated[str, typer.Option(help="Of weights and caches.")] = "bfloat16",
        tokens: Annotated[int, typer.Option(min=2, help="Tokens that a request generates.")] = 128,
        table: Annotated[
            str | None,
            typer.Option("--table", metavar="markdown|latex", help="Print the tables of a paper."),
        ] = None,
        output: Annotated[
            Path | None, typer.Option("-o", "--output", help="Write a page too.")
        ] = None,
        force: opt.Force = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    ) -> None:
        """Models side by side: what they are, what they need at least, who can draft for whom."""
        from tracekit.bench import measured as of_files
        from tracekit.capture import metadata
        from tracekit.cli import terminal
        from tracekit.models import comparing
        from tracekit.report import model_tables
        from tracekit.results.result import to_plain

        opt.one_of({"--json": as_json, "--table": table is not None})
        form = None if table is None else opt.choice(table, tuple(model_tables.FORMS), "--table")
        if output is not None:
            from tracekit import files
            from tracekit.report.html.page import is_page

            files.check(output, inputs=measured or [], ours=is_page, force=force)
            opt.ends(output, opt.PAGE)
        with terminal.status(", ".join(names)) as doing:
            doing("counting what each needs")
            found = comparing.compare(
                names, dtype=dtype, on=on or comparing.DEVICES, tokens=tokens,
                measured=of_files.read(measured or []),
            )  # fmt: skip
        if as_json:
            process.say_json(to_plain(found), indent=2)
        elif form is not None:
            process.say(model_tables.FORMS[form](found).rstrip("\n"))
        else:
            _show_tables(found)
        if output is not None:
            page = model_tables.write(output, found, metadata.command())
            process.hint(f"page: {page}")


def _show_tables(found: Comparison) -> None:
    from tracekit.cli import terminal
    from tracekit.report import model_tables, text_tables

    out = terminal.console()
    for grid in model_tables.grids(found):
        text_tables.show(out, grid, most=60, rest="--json has them")


def _list_all(as_json: bool) -> None:
    from tracekit.models import entry as model_entry

    _list(list(model_entry.entries()), as_json)


def _list(names: list[str], as_json: bool) -> None:
    from contextlib import nullcontext

    from tracekit.cli import terminal
    from tracekit.models import listing

    out = terminal.console()
    with out.status("looking them up") if not as_json else nullcontext():
        found = [listing.about(name) for name in names]
    if as_json:
        process.say_json(found, indent=2)
        return
    for facts in found:
        _show(out, facts)


def _show(out: Console, facts: dict[str, Any]) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    counts = [f"{part} {count:,}" for part, count in facts["parameters"].items()]
    total = facts["parameters_total"]
    lines = {
        **facts,
        "stages": ", ".join(facts["stages"]),
        "sizes": ", ".join(facts["sizes"]),
        "parameters": f"{total:,} = {' + '.join(counts)}" if counts else "known once it is built",
        "prompt": facts["default_prompt"],
    }
    for line in LINES:
        if lines[line]:
            table.add_row(line, Text(str(lines[line])))
    for option, does in facts["options"].items():
        table.add_row(f"--set {option}=", Text(does))
    out.print(Text.assemble((facts["name"], "bold"), "  ", facts["title"]))
    out.print(Padding(table, (0, 0, 0, 2)))
    out.print()
