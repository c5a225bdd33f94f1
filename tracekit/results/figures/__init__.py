"""Plotly charts as plain data: numbers in, one `Chart` out.

A chart holds Plotly's own JSON (`data`, `layout`) and no Plotly object: importing and validating
those costs more than reading a trace. Builders never open a window or write a file. Labels come
from traces: builders escape them, since Plotly reads `<` and `>` as markup, and put them into
`customdata`, since it reads `%{…}` in a template. Colours are tokens of `tracekit.theme`.

Every builder takes `key` and `title` first, then numbers in their raw unit (ns, bytes, shares of
one), then by keyword: `unit`; `summary`, one sentence for those who cannot see the chart; `table`,
the key of the grid that holds the same numbers. Series are drawn in the order given, in the colour
of their name (`theme.mark`). None is a value that was not measured and draws nothing.
"""

from tracekit.results.figures.bars import columns, paired_bars, split_bars
from tracekit.results.figures.chart import Chart, distinct, escape, marks, shorten
from tracekit.results.figures.curves import areas, lines
from tracekit.results.figures.heat import heat
from tracekit.results.figures.law import Here, law
from tracekit.results.figures.roofline import Point, roofline
from tracekit.results.figures.slope import Measure, Pair, slope
from tracekit.results.figures.strip import Sample, strip
from tracekit.results.figures.tracks import Area, Block, Blocks, tracks
from tracekit.results.figures.waterfall import waterfall

__all__ = [
    "Area",
    "Block",
    "Blocks",
    "Chart",
    "Here",
    "Measure",
    "Pair",
    "Point",
    "Sample",
    "areas",
    "columns",
    "distinct",
    "escape",
    "heat",
    "law",
    "lines",
    "marks",
    "paired_bars",
    "roofline",
    "shorten",
    "slope",
    "split_bars",
    "strip",
    "tracks",
    "waterfall",
]
