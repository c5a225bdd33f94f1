"""Whether a report is whole: parses, needs no network, and its embedded numbers add up.

    python scripts/check_report.py REPORT.html

Exit code 0, or 1 with what is wrong.
"""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path


class _Page(HTMLParser):
    """Embedded JSON by id, and every address that a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.data: dict[str, str] = {}
        self.fetched: list[str] = []
        self._id: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script" and given.get("type") == "application/json":
            self._id = given.get("id") or ""
            self.data[self._id] = ""
        for name in ("src", "href") if tag in ("script", "link", "img", "iframe") else ():
            address = given.get(name) or ""
            if address and not address.startswith(("data:", "#")):
                self.fetched.append(address)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._id = None

    def handle_data(self, data: str) -> None:
        if self._id is not None:
            self.data[self._id] += data


def problems(path: Path) -> list[str]:
    """What is wrong with the page, in words; empty when nothing is."""
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    found = [f"fetches {address}" for address in page.fetched]
    data = {key: json.loads(text) for key, text in page.data.items()}
    stages = data.get("tk-stages")
    if stages is None:
        return [*found, "no stages in the page"]
    for row in stages["rows"]:
        split = row["clock"] or row["host"]
        if split is None or sum(split.values()) != row["wall_ns"]:
            found.append(f"{row['name']}: parts do not add up to {row['wall_ns']} ns")
    seen = {row["stage"] for row in stages["rows"]}
    missing = {"load", "preprocess", "encode", "prefill", "decode"} - seen
    if missing:
        found.append(f"stages missing: {', '.join(sorted(missing))}")
    return found


if __name__ == "__main__":
    faults = problems(Path(sys.argv[1]))
    print("\n".join(faults) or f"{sys.argv[1]}: whole")
    sys.exit(bool(faults))
