"""`tracekit bench MODEL` and `tracekit bench compare BASE NEW`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tracekit.cli import complete, for_ci, process, speculative
from tracekit.cli import options as opt
from tracekit.cli.light import Group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

SWEEP = "Swept where there are commas: every combination is a configuration"


class _RunByDefault(Group):
    """`bench MODEL …` is `bench run MODEL …`; the words of `register` are the others."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words = ("run", "speculative", "compare", "table", "-h", "--help")
        if args and args[0] not in words:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        item = type(super().shell_complete(ctx, "")[0])
        models = [item(name) for name in complete.models(incomplete)]
        return [*models, *super().shell_complete(ctx, incomplete)]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        cls=_RunByDefault,
        no_args_is_help=True,
        help="Time the stages on the wall clock: `bench MODEL …`, `bench speculative …`, "
        "`bench compare BASE NEW`, `bench table FILES…`.",
    )
    _register_run(group)
    speculative.register(group)
    _register_compare(group)
    _register_table(group)
    app.add_typer(group, name="bench")


def _axis(help_: str) -> object:
    return typer.Option(metavar="VALUE[,VALUE…]", help=help_, rich_help_panel=SWEEP)


@dataclass(frozen=True, slots=True)
class Sweep:
    """The axes of which every combination is timed."""

    batch_size: Annotated[str, _axis("Rows of each request.")] = "1"
    prompt_tokens: Annotated[str | None, _axis("Tokens to which the prompt is padded or cut.")] = (
        None
    )
    dtype: Annotated[str | None, _axis("float32, bfloat16, float16.")] = None
    attention: Annotated[str, _axis("sdpa, eager, flash.")] = "sdpa"
    cache: Annotated[str, _axis("dynamic, static.")] = "dynamic"
    compile_: Annotated[
        list[bool] | None,
        typer.Option(
            "--compile/--no-compile", help="torch.compile; both to compare.", rich_help_panel=SWEEP
        ),
    ] = None

    def axes(self) -> dict[str, list[Any]]:
        """The values of each axis. Raises: TracekitError for what is none."""
        kinds, caches = opt.values(self.attention, str), opt.values(self.cache, str)
        return {
            "dtype": opt.values(self.dtype, str),
            "attention": [opt.choice(one, opt.ATTENTION, "--attention") for one in kinds],
            "cache": [opt.choice(one, opt.CACHE, "--cache") for one in caches],
            "compile": list(dict.fromkeys(self.compile_ or [False])),
            "batch_size": opt.values(self.batch_size, int, "--batch-size"),
            "prompt_tokens": opt.values(self.prompt_tokens, int, "--prompt-tokens"),
        }


@dataclass(frozen=True, slots=True)
class Timing:
    """How often, and where, requests are timed."""

    samples: Annotated[int, typer.Option(help="Timed requests.", rich_help_panel=opt.RUN_HELP)] = (
        100
    )
    max_new_tokens: Annotated[
        int, typer.Option(help="Tokens of each.", rich_help_panel=opt.RUN_HELP)
    ] = 64
    warmup: opt.Warmup = 3
    device: opt.Device = None


