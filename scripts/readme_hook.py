"""The README as PyPI shows it: links to files of the repository lead to the repository.

In a checkout and on the page of the repository relative links are right; on PyPI they lead nowhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"\]\((?![a-z]+:|#)(?P<path>[^)\s]+)\)")


def absolute(text: str, repository: str) -> str:
    """Markdown whose links to files lead to the main branch of `repository`."""
    return RELATIVE.sub(lambda link: f"]({repository}/blob/main/{link['path']})", text)


class Readme(MetadataHookInterface):
    """Called by hatchling for the metadata of every build."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Sets `readme`."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute(text, metadata["urls"]["Repository"]),
        }
