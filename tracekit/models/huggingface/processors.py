"""A folder's processor: what makes pictures and sound into inputs; without video where need be."""

from __future__ import annotations

import importlib.util
import inspect
import json
from pathlib import Path
from typing import Any

from tracekit.models.huggingface.library import FAULTS, LOCAL, quiet, said_plainly

VIDEO = "video_processor"
NAMING = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")


def processor(folder: Path) -> Any:
    """transformers' processor of a folder.

    A processor that also takes videos wants torchvision for them alone; where that is not
    installed, it is put together without them.

    Raises: TracekitError where the folder has none, or it cannot be had.
    """
    from transformers import AutoProcessor

    library: Any = AutoProcessor
    with said_plainly(folder), quiet():
        try:
            return library.from_pretrained(folder, **LOCAL)
        except FAULTS:
            kind = _named(folder)
            if importlib.util.find_spec("torchvision") or not _takes_video(kind):
                raise
        return _without_video(kind, folder)


def _named(folder: Path) -> object:
    """The processor's class that the folder names; None where it names none."""
    import transformers

    for name in NAMING:
        path = folder / name
        said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if said.get("processor_class"):
            return getattr(transformers, str(said["processor_class"]), None)
    return None


def _takes_video(kind: Any) -> bool:
    return kind is not None and VIDEO in inspect.signature(kind.__init__).parameters


def pictures_only(kind: Any) -> Any:
    """The class of a processor that may lack its part for videos."""

    def check(_self: object, name: str, given: object) -> Any:
        return type(given)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})


class _NoVideo:
    """In place of the part for videos: some processors read its settings for pictures, too."""

    model_input_names: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


def _without_video(kind: Any, folder: Path) -> object:
    from transformers import AutoImageProcessor, AutoTokenizer

    images: Any = AutoImageProcessor
    path = folder / NAMING[0]
    said = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    takes = inspect.signature(kind.__init__).parameters
    more = {
        name: value for name, value in said.items()
        if name in takes and name not in ("image_processor", "tokenizer", VIDEO)
    }  # fmt: skip
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, **LOCAL)
    template = folder / "chat_template.jinja"
    if "chat_template" in takes and template.is_file():
        more["chat_template"] = template.read_text(encoding="utf-8")
    return pictures_only(kind)(
        image_processor=images.from_pretrained(folder, **LOCAL),
        tokenizer=tokenizer,
        **{VIDEO: _NoVideo()},
        **more,
    )
