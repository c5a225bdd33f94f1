"""Plotly charts as plain data: numbers in, one `Chart` out.

A chart holds Plotly's own JSON (`data`, `layout`) and no Plotly object: importing and validating
those costs more than reading a trace. Builders never open a window or write a file. Labels come
from traces, so builders escape them: Plotly reads `<` and `>` as markup.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Chart", "escape"]


@dataclass(frozen=True, slots=True)
class Chart:
    """One Plotly figure as data. `key` is stable and unique within an analysis."""

    key: str
    title: str
    summary: str  # one sentence: what it shows, for those who cannot see it
    data: list[dict[str, Any]]
    layout: dict[str, Any] = field(default_factory=dict)
    table: str = ""  # key of the grid that holds the same numbers

    def figure(self) -> go.Figure:
        """The same as a Plotly figure, for a notebook."""
        import plotly.graph_objects as go

        return go.Figure(data=self.data, layout={"title": {"text": self.title}, **self.layout})
