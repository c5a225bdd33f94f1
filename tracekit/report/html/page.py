"""One self-contained HTML page: the template, and what of the tables and the data it can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from importlib.resources import files
from pathlib import Path
from typing import Any

from tracekit.files import numbered, starts, writing, writing_new
from tracekit.records import Record, replace
from tracekit.report.html import plotly, scripts, tables
from tracekit.report.html.embedded import embedded, safe, within
from tracekit.report.html.figures import Figure, figure
from tracekit.report.html.picture import Packed, packed
from tracekit.report.html.section import Part, Unanswered, host_only
from tracekit.report.html.tables import HtmlTable
from tracekit.report.html.template import template
from tracekit.report.one.overview import Overview
from tracekit.results.figures import theme
from tracekit.results.first_screen import Verdict
from tracekit.results.result import Grid
from tracekit.version import __version__

NODES = 1800  # table cells that are shown at first, over the whole page
BYTES = 1_900_000  # of a page; what follows shrinks until it fits
ROWS_BYTES = 380_000  # of rows in the file, estimated
PICTURE_BYTES = 440_000  # of all pictures of a page together
DATA_BYTES = 300_000  # of embedded answers; charts hold their own data
# sections of a trace or a comparison that are printed: what else it says is for the screen
PRINTED = frozenset({"stages", "tree", "speculative", "kernels", "findings"})
PRINTED_OF_MANY = frozenset({"tree"})
# control characters that a name may hold are no HTML; in embedded JSON they are escaped anyway
CONTROLS = bytes({*range(0x20)} - {*b"\t\n\r"})

Source = tuple[str, str, bool]  # a name, a value, whether this is code


class Page(Record, frozen=True, kw_only=True):
    """The parts of a page."""

    title: str
    subtitle: str
    overview: Overview
    sections: Sequence[Part]
    data: Mapping[str, Any]  # JSON that the page holds, by name
    source: Sequence[Source]  # what the page was made of
    of: str = ""  # what sets its inputs apart from others of the same name
    single: bool = True  # of one trace: its first screen leads with advice, and folds tables
    facts: Sequence[tuple[str, str]] = ()
    unanswered: Sequence[Unanswered] = ()
    rows_bytes: int = ROWS_BYTES

    @property
    def grids(self) -> list[Grid]:
        """All tables."""
        return [
            *self.overview.grids, *self.overview.opened,
            *(grid for own in self.sections for grid in own.grids),
        ]  # fmt: skip

    @property
    def unfolded(self) -> list[Grid]:
        """Tables that are there at first; those folded are made when they are unfolded."""
        return [
            *self.overview.grids, *self.overview.opened,
            *(grid for own in self.sections for grid in _open(own)),
        ]  # fmt: skip


class Section(Record, frozen=True):
    """A section as the template draws it."""

    name: str
    title: str
    question: str
    trust: Verdict | None
    silent: tuple[str, ...]
    pictures: tuple[Packed, ...]
    figures: tuple[Figure, ...]
    open: tuple[HtmlTable, ...]
    closed: tuple[HtmlTable, ...]  # folded under their titles
    definitions: tuple[tuple[str, str], ...]
    printed: bool


def fill(page: Page) -> str:
    """The template with the parts of a page.

    Rows and embedded answers give way until the page is at most BYTES.
    """
    text = ""
    for part in (1.0, 0.6, 0.35, 0.2, 0.1):
        text = _visible(_filled(page, part))
        if len(text.encode()) <= BYTES:
            break
    return text


def _visible(text: str) -> str:
    """The text with Unicode's pictures of control characters."""
    raw = text.encode()
    if len(raw.translate(None, CONTROLS)) == len(raw):  # of bytes this takes a tenth of the time
        return text
    return text.translate({control: 0x2400 + control for control in CONTROLS})


def save(text: str, path: str | Path, *, of: str | None = None) -> Path:
    """Writes a page and says where it is.

    With `of`, `path` is a name that nobody asked for: where a page of other inputs has it, or any
    other file, the new one is numbered.

    Raises: TracekitError where it cannot be written.
    """
    same = Path(path) if of is None else _page_of(of, Path(path))
    if same is not None:
        with writing(same) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return same
    with writing_new(path) as (temporary, name):
        temporary.write_text(text, encoding="utf-8")
    return name()


def _page_of(of: str, path: Path) -> Path | None:
    """The page of these inputs under this name or a numbered one; None where there is none."""
    mark = f'<meta name="tracekit-of" content="{of}">'.encode()
    for candidate in numbered(path):
        if not candidate.exists():
            return None
        if mark in starts(candidate):
            return candidate
    return None


def is_page(path: Path) -> bool:
    """Whether a file is a page of ours."""
    return b'<meta name="generator" content="tracekit ' in starts(path)


def made_by(command: str) -> list[Source]:
    """tracekit's version and the command line that made the page."""
    made = [("tracekit", __version__, False)]
    return [*made, ("made by", command, True)] if command else made


