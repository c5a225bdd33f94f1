"""A rich console on which text is text: only rich's own codes reach the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tracekit import plain


class PlainConsole(Console):
    """What is printed may hold anything; an escape sequence in it is shown as an escape."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces of a renderable, their text without what a terminal would obey."""
        for piece in super().render(renderable, options):
            text = piece.text if piece.control else plain.lines(piece.text)
            yield piece if text is piece.text else Segment(text, piece.style, piece.control)
