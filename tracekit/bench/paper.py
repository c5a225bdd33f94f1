"""Benchmarks as the table of a paper: a model a column, mean ± standard deviation, what it ran on.

As Markdown, as LaTeX with booktabs, and as CSV with unrounded numbers. What a reader has to know
before quoting a time (device, dtype, n, weights that are tiny and random) is in the table itself.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tracekit import files, plain
from tracekit.bench import file, statistics
from tracekit.bench.file import Row

ENDINGS = {"markdown": ".md", "latex": ".tex", "csv": ".csv"}
NOTE = (
    "Mean ± standard deviation of the sample (n - 1) over n requests, wall clock, no profiler; "
    "TTFT: load to first token; TPOT: decode / (tokens - 1); decode rate: the mean of the rates of "
    "the requests, above 1 / mean TPOT where they differ."
)
_LATEX_HEAD = "% made by tracekit bench"
_MS = 1e6  # ns
_LABELS = {"ttft": "TTFT", "tpot": "TPOT"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure of one column, in the unit of its line."""

    mean: float
    std: float | None  # None of one request


@dataclass(frozen=True, slots=True)
class Column:
    """One configuration of one benchmark."""

    title: str
    facts: Mapping[str, str]  # device, dtype, weights, …
    n: int  # requests
    figures: Mapping[tuple[str, str], Figure]  # by measure and unit


def columns(contents: Sequence[Mapping[str, Any]]) -> list[Column]:
    """A column for each configuration of each benchmark, in order."""
    return [_column(content, row) for content in contents for row in content["configurations"]]


def _column(content: Mapping[str, Any], row: Row) -> Column:
    options, facts = row.get("options") or {}, row.get("facts") or {}
    device = ((content.get("environment") or {}).get("device") or {}).get("name")
    said_of = row if row.get("title") else content
    title = file.short_title(str(said_of.get("title") or content.get("model") or "?"))
    axes = {name: v for name, v in (row.get("axes") or {}).items() if name != "model"}
    place = file.label({"axes": axes})
    said = {
        "weights": _weights(row, str(facts.get("size") or options.get("size") or "")),
        "device": device or "not recorded",
        "dtype": options.get("dtype") or "not recorded",
        "attention": facts.get("attention") or options.get("attention") or "not recorded",
        "batch size": options.get("batch_size") or "not recorded",
        "tokens generated": (row.get("tokens") or {}).get("generated"),
    }
    figures: dict[tuple[str, str], Figure] = {}
    times = file.measures(row)
    for name in (*file.STAGES, "request", "ttft", "tpot"):
        _add(figures, (_LABELS.get(name, name), "ms"), times.get(name), _MS)
    _add(figures, ("decode rate", "tokens/s"), file.rates(row).get("decode tokens/s"), 1)
    return Column(
        title=f"{title} ({place})" if place else title,
        facts={key: "–" if value is None else str(value) for key, value in said.items()},
        n=len(row.get("samples") or ()),
        figures=figures,
    )


def _weights(row: Row, size: str) -> str:
    facts = row.get("facts") or {}
    if facts.get("random_weights"):
        return f"{size}, random weights" if size else "random weights"
    return ", ".join(filter(None, (size, str(row.get("checkpoint") or "published"))))


def _add(
    figures: dict[tuple[str, str], Figure],
    key: tuple[str, str],
    values: Sequence[float] | None,
    unit: float,
) -> None:
    found = statistics.summarize(values or [])
    if found is not None:
        std = None if found.std is None else found.std / unit
        figures[key] = Figure(found.mean / unit, std)


# ---------------------------------------------------------------- the lines that all forms share


def _lines(found: Sequence[Column], show: Callable[[Figure], str]) -> Iterator[list[str]]:
    """The lines below the head: first what ran, then n, then the measures that any column has."""
    for fact in dict.fromkeys(key for one in found for key in one.facts):
        yield [fact, *(one.facts.get(fact, "–") for one in found)]
    yield ["n", *(str(one.n) for one in found)]
    for key in _measured(found):
        cells = (one.figures.get(key) for one in found)
        yield [f"{key[0]} ({key[1]})", *("–" if cell is None else show(cell) for cell in cells)]


def _measured(found: Sequence[Column]) -> list[tuple[str, str]]:
    """Measures in the order of the stages: a model without decode is no reason to move it."""
    order = [*file.STAGES, "request", "TTFT", "TPOT", "decode rate"]
    return sorted({key for one in found for key in one.figures}, key=lambda k: order.index(k[0]))


