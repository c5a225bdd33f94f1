"""Options that more than one command has; typer and the standard library only."""

from __future__ import annotations

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

Size = Annotated[
    str | None,
    typer.Option(
        help="full (as published) or tiny; full where the device has the memory for it.",
        rich_help_panel=MODEL_HELP,
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        help="Published weights: a file or folder. Random without.", rich_help_panel=MODEL_HELP
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option(help="The question; the model's own without.", rich_help_panel=MODEL_HELP),
]
Seed = Annotated[
    int, typer.Option(help="Of random weights, data and sampling.", rich_help_panel=MODEL_HELP)
]
Temperature = Annotated[
    float, typer.Option(min=0.0, help="0 is greedy.", rich_help_panel=MODEL_HELP)
]
TopP = Annotated[
    float,
    typer.Option("--top-p", min=0.0, max=1.0, help="Nucleus.", rich_help_panel=MODEL_HELP),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="An option of the model itself; repeatable. `tracekit models` lists them.",
        rich_help_panel=MODEL_HELP,
    ),
]
Data = Annotated[
    str,
    typer.Option(
        metavar="synthetic|PATH|NAME[:SUBSET]",
        help="Generated, a recording of yours, or a data set of tracekit.",
        rich_help_panel=DATA_HELP,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where the data set lies.", rich_help_panel=DATA_HELP),
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate-hz",
        min=0.001,
        help="Sampling rate of a recording that does not say.",
        rich_help_panel=DATA_HELP,
    ),
]
DataOption = Annotated[
    list[str] | None,
    typer.Option(
        "--data-option",
        metavar="NAME=VALUE",
        help="An option of the data set; repeatable. `tracekit datasets` lists them.",
        rich_help_panel=DATA_HELP,
    ),
]
OnError = Annotated[
    str,
    typer.Option(
        metavar="raise|skip",
        help="A malformed row or record: refuse it, or leave it out and say so.",
        rich_help_panel=DATA_HELP,
    ),
]
TrustPickle = Annotated[
    bool,
    typer.Option(
        "--trust-pickle",
        help="Read pickled files, numpy arrays only, of whose origin you are sure.",
        rich_help_panel=DATA_HELP,
    ),
]
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


def data_options(
    given: list[str] | None,
    rate_hz: float | None,
    on_error: str = "raise",
    trust_pickle: bool = False,
) -> dict[str, Any]:
    """`--data-option` and the flags about data as keyword arguments of the data set."""
    from tracekit.capture.plan import value

    choice(on_error, ("raise", "skip"), "--on-error")
    found = {name: value(text) for name, text in pairs(given, "--data-option").items()}
    flags: dict[str, Any] = {} if rate_hz is None else {"rate_hz": rate_hz}
    if on_error != "raise":
        flags["on_error"] = on_error
    if trust_pickle:
        flags["trust_pickle"] = True
    return {**found, **flags}


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
