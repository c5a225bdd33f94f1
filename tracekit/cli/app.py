"""Joins the commands, and turns what a user can act on into one line on stderr.

A command is a module `tracekit/cli/commands/NAME.py` with `register(app)`. Such modules import
typer and the standard library only; all else is imported inside the command, so that --help is
quick.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import Annotated

import typer

from tracekit.cli import help, process, verbosity
from tracekit.version import __version__

app = typer.Typer(
    name="tracekit",
    help="Where the time goes in IMU multimodal LLMs: capture, read and explain Kineto traces.",
    epilog="Exit codes: 0 done, 1 something you can act on, 2 wrong usage, 3 slower than allowed, "
    "130 Ctrl-C, 143 SIGTERM (docs/commands.md).",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tracekit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
    quiet: verbosity.Quiet = False,
    verbose: verbosity.Verbose = False,
) -> None:
    verbosity.set_level(quiet, verbose)


def _join() -> None:
    package = importlib.import_module("tracekit.cli.commands")
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"tracekit.cli.commands.{found.name}")
        module.register(app)
    _hear(app)
    help.plain(app)


def _hear(group: typer.Typer) -> None:
    """Every command takes -q and -v, wherever it is registered."""
    for command in group.registered_commands:
        if command.callback is not None:
            command.callback = verbosity.hearing(command.callback)
    for below in group.registered_groups:
        if below.typer_instance is not None:
            _hear(below.typer_instance)


_join()


def main() -> None:
    """The console script; exit codes are those of `process`."""
    sys.exit(process.run(app))


if __name__ == "__main__":
    main()
