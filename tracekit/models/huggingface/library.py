"""transformers, quiet, and its refusals in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tracekit.errors import TracekitError

TEXT_PROMPT = "Explain in two sentences why a kernel launch costs time on the host."
IMAGE_PROMPT = "Describe the picture."
SOUND_PROMPT = "What is to be heard?"
# what code of transformers raises where a model does not fit what it is given
FAULTS = (
    AssertionError, AttributeError, ImportError, IndexError, KeyError, NotImplementedError, OSError,
    RuntimeError, TypeError, ValueError,
)  # fmt: skip


# for every `from_pretrained`: nothing is fetched, and code that a folder brings is neither run nor
# asked about
LOCAL: Mapping[str, bool] = {"local_files_only": True, "trust_remote_code": False}


@contextmanager
def quiet() -> Iterator[None]:
    """transformers without progress bars and chatter, inside."""
    from transformers.utils import logging

    kept: Any = logging
    level = kept.get_verbosity()
    kept.set_verbosity_error()
    kept.disable_progress_bar()
    try:
        yield
    finally:
        kept.set_verbosity(level)
        kept.enable_progress_bar()


@contextmanager
def said_plainly(where: object) -> Iterator[None]:
    """What transformers cannot load, as one line that says why.

    Raises: TracekitError.
    """
    try:
        yield
    except TracekitError:
        raise
    except (OSError, ValueError, KeyError, ImportError, AttributeError, TypeError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        hint = "transformers says so"
        if "trust_remote_code" in text:
            text = "its code is not in transformers, and foreign code is not run"
            hint = "write an adapter of your own: docs/models.md"
        elif "torchvision" in text.lower():
            text, hint = "its picture processor needs torchvision", "pip install torchvision"
        raise TracekitError(text[:300], where=where, hint=hint) from error


@contextmanager
def run_plainly(model: object, stage: str) -> Iterator[None]:
    """A model that fails in a stage, as one line that says how; too little memory stays itself.

    Raises: TracekitError.
    """
    try:
        yield
    except TracekitError:
        raise
    except FAULTS as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if "memory" in text:
            raise
        raise TracekitError(
            f"cannot be taken through {stage}: {type(error).__name__}: {text[:300]}",
            where=type(model).__name__,
            hint="transformers says so; an adapter of your own may know better: docs/models.md",
        ) from error
