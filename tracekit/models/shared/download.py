"""Fetching published weights: the only code of the models that uses the network."""

from __future__ import annotations

from pathlib import Path

from tracekit import extras
from tracekit.datasets.fetch import network
from tracekit.errors import TracekitError


def fetch(repository: str, folder: Path | None, *, revision: str | None = None) -> None:
    """A Hugging Face repository into `folder`, or the Hub's cache: resumed, checksums compared.

    Raises: TracekitError where it cannot be had: no network, no access, no room, or
    huggingface_hub is not installed.
    """
    extras.need("capture", "huggingface_hub", where=repository)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot_download(repository, revision=revision, local_dir=folder)
    except GatedRepoError as error:
        raise TracekitError(
            "its owner grants access one by one",
            where=repository,
            hint="accept the terms on its page, then `hf auth login`",
        ) from error
    except Exception as error:  # the Hub's library raises those of the one below it too
        known = isinstance(error, HfHubHTTPError | LocalEntryNotFoundError)
        if not known and not network.is_fault(error):
            raise
        raise network.failed(error, f"https://huggingface.co/{repository}") from error
