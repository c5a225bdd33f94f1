"""Options that more than one command has; typer and the standard library only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A model of tracekit, hf:PATH_OR_ID, or package.module:ADAPTER."
    ),
]
MODEL_HELP = "The model"
DATA_HELP = "The input"
RUN_HELP = "How it runs"
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, cuda:1 …; a GPU where there is one.", rich_help_panel=RUN_HELP),
]
Warmup = Annotated[
    int, typer.Option(min=0, help="Requests before the clock runs.", rich_help_panel=RUN_HELP)
]
Sync = Annotated[
    bool,
    typer.Option(
        "--sync/--no-sync",
        help="Wait for the device at the end of each stage.",
        rich_help_panel=RUN_HELP,
    ),
]


@dataclass(frozen=True, slots=True)
class Reading:
    """What is asked of traces, and in which forms the answers are wanted."""

    only: Annotated[str | None, typer.Option(help="Names of analyses, with commas between.")] = None
    stages: Annotated[
        str | None, typer.Option(help="Annotations whose name matches are the stages.")
    ] = None
    full: Annotated[
        bool, typer.Option("--full", help="Print every table, not only the first screen.")
    ] = False
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON (docs/json.md) and nothing else.")
    ] = False
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
    ] = False
    csv: Annotated[Path | None, typer.Option(help="A folder for every table, whole, as CSV.")] = (
        None
    )
    html: Annotated[bool, typer.Option(help="Write the HTML page.")] = True
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where the page goes; else a name in reports/."),
    ] = None
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a damaged trace.")] = False

    @property
    def names(self) -> list[str] | None:
        """The analyses that are named; None for all."""
        if not self.only:
            return None
        return [name.strip() for name in self.only.split(",") if name.strip()]

    @property
    def printed(self) -> bool:
        """Whether the terminal gets a document instead of the first screen."""
        return self.as_json or self.as_markdown

    def page(self, default: Callable[[], Path]) -> Path | None:
        """Where the page goes, if one is wanted: with a printed document only where -o names it."""
        if not self.html:
            return None
        return self.output or (None if self.printed else default())


@dataclass(frozen=True, slots=True)
class Building:
    """How a model is built and what it is asked."""

    size: Annotated[
        str | None,
        typer.Option(
            help="full (as published) or tiny; full where the device has the memory for it.",
            rich_help_panel=MODEL_HELP,
        ),
    ] = None
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Published weights: a file or folder. Random without.",
            rich_help_panel=MODEL_HELP,
        ),
    ] = None
    prompt: Annotated[
        str | None,
        typer.Option(help="The question; the model's own without.", rich_help_panel=MODEL_HELP),
    ] = None
    seed: Annotated[
        int, typer.Option(help="Of random weights, data and sampling.", rich_help_panel=MODEL_HELP)
    ] = 0
    temperature: Annotated[
        float, typer.Option(min=0.0, help="0 is greedy.", rich_help_panel=MODEL_HELP)
    ] = 0.0
    top_p: Annotated[
        float,
        typer.Option("--top-p", min=0.0, max=1.0, help="Nucleus.", rich_help_panel=MODEL_HELP),
    ] = 1.0
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="An option of the model itself; repeatable. `tracekit models` lists them.",
            rich_help_panel=MODEL_HELP,
        ),
    ] = None

    def plan(self) -> dict[str, Any]:
        """As `capture.plan.plan` takes them. Raises: TracekitError for a --set without `=`."""
        fields = ("size", "checkpoint", "prompt", "seed", "temperature", "top_p")
        return {**{name: getattr(self, name) for name in fields}, "extra": pairs(self.set_)}


@dataclass(frozen=True, slots=True)
class Feeding:
    """What a model is fed."""

    data: Annotated[
        str,
        typer.Option(
            metavar="synthetic|PATH|NAME[:SUBSET]",
            help="Generated, a recording of yours, or a data set of tracekit.",
            rich_help_panel=DATA_HELP,
        ),
    ] = "synthetic"
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where the data set lies.", rich_help_panel=DATA_HELP),
    ] = None
    rate_hz: Annotated[
        float | None,
        typer.Option(
            "--rate-hz",
            min=0.001,
            help="Sampling rate of a recording that does not say.",
            rich_help_panel=DATA_HELP,
        ),
    ] = None
    data_option: Annotated[
        list[str] | None,
        typer.Option(
            "--data-option",
            metavar="NAME=VALUE",
            help="An option of the data set; repeatable. `tracekit datasets` lists them.",
            rich_help_panel=DATA_HELP,
        ),
    ] = None
    on_error: Annotated[
        str,
        typer.Option(
            metavar="raise|skip",
            help="A malformed row or record: refuse it, or leave it out and say so.",
            rich_help_panel=DATA_HELP,
        ),
    ] = "raise"
    trust_pickle: Annotated[
        bool,
        typer.Option(
            "--trust-pickle",
            help="Read pickled files, numpy arrays only, of whose origin you are sure.",
            rich_help_panel=DATA_HELP,
        ),
    ] = False

    def plan(self) -> dict[str, Any]:
        """As `capture.plan.plan` takes them. Raises: TracekitError for what is no choice."""
        from tracekit.capture.plan import value

        choice(self.on_error, ("raise", "skip"), "--on-error")
        given = pairs(self.data_option, "--data-option")
        found: dict[str, Any] = {name: value(text) for name, text in given.items()}
        if self.rate_hz is not None:
            found["rate_hz"] = self.rate_hz
        if self.on_error != "raise":
            found["on_error"] = self.on_error
        if self.trust_pickle:
            found["trust_pickle"] = True
        return {"data": self.data, "data_dir": self.data_dir, "data_options": found}


def pairs(given: list[str] | None, flag: str = "--set") -> dict[str, str]:
    """NAME=VALUE, repeated, as a mapping. Raises: TracekitError for one without `=`."""
    from tracekit.errors import TracekitError

    found = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise TracekitError("must be NAME=VALUE", where=f"{flag} {text}", hint="add the value")
        found[name.strip()] = value.strip()
    return found


def choice(value: str, known: tuple[str, ...], flag: str) -> str:
    """`value` if it is known. Raises: TracekitError where it is not."""
    from tracekit.errors import TracekitError

    if value not in known:
        raise TracekitError(
            "there is no such choice", where=f"{flag} {value}", hint=f"one of {', '.join(known)}"
        )
    return value


ATTENTION = ("sdpa", "eager", "flash")
CACHE = ("dynamic", "static")
