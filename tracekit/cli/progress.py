"""A progress bar that says which phase is under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def phases() -> Iterator[Callable[[str, int, int | None], None]]:
    """A function (phase, done, of how many) that moves a bar on stderr; gone when all is done.

    Where stderr is no terminal, each phase is one line, said once.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from tracekit.cli.plain_console import PlainConsole

    console = PlainConsole(stderr=True)
    if not console.is_terminal:
        said: set[str] = set()

        def line(phase: str, _done: int, total: int | None) -> None:
            if phase not in said:
                said.add(phase)
                count = f" ({total})" if total else ""
                console.print(f"{phase}{count} …", markup=False, highlight=False)

        yield line
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
