"""What there is to know of each model, and fetching one's weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit import extras
from tracekit.errors import TracekitError, UsageError
from tracekit.models import entry as model_entry


def about(name: str) -> dict[str, Any]:
    """One model's facts as plain JSON values; parameters are of its largest size.

    Raises: TracekitError for an unknown model; without torch for one whose entry states no counts.
    """
    name = model_entry.named(name)
    entry = model_entry.model(name)
    size = "full" if "full" in entry.sizes else next(iter(entry.sizes))
    if size not in entry.counts:
        extras.need("capture", "torch", where=f"counting the parameters of {name}")
    counts = dict(entry.counts[size] if size in entry.counts else entry.parameters(size))
    return {
        "name": name,
        "title": entry.title,
        "input": entry.input,
        "stages": [stage.value for stage in entry.stages],
        "sizes": list(entry.sizes),
        "parameters": counts,
        "parameters_total": sum(counts.values()) if counts else None,
        "licence": entry.licence,
        "weights": entry.weights,
        "download": entry.download is not None,
        "source": entry.source,
        "default_prompt": entry.default_prompt or None,
        "options": dict(entry.takes),
    }


@dataclass(frozen=True, slots=True)
class Download:
    """What a download would fetch, under which terms, and how to begin it."""

    name: str
    what: str
    terms: str
    start: Callable[[], None]
    where: str


def download(name: str, folder: Path | None) -> Download:
    """The download of a model's weights, not yet begun. A Hub model's folder may be its cache.

    Raises: TracekitError where the weights cannot be fetched by a command, or without a folder.
    """
    if name.startswith("hf:"):
        from tracekit.models.huggingface import model

        target = name.removeprefix("hf:")
        return Download(
            name=name,
            what=f"huggingface.co/{target}",
            terms=f"see https://huggingface.co/{target}",
            start=lambda: model.download(target, folder),
            where=str(folder) if folder else "the Hub's cache",
        )
    name = model_entry.named(name)
    entry = model_entry.model(name)
    fetch = entry.download
    if fetch is None:
        raise TracekitError(
            "its weights are not published where a command could fetch them",
            where=name,
            hint=f"they come from: {entry.weights}",
        )
    if folder is None:
        raise UsageError(
            "no folder to download to", where=name, hint="name a folder with --output-dir"
        )
    return Download(
        name=name,
        what=entry.weights,
        terms=entry.licence,
        start=lambda: fetch(folder),
        where=str(folder),
    )
