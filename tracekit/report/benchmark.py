"""A benchmark's tables and charts as one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tracekit.report.html.page import Page, fill, save
from tracekit.report.one.overview import Overview
from tracekit.results.figures import Chart
from tracekit.results.result import Grid
from tracekit.version import __version__


def write(
    path: Path,
    content: Mapping[str, Any],
    grids: Sequence[Grid],
    charts: Sequence[Chart],
    definitions: Mapping[str, str],
) -> Path:
    """Writes the page of a benchmark's file. Raises: TracekitError where it cannot be written."""
    where = content["environment"]
    made = [("tracekit", __version__, False), ("made by", str(content["command"]), True)]
    page = Page(
        title=f"{content['title']}, benchmark",
        subtitle=f"{where['device']['name']} · {content['finished']} · no profiler near",
        overview=Overview(charts=tuple(charts), grids=tuple(grids), definitions=dict(definitions)),
        facts=_facts(content),
        sections=[],
        source=made,
        # the raw times stay in the JSON file beside the page
        data={"bench": {k: v for k, v in content.items() if k != "configurations"}},
    )
    text = fill(page)
    return save(text, path)


def _facts(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    where = content["environment"]
    rows = content["configurations"]
    options = rows[0]["options"] if rows else {}
    swept = set(rows[0]["axes"]) if rows else set()
    found: list[tuple[str, Any]] = [("model", content["model"])]
    found += [(k.replace("_", " "), v) for k, v in options.items() if k not in swept]
    found += [(k, v) for k, v in where["versions"].items()]
    found += [("driver", where["driver"]), ("commit", where["commit"])]
    found += [(k.replace("_", " "), v) for k, v in where["clocks"].items()]
    if where["load_average"]:
        found.append(("load average", " ".join(f"{v:.1f}" for v in where["load_average"])))
    return [(name, _say(value)) for name, value in found if value is not None]


def _say(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
