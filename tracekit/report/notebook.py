"""A trace in a notebook: `tracekit.load(path)`, then `.stages()`, `.kernels()` and the rest.

Each analysis of the catalogue is a method; what it returns shows as its tables and figures.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracekit.errors import UsageError
from tracekit.extras import MissingExtraError
from tracekit.records import replace
from tracekit.results import catalog, engine
from tracekit.results.result import Result
from tracekit.trace import graph_captures, kineto
from tracekit.trace.trace import Trace

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from tracekit.comparison.compare import Comparison
    from tracekit.comparison.runs import Run
    from tracekit.results.figures import Chart
    from tracekit.results.result import Grid


def load(
    path: str | Path, *, strict: bool = False,
    graph_capture: str | Path | Sequence[str | Path] = (),
    model_config: str | Path | None = None, tp: int | None = None, device: str | None = None,
) -> Loaded:  # fmt: skip
    """The trace in a file, ready to be asked.

    `graph_capture` names traces in which graphs replayed here were captured; without, they are
    looked for beside it. `model_config` is the `config.json` of the model that ran, its folder, or
    a name of `tracekit models`: its dimensions are the sizes of kernels that recorded none; `tp`
    ranks share its weights. Both may be given to one analysis alone: `.roofline(model_config=…)`.
    `device` is what it ran on, where the file does not say it: its peaks and links are looked up.

    Raises: NotATraceError, DamagedTraceError (with strict), TracekitError for a missing file;
    UsageError for what is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(
            f"load takes the path of one trace, and was given a {type(path).__name__}",
            where="tracekit.load",
            hint="load each of several by itself; tracekit.compare(a, b) takes two",
        )
    given = (graph_capture,) if isinstance(graph_capture, str | Path) else graph_capture
    found = kineto.load(path, strict=strict, snapshots=True)
    if device is not None:
        from tracekit.attribution.roofline.devices import datasheet

        source = replace(found.source, device=datasheet(device).name)
        found = replace(found, source=source, memo={})
    loaded = Loaded(graph_captures.attached(found, given))
    return loaded if model_config is None and tp is None else loaded.of_model(model_config, tp)


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

    Without one, those of the usual ones that save most, three at most. What may be believed:
    docs/whatif.md.

    Raises: UsageError for a change of nothing that is there; MissingEventsError where the trace
    cannot be replayed; what `load` raises.
    """
    found = trace if isinstance(trace, Loaded) else load(trace)
    return found.ask(
        "whatif", scale=_texts(scale), remove=_texts(remove), launch_cost=launch_cost,
        cuda_graphs=_texts(cuda_graphs), device=_texts(device), stages=stages,
    )  # fmt: skip


def compare(before: str | Path | Loaded, after: str | Path | Loaded) -> Compared:
    """What changed between two traces; `compare(a, b)` in a cell shows it as tables and figures.

    Each is a path, the JSON that `tracekit analyze --json` wrote, or what `load` returned.

    Raises: what `load` raises.
    """
    from tracekit.comparison import compare as comparison

    return Compared(comparison.compare(_run(before), _run(after)))


def _run(side: str | Path | Loaded) -> Run:
    from tracekit.comparison import runs

    if isinstance(side, Loaded):
        return runs.of(engine.of_trace(side.trace))
    return runs.saved(str(side)) or runs.of(engine.answers(side))


def _as_declared(name: str, parameters: Mapping[str, object]) -> dict[str, object]:
    """The parameters of an analysis; of several values a list will do, of one the value alone."""
    own = inspect.signature(catalog.analysis(name).run).parameters
    several = {key for key, one in own.items() if isinstance(one.default, tuple)}
    return {
        key: tuple(given) if isinstance(given, list | set)
        else (given,) if key in several and isinstance(given, str)
        else given
        for key, given in parameters.items()
    }  # fmt: skip


def _texts(given: Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


class Loaded:
    """A trace with a method for each analysis: `.stages()`, `.kernels(…)`. Repeats are free."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._of_models: dict[tuple[str, int | None], Loaded] = {}

    def of_model(self, config: str | Path | None, tp: int | None = None) -> Loaded:
        """The same trace as one of the model that a `config.json` describes: see `load`.

        Raises: UsageError for what is no configuration, or `tp` without one.
        """
        from tracekit.models import named

        if config is None:
            raise UsageError("needs model_config", where="tp", hint="name the model's too")
        key = (os.fspath(config), tp)
        if key not in self._of_models:
            source = replace(self.trace.source, model=named.given(config, tp))
            self._of_models[key] = Loaded(replace(self.trace, source=source, memo={}))
        return self._of_models[key]

    def ask(self, name: str, **parameters: object) -> Answer:
        """What the analysis `name` says of this trace; parameters are those of its `run`, and
        `model_config` and `tp` as of `load`.

        Raises: TracekitError for an unknown name; MissingEventsError where the trace cannot tell.
        """
        model, tp = parameters.pop("model_config", None), parameters.pop("tp", None)
        if model is not None or tp is not None:
            return self.of_model(model, tp).ask(name, **parameters)  # type: ignore[arg-type]
        given = _as_declared(name, parameters)
        return Answer(name, catalog.answer(self.trace, name, **given))

    def __getattr__(self, name: str) -> Callable[..., Answer]:
        if name.startswith("_") or name not in catalog.analyses():
            raise AttributeError(f"no analysis {name!r}; there are {', '.join(catalog.analyses())}")
        return _method(self, name)

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


