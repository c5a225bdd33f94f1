"""Joins the commands, and turns what a user can act on into one line on stderr.

A command is a module `tracekit/cli/commands/NAME.py` with `register(app)`. Such modules import
typer and the standard library only; all else is imported inside the command, so that --help is
quick. Of a command line only the command that it names is joined; where it names none, what the
list of commands says of each.
"""

# ruff: noqa: E402
from __future__ import annotations

import gc

gc.disable()  # while this loads: that is many objects and no garbage

import atexit
import importlib
import os
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, NoReturn

import typer

from tracekit.cli import light, process, verbosity
from tracekit.cli.groups import grouped
from tracekit.version import __version__

gc.freeze()  # all of it stays
gc.enable()

_COMMANDS = "tracekit.cli.commands"
_COMPLETING = "_TRACEKIT_COMPLETE"  # the variable with which a shell asks for completions
# objects between two looks for garbage: packages and answers are many objects and no garbage.
# torch's own may be, and hold a GPU's memory
_OBJECTS, _MAKE_GARBAGE = 100_000, ("bench", "capture")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tracekit {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
    quiet: verbosity.Quiet = False,
    verbose: verbosity.Verbose = False,
) -> None:
    verbosity.set_level(quiet, verbose)


def _joined(modules: Iterable[str], *, listed: bool = False) -> typer.Typer:
    """The app with the commands of these modules; `listed`: to be listed only."""
    app = typer.Typer(
        name="tracekit",
        help="Where the time goes in IMU multimodal LLMs: capture, read and explain Kineto traces.",
        epilog="Exit codes: 0 done, 1 something you can act on, 2 wrong usage, 3 slower than "
        "allowed, 130 Ctrl-C, 143 SIGTERM (docs/commands.md).",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in modules:
        importlib.import_module(f"{_COMMANDS}.{name}").register(app)
    _make(app, light.listed if listed else _whole)
    light.plain(app)
    return app


def _modules() -> list[str]:
    package = importlib.import_module(_COMMANDS)
    return [found.name for found in pkgutil.iter_modules(package.__path__)]


def _named(line: Sequence[str]) -> str:
    """The module of the command that a command line names: before it stand flags only."""
    return next((word for word in line if not word.startswith("-")), "").replace("-", "_")


def _make(group: typer.Typer, made: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Every command, wherever it is registered, as it is made for Typer."""
    for command in group.registered_commands:
        if command.callback is not None:
            command.callback = made(command.callback)
    for below in group.registered_groups:
        if below.typer_instance is not None:
            _make(below.typer_instance, made)


def _whole(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the fields of its dataclasses for options, and with -q and -v."""
    return verbosity.hearing(grouped(command))


def __getattr__(name: str) -> typer.Typer:
    """`app`, with all commands, when it is first asked for."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made: typer.Typer = globals().setdefault(name, _joined(_modules()))
    return made


def run() -> int:
    """The exit code, as `process` has them, of the command that this process was started with."""
    named, modules = _named(sys.argv[1:]), _modules()
    if named not in _MAKE_GARBAGE:
        gc.set_threshold(_OBJECTS)
        # numpy starts a thread a core for products of matrices; no answer multiplies large ones
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    asked = _COMPLETING not in os.environ
    chosen = [named] if asked and named in modules else modules
    return process.run(_joined(chosen, listed=asked and not named))


def main() -> NoReturn:
    """The console script."""
    code = run()
    if _named(sys.argv[1:]) in _MAKE_GARBAGE:
        sys.exit(code)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Ends the process as `sys.exit` does, but frees no object: it goes with all that it has."""
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing ends a process
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
