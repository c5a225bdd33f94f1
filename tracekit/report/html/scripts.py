"""The page's script: its modules as one, so that a page needs no other file.

The files are plain ES modules and run as they are under node. Here each comes after what it
imports, without its imports and exports; names at the top of a module are unique over all of them
(a test holds that), so that nothing needs another name.
"""

from __future__ import annotations

import posixpath
import re
from functools import cache
from importlib.resources import files

from tracekit.patterns import later

ENTRY = "main.js"
PICTURE = "picture/picture.js"  # enters itself where it is there: nothing imports it
# whole lines that are comments, or blank: for those who write the page, not for its readers
_COMMENT = later(r"^(?: *//.*|/\*\*[^\n]*\*/|/\*\*\n(?: \*[^\n]*\n)*? \*/)?\n", re.MULTILINE)
_INDENT = later(r"^ +", re.MULTILINE)  # no text of ours goes over several lines
_FOLDER = files("tracekit.report.html") / "assets" / "js"
_IMPORT = later(r"^import \{[\w, ]*\} from '(\.[\w/.-]+\.js)';\n", re.MULTILINE)
_EXPORT = later(r"^export (?=(?:async )?(?:function|const|let|class)\b)", re.MULTILINE)


@cache
def joined(*, picture: bool = True) -> str:
    """All modules that a page needs, in one function that runs at once; `picture`: it has one."""
    parts: dict[str, str] = {}
    for entry in (PICTURE, ENTRY) if picture else (ENTRY,):
        _add(entry, parts)
    return "(() => {\n'use strict';\n" + "\n".join(parts.values()) + "})();\n"


def _add(name: str, parts: dict[str, str]) -> None:
    """A module after those that it imports, each once."""
    if name in parts:
        return
    source = _FOLDER.joinpath(*name.split("/")).read_text(encoding="utf-8")
    parts[name] = ""  # known: a circle of imports ends here
    for needed in _IMPORT.findall(source):
        _add(posixpath.normpath(posixpath.join(posixpath.dirname(name), needed)), parts)
    del parts[name]
    plain = _COMMENT.sub("", _EXPORT.sub("", _IMPORT.sub("", source)))
    parts[name] = _INDENT.sub("", plain)