Table = Annotated[
    str | None,
    typer.Option(
        "--table",
        metavar="markdown|latex|csv",
        help="Print the table of a paper and nothing else: mean ± std, device, dtype, n.",
    ),
]


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes in which a benchmark runs."""

    runs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Fresh processes, each with all requests: what differs between processes of "
            "the same thing is then in the intervals.",
            rich_help_panel=opt.RUN_HELP,
        ),
    ] = 1
    against: Annotated[
        str | None,
        typer.Option(
            metavar="PYTHON",
            help="Time the tracekit and torch of this python too, in turns, and compare.",
            rich_help_panel=opt.RUN_HELP,
        ),
    ] = None


def _register_run(group: typer.Typer) -> None:
    @group.command("run")
    def run(
        models: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="MODEL…",
                help="As for `tracekit capture`. Several take turns.",
                autocompletion=complete.models,
            ),
        ] = None,
        *,
        output: Annotated[
            Path | None,
            typer.Option(
                "-o", "--output", help="Where the JSON goes; page and tables lie beside it."
            ),
        ] = None,
        timing: Timing,
        sweep: Sweep,
        building: opt.Building,
        feeding: opt.Feeding,
        model_only: Annotated[
            str | None,
            typer.Option(
                metavar="NAME",
                help="Time one stage alone, its input on the device: encode or prefill of MODEL, "
                "or, without MODEL, the encoder of that name.",
            ),
        ] = None,
        trace: Annotated[
            bool,
            typer.Option("--trace", help="Capture too: profiled against unprofiled, busy, floor."),
        ] = False,
        processes: Processes,
        table: Table = None,
        force: opt.Force = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print the JSON and nothing else.")
        ] = False,
    ) -> None:
        """Time the stages of a model, or of several in turns, no profiler near."""
        import sys

        from tracekit.bench import runner

        opt.one_of({"--json": as_json, "--table": table is not None})
        every = list(dict.fromkeys(models or ()))
        name, stage = runner.subject(every[0] if every else None, model_only)
        form = _form(table)
        if output is not None:
            inputs = [*feeding.inputs, *building.inputs]
            _check(output, inputs, against=processes.against is not None, force=force)
        request = runner.Wanted(
            name=name, others=every[1:], axes=sweep.axes(), stage=stage, trace=trace,
            output=output, runs=processes.runs, against=processes.against, words=sys.argv[1:],
            plan={**dataclasses.asdict(timing), **building.plan(), **feeding.plan()},
        )  # fmt: skip
        _run(request, as_json, form)


def _check(output: Path, inputs: list[Path], *, against: bool, force: bool) -> None:
    """Raises: TracekitError where a file of the benchmark would replace what is none of ours."""
    from tracekit import files
    from tracekit.bench import file, paper
    from tracekit.report.html.page import is_page

    for path in [output, *([file.against(output)] if against else [])]:
        files.check(path, inputs=inputs, ours=file.is_benchmark, force=force)
    opt.ends(output, opt.JSON)
    if output.exists() and not output.is_file():  # a pipe, a device: nothing comes beside it
        return
    for form in paper.FORMS:
        place = paper.place(output, form)
        files.check(place, inputs=inputs, ours=paper.is_table, force=force)
    files.check(file.page_of(output), inputs=inputs, ours=is_page, force=force)


def _run(request: Any, as_json: bool, form: str | None) -> None:
    from rich.text import Text

    from tracekit.bench import runner
    from tracekit.cli import progress, terminal
    from tracekit.report import text_tables
    from tracekit.results.result import to_plain

    out = terminal.console()
    with progress.phases() as report:
        done = runner.run(request, report)
    files = dict(done.files)
    if done.charts and files["JSON"].is_file():  # nothing beside a pipe or a device
        from tracekit.bench.about import about
        from tracekit.bench.file import DEFINITIONS, page_of
        from tracekit.report import benchmark

        page = page_of(files["JSON"])
        files["page"] = benchmark.write(
            page, about(done.content), done.grids, done.charts, DEFINITIONS
        )
    if as_json:
        process.say_json(to_plain(done.content))
    elif form is not None:
        _say_table([done.content], form)
    else:
        _header(out, done.content, done.why)
        for grid in done.grids:
            text_tables.show(out, grid, most=60, rest="--json has them")
        for label, path in files.items():
            out.print(Text(f"{label + ':':<7} {path}"), soft_wrap=True)
        for line in done.next:
            process.hint(line)
    if done.interrupted:
        raise typer.Exit(130)
    if done.failed:
        raise typer.Exit(1)


def _header(out: Console, content: Mapping[str, Any], why: str) -> None:
    from tracekit.trace.capture_facts import caution

    device = content["environment"]["device"]
    out.print(f"{content['title']}, {why}, on {device['name']}", markup=False)
    rows = content.get("configurations") or []
    facts = [row.get("facts") or {} for row in rows]
    random = [one for one in facts if one.get("random_weights")]
    if random:
        models = {(row.get("axes") or {}).get("model") for row in rows}
        size = random[0].get("size")
        said = caution(content["title"], size, True, several=len(models) > 1)
        out.print(said or "Weights are random, on which the timing does not depend.", markup=False)
    out.print()


def _form(given: str | None) -> str | None:
    """A form of the table. Raises: UsageError for what is none."""
    from tracekit.bench import paper

    return None if given is None else opt.choice(given, tuple(paper.FORMS), "--table")


def _say_table(contents: Sequence[Mapping[str, object]], form: str) -> None:
    from tracekit.bench import paper

    process.say(paper.FORMS[form](paper.columns(contents)).rstrip("\n"))


def _register_table(group: typer.Typer) -> None:
    @group.command("table")
    def table(
        benchmarks: Annotated[
            list[Path], typer.Argument(help="The .json of each benchmark, a column each.")
        ],
        table: Annotated[
            str, typer.Option("--table", metavar="markdown|latex|csv", help="Which form to print.")
        ] = "markdown",
        output: Annotated[
            Path | None,
            typer.Option(
                "-o", "--output", help="A file for it: its ending says .md, .tex or .csv."
            ),
        ] = None,
        force: opt.Force = False,
    ) -> None:
        """The table of a paper: models as columns, mean ± std, n, device, dtype."""
        from tracekit import files
        from tracekit.bench import file, paper
        from tracekit.errors import UsageError

        form = _form(table) or "markdown"
        if output is not None:
            endings = {ending: name for name, ending in paper.ENDINGS.items()}
            found = endings.get(output.suffix.lower())
            if found is None:
                hint = f"end it in {', '.join(endings)}"
                raise UsageError("its ending says no form", where=output, hint=hint)
            form = found
            files.check(output, inputs=benchmarks, ours=paper.is_table, force=force)
        contents = [file.load(path) for path in benchmarks]
        if output is None:
            _say_table(contents, form)
            return
        process.say(f"table: {paper.write(paper.columns(contents), form, output)}")


def _register_compare(group: typer.Typer) -> None:
    @group.command("compare")
    def compare(
        base: Annotated[Path, typer.Argument(help="The .json of the benchmark before.")],
        new: Annotated[Path, typer.Argument(help="And of the one after.")],
        fail_slower_than: Annotated[
            str | None,
            typer.Option(
                metavar="SHARE",
                help="Exit 3 where something is slower beyond noise and by more, e.g. 5%.",
            ),
        ] = None,
        markdown: Annotated[
            bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
        annotations: for_ci.Annotations = False,
        junit: for_ci.JUnit = None,
        force: opt.Force = False,
    ) -> None:
        """Say what changed beyond noise from one benchmark to another, by their raw samples."""
        from rich.text import Text

        from tracekit.bench import comparison, file
        from tracekit.cli import terminal
        from tracekit.report import text_tables
        from tracekit.results import result

        opt.one_of({"--json": as_json, "--markdown": markdown})
        for_ci.check(junit, [base, new], force)
        limit = None if fail_slower_than is None else comparison.threshold(fail_slower_than)
        found = comparison.compare(file.load(base), file.load(new))
        if as_json:
            plain = result.to_plain(found)
            plain["regressions"] = result.to_plain(found.regressions(limit or 0.0))
            process.say_json(plain)
        elif markdown:
            process.say(comparison.markdown(found, limit).rstrip("\n"))
        else:
            out = terminal.console()
            text_tables.show(out, comparison.grid(found), most=200, rest="--json has them")
            for text in found.differing:
                out.print(Text(f"  differs: {text}"))
            for text in (*found.unmatched, *found.notes):
                out.print(Text(f"  {text}"))
            out.print(Text(comparison.verdict(found, limit)))
        if annotations or junit is not None:
            for_ci.tell(comparison.cases(found, limit or 0.0), annotations, junit)
        if limit is not None and found.regressions(limit):
            raise typer.Exit(3)
