"""`speculative` in the place of a model: a draft and a target, for `capture` and `bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracekit.cli import complete, process
from tracekit.cli import options as opt

if TYPE_CHECKING:
    from tracekit.models.speculative.entry import Asked

NAME = "speculative"
HELP = "Of MODEL speculative: one model drafts, another one verifies"


@dataclass(frozen=True, slots=True)
class Pairing:
    """Who drafts for whom."""

    draft: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL|ngram",
            help="The model that drafts; ngram looks the tokens up in prompt and text.",
            autocompletion=complete.models,
            rich_help_panel=HELP,
        ),
    ] = None
    target: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model whose text it is; --checkpoint and --set are of it, "
            "--set draft.NAME=VALUE of the draft.",
            autocompletion=complete.models,
            rich_help_panel=HELP,
        ),
    ] = None
    gamma: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens drafted in a round, 4 by default.", rich_help_panel=HELP),
    ] = None
    translate: Annotated[
        bool,
        typer.Option(
            "--translate",
            help="Draft through text, where the two have different tokenizers.",
            rich_help_panel=HELP,
        ),
    ] = False
    draft_checkpoint: Annotated[
        Path | None,
        typer.Option(help="Weights of the draft. Random without.", rich_help_panel=HELP),
    ] = None

    def asked(self, model: str) -> Asked | None:
        """The pair, where MODEL is `speculative`. Raises: UsageError for half of one, or none."""
        from tracekit.errors import UsageError

        if model != NAME:
            if self != Pairing():
                raise UsageError(
                    "--draft, --target, --gamma and --translate are of a pair",
                    where=model,
                    hint=f"tracekit capture {NAME} --draft eventgpt --target {model}",
                )
            return None
        if self.draft is None or self.target is None:
            raise UsageError(
                "a pair is a draft and a target",
                where=NAME,
                hint="for instance --draft eventgpt --target onellm; --draft ngram needs no model",
            )
        from tracekit.models.speculative.entry import Asked

        return Asked(
            draft=self.draft,
            target=self.target,
            gamma=self.gamma or 4,
            translate=self.translate,
            draft_checkpoint=self.draft_checkpoint,
        )


# ---------------------------------------------------------------- bench

PAIRS = "Pairs: every combination of draft and gamma takes turns with the target alone"


def register(group: typer.Typer) -> None:
    @group.command("speculative")
    def speculative(
        *,
        draft: Annotated[
            str,
            typer.Option(
                metavar="MODEL|ngram[,…]",
                help="Models that draft; ngram looks tokens up in prompt and text.",
                autocompletion=complete.models,
                rich_help_panel=PAIRS,
            ),
        ],
        target: Annotated[
            str,
            typer.Option(
                metavar="MODEL",
                help="The model whose text it is; --checkpoint and --set are of it, "
                "--set draft.NAME=VALUE of the draft.",
                autocompletion=complete.models,
                rich_help_panel=PAIRS,
            ),
        ],
        gamma: Annotated[
            str,
            typer.Option(
                metavar="N[,N…]", help="Tokens drafted in a round.", rich_help_panel=PAIRS
            ),
        ] = "1,2,4,8",
        translate: Annotated[
            bool,
            typer.Option(
                "--translate",
                help="Draft through text, where tokenizers differ.",
                rich_help_panel=PAIRS,
            ),
        ] = False,
        draft_checkpoint: Annotated[
            Path | None,
            typer.Option(help="Weights of the draft. Random without.", rich_help_panel=PAIRS),
        ] = None,
        predict: Annotated[
            bool,
            typer.Option(
                "--predict",
                help="Run nothing: memory, floors and break-even of the published sizes on "
                "H100, A100 and L40S; --draft tinyllama is a shape of 1.1 B.",
                rich_help_panel=PAIRS,
            ),
        ] = False,
        samples: Annotated[
            int, typer.Option(help="Timed requests.", rich_help_panel=opt.RUN_HELP)
        ] = 20,
        max_new_tokens: Annotated[
            int, typer.Option(help="Tokens of each.", rich_help_panel=opt.RUN_HELP)
        ] = 64,
        warmup: opt.Warmup = 3,
        execution: opt.Execution,
        building: opt.Building,
        feeding: opt.Feeding,
        output: Annotated[
            Path | None, typer.Option("-o", "--output", help="Where the JSON goes.")
        ] = None,
        force: opt.Force = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print the JSON and nothing else.")
        ] = False,
    ) -> None:
        """Time drafts and their target against the target alone: acceptance, speed-up, costs."""
        from tracekit.bench.speculative import run as bench

        drafts = [one.strip() for one in draft.split(",") if one.strip()]
        gammas = opt.values(gamma, int, "--gamma")
        if predict:
            _predict(drafts, target, execution.dtype or "bfloat16", gammas)
            return
        if output is not None:
            from tracekit import files
            from tracekit.bench.file import is_benchmark, page_of
            from tracekit.report.html.page import is_page

            inputs = [*feeding.inputs, *building.inputs]
            files.check(output, inputs=inputs, ours=is_benchmark, force=force)
            files.check(page_of(output), inputs=inputs, ours=is_page, force=force)
            opt.ends(output, opt.JSON)
        wanted = bench.Wanted(
            target=target, drafts=drafts, gammas=gammas, translate=translate,
            draft_checkpoint=draft_checkpoint, output=output,
            plan={**execution.plan(), **building.plan(), **feeding.plan(), "samples": samples,
                  "max_new_tokens": max_new_tokens, "warmup": warmup},
        )  # fmt: skip
        _run(wanted, as_json)


def _run(wanted: object, as_json: bool) -> None:
    from rich.text import Text

    from tracekit.bench.speculative import page
    from tracekit.bench.speculative import run as bench
    from tracekit.cli import progress, terminal
    from tracekit.report import text_tables
    from tracekit.results.result import to_plain

    assert isinstance(wanted, bench.Wanted)
    with progress.phases() as report:
        done = bench.run(wanted, report)
    places = dict(done.files)
    if done.charts:
        from tracekit.bench.file import page_of
        from tracekit.report import benchmark

        about = page.about(done.content)
        places["page"] = benchmark.write(
            page_of(places["JSON"]), about, done.grids, done.charts, page.definitions()
        )
    if as_json:
        process.say_json(to_plain(done.content))
    else:
        out = terminal.console()
        device = done.content["environment"]["device"]
        title = f"Drafts for {wanted.target}, {done.why}, on {device['name']}"
        out.print(Text(title), soft_wrap=True)
        for grid in done.grids:
            text_tables.show(out, grid)
        for label, path in places.items():
            out.print(Text(f"{label + ':':<7} {path}"), soft_wrap=True)
        for row in done.content["speculative"]["rows"] if done.failed else ():
            out.print(Text(f"{row['draft']}, γ {row['gamma']}: {row['error'] or 'no request'}"))
    if done.interrupted:
        raise typer.Exit(130)
    if done.failed:
        raise typer.Exit(1)


def _predict(drafts: list[str], target: str, dtype: str, gammas: list[int]) -> None:
    from tracekit import extras
    from tracekit.cli import terminal
    from tracekit.report import text_tables

    extras.need("capture", "torch", "transformers", where="--predict")
    from tracekit.models.speculative import full_size

    out = terminal.console()
    for draft in drafts:
        found = full_size.full_size(draft, target, dtype=dtype, gammas=gammas)
        for grid in (full_size.memory_grid, full_size.ahead_grid, full_size.grid):
            text_tables.show(out, grid(found))
