"""What the file of a benchmark says of itself, as its page shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tracekit.report.benchmark import About


def about(content: Mapping[str, Any]) -> About:
    """Of the content that `file.document` makes."""
    return About(
        title=str(content["title"]),
        device=str(content["environment"]["device"]["name"]),
        finished=str(content["finished"]),
        command=str(content["command"]),
        facts=[(name, _say(value)) for name, value in _facts(content) if value is not None],
        # the raw times stay in the JSON file beside the page
        data={key: value for key, value in content.items() if key != "configurations"},
    )


def _facts(content: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    where, rows = content["environment"], content["configurations"]
    options = rows[0]["options"] if rows else {}
    swept = set(rows[0]["axes"]) if rows else set()
    yield "model", content["model"]
    yield from ((k.replace("_", " "), v) for k, v in options.items() if k not in swept)
    yield from where["versions"].items()
    yield from (("driver", where["driver"]), ("commit", where["commit"]))
    yield from ((k.replace("_", " "), v) for k, v in where["clocks"].items())
    if where["load_average"]:
        yield "load average", " ".join(f"{v:.1f}" for v in where["load_average"])


def _say(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
