"""Options that more than one command has; typer and the standard library only."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracekit.cli import complete, for_ci

if TYPE_CHECKING:
    from tracekit.trace.trace import GivenModel

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model of tracekit, hf:PATH_OR_ID, or package.module:ADAPTER.",
        autocompletion=complete.models,
    ),
]
DatasetName = Annotated[
    str, typer.Argument(metavar="NAME", help="A data set.", autocompletion=complete.datasets)
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="The same as OUT, as other commands have it.")
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


FORCE = "Replace a file that is there and that tracekit has not written."
Force = Annotated[bool, typer.Option("--force", help=FORCE)]


@dataclass(frozen=True, slots=True)
class Reading:
    """What is asked of traces, and in which forms the answers are wanted."""

    only: Annotated[
        str | None,
        typer.Option(
            help="Names of analyses, with commas between; - and _ are alike.",
            autocompletion=complete.analyses,
        ),
    ] = None
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
        bool,
        typer.Option(
            "--markdown", help="Print Markdown, for a pull request; with --full every table."
        ),
    ] = False
    csv: Annotated[Path | None, typer.Option(help="A folder for every table, whole, as CSV.")] = (
        None
    )
    html: Annotated[bool, typer.Option(help="Write the HTML page.")] = True
    annotations: for_ci.Annotations = False
    junit: for_ci.JUnit = None
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where the page goes; else a name in reports/."),
    ] = None
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", help="The folder in which the page gets its usual name."),
    ] = None
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a damaged trace.")] = False
    graph_capture: Annotated[
        list[str] | None,
        typer.Option(
            "--graph-capture",
            metavar="TRACE",
            help="A trace in which graphs replayed here were captured: ops, shapes and modules of "
            "their nodes are read from it; repeatable. Else one beside the trace is looked for.",
        ),
    ] = None
    model_config: Annotated[
        str | None,
        typer.Option(
            "--model-config",
            metavar="CONFIG",
            help="The config.json (or its folder) of the Hugging Face model that ran, or a name of "
            "`tracekit models`: its dimensions are the sizes of kernels that recorded none.",
        ),
    ] = None
    tp: Annotated[
        int | None,
        typer.Option(
            "--tp",
            min=1,
            help="Ranks that share its weights (tensor parallel); else as the trace says.",
        ),
    ] = None
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="NAME",
            help="The device that ran, where the trace does not name it: its peaks and links.",
        ),
    ] = None
    force: Force = False

    def __post_init__(self) -> None:
        """Raises: UsageError for what cannot both be."""
        if self.device is not None:
            from tracekit.attribution.roofline.devices import datasheet

            datasheet(self.device)
        if self.tp is not None and self.model_config is None:
            from tracekit.errors import UsageError

            raise UsageError("needs --model-config", where="--tp", hint="name the model's too")
        one_of({"--json": self.as_json, "--markdown": self.as_markdown})
        one_of({"--output": self.output is not None, "--output-dir": self.output_dir is not None})

    def check(self, inputs: list[str], page: Path | None) -> None:
        """What is asked of the outputs before the reading; `page` is where the page will go.

        Raises: TracekitError where one would replace an input, or what is none of ours, or cannot
        be written.
        """
        from tracekit import files
        from tracekit.report.html.page import is_page

        named = [self.model_config] if self.model_config is not None else []
        inputs = [*inputs, *(self.graph_capture or ()), *named]
        for_ci.check(self.junit, inputs, self.force)
        if self.output is not None:
            files.check(self.output, inputs=inputs, ours=is_page, force=self.force)
            ends(self.output, PAGE)
        elif page is not None:
            files.writable(page)
        if self.csv is not None:
            files.writable(self.csv / "table.csv")

    @property
    def model(self) -> GivenModel | None:
        """The model that is named. Raises: UsageError for what is none."""
        if self.model_config is None:
            return None
        from tracekit.models import named

        return named.given(self.model_config, self.tp)

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
        """Where the page goes, if one is wanted: with a printed document only where it is named."""
        if not self.html:
            return None
        if self.output_dir is not None:
            return self.output_dir / default().name
        return self.output or (None if self.printed else default())


def ranks(text: str | None, count: int) -> list[int] | None:
    """The numbers of `--ranks`, `0-7,12`, one for each of `count` traces.

    Raises: UsageError for other text, another number of them, or one that is there twice.
    """
    if text is None:
        return None
    from tracekit.errors import UsageError

    spans = [re.fullmatch(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*", part) for part in text.split(",")]
    found = [
        number
        for span in spans if span is not None
        for number in range(int(span[1]), int(span[2] or span[1]) + 1)
    ]  # fmt: skip
    if None in spans or len(set(found)) < len(found):
        raise UsageError(
            "are no ranks, each once", where=f"--ranks {text}", hint="for instance 0-7, or 0,1,4"
        )
    if len(found) != count:
        raise UsageError(
            f"are {len(found)} ranks, and {count} traces are named", where=f"--ranks {text}",
            hint="name a rank for each, in the order of the files",
        )  # fmt: skip
    return found


WORKERS_HELP = "Who reads several traces"


@dataclass(frozen=True, slots=True)
class Spreading:
    """Who reads the traces, where there are several."""

    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that read traces; 1 is this one. Else as many as there are cores and "
            "memory for, where that is worth their start.",
            rich_help_panel=WORKERS_HELP,
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="tcp://HOST:PORT",
            help="A dask scheduler, whose workers read them (docs/scale.md).",
            rich_help_panel=WORKERS_HELP,
        ),
    ] = None
    scheduler_file: Annotated[
        Path | None,
        typer.Option(
            "--scheduler-file",
            help="The file in which a dask scheduler wrote its address.",
            rich_help_panel=WORKERS_HELP,
        ),
    ] = None

    def __post_init__(self) -> None:
        """Raises: UsageError for more than one of them."""
        one_of({
            "--workers": self.workers is not None, "--scheduler": self.scheduler is not None,
            "--scheduler-file": self.scheduler_file is not None,
        })  # fmt: skip

    @property
    def elsewhere(self) -> bool:
        """Whether a cluster is named."""
        return self.scheduler is not None or self.scheduler_file is not None


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

    @property
    def inputs(self) -> list[Path]:
        """What an output must not replace."""
        return [self.checkpoint] if self.checkpoint else []

    def plan(self) -> dict[str, Any]:
        """As `capture.plan.plan` takes them. Raises: TracekitError for a --set without `=`."""
        fields = ("size", "checkpoint", "prompt", "seed", "temperature", "top_p")
        return {**{name: getattr(self, name) for name in fields}, "extra": pairs(self.set_)}


@dataclass(frozen=True, slots=True)
class Execution:
    """How the model computes."""

    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32, bfloat16, float16; float32 on the CPU, bfloat16 on a GPU.",
            rich_help_panel=RUN_HELP,
        ),
    ] = None
    device: Device = None
    batch_size: Annotated[
        int, typer.Option(help="Rows of each request.", rich_help_panel=RUN_HELP)
    ] = 1
    attention: Annotated[
        str, typer.Option(help="sdpa, eager or flash.", rich_help_panel=RUN_HELP)
    ] = "sdpa"
    cache: Annotated[str, typer.Option(help="dynamic or static.", rich_help_panel=RUN_HELP)] = (
        "dynamic"
    )
    compile_: Annotated[
        bool,
        typer.Option("--compile/--no-compile", help="torch.compile.", rich_help_panel=RUN_HELP),
    ] = False

    def plan(self) -> dict[str, Any]:
        """As `capture.plan.plan` takes them. Raises: TracekitError for what is no choice."""
        return {
            "dtype": self.dtype,
            "device": self.device,
            "batch_size": self.batch_size,
            "attention": choice(self.attention, ATTENTION, "--attention"),
            "cache": choice(self.cache, CACHE, "--cache"),
            "compile": self.compile_,
        }


@dataclass(frozen=True, slots=True)
class Feeding:
    """What a model is fed."""

    data: Annotated[
        str,
        typer.Option(
            metavar="synthetic|PATH|NAME[:SUBSET]",
            help="Generated, a recording of yours, or a data set of tracekit.",
            autocompletion=complete.data,
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

    @property
    def inputs(self) -> list[Path]:
        """What an output must not replace."""
        return [Path(self.data), *([self.data_dir] if self.data_dir else [])]

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


def place(argument: Path | None, option: Path | None) -> Path:
    """Where the output goes, by its place or by --output. Raises: UsageError for none, or both."""
    from tracekit.errors import UsageError

    one_of({"OUT": argument is not None, "--output": option is not None})
    found = argument or option
    if found is None:
        raise UsageError("no file to write to", where="OUT", hint="name a file with --output")
    return found


PAGE, TRACE, JSON = (".html", ".htm"), (".json", ".gz"), (".json",)


def ends(output: Path, endings: tuple[str, ...]) -> None:
    """Nothing where the name of an output says what will be in it, or nothing at all.

    Raises: UsageError for a name that says another thing, as x.txt for a trace.
    """
    from tracekit.errors import UsageError

    through = output.exists() and not output.is_file()  # a pipe, a device
    if not through and output.suffix and output.suffix.lower() not in endings:
        raise UsageError(
            f"ends in {output.suffix}, and what comes is {' or '.join(endings)}",
            where=output, hint=f"name it {output.stem}{endings[0]}",
        )  # fmt: skip


def one_of(given: Mapping[str, bool]) -> None:
    """Raises: UsageError where more than one of the options is given."""
    from tracekit.errors import UsageError

    both = [flag for flag, there in given.items() if there]
    if len(both) > 1:
        raise UsageError("cannot be combined", where=" and ".join(both), hint="give one of them")


def pairs(given: list[str] | None, flag: str = "--set") -> dict[str, str]:
    """NAME=VALUE, repeated, as a mapping. Raises: UsageError for one without `=`."""
    from tracekit.errors import UsageError

    found = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError("must be NAME=VALUE", where=f"{flag} {text}", hint="add the value")
        found[name.strip()] = value.strip()
    return found


def choice(value: str, known: tuple[str, ...], flag: str) -> str:
    """`value` if it is known. Raises: UsageError where it is not."""
    from tracekit.errors import UsageError

    if value not in known:
        raise UsageError(
            "there is no such choice", where=f"{flag} {value}", hint=f"one of {', '.join(known)}"
        )
    return value


def values(text: str | None, kind: type, flag: str = "") -> list[Any]:
    """The values of an axis: [None] where it was not given. Raises: TracekitError."""
    from tracekit.errors import UsageError

    if text is None:
        return [None]
    try:
        found = [kind(part.strip()) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or (kind is int and min(found) < 1):
        raise UsageError(
            "must be whole numbers from 1 on", where=f"{flag} {text}", hint="for instance 1,4,16"
        )
    return list(dict.fromkeys(found))


ATTENTION = ("sdpa", "eager", "flash")
CACHE = ("dynamic", "static")
