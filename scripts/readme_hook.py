"""The README as PyPI shows it: links to files of the repository lead to the repository.

In a checkout and on the page of the repository relative links are right; on PyPI they lead nowhere.
Where `[project.urls]` names no repository there is none to lead to: the words stay, the links go.
"""

from __future__ import annotations

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"\[(?P<words>[^]]*)\]\((?![a-z]+:|#)(?P<path>[^)\s]+)\)")


def absolute(text: str, repository: str | None) -> str:
    """Markdown whose links to files lead to the main branch of `repository`; words without one."""
    if repository is None:
        return RELATIVE.sub(lambda link: link["words"], text)
    place = f"{repository}/blob/main"
    return RELATIVE.sub(lambda link: f"[{link['words']}]({place}/{link['path']})", text)


class Readme(MetadataHookInterface):
    """Called by hatchling for the metadata of every build."""

    def update(self, metadata: dict[str, object]) -> None:
        """Sets `readme`."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        urls = metadata.get("urls")
        repository = urls.get("Repository") if isinstance(urls, dict) else None
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute(text, repository),
        }
