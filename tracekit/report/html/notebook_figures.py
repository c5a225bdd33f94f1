"""Figures for a notebook's cell that are still there when nbconvert writes it as HTML.

Plotly's own way leaves only its MIME type in the cell, which JupyterLab and VS Code draw and
nbconvert does not know. Here markup stands with it, and the library is packed in the first figure
of an answer: it needs no network.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from tracekit.report.html import plotly
from tracekit.report.html.embedded import embedded, texts

if TYPE_CHECKING:
    import plotly.graph_objects as go

MIME = "application/vnd.plotly.v1+json"
# loads the library once a page, out of gzip in base64; every figure waits for it
_LIBRARY = """<script>
window.tracekitPlotly ||= (async () => {
  const raw = atob("PACKED"), bytes = Uint8Array.from(raw, letter => letter.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = await new Response(plain).text();
  const run = new Function(code + ";return window.Plotly || this.moduleName");
  return window.Plotly || run.call(window);
})();
</script>"""
_FIGURE = """<div id="ID" style="min-height:HEIGHTpx"></div>
<script>
(async () => {
  const box = document.getElementById("ID"), figure = JSON_OF_IT;
  const Plotly = await window.tracekitPlotly;
  Plotly.newPlot(box, figure.data, figure.layout, {responsive: true, displaylogo: false});
})();
</script>"""


@cache
def _kept() -> type[go.Figure]:
    """Plotly's figure, which as the last value of a cell leaves markup in it too."""
    import plotly.graph_objects as go

    class Figure(go.Figure):  # type: ignore[misc]  # plotly is untyped
        def _ipython_display_(self) -> None:
            import IPython.display

            shell: Any = IPython.display
            for bundle in bundles([self]):
                shell.display(bundle, raw=True)

    return Figure


def kept(figure: go.Figure) -> go.Figure:
    """The same figure; where it is shown alone it brings the library with it."""
    return _kept()(figure.data, figure.layout)


def bundles(figures: Sequence[go.Figure]) -> Iterator[dict[str, object]]:
    """Of each figure what a cell holds, by MIME type; the first brings the library with it."""
    library = _LIBRARY.replace("PACKED", plotly.packed())
    for figure in figures:
        plain = texts(json.loads(figure.to_json()))
        markup = (
            _FIGURE.replace("HEIGHT", str(int(plain["layout"].get("height", 280))))
            .replace("ID", f"tracekit-{uuid.uuid4().hex}")
            .replace("JSON_OF_IT", embedded(plain))
        )
        yield {MIME: plain, "text/html": library + markup}
        library = ""