def rounded(one: Figure) -> tuple[str, str]:
    """(mean, std) with two significant digits of the deviation; three of a mean without one."""
    size = one.std if one.std else abs(one.mean) / 10
    places = 0 if not size else min(max(1 - math.floor(math.log10(size)), 0), 6)
    return f"{one.mean:.{places}f}", "" if one.std is None else f"{one.std:.{places}f}"


# ---------------------------------------------------------------- the three forms


def markdown(found: Sequence[Column]) -> str:
    """A table for GitHub and notebooks."""

    def show(one: Figure) -> str:
        mean, std = rounded(one)
        return f"{mean} ± {std}" if std else mean

    lines = ["| measure | " + " | ".join(_in_markdown(one.title) for one in found) + " |"]
    lines.append("| --- |" + " ---: |" * len(found))
    lines += ["| " + " | ".join(map(_in_markdown, cells)) + " |" for cells in _lines(found, show)]
    return "\n".join([*lines, "", NOTE]) + "\n"


def _in_markdown(text: str) -> str:
    flat = plain.line(text)
    for letter in "\\`*_[]|#~":
        flat = flat.replace(letter, f"\\{letter}")
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def latex(found: Sequence[Column]) -> str:
    """A float with booktabs' rules; `\\usepackage{booktabs}` is all that it needs."""

    def show(one: Figure) -> str:
        mean, std = rounded(one)
        return rf"${mean} \pm {std}$" if std else f"${mean}$"

    heads = " & ".join(f"{{{plain.latex(one.title)}}}" for one in found)
    body = []
    for cells in _lines(found, show):
        if cells[0] == "load (ms)":
            body.append(r"\midrule")
        body.append(" & ".join(c if c[:1] == "$" else plain.latex(c) for c in cells) + r" \\")
    return "\n".join([
        rf"{_LATEX_HEAD}; needs \usepackage{{booktabs}}",
        r"\begin{table}", r"\centering",
        rf"\caption{{{plain.latex(NOTE)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(found)}}}",
        r"\toprule", rf" & {heads} \\", r"\midrule", *body, r"\bottomrule",
        r"\end{tabular}", r"\end{table}",
    ]) + "\n"  # fmt: skip


def comma_separated(found: Sequence[Column]) -> str:
    """A line a measure; of each column its mean and its deviation, unrounded, in the unit named."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(["measure", "unit", *(_cell(f"{c.title} {of}") for c in found for of in ("mean", "std"))])
    for fact in dict.fromkeys(key for one in found for key in one.facts):
        write([fact, "", *(cell for c in found for cell in (_cell(c.facts.get(fact, "")), ""))])
    write(["n", "requests", *(cell for c in found for cell in (c.n, ""))])
    for key in _measured(found):
        figures = (c.figures.get(key) for c in found)
        cells = [("", "") if f is None else (f.mean, "" if f.std is None else f.std)
                 for f in figures]  # fmt: skip
        write([*key, *(cell for pair in cells for cell in pair)])
    return out.getvalue()


def _cell(text: str) -> str:
    return plain.cell(plain.line(text))


def is_table(path: Path) -> bool:
    """Whether a file is a table that this module wrote."""
    begins = (b"| measure |", _LATEX_HEAD.encode(), b"measure,unit,")
    return files.starts(path, 64).startswith(begins)


FORMS: Mapping[str, Callable[[Sequence[Column]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}


def place(path: Path, form: str) -> Path:
    """Where a form of the table of a benchmark's JSON lies: NAME.table.md beside NAME.json."""
    return path.with_name(f"{path.stem}.table{ENDINGS[form]}")


def save(content: Mapping[str, object], path: Path) -> dict[str, Path]:
    """Writes the three forms beside a benchmark's JSON; where each is.

    None beside a pipe or a device. Raises: TracekitError.
    """
    if not path.is_file():
        return {}
    found = columns([content])
    names = {"markdown": "table", "latex": "LaTeX", "csv": "CSV"}
    return {name: write(found, form, place(path, form)) for form, name in names.items()}


def write(found: Sequence[Column], form: str, path: Path) -> Path:
    """Writes one form. Raises: TracekitError where it cannot be written."""
    with files.writing(path) as temporary:
        temporary.write_text(FORMS[form](found), encoding="utf-8")
    return path
