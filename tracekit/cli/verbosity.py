"""How much is said beside the results: `-q`, `-v`, before a command's name or among its options.

Results, warnings and errors are said always. Hints (`next: …`) and progress are not said with -q;
with -v every step is a line with its time, what the library logs is shown, and an error keeps its
traceback.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, get_type_hints

import typer

Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", help="No progress and no hints: results and errors only.")
]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="Say each step with its time, and why it failed.")
]
_level: ContextVar[int] = ContextVar("verbosity", default=0)


def set_level(quiet: bool, verbose: bool) -> None:
    """Raises: UsageError for both."""
    from tracekit.errors import UsageError

    if quiet and verbose:
        raise UsageError("cannot be combined", where="-q and -v", hint="give one of them")
    if not (quiet or verbose):
        return  # what stands before the command's name holds
    _level.set(-1 if quiet else 1)
    import logging  # which takes longer to load than a list of commands

    every = logging.getLogger("tracekit")
    if verbose:
        every.setLevel(logging.DEBUG)
        every.handlers = [logging.StreamHandler(sys.stderr)]


def quiet() -> bool:
    """Whether progress and hints are not wanted."""
    return _level.get() < 0


def verbose() -> bool:
    """Whether each step is wanted."""
    return _level.get() > 0


@contextmanager
def steps(subject: str) -> Iterator[Callable[[str], None]]:
    """A function that says on stderr what begins, a line each, and when: for -v."""
    import logging
    from time import perf_counter

    log, start = logging.getLogger("tracekit.cli"), perf_counter()

    def say(doing: str) -> None:
        log.info("%7.2f s  %s: %s", perf_counter() - start, subject, doing)

    yield say
    say("done")


def hearing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command as Typer reads it, with -q and -v beside its own options."""
    hints = get_type_hints(command, include_extras=True)
    own = [
        one.replace(annotation=hints.get(name, one.annotation))
        for name, one in inspect.signature(command).parameters.items()
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in (("quiet", Quiet), ("verbose", Verbose))
    ]

    def call(*positional: object, quiet: bool, verbose: bool, **given: object) -> object:
        set_level(quiet, verbose)
        return command(*positional, **given)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    call.__annotations__ = {one.name: one.annotation for one in (*own, *added)}
    call.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    return call
