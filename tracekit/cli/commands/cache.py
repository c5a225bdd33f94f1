"""`tracekit cache`: what is kept of large traces between runs."""

from __future__ import annotations

import typer

from tracekit.cli import process


def register(app: typer.Typer) -> None:
    commands = typer.Typer(help="What is kept of large traces between runs.", no_args_is_help=True)
    app.add_typer(commands, name="cache")

    @commands.command()
    def show() -> None:
        """Say where the cache is, and how much is in it."""
        from tracekit.results.units import bytes_
        from tracekit.trace import cache

        place = cache.folder()
        if place is None:
            process.say("the cache is off (TRACEKIT_CACHE=off)")
            return
        number, size = cache.usage()
        process.say(f"{place}: {number} traces, {bytes_(size)}")

    @commands.command()
    def clear() -> None:
        """Remove all that is kept."""
        from tracekit.results.units import bytes_
        from tracekit.trace import cache

        number, size = cache.clear()
        process.say(f"removed {number} traces, {bytes_(size)}")
