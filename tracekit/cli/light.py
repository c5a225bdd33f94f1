"""Commands that load little: help as plain text, and values as they were typed.

Help in boxes, and a library that validates a text to be a text, take longer to load than most
commands take to run; so do the options of all commands where only their names are shown.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

_WHOLE = 1000  # characters: no sentence is as long
_CHECKS = ("exists", "resolve_path", "writable", "allow_dash", "parser", "path_type")


class Command(TyperCommand):
    """A command whose options stand under the headings that they name."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _as_typed(super().get_params(ctx))

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


def _as_typed(params: list[Any]) -> list[Any]:
    """The options, each taking what was typed as it stands where that is its value."""
    for one in params:
        # an option of a typer that loads nothing for values has no such description
        kind = getattr(getattr(one, "type_descriptor", None), "annotation", None)
        if kind is not None and "process_value" not in vars(one):
            vars(one)["process_value"] = _taking(one, kind)
    return params


def _taking(one: Any, kind: Any) -> Callable[[Any, Any], Any]:
    """`one.process_value`, which is asked only for values that are more than what was typed."""
    whole, several = one.process_value, one.multiple or one.nargs != 1
    plain_path = kind is Path and not any(
        getattr(one.type_descriptor.parameter_info, check, None) for check in _CHECKS
    )

    def process(ctx: Any, value: Any) -> Any:
        if value is None and not one.required:
            taken: Any = () if several else None
        elif kind is str and isinstance(value, str) and not several:
            taken = value
        elif kind == list[str] and value and all(isinstance(text, str) for text in value):
            taken = list(value)
        # one that cannot be read is refused in typer's words
        elif plain_path and isinstance(value, str) and _may_be_read(value):
            taken = Path(value)
        else:
            return whole(ctx, value)
        return taken if one.callback is None else one.callback(ctx, one, taken)

    return process


def _may_be_read(path: str) -> bool:
    return os.access(path, os.R_OK) or not os.path.exists(path)


class Group(TyperGroup):
    """Commands with the whole first sentence of each."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _as_typed(super().get_params(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        named = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, one.get_short_help_str(limit=_WHOLE)) for name, one in named
            if one is not None and not one.hidden
        ]  # fmt: skip
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def listed(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command as a list of commands shows it: without its options."""

    def call() -> None:
        raise AssertionError("is listed only")

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    return call


def plain(group: typer.Typer) -> None:
    """Every command and group of commands below is such a one."""
    group.rich_markup_mode = None
    own = group.info.cls
    if not (isinstance(own, type) and issubclass(own, Group)):
        group.info.cls = Group
    for command in group.registered_commands:
        command.cls = Command
    for below in group.registered_groups:
        if below.typer_instance is not None:
            plain(below.typer_instance)
