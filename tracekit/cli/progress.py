"""A progress bar that says which phase is under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tracekit.cli import verbosity

if TYPE_CHECKING:
    from rich.console import Console

EVERY = 10.0  # s between two lines of one phase in a log


@contextmanager
def phases() -> Iterator[Callable[[str, int, int | None], None]]:
    """A function (phase, done, of how many) that moves a bar on stderr; gone when all is done.

    Where stderr is no terminal, each phase is a line when it begins, and one every ten seconds;
    nothing is said with -q.
    """
    if verbosity.quiet():
        yield lambda _phase, _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tracekit.cli.plain_console import PlainConsole

    console = PlainConsole(stderr=True)
    if verbosity.verbose() or not console.is_terminal:
        with verbosity.steps("at") as step:
            yield in_a_log(step if verbosity.verbose() else lambda text: _line(console, text))
        return
    columns = (
        TextColumn("{task.description:<16}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def move(phase: str, done: int, total: int | None) -> None:
            bar.update(task, description=phase, completed=done, total=total)

        yield move


def in_a_log(
    say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
) -> Callable[[str, int, int | None], None]:
    """Says each phase the first time that it is heard of, and how far it is where it takes long."""
    said: set[str] = set()
    last = clock()

    def line(phase: str, done: int, total: int | None) -> None:
        nonlocal last
        if phase not in said:
            said.add(phase)
            say(f"{phase} ({total})" if total else phase)
        elif clock() - last >= EVERY and done:
            say(f"{phase}: {done} of {total}" if total else f"{phase}: {done}")
        else:
            return
        last = clock()

    return line


def _line(console: Console, text: str) -> None:
    console.print(f"{text} …", markup=False, highlight=False)
