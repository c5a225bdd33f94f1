"""Options as dataclasses: the command line sees the fields, the command an object."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from tracekit.cli.groups import grouped
from tracekit.cli.options import Feeding, Reading
from tracekit.errors import TracekitError


@dataclass(frozen=True, slots=True)
class Size:
    width: Annotated[int, typer.Option(min=1, help="Of a row.")] = 3
    tall: Annotated[bool, typer.Option("--tall/--flat", help="Or flat.")] = False


def application() -> typer.Typer:
    app = typer.Typer()

    @app.command()
    @grouped
    def draw(name: str, *, before: int = 1, size: Size, after: int = 2) -> None:
        """Draw it."""
        typer.echo(f"{name} {before} {size} {after}")

    return app


def test_a_command_gets_its_options_as_an_object() -> None:
    run = CliRunner().invoke(application(), ["it", "--width", "5", "--tall", "--after", "7"])
    assert run.output == "it 1 Size(width=5, tall=True) 7\n"
    assert CliRunner().invoke(application(), ["it"]).output == "it 1 Size(width=3, tall=False) 2\n"
    assert CliRunner().invoke(application(), ["it", "--width", "0"]).exit_code == 2


def test_help_has_the_fields_where_the_object_stands() -> None:
    shown = CliRunner().invoke(application(), ["--help"]).output
    places = [shown.index(flag) for flag in ("--before", "--width", "--tall", "--after")]
    assert places == sorted(places)
    assert "Draw it." in shown
    assert "Of a row." in shown


def test_a_page_is_written_unless_a_document_is_printed_or_no_page_wanted() -> None:
    assert str(Reading().page(lambda: Path("p"))) == "p"
    assert Reading(as_json=True).page(lambda: Path("p")) is None
    assert str(Reading(as_json=True, output=Path("o")).page(lambda: Path("p"))) == "o"
    assert Reading(html=False, output=Path("o")).page(lambda: Path("p")) is None
    assert Reading(only=" a, b,").names == ["a", "b"]


def test_only_what_is_said_of_the_data_becomes_an_option_of_the_data_set() -> None:
    assert Feeding().plan()["data_options"] == {}
    said = Feeding(data_option=["noise=0"], rate_hz=50.0, on_error="skip", trust_pickle=True)
    wanted = {"noise": 0, "rate_hz": 50.0, "on_error": "skip", "trust_pickle": True}
    assert said.plan()["data_options"] == wanted
    with pytest.raises(TracekitError, match="no such choice"):
        Feeding(on_error="perhaps").plan()
