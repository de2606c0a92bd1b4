"""Operations on strips. A strip is a drawn line: cells with their styles."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


def restyle(strip: Strip, start: int, end: int, style: Style) -> Strip:
    """``strip`` with ``style`` laid over the cells from ``start`` to before ``end``."""
    length = strip.cell_length
    end = min(end, length)
    if start >= end:
        return strip
    middle = strip.crop(start, end)
    restyled = [Segment(text, (old or Style()) + style) for text, old, _ in middle]
    return Strip([*strip.crop(0, start), *restyled, *strip.crop(end, length)], length)
