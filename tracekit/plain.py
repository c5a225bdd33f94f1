"""Foreign text as text: a terminal, a page or a spreadsheet that shows it obeys nothing in it.

Names, paths and messages come from files. What they hold beside letters (escape sequences, bells,
C1 controls, marks that turn the direction of writing) is shown as an escape, `\\x1b`, or left out.
"""

from __future__ import annotations

import json
import re
from functools import cache

# C0 and C1 controls, line and paragraph separators, bidirectional marks, tags that nobody sees,
# and halves of a UTF-16 pair, which no encoding can write
_OBEYED = (
    "\\x00-\\x1f\\x7f-\\x9f\\u00ad\\u061c\\u180e\\u200e\\u200f\\u2028-\\u202e"
    "\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\ud800-\\udfff\\U000e0000-\\U000e007f"
)

# what a spreadsheet takes for the start of a formula, by any of its names, and what it skips before
_SKIPPED = r"\s\x00-\x20\x7f-\xa0\xad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff"
_FORMULA = rf"[{_SKIPPED}]*[=+\-@\uff1d\uff0b\uff0d\uff20|%]|[\t\r\n]"


def cell(text: str) -> str:
    """The text of a cell of CSV: behind a quote where a spreadsheet would run it."""
    return f"'{text}" if _compiled(_FORMULA).match(text) else text


def line(text: str) -> str:
    """The text as one line: whatever would be obeyed, line breaks too, as an escape."""
    # nothing that would be obeyed is printable, and most texts are
    return text if text.isprintable() else _obeyed().sub(_escaped, text)


def lines(text: str) -> str:
    """The same of a document, which keeps its line breaks and tabs."""
    rest = text.replace("\n", "").replace("\t", "")
    return text if rest.isprintable() else _obeyed("\n\t").sub(_escaped, text)


def _obeyed(but: str = "") -> re.Pattern[str]:
    """What would be obeyed, `but` these characters."""
    return _compiled(f"(?![{but}])[{_OBEYED}]" if but else f"[{_OBEYED}]")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """When it is asked for: these classes are large."""
    return re.compile(pattern)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    short = {10: "\\n", 9: "\\t", 13: "\\r"}.get(code)
    return short or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def dumps(value: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """JSON of the value. Within texts, what a terminal would obey is escaped as JSON has it."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    return _obeyed("\x00-\x1f").sub(lambda found: json.dumps(found[0])[1:-1], text)


def markup(text: str, *, quote: bool = True) -> str:
    """As `html.escape`, with which come the names of two thousand characters."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#x27;") if quote else text


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "µ": r"$\mu$", "×": r"$\times$", "α": r"$\alpha$",
    "γ": r"$\gamma$", "–": "--", "<": r"$<$", ">": r"$>$",
}  # fmt: skip


def latex(text: str) -> str:
    """The text as one line of LaTeX, in which no letter is a command."""
    return "".join(_LATEX.get(letter, letter) for letter in line(text))
