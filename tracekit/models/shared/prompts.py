"""Conversation templates: a question, or several turns, as the text each model was trained on.

Source: the texts are those that the original prompt builders print; golden/prompts.json holds them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.errors import TracekitError
from tracekit.models.shared.tokenizers import SentencePiece, Tokenizer, fit, with_marker

if TYPE_CHECKING:
    from tracekit.models.shared.golden import Golden

GOLDENS = ("prompts",)
TOKENIZER_VARIABLE = "TRACEKIT_LLAMA_TOKENIZER"  # path of LLaMA's tokenizer.model, for ids

_HUMAN = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_USER = _HUMAN.replace("human", "user")
_SENSORS = (  # no space after "questions.": so it was trained
    "The user provides accelerometer and gyroscope sensor data besides the questions. "
    "The assistant understands and analyzes the sensor data in the context of the questions."
)


@dataclass(frozen=True, slots=True)
class Template:
    """How turns become one text. Turns alternate, the user's first."""

    system: str
    roles: tuple[str, str]
    after_system: str
    after_user: str
    after_answer: str
    around_turn: str = ""  # between a turn's text and the separator
    lead: str = ""  # before the first question: where the sensor's tokens go
    mark: str = ""  # the part of `lead` that those tokens replace

    def text(self, turns: Sequence[str]) -> str:
        """The prompt, up to where the answer begins. `turns`: question, answer, …, question."""
        parts = [self.system, self.after_system]
        for number, turn in enumerate(turns):
            said = self.lead + turn if number == 0 else turn
            after = self.after_answer if number % 2 else self.after_user
            parts += [self.roles[number % 2], ": ", said, self.around_turn, after]
        return "".join([*parts, self.roles[1], ":"])


def _two(system: str, lead: str, mark: str) -> Template:
    """LLaVA's separator style "two"."""
    return Template(system, ("USER", "ASSISTANT"), " ", " ", "</s>", lead=lead, mark=mark)


IMAGE, EVENT = "<image>", "<event>"
TEMPLATES = {
    "onellm": {
        "v1": Template(_HUMAN, ("Human", "Assistant"), "\n\n###", "###", "###", around_turn="\n")
    },
    "llasa": {
        "llava_v1": _two(_HUMAN + _SENSORS, f"{IMAGE}\n", IMAGE),
        "v1": _two(_USER, f"{IMAGE}\n", IMAGE),
        "llava_v0": Template(
            _HUMAN,
            ("Human", "Assistant"),
            "###",
            "###",
            "###",
            lead=f"{IMAGE}\n",
            mark=IMAGE,
        ),
    },
    "eventgpt": {"eventgpt_v1": _two(_HUMAN, f"<ev_start>{EVENT}<ev_end>\n", EVENT)},
}


def template(model: str, name: str) -> Template:
    """A model's template by name. Raises: TracekitError for an unknown one."""
    known = TEMPLATES[model]
    if name not in known:
        raise TracekitError(
            f"{model} has no such template", where=name, hint=f"known: {', '.join(known)}"
        )
    return known[name]


def ids(form: Template, tokenizer: Tokenizer, turns: Sequence[str]) -> list[int]:
    """The prompt's token ids, with MARKER where the sensor's tokens go."""
    text = form.text(turns)
    return with_marker(tokenizer, text, form.mark) if form.mark else tokenizer.encode(text)


def asked(
    form: Template, tokenizer: Tokenizer, question: str, tokens: int | None
) -> tuple[str, list[int]]:
    """The text that a model sees for one question, and its ids with a marker for the sensor.

    The ids are cut or padded to `tokens`, markers not counted. Raises: TracekitError for a question
    that holds the marker itself.
    """
    if form.mark in question:
        raise TracekitError(
            f"the prompt holds {form.mark}, which the template puts in itself",
            where="--prompt",
            hint="leave it out",
        )
    filler = tokenizer.encode("\n", bos=False)[-1]
    return form.text([question]), fit(ids(form, tokenizer, [question]), tokens, filler=filler)


def golden(case: Golden) -> dict[str, object]:
    """Every prompt of prompts.json; its ids too where LLaMA's tokenizer.model is at hand."""
    out: dict[str, Any] = {}
    named = os.environ.get(TOKENIZER_VARIABLE)
    for number, asked in enumerate(case.sidecar["cases"]):
        label = f"{number:02}.{asked['model']}.{asked['template']}"
        form = template(asked["model"], asked["template"])
        text = form.text(asked["turns"])
        out[f"{label}.prompt"] = True if text == asked["prompt"] else f"got {text!r}"
        if named:
            special = (
                {"<ev_patch>": 32000, "<ev_start>": 32001, "<ev_end>": 32002}
                if asked.get("added_start_end_tokens")
                else {}
            )
            # transformers knows LLaMA's control tokens as special ones; plain SentencePiece not
            controls = {} if asked["model"] == "onellm" else {"<s>": 1, "</s>": 2}
            tokenizer = SentencePiece(
                Path(named),
                special=special | controls,
                legacy=asked.get("tokenizer_legacy", False),
            )
            found = ids(form, tokenizer, asked["turns"])
            out[f"{label}.ids"] = True if found == asked["ids"] else f"got {found}"
    return out
