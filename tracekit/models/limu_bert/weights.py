"""LIMU-BERT's published weights: where they are, and what their values sum up to."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from tracekit.errors import TracekitError
from tracekit.models.shared import checkpoints

COMMIT = "037e6c064fa1d4cac98bc08d0ff6a477f34b5acf"
ADDRESS = f"https://raw.githubusercontent.com/dapowan/LIMU-BERT-Public/{COMMIT}/saved"
BYTES = 260_183  # of each file
# sha256 over names and float32 values in name order: a file saved anew has the same
VALUES = {
    "uci": "cc03afbb074aa4854cfe9b3693d311dc31274a3235974a2623e752859c168fce",
    "hhar": "d37d254f09b452f8eeae7231e6d3927e88c1419cab8a36a390943d05423e4bf6",
}


def digest(path: Path) -> str:
    """sha256 over the names and values of a checkpoint, whatever its format.

    Raises: TracekitError where the file is no checkpoint.
    """
    import numpy as np

    weights = checkpoints.open_checkpoint(path)
    whole = hashlib.sha256()
    for name in sorted(weights):
        whole.update(name.encode())
        whole.update(weights.get(name).numpy().astype(np.dtype("<f4")).tobytes())
    return whole.hexdigest()


def download(folder: Path, *, revision: str | None = None) -> None:
    """Fetch the weights pretrained on UCI and on HHAR (0.5 MB) into a folder, and check them.

    Raises: TracekitError where they cannot be had, or are not the published ones.
    """
    from tracekit.datasets.fetch import downloads

    base = ADDRESS if revision is None else ADDRESS.replace(COMMIT, revision)
    for name, wanted in VALUES.items():
        url = f"{base}/pretrain_base_{name}_20_120/{name}.pt"
        check = partial(_check, wanted)
        downloads.https(url, folder, f"limu_bert_{name}.pt", size=BYTES, check=check)


def _check(wanted: str, path: Path) -> None:
    """Raises: TracekitError where a file is no checkpoint, or has other values."""
    if digest(path) != wanted:
        raise TracekitError(
            "the values are not the published ones",
            where=path,
            hint="delete it and try again; if it stays so, the publisher has changed the file",
        )
