"""Help as plain text: drawing it in boxes takes longer to load than most commands to run."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

_WHOLE = 1000  # characters: no sentence is as long


class Command(TyperCommand):
    """A command whose options stand under the headings that they name."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for one in self.get_params(ctx):
            said = one.get_help_record(ctx)
            if said is not None:
                named = one.rich_help_panel if isinstance(one, TyperOption) else "Arguments"
                panels.setdefault(named or "Options", []).append(said)
        for name in sorted(panels, key=lambda name: (name != "Arguments", name != "Options")):
            with formatter.section(name):
                formatter.write_dl(panels[name])


class Group(TyperGroup):
    """Commands with the whole first sentence of each."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, one.get_short_help_str(limit=_WHOLE)) for name, one in named
            if one is not None and not one.hidden
        ]  # fmt: skip
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def plain(group: typer.Typer) -> None:
    """Every command and group of commands below says its help so."""
    group.rich_markup_mode = None
    own = group.info.cls
    if not (isinstance(own, type) and issubclass(own, Group)):
        group.info.cls = Group
    for command in group.registered_commands:
        command.cls = Command
    for below in group.registered_groups:
        if below.typer_instance is not None:
            plain(below.typer_instance)