def _method(trace: Loaded, name: str) -> Callable[..., Answer]:
    """`trace.NAME`, with what `help` says of the analysis and of its parameters."""
    entry = catalog.analysis(name)

    def ask(**parameters: object) -> Answer:
        return trace.ask(name, **parameters)

    measures = "".join(f"\n    {measure}: {said}" for measure, said in entry.definitions.items())
    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = f"{entry.title}. {entry.question}\n{measures}"
    own = list(inspect.signature(entry.run).parameters.values())[1:]
    vars(ask)["__signature__"] = inspect.Signature(own, return_annotation=Answer)
    return ask


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
        return _figures(self.charts)

    def to_pandas(self) -> pd.DataFrame:
        """Its rows as a table, nested fields as `outer.inner`; times in ns."""
        return self.result.to_pandas()

    def to_json(self) -> dict[str, Any]:
        """The same as `tracekit analyze --json` has it."""
        return self.result.to_json()

    def __repr__(self) -> str:
        from tracekit.report.text_tables import as_text

        return as_text(catalog.analysis(self.name).title, self.tables)

    def _repr_html_(self) -> str:
        from tracekit.report.html.notebook_tables import answer

        return answer(self.name, self.tables)

    def _ipython_display_(self) -> None:
        _show(self._repr_html_(), self.charts)


class Compared:
    """What changed between two traces: `.result`, `.tables`, `.figures`, `.report(path)`."""

    def __init__(self, result: Comparison) -> None:
        self.result = result

    @property
    def tables(self) -> list[Grid]:
        """Its tables, raw values with units."""
        from tracekit.comparison import tables

        return tables.tables(self.result)

    @property
    def charts(self) -> list[Chart]:
        """The charts of its first screen as plain data."""
        from tracekit.report.diff import page

        return list(page.overview(self.result).charts)

    @property
    def figures(self) -> list[go.Figure]:
        """The same as Plotly figures."""
        return _figures(self.charts)

    def to_json(self) -> dict[str, Any]:
        """The same as `tracekit compare --json` has it."""
        return self.result.to_json()

    def report(self, path: str | Path) -> Path:
        """Writes the HTML page of this comparison and says where it is.

        Raises: TracekitError where it cannot be written, or would replace what is no page of ours.
        """
        from tracekit.report.diff import page

        return page.write(self.result, Path(path), command="tracekit.compare(…).report()")

    def __repr__(self) -> str:
        from tracekit.report.diff import page
        from tracekit.report.text_tables import as_text

        said = [page.title(self.result), *page.overview(self.result).headlines]
        return as_text(" · ".join(said), self.tables)

    def _repr_html_(self) -> str:
        from tracekit.report.diff import page
        from tracekit.report.html.notebook_tables import titled

        said = page.overview(self.result).headlines
        return titled(page.title(self.result), self.tables, said)

    def _ipython_display_(self) -> None:
        _show(self._repr_html_(), self.charts)


def _figures(charts: Sequence[Chart]) -> list[go.Figure]:
    """Figures that stay in a cell where nbconvert writes it."""
    from tracekit.report.html import notebook_figures

    return [notebook_figures.kept(chart.figure()) for chart in charts]


def _show(markup: str, charts: Sequence[Chart]) -> None:
    """Tables and figures in a cell; the tables are of use where the figures cannot be drawn."""
    import IPython.display

    from tracekit.report.html import notebook_figures

    shell: Any = IPython.display
    shell.display(shell.HTML(markup))
    try:
        figures = [chart.figure() for chart in charts]
    except MissingExtraError as missing:
        shell.display(shell.HTML(f"<div>{escape(str(missing))}</div>"))
        return
    for bundle in notebook_figures.bundles(figures):
        shell.display(bundle, raw=True)
