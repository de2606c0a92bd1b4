"""A session's screen or log made to fit: the rows that matter most, cut at the right."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from sandtop.tui.ansi import styled

from .strips import restyle

if TYPE_CHECKING:
    from sandtop.tui.stream.glance import Glance

_CURSOR = Style(reverse=True)


def first_row(glance: Glance, height: int) -> int:
    """The first of the ``height`` rows that are shown.

    Of a log the newest lines are; of a terminal those down to the cursor and the last one that is not empty; of a
    full-screen program the upper ones, and further down only if the cursor is there.
    """
    filled = max((row for row, (_, text) in enumerate(glance.lines) if text.strip()), default=0)
    cursor = glance.cursor[0] if glance.cursor is not None else 0
    last = cursor if glance.alternate else max(filled, cursor)
    return max(0, last + 1 - height)


def thumbnail(glance: Glance, width: int, height: int, base: Style, stderr: Style) -> list[Strip]:
    """``height`` strips of ``width`` cells: ``base`` is the style below the text, ``stderr`` that of its bar."""
    first = first_row(glance, height)
    strips: list[Strip] = []
    for row in range(first, first + height):
        if row >= len(glance.lines):
            strips.append(Strip.blank(width, base))
            continue
        stream, text = glance.lines[row]
        if glance.columns:
            strip = _row(text, width, base)
            if glance.cursor is not None and glance.cursor[0] == row:
                strip = restyle(strip, glance.cursor[1], glance.cursor[1] + 1, _CURSOR)
        else:
            bar = Segment("▌", stderr) if stream == 2 else Segment(" ", base)
            strip = Strip([bar, *_row(text, max(0, width - 1), base)], width)
        strips.append(strip)
    return strips


@lru_cache(maxsize=512)
def _row(text: bytes, width: int, base: Style) -> Strip:
    """A row that was drawn before costs nothing: most of a screen stays as it is from one look to the next."""
    segments = [Segment(piece, base if style is None else base + style) for piece, style in styled(text)]
    strip = Strip(segments)
    if strip.cell_length > width:
        strip = Strip([*strip.crop(0, max(0, width - 1)), Segment("›", base)])
    return strip.adjust_cell_length(width, base)
