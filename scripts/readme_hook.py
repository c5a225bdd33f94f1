"""What PyPI shows of the project: its addresses, and a README whose links lead to them.

In a checkout and on the page of the repository relative links are right; on PyPI they lead nowhere.
The repository is the one that `[project.urls]` would name, else the `origin` that this checkout was
cloned from, where that is on a public host; an sdist carries it to the wheels that are built of it.
Where nobody knows one the words of the links stay, the links go.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from email.parser import HeaderParser
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"\[(?P<words>[^]]*)\]\((?![a-z]+:|#)(?P<path>[^)\s]+)\)")
# public hosts, and where each has the files of the main branch; any other may be nobody else's
FILES = {
    "github.com": "blob/main",
    "gitlab.com": "-/blob/main",
    "codeberg.org": "src/branch/main",
    "bitbucket.org": "src/main",
}
# https://user:token@host/owner/name.git, ssh://git@host:22/owner/name, git@host:owner/name.git
_REMOTE = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^@/]*@)?|[^@/:]+@)(?P<host>[\w.-]+)(?::\d+)?[/:]"
    r"(?P<path>[\w.-]+(?:/[\w.-]+)+)/?"
)


def address(remote: str) -> str | None:
    """The page of a remote, without what signs its owner in; None where it is on no public host."""
    found = _REMOTE.fullmatch(remote.strip())
    if found is None or found["host"].lower() not in FILES:
        return None
    return f"https://{found['host'].lower()}/{found['path'].removesuffix('.git')}"


def repository(root: Path) -> str | None:
    """The page of the repository that `root` is a checkout, or an sdist, of; None where unknown."""
    told = root / "PKG-INFO"  # an sdist is not under git, or lies in somebody else's
    if told.is_file():
        lines = HeaderParser().parsestr(told.read_text(encoding="utf-8")).get_all("Project-URL", [])
        named = dict(line.split(", ", 1) for line in lines)
        return named.get("Repository")
    try:
        top, remote = (
            subprocess.run(
                ["git", "-C", root, *command], capture_output=True, text=True, check=True, timeout=9
            ).stdout.strip()
            for command in (("rev-parse", "--show-toplevel"), ("remote", "get-url", "origin"))
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):  # no git, no checkout, no origin
        return None
    return address(remote) if Path(top).resolve() == root.resolve() else None


def urls(base: str) -> dict[str, str]:
    """What stands beside the project on PyPI."""
    files = _files(base)
    return {
        "Repository": base,
        "Documentation": f"{files}/README.md",
        "Issues": f"{base}/issues",
        "Changelog": f"{files}/CHANGELOG.md",
    }


def absolute(text: str, base: str | None) -> str:
    """Markdown whose links to files lead to the main branch of `base`; words without one."""
    if base is None:
        return RELATIVE.sub(lambda link: link["words"], text)
    return RELATIVE.sub(lambda link: f"[{link['words']}]({_files(base)}/{link['path']})", text)


def _files(base: str) -> str:
    return f"{base}/{FILES.get(base.split('/')[2], 'blob/main')}"


class Readme(MetadataHookInterface):
    """Called by hatchling for the metadata of every build."""

    def update(self, metadata: dict[str, object]) -> None:
        """Sets `readme`, and `urls` where they are known and not stated."""
        root = Path(self.root)
        stated = metadata.get("urls")
        if isinstance(stated, Mapping):
            base = stated.get("Repository")
        else:
            base = repository(root)
            metadata["urls"] = {} if base is None else urls(base)
        text = (root / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, base)}