def _filled(page: Page, part: float) -> str:
    """The page with this part of its rows and of its embedded answers."""
    draw = _Tables(
        first=tables.spread(page.unfolded, NODES),
        most=_most(page.grids, int(page.rows_bytes * part)),
    )
    printed = _printed([own.name for own in page.sections], page.single)
    sections = [_section(own, draw, part, own.name in printed) for own in page.sections]
    data = within(page.data, int(DATA_BYTES * part))
    charts = bool(page.overview.charts) or any(own.figures for own in sections)
    return template().render(
        version=__version__,
        of=page.of,
        title=page.title,
        subtitle=page.subtitle,
        single=page.single,
        nav=_nav(page, sections),
        sections=sections,
        facts=page.facts,
        unanswered=page.unanswered,
        source=page.source,
        data=[(f"tk-{name}", safe(text)) for name, text in data.items()],
        **_first_screen(page.overview, draw),
        **_assets(charts, picture=any(own.pictures for own in sections)),
    )


class _Tables(Record, frozen=True):
    """Grids as tables of one page."""

    first: int  # rows that are shown at first
    most: int  # rows in the file

    def __call__(self, section: str, grids: Sequence[Grid]) -> tuple[HtmlTable, ...]:
        made = (tables.html_table(section, grid, self.first, self.most) for grid in grids)
        return tuple(
            replace(own, first=safe(own.first), rest=safe(own.rest), total=safe(own.total))
            for own in made
        )


def _printed(names: Sequence[str], single: bool) -> Set[str]:
    """The sections that are printed; all, on a page that has none of those of a trace."""
    if not single:  # the first screen has the tables and charts of all
        return PRINTED_OF_MANY
    known = PRINTED.intersection(names)
    if not known:
        return set(names)
    if "speculative" in known:  # its rounds are what the others would say
        return known - {"kernels", "stages"}
    return known if "kernels" in known else known | {"ops"}


def _section(own: Part, draw: _Tables, part: float, printed: bool) -> Section:
    shown = _open(own)
    return Section(
        name=own.name,
        title=own.title,
        question=own.question,
        trust=own.trust,
        silent=own.silent,
        pictures=tuple(
            packed(own.name, one, int(PICTURE_BYTES * part) // len(own.pictures))
            for one in own.pictures
        ),
        figures=tuple(figure(own.name, chart) for chart in own.charts),
        open=draw(own.name, shown),
        closed=draw(own.name, [grid for grid in own.grids if grid not in shown]),
        definitions=tuple(_definitions(own.definitions, own.grids, gpu=own.gpu)),
        printed=printed,
    )


def _open(own: Part) -> list[Grid]:
    """The tables of a section that are not folded: the first two, and the one of its name."""
    return [grid for at, grid in enumerate(own.grids) if at < 2 or grid.key == own.name]


def _nav(page: Page, sections: Sequence[Section]) -> list[tuple[str, str]]:
    unanswered = [("unanswered", "Not answered")] if page.unanswered else []
    return [
        ("overview", "Overview"), *((own.name, own.title) for own in sections), *unanswered,
        ("source", "About this page"),
    ]  # fmt: skip


def _first_screen(view: Overview, draw: _Tables) -> dict[str, object]:
    return {
        "leaks": view.leaks,
        "headlines": view.headlines,
        "verdicts": view.verdicts,
        "notes": view.notes,
        "tiles": view.tiles,
        "findings": view.findings,
        "limits": view.limits,
        "overview_figures": [figure("overview", chart) for chart in view.charts],
        "opened": draw("overview", view.opened),
        "overview_tables": draw("overview", view.grids),
        "definitions": _definitions(view.definitions, [*view.grids, *view.opened]),
    }


def _assets(charts: bool, *, picture: bool) -> dict[str, object]:
    return {
        "tokens": safe(theme.css()),
        "css": safe(_asset("page.css")),
        "js": safe(scripts.joined(picture=picture)),
        "theme": safe(embedded({"tokens": theme.TOKENS, "layout": theme.LAYOUT})),
        "plotly": safe(plotly.packed() if charts else ""),
    }


def _definitions(
    own: Mapping[str, str], grids: Sequence[Grid], *, gpu: bool = True
) -> list[tuple[str, str]]:
    """The section's definitions, then those of columns that say more."""
    out = dict(own)
    for grid in grids:
        for column in grid.columns:
            if column.definition and column.definition not in out.values():
                out.setdefault(column.label, column.definition)
    return list((out if gpu else host_only(out)).items())


def _most(grids: Sequence[Grid], limit: int) -> int:
    """How many rows of each table the file may hold, all tables together within `limit` bytes."""
    most = tables.MOST
    while most > 12:
        size = sum(
            sum(12 + len(str(v)) if isinstance(v, str) else 22 for v in row)
            for grid in grids for row in grid.rows[:most]
        )  # fmt: skip
        if size <= limit:
            break
        most = most * 3 // 4
    return most


def _asset(name: str) -> str:
    return (files("tracekit.report.html") / "assets" / name).read_text(encoding="utf-8")
