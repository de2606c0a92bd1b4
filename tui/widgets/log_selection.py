"""Lines of a log selected by dragging the mouse over them, and copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .strips import restyle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.style import Style
    from textual.strip import Strip

Row = tuple[int, int]
"""A line by its number, and which of the rows that it is wrapped to."""
Spot = tuple[Row, int]
"""A row, and a column."""


class LogSelection:
    """From where the drag began to where it is; the log may be scrolled meanwhile."""

    def __init__(self, begin: Spot) -> None:
        self._begin = self._end = begin

    def move(self, spot: Spot) -> None:
        """The mouse is there now."""
        self._end = spot

    @property
    def lines(self) -> tuple[int, int]:
        """The numbers of the first and the last line of which something is selected."""
        first, last = sorted((self._begin, self._end))
        return first[0][0], last[0][0]

    def span(self, row: Row, gutter: int, width: int) -> tuple[int, int] | None:
        """The cells of ``row`` that are selected, those of the gutter never; None when there are none."""
        first, last = sorted((self._begin, self._end))
        if not first[0] <= row <= last[0]:
            return None
        start = max(gutter, first[1]) if row == first[0] else gutter
        end = min(width, last[1] + 1) if row == last[0] else width
        return (start, end) if start < end else None

    def drawn(self, strip: Strip, row: Row, gutter: int, style: Style) -> Strip:
        """``strip``, which is ``row``, with what of it is selected marked."""
        span = self.span(row, gutter, strip.cell_length)
        return restyle(strip, *span, style) if span is not None else strip

    def text(self, lines: Iterable[tuple[int, list[Strip]]], gutter: int) -> str:
        """What is selected of ``lines``, number and rows; a line that was wrapped is one line again."""
        parts: list[str] = []
        for number, strips in lines:
            rows = [
                (strip, self.span((number, index), gutter, strip.cell_length))
                for index, strip in enumerate(strips)
            ]
            shown = [strip.crop(*span).text for strip, span in rows if span is not None]
            if shown:
                parts.append("".join(shown).rstrip())
        return "\n".join(parts)
