"""A trace in a notebook: `tracekit.load(path)`, then `.stages()`, `.kernels()` and the rest.

Each analysis of the catalogue is a method; what it returns shows as its tables and figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.extras import MissingExtraError
from tracekit.results import catalog, engine
from tracekit.results.result import Result
from tracekit.trace import graph_captures, kineto
from tracekit.trace.trace import Trace

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from tracekit.results.figures import Chart
    from tracekit.results.result import Grid


def load(
    path: str | Path, *, strict: bool = False, graph_capture: str | Path | Sequence[str | Path] = ()
) -> Loaded:
    """The trace in a file, ready to be asked.

    `graph_capture` names traces in which graphs replayed here were captured; without, they are
    looked for beside it.

    Raises: NotATraceError, DamagedTraceError (with strict), TracekitError for a missing file.
    """
    given = (graph_capture,) if isinstance(graph_capture, str | Path) else graph_capture
    found = kineto.load(path, strict=strict, snapshots=True)
    return Loaded(graph_captures.attached(found, given))


def whatif(
    trace: str | Path | Loaded,
    *,
    scale: Sequence[str] = (),
    remove: Sequence[str] = (),
    launch_cost: bool = True,
    cuda_graphs: Sequence[str] = (),
    device: Sequence[str] = (),
    stages: str | None = None,
) -> Answer:
    """What a change would make of each stage; `whatif(path, scale=["gemm=0.5"])`.

    Without one, the three changes that would save most. What may be believed: docs/whatif.md.

    Raises: UsageError for a change of nothing that is there; MissingEventsError where the trace
    cannot be replayed; what `load` raises.
    """
    found = trace if isinstance(trace, Loaded) else load(trace)
    return found.ask(
        "whatif", scale=_texts(scale), remove=_texts(remove), launch_cost=launch_cost,
        cuda_graphs=_texts(cuda_graphs), device=_texts(device), stages=stages,
    )  # fmt: skip


def _texts(given: Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


class Loaded:
    """A trace with a method for each analysis: `.stages()`, `.kernels(…)`. Repeats are free."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def ask(self, name: str, **parameters: Any) -> Answer:
        """What the analysis `name` says of this trace; parameters are those of its `run`.

        Raises: TracekitError for an unknown name; MissingEventsError where the trace cannot tell.
        """
        return Answer(name, catalog.answer(self.trace, name, **parameters))

    def __getattr__(self, name: str) -> Callable[..., Answer]:
        if name.startswith("_") or name not in catalog.analyses():
            raise AttributeError(f"no analysis {name!r}; there are {', '.join(catalog.analyses())}")
        return partial(self.ask, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *catalog.analyses()})

    def report(self, path: str | Path, *, force: bool = False) -> Path:
        """Writes the HTML page of this trace and says where it is.

        Raises: TracekitError where it cannot be written, is the trace itself, or is another file
        that is no page of ours and `force` is off.
        """
        from tracekit import files
        from tracekit.report import facts, traces
        from tracekit.report.html.page import is_page

        files.check(path, inputs=[self.trace.path], ours=is_page, force=force)
        command = f"tracekit.load({facts.file_name(self.trace.path)!r}).report()"
        return traces.write([engine.of_trace(self.trace)], path, command=command)

    def __repr__(self) -> str:
        names = ", ".join(f".{name}()" for name in engine.wanted(None))
        return f"<trace {self.trace.path}: {len(self.trace):,} slices; ask {names}>"

    def _repr_html_(self) -> str:
        from tracekit.report import facts

        source = self.trace.source
        said = "".join(
            f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>"
            for label, value in facts.facts(source)
        )
        names = ", ".join(f"<code>.{name}()</code>" for name in engine.wanted(None))
        return (
            f"<div><b>{escape(facts.title(source))}</b><br>{escape(facts.subtitle(source))}"
            f"<dl>{said}</dl>Ask {names}.</div>"
        )


class Answer:
    """The answer of one analysis: `.result` as data, `.tables`, `.figures`, `.to_pandas()`."""

    def __init__(self, name: str, result: Result) -> None:
        self.name = name
        self.result = result

    @property
    def tables(self) -> list[Grid]:
        """Its tables, raw values with units."""
        return catalog.analysis(self.name).tables(self.result)

    @property
    def charts(self) -> list[Chart]:
        """Its charts as plain data."""
        return catalog.analysis(self.name).charts(self.result)

    @property
    def figures(self) -> list[go.Figure]:
        """Its charts as Plotly figures."""
        return [chart.figure() for chart in self.charts]

    def to_pandas(self) -> pd.DataFrame:
        """Its rows as a table, nested fields as `outer.inner`; times in ns."""
        return self.result.to_pandas()

    def to_json(self) -> dict[str, Any]:
        """The same as `tracekit analyze --json` has it."""
        return self.result.to_json()

    def __repr__(self) -> str:
        return repr(self.result)

    def _repr_html_(self) -> str:
        from tracekit.report.html.notebook_tables import answer

        return answer(self.name, self.tables)

    def _ipython_display_(self) -> None:
        import IPython.display

        shell: Any = IPython.display
        shell.display(shell.HTML(self._repr_html_()))
        try:
            figures = self.figures
        except MissingExtraError as missing:  # the tables are of use without them
            shell.display(shell.HTML(f"<div>{escape(str(missing))}</div>"))
            return
        for figure in figures:
            shell.display(figure)
