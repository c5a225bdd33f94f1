"""`speculative` in the place of a model: a draft and a target, for `capture` and `bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tracekit.cli import complete

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
