"""Lines of a log selected by dragging the mouse over them, and copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .strips import restyle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style
    from textual.strip import Strip

Spot = tuple[int, int]
"""A row of the screen, and a column."""


class LogSelection:
    """From where the drag began to where it is; rows are those on the screen, which stands still meanwhile."""

    def __init__(self, begin: Spot) -> None:
        self._begin = self._end = begin
        self.moved = False

    def move(self, spot: Spot) -> None:
        """The mouse is there now."""
        self._end = spot
        self.moved = True

    def span(self, row: int, gutter: int, width: int) -> tuple[int, int] | None:
        """The cells of ``row`` that are selected, those of the gutter never; None when there are none."""
        first, last = sorted((self._begin, self._end))
        if not first[0] <= row <= last[0]:
            return None
        start = max(gutter, first[1]) if row == first[0] else gutter
        end = min(width, last[1] + 1) if row == last[0] else width
        return (start, end) if start < end else None

    def drawn(self, strip: Strip, row: int, gutter: int, style: Style) -> Strip:
        """``strip``, which is in ``row``, with what of it is selected marked."""
        span = self.span(row, gutter, strip.cell_length)
        return restyle(strip, *span, style) if span is not None else strip

    def text(self, rows: Sequence[tuple[int, Strip]], gutter: int) -> str:
        """What is selected; a line that was wrapped is one line again."""
        parts: list[str] = []
        before: int | None = None
        for row, (number, strip) in enumerate(rows):
            span = self.span(row, gutter, strip.cell_length)
            if span is None:
                continue
            text = strip.crop(*span).text
            if number == before:
                parts[-1] += text
            else:
                parts.append(text)
            before = number
        return "\n".join(part.rstrip() for part in parts)
